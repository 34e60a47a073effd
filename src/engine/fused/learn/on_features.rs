//! A classifier that learns from features that were computed before: what a network
//! with a frozen backbone learns, without the backbone.
//!
//! Invariant: given the features that the network would have pooled, each step does
//! what [`FusedLearner`](super::FusedLearner) with a frozen backbone does, and a
//! snapshot of one is good for the other.

use candle_core::{Device, Tensor};
use hiwl_kernels::Backend;
use hiwl_kernels::train::{Cpu, padded};

use super::classifier::Classifier;
use super::gradient_sum::Partials;
use super::parameter::Parameters;
use crate::engine::Loss;
use crate::engine::learn::{Snapshot, StepOutput, Updates};
use crate::engine::optimizer::{Average, Optimizer};
use crate::model::architecture::Architecture;
use crate::model::weights::{Weights, WeightsError};

/// A classifier with what remembers its steps, and the backbone that its features
/// come from.
pub struct HeadLearner {
    cpu: Cpu,
    /// Every tensor of the network; the classifier's are of its beginning.
    network: Weights,
    parameters: Parameters,
    classifier: Classifier,
    partials: Partials,
    dropout: f64,
    batch: usize,
    loss: Loss,
    optimizer: Optimizer,
    average: Option<Average>,
}

impl HeadLearner {
    /// A classifier of `classes` logits before its first step, which will see up to
    /// `batch` images at once.
    ///
    /// # Errors
    /// [`WeightsError`] if `weights` are not those of the architecture.
    ///
    /// # Panics
    /// Where `classes` or `batch` is zero.
    pub fn new(
        architecture: &Architecture,
        weights: &Weights,
        (classes, batch): (usize, usize),
        loss: Loss,
        updates: Updates,
    ) -> Result<Self, WeightsError> {
        assert!(classes > 0 && batch > 0, "an empty classifier");
        let cpu = Cpu::new(Backend::detect()).expect("a backend that was detected is there");
        let mut parameters = Parameters::default();
        let sizes = (architecture.layers().features, classes);
        let classifier = Classifier::new(&mut parameters, weights, sizes, batch)?;
        Ok(Self {
            cpu,
            network: weights.clone(),
            partials: Partials::new(classifier.partial()),
            parameters,
            classifier,
            dropout: architecture.dropout,
            batch,
            loss,
            optimizer: Optimizer::new(updates.rule, !updates.decay_vectors)
                .with_layers(updates.layers),
            average: updates.average.map(|decay| Average::new(decay as f32)),
        })
    }

    /// Features of an image.
    pub fn features(&self) -> usize {
        self.classifier.features
    }

    /// Learns a batch: a row of features and a row of targets for each image; `rate`
    /// is the learning rate, `seed` decides dropout. Where the loss is not finite
    /// nothing is changed.
    ///
    /// # Panics
    /// Where the batch is larger than it was said to be, or lengths do not agree.
    pub fn step(&mut self, features: &[f32], targets: &[f32], rate: f64, seed: u64) -> StepOutput {
        let Self { cpu, parameters, classifier, partials, .. } = self;
        let width = classifier.features;
        let images = features.len() / width;
        assert!(images > 0 && images <= self.batch, "a batch of {images} images");
        assert_eq!(features.len(), images * width, "a row of features an image");
        assert_eq!(targets.len(), images * classifier.classes, "a row of targets an image");
        let to = classifier.pooled.chunks_exact_mut(padded(width));
        for (to, from) in to.zip(features.chunks_exact(width)) {
            to[..width].copy_from_slice(from);
        }
        classifier.pack(parameters);
        classifier.forward(*cpu, parameters, images, Some((self.dropout, seed)));
        let loss = classifier.loss(*cpu, parameters, partials, images, (&self.loss, targets));
        let output = StepOutput { loss, logits: classifier.take_logits(images) };
        if loss.is_finite() {
            self.optimizer.step(self.parameters.0.iter_mut(), rate);
            if let Some(average) = &mut self.average {
                average.update(
                    self.parameters.0.iter().map(|p| (p.name.as_str(), p.values.as_slice())),
                );
            }
        }
        output
    }

    /// The network's weights that validation judges: with the average of the
    /// classifier's where there is one. The backbone's tensors are shared.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] if candle cannot allocate.
    pub fn judged(&self) -> Result<Weights, WeightsError> {
        let average = self.average.as_ref().filter(|average| average.updates() > 0);
        self.with(|name, values| average.and_then(|a| a.values().get(name)).unwrap_or(values))
    }

    /// Whether every learned value is finite.
    pub fn is_finite(&self) -> bool {
        self.parameters.0.iter().all(|p| p.values.iter().all(|v| v.is_finite()))
    }

    /// A copy of all that decides what comes next.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] if candle cannot allocate.
    pub fn snapshot(&self) -> Result<Snapshot, WeightsError> {
        let average = match &self.average {
            None => None,
            Some(average) => {
                // The average of what does not change is what it is.
                let mut values = average.values().clone();
                for (name, tensor) in self.network.iter().filter(|_| average.updates() > 0) {
                    if !values.contains_key(name) {
                        values.insert(name.to_owned(), self.network.values(name, tensor.dims())?);
                    }
                }
                Some((values, average.updates()))
            }
        };
        let weights = self.with(|_, values| values)?;
        Ok(Snapshot { weights, optimizer: self.optimizer.state().clone(), average })
    }

