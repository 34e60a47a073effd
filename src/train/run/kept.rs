//! The weights of one epoch of one model, kept because it was among the best:
//! a safetensors file under torchvision's names, with what they are in its
//! metadata, so that another run can start from them.

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::catalog::CatalogError;
use crate::model::architecture::Architecture;
use crate::model::file;
use crate::model::model_file::float_tensor;
use crate::model::parameters::parameters;
use crate::model::weights::Weights;

/// Key of the description in the metadata.
const KEY: &str = "hiwl-weights";

/// What kept weights are.
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
}

/// Weights and what they are.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What they are.
    pub description: Description,
    /// The weights.
    pub weights: Weights,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
}

/// Writes kept weights; the file appears whole or not at all.
///
/// # Errors
/// [`TrainError::Folder`].
pub fn write(path: &Path, description: &Description, weights: &Weights) -> Result<(), TrainError> {
    let broken = |what: String| TrainError::Checkpoint { path: path.to_owned(), what };
    let text = serde_json::to_string(description).map_err(|e| broken(e.to_string()))?;
    let tensors = weights.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone()));
    let bytes = safetensors::serialize(tensors, Some(HashMap::from([(KEY.to_owned(), text)])))
        .map_err(|e| broken(e.to_string()))?;
    Ok(file::replace(path, &bytes).map_err(CatalogError::io("write", path))?)
}

/// Reads kept weights; `None` if the file is something else.
///
/// # Errors
/// [`TrainError::Folder`] if it cannot be read, [`TrainError::Checkpoint`] if
/// it is damaged.
pub fn read(path: &Path) -> Result<Option<Kept>, TrainError> {
    let bytes = file::read(path).map_err(CatalogError::io("read", path))?;
    let damaged = |what: String| TrainError::Checkpoint { path: path.to_owned(), what };
    let Ok((_, header)) = SafeTensors::read_metadata(&bytes) else { return Ok(None) };
    let Some(text) = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY)) else {
        return Ok(None);
    };
    let description: Description =
        serde_json::from_str(text).map_err(|e| damaged(format!("its description: {e}")))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut weights = Weights::new();
    for (name, view) in tensors.iter() {
        let tensor = float_tensor(&view).map_err(|e| damaged(format!("tensor `{name}`: {e}")))?;
        weights.insert(name, tensor);
    }
    weights.check(&parameters(&description.architecture, description.outputs.len()))?;
    Ok(Some(Kept { description, weights, digest: file::sha256(&bytes) }))
}
