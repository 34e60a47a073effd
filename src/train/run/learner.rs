//! What learns: a network, its optimiser, the average of its weights, on the
//! processor or on a GPU.
//!
//! When it learns what is decided elsewhere. Invariant: what a [`Learner`]
//! does depends on its [`Learner::snapshot`] and the steps given to it, bit for
//! bit.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::TrainError;
use crate::classify::Device;
use crate::engine::cuda;
use crate::engine::cuda::learn::GpuLearner;
use crate::engine::fused::Backend;
use crate::engine::fused::learn::{Settings, StepOutput, TrainNetwork};
use crate::engine::{Normalisation, Precision};
use crate::model::architecture::Architecture;
use crate::model::parameters::{Parameter, parameters};
use crate::model::weights::{Weights, WeightsError};
use crate::train::optimizer::{self, Average, Optimizer, Rule};
use crate::train::recipe::{Model, Optimiser, Recipe};

/// What learns, wherever it does.
pub enum Learner {
    /// On the processor.
    Cpu(Box<CpuLearner>),
    /// On a GPU.
    Gpu(Box<GpuLearner>),
}

/// A network with what remembers its steps.
pub struct CpuLearner {
    architecture: Architecture,
    outputs: usize,
    network: TrainNetwork,
    optimizer: Optimizer,
    average: Option<Average>,
}

/// All that decides what a learner does next, but for the batch.
pub struct Snapshot {
    /// Learned tensors and running statistics.
    pub weights: Weights,
    /// What the optimiser remembers of each parameter.
    pub optimizer: BTreeMap<String, optimizer::State>,
    /// The average and its number of updates, if there is one.
    pub average: Option<(BTreeMap<String, Vec<f32>>, u64)>,
}

impl Learner {
    /// A model of the recipe before its first step, on a device and in a
    /// precision that it has.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if `weights` are not those of the architecture;
    /// [`TrainError::Gpu`].
    pub fn new(
        recipe: &Recipe,
        model: &Model,
        architecture: &Architecture,
        weights: &Weights,
        freeze: bool,
        (device, precision): (Device, Precision),
    ) -> Result<Self, TrainError> {
        let training = recipe.training(model);
        let settings = Settings {
            classes: model.outputs.len(),
            batch: training.batch,
            max_size: training.phases.iter().map(|phase| phase.size).max().unwrap_or(1),
            normalisation: normalisation(recipe),
            frozen_backbone: freeze,
            stochastic_depth: 0.0,
        };
        let Device::Cuda(index) = device else {
            let learner =
                CpuLearner::new(recipe, model, architecture, weights, settings, precision)?;
            return Ok(Self::Cpu(Box::new(learner)));
        };
        let queue = cuda::open(index, precision)?.queue()?;
        let learner = GpuLearner::new(
            &queue,
            precision,
            architecture,
            weights,
            settings,
            recipe.bn_momentum,
            rule(&training.optimiser),
            training.ema,
        )?;
        Ok(Self::Gpu(Box::new(learner)))
    }

    /// Learns a batch (see [`TrainNetwork::step`]). Where the loss is not
    /// finite nothing is changed.
    ///
    /// # Errors
    /// [`TrainError::Gpu`].
    pub fn step(
        &mut self,
        images: &[u8],
        size: usize,
        targets: &[f32],
        rate: f64,
        seed: u64,
    ) -> Result<StepOutput, TrainError> {
        match self {
            Self::Cpu(learner) => Ok(learner.step(images, size, targets, rate, seed)),
            Self::Gpu(learner) => Ok(learner.step(images, size, targets, rate, seed)?),
        }
    }

    /// The weights that validation judges: the average where there is one.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if candle cannot allocate; [`TrainError::Gpu`].
    pub fn judged(&self) -> Result<Weights, TrainError> {
        match self {
            Self::Cpu(learner) => Ok(learner.judged()?),
            Self::Gpu(learner) => match learner.average()? {
                Some((values, updates)) if updates > 0 => {
                    let parameters = learner.network().tensors();
                    Ok(weights_of(parameters, &values)?)
                }
                _ => Ok(learner.network().weights()?),
            },
        }
    }

    /// Whether every learned value and every running statistic is finite.
    /// Statistics overflow first: a batch's variance is squared activations.
    ///
    /// # Errors
    /// [`TrainError::Gpu`].
    pub fn is_finite(&self) -> Result<bool, TrainError> {
        match self {
            Self::Cpu(learner) => Ok(learner.is_finite()),
            Self::Gpu(learner) => Ok(learner.network().is_finite()?),
        }
    }

