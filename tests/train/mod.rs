//! Training against PyTorch: gradients, running statistics and steps of B1,
//! and the optimisers (golden results of `oracles/efficientnet_gradients.py`).
//! Whole runs are in [`run`], and those of other trees in [`trees`].

mod backbones;
mod frozen;
mod inputs;
mod layers;
mod page;
mod run;
mod trees;
mod votes;

use std::collections::BTreeMap;

use hiwl::engine::candle::{Network, TensorNetwork};
use hiwl::engine::fused::Backend;
use hiwl::engine::fused::learn::{Parameter, TrainNetwork};
use hiwl::engine::learn::Settings;
use hiwl::engine::optimizer::{Optimizer, Rule};
use hiwl::engine::{Infer, Normalisation, Precision, Tensors, Want};
use hiwl::model::architecture::{Architecture, Padding};
use hiwl::model::description::Input;
use hiwl::model::seeded::{self, SplitMix64};
use serde::Deserialize;

use crate::network::image;
use crate::util::{self, near::off};

#[derive(Deserialize)]
struct Golden {
    seed: u64,
    classes: usize,
    images: usize,
    size: usize,
    bn_eps: f64,
    mean: [f32; 3],
    std: [f32; 3],
    rate: f64,
    momentum: f32,
    weight_decay: f32,
    training: Case,
    frozen: Case,
    optimizers: BTreeMap<String, Vec<Vec<f64>>>,
}

#[derive(Deserialize)]
struct Case {
    losses: Vec<f64>,
    logits: Vec<Vec<f64>>,
    gradients: BTreeMap<String, Sketch>,
    #[serde(default)]
    running: BTreeMap<String, Sketch>,
    #[serde(default)]
    changes: BTreeMap<String, Sketch>,
}

/// A tensor's norm and its products with seeded vectors of ±1.
#[derive(Deserialize)]
struct Sketch {
    norm: f64,
    products: Vec<f64>,
}

impl Sketch {
    /// Estimate of `‖values − golden‖`.
    fn error(&self, seed: u64, name: &str, values: impl Iterator<Item = f64> + Clone) -> f64 {
        let mut squares = 0.0;
        for (i, golden) in self.products.iter().enumerate() {
            let mut stream = SplitMix64::named(seed, &format!("product.{i}.{name}"));
            let sign = |v: f64| if stream.next_u64() >> 63 == 0 { v } else { -v };
            squares += (values.clone().map(sign).sum::<f64>() - golden).powi(2);
        }
        (squares / self.products.len() as f64).sqrt()
    }
}

impl Golden {
    fn read() -> Self {
        let path = util::fixture("golden/efficientnet_gradients.json");
        let text = std::fs::read_to_string(path).expect("golden results");
        serde_json::from_str(&text).expect("golden results")
    }

    fn network(&self, frozen_backbone: bool, backend: Backend) -> TrainNetwork {
        self.network_in(frozen_backbone, backend, Precision::F32)
    }

    fn network_in(
        &self,
        frozen_backbone: bool,
        backend: Backend,
        precision: Precision,
    ) -> TrainNetwork {
        let architecture = Architecture::efficientnet(1).expect("B1");
        let architecture = Architecture { bn_eps: self.bn_eps, dropout: 0.0, ..architecture };
        let weights =
            seeded::weights(&architecture, self.classes, self.seed, "").expect("seeded weights");
        let settings = Settings {
            classes: self.classes,
            batch: self.images + 1,
            max_size: self.size + 16,
            normalisation: Normalisation { mean: self.mean, std: self.std },
            frozen_backbone,
            stochastic_depth: 0.0,
            loss: hiwl::engine::Loss::Classes,
        };
        TrainNetwork::with(&architecture, &weights, settings, backend, precision)
            .expect("a network of seeded weights")
    }

    fn images(&self) -> Vec<u8> {
        (0..self.images).flat_map(|i| image(self.seed, i, self.size)).collect()
    }

