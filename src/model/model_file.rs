//! The model file: one safetensors file with both networks of the hierarchy,
//! under `stage1.` and `stage2.`, and a [`Description`] in its metadata.
//!
//! Reading checks everything that a run relies on, so that a [`Model`] from
//! [`Model::read`] is complete, finite and of the architecture it names.
//! Making one from other people's weights is left to [`super::import`].
//!
//! Invariants: the same model gives the same bytes; a file under its final
//! name is whole.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{SafeTensorError, TensorView};
use serde::Deserialize;

use super::architecture::Architecture;
use super::description::{Description, FORMAT, Input, Provenance};
use super::file;
use super::hierarchy::Outputs;
use super::parameters::parameters;
use super::seeded;
use super::weights::{Weights, WeightsError};

/// Key of the description in the metadata.
const KEY: &str = "hiwl";

/// Why a model file cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It is not there, no file, or cannot be read.
    #[error("model {path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No safetensors file, or one that was cut short or damaged.
    #[error("model {path}: no safetensors file, or cut short: {source}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SafeTensorError,
    },
    /// Weights that do not say what they are.
    #[error(
        "model {path}: weights without a description of their use; \
         `hiwl model import` makes a model of them"
    )]
    NotAModel {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version of the program.
    #[error("model {path}: format {found}, while this program reads up to {FORMAT}: update it")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The description is not the JSON that it should be.
    #[error("model {path}: description: {source}")]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The description holds a value that makes no sense.
    #[error("model {path}: description: {what}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        what: String,
    },
    /// The weights of a stage do not fit the architecture, or are not finite.
    #[error("model {path}: stage {stage}: {source}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// 1 or 2.
        stage: u8,
        /// What is wrong with them.
        source: WeightsError,
    },
    /// It could not be written; nothing is left under its name.
    #[error("model {path}: cannot be written: {source}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// How convolutions and matrices are stored. Vectors (batch norm, biases) are
/// few and span many magnitudes: they are always stored in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Rounded to half precision: half the size.
    F16,
}

/// Both networks and what is needed to use them right.
#[derive(Debug, Clone)]
pub struct Model {
    /// What the file says of itself.
    pub description: Description,
    /// The 4-class network, in f32.
    pub stage1: Weights,
    /// The 2-class network, in f32.
    pub stage2: Weights,
    /// SHA-256 of the file it was read from, hexadecimal; `None` for a model
    /// that never was a file.
    pub digest: Option<String>,
}

impl Model {
    /// An untrained model with weights from `seed`, for crops of `size`
    /// pixels. The same arguments give the same file for ever.
    ///
    /// # Errors
    /// [`WeightsError`] if candle cannot allocate.
    pub fn seeded(
        architecture: Architecture,
        size: usize,
        seed: u64,
    ) -> Result<Self, WeightsError> {
        let outputs = Outputs::default();
        let stage1 = seeded::weights(&architecture, outputs.stage1.len(), seed, "stage1.")?;
        let stage2 = seeded::weights(&architecture, outputs.stage2.len(), seed, "stage2.")?;
        let provenance =
            Provenance { recipe: Some("seeded".into()), seed: Some(seed), ..Provenance::default() };
        let description = Description {
            format: FORMAT,
            architecture,
            input: Input::paper(size),
            outputs,
            untrained: true,
            provenance,
        };
        Ok(Self { description, stage1, stage2, digest: None })
    }

    /// Reads and checks a model file.
    ///
    /// # Errors
    /// [`ModelError`], each kind by what is wrong.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let bytes = file::read(path)
            .map_err(|source| ModelError::Unreadable { path: path.to_owned(), source })?;
        let path = || path.to_owned();
        let corrupt = |source| ModelError::Corrupt { path: path(), source };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(corrupt)?;
        let text = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(KEY))
            .ok_or_else(|| ModelError::NotAModel { path: path() })?;
        let description = parse(text).map_err(|e| e.at(path()))?;

        let tensors = SafeTensors::deserialize(&bytes).map_err(corrupt)?;
        let [stage1, stage2] = stages(&tensors, &description)
            .map_err(|(stage, source)| ModelError::Weights { path: path(), stage, source })?;
        Ok(Self { description, stage1, stage2, digest: Some(file::sha256(&bytes)) })
    }

    /// Writes the file under a temporary name, makes it durable, and renames
    /// it. Returns its SHA-256.
    ///
    /// # Errors
    /// [`ModelError::Unwritable`]; [`ModelError::Invalid`] and
    /// [`ModelError::Weights`] if it could not be read back, such as weights
    /// that overflow half precision.
    pub fn write(&self, path: &Path, precision: Precision) -> Result<String, ModelError> {
        let bytes = self.to_bytes(path, precision)?;
        file::replace(path, &bytes)
            .map_err(|source| ModelError::Unwritable { path: path.to_owned(), source })?;
        Ok(file::sha256(&bytes))
    }

    /// The bytes of the file; `path` is for errors.
    fn to_bytes(&self, path: &Path, precision: Precision) -> Result<Vec<u8>, ModelError> {
        let owned = || path.to_owned();
        self.description.check().map_err(|what| ModelError::Invalid { path: owned(), what })?;
        let text = serde_json::to_string(&self.description)
            .map_err(|source| ModelError::Description { path: owned(), source })?;
        let mut tensors = Vec::new();
        for (stage, weights, classes) in self.stages() {
            let at = |source| ModelError::Weights { path: owned(), stage, source };
            let stored = stored(weights, precision).map_err(at)?;
            stored.check(&parameters(&self.description.architecture, classes)).map_err(at)?;
            let named = stored.iter().map(|(name, t)| (format!("stage{stage}.{name}"), t.clone()));
            tensors.extend(named);
        }
        safetensors::serialize(tensors, Some(HashMap::from([(KEY.to_owned(), text)])))
            .map_err(|source| ModelError::Corrupt { path: owned(), source })
    }

    /// Stage, weights and number of classes of both networks.
    fn stages(&self) -> [(u8, &Weights, usize); 2] {
        let Outputs { stage1, stage2 } = &self.description.outputs;
        [(1, &self.stage1, stage1.len()), (2, &self.stage2, stage2.len())]
    }
}

