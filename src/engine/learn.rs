//! The door of training: a network with its optimiser and the average of its
//! weights, whatever computes it.
//!
//! When it learns what is decided elsewhere. Invariant: what a [`Learn`] does
//! depends on its [`Snapshot`] and the steps given to it, bit for bit; a
//! snapshot of one engine is good for any other.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::Normalisation;
use super::cuda::CudaError;
use super::loss::Loss;
use super::optimizer::{LayerRates, Rule, State};
use crate::model::parameters::Parameter;
use crate::model::weights::{Weights, WeightsError};

/// How a network is trained, apart from its architecture and its optimiser.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Logits an image.
    pub classes: usize,
    /// Most images in a batch.
    pub batch: usize,
    /// Largest side of an image in pixels.
    pub max_size: usize,
    /// What is done to the pixels first.
    pub normalisation: Normalisation,
    /// Whether only the classifier learns. Batch norm then takes its running
    /// statistics and leaves them.
    pub frozen_backbone: bool,
    /// Probability that the last block's branch is left out for an image; it
    /// grows linearly from zero at the first (Huang et al. 2016,
    /// arXiv:1603.09382). The HIWL paper uses none.
    pub stochastic_depth: f64,
    /// What the outputs are compared with. A GPU learns [`Loss::Classes`] alone.
    pub loss: Loss,
}

/// How gradients become steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Updates {
    /// Of every parameter that learns.
    pub rule: Rule,
    /// What the learning rate is multiplied by, layer by layer. A GPU knows one rate.
    pub layers: LayerRates,
    /// Whether vectors (biases, batch norm) decay too.
    pub decay_vectors: bool,
    /// Share of the old average of the weights kept at each step, if there is
    /// to be an average.
    pub average: Option<f64>,
    /// How much of a batch's statistics enters the running ones of batch norm
    /// (PyTorch's `momentum`).
    pub norm_momentum: f64,
}

/// What a step says of its batch, before its gradients are used.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutput {
    /// The settings' loss, as the mean of the images.
    pub loss: f64,
    /// `[images × classes]`.
    pub logits: Vec<f32>,
}

/// All that decides what a learner does next, but for the batch.
pub struct Snapshot {
    /// Learned tensors and running statistics.
    pub weights: Weights,
    /// What the optimiser remembers of each parameter.
    pub optimizer: BTreeMap<String, State>,
    /// The average and its number of updates, if there is one.
    pub average: Option<(BTreeMap<String, Vec<f32>>, u64)>,
}

/// Why a network could not learn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// Weights and architecture do not agree, or candle cannot allocate.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The GPU cannot be used, or is gone.
    #[error(transparent)]
    Gpu(CudaError),
    /// candle failed.
    #[error("candle: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl From<CudaError> for LearnError {
    fn from(error: CudaError) -> Self {
        match error {
            CudaError::Weights(error) => Self::Weights(error),
            error => Self::Gpu(error),
        }
    }
}

/// A network that learns.
pub trait Learn: Send {
    /// Learns a batch: images of `size` × `size` × 3 bytes of interleaved RGB,
    /// one behind the other, and a row of targets for each; `rate` is the
    /// learning rate, `seed` decides dropout. Where the loss is not finite no
    /// parameter is changed.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    ///
    /// # Panics
    /// Where the batch or the images are larger than the settings say, or
    /// lengths do not agree.
    fn step(
        &mut self,
        images: &[u8],
        size: usize,
        targets: &[f32],
        rate: f64,
        seed: u64,
    ) -> Result<StepOutput, LearnError>;

    /// Logits of a batch with running statistics and without dropout,
    /// `[images × classes]`; nothing is learned.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    ///
    /// # Panics
    /// As [`Learn::step`].
    fn evaluate(&mut self, images: &[u8], size: usize) -> Result<Vec<f32>, LearnError>;

    /// The weights that validation judges: the average where there is one.
    ///
    /// # Errors
    /// [`LearnError`].
    fn judged(&self) -> Result<Weights, LearnError>;

    /// Whether every learned value and every running statistic is finite.
    /// Statistics overflow first: a batch's variance is squared activations.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    fn is_finite(&self) -> Result<bool, LearnError>;

    /// A copy of all that decides what comes next.
    ///
    /// # Errors
    /// [`LearnError`].
    fn snapshot(&self) -> Result<Snapshot, LearnError>;

    /// Goes on from a snapshot, of a learner of any engine.
    ///
    /// # Errors
    /// [`LearnError::Weights`] if it is another network's.
    fn restore(&mut self, snapshot: Snapshot) -> Result<(), LearnError>;
}

/// Tensors of these names and shapes from their values.
///
/// # Errors
/// [`WeightsError`] if one is missing, or candle cannot allocate.
pub(super) fn weights_of(
    parameters: Vec<Parameter>,
    values: &BTreeMap<String, Vec<f32>>,
) -> Result<Weights, WeightsError> {
    let mut weights = Weights::new();
    for Parameter { name, shape } in parameters {
        let Some(values) = values.get(&name) else {
            return Err(WeightsError::Missing { name });
        };
        let tensor = Tensor::from_slice(values, shape.as_slice(), &Device::Cpu)
            .map_err(WeightsError::tensor(&name))?;
        weights.insert(name, tensor);
    }
    Ok(weights)
}
