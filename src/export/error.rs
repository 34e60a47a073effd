//! Why an export could not be made.

use std::path::{Path, PathBuf};

use arrow::error::ArrowError;

use super::filter::FilterError;
use crate::catalog::CatalogError;
use crate::run::RunError;
use crate::storage::StorageError;
use crate::words::{counted, part_of, suggesting};

/// Why an export could not be made. Nothing is left of it then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The run cannot be.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The system refused to write, or to read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The condition on rows is none.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A column was named that the catalog does not have.
    #[error("there is no column `{name}`: the catalog has {}", suggesting(columns, near.as_deref()))]
    NoColumn {
        /// The name.
        name: String,
        /// A question that names the nearest one, if one is near.
        near: Option<String>,
        /// Those that there are.
        columns: String,
    },
    /// Rows were to be sorted by a column that has no order.
    #[error("rows cannot be sorted by `{name}`: its values are vectors")]
    NoOrder {
        /// Its name.
        name: String,
    },
    /// A column was named twice, or two would have one name.
    #[error("two columns would be named `{name}`")]
    TwoColumns {
        /// The name.
        name: String,
    },
    /// A column of vectors was named, of which the format has none.
    #[error("`{name}` is a column of vectors: export it as Parquet or HATS")]
    Vector {
        /// The name.
        name: String,
    },
    /// Rows of the run are missing or damaged.
    #[error("{} is not complete: {} there (`hiwl verify` says what is \
        missing); ask for a partial export, or finish the run first", path.display(),
        part_of(*found, *expected, ["row", "rows"], ["is", "are"]))]
    Incomplete {
        /// The run's folder.
        path: PathBuf,
        /// Rows in sound parts.
        found: u64,
        /// Rows of the plan.
        expected: u64,
    },
    /// Every row is there, and beside the parts lies what is none of them.
    #[error("{}: {} is no part of this run: move it away, or ask for a partial export, which \
        leaves it out", path.display(), stray.display())]
    Stray {
        /// The run's folder.
        path: PathBuf,
        /// The first such file.
        stray: PathBuf,
    },
    /// A stop was asked for.
    #[error("stopped: nothing was written")]
    Stopped,
    /// Something has the output's name.
    #[error("{} is there already: name another output, or ask to overwrite it (a folder is never \
        overwritten: remove it)", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The output is a URL.
    #[error("{}: an export is a file or a folder on this machine; copy it to a store from there", path.display())]
    Remote {
        /// The output.
        path: PathBuf,
    },
    /// An id is no 64-bit integer.
    #[error("the id `{id}` is no 64-bit integer: export ids as text")]
    Id {
        /// The first such id.
        id: String,
    },
    /// HATS has no place for rows without a position, and no other row is left.
    #[error("none of the {} has a position, and HATS is ordered by position",
        counted(*rows, "row", "rows"))]
    NoPositions {
        /// Rows that were to be exported.
        rows: u64,
    },
    /// cfitsio could not write the table.
    #[error("cannot write {}: cfitsio: {text} (status {status})", path.display())]
    Fits {
        /// The file while it is written.
        path: PathBuf,
        /// cfitsio's code.
        status: i32,
        /// cfitsio's text for it.
        text: String,
    },
    /// The format cannot hold the table.
    #[error("the format cannot hold this table: {0}")]
    Unfit(String),
    /// Arrow refused what it should accept: a defect of the program.
    #[error("{doing}: {source}; this is a defect of hiwl")]
    Arrow {
        /// What was being done.
        doing: &'static str,
        /// Arrow's answer.
        source: ArrowError,
    },
}

impl ExportError {
    /// Whether repeating the same command would fail the same way.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_usage(),
            Self::Run(error) => error.is_usage(),
            Self::Storage(error) => error.is_usage(),
            Self::Filter(_)
            | Self::NoColumn { .. }
            | Self::NoOrder { .. }
            | Self::TwoColumns { .. }
            | Self::Exists { .. }
            | Self::Remote { .. }
            | Self::Id { .. }
            | Self::NoPositions { .. }
            | Self::Vector { .. }
            | Self::Unfit(_) => true,
            _ => false,
        }
    }

    pub(super) fn arrow(doing: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Arrow { doing, source }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let wrap = StorageError::io(doing, path);
        move |source| Self::Storage(wrap(source))
    }
}