/// What may be wrong with a description, before the path is known.
enum Flaw {
    Json(serde_json::Error),
    Newer(u32),
    Value(String),
}

impl Flaw {
    fn at(self, path: PathBuf) -> ModelError {
        match self {
            Self::Json(source) => ModelError::Description { path, source },
            Self::Newer(found) => ModelError::Newer { path, found },
            Self::Value(what) => ModelError::Invalid { path, what },
        }
    }
}

/// The description in `text`. Its version is looked at first, so that a later
/// format is named as such and not by what differs in it.
fn parse(text: &str) -> Result<Description, Flaw> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let Version { format } = serde_json::from_str(text).map_err(Flaw::Json)?;
    if format > FORMAT {
        return Err(Flaw::Newer(format));
    }
    let description: Description = serde_json::from_str(text).map_err(Flaw::Json)?;
    description.check().map_err(Flaw::Value)?;
    Ok(description)
}

/// The checked weights of both stages, or the stage and what is wrong.
fn stages(
    file: &SafeTensors,
    description: &Description,
) -> Result<[Weights; 2], (u8, WeightsError)> {
    let mut stages = [Weights::new(), Weights::new()];
    for (full, view) in file.iter() {
        let (index, name) = match full.split_at_checked(7) {
            Some(("stage1.", name)) => (0, name),
            Some(("stage2.", name)) => (1, name),
            _ => return Err((1, WeightsError::Unexpected { name: full.to_owned() })),
        };
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let tensor = float_tensor(&view)
            .map_err(WeightsError::tensor(name))
            .map_err(|source| (index as u8 + 1, source))?;
        stages[index].insert(name, tensor);
    }
    let Outputs { stage1, stage2 } = &description.outputs;
    for (stage, weights, classes) in [(1, &stages[0], stage1.len()), (2, &stages[1], stage2.len())]
    {
        weights
            .check(&parameters(&description.architecture, classes))
            .map_err(|source| (stage, source))?;
    }
    Ok(stages)
}

/// A tensor of any floating-point type of up to 64 bits, in f32.
pub(crate) fn float_tensor(view: &TensorView) -> candle_core::Result<Tensor> {
    use safetensors::Dtype::{BF16, F16, F32, F64};
    if !matches!(view.dtype(), F16 | BF16 | F32 | F64) {
        return Err(candle_core::Error::UnsupportedSafeTensorDtype(view.dtype()));
    }
    view.load(&Device::Cpu)?.to_dtype(DType::F32)
}

/// The weights in the types in which they are stored.
fn stored(weights: &Weights, precision: Precision) -> Result<Weights, WeightsError> {
    let mut stored = Weights::new();
    for (name, tensor) in weights.iter() {
        let dtype = match precision {
            Precision::F16 if tensor.rank() > 1 => DType::F16,
            Precision::F16 | Precision::F32 => DType::F32,
        };
        let tensor = tensor.to_dtype(dtype).map_err(WeightsError::tensor(name))?;
        stored.insert(name, tensor);
    }
    Ok(stored)
}

/// The weights as they are read back from a file of this precision.
///
/// # Errors
/// [`WeightsError::Tensor`] if candle fails.
pub fn rounded(weights: &Weights, precision: Precision) -> Result<Weights, WeightsError> {
    let mut rounded = Weights::new();
    for (name, tensor) in stored(weights, precision)?.iter() {
        rounded.insert(name, tensor.to_dtype(DType::F32).map_err(WeightsError::tensor(name))?);
    }
    Ok(rounded)
}

#[cfg(test)]
#[path = "model_file_tests.rs"]
mod tests;
