//! From a recipe to what learns, and to what its networks see.

use super::TrainError;
use super::kept::OnFeatures;
use crate::engine::fused::learn::HeadLearner;
use crate::engine::learn::{Settings, Snapshot, StepOutput, Updates};
use crate::engine::optimizer::{LayerRates, Rule};
use crate::engine::{Device, Learn, Loss, Normalisation, Precision, open};
use crate::model::architecture::Architecture;
use crate::model::weights::Weights;
use crate::train::recipe::{Model, Optimiser, Recipe, Training, Votes};

/// What learns.
pub enum Learner {
    /// A network, from pictures.
    Network(Box<dyn Learn>),
    /// Its classifier, from features that are kept.
    Classifier(Box<OnFeatures>),
}

/// What a step is of.
pub enum Seen<'a> {
    /// Pixels of pictures, and their side.
    Pictures(&'a [u8], usize),
    /// Features, row by row.
    Features(&'a [f32]),
}

impl Learner {
    /// A model of the recipe before its first step, on a device and in a precision
    /// that it has; its classifier alone where `keeps` says that features are kept.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if `weights` are not those of the architecture;
    /// [`TrainError::Engine`].
    pub fn open(
        recipe: &Recipe,
        model: &Model,
        architecture: &Architecture,
        weights: Weights,
        (freeze, keeps): (bool, bool),
        (device, precision): (Device, Precision),
    ) -> Result<Self, TrainError> {
        let training = recipe.training(model);
        let (classes, batch) = (model.outputs.len(), training.batch);
        let (rule, decay_vectors) = rule(&training.optimiser);
        let updates = Updates {
            rule,
            layers: layer_rates(training, architecture),
            decay_vectors,
            average: training.ema,
            norm_momentum: recipe.bn_momentum,
        };
        if keeps {
            let sizes = (classes, batch);
            let learner = HeadLearner::new(architecture, &weights, sizes, loss(model), updates)?;
            return Ok(Self::Classifier(Box::new(OnFeatures::new(learner, weights))));
        }
        let settings = Settings {
            classes,
            batch,
            max_size: training.phases.iter().map(|phase| phase.size).max().unwrap_or(1),
            normalisation: normalisation(recipe),
            frozen_backbone: freeze,
            stochastic_depth: 0.0,
            loss: loss(model),
        };
        let on = (device, precision);
        Ok(Self::Network(open::learn(architecture, &weights, settings, updates, on, None)?))
    }

    /// See [`Learn::step`].
    pub fn step(
        &mut self,
        seen: &Seen<'_>,
        targets: &[f32],
        rate: f64,
        seed: u64,
    ) -> Result<StepOutput, TrainError> {
        match (self, seen) {
            (Self::Network(network), Seen::Pictures(pixels, size)) => {
                Ok(network.step(pixels, *size, targets, rate, seed)?)
            }
            (Self::Classifier(own), Seen::Features(features)) => {
                Ok(own.learner.step(features, targets, rate, seed))
            }
            _ => unreachable!("a session shows what its learner learns from"),
        }
    }

    /// See [`Learn::judged`].
    pub fn judged(&self) -> Result<Weights, TrainError> {
        match self {
            Self::Network(network) => Ok(network.judged()?),
            Self::Classifier(own) => Ok(own.learner.judged()?),
        }
    }

    /// See [`Learn::is_finite`].
    pub fn is_finite(&self) -> Result<bool, TrainError> {
        match self {
            Self::Network(network) => Ok(network.is_finite()?),
            Self::Classifier(own) => Ok(own.learner.is_finite()),
        }
    }

    /// See [`Learn::snapshot`].
    pub fn snapshot(&self) -> Result<Snapshot, TrainError> {
        match self {
            Self::Network(network) => Ok(network.snapshot()?),
            Self::Classifier(own) => Ok(own.learner.snapshot()?),
        }
    }

    /// See [`Learn::restore`].
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), TrainError> {
        match self {
            Self::Network(network) => Ok(network.restore(snapshot)?),
            Self::Classifier(own) => Ok(own.learner.restore(snapshot)?),
        }
    }
}

/// What a model's outputs are compared with.
pub fn loss(model: &Model) -> Loss {
    match model.votes {
        None => Loss::Classes,
        Some(Votes::Fractions) => Loss::Fractions(model.ranges()),
        Some(Votes::Counts) => Loss::Counts(model.ranges()),
    }
}

/// What the networks do to pixels first.
pub fn normalisation(recipe: &Recipe) -> Normalisation {
    Normalisation { mean: recipe.input.mean, std: recipe.input.std }
}

/// What the rates of layers are multiplied by: the decay from the classifier down, times
/// what the recipe says of each.
pub fn layer_rates(training: &Training, architecture: &Architecture) -> LayerRates {
    if !architecture.backbone.is_default() {
        // A recipe that asks for any is refused.
        return LayerRates::default();
    }
    let names = architecture.layers().names();
    let own = LayerRates::new(training.layer_rates.clone());
    let decay = training.layer_decay.unwrap_or(1.0);
    let of = |(behind, name): (usize, String)| {
        let factor = decay.powi(behind as i32) * own.of(&name);
        (name, factor)
    };
    LayerRates::new(names.into_iter().rev().enumerate().map(of).collect())
}

/// The rule of a recipe's optimiser, and whether vectors decay.
fn rule(optimiser: &Optimiser) -> (Rule, bool) {
    match *optimiser {
        Optimiser::Sgd { momentum, nesterov, weight_decay, decay_vectors, .. } => {
            let (momentum, weight_decay) = (momentum as f32, weight_decay as f32);
            (Rule::Sgd { momentum, nesterov, weight_decay }, decay_vectors)
        }
        Optimiser::Adamw { betas, epsilon, weight_decay, decay_vectors, .. } => {
            let weight_decay = weight_decay as f32;
            (Rule::AdamW { betas, eps: epsilon, weight_decay }, decay_vectors)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn rates_fall_from_the_classifier_down() {
        let recipe = Recipe::read(Path::new("train-best")).unwrap();
        let mut training = recipe.training.clone();
        let b1 = Architecture::efficientnet(1).unwrap();
        assert!(layer_rates(&training, &b1).are_even());
        training.layer_decay = Some(0.5);
        training.layer_rates =
            [("features.2".to_owned(), 0.0), ("features.8".to_owned(), 3.0)].into();
        let rates = layer_rates(&training, &b1);
        // B1 has 23 blocks between stem and head.
        for (name, factor) in [
            ("classifier.1.weight", 1.0),
            ("features.8.0.weight", 1.5),
            ("features.7.1.block.0.0.weight", 0.25),
            ("features.7.0.block.0.0.weight", 0.125),
            ("features.2.1.block.1.1.bias", 0.0),
            ("features.1.0.block.0.0.weight", 0.5f64.powi(24)),
            ("features.0.1.weight", 0.5f64.powi(25)),
        ] {
            assert_eq!(rates.of(name), factor, "{name}");
        }
    }
}
