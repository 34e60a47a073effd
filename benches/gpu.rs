//! A GPU's speed: the forward pass, where its time goes, a training step.
//! `benches/gpu.sh` runs it beside PyTorch.
//!
//! `gpu forward MODEL PRECISION BATCH...`, `gpu profile MODEL PRECISION BATCH`,
//! `gpu train BATCH STEPS`, `gpu seeded FILE`. Prints a line of JSON a result.
#![allow(clippy::print_stdout, missing_docs, reason = "a bench reports to the terminal")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use hiwl::kernels::cpu::Normalisation;
use hiwl::kernels::cuda::{self, Precision, Single, Timed};
use hiwl::network::architecture::Architecture;
use hiwl::network::model_file::{self, Model};
use hiwl::network::seeded::SplitMix64;
use hiwl::train::gpu::GpuLearner;
use hiwl::train::network::Settings;
use hiwl::train::optimizer::Rule;

/// Seconds of a measurement, and how many of them there are.
const SECONDS: f64 = 0.7;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["forward", model, precision, ref batches @ ..] => {
            for batch in batches {
                forward(Path::new(model), self::precision(precision), batch.parse()?)?;
            }
            Ok(())
        }
        ["profile", model, precision, batch] => {
            profile(Path::new(model), self::precision(precision), batch.parse()?)
        }
        ["train", batch, steps] => train(batch.parse()?, steps.parse()?),
        ["seeded", file] => {
            let b1 = Architecture::efficientnet(1).ok_or("no B1")?;
            Model::seeded(b1, 240, 1)?.write(Path::new(file), model_file::Precision::F32)?;
            Ok(())
        }
        _ => {
            println!("gpu: see the head of benches/gpu.rs; nothing was measured");
            Ok(())
        }
    }
}

fn precision(name: &str) -> Precision {
    if name == "f32" { Precision::F32 } else { Precision::Bf16 }
}

/// Bytes of noise.
fn noise(count: usize) -> Vec<u8> {
    let mut random = SplitMix64::named(1, "noise");
    (0..count).map(|_| (random.next_u64() >> 56) as u8).collect()
}

/// The first network of a model with a batch of noise.
fn single(
    gpu: &cuda::Gpu,
    path: &Path,
    precision: Precision,
    batch: usize,
) -> Result<Single, Box<dyn Error>> {
    let model = Model::read(path)?;
    let input = &model.description.input;
    let normalisation = Normalisation { mean: input.mean, std: input.std };
    let classes = model.description.outputs.stage1.len();
    let pixels = noise(batch * 3 * input.size * input.size);
    Ok(Single::new(
        &gpu.queue()?,
        precision,
        &model.description.architecture,
        (classes, input.size),
        &model.stage1,
        normalisation,
        batch,
        &pixels,
    )?)
}

fn forward(path: &Path, precision: Precision, batch: usize) -> Result<(), Box<dyn Error>> {
    let gpu = cuda::open(0, precision)?;
    let network = match single(&gpu, path, precision, batch) {
        Ok(network) => network,
        Err(error) => {
            println!("{{\"batch\": {batch}, \"error\": \"{error}\"}}");
            return Ok(());
        }
    };
    let once = network.time(3)?.as_secs_f64() / 3.0;
    let times = ((SECONDS / once) as usize).max(3);
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        rates.push((times * batch) as f64 / network.time(times)?.as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let finite = network.logits()?.iter().all(|logit| logit.is_finite());
    println!(
        "{{\"what\": \"forward\", \"precision\": \"{precision:?}\", \"batch\": {batch}, \
         \"images_per_s\": {:.0}, \"lowest\": {:.0}, \"highest\": {:.0}, \"finite\": {finite}, \
         \"device\": \"{}\"}}",
        rates[ROUNDS / 2],
        rates[0],
        rates[ROUNDS - 1],
        gpu.description,
    );
    Ok(())
}

fn profile(path: &Path, precision: Precision, batch: usize) -> Result<(), Box<dyn Error>> {
    let gpu = cuda::open(0, precision)?;
    let network = single(&gpu, path, precision, batch)?;
    network.time(3)?;
    let timed = Timed::new(&gpu.queue()?);
    for _ in 0..5 {
        network.launch(&timed)?;
    }
    tell(&timed, 5, batch);
    Ok(())
}

/// A line a kernel: microseconds and launches a pass.
fn tell(timed: &Timed, passes: usize, batch: usize) {
    for (kernel, (launches, time)) in timed.times() {
        let us = time.as_secs_f64() * 1e6 / passes as f64;
        let launches = launches / passes;
        println!(
            "{{\"what\": \"kernel\", \"kernel\": \"{kernel}\", \"batch\": {batch}, \
             \"launches\": {launches}, \"us\": {us:.0}}}"
        );
    }
}

fn train(batch: usize, steps: usize) -> Result<(), Box<dyn Error>> {
    let (size, classes) = (240, 4);
    let gpu = cuda::open(0, Precision::Bf16)?;
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
    };
    let rule = Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 };
    let queue = gpu.queue()?;
    let learner = |queue: &_| {
        let settings = settings.clone();
        let precision = Precision::Bf16;
        GpuLearner::new(queue, precision, &b1, &model.stage1, settings, 0.1, (rule, true), None)
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
         \"last_loss\": {:.4}, \"device\": \"{}\"}}",
        rates[rates.len() / 2],
        losses[0],
        losses[losses.len() - 1],
        gpu.description,
    );
    drop(learning);
    let timed: std::sync::Arc<Timed> = std::sync::Arc::new(Timed::new(&queue));
    let as_queue: std::sync::Arc<dyn cuda::Queue> = timed.clone();
    let mut learning = learner(&as_queue)?;
    for seed in 0..3 {
        learning.step(&pixels, size, &targets, 0.01, seed)?;
    }
    // The first step runs twice, since it cannot be recorded.
    tell(&timed, 4, batch);
    Ok(())
}
