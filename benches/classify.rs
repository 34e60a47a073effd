//! End to end: cutouts of a tar archive into a catalog, against the forward
//! pass alone on the same pixels, in the same run and interleaved; for each
//! number of workers, size of batch and precision asked for.
//!
//! `cargo bench --bench classify -- ARCHIVE.tar [--model FILE] [--rounds N]
//! [--workers 1,2] [--batches 8,32] [--precisions f32,bf16]`
//!
//! With `--mosaics FOLDER` the archive is a table of sources, which are cut out of the
//! mosaics of that folder; then cutting alone is timed too, without colours, network or
//! disk, and what of the mosaics was read. `--rounds 0` measures nothing else.
#![allow(clippy::print_stdout, missing_docs, reason = "a bench reports to the terminal")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use clap::Parser;
use hiwl::{
    classify::{
        self, ClassifyOptions, Devices,
        recipe::{PrecisionChoice, ResampleChoice},
    },
    cutout::{colour, decode::taken, prepare::prepare},
    engine::{
        Normalisation, Precision,
        fused::{Backend, PackedNetwork},
    },
    events::{Listener, Silent},
    line::{Looks, Reading},
    model::{
        architecture::Architecture,
        description::Description,
        model_file::{self, Model},
    },
    mosaic,
    pipeline::Stop,
    source::{
        Entry,
        list::{Field, Lister, Mosaics},
        read::Reader,
        rows::RowImages,
    },
    tree::Stage2,
};

/// Cutouts whose pixels the forward pass alone is timed on.
const SAMPLE: usize = 320;

/// How often it is: as long as machines that share their cores need to be themselves.
const PASSES: usize = 8;

#[derive(Parser)]
struct Arguments {
    /// A tar archive of cutouts, or a table of sources; without one nothing is measured.
    archive: Option<PathBuf>,
    /// A folder of mosaics.
    #[arg(long)]
    mosaics: Option<PathBuf>,
    /// A model file; an untrained B1 if not given.
    #[arg(long)]
    model: Option<PathBuf>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// As many as there are cores if not given.
    #[arg(long, value_delimiter = ',')]
    workers: Vec<usize>,
    #[arg(long, value_delimiter = ',', default_value = "32")]
    batches: Vec<usize>,
    /// The faster one if not given.
    #[arg(long, value_delimiter = ',')]
    precisions: Vec<PrecisionChoice>,
    /// What `cargo bench` adds.
    #[arg(long)]
    bench: bool,
}

/// One way to run, and what was measured.
struct Setting {
    workers: usize,
    batch: usize,
    precision: PrecisionChoice,
    network: PackedNetwork,
    pool: rayon::ThreadPool,
    rounds: Vec<Round>,
}

/// What one run and one series of forward passes took.
struct Round {
    /// Images a second, from the archive into the catalog.
    end: f64,
    /// Forward passes an image: stage 2 is one more.
    passes: f64,
    /// Forward passes a second alone.
    forward: f64,
}

fn main() {
    let arguments = Arguments::parse();
    let Some(archive) = arguments.archive else {
        println!("classify: name a tar archive of cutouts; nothing was measured");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = arguments.model.unwrap_or_else(|| {
        let path = folder.path().join("b1.safetensors");
        let b1 = Architecture::efficientnet(1).expect("B1 exists");
        let model = Model::seeded(b1, 240, 1).expect("memory for a model");
        model.write(&path, model_file::StoredPrecision::F32).expect("room for a model");
        path
    });
    let model = Model::read(&path).expect("a model");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let or = |asked: Vec<usize>| if asked.is_empty() { vec![cores] } else { asked };
    let precisions = match arguments.precisions {
        none if none.is_empty() => vec![PrecisionChoice::Auto],
        some => some,
    };
    let mut settings = Vec::new();
    for workers in or(arguments.workers) {
        for &batch in &arguments.batches {
            for &precision in &precisions {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
                settings.push(Setting {
                    workers,
                    batch,
                    precision,
                    network: network(&model, precision),
                    pool: pool.expect("threads"),
                    rounds: Vec::new(),
                });
            }
        }
    }

    let input = Input { path: archive, mosaics: arguments.mosaics };
    if let Some(folder) = &input.mosaics {
        input.cut_alone(folder, &model, settings[0].workers);
    }
    if arguments.rounds == 0 {
        return;
    }
    let pixels = input.sample(&model);
    for round in 0..arguments.rounds {
        for (place, setting) in settings.iter_mut().enumerate() {
            let output = folder.path().join(format!("out-{round}-{place}"));
            setting.measure(&input, &path, output, &pixels);
        }
    }
    println!(
        "| workers | batch | precision | images/s | passes an image | passes/s alone | share |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for Setting { workers, batch, network, rounds, .. } in &settings {
        let of = |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value).collect());
        println!(
            "| {workers} | {batch} | {} | {:.1} | {:.2} | {:.1} | {:.1} % |",
            network.precision().name(),
            of(&|round| round.end),
            of(&|round| round.passes),
            of(&|round| round.forward),
            100.0 * of(&|round| round.end * round.passes / round.forward),
        );
    }
    let peak = hiwl::pipeline::memory::peak_resident().unwrap_or(0);
    println!("peak memory of all of it, sample and networks included: {} MiB", peak >> 20);
}