    fn targets(&self) -> Vec<f32> {
        let mut targets = vec![0.05 / (self.classes - 1) as f32; self.images * self.classes];
        for i in 0..self.images {
            targets[i * self.classes + (3 * i + 1) % self.classes] = 0.95;
        }
        targets
    }

    /// What an error of a parameter's gradient is compared with: the norm of
    /// the gradient. That of a projection's batch norm's bias is zero: what it
    /// adds, along all residuals, the next batch norms take away. Rounding is
    /// all there is, and is compared with the gradient of the scale beside it.
    fn scale(case: &Case, name: &str) -> f64 {
        match name.strip_suffix("bias").map(|prefix| format!("{prefix}weight")) {
            Some(weight) if case.gradients[name].norm < 1e-12 => case.gradients[&weight].norm,
            _ => case.gradients[name].norm,
        }
    }

    fn assert_gradients<'a>(
        &self,
        case: &Case,
        parameters: impl Iterator<Item = &'a mut Parameter>,
        tolerance: f64,
    ) {
        let mut seen = 0;
        for p in parameters {
            let values = p.gradient.iter().map(|&v| f64::from(v));
            let error = case.gradients[&p.name].error(self.seed, &p.name, values);
            let error = error / Self::scale(case, &p.name);
            assert!(error < tolerance, "{}: {error:e}", p.name);
            seen += 1;
        }
        assert_eq!(seen, case.gradients.len());
    }
}

fn assert_logits(golden: &[Vec<f64>], logits: &[f32]) {
    let golden = golden.concat();
    assert!(off(logits, &golden) < 1e-4, "{golden:?} {logits:?}");
}

/// Every parameter's gradient, the running statistics, and two steps.
#[test]
fn b1_learns_as_torchvisions_does() {
    let golden = Golden::read();
    for backend in Backend::available() {
        let mut network = golden.network(false, backend);
        let initial = network.parameters().to_vec();
        let case = &golden.training;
        let rule = Rule::Sgd {
            momentum: golden.momentum,
            nesterov: false,
            weight_decay: golden.weight_decay,
        };
        let mut optimizer = Optimizer::new(rule, false);
        let (images, targets) = (golden.images(), golden.targets());
        for (i, loss) in case.losses.iter().enumerate() {
            let output = network.step(&images, golden.size, &targets, 0);
            assert!((output.loss - loss).abs() < 1e-4 * loss, "{} {loss}", output.loss);
            if i == 0 {
                assert_logits(&case.logits, &output.logits);
                golden.assert_gradients(case, network.parameters_mut(), 1e-3);
                let weights = network.weights().unwrap();
                for (name, sketch) in &case.running {
                    let values = weights.get(name).unwrap().to_vec1::<f32>().unwrap();
                    let values = values.iter().map(|&v| f64::from(v));
                    let error = sketch.error(golden.seed, name, values) / sketch.norm;
                    assert!(error < 1e-5, "{name}: {error:e}");
                }
            }
            optimizer.step(network.parameters_mut(), golden.rate);
        }
        for (p, old) in network.parameters().iter().zip(&initial) {
            let change = p.values.iter().zip(&old.values).map(|(&a, &b)| f64::from(a - b));
            let sketch = &case.changes[&p.name];
            let error = sketch.error(golden.seed, &p.name, change);
            // The weights are f32: beside the gradients' error there is their rounding.
            let scale = sketch.norm.max(golden.rate * Golden::scale(case, &p.name));
            let rounding = 1.2e-7 * p.values.iter().map(|v| v * v).sum::<f32>().sqrt();
            let bound = 1e-3 * scale + f64::from(rounding);
            assert!(error < bound, "{} after two steps: {error:e} > {bound:e}", p.name);
        }
    }
}

