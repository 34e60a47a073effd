//! What learns on a GPU behind the door of training.

use super::GpuLearner;
use crate::engine::learn::{Learn, LearnError, Snapshot, StepOutput, weights_of};
use crate::model::weights::Weights;

impl Learn for GpuLearner {
    fn step(
        &mut self,
        images: &[u8],
        size: usize,
        targets: &[f32],
        rate: f64,
        seed: u64,
    ) -> Result<StepOutput, LearnError> {
        Ok(self.step(images, size, targets, rate, seed)?)
    }

    fn evaluate(&mut self, images: &[u8], size: usize) -> Result<Vec<f32>, LearnError> {
        Ok(self.network_mut().evaluate(images, size)?)
    }

    fn judged(&self) -> Result<Weights, LearnError> {
        match self.average()? {
            Some((values, updates)) if updates > 0 => {
                Ok(weights_of(self.network().tensors(), &values)?)
            }
            _ => Ok(self.network().weights()?),
        }
    }

    fn is_finite(&self) -> Result<bool, LearnError> {
        Ok(self.network().is_finite()?)
    }

    fn snapshot(&self) -> Result<Snapshot, LearnError> {
        Ok(Snapshot {
            weights: self.network().weights()?,
            optimizer: self.optimizer()?,
            average: self.average()?,
        })
    }

    fn restore(&mut self, snapshot: Snapshot) -> Result<(), LearnError> {
        let Snapshot { weights, optimizer, average } = snapshot;
        Ok(self.restore(&weights, &optimizer, average)?)
    }
}
