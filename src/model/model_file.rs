//! The model file: one safetensors file with every network of the model, each
//! under its name and a dot, and a [`Description`] in its metadata.
//!
//! Reading checks everything that a run relies on, so that a [`Model`] from
//! [`Model::read`] is complete, finite and of the architecture it names.
//! Making one from other people's weights is left to [`super::import`].
//!
//! Invariants: the same model gives the same bytes; a file under its final
//! name is whole.

use std::path::{Path, PathBuf};

use candle_core::DType;
use safetensors::tensor::SafeTensorError;

use super::architecture::Architecture;
use super::description::{Description, FORMAT, Flaw, Input, Provenance};
use super::oddness::Oddness;
use super::parameters::parameters;
use super::seeded;
use super::tensors::{self, Tensors};
use super::weights::{Weights, WeightsError};
use super::whole;
use crate::storage::{StorageError, digest::sha256, file, output};
use crate::tree::Scheme;

/// Key of the description in the metadata.
const KEY: &str = "hiwl";

/// Begins the names of the oddness's tensors: no network can be called so.
const ODDNESS: &str = "@oddness.";

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
    /// The weights of a network do not fit the architecture, or are not finite.
    #[error("model {path}: {network}: {source}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// Its name, as it is spoken.
        network: String,
        /// What is wrong with them.
        source: WeightsError,
    },
    /// It could not be written; nothing is left under its name.
    #[error("model {path}: {source}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: StorageError,
    },
}

/// How convolutions and matrices are stored. Vectors (batch norm, biases) are
/// few and span many magnitudes: they are always stored in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoredPrecision {
    /// As they are.
    #[default]
    F32,
    /// Rounded to half precision: half the size.
    F16,
}

/// Networks and what is needed to use them right.
#[derive(Debug, Clone)]
pub struct Model {
    /// What the file says of itself.
    pub description: Description,
    /// The weights of each network, in f32, in the order of the scheme's.
    pub networks: Vec<Weights>,
    /// What tells odd pictures, if the model does; see [`Model::set_oddness`].
    pub oddness: Option<Oddness>,
    /// SHA-256 of the file it was read from, hexadecimal; `None` for a model
    /// that never was a file.
    pub digest: Option<String>,
}

impl Model {
    /// An untrained model of HIWL's tree with weights from `seed`, for crops of
    /// `size` pixels. The same arguments give the same file for ever.
    ///
    /// # Errors
    /// [`WeightsError`] if candle cannot allocate.
    pub fn seeded(
        architecture: Architecture,
        size: usize,
        seed: u64,
    ) -> Result<Self, WeightsError> {
        let scheme = Scheme::hiwl();
        let networks = scheme.networks().iter().map(|network| {
            let prefix = format!("{}.", network.name);
            seeded::weights(&architecture, network.outputs(), seed, &prefix)
        });
        let networks = networks.collect::<Result<Vec<_>, _>>()?;
        let provenance =
            Provenance { recipe: Some("seeded".into()), seed: Some(seed), ..Provenance::default() };
        let architectures = vec![architecture; networks.len()];
        let description = Description {
            untrained: true,
            provenance,
            ..Description::new(scheme, architectures, Input::paper(size))
        };
        Ok(Self::new(description, networks))
    }

    /// A model of these networks, which never was a file.
    pub fn new(description: Description, networks: Vec<Weights>) -> Self {
        Self { description, networks, oddness: None, digest: None }
    }

    /// Takes what tells odd pictures, or `None`.
    pub fn set_oddness(&mut self, oddness: Option<Oddness>) {
        self.description.tell_oddness(oddness.as_ref().map(|oddness| oddness.about.clone()));
        self.oddness = oddness;
    }

    /// Reads and checks a model file.
    ///
    /// # Errors
    /// [`ModelError`], each kind by what is wrong.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let bytes = whole::read(path)
            .map_err(|source| ModelError::Unreadable { path: path.to_owned(), source })?;
        let description = describe(&bytes, path)?;
        let path = || path.to_owned();
        let tensors =
            Tensors::of(&bytes).map_err(|source| ModelError::Corrupt { path: path(), source })?;
        let at = |(network, source)| ModelError::Weights { path: path(), network, source };
        let networks = networks(&tensors, &description).map_err(at)?;
        let oddness = oddness(&tensors, &description).map_err(|e| at(("oddness".into(), e)))?;
        Ok(Self { description, networks, oddness, digest: Some(sha256(&bytes)) })
    }

    /// Writes the file under a temporary name, makes it durable, and renames
    /// it. Returns its SHA-256.
    ///
    /// # Errors
    /// [`ModelError::Unwritable`]; [`ModelError::Invalid`] and
    /// [`ModelError::Weights`] if it could not be read back, such as weights
    /// that overflow half precision.
    pub fn write(&self, path: &Path, precision: StoredPrecision) -> Result<String, ModelError> {
        self.put(path, precision, |path, bytes| output::write(path, bytes, &[]))
    }

    /// As [`write`](Self::write), into the folder of the run that trained it,
    /// where nobody else may write.
    pub(crate) fn write_into_run(
        &self,
        path: &Path,
        precision: StoredPrecision,
    ) -> Result<String, ModelError> {
        self.put(path, precision, file::replace)
    }

    fn put(
        &self,
        path: &Path,
        precision: StoredPrecision,
        write: impl FnOnce(&Path, &[u8]) -> Result<(), StorageError>,
    ) -> Result<String, ModelError> {
        let bytes = self.to_bytes(path, precision)?;
        write(path, &bytes)
            .map_err(|source| ModelError::Unwritable { path: path.to_owned(), source })?;
        Ok(sha256(&bytes))
    }

    /// The bytes of the file; `path` is for errors.
    fn to_bytes(&self, path: &Path, precision: StoredPrecision) -> Result<Vec<u8>, ModelError> {
        let owned = || path.to_owned();
        self.description.check().map_err(|what| ModelError::Invalid { path: owned(), what })?;
        assert_eq!(self.networks.len(), self.description.architectures.len(), "every network");
        let about = self.oddness.as_ref().map(|oddness| &oddness.about);
        assert_eq!(about, self.description.extras.oddness.as_ref(), "set by `set_oddness`");
        let text = serde_json::to_string(&self.description)
            .map_err(|source| ModelError::Description { path: owned(), source })?;
        let mut tensors = Vec::new();
        for ((network, architecture), weights) in self.description.networks().zip(&self.networks) {
            let at =
                |source| ModelError::Weights { path: owned(), network: network.spoken(), source };
            let stored = stored(weights, precision).map_err(at)?;
            stored.check(&parameters(architecture, network.outputs())).map_err(at)?;
            let prefix = &network.name;
            let named = stored.iter().map(|(name, t)| (format!("{prefix}.{name}"), t.clone()));
            tensors.extend(named);
        }
        if let Some(oddness) = &self.oddness {
            let own = oddness.tensors().map_err(|source| ModelError::Weights {
                path: owned(),
                network: "oddness".into(),
                source,
            })?;
            tensors.extend(own.into_iter().map(|(name, t)| (format!("{ODDNESS}{name}"), t)));
        }
        tensors::to_bytes((KEY, text), tensors)
            .map_err(|source| ModelError::Corrupt { path: owned(), source })
    }

    /// The network of this name.
    pub fn network(&self, name: &str) -> Option<&Weights> {
        let names = self.description.scheme.networks().iter();
        names.zip(&self.networks).find(|(network, _)| network.name == name).map(|found| found.1)
    }
}