#[test]
fn a_frozen_backbone_leaves_all_but_the_classifier() {
    let golden = Golden::read();
    let mut network = golden.network(true, Backend::detect());
    let before = network.weights().unwrap();
    let output = network.step(&golden.images(), golden.size, &golden.targets(), 0);
    assert_logits(&golden.frozen.logits, &output.logits);
    assert!((output.loss - golden.frozen.losses[0]).abs() < 1e-5);
    golden.assert_gradients(&golden.frozen, network.parameters_mut(), 1e-4);
    let evaluated = network.evaluate(&golden.images(), golden.size);
    assert_logits(&golden.frozen.logits, &evaluated);
    let after = network.weights().unwrap();
    for (name, tensor) in before.iter().filter(|(name, _)| name.contains("running_")) {
        let (a, b) = (tensor.to_vec1::<f32>(), after.get(name).unwrap().to_vec1::<f32>());
        assert_eq!(a.unwrap(), b.unwrap(), "{name}");
    }
}

/// Both precisions, where this processor has both.
fn precisions() -> Vec<Precision> {
    let mut all = vec![Precision::F32, Precision::Bf16];
    all.retain(|p| p.is_available_on(Backend::detect()));
    all
}

/// `‖a − b‖ / ‖b‖` over all gradients, and the cosine between them.
fn distance(a: &TrainNetwork, b: &TrainNetwork) -> (f64, f64) {
    let (mut error, mut dot, mut squares) = (0.0, 0.0, [0.0; 2]);
    for (a, b) in a.parameters().iter().zip(b.parameters()) {
        for (&a, &b) in a.gradient.iter().zip(&b.gradient) {
            let (a, b) = (f64::from(a), f64::from(b));
            error += (a - b).powi(2);
            dot += a * b;
            squares[0] += a * a;
            squares[1] += b * b;
        }
    }
    ((error / squares[1]).sqrt(), dot / (squares[0] * squares[1]).sqrt())
}

/// Rounding to bfloat16 is off by up to 2⁻⁸ of a value. How far that goes
/// depends on the network: through B1 with random weights, forward and back, a
/// relative change of 2⁻⁸ here becomes tens of per cent of a gradient there, in
/// whatever arithmetic. So the yardstick is f32 itself with nothing rounded but
/// its weights. In bfloat16 what a product reads, what it writes and both on
/// the way back are rounded too: four times as many roundings, which add up as
/// the root of their number.
#[test]
fn in_bfloat16_gradients_are_off_as_far_as_rounding_goes() {
    if !precisions().contains(&Precision::Bf16) {
        eprintln!("not tested: this processor does not multiply bfloat16");
        return;
    }
    let golden = Golden { images: 8, size: 112, ..Golden::read() };
    let backend = Backend::detect();
    let (images, targets) = (golden.images(), golden.targets());
    let step = |precision, round: bool| {
        let mut network = golden.network_in(false, backend, precision);
        if round {
            for parameter in network.parameters_mut() {
                for value in &mut parameter.values {
                    *value = half::bf16::from_f32(*value).to_f32();
                }
            }
        }
        let loss = network.step(&images, golden.size, &targets, 0).loss;
        (network, loss)
    };
    let (wide, loss) = step(Precision::F32, false);
    let (rounded, rounded_loss) = step(Precision::F32, true);
    let (half, half_loss) = step(Precision::Bf16, false);
    assert_eq!(half.precision(), Precision::Bf16);
    let (yardstick, yardstick_cosine) = distance(&rounded, &wide);
    let (error, cosine) = distance(&half, &wide);
    eprintln!(
        "loss {loss:.4}, weights rounded {rounded_loss:.4}, bf16 {half_loss:.4}; \
         gradients off by {yardstick:.4} (cosine {yardstick_cosine:.4}) and {error:.4} ({cosine:.4})"
    );
    assert!(error < 2.5 * yardstick, "{error} where rounded weights alone make {yardstick}");
    assert!((half_loss - loss).abs() < 0.02 * loss, "{half_loss} for {loss}");
    let (found, expected) = (half.weights().unwrap(), wide.weights().unwrap());
    for (name, tensor) in expected.iter().filter(|(name, _)| name.contains("running_")) {
        let values = |t: &candle_core::Tensor| t.to_vec1::<f32>().unwrap();
        let (a, b) = (values(found.get(name).unwrap()), values(tensor));
        let error: f32 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
        let norm: f32 = b.iter().map(|b| b * b).sum();
        assert!((error / norm).sqrt() < 0.02, "{name}: {}", (error / norm).sqrt());
    }
}