impl Setting {
    /// A run, and the forward pass alone on the sample.
    fn measure(&mut self, input: &Input, model: &Path, output: PathBuf, pixels: &[Vec<u8>]) {
        let options = ClassifyOptions {
            inputs: vec![input.path.clone()],
            output,
            model: model.to_owned(),
            bands: None,
            band_pattern: "{id}_{band}.fits".to_owned(),
            cube_bands: None,
            id_column: None,
            image_column: None,
            mosaics: input.mosaics(),
            carry: Vec::new(),
            join: None,
            features: None,
            concentrations: false,
            rgb_profile: None,
            looks: Looks::default(),
            resample: ResampleChoice::None,
            stage2: Stage2::Routed,
            engine: None,
            precision: self.precision,
            batch: self.batch,
            workers: self.workers,
            devices: Devices::Cpu,
            range_size: Some(16_384),
            shard: None,
            copied: false,
            alone: None,
        };
        let listener: Arc<dyn Listener> = Arc::new(Silent);
        let report = classify::run(&options, &listener, &Stop::new()).expect("a run");
        let (tally, classes) = (report.tally(), report.classes());
        let routed: u64 = tally
            .labels
            .iter()
            .filter(|(class, _)| matches!(&*classes[**class], "CSS" | "EO"))
            .map(|(_, n)| n)
            .sum();

        let images: Vec<&[u8]> = pixels.iter().map(Vec::as_slice).collect();
        let Self { network, batch, .. } = self;
        let mut logits = vec![0.0; *batch * network.classes()];
        let began = Instant::now();
        self.pool.install(|| {
            for _ in 0..PASSES {
                images.chunks_exact(*batch).for_each(|batch| network.forward(batch, &mut logits));
            }
        });
        let done = images.len() / *batch * *batch * PASSES;
        self.rounds.push(Round {
            end: report.written.rows as f64 / report.elapsed.as_secs_f64(),
            passes: 1.0 + routed as f64 / tally.rows.max(1) as f64,
            forward: done as f64 / began.elapsed().as_secs_f64(),
        });
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where cutouts come from.
struct Input {
    path: PathBuf,
    mosaics: Option<PathBuf>,
}

impl Input {
    fn mosaics(&self) -> Option<Mosaics> {
        let files = vec![self.mosaics.clone()?];
        Some(Mosaics { files, ..Mosaics::default() })
    }

    /// How they are read for a model.
    fn reading(&self, model: &Model) -> Reading {
        let input = &model.description.input;
        let profile = colour::for_model(&input.rgb_profile, &input.bands).expect("a profile");
        let mut reading = Reading::of(input.bands.clone(), profile.clone());
        if let Some(scale) = model.description.extras.training_scale {
            reading.scale_per_radius = scale;
        }
        let pixels = u32::try_from(input.size).expect("few pixels");
        let field =
            Field { pixels, scale_per_radius: reading.scale_per_radius, ..Field::default() };
        reading.mosaics = self.mosaics().map(|mosaics| Mosaics { field, ..mosaics });
        reading
    }

    fn entries(&self, reading: &Reading) -> impl Iterator<Item = Entry> {
        let lister = Lister::open(std::slice::from_ref(&self.path), reading.list_options());
        lister.expect("inputs").flat_map(|chunk| chunk.expect("a listing").entries)
    }

    /// The first crops.
    fn sample(&self, model: &Model) -> Vec<Vec<u8>> {
        let reading = self.reading(model);
        let preparation = reading.preparation(model.description.input.size);
        let mosaics = mosaic::Mosaics::new(reading.cutting());
        let mut reader = Reader::sharing(RowImages::default(), mosaics);
        let options = reading.decode_options();
        self.entries(&reading)
            .filter_map(|entry| {
                let payload = reader.read(&entry.locator).ok()?;
                let decoded = taken(payload, &options).ok()?;
                Some(prepare(&decoded, &preparation, None).ok()?.picture.pixels)
            })
            .take(SAMPLE)
            .collect()
    }

    /// Times cutting alone, to bands that nobody keeps.
    fn cut_alone(&self, folder: &Path, model: &Model, workers: usize) {
        let reading = self.reading(model);
        let began = Instant::now();
        let entries: Vec<Entry> = self.entries(&reading).collect();
        let listed = began.elapsed().as_secs_f64();
        let mosaics = mosaic::Mosaics::new(reading.cutting());
        let (next, made) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    let mut reader = Reader::sharing(RowImages::default(), mosaics.clone());
                    while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let cut = std::hint::black_box(reader.read(&entry.locator));
                        made.fetch_add(usize::from(cut.is_ok()), Ordering::Relaxed);
                    }
                });
            }
        });
        let seconds = began.elapsed().as_secs_f64();
        let files = fs::read_dir(folder).expect("a folder of mosaics");
        let sizes = files.map(|file| file.expect("a file").metadata().expect("its size").len());
        let (whole, read) = (sizes.sum::<u64>(), mosaics.bytes_read());
        let made = made.into_inner();
        println!(
            "{} sources listed in {listed:.1} s; cutting alone, {workers} threads: {made} cutouts \
             in {seconds:.1} s, {:.0} a second; {:.1} MB of the mosaics' {:.1} MB read: {:.3} of \
             them; peak memory {} MiB",
            entries.len(),
            made as f64 / seconds,
            read as f64 / 1e6,
            whole as f64 / 1e6,
            read as f64 / whole as f64,
            hiwl::pipeline::memory::peak_resident().unwrap_or(0) >> 20,
        );
    }
}

/// The model's first network.
fn network(model: &Model, precision: PrecisionChoice) -> PackedNetwork {
    let Description { architectures, scheme, input, .. } = &model.description;
    let (architecture, classes) = (&architectures[0], scheme.networks()[0].outputs());
    let normalisation = Normalisation { mean: input.mean, std: input.std };
    let (weights, backend) = (&model.networks[0], Backend::detect());
    let precision = precision.named().unwrap_or_else(Precision::detect);
    PackedNetwork::with(
        architecture,
        classes,
        input.size,
        weights,
        normalisation,
        backend,
        precision,
    )
    .expect("a network")
}