    /// Goes on from a snapshot of a network with this backbone.
    ///
    /// # Errors
    /// [`WeightsError`] if it is another network's; nothing is changed then.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), WeightsError> {
        let of = self.parameters.0.iter().map(|p| snapshot.weights.values(&p.name, &p.shape));
        let values = of.collect::<Result<Vec<_>, _>>()?;
        for (parameter, values) in self.parameters.0.iter_mut().zip(values) {
            parameter.values = values;
        }
        self.optimizer.restore(snapshot.optimizer);
        if let (Some(average), Some((mut values, updates))) = (&mut self.average, snapshot.average)
        {
            values.retain(|name, _| self.parameters.0.iter().any(|p| p.name == *name));
            average.restore(values, updates);
        }
        Ok(())
    }

    /// The network with these values of the classifier, by name and what they are now.
    fn with<'a>(
        &'a self,
        of: impl Fn(&str, &'a Vec<f32>) -> &'a Vec<f32>,
    ) -> Result<Weights, WeightsError> {
        let mut weights = self.network.clone();
        for p in &self.parameters.0 {
            let tensor = Tensor::from_slice(of(&p.name, &p.values), &*p.shape, &Device::Cpu)
                .map_err(WeightsError::tensor(&p.name))?;
            weights.insert(&*p.name, tensor);
        }
        Ok(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fused::learn::FusedLearner;
    use crate::engine::learn::{Learn, Settings};
    use crate::engine::optimizer::{LayerRates, Rule};
    use crate::engine::{Infer, Normalisation, Precision, Tensors, Want, fused::PackedNetwork};
    use crate::model::seeded;

    const SIZE: usize = 64;
    const CLASSES: usize = 3;

    fn pictures(count: usize) -> Vec<u8> {
        let mut random = seeded::SplitMix64::named(5, "pictures");
        (0..count * 3 * SIZE * SIZE).map(|_| random.uniform(0.0, 256.0) as u8).collect()
    }

    /// Steps on features that were computed once change the classifier as steps of
    /// the frozen network on the pictures do; and each goes on from the other.
    #[test]
    fn what_is_learned_from_features_is_what_the_frozen_network_learns() {
        let architecture = Architecture::named("efficientnet-nano").unwrap();
        let architecture = Architecture { dropout: 0.2, ..architecture };
        let weights = seeded::weights(&architecture, CLASSES, 3, "").unwrap();
        let normalisation = Normalisation { mean: [0.5; 3], std: [0.3; 3] };
        let images = pictures(10);
        let network = PackedNetwork::with(
            &architecture,
            CLASSES,
            SIZE,
            &weights,
            normalisation,
            Backend::detect(),
            Precision::F32,
        )
        .unwrap();
        let each: Vec<&[u8]> = images.chunks_exact(3 * SIZE * SIZE).collect();
        let mut found = Tensors::default();
        network.run(&each, Want::FEATURES, &mut found).unwrap();
        let mut targets = [0.0; 10 * CLASSES];
        (0..10).for_each(|i| targets[i * CLASSES + i % CLASSES] = 1.0);

        let rules = [
            Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-3 },
            Rule::AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-2 },
        ];
        for rule in rules {
            let updates = Updates {
                rule,
                layers: LayerRates::new([("classifier".to_owned(), 0.5)].into()),
                decay_vectors: false,
                average: Some(0.9),
                norm_momentum: 0.1,
            };
            let settings = Settings {
                classes: CLASSES,
                batch: 10,
                max_size: SIZE,
                normalisation,
                frozen_backbone: true,
                stochastic_depth: 0.0,
                loss: Loss::Classes,
            };
            let slow = || {
                let (of, updates) = (settings.clone(), updates.clone());
                FusedLearner::new(&architecture, &weights, of, updates, Precision::F32).unwrap()
            };
            let quick = || {
                let (of, updates) = ((CLASSES, 10), updates.clone());
                HeadLearner::new(&architecture, &weights, of, Loss::Classes, updates).unwrap()
            };
            let (mut by_pictures, mut by_features) = (slow(), quick());
            for step in 0..12 {
                // Batches of both kinds: whole, and a part.
                let n = if step % 2 == 0 { 10 } else { 7 };
                let (pixels, width) = (&images[..n * 3 * SIZE * SIZE], network.features());
                let own = &targets[..n * CLASSES];
                let a = by_pictures.step(pixels, SIZE, own, 0.05, step).unwrap();
                let b = by_features.step(&found.features[..n * width], own, 0.05, step);
                assert!((a.loss - b.loss).abs() < 1e-4 * a.loss, "{step}: {} {}", a.loss, b.loss);
                if step == 5 {
                    // Each goes on where the other is.
                    let (of_a, of_b) =
                        (by_pictures.snapshot().unwrap(), by_features.snapshot().unwrap());
                    (by_pictures, by_features) = (slow(), quick());
                    by_pictures.restore(of_b).unwrap();
                    by_features.restore(of_a).unwrap();
                }
            }
            let (a, b) = (by_pictures.judged().unwrap(), by_features.judged().unwrap());
            let mut moved = 0.0f64;
            for (name, tensor) in a.iter() {
                let of = |w: &Weights| w.values(name, tensor.dims()).unwrap();
                let (a, b, before) = (of(&a), of(&b), of(&weights));
                let distance = |x: &[f32], y: &[f32]| -> f64 {
                    x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt()
                };
                if name.starts_with("classifier.") {
                    assert!(distance(&a, &b) < 1e-3 * distance(&a, &before), "{name}");
                    moved += distance(&a, &before);
                } else {
                    assert_eq!(a, before, "{name}");
                    assert_eq!(b, before, "{name}");
                }
            }
            assert!(moved > 0.01, "{moved}");
        }
    }
}
