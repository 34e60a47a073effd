//! The engine on the emulated device against the CPU's, gradient by gradient.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{GpuLearner, GpuNetwork};
use crate::engine::Normalisation;
use crate::engine::cuda::{
    Precision, Queue,
    emulated::{Emulated, Mode, gpu},
};
use crate::engine::fused::learn::{Settings, StepOutput, TrainNetwork};
use crate::model::architecture::{Architecture, Padding};
use crate::model::seeded::{self, SplitMix64};
use crate::model::weights::Weights;
use crate::train::optimizer::{Average, Optimizer, Rule};

const CLASSES: usize = 3;

fn settings(batch: usize, max_size: usize) -> Settings {
    Settings {
        classes: CLASSES,
        batch,
        max_size,
        normalisation: Normalisation { mean: [0.5, 0.4, 0.6], std: [0.29, 0.27, 0.31] },
        frozen_backbone: false,
        stochastic_depth: 0.0,
    }
}

fn batch(images: usize, size: usize) -> (Vec<u8>, Vec<f32>) {
    let mut random = SplitMix64::named(7, "batch");
    let pixels = (0..images * 3 * size * size).map(|_| random.next_u64() as u8).collect();
    let mut targets = vec![0.05; images * CLASSES];
    for (i, row) in targets.chunks_mut(CLASSES).enumerate() {
        row[i % CLASSES] = 0.9;
    }
    (pixels, targets)
}

/// B0's plan with 0.4 of its channels: its stem is wider than the first block's
/// output, as in B0 to B7. With `Same` padding it is as deep as B1, whose second
/// block does not expand and has a residual.
fn nano(padding: Padding) -> (Architecture, Weights) {
    let depth = if padding == Padding::Same { 1.1 } else { 0.3 };
    let architecture = Architecture { padding, depth, width: 0.4, ..Architecture::nano() };
    let weights = seeded::weights(&architecture, CLASSES, 3, "stage1.").unwrap();
    (architecture, weights)
}

struct Outcome {
    output: StepOutput,
    gradients: BTreeMap<String, Vec<f32>>,
    running: BTreeMap<String, Vec<f32>>,
}

fn on_the_cpu(padding: Padding, images: usize, size: usize) -> Outcome {
    let (architecture, weights) = nano(padding);
    let mut network = TrainNetwork::new(&architecture, &weights, settings(images, size)).unwrap();
    let (pixels, targets) = batch(images, size);
    let output = network.step(&pixels, size, &targets, 5);
    let gradients = network.parameters().iter().map(|p| (p.name.clone(), p.gradient.clone()));
    let running = network.running().map(|(name, values)| (name, values.to_vec()));
    Outcome { output, gradients: gradients.collect(), running: running.collect() }
}

fn emulated(
    precision: Precision,
    mode: Mode,
    padding: Padding,
    (images, room): (usize, usize),
    (size, max_size): (usize, usize),
) -> Outcome {
    let queue = Emulated::queue(precision, mode);
    on_device(&queue, precision, padding, (images, room), (size, max_size))
}

fn on_device(
    queue: &Arc<dyn Queue>,
    precision: Precision,
    padding: Padding,
    (images, room): (usize, usize),
    (size, max_size): (usize, usize),
) -> Outcome {
    let (architecture, weights) = nano(padding);
    let settings = settings(room, max_size);
    let mut network = GpuNetwork::new(queue, precision, &architecture, &weights, settings).unwrap();
    let (pixels, targets) = batch(images, size);
    let output = network.step(&pixels, size, &targets, 5).unwrap();
    let (gradients, running) = (network.gradients().unwrap(), network.running().unwrap());
    Outcome { output, gradients, running }
}

/// `‖a − b‖ / ‖b‖` over all tensors, and the worst of any tensor, by its name;
/// a tensor that is next to nothing beside the others (the shift of a norm
/// before another norm has a gradient of zero) is measured by the others.
fn difference(
    a: &BTreeMap<String, Vec<f32>>,
    b: &BTreeMap<String, Vec<f32>>,
) -> (f64, f64, String) {
    assert!(a.keys().eq(b.keys()), "the same tensors");
    let all: f64 = b.values().flatten().map(|v| f64::from(*v).powi(2)).sum();
    let (mut error, mut norm, mut worst) = (0.0, 0.0, (0.0, String::new()));
    for (name, a) in a {
        let b = &b[name];
        assert_eq!(a.len(), b.len(), "{name}");
        let squares = |f: &dyn Fn(usize) -> f64| (0..a.len()).map(|i| f(i).powi(2)).sum::<f64>();
        let e = squares(&|i| f64::from(a[i]) - f64::from(b[i]));
        let n = squares(&|i| f64::from(b[i]));
        assert!(e.is_finite(), "{name} is not finite");
        (error, norm) = (error + e, norm + n);
        let own = (e / (n + 1e-6 * all)).sqrt();
        if own > worst.0 {
            worst = (own, name.clone());
        }
    }
    ((error / norm).sqrt(), worst.0, worst.1)
}

