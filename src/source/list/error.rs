//! Why a listing cannot begin or go on.
//!
//! These are mistakes in what the user asked for, or tables that cannot be
//! understood; the run ends. What merely could not be listed on the way is a
//! [`Problem`](super::Problem), what is wrong with one cutout a
//! [`Rejection`](crate::cutout::Rejection).

use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

use crate::tables::TableError;

/// A listing that cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// An input that is not there.
    #[error("{}: no such file or folder", path.display())]
    NotFound {
        /// As the user gave it.
        path: PathBuf,
    },
    /// An input, list or table that the system does not let us read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A list, or a table, that is a pipe or a device: it is read twice.
    #[error("{}: is {kind}, and must be a plain file", path.display())]
    NotAFile {
        /// As the user gave it.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A compressed archive, table or list.
    #[error("{}: is compressed; unpack it first: {how} {}", path.display(), path.display())]
    Compressed {
        /// As the user gave it.
        path: PathBuf,
        /// The command that unpacks it.
        how: &'static str,
    },
    /// A table or a list in an object store that is read through twice.
    #[error("{}: download this table first, or make it Parquet; its rows may be URLs", path.display())]
    RemoteTable {
        /// As the user gave it.
        path: PathBuf,
    },
    /// A URL with a password or a signature.
    #[error(
        "{url}: a URL with credentials, which would be kept with the run: give them as the \
         store's tools take them, or download first"
    )]
    Secret {
        /// Without them.
        url: String,
    },
    /// A band pattern that cannot be used.
    #[error("band pattern '{pattern}': {why} (example: {{id}}_{{band}}.fits)")]
    BandPattern {
        /// As the user gave it.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A line of a list that cannot be a path.
    #[error("{}: line {line} is longer than {limit} bytes: is this a list of paths, one a line?", path.display())]
    LongLine {
        /// The list.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Longest line that is read, in bytes.
        limit: u64,
    },
    /// A table without a column that it must have.
    #[error("{}: no column '{column}'; it has: {available}", table.display())]
    NoColumn {
        /// The table.
        table: PathBuf,
        /// The column that was looked for.
        column: String,
        /// The names that are there.
        available: String,
    },
    /// A column that its table says is in another unit than it is read in.
    #[error(
        "{}: column '{column}' is in {found}, and is read in {wanted}: convert it, and the unit \
         with it",
        table.display()
    )]
    Unit {
        /// The table.
        table: PathBuf,
        /// The column.
        column: String,
        /// As the table writes it.
        found: String,
        /// In words.
        wanted: &'static str,
    },
    /// A table with two columns of the name that one must have.
    #[error("{}: column '{column}' is there twice", table.display())]
    TwoColumns {
        /// The table.
        table: PathBuf,
        /// The column.
        column: String,
    },
    /// A table without a column of ids that is known.
    #[error("{}: no column of ids ({usual}); it has: {available}: name it with --id", table.display())]
    NoIds {
        /// The table.
        table: PathBuf,
        /// The names that are looked for.
        usual: String,
        /// The names that are there.
        available: String,
    },
    /// Ids that have lost their last digits.
    #[error(
        "{}: {row}: the id {id} is a floating-point number, which has lost the last digits of a \
         survey's id: write ids as whole numbers or as text",
        table.display()
    )]
    FloatId {
        /// The table.
        table: PathBuf,
        /// Such as `line 2`.
        row: String,
        /// What stands there.
        id: String,
    },
    /// Columns to carry were named, and no table is among the inputs.
    #[error(
        "column '{column}' cannot be carried: no table (.csv, .parquet, …) is among the inputs; \
         --join TABLE gives columns to files and archives by id"
    )]
    NoTable {
        /// The first column that was named.
        column: String,
    },
    /// A table of sources that cannot be understood, or is none.
    #[error("{}: {why}", path.display())]
    Sources {
        /// As the user gave it.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A table that cannot be joined to cutouts by their ids.
    #[error("{}: {why}", path.display())]
    Join {
        /// As the user gave it.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A column of a type that is not understood.
    #[error("{}: column '{column}' is {found}, and must be {expected}", table.display())]
    ColumnType {
        /// The table.
        table: PathBuf,
        /// Its column.
        column: String,
        /// The type that it has.
        found: String,
        /// The types that will do.
        expected: &'static str,
    },
    /// A CSV file that cannot be read on from a line.
    #[error("{}: line {line}: {source}", table.display())]
    Csv {
        /// The table.
        table: PathBuf,
        /// Where the record begins, counted from 1.
        line: u64,
        /// What is wrong.
        source: csv::Error,
    },
    /// Any other table that cannot be read.
    #[error(transparent)]
    Table(TableError),
    /// A value of a CSV file that no longer has the type found at first.
    #[error("{}: line {line}: column '{column}' holds '{value}', which it did not when the table was first read", table.display())]
    Changed {
        /// The table.
        table: PathBuf,
        /// Where the record begins, counted from 1.
        line: u64,
        /// Its column.
        column: String,
        /// What is there.
        value: String,
    },
    /// A Parquet file that cannot be read.
    #[error("{}: not a readable Parquet file: {source}", table.display())]
    Parquet {
        /// The table.
        table: PathBuf,
        /// What is wrong.
        source: ParquetError,
    },
    /// Rows that cannot be put together.
    #[error("rows of a table: {0}")]
    Arrow(#[from] ArrowError),
    /// A Parquet file that cannot be read on from a row.
    #[error("{}: after row {row}: {source}", table.display())]
    Rows {
        /// The table.
        table: PathBuf,
        /// Rows read so far.
        row: u64,
        /// What is wrong.
        source: ArrowError,
    },
}

impl From<TableError> for ListError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Unreadable { path, source } => Self::Io { path, source },
            TableError::Line { path, line, source } => Self::Csv { table: path, line, source },
            other => Self::Table(other),
        }
    }
}
