//! The network that learns on the processor, with its optimiser and the
//! average of its weights, behind the door of training.

use hiwl_kernels::Backend;

use super::TrainNetwork;
use crate::engine::Precision;
use crate::engine::learn::{
    Learn, LearnError, Settings, Snapshot, StepOutput, Updates, weights_of,
};
use crate::engine::optimizer::{Average, Optimizer};
use crate::model::architecture::Architecture;
use crate::model::parameters::parameters;
use crate::model::weights::{Weights, WeightsError};

/// A network with what remembers its steps.
pub struct FusedLearner {
    architecture: Architecture,
    network: TrainNetwork,
    optimizer: Optimizer,
    average: Option<Average>,
}

impl FusedLearner {
    /// A network before its first step.
    ///
    /// # Errors
    /// [`WeightsError`] if `weights` are not those of the architecture.
    ///
    /// # Panics
    /// Where this processor does not have the precision.
    pub fn new(
        architecture: &Architecture,
        weights: &Weights,
        settings: Settings,
        updates: Updates,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        let backend = Backend::detect();
        let mut network = TrainNetwork::with(architecture, weights, settings, backend, precision)?;
        network.set_norm_momentum(updates.norm_momentum);
        Ok(Self {
            architecture: architecture.clone(),
            network,
            optimizer: Optimizer::new(updates.rule, !updates.decay_vectors)
                .with_layers(updates.layers),
            average: updates.average.map(|decay| Average::new(decay as f32)),
        })
    }
}

impl Learn for FusedLearner {
    fn step(
        &mut self,
        images: &[u8],
        size: usize,
        targets: &[f32],
        rate: f64,
        seed: u64,
    ) -> Result<StepOutput, LearnError> {
        let output = self.network.step(images, size, targets, seed);
        if !output.loss.is_finite() {
            return Ok(output);
        }
        self.optimizer.step(self.network.parameters_mut(), rate);
        if let Some(average) = &mut self.average {
            let running: Vec<(String, &[f32])> = self.network.running().collect();
            let learned =
                self.network.parameters().iter().map(|p| (p.name.as_str(), p.values.as_slice()));
            average.update(learned.chain(running.iter().map(|(name, v)| (name.as_str(), *v))));
        }
        Ok(output)
    }

    fn evaluate(&mut self, images: &[u8], size: usize) -> Result<Vec<f32>, LearnError> {
        Ok(self.network.evaluate(images, size))
    }

    fn judged(&self) -> Result<Weights, LearnError> {
        let weights = match &self.average {
            Some(average) if average.updates() > 0 => {
                let classes = self.network.settings().classes;
                weights_of(parameters(&self.architecture, classes), average.values())
            }
            _ => self.network.weights(),
        };
        Ok(weights?)
    }

    fn is_finite(&self) -> Result<bool, LearnError> {
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        Ok(self.network.parameters().iter().all(|p| finite(&p.values))
            && self.network.running().all(|(_, values)| finite(values)))
    }

    fn snapshot(&self) -> Result<Snapshot, LearnError> {
        Ok(Snapshot {
            weights: self.network.weights()?,
            optimizer: self.optimizer.state().clone(),
            average: self.average.as_ref().map(|a| (a.values().clone(), a.updates())),
        })
    }

    fn restore(&mut self, snapshot: Snapshot) -> Result<(), LearnError> {
        self.network.load(&snapshot.weights)?;
        self.optimizer.restore(snapshot.optimizer);
        if let (Some(average), Some((values, updates))) = (&mut self.average, snapshot.average) {
            average.restore(values, updates);
        }
        Ok(())
    }
}
