//! Every backbone that is no EfficientNet against PyTorch (golden results of
//! `tests/oracles/backbones.py`): logits, gradients and running statistics of a batch.

use std::collections::BTreeMap;

use hiwl::engine::candle::{CandleLearner, Network, TensorNetwork};
use hiwl::engine::learn::{Learn, Settings, Updates};
use hiwl::engine::optimizer::{LayerRates, Rule};
use hiwl::engine::{Infer, Loss, Normalisation, Tensors, Want};
use hiwl::model::architecture::Architecture;
use hiwl::model::backbone::Backbone;
use hiwl::model::seeded::{self, SplitMix64};
use hiwl::model::weights::Weights;
use serde::Deserialize;

use super::image;
use crate::util;

#[derive(Deserialize)]
struct Golden {
    seed: u64,
    classes: usize,
    mean: [f32; 3],
    std: [f32; 3],
    places: usize,
    logits: Vec<Logits>,
    training: Vec<Training>,
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
        Normalisation { mean: self.mean, std: self.std }
    }

    fn network(&self, name: &str, size: usize) -> (Architecture, Weights) {
        let architecture = Architecture::named(name).unwrap().for_images(size);
        let weights = seeded::weights(&architecture, self.classes, self.seed, "").unwrap();
        (architecture, weights)
    }

    /// The norm of the tensors' difference, as the values told estimate it, and how
    /// far the norms differ; both as parts of `scale`.
    fn error(&self, name: &str, told: &Told, values: &[f32], scale: f64) -> f64 {
        let mut stream = SplitMix64::named(self.seed, &format!("places.{name}"));
        let count = values.len() as u64;
        let places = (0..self.places).map(|_| (stream.next_u64() % count) as usize);
        let squares: f64 =
            places.zip(&told.values).map(|(at, v)| (f64::from(values[at]) - v).powi(2)).sum();
        let estimate = (squares / self.places as f64 * values.len() as f64).sqrt();
        let norm = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        estimate.max((norm - told.norm).abs()) / scale
    }
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
        let expected = case.logits.concat();
        let scale = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
        assert_eq!(found.logits.len(), expected.len());
        for (found, expected) in found.logits.iter().zip(&expected) {
            let error = (found - expected).abs() / scale;
            assert!(error < 1e-4, "{}: {found} {expected}", case.name);
        }
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
        let classes = golden.classes;
        let mut targets = vec![0.05 / (classes - 1) as f32; case.images * classes];
        for i in 0..case.images {
            targets[i * classes + (3 * i + 1) % classes] = 0.95;
        }
        let output = learner.step(&images, case.size, &targets, 0.0, 1).unwrap();
        let name = &case.name;
        assert!((output.loss - case.loss).abs() < 1e-4 * case.loss, "{name} {}", output.loss);
        assert_eq!(learner.parameters().len(), case.gradients.len());
        // A bias before a norm, or of keys, has a gradient of rounding alone.
        let largest = case.gradients.values().fold(0f64, |most, told| most.max(told.norm));
        for parameter in learner.parameters() {
            let told = &case.gradients[&parameter.name];
            let scale = told.norm.max(1e-4 * largest);
            let error = golden.error(&parameter.name, told, &parameter.gradient, scale);
            assert!(error < 1e-3, "{name}, {}: {error:e} of {}", parameter.name, told.norm);
        }
        let weights = learner.judged().unwrap();
        for (running, told) in &case.running {
            let values: Vec<f32> = weights.get(running).unwrap().to_vec1().unwrap();
            let error = golden.error(running, told, &values, told.norm);
            assert!(error < 1e-4, "{name}, {running}: {error:e}");
        }
    }
}
