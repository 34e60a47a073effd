//! Why vectors could not be read or compared.

use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::run::RunError;
use crate::storage::StorageError;

/// Why vectors could not be read or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// The run cannot be opened.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A part cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The run keeps no vectors.
    #[error("{} keeps no features: make a run that does with `hiwl embed`", path.display())]
    NoVectors {
        /// Its folder.
        path: PathBuf,
    },
    /// A part is not what the run says.
    #[error("{}: it has no column of vectors as the run keeps them (`hiwl verify` says more)", path.display())]
    Part {
        /// The part.
        path: PathBuf,
    },
    /// No row has the id.
    #[error("no row of {} has the id `{id}`", path.display())]
    NoId {
        /// The id.
        id: String,
        /// The run's folder.
        path: PathBuf,
    },
    /// Several rows have it.
    #[error("{rows} rows of {} have the id `{id}`: which is meant cannot be told", path.display())]
    SeveralRows {
        /// The id.
        id: String,
        /// How many.
        rows: usize,
        /// The run's folder.
        path: PathBuf,
    },
    /// The row has no vector.
    #[error("the row of `{id}` in {} has no features: its cutout was rejected", path.display())]
    NoVector {
        /// The id.
        id: String,
        /// The run's folder.
        path: PathBuf,
    },
    /// Too few rows for a map.
    #[error("{} has {rows} rows with features, and a map of perplexity {perplexity} needs {needed}: \
        lower it, or take --method pca", path.display())]
    TooFew {
        /// The run's folder.
        path: PathBuf,
        /// How many it has.
        rows: usize,
        /// What is asked for.
        perplexity: f64,
        /// How many are needed.
        needed: usize,
    },
    /// A stop was asked for.
    #[error("stopped: nothing was written")]
    Stopped,
}

impl VectorError {
    /// Whether something else must be asked for: trying again will not help.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Run(error) => error.is_usage(),
            Self::Catalog(error) => error.is_usage(),
            Self::Storage(error) => error.is_usage(),
            Self::NoVectors { .. }
            | Self::NoId { .. }
            | Self::SeveralRows { .. }
            | Self::NoVector { .. }
            | Self::TooFew { .. } => true,
            Self::Part { .. } | Self::Stopped => false,
        }
    }
}
