//! The engine on the emulated device against the CPU's, gradient by gradient.

#![allow(unsafe_code, reason = "a queue that hands on what it is told")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{GpuLearner, GpuNetwork};
use crate::engine::cuda::{
    CudaError, GpuPrecision, Launch, Queue, Recorded,
    kernels::emulated::{Emulated, Mode, gpu},
};
use crate::engine::fused::learn::{FusedLearner, TrainNetwork};
use crate::engine::learn::{Learn, Settings, Snapshot, StepOutput, Updates};
use crate::engine::optimizer::{LayerRates, Rule};
use crate::engine::{Normalisation, Precision};
use crate::model::architecture::{Architecture, Padding};
use crate::model::seeded::{self, SplitMix64};
use crate::model::weights::Weights;
use crate::near::apart;

const CLASSES: usize = 3;

fn settings(batch: usize, max_size: usize) -> Settings {
    Settings {
        classes: CLASSES,
        batch,
        max_size,
        normalisation: Normalisation { mean: [0.5, 0.4, 0.6], std: [0.29, 0.27, 0.31] },
        frozen_backbone: false,
        stochastic_depth: 0.0,
        loss: crate::engine::Loss::Classes,
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
    precision: GpuPrecision,
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
    precision: GpuPrecision,
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
        let found = emulated(GpuPrecision::F32, Mode::Forward, padding, images, sizes);
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
    for (precision, tolerance) in [(GpuPrecision::F32, 1e-4), (GpuPrecision::Bf16, 0.15)] {
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
    for precision in [GpuPrecision::Bf16, GpuPrecision::F32] {
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
        let updates = Updates {
            rule,
            layers: LayerRates::default(),
            decay_vectors,
            average: Some(0.9),
            norm_momentum: 0.1,
        };
        let on_the_cpu = || -> Box<dyn Learn> {
            let (settings, updates) = (settings(images, size), updates.clone());
            Box::new(
                FusedLearner::new(&architecture, &weights, settings, updates, Precision::F32)
                    .unwrap(),
            )
        };
        let on_a_gpu = || -> Box<dyn Learn> {
            let queue = Emulated::queue(GpuPrecision::F32, Mode::Forward);
            let (settings, updates) = (settings(images, size), updates.clone());
            let precision = GpuPrecision::F32;
            let learner =
                GpuLearner::new(&queue, precision, &architecture, &weights, settings, updates);
            Box::new(learner.unwrap())
        };
        let (mut cpu, mut gpu) = (on_the_cpu(), on_a_gpu());
        // Goes from one engine to the other at every step.
        let mut wanderer = on_the_cpu();
        for step in 0..4 {
            if step > 0 {
                let mut next = if step % 2 == 0 { on_the_cpu() } else { on_a_gpu() };
                next.restore(wanderer.snapshot().unwrap()).unwrap();
                wanderer = next;
            }
            let [expected, found, wandered] = [&mut cpu, &mut gpu, &mut wanderer]
                .map(|learner| learner.step(&pixels, size, &targets, rate, step).unwrap().loss);
            for loss in [found, wandered] {
                let error = (loss - expected).abs() / expected;
                assert!(error < 1e-3, "step {step}: {loss} and {expected}");
            }
        }
        let expected = cpu.snapshot().unwrap();
        let judged = cpu.evaluate(&pixels, size).unwrap();
        for mut learner in [gpu, wanderer] {
            let found = learner.snapshot().unwrap();
            let (values, updates) = found.average.as_ref().unwrap();
            let (wanted, count) = expected.average.as_ref().unwrap();
            assert_eq!(updates, count);
            let (all, worst, name) = difference(values, wanted);
            assert!(all < 2e-3, "average: {all}, {worst} in {name}");
            let memory = |snapshot: &Snapshot| -> BTreeMap<String, Vec<f32>> {
                assert!(snapshot.optimizer.values().all(|state| state.steps == 4));
                let states = snapshot.optimizer.iter();
                states.map(|(name, state)| (name.clone(), state.first.clone())).collect()
            };
            let (all, worst, name) = difference(&memory(&found), &memory(&expected));
            assert!(all < 2e-2, "optimiser: {all}, {worst} in {name}");
            let logits = learner.evaluate(&pixels, size).unwrap();
            let worst = apart(&logits, &judged);
            assert!(worst < 1e-2, "evaluation: {worst}");
            assert!(learner.is_finite().unwrap());
            let average = learner.judged().unwrap();
            let (name, values) = wanted.first_key_value().unwrap();
            let tensor = average.get(name).unwrap().flatten_all().unwrap().to_vec1::<f32>();
            let (all, ..) = difference(
                &BTreeMap::from([(name.clone(), tensor.unwrap())]),
                &BTreeMap::from([(name.clone(), values.clone())]),
            );
            assert!(all < 2e-3, "what is judged is the average: {all}");
        }
    }
}

/// A queue that counts how often it is waited for.
struct Waits(Arc<dyn Queue>, AtomicUsize);

impl Queue for Waits {
    fn allocate(&self, bytes: usize) -> Result<u64, CudaError> {
        self.0.allocate(bytes)
    }

    fn free(&self, address: u64) {
        self.0.free(address);
    }

    fn allocate_host(&self, bytes: usize) -> Result<*mut u8, CudaError> {
        self.0.allocate_host(bytes)
    }

    fn free_host(&self, address: *mut u8) {
        self.0.free_host(address);
    }

    unsafe fn upload(&self, to: u64, from: *const u8, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller's promise.
        unsafe { self.0.upload(to, from, bytes) }
    }

    unsafe fn download(&self, to: *mut u8, from: u64, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller's promise.
        unsafe { self.0.download(to, from, bytes) }
    }

    fn fill(&self, at: u64, bytes: usize, value: u8) -> Result<(), CudaError> {
        self.0.fill(at, bytes, value)
    }

    fn launch(&self, launch: &Launch, arguments: &[u64]) -> Result<(), CudaError> {
        self.0.launch(launch, arguments)
    }

    fn finish(&self) -> Result<(), CudaError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.finish()
    }

    fn record(
        &self,
        work: &mut dyn FnMut() -> Result<(), CudaError>,
    ) -> Result<Option<Box<dyn Recorded>>, CudaError> {
        self.0.record(work)
    }
}

#[test]
fn an_average_of_the_weights_is_kept_without_waiting() {
    let (architecture, weights) = nano(Padding::Symmetric);
    let (images, size) = (2, 32);
    let (pixels, targets) = batch(images, size);
    let waits = |average| {
        let queue = Emulated::queue(GpuPrecision::F32, Mode::Forward);
        let counting = Arc::new(Waits(queue, AtomicUsize::new(0)));
        let queue: Arc<dyn Queue> = counting.clone();
        let updates = Updates {
            rule: Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 },
            layers: LayerRates::default(),
            decay_vectors: true,
            average,
            norm_momentum: 0.1,
        };
        let settings = settings(images, size);
        let mut learner =
            GpuLearner::new(&queue, GpuPrecision::F32, &architecture, &weights, settings, updates)
                .unwrap();
        learner.step(&pixels, size, &targets, 0.01, 1).unwrap();
        let before = counting.1.load(Ordering::Relaxed);
        learner.step(&pixels, size, &targets, 0.01, 2).unwrap();
        counting.1.load(Ordering::Relaxed) - before
    };
    let (with, without) = (waits(Some(0.9)), waits(None));
    assert_eq!(with, without);
    // For room that is written anew, and for results; not for each of the norms.
    assert!(with < 16, "{with} waits in a step");
}
