//! The weights of one epoch of one model, kept because it was among the best:
//! a safetensors file under torchvision's names, with what they are in its
//! metadata, so that another run can start from them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::description::Input;
use super::parameters::parameters;
use super::tensors::{self, Tensors};
use super::weights::{Weights, WeightsError};
use super::whole;
use crate::storage::{StorageError, digest, file};

/// Key of the description in the metadata.
const KEY: &str = "hiwl-weights";

/// What saved weights are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Of the network.
    pub architecture: Architecture,
    /// A list of classes for each output.
    pub outputs: Vec<Vec<String>>,
    /// Which model of the run.
    pub model: String,
    /// From 1.
    pub epoch: u32,
    /// On validation.
    pub accuracy: f64,
    /// SHA-256 of the run's `run.json`.
    pub run: String,
    /// What the network is fed; older files do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
}

/// Why saved weights cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SavedWeightsError {
    /// The system does not let them.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The file is damaged.
    #[error("{path}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// They are not the weights of their own description.
    #[error("{path}: {source}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: WeightsError,
    },
}

/// Weights and what they are.
#[derive(Debug, Clone)]
pub struct SavedWeights {
    /// What they are.
    pub description: Description,
    /// The weights.
    pub weights: Weights,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
}

/// Writes saved weights; the file appears whole or not at all.
///
/// # Errors
/// [`SavedWeightsError`].
pub fn write(
    path: &Path,
    description: &Description,
    weights: &Weights,
) -> Result<(), SavedWeightsError> {
    let broken = |what: String| SavedWeightsError::Damaged { path: path.to_owned(), what };
    let text = serde_json::to_string(description).map_err(|e| broken(e.to_string()))?;
    let tensors = weights.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone()));
    let bytes = tensors::to_bytes((KEY, text), tensors).map_err(|e| broken(e.to_string()))?;
    Ok(file::replace(path, &bytes)?)
}

/// Reads saved weights; `None` if the file is something else.
///
/// # Errors
/// [`SavedWeightsError`].
pub fn read(path: &Path) -> Result<Option<SavedWeights>, SavedWeightsError> {
    let bytes = whole::read(path).map_err(StorageError::io("read", path))?;
    let damaged = |what: String| SavedWeightsError::Damaged { path: path.to_owned(), what };
    let Ok(Some(text)) = tensors::text(&bytes, KEY) else { return Ok(None) };
    let description: Description =
        serde_json::from_str(&text).map_err(|e| damaged(format!("its description: {e}")))?;
    let file = Tensors::of(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut weights = Weights::new();
    for (name, tensor) in file.floats() {
        let tensor = tensor.map_err(|e| damaged(format!("tensor `{name}`: {e}")))?;
        weights.insert(name, tensor);
    }
    weights
        .check(&parameters(&description.architecture, description.outputs.len()))
        .map_err(|source| SavedWeightsError::Weights { path: path.to_owned(), source })?;
    Ok(Some(SavedWeights { description, weights, digest: digest::sha256(&bytes) }))
}
