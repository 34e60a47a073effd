//! From a recipe to what learns, and to what its networks see.

use super::TrainError;
use crate::engine::learn::{Settings, Updates};
use crate::engine::optimizer::Rule;
use crate::engine::{Device, Learn, Loss, Normalisation, Precision, open};
use crate::model::architecture::Architecture;
use crate::model::weights::Weights;
use crate::train::recipe::{Model, Optimiser, Recipe, Votes};

/// A model of the recipe before its first step, on a device and in a precision
/// that it has.
///
/// # Errors
/// [`TrainError::Weights`] if `weights` are not those of the architecture;
/// [`TrainError::Engine`].
pub fn open(
    recipe: &Recipe,
    model: &Model,
    architecture: &Architecture,
    weights: &Weights,
    freeze: bool,
    (device, precision): (Device, Precision),
) -> Result<Box<dyn Learn>, TrainError> {
    let training = recipe.training(model);
    let settings = Settings {
        classes: model.outputs.len(),
        batch: training.batch,
        max_size: training.phases.iter().map(|phase| phase.size).max().unwrap_or(1),
        normalisation: normalisation(recipe),
        frozen_backbone: freeze,
        stochastic_depth: 0.0,
        loss: loss(model),
    };
    let (rule, decay_vectors) = rule(&training.optimiser);
    let updates =
        Updates { rule, decay_vectors, average: training.ema, norm_momentum: recipe.bn_momentum };
    Ok(open::learn(architecture, weights, settings, updates, (device, precision), None)?)
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