    /// A copy of all that decides what comes next.
    ///
    /// # Errors
    /// As [`Self::judged`].
    pub fn snapshot(&self) -> Result<Snapshot, TrainError> {
        match self {
            Self::Cpu(learner) => Ok(learner.snapshot()?),
            Self::Gpu(learner) => Ok(Snapshot {
                weights: learner.network().weights()?,
                optimizer: learner.optimizer()?,
                average: learner.average()?,
            }),
        }
    }

    /// Goes on from a snapshot, of a learner on any device.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if it is another network's; [`TrainError::Gpu`].
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), TrainError> {
        match self {
            Self::Cpu(learner) => Ok(learner.restore(snapshot)?),
            Self::Gpu(learner) => {
                let Snapshot { weights, optimizer, average } = snapshot;
                Ok(learner.restore(&weights, &optimizer, average)?)
            }
        }
    }
}

/// Tensors of these names and shapes from their values.
fn weights_of(
    parameters: Vec<Parameter>,
    values: &BTreeMap<String, Vec<f32>>,
) -> Result<Weights, WeightsError> {
    let mut weights = Weights::new();
    for Parameter { name, shape } in parameters {
        let Some(values) = values.get(&name) else {
            return Err(WeightsError::Missing { name });
        };
        let tensor = Tensor::from_slice(values, shape.as_slice(), &candle_core::Device::Cpu)
            .map_err(WeightsError::tensor(&name))?;
        weights.insert(name, tensor);
    }
    Ok(weights)
}

impl CpuLearner {
    /// A model of the recipe before its first step.
    ///
    /// # Errors
    /// [`WeightsError`] if `weights` are not those of the architecture.
    pub fn new(
        recipe: &Recipe,
        model: &Model,
        architecture: &Architecture,
        weights: &Weights,
        settings: Settings,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        let training = recipe.training(model);
        let backend = Backend::detect();
        let mut network = TrainNetwork::with(architecture, weights, settings, backend, precision)?;
        network.set_norm_momentum(recipe.bn_momentum);
        let (rule, decay_vectors) = rule(&training.optimiser);
        Ok(Self {
            architecture: architecture.clone(),
            outputs: model.outputs.len(),
            network,
            optimizer: Optimizer::new(rule, !decay_vectors),
            average: training.ema.map(|decay| Average::new(decay as f32)),
        })
    }

    /// Learns a batch (see [`TrainNetwork::step`]). Where the loss is not
    /// finite nothing is changed.
    pub fn step(
        &mut self,
        images: &[u8],
        size: usize,
        targets: &[f32],
        rate: f64,
        seed: u64,
    ) -> StepOutput {
        let output = self.network.step(images, size, targets, seed);
        if !output.loss.is_finite() {
            return output;
        }
        self.optimizer.step(self.network.parameters_mut(), rate);
        if let Some(average) = &mut self.average {
            let running: Vec<(String, &[f32])> = self.network.running().collect();
            let learned =
                self.network.parameters().iter().map(|p| (p.name.as_str(), p.values.as_slice()));
            average.update(learned.chain(running.iter().map(|(name, v)| (name.as_str(), *v))));
        }
        output
    }

    /// The weights that validation judges: the average where there is one.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] if candle cannot allocate.
    pub fn judged(&self) -> Result<Weights, WeightsError> {
        match &self.average {
            Some(average) if average.updates() > 0 => {
                weights_of(parameters(&self.architecture, self.outputs), average.values())
            }
            _ => self.network.weights(),
        }
    }

    /// Whether every learned value and every running statistic is finite.
    /// Statistics overflow first: a batch's variance is squared activations.
    pub fn is_finite(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        self.network.parameters().iter().all(|p| finite(&p.values))
            && self.network.running().all(|(_, values)| finite(values))
    }

    /// A copy of all that decides what comes next.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] if candle cannot allocate.
    pub fn snapshot(&self) -> Result<Snapshot, WeightsError> {
        Ok(Snapshot {
            weights: self.network.weights()?,
            optimizer: self.optimizer.state().clone(),
            average: self.average.as_ref().map(|a| (a.values().clone(), a.updates())),
        })
    }

    /// Goes on from a snapshot.
    ///
    /// # Errors
    /// [`WeightsError`] if it is another network's.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), WeightsError> {
        self.network.load(&snapshot.weights)?;
        self.optimizer.restore(snapshot.optimizer);
        if let (Some(average), Some((values, updates))) = (&mut self.average, snapshot.average) {
            average.restore(values, updates);
        }
        Ok(())
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
