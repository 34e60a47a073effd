//! This project's side of `benches/peers/forward.py`: an engine that waits for
//! its turn, so that a driver can measure several engines in turns.
//!
//! `forward --peer PRECISION BACKEND MODEL IMAGES LOGITS BATCH...` loads the first
//! stage of a model file and images (bytes, one after another), writes their
//! logits, once for each size of batch (f32, little-endian,
//! `[batches, images, classes]`), and says `ready` and what it is, or `absent`
//! where the processor does not have the precision. BACKEND is `best`, or the
//! instruction set of the kernels. Each line `BATCH SECONDS`
//! that it then reads is a turn: it classifies batches for at least so long
//! and answers with the number of images and the seconds that they took.

use std::{fs, io::Write, path::Path, time::Instant};

use hiwl::{
    engine::{
        Normalisation, Precision,
        fused::{Backend, PackedNetwork},
    },
    model::{description::Input, model_file::Model},
};

/// Serves turns until standard input ends. `arguments` are those after
/// `--peer`.
pub fn serve(arguments: &[String]) {
    let [precision, backend, model, images, logits, batches @ ..] = arguments else {
        panic!("--peer PRECISION BACKEND MODEL IMAGES LOGITS BATCH...");
    };
    let backend =
        if backend == "best" { Backend::detect() } else { backend.parse::<Backend>().unwrap() };
    let precision = if precision == "bf16" { Precision::Bf16 } else { Precision::F32 };
    if !backend.is_available() || !precision.is_available_on(backend) {
        println!("absent this processor has no {} with {}", precision.name(), backend.name());
        return;
    }
    let network = load(Path::new(model), backend, precision);
    let bytes = fs::read(images).unwrap();
    let images: Vec<&[u8]> = bytes.chunks_exact(3 * network.size().pow(2)).collect();

    let mut answers = Vec::new();
    for batch in batches {
        let batch = batch.parse().unwrap();
        for images in images.chunks(batch) {
            let mut row = vec![0.0; images.len() * network.classes()];
            network.forward(images, &mut row);
            answers.extend(row.into_iter().flat_map(f32::to_le_bytes));
        }
    }
    fs::write(logits, answers).unwrap();
    println!("ready hiwl {} ({})", env!("CARGO_PKG_VERSION"), network.backend().name());

    for turn in std::io::stdin().lines() {
        let turn = turn.unwrap();
        let (batch, seconds) = turn.split_once(' ').unwrap();
        let (done, took) =
            take_turn(&network, &images, batch.parse().unwrap(), seconds.parse().unwrap());
        // Whoever asked may be gone: then there is nobody left to serve.
        if writeln!(std::io::stdout(), "{done} {took}").is_err() {
            return;
        }
    }
}

fn load(path: &Path, backend: Backend, precision: Precision) -> PackedNetwork {
    let model = Model::read(path).unwrap();
    let classes = model.description.scheme.networks()[0].outputs();
    let Input { size, mean, std, .. } = model.description.input;
    let architecture = &model.description.architectures[0];
    let normalisation = Normalisation { mean, std };
    let weights = &model.networks[0];
    PackedNetwork::with(architecture, classes, size, weights, normalisation, backend, precision)
        .unwrap()
}

/// Images classified, and the seconds that it took. One batch goes before the
/// clock starts, to wake the threads.
fn take_turn(
    network: &PackedNetwork,
    images: &[&[u8]],
    batch: usize,
    seconds: f64,
) -> (usize, f64) {
    let mut logits = vec![0.0; batch * network.classes()];
    let mut batches = images.chunks_exact(batch).cycle();
    let mut classify = || network.forward(batches.next().unwrap(), &mut logits);
    classify();
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed().as_secs_f64() < seconds {
        classify();
        done += batch;
    }
    (done, start.elapsed().as_secs_f64())
}