impl Description {
    /// What a model file says of itself; its weights are not looked at.
    ///
    /// # Errors
    /// [`ModelError`], each kind by what is wrong.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let bytes = whole::read(path)
            .map_err(|source| ModelError::Unreadable { path: path.to_owned(), source })?;
        describe(&bytes, path)
    }
}

/// The description in the bytes of a file; `path` is for errors.
fn describe(bytes: &[u8], path: &Path) -> Result<Description, ModelError> {
    let owned = || path.to_owned();
    let text = tensors::text(bytes, KEY)
        .map_err(|source| ModelError::Corrupt { path: owned(), source })?
        .ok_or_else(|| ModelError::NotAModel { path: owned() })?;
    Description::parse(&text).map_err(|flaw| at(flaw, owned()))
}

/// What is wrong with a description, at its path.
fn at(flaw: Flaw, path: PathBuf) -> ModelError {
    match flaw {
        Flaw::Json(source) => ModelError::Description { path, source },
        Flaw::Newer(found) => ModelError::Newer { path, found },
        Flaw::Value(what) => ModelError::Invalid { path, what },
    }
}

/// The checked weights of every network, or the network and what is wrong.
fn networks(
    file: &Tensors<'_>,
    description: &Description,
) -> Result<Vec<Weights>, (String, WeightsError)> {
    let named = description.scheme.networks();
    let mut found = vec![Weights::new(); named.len()];
    for (full, tensor) in file.floats().filter(|(name, _)| !name.starts_with(ODDNESS)) {
        let place = full
            .split_once('.')
            .and_then(|(own, name)| Some((named.iter().position(|n| n.name == own)?, name)));
        let Some((place, name)) = place else {
            let source = WeightsError::Unexpected { name: full.to_owned() };
            return Err((named[0].spoken(), source));
        };
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let tensor = tensor
            .map_err(WeightsError::tensor(name))
            .map_err(|source| (named[place].spoken(), source))?;
        found[place].insert(name, tensor);
    }
    for ((network, architecture), weights) in description.networks().zip(&found) {
        weights
            .check(&parameters(architecture, network.outputs()))
            .map_err(|source| (network.spoken(), source))?;
    }
    Ok(found)
}

/// What tells odd pictures, where the description says that there is something.
fn oddness(file: &Tensors<'_>, description: &Description) -> Result<Option<Oddness>, WeightsError> {
    let mut tensors = Weights::new();
    for (full, tensor) in file.floats() {
        let Some(name) = full.strip_prefix(ODDNESS) else { continue };
        tensors.insert(name, tensor.map_err(WeightsError::tensor(name))?);
    }
    match (description.extras.oddness.clone(), tensors.iter().next()) {
        (Some(about), _) => Oddness::from_tensors(about, &tensors).map(Some),
        (None, None) => Ok(None),
        (None, Some((name, _))) => Err(WeightsError::Unexpected { name: name.to_owned() }),
    }
}

/// The weights in the types in which they are stored.
fn stored(weights: &Weights, precision: StoredPrecision) -> Result<Weights, WeightsError> {
    let mut stored = Weights::new();
    for (name, tensor) in weights.iter() {
        let dtype = match precision {
            StoredPrecision::F16 if tensor.rank() > 1 => DType::F16,
            StoredPrecision::F16 | StoredPrecision::F32 => DType::F32,
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
pub fn rounded(weights: &Weights, precision: StoredPrecision) -> Result<Weights, WeightsError> {
    let mut rounded = Weights::new();
    for (name, tensor) in stored(weights, precision)?.iter() {
        rounded.insert(name, tensor.to_dtype(DType::F32).map_err(WeightsError::tensor(name))?);
    }
    Ok(rounded)
}

#[cfg(test)]
#[path = "model_file_tests.rs"]
mod tests;
