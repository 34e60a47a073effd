//! End to end: cutouts of a tar archive into a catalog, against the forward
//! pass alone on the same pixels, in the same run and interleaved.
//!
//! `cargo bench --bench classify --profile release -- ARCHIVE.tar [MODEL] [ROUNDS]`
#![allow(clippy::print_stdout, missing_docs, reason = "a bench reports to the terminal")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use hiwl::{
    classify::{self, Options, recipe::ResampleChoice},
    cutout::{
        decode::{DecodeOptions, decode},
        prepare::{Preparation, prepare},
        rgb,
    },
    kernels::cpu::{Normalisation, PackedNetwork},
    network::{
        architecture::Architecture,
        hierarchy::Stage2,
        model_file::{Model, Precision},
    },
    pipeline::Stop,
    report::progress::{Audience, Progress},
    source::{
        list::{ListOptions, Lister},
        read::Reader,
    },
};

/// Cutouts whose pixels the forward pass alone is timed on.
const SAMPLE: usize = 320;
const BATCH: usize = 32;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let Some(archive) = arguments.next().map(PathBuf::from) else {
        println!("classify: name a tar archive of cutouts; nothing was measured");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = arguments.next().map_or_else(
        || {
            let path = folder.path().join("b1.safetensors");
            let b1 = Architecture::efficientnet(1).expect("B1 exists");
            let model = Model::seeded(b1, 240, 1).expect("memory for a model");
            model.write(&path, Precision::F32).expect("room for a model");
            path
        },
        PathBuf::from,
    );
    let rounds: usize = arguments.next().map_or(3, |n| n.parse().expect("a number of rounds"));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);

    let (pixels, network) = sample(&archive, &model);
    let (mut ends, mut forwards) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let output = folder.path().join(format!("out-{round}"));
        let options = Options {
            inputs: vec![archive.clone()],
            output,
            model: model.clone(),
            bands: None,
            band_pattern: "{id}_{band}.fits".to_owned(),
            cube_bands: None,
            image_column: None,
            carry: Vec::new(),
            rgb_profile: None,
            resample: ResampleChoice::None,
            stage2: Stage2::Routed,
            batch: BATCH,
            workers,
            range_size: 16_384,
            shard: None,
        };
        let progress = Arc::new(Progress::new(Audience::Nobody));
        let report = classify::run(&options, &progress, &Stop::new()).expect("a run");
        let end = report.written.rows as f64 / report.elapsed.as_secs_f64();
        // Stage 2 is more forward passes: count them.
        let tally = report.tally();
        let routed: u64 = tally
            .labels
            .iter()
            .filter(|(c, _)| matches!(c.label(), "CSS" | "EO"))
            .map(|(_, n)| n)
            .sum();
        let passes = 1.0 + routed as f64 / tally.rows.max(1) as f64;

        let images: Vec<&[u8]> = pixels.iter().map(Vec::as_slice).collect();
        let mut logits = vec![0.0; BATCH * network.classes()];
        let began = Instant::now();
        for batch in images.chunks_exact(BATCH) {
            network.forward(batch, &mut logits);
        }
        let done = images.len() / BATCH * BATCH;
        let forward = done as f64 / began.elapsed().as_secs_f64();
        println!(
            "round {round}: end to end {end:6.1} images/s ({passes:.2} passes each), forward alone {forward:6.1}, \
             share of the forward rate {:.1} %, peak memory {} MiB",
            100.0 * end * passes / forward,
            report.peak_memory.unwrap_or(0) >> 20,
        );
        ends.push(end * passes);
        forwards.push(forward);
    }
    let (end, forward) = (median(ends), median(forwards));
    println!(
        "medians: {end:.1} passes/s end to end, {forward:.1} alone: {:.1} %",
        100.0 * end / forward
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The first crops of the archive, and the model's first network.
fn sample(archive: &Path, model: &Path) -> (Vec<Vec<u8>>, PackedNetwork) {
    let model = Model::read(model).expect("a model");
    let input = &model.description.input;
    let preparation = Preparation {
        size: input.size,
        profile: rgb::profile(&input.rgb_profile).expect("a known profile").clone(),
        resample: None,
    };
    let mut reader = Reader::new();
    let lister = Lister::open(&[archive.to_owned()], ListOptions::default()).expect("an archive");
    let pixels = lister
        .flat_map(|chunk| chunk.expect("a listing").entries)
        .filter_map(|entry| {
            let payload = reader.read(&entry.locator).ok()?;
            let decoded = decode(&payload, &DecodeOptions::default()).ok()?;
            Some(prepare(&decoded, &preparation).ok()?.pixels)
        })
        .take(SAMPLE)
        .collect();
    let network = PackedNetwork::new(
        &model.description.architecture,
        model.description.outputs.stage1.len(),
        input.size,
        &model.stage1,
        Normalisation { mean: input.mean, std: input.std },
    )
    .expect("a network");
    (pixels, network)
}
