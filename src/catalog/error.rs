//! What can go wrong with a catalog.

use std::path::PathBuf;

use crate::run::RunError;
use crate::storage::StorageError;

/// An error of the catalog layer. What is wrong with a part is a
/// [`Damage`](super::Damage), and no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The run's folder cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The system refused, or a file is not what it was written as.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A part has fewer rows than its name says.
    #[error("{}: {what}: `hiwl verify` says what is wrong with it", path.display())]
    Short {
        /// The part.
        path: PathBuf,
        /// What is there.
        what: String,
    },
    /// The pipeline handed over rows that are not the range's: a defect of the
    /// program, never of the input.
    #[error("range {range}: {what}; this is a defect of hiwl, and the part was not written")]
    Rows {
        /// The range.
        range: u64,
        /// What came instead of what.
        what: String,
    },
}

impl CatalogError {
    /// Whether there is no space left (or no quota). What was committed is
    /// kept; the run goes on once there is space.
    pub fn is_storage_full(&self) -> bool {
        match self {
            Self::Run(error) => error.is_storage_full(),
            Self::Storage(error) => error.is_storage_full(),
            Self::Short { .. } | Self::Rows { .. } => false,
        }
    }

    /// Whether another folder or other settings must be named: repeating the
    /// same command would fail the same way.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Run(error) => error.is_usage(),
            Self::Storage(error) => error.is_usage(),
            Self::Short { .. } | Self::Rows { .. } => false,
        }
    }
}
