//! Training steps of EfficientNet-B1: images/s, where the time goes, and peak
//! memory, on two threads.
//!
//! `cargo bench --bench train --profile release -- [batch] [rounds]`;
//! `benches/peers/train.py` does the same in PyTorch, in turns with this.

#![allow(clippy::print_stdout, reason = "a bench reports")]

use std::error::Error;
use std::time::Instant;

use hiwl::engine::Normalisation;
use hiwl::engine::fused::learn::{Part, Settings, TrainNetwork};
use hiwl::model::architecture::Architecture;
use hiwl::model::seeded;
use hiwl::train::optimizer::{Optimizer, Rule};

const CLASSES: usize = 4;
const THREADS: usize = 2;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let batch = numbers.first().copied().unwrap_or(24);
    let rounds = numbers.get(1).copied().unwrap_or(5);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build()?;
    pool.install(|| run(batch, rounds))
}

fn run(batch: usize, rounds: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let architecture = Architecture::efficientnet(1).ok_or("no B1")?;
    let weights = seeded::weights(&architecture, CLASSES, 7, "")?;
    let settings = Settings {
        classes: CLASSES,
        batch,
        max_size: 240,
        normalisation: Normalisation { mean: [0.046, 0.041, 0.030], std: [0.090, 0.075, 0.065] },
        frozen_backbone: false,
        stochastic_depth: 0.0,
    };
    let mut network = TrainNetwork::new(&architecture, &weights, settings)?;
    let rule = Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-4 };
    let mut optimizer = Optimizer::new(rule, false);
    for size in [240, 128] {
        let images: Vec<u8> =
            (0..batch * size * size * 3).map(|i| ((i * 2_654_435_761) >> 7) as u8).collect();
        let mut targets = vec![0.05 / (CLASSES - 1) as f32; batch * CLASSES];
        for i in 0..batch {
            targets[i * CLASSES + i % CLASSES] = 0.95;
        }
        let mut seconds = Vec::new();
        let mut cpu = Vec::new();
        for round in 0..=rounds {
            if round == 1 {
                network.reset_clock();
            }
            let start = (Instant::now(), cpu_seconds());
            let output = network.step(&images, size, &targets, round as u64);
            optimizer.step(network.parameters_mut(), 1e-3);
            if round > 0 {
                seconds.push(start.0.elapsed().as_secs_f64());
                cpu.push(cpu_seconds() - start.1);
            }
            assert!(output.loss.is_finite(), "the loss is not finite");
        }
        seconds.sort_by(f64::total_cmp);
        cpu.sort_by(f64::total_cmp);
        let rate = |s: f64| batch as f64 / s;
        println!(
            "{size} px, batch {batch}: {:.1} images/s (median), {:.1} (best), {:.1} a CPU second",
            rate(seconds[seconds.len() / 2]),
            rate(seconds[0]),
            rate(cpu[cpu.len() / 2]),
        );
        for part in Part::ALL {
            let ms = network.clock().time(part).as_secs_f64() * 1e3 / rounds as f64;
            println!("  {:<18} {ms:8.1} ms", format!("{part:?}"));
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
        println!("peak memory: {}", line.trim_start_matches("VmHWM:").trim());
    }
    Ok(())
}

/// Time that all threads of this process spent on a processor, to 10 ms; what
/// counts where others use the machine.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
