//! Why a simulation could not be written.

use std::io;
use std::path::PathBuf;

use super::SIZES;
use crate::storage::StorageError;

/// Why a simulation could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The folder already holds something; nothing was touched.
    #[error("{}: not empty; name a new folder, or empty this one", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// A file or folder could not be read, made or written (permission, full
    /// disk).
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The table of labels could not be written, or the folder is one into which
    /// nothing is.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A cutout of this size is not made.
    #[error("size {size}: cutouts have {} to {} pixels a side", SIZES.start(), SIZES.end())]
    Size {
        /// What was asked for.
        size: usize,
    },
    /// No class can be drawn with these weights.
    #[error("weights of the classes must be zero or more, and not all zero")]
    Weights,
    /// There is nothing to make.
    #[error("a simulation needs a count of at least 1")]
    NoGalaxies,
    /// The images of mosaics would reach beyond the sky.
    #[error("{count} galaxies from index {first} on: the sky of mosaics has room for {most}")]
    Sky {
        /// The first index.
        first: u64,
        /// The number of galaxies.
        count: u64,
        /// How many there can be.
        most: u64,
    },
    /// The last index would not fit.
    #[error("{count} galaxies from index {first} on: indices end at 2^64")]
    Indices {
        /// The first index.
        first: u64,
        /// The number of galaxies.
        count: u64,
    },
    /// A picture could not be encoded.
    #[error("{id}: {source}")]
    Encode {
        /// The galaxy.
        id: String,
        /// What the encoder said.
        source: jpeg_encoder::EncodingError,
    },
}

impl SimulateError {
    /// Whether something else must be asked for: trying again will not help.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Encode { .. } => false,
            Self::Storage(error) => error.is_usage(),
            Self::NotEmpty { .. }
            | Self::Size { .. }
            | Self::Weights
            | Self::NoGalaxies
            | Self::Indices { .. }
            | Self::Sky { .. } => true,
        }
    }

    /// For `map_err`: an I/O error at a path.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
