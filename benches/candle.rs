//! How fast an engine runs a backbone, and how fast that learns: images/s on two threads.
//!
//! `cargo bench --bench candle --profile release -- BACKBONE ENGINE SIZE BATCH SECONDS`,
//! with fused, fused-bf16 or candle as the engine; `benches/peers/backbones.py` runs it
//! in turns with PyTorch. Each rate is of as many batches as fit into the seconds, at
//! least one, behind one that goes before the clock.

#![allow(clippy::print_stdout, reason = "a bench reports")]

use std::error::Error;
use std::time::Instant;

use hiwl::engine::learn::{Settings, Updates};
use hiwl::engine::open::{self, Network, Room};
use hiwl::engine::optimizer::{LayerRates, Rule};
use hiwl::engine::{Device, Engine, Loss, Normalisation, Precision, Tensors, Want};
use hiwl::model::architecture::Architecture;
use hiwl::model::seeded;

const CLASSES: usize = 4;
const THREADS: usize = 2;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    // `cargo bench` without arguments runs every bench: this one wants to be told.
    let [backbone, engine, size, batch, seconds] = &arguments[..] else {
        println!("candle: BACKBONE fused|fused-bf16|candle SIZE BATCH SECONDS");
        return Ok(());
    };
    let (engine, precision) = match engine.strip_suffix("-bf16") {
        Some(engine) => (engine, Precision::Bf16),
        None => (engine.as_str(), Precision::F32),
    };
    let engine: Engine = engine.parse()?;
    let (size, batch, seconds) = (size.parse()?, batch.parse()?, seconds.parse()?);
    let architecture = Architecture::named(backbone).ok_or("no such backbone")?.for_images(size);
    // candle's products run on the global threads, ours on those of whoever calls.
    rayon::ThreadPoolBuilder::new().num_threads(THREADS).build_global()?;
    let run = Run { architecture, engine, precision, size, batch, seconds };
    println!("forward {:.3} images/s", run.forward()?);
    println!("step {:.3} images/s", run.step()?);
    Ok(())
}

struct Run {
    architecture: Architecture,
    engine: Engine,
    precision: Precision,
    size: usize,
    batch: usize,
    seconds: f64,
}

const NORMALISATION: Normalisation =
    Normalisation { mean: [0.046, 0.041, 0.030], std: [0.090, 0.075, 0.065] };

impl Run {
    fn images(&self) -> Vec<u8> {
        (0..self.batch * self.size * self.size * 3)
            .map(|i| ((i * 2_654_435_761) >> 7) as u8)
            .collect()
    }

    /// Images a second, where each call is of a batch.
    fn rate(&self, mut batch: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
        batch()?;
        let (start, mut done) = (Instant::now(), 0);
        while done == 0 || start.elapsed().as_secs_f64() < self.seconds {
            batch()?;
            done += self.batch;
        }
        Ok(done as f64 / start.elapsed().as_secs_f64())
    }

    fn forward(&self) -> Result<f64, Failure> {
        let weights = seeded::weights(&self.architecture, CLASSES, 7, "")?;
        let network = Network {
            architecture: &self.architecture,
            outputs: CLASSES,
            size: self.size,
            normalisation: NORMALISATION,
            weights: &weights,
        };
        let engine = Some(self.engine);
        let network =
            open::infer(network, Device::Cpu, engine, self.precision, Room::for_one(self.batch))?;
        let images = self.images();
        let images: Vec<&[u8]> = images.chunks_exact(3 * self.size * self.size).collect();
        let mut found = Tensors::default();
        self.rate(|| Ok(network.network.run(&images, Want::LOGITS, &mut found)?))
    }

    fn step(&self) -> Result<f64, Failure> {
        let weights = seeded::weights(&self.architecture, CLASSES, 7, "")?;
        let settings = Settings {
            classes: CLASSES,
            batch: self.batch,
            max_size: self.size,
            normalisation: NORMALISATION,
            frozen_backbone: false,
            stochastic_depth: 0.0,
            loss: Loss::Classes,
        };
        let updates = Updates {
            rule: Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-4 },
            layers: LayerRates::default(),
            decay_vectors: true,
            average: None,
            norm_momentum: 0.1,
        };
        let on = (Device::Cpu, self.precision);
        let engine = Some(self.engine);
        let mut learner = open::learn(&self.architecture, &weights, settings, updates, on, engine)?;
        let images = self.images();
        let mut targets = vec![0.05 / (CLASSES - 1) as f32; self.batch * CLASSES];
        for image in 0..self.batch {
            targets[image * CLASSES + image % CLASSES] = 0.95;
        }
        let mut seed = 0;
        self.rate(|| {
            seed += 1;
            let output = learner.step(&images, self.size, &targets, 1e-4, seed)?;
            // Which seeded weights may give; what it costs is the same.
            let _ = output.loss;
            Ok(())
        })
    }
}