#[test]
fn threads_and_buffers_left_by_other_batches_change_no_bit() {
    for precision in precisions() {
        nothing_else_changes_a_bit(precision);
    }
}

fn nothing_else_changes_a_bit(precision: Precision) {
    let golden = Golden::read();
    let (images, targets) = (golden.images(), golden.targets());
    let run = |threads: usize, dirty: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut network = golden.network_in(false, Backend::detect(), precision);
            if dirty {
                let size = golden.size + 16;
                let images: Vec<u8> =
                    (0..golden.images + 1).flat_map(|i| image(1, i, size)).collect();
                let fresh = network.weights().unwrap();
                let targets = vec![1.0 / golden.classes as f32; 5 * golden.classes];
                network.step(&images, size, &targets, 0);
                network.load(&fresh).unwrap();
            }
            let output = network.step(&images, golden.size, &targets, 0);
            let weights = network.weights().unwrap();
            let running = weights.get("features.3.1.block.1.1.running_var").unwrap();
            let gradients: Vec<_> = network.parameters_mut().map(|p| p.gradient.clone()).collect();
            (output, gradients, running.to_vec1::<f32>().unwrap())
        })
    };
    let one = run(1, false);
    assert!(one == run(3, false), "threads change bits");
    assert!(one == run(2, true), "old contents change bits");
}

/// Dropout, dropped branches, `Same` padding, channels that fill no vector,
/// sizes that divide by nothing, and a first block with a residual: along its
/// gradient the loss grows as the gradient says.
#[test]
fn gradients_are_the_slope_of_the_loss() {
    let tiny = Architecture::efficientnet(0).unwrap();
    let tiny = Architecture { width: 0.3, depth: 1.3, dropout: 0.3, ..tiny };
    let nano = Architecture { dropout: 0.3, ..Architecture::nano() };
    assert!(nano.layers().blocks[0].residual() && !tiny.layers().blocks[0].residual());
    for (tiny, padding) in
        [(&tiny, Padding::Same), (&tiny, Padding::Symmetric), (&nano, Padding::Same)]
    {
        let tiny = Architecture { padding, ..tiny.clone() };
        let (classes, batch, size) = (3, 6, 75);
        let settings = Settings {
            classes,
            batch,
            max_size: size,
            normalisation: Normalisation { mean: [0.4; 3], std: [0.2; 3] },
            frozen_backbone: false,
            stochastic_depth: 0.5,
            loss: hiwl::engine::Loss::Classes,
        };
        let weights = seeded::weights(&tiny, classes, 3, "").unwrap();
        let mut network = TrainNetwork::new(&tiny, &weights, settings).unwrap();
        let images: Vec<u8> = (0..batch).flat_map(|i| image(3, i, size)).collect();
        let mut targets = vec![0.1; batch * classes];
        (0..batch).for_each(|i| targets[i * classes + i % classes] = 0.8);
        let first = network.step(&images, size, &targets, 9);
        assert_ne!(first.logits, network.step(&images, size, &targets, 10).logits);
        assert_eq!(first.logits, network.step(&images, size, &targets, 9).logits);
        let gradients: Vec<Vec<f32>> =
            network.parameters_mut().map(|p| p.gradient.clone()).collect();
        let square: f64 = gradients.iter().flatten().map(|&g| f64::from(g).powi(2)).sum();
        // A change of the loss of about 2e-3 either way.
        let step = 2e-3 / square;
        let mut loss_at = |step: f64| {
            network.load(&weights).unwrap();
            for (p, gradient) in network.parameters_mut().zip(&gradients) {
                for (value, &g) in p.values.iter_mut().zip(gradient) {
                    *value = (f64::from(*value) + step * f64::from(g)) as f32;
                }
            }
            network.step(&images, size, &targets, 9).loss
        };
        let slope = (loss_at(step) - loss_at(-step)) / (2.0 * step);
        assert!((slope / square - 1.0).abs() < 0.01, "{slope} for {square}");
    }
}

