//! A batch forth through a network and back: what its logits are, and what their
//! gradient means for every tensor.
//!
//! Invariant: nothing here changes a network.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, Var};

use super::network::{Network, Pass, drop_out};
use super::ops::values;
use crate::engine::LearnError;
use crate::model::architecture::Architecture;
use crate::model::parameters::parameters;
use crate::model::weights::Weights;

/// Runs normalised images (3×N×S×S) in training mode; `dropout` is that before the
/// classifier. `of_logits` is told the logits (N×classes) and says their gradient, or
/// `None` to go no further.
pub(super) fn forth_and_back(
    network: &Network,
    images: &Tensor,
    pass: &mut Pass,
    dropout: Option<(f64, u64)>,
    of_logits: impl FnOnce(&Tensor) -> Result<Option<Tensor>>,
) -> Result<Option<GradStore>> {
    let maps = network.maps(images, pass)?;
    let features = network.features(&maps, pass)?;
    let dropout = dropout.filter(|_| network.plan().drops_features);
    let logits = network.classify(&drop_out(&features, "dropout", dropout)?)?;
    match of_logits(&logits)? {
        // The gradient of this product is that of the loss.
        Some(gradient) => (&logits * &gradient)?.sum_all()?.backward().map(Some),
        None => Ok(None),
    }
}

/// The gradients that a batch of normalised images (N×3×S×S) has with its own
/// statistics and without dropout, by tensor, where `of_logits` says the gradient of the
/// logits (both `[images × classes]`). All is computed in the type of the images: in f64
/// it is known what is wrong and what is rounded.
///
/// # Errors
/// [`LearnError`] if the weights are not those of the architecture, or candle's.
pub fn gradients(
    architecture: &Architecture,
    weights: &Weights,
    classes: usize,
    images: &Tensor,
    of_logits: impl FnOnce(&[f64]) -> Vec<f64>,
) -> std::result::Result<BTreeMap<String, Vec<f64>>, LearnError> {
    let learned = parameters(architecture, classes).into_iter().filter(|p| !p.is_running());
    let mut vars = BTreeMap::new();
    for parameter in learned {
        let tensor = weights.tensor(&parameter.name, &parameter.shape)?;
        vars.insert(parameter.name, Var::from_tensor(&tensor.to_dtype(images.dtype())?)?);
    }
    let tensors = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone()));
    let network = Network::with(architecture, classes, tensors.collect());
    let images = images.transpose(0, 1)?.contiguous()?;
    let mut pass = Pass { of_batch: true, ..Pass::default() };
    let told = |tensor: &Tensor| values::<f64>(&tensor.to_dtype(DType::F64)?);
    let found = forth_and_back(&network, &images, &mut pass, None, |logits| {
        let gradient = of_logits(&told(logits)?);
        let gradient = Tensor::from_vec(gradient, logits.dims(), logits.device())?;
        gradient.to_dtype(logits.dtype()).map(Some)
    })?;
    let mut gradients = BTreeMap::new();
    for (name, var) in vars {
        let own = match found.as_ref().and_then(|found| found.get(&var)) {
            Some(own) => told(&own.contiguous()?)?,
            None => vec![0.0; var.elem_count()],
        };
        gradients.insert(name, own);
    }
    Ok(gradients)
}
