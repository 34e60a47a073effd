//! Training steps of EfficientNet-B1: images/s, where the time goes, and peak
//! memory, on two threads.
//!
//! `cargo bench --bench train --profile release -- [f32|bf16] [batch] [rounds]`,
//! without a precision in both, in turns; `benches/peers/train.py` does the same
//! in PyTorch, in turns with this.

#![allow(clippy::print_stdout, reason = "a bench reports")]

use std::error::Error;
use std::time::Instant;

use hiwl::engine::fused::Backend;
use hiwl::engine::fused::learn::{Part, TrainNetwork};
use hiwl::engine::learn::Settings;
use hiwl::engine::optimizer::{Optimizer, Rule};
use hiwl::engine::{Normalisation, Precision};
use hiwl::model::architecture::Architecture;
use hiwl::model::seeded;

const CLASSES: usize = 4;
const THREADS: usize = 2;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let batch = numbers.first().copied().unwrap_or(24);
    let rounds = numbers.get(1).copied().unwrap_or(5);
    let mut precisions = vec![Precision::F32, Precision::Bf16];
    precisions.retain(|p| p.is_available_on(Backend::detect()));
    let named: Vec<Precision> =
        precisions.iter().copied().filter(|p| std::env::args().any(|a| a == p.name())).collect();
    let precisions = if named.is_empty() { precisions } else { named };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build()?;
    pool.install(|| run(&precisions, batch, rounds))
}

/// A network with the times of its steps.
struct Learner {
    network: TrainNetwork,
    optimizer: Optimizer,
    seconds: Vec<f64>,
    cpu: Vec<f64>,
}

impl Learner {
    fn new(precision: Precision, batch: usize) -> Result<Self, Failure> {
        let architecture = Architecture::efficientnet(1).ok_or("no B1")?;
        let weights = seeded::weights(&architecture, CLASSES, 7, "")?;
        let normalisation =
            Normalisation { mean: [0.046, 0.041, 0.030], std: [0.090, 0.075, 0.065] };
        let settings = Settings {
            classes: CLASSES,
            batch,
            max_size: 240,
            normalisation,
            frozen_backbone: false,
            stochastic_depth: 0.0,
            loss: hiwl::engine::Loss::Classes,
        };
        let backend = Backend::detect();
        let network = TrainNetwork::with(&architecture, &weights, settings, backend, precision)?;
        let rule = Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-4 };
        let optimizer = Optimizer::new(rule, false);
        Ok(Self { network, optimizer, seconds: Vec::new(), cpu: Vec::new() })
    }

    fn step(&mut self, images: &[u8], size: usize, targets: &[f32], round: usize) {
        if round == 1 {
            self.network.reset_clock();
            self.seconds.clear();
            self.cpu.clear();
        }
        let start = (Instant::now(), cpu_seconds());
        let output = self.network.step(images, size, targets, round as u64);
        self.optimizer.step(self.network.parameters_mut(), 1e-3);
        self.seconds.push(start.0.elapsed().as_secs_f64());
        self.cpu.push(cpu_seconds() - start.1);
        assert!(output.loss.is_finite(), "the loss is not finite");
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn run(precisions: &[Precision], batch: usize, rounds: usize) -> Result<(), Failure> {
    let mut learners =
        precisions.iter().map(|&p| Learner::new(p, batch)).collect::<Result<Vec<_>, _>>()?;
    for size in [240, 128] {
        let images: Vec<u8> =
            (0..batch * size * size * 3).map(|i| ((i * 2_654_435_761) >> 7) as u8).collect();
        let mut targets = vec![0.05 / (CLASSES - 1) as f32; batch * CLASSES];
        for i in 0..batch {
            targets[i * CLASSES + i % CLASSES] = 0.95;
        }
        for round in 0..=rounds {
            for learner in &mut learners {
                learner.step(&images, size, &targets, round);
            }
        }
        let rate = |s: f64| batch as f64 / s;
        for learner in &learners {
            println!(
                "{} {size} px, batch {batch}: {:.1} images/s (median), {:.1} (best), {:.1} a CPU \
                 second",
                learner.network.precision().name(),
                rate(median(&learner.seconds)),
                rate(learner.seconds.iter().copied().fold(f64::INFINITY, f64::min)),
                rate(median(&learner.cpu)),
            );
        }
        for part in Part::ALL {
            let ms = |l: &Learner| l.network.clock().time(part).as_secs_f64() * 1e3 / rounds as f64;
            let times: Vec<String> = learners.iter().map(|l| format!("{:8.1} ms", ms(l))).collect();
            println!("  {:<18} {}", format!("{part:?}"), times.join(" "));
        }
        if let [first, second] = &learners[..] {
            let by_round = first.seconds.iter().zip(&second.seconds).map(|(a, b)| a / b);
            let by_cpu = median(&first.cpu) / median(&second.cpu);
            let ratio = median(&by_round.collect::<Vec<_>>());
            println!("  ratio: {ratio:.2} (median of turns), {by_cpu:.2} by processor time");
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