/// Every network that can be trained says, once it is trained, what it said
/// while it learned: also one whose first block has a residual.
#[test]
fn evaluation_is_that_of_inference() {
    let (classes, size) = (4, 61);
    for (architecture, padding) in [
        (Architecture::nano(), Padding::Symmetric),
        (Architecture::nano(), Padding::Same),
        (Architecture::efficientnet(0).unwrap(), Padding::Symmetric),
    ] {
        let architecture = Architecture { padding, ..architecture };
        let weights = seeded::weights(&architecture, classes, 5, "").unwrap();
        let input = Input::paper(size);
        let settings = Settings {
            classes,
            batch: 3,
            max_size: size,
            normalisation: Normalisation { mean: input.mean, std: input.std },
            frozen_backbone: false,
            stochastic_depth: 0.0,
            loss: hiwl::engine::Loss::Classes,
        };
        let mut network = TrainNetwork::new(&architecture, &weights, settings).unwrap();
        let images: Vec<u8> = (0..3).flat_map(|i| image(5, i, size)).collect();
        let found = network.evaluate(&images, size);
        let plain = Network::load(&architecture, classes, &weights).unwrap();
        let plain =
            TensorNetwork::new(plain, size, Normalisation { mean: input.mean, std: input.std });
        let images: Vec<&[u8]> = images.chunks_exact(3 * size * size).collect();
        let mut expected = Tensors::default();
        plain.run(&images, Want::LOGITS, &mut expected).unwrap();
        assert_eq!(found.len(), expected.logits.len());
        for (found, expected) in found.iter().zip(&expected.logits) {
            assert!((found - expected).abs() < 1e-4, "{found} for {expected}: {architecture:?}");
        }
    }
}

#[test]
fn optimisers_step_as_pytorchs_do() {
    let golden = Golden::read();
    let uniform = |name: String| {
        let mut stream = SplitMix64::named(golden.seed, &name);
        (0..5).map(|_| stream.uniform(-1.0, 1.0) as f32).collect::<Vec<f32>>()
    };
    let sgd = |nesterov| Rule::Sgd { momentum: 0.9, nesterov, weight_decay: 0.01 };
    let adamw = Rule::AdamW { betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.01 };
    for (name, rule) in [("sgd", sgd(false)), ("nesterov", sgd(true)), ("adamw", adamw)] {
        let mut parameter = Parameter {
            name: "w".into(),
            shape: vec![5],
            values: uniform("weights".into()),
            gradient: vec![],
            decays: true,
        };
        let mut optimizer = Optimizer::new(rule, true);
        for (step, expected) in golden.optimizers[name].iter().enumerate() {
            parameter.gradient = uniform(format!("gradient.{step}"));
            // A checkpoint between steps changes nothing.
            let mut resumed = Optimizer::new(rule, true);
            resumed.restore(optimizer.state().clone());
            optimizer = resumed;
            optimizer.step(std::iter::once(&mut parameter), 0.1);
            for (a, b) in parameter.values.iter().zip(expected) {
                assert!((f64::from(*a) - b).abs() < 2e-6, "{name}: {a} {b}");
            }
        }
    }
}
