//! The backbones against PyTorch (golden results of `tests/oracles/backbones.py`):
//! logits, gradients and running statistics of a batch.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use hiwl::engine::candle::{CandleLearner, Network, TensorNetwork, gradients};
use hiwl::engine::learn::{Learn, Settings, Updates};
use hiwl::engine::optimizer::{LayerRates, Rule};
use hiwl::engine::{Infer, Loss, Normalisation, Tensors, Want};
use hiwl::model::architecture::Architecture;
use hiwl::model::backbone::Backbone;
use hiwl::model::seeded::{self, SplitMix64};
use hiwl::model::weights::Weights;
use serde::Deserialize;

use super::image;
use crate::util::{self, near};

#[derive(Deserialize)]
struct Golden {
    seed: u64,
    classes: usize,
    mean: [f64; 3],
    std: [f64; 3],
    logits: Vec<Logits>,
    training: Vec<Training>,
    whole: Vec<Whole>,
}

#[derive(Deserialize)]
struct Logits {
    name: String,
    size: usize,
    images: usize,
    /// Times all kernels.
    kernels: f64,
    logits: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Training {
    name: String,
    size: usize,
    images: usize,
    loss: f64,
    gradients: BTreeMap<String, Told>,
    running: BTreeMap<String, Told>,
}

/// Gradients of a published network, in f64.
#[derive(Deserialize)]
struct Whole {
    name: String,
    size: usize,
    images: usize,
    loss: f64,
    gradients: BTreeMap<String, Told>,
    /// The largest part of a gradient by which PyTorch's own in f32 is off.
    rounding: f64,
}

/// A tensor's norm and some of its values.
#[derive(Deserialize)]
struct Told {
    norm: f64,
    values: Vec<f64>,
}

impl Golden {
    fn read() -> Self {
        let text = std::fs::read_to_string(util::fixture("golden/backbones.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn normalisation(&self) -> Normalisation {
        Normalisation { mean: self.mean.map(|v| v as f32), std: self.std.map(|v| v as f32) }
    }

    fn network(&self, name: &str, size: usize) -> (Architecture, Weights) {
        let architecture = Architecture::named(name).unwrap().for_images(size);
        let weights = seeded::weights(&architecture, self.classes, self.seed, "").unwrap();
        (architecture, weights)
    }

    /// The norm of the tensors' difference, as the values told estimate it, and how
    /// far the norms differ; both as parts of `scale`.
    fn error(&self, name: &str, told: &Told, values: &[f64], scale: f64) -> f64 {
        assert!(values.iter().all(|v| v.is_finite()), "{name} is not finite");
        let mut stream = SplitMix64::named(self.seed, &format!("places.{name}"));
        let count = values.len() as u64;
        let mut place = || (stream.next_u64() % count) as usize;
        let squares: f64 = told.values.iter().map(|v| (values[place()] - v).powi(2)).sum();
        let estimate = (squares / told.values.len() as f64 * values.len() as f64).sqrt();
        let norm = values.iter().map(|v| v.powi(2)).sum::<f64>().sqrt();
        estimate.max((norm - told.norm).abs()) / scale
    }

    /// Rows of targets of a batch.
    fn targets(&self, images: usize) -> Vec<f64> {
        let mut targets = vec![0.05 / (self.classes - 1) as f64; images * self.classes];
        for i in 0..images {
            targets[i * self.classes + (3 * i + 1) % self.classes] = 0.95;
        }
        targets
    }

    /// N×3×S×S, as PyTorch normalises them in f64.
    fn normalised(&self, images: usize, size: usize) -> Tensor {
        let mut values = Vec::new();
        for i in 0..images {
            let image = image(self.seed, i, size);
            for channel in 0..3 {
                let bytes = image.iter().skip(channel).step_by(3);
                let (mean, std) = (self.mean[channel], self.std[channel]);
                values.extend(bytes.map(|&b| (f64::from(b) / 255.0 - mean) / std));
            }
        }
        Tensor::from_vec(values, (images, 3, size, size), &Device::Cpu).unwrap()
    }
}

/// The cross-entropy of logits, the mean of the images, and its gradient.
fn cross_entropy(logits: &[f64], targets: &[f64], classes: usize) -> (f64, Vec<f64>) {
    let images = (logits.len() / classes) as f64;
    let (mut loss, mut gradient) = (0.0, Vec::new());
    for (logits, targets) in logits.chunks(classes).zip(targets.chunks(classes)) {
        let largest = logits.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = logits.iter().map(|z| (z - largest).exp()).sum();
        for (z, t) in logits.iter().zip(targets) {
            let log = z - largest - sum.ln();
            loss -= t * log / images;
            gradient.push((log.exp() - t) / images);
        }
    }
    (loss, gradient)
}

#[test]
fn logits_are_pytorch_s() {
    let golden = Golden::read();
    for case in &golden.logits {
        let (architecture, mut weights) = golden.network(&case.name, case.size);
        let kernels: Vec<_> = weights
            .iter()
            .filter(|(_, tensor)| tensor.rank() == 4 && case.kernels != 1.0)
            .map(|(name, tensor)| (name.to_owned(), (tensor * case.kernels).unwrap()))
            .collect();
        kernels.into_iter().for_each(|(name, tensor)| weights.insert(name, tensor));
        let network = Network::load(&architecture, golden.classes, &weights).unwrap();
        drop(weights);
        let network = TensorNetwork::new(network, case.size, golden.normalisation());
        let crops: Vec<_> = (0..case.images).map(|i| image(golden.seed, i, case.size)).collect();
        let crops: Vec<&[u8]> = crops.iter().map(Vec::as_slice).collect();
        let mut found = Tensors::default();
        network.run(&crops, Want::LOGITS | Want::FEATURES, &mut found).unwrap();
        let error = near::off(&found.logits, &case.logits.concat());
        assert!(error < 1e-4, "{}: {error}", case.name);
        assert_eq!(found.features.len(), case.images * network.features());
    }
    let named = |backbone: &Backbone| golden.logits.iter().any(|c| c.name == backbone.name());
    assert!(Backbone::ALL.iter().skip(1).all(named), "a backbone is not looked at");
}

#[test]
fn gradients_and_running_statistics_are_pytorch_s() {
    let golden = Golden::read();
    for case in &golden.training {
        let (architecture, weights) = golden.network(&case.name, case.size);
        let architecture = Architecture { dropout: 0.0, ..architecture };
        let settings = Settings {
            classes: golden.classes,
            batch: case.images,
            max_size: case.size,
            normalisation: golden.normalisation(),
            frozen_backbone: false,
            stochastic_depth: 0.0,
            loss: Loss::Classes,
        };
        let rule = Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
        let updates = Updates {
            rule,
            layers: LayerRates::default(),
            decay_vectors: true,
            average: None,
            norm_momentum: 0.1,
        };
        let mut learner = CandleLearner::new(&architecture, &weights, settings, updates).unwrap();
        let images: Vec<u8> =
            (0..case.images).flat_map(|i| image(golden.seed, i, case.size)).collect();
        let targets: Vec<f32> = golden.targets(case.images).iter().map(|&t| t as f32).collect();
        let output = learner.step(&images, case.size, &targets, 0.0, 1).unwrap();
        let name = &case.name;
        assert!((output.loss - case.loss).abs() < 1e-4 * case.loss, "{name} {}", output.loss);
        assert_eq!(learner.parameters().len(), case.gradients.len());
        // A bias before a norm, or of keys, has a gradient of rounding alone.
        let largest = case.gradients.values().fold(0f64, |most, told| most.max(told.norm));
        for parameter in learner.parameters() {
            let told = &case.gradients[&parameter.name];
            let scale = told.norm.max(1e-4 * largest);
            let gradient: Vec<f64> = parameter.gradient.iter().map(|&v| v.into()).collect();
            let error = golden.error(&parameter.name, told, &gradient, scale);
            assert!(error < 1e-3, "{name}, {}: {error:e} of {}", parameter.name, told.norm);
        }
        let weights = learner.judged().unwrap();
        for (running, told) in &case.running {
            let values: Vec<f32> = weights.get(running).unwrap().to_vec1().unwrap();
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let error = golden.error(running, told, &values, told.norm);
            assert!(error < 1e-4, "{name}, {running}: {error:e}");
        }
    }
}

/// Every published network as deep and wide as it is, in f64, where what is wrong cannot
/// hide behind what is rounded; and in f32, where it may be off as far as PyTorch's is.
#[test]
fn gradients_of_whole_networks_are_pytorch_s() {
    let golden = Golden::read();
    for case in &golden.whole {
        let (architecture, weights) = golden.network(&case.name, case.size);
        let (classes, targets) = (golden.classes, golden.targets(case.images));
        let images = golden.normalised(case.images, case.size);
        for double in [true, false] {
            let images = if double {
                images.clone()
            } else {
                images.to_dtype(candle_core::DType::F32).unwrap()
            };
            let mut loss = 0.0;
            let found = gradients(&architecture, &weights, classes, &images, |logits| {
                let (own, gradient) = cross_entropy(logits, &targets, classes);
                loss = own;
                gradient
            });
            let found = found.unwrap();
            assert_eq!(found.len(), case.gradients.len(), "{}", case.name);
            let largest = case.gradients.values().fold(0f64, |most, told| most.max(told.norm));
            let worst = case.gradients.iter().map(|(name, told)| {
                golden.error(name, told, &found[name], told.norm.max(1e-4 * largest))
            });
            let worst = near::largest(worst);
            // candle's gradient of GELU has a constant of six digits.
            let exact = if case.name == "vit-b16" { 1e-5 } else { 1e-8 };
            let (bound, of_loss) = match double {
                true => (exact, 1e-9),
                false => ((4.0 * case.rounding).max(1e-3), 1e-4),
            };
            let off = (loss - case.loss).abs() / case.loss;
            eprintln!(
                "{}, double {double}: {worst:.1e}, loss {off:.1e}; in f32 PyTorch's {:.1e}",
                case.name, case.rounding
            );
            assert!(worst < bound && off < of_loss, "{}: {worst:e}, loss {off:e}", case.name);
        }
    }
    let named =
        |backbone: &Backbone| golden.whole.iter().any(|c| c.name.starts_with(backbone.name()));
    assert!(Backbone::ALL.iter().all(named), "a backbone is not looked at");
}
