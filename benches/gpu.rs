//! A GPU's speed: the forward pass, where its time goes, a training step.
//! `benches/gpu.sh` runs it beside PyTorch.
//!
//! `gpu forward MODEL PRECISION BATCH...`, `gpu train BATCH STEPS`,
//! `gpu seeded FILE`. Prints a line of JSON a result.
#![allow(clippy::print_stdout, missing_docs, reason = "a bench reports to the terminal")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use hiwl::cli::terminal::speed::gpu::{KernelTime, Rate, measure};
use hiwl::engine::Normalisation;
use hiwl::engine::cuda::learn::GpuLearner;
use hiwl::engine::cuda::{self, GpuPrecision, Timed};
use hiwl::engine::learn::{Settings, Updates};
use hiwl::engine::optimizer::{LayerRates, Rule};
use hiwl::model::architecture::Architecture;
use hiwl::model::model_file::{self, Model};
use hiwl::model::seeded::SplitMix64;

/// Seconds that a batch size is measured for.
const SECONDS: f64 = 3.5;

/// Steps whose kernels are timed; nothing is recorded there, so each is a pass.
const PASSES: u32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["forward", model, precision, ref batches @ ..] => {
            let batches: Result<Vec<usize>, _> = batches.iter().map(|b| b.parse()).collect();
            forward(Path::new(model), self::precision(precision), &batches?)
        }
        ["train", batch, steps] => train(batch.parse()?, steps.parse()?),
        ["seeded", file] => {
            let b1 = Architecture::efficientnet(1).ok_or("no B1")?;
            Model::seeded(b1, 240, 1)?.write(Path::new(file), model_file::StoredPrecision::F32)?;
            Ok(())
        }
        _ => {
            println!("gpu: see the head of benches/gpu.rs; nothing was measured");
            Ok(())
        }
    }
}

fn precision(name: &str) -> GpuPrecision {
    if name == "f32" { GpuPrecision::F32 } else { GpuPrecision::Bf16 }
}

/// Bytes of noise.
fn noise(count: usize) -> Vec<u8> {
    let mut random = SplitMix64::named(1, "noise");
    (0..count).map(|_| (random.next_u64() >> 56) as u8).collect()
}

fn forward(path: &Path, precision: GpuPrecision, batches: &[usize]) -> Result<(), Box<dyn Error>> {
    let gpu = cuda::open(0, precision)?;
    let model = Model::read(path)?;
    let queue = gpu.queue()?;
    // One by one, so that what is measured is printed if the next is cut off.
    for &batch in batches {
        let speed = measure(&gpu.description, &queue, precision, &model, &[batch], SECONDS)?;
        for Rate { batch, images_per_second, finite } in speed.rates {
            match images_per_second {
                Some([median, lowest, highest]) => println!(
                    "{{\"what\": \"forward\", \"precision\": \"{precision:?}\", \
                     \"batch\": {batch}, \"images_per_s\": {median:.0}, \
                     \"lowest\": {lowest:.0}, \"highest\": {highest:.0}, \
                     \"finite\": {finite}, \"device\": \"{}\"}}",
                    speed.device,
                ),
                None => println!("{{\"batch\": {batch}, \"error\": \"out of memory\"}}"),
            }
        }
        for kernel in &speed.kernels {
            kernel_line(&format!("forward {precision:?}"), speed.profiled, kernel);
        }
    }
    Ok(())
}

/// A kernel's launches and time in a batch.
fn kernel_line(of: &str, batch: usize, kernel: &KernelTime) {
    let KernelTime { name, grid, launches, time } = kernel;
    println!(
        "{{\"what\": \"kernel\", \"of\": \"{of}\", \"kernel\": \"{name}\", \"grid\": {grid:?}, \
         \"batch\": {batch}, \"launches\": {launches}, \"us\": {:.0}}}",
        time.as_secs_f64() * 1e6
    );
}

fn train(batch: usize, steps: usize) -> Result<(), Box<dyn Error>> {
    let (size, classes) = (240, 4);
    let gpu = cuda::open(0, GpuPrecision::Bf16)?;
    let b1 = Architecture::efficientnet(1).ok_or("no B1")?;
    let model = Model::seeded(b1.clone(), size, 1)?;
    let input = &model.description.input;
    let settings = Settings {
        classes,
        batch,
        max_size: size,
        normalisation: Normalisation { mean: input.mean, std: input.std },
        frozen_backbone: false,
        stochastic_depth: 0.0,
        loss: hiwl::engine::Loss::Classes,
    };
    let rule = Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 };
    let queue = gpu.queue()?;
    let learner = |queue: &_| {
        let settings = settings.clone();
        let precision = GpuPrecision::Bf16;
        let updates = Updates {
            rule,
            layers: LayerRates::default(),
            decay_vectors: true,
            average: None,
            norm_momentum: 0.1,
        };
        GpuLearner::new(queue, precision, &b1, &model.networks[0], settings, updates)
    };
    let mut learning = learner(&queue)?;
    let pixels = noise(batch * 3 * size * size);
    let mut targets = vec![0.0; batch * classes];
    targets.iter_mut().step_by(classes).for_each(|target| *target = 1.0);
    let mut losses = Vec::new();
    for seed in 0..3 {
        losses.push(learning.step(&pixels, size, &targets, 0.01, seed)?.loss);
    }
    let mut rates = Vec::new();
    for seed in 0..steps as u64 {
        let began = Instant::now();
        losses.push(learning.step(&pixels, size, &targets, 0.01, seed)?.loss);
        rates.push(batch as f64 / began.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "{{\"what\": \"train\", \"batch\": {batch}, \"images_per_s\": {:.0}, \"first_loss\": {:.4}, \
         \"last_loss\": {:.4}, \"finite\": {}, \"device\": \"{}\"}}",
        rates[rates.len() / 2],
        losses[0],
        losses[losses.len() - 1],
        losses.iter().all(|loss| loss.is_finite()),
        gpu.description,
    );
    drop(learning);
    let timed: std::sync::Arc<Timed> = std::sync::Arc::new(Timed::new(&queue));
    let as_queue: std::sync::Arc<dyn cuda::Queue> = timed.clone();
    let mut learning = learner(&as_queue)?;
    for seed in 0..PASSES {
        learning.step(&pixels, size, &targets, 0.01, seed.into())?;
    }
    for ((name, grid), (launches, time)) in timed.times() {
        let (launches, time) = (launches / PASSES as usize, time / PASSES);
        kernel_line("train Bf16", batch, &KernelTime { name, grid, launches, time });
    }
    Ok(())
}