#[test]
fn gradients_are_those_of_the_cpu() {
    for (padding, images, size) in [(Padding::Symmetric, 4, 40), (Padding::Same, 3, 33)] {
        let expected = on_the_cpu(padding, images, size);
        // Room for more images and larger ones than there are.
        let (images, sizes) = ((images, images + 2), (size, size + 9));
        let found = emulated(Precision::F32, Mode::Forward, padding, images, sizes);
        let (loss, other) = (found.output.loss, expected.output.loss);
        assert!((loss - other).abs() < 1e-5 * other.abs(), "{loss}, {other}");
        let (all, worst, name) = difference(&found.gradients, &expected.gradients);
        assert!(all < 1e-4 && worst < 3e-3, "{padding:?}: {all}, {worst} in {name}");
        let (all, worst, name) = difference(&found.running, &expected.running);
        assert!(all < 1e-5 && worst < 1e-4, "{padding:?}: {all}, {worst} in {name}");
    }
}

#[test]
fn on_a_gpu_gradients_are_those_of_the_cpu() {
    for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Bf16, 0.15)] {
        let Some(queue) = gpu(precision) else { return };
        let expected = on_the_cpu(Padding::Symmetric, 9, 75);
        let run = || on_device(&queue, precision, Padding::Symmetric, (9, 11), (75, 80));
        let (found, again) = (run(), run());
        assert_eq!(found.gradients, again.gradients, "the same bits each time");
        let (all, worst, name) = difference(&found.gradients, &expected.gradients);
        assert!(all < tolerance, "{precision:?}: {all}, {worst} in {name}");
    }
}

#[test]
fn bf16_gradients_differ_by_its_rounding_and_no_order_matters() {
    let expected = on_the_cpu(Padding::Symmetric, 4, 40);
    let run = |precision, mode| emulated(precision, mode, Padding::Symmetric, (4, 5), (40, 40));
    for precision in [Precision::Bf16, Precision::F32] {
        let found = run(precision, Mode::Forward);
        let again = run(precision, Mode::Backward);
        let bits = |outcome: &Outcome| -> Vec<u32> {
            outcome.gradients.values().flatten().map(|v| v.to_bits()).collect()
        };
        assert!(bits(&found) == bits(&again), "{precision:?}: a race");
        assert_eq!(found.output, again.output);
        let (all, worst, name) = difference(&found.gradients, &expected.gradients);
        assert!(all < 0.15, "{precision:?}: {all}, {worst} in {name}");
    }
}

#[test]
fn learners_take_the_steps_of_the_cpu_and_go_on_from_its_checkpoints() {
    let sgd = Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.01 };
    let adamw = Rule::AdamW { betas: [0.9, 0.99], eps: 1e-6, weight_decay: 0.05 };
    // Planes of more than a pixel: statistics of three values make chaos.
    let (images, size, rate) = (4, 48, 0.003);
    let (architecture, weights) = nano(Padding::Symmetric);
    let (pixels, targets) = batch(images, size);
    for (rule, decay_vectors) in [(sgd, true), (adamw, false)] {
        let mut cpu = TrainNetwork::new(&architecture, &weights, settings(images, size)).unwrap();
        let mut optimizer = Optimizer::new(rule, !decay_vectors);
        let mut average = Average::new(0.9);
        let learner = |weights: &Weights| {
            let queue = Emulated::queue(Precision::F32, Mode::Forward);
            let settings = settings(images, size);
            let rule = (rule, decay_vectors);
            GpuLearner::new(
                &queue,
                Precision::F32,
                &architecture,
                weights,
                settings,
                0.1,
                rule,
                Some(0.9),
            )
            .unwrap()
        };
        let mut gpu = learner(&weights);
        for step in 0..4 {
            if step == 2 {
                // Another takes over from the checkpoint.
                let mut next = learner(&weights);
                let (network, memory) =
                    (gpu.network().weights().unwrap(), gpu.optimizer().unwrap());
                next.restore(&network, &memory, gpu.average().unwrap()).unwrap();
                gpu = next;
            }
            let expected = cpu.step(&pixels, size, &targets, step);
            optimizer.step(cpu.parameters_mut(), rate);
            let running: Vec<(String, Vec<f32>)> =
                cpu.running().map(|(name, values)| (name, values.to_vec())).collect();
            let learned = cpu.parameters().iter().map(|p| (p.name.as_str(), p.values.as_slice()));
            let running = running.iter().map(|(name, values)| (name.as_str(), values.as_slice()));
            average.update(learned.chain(running));
            let found = gpu.step(&pixels, size, &targets, rate, step).unwrap();
            let error = (found.loss - expected.loss).abs() / expected.loss;
            assert!(error < 1e-3, "step {step}: {} and {}", found.loss, expected.loss);
        }
        let (values, updates) = gpu.average().unwrap().unwrap();
        assert_eq!(updates, average.updates());
        let (all, worst, name) = difference(&values, average.values());
        assert!(all < 2e-3, "average: {all}, {worst} in {name}");
        let memory = |states: &BTreeMap<String, crate::train::optimizer::State>| {
            assert!(states.values().all(|state| state.steps == 4));
            states.iter().map(|(name, state)| (name.clone(), state.first.clone())).collect()
        };
        let (found, expected) = (memory(&gpu.optimizer().unwrap()), memory(optimizer.state()));
        let (all, worst, name) = difference(&found, &expected);
        assert!(all < 2e-2, "optimiser: {all}, {worst} in {name}");
    }
}
