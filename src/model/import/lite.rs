//! Tensors of an EfficientNet that an EfficientNet-Lite does not have.
//!
//! They start such that the network computes what it would without them, and
//! such that they can learn:
//!
//! - A gate is `sigmoid(2) ≈ 0.88` for every image: the excite weights are
//!   zero. The squeeze weights are not, or neither would ever get a gradient.
//! - The second blocks of the first and last stage are identities: they have
//!   a skip, and their last batch norm's gamma is zero.

use candle_core::{DType, Device, Tensor};

use crate::model::architecture::Architecture;
use crate::model::parameters::Parameter;
use crate::model::seeded;
use crate::model::weights::WeightsError;

/// Bias of the excite layer.
const GATE_LOGIT: f64 = 2.0;

/// What `parameter` starts from; `seed` and `prefix` as in [`seeded::tensor`].
///
/// # Errors
/// [`WeightsError::Tensor`] if candle cannot allocate.
pub fn initial(
    parameter: &Parameter,
    architecture: &Architecture,
    seed: u64,
    prefix: &str,
) -> Result<Tensor, WeightsError> {
    let Parameter { name, shape } = parameter;
    let constant = |value: f64| {
        Tensor::zeros(shape.as_slice(), DType::F32, &Device::Cpu)
            .and_then(|zeros| zeros.affine(0.0, value))
            .map_err(WeightsError::tensor(name))
    };
    let blocks = architecture.layers().blocks;
    let is_last_gamma =
        || blocks.iter().any(|b| *name == format!("{}.1.weight", b.project_prefix()));
    if name.ends_with("fc2.bias") {
        constant(GATE_LOGIT)
    } else if name.ends_with("fc2.weight") || is_last_gamma() {
        constant(0.0)
    } else if shape.len() > 1 {
        seeded::tensor(parameter, seed, prefix)
    } else if name.ends_with("weight") || name.ends_with("running_var") {
        constant(1.0)
    } else {
        constant(0.0)
    }
}
