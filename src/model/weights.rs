//! Named tensors of a network, in f32 on the CPU, checked as they are taken.
//!
//! Names are torchvision's (see [`super::architecture`]). Reading files is
//! left to [`super::model_file`] and [`super::import`].

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};

use super::parameters::Parameter;

/// Why a network cannot be built from the tensors at hand.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A tensor that the architecture needs is not there.
    #[error("tensor `{name}` is missing: the weights are of another architecture")]
    Missing {
        /// Its canonical name.
        name: String,
    },
    /// A tensor is there that the architecture does not have.
    #[error("tensor `{name}` is not needed: the weights are of another architecture")]
    Unexpected {
        /// Its name.
        name: String,
    },
    /// A tensor has another shape than the architecture says.
    #[error("tensor `{name}` has shape {found:?} where {expected:?} is needed")]
    Shape {
        /// Its canonical name.
        name: String,
        /// Shape that the architecture asks for.
        expected: Vec<usize>,
        /// Shape found.
        found: Vec<usize>,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor `{name}` holds {count} values that are not finite")]
    NotFinite {
        /// Its canonical name.
        name: String,
        /// How many.
        count: usize,
    },
    /// A tensor holds values that make no sense.
    #[error("tensor `{name}` holds values that make no sense")]
    Values {
        /// Its name.
        name: String,
    },
    /// candle could not read or convert the tensor.
    #[error("tensor `{name}`: {source}")]
    Tensor {
        /// Its canonical name.
        name: String,
        /// What candle said.
        source: Box<candle_core::Error>,
    },
}

impl WeightsError {
    /// For `map_err`: candle failed on the tensor `name`.
    pub fn tensor(name: &str) -> impl FnOnce(candle_core::Error) -> Self {
        move |source| Self::Tensor { name: name.to_owned(), source: Box::new(source) }
    }
}

/// The tensors of one network by canonical name.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// No tensors yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.tensors.insert(name.into(), tensor);
    }

    /// The tensor of this name, whatever its shape.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Names and tensors, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor `name` in f32, which must have this shape.
    ///
    /// # Errors
    /// [`WeightsError::Missing`] and [`WeightsError::Shape`].
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let tensor =
            self.get(name).ok_or_else(|| WeightsError::Missing { name: name.to_owned() })?;
        if tensor.dims() != shape {
            return Err(WeightsError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: tensor.dims().to_vec(),
            });
        }
        tensor.to_dtype(DType::F32).map_err(WeightsError::tensor(name))
    }

    /// The values of tensor `name` in row-major order: of this shape, finite.
    ///
    /// # Errors
    /// Those of [`Weights::tensor`], and [`WeightsError::NotFinite`].
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let values = self
            .tensor(name, shape)?
            .flatten_all()
            .and_then(|t| t.to_vec1::<f32>())
            .map_err(WeightsError::tensor(name))?;
        let count = values.iter().filter(|v| !v.is_finite()).count();
        if count > 0 {
            return Err(WeightsError::NotFinite { name: name.to_owned(), count });
        }
        Ok(values)
    }
    /// Checks that these are the tensors of a network and nothing else: every
    /// one of `parameters` is there, of its shape and finite.
    ///
    /// # Errors
    /// The first that is wrong; [`WeightsError::Unexpected`] for one too many,
    /// such as those of a deeper network.
    pub fn check(&self, parameters: &[Parameter]) -> Result<(), WeightsError> {
        for parameter in parameters {
            self.values(&parameter.name, &parameter.shape)?;
        }
        let known: BTreeSet<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        match self.tensors.keys().find(|name| !known.contains(name.as_str())) {
            Some(name) => Err(WeightsError::Unexpected { name: name.clone() }),
            None => Ok(()),
        }
    }
}
