//! What may be wrong with a table.

use std::io;
use std::path::{Path, PathBuf};

use crate::limits::output::{ERROR, QUOTED};
use crate::limits::shortened;

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It is not there, or cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is none of the formats, or damaged.
    #[error("{path}: not a readable table: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the row or HDU.
        what: String,
    },
    /// A table of text that cannot be read on from a line.
    #[error("{}: line {line}: {source}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Where the record begins, counted from 1.
        line: u64,
        /// What is wrong.
        source: csv::Error,
    },
    /// A column was asked for that holds no cells.
    #[error("{path}: column {column} holds {what}, not one value a row")]
    NoCells {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Such as `lists of 5 numbers`.
        what: String,
    },
}

impl TableError {
    /// Whatever the words quote, a table cannot make them long.
    pub(crate) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        let what: String = what.into();
        Self::Corrupt { path: path.to_owned(), what: shortened(&what, ERROR).into_owned() }
    }

    /// The same of a column that holds no cells.
    pub(super) fn no_cells(path: PathBuf, column: &str, what: &str) -> Self {
        let (column, what) = (shortened(column, QUOTED), shortened(what, QUOTED));
        Self::NoCells { path, column: column.into_owned(), what: what.into_owned() }
    }

    /// An error of a reader: the system's, or what the bytes are wrong in.
    pub(super) fn io(path: &Path, source: io::Error, at: &str) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::corrupt(path, format!("it ends early, {at}")),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::corrupt(path, format!("{source}, {at}"))
            }
            _ => Self::Unreadable { path: path.to_owned(), source },
        }
    }
}
