//! Weights of a layer with the batch norm after it folded in, as plain floats.
//!
//! The same arithmetic as the CPU's packing does (in f64, one rounding), without
//! its layout and its factors.

use crate::model::weights::{Weights, WeightsError};

/// A convolution or dense layer: weights in their own order, and a bias.
pub struct Folded {
    /// `[outputs][…]`, row-major.
    pub weights: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// `w γ/√(σ²+ε)` and `β − µ γ/√(σ²+ε)` of the convolution `{prefix}.0` and its
/// norm `{prefix}.1`.
pub fn normed(
    weights: &Weights,
    prefix: &str,
    shape: &[usize],
    eps: f64,
) -> Result<Folded, WeightsError> {
    let mut values = weights.values(&format!("{prefix}.0.weight"), shape)?;
    let of_norm = |what: &str| weights.values(&format!("{prefix}.1.{what}"), &shape[..1]);
    let (gamma, beta) = (of_norm("weight")?, of_norm("bias")?);
    let (mean, variance) = (of_norm("running_mean")?, of_norm("running_var")?);
    let per_channel = values.len() / shape[0];
    let mut bias = Vec::with_capacity(shape[0]);
    for (channel, values) in values.chunks_mut(per_channel).enumerate() {
        let scale = f64::from(gamma[channel]) / (f64::from(variance[channel]) + eps).sqrt();
        for value in values {
            *value = (f64::from(*value) * scale) as f32;
        }
        bias.push((f64::from(beta[channel]) - f64::from(mean[channel]) * scale) as f32);
    }
    Ok(Folded { weights: values, bias })
}

/// A layer with a bias and without a norm.
pub fn biased(weights: &Weights, prefix: &str, shape: &[usize]) -> Result<Folded, WeightsError> {
    Ok(Folded {
        weights: weights.values(&format!("{prefix}.weight"), shape)?,
        bias: weights.values(&format!("{prefix}.bias"), &shape[..1])?,
    })
}

/// `[rows][columns]` to `[columns][rows]`.
pub fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect()
}
