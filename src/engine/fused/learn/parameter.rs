//! The learned tensors of a network with their gradients.

use crate::model::weights::{Weights, WeightsError};

/// A learned tensor and its gradient.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// torchvision's name.
    pub name: String,
    /// Sizes of its axes, as in [`crate::model::parameters`].
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
    /// Gradient of the mean loss of the last batch, in the same order.
    pub gradient: Vec<f32>,
    /// Whether weight decay is meant for it: matrices and kernels, but neither
    /// biases nor batch norm.
    pub decays: bool,
}

/// All parameters; layers keep their places in it.
#[derive(Default)]
pub(super) struct Parameters(pub(super) Vec<Parameter>);

impl Parameters {
    /// Takes a tensor from `weights`; returns its place.
    pub(super) fn take(
        &mut self,
        weights: &Weights,
        name: String,
        shape: &[usize],
    ) -> Result<usize, WeightsError> {
        let values = weights.values(&name, shape)?;
        let gradient = vec![0.0; values.len()];
        let decays = shape.len() > 1;
        self.0.push(Parameter { name, shape: shape.to_vec(), values, gradient, decays });
        Ok(self.0.len() - 1)
    }

    pub(super) fn values(&self, place: usize) -> &[f32] {
        &self.0[place].values
    }

    pub(super) fn gradient(&mut self, place: usize) -> &mut [f32] {
        &mut self.0[place].gradient
    }
}
