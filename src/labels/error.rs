//! What may be wrong with labels. A wrong label teaches the wrong thing
//! without a sound, so everything doubtful is an error that names its row.

use std::path::PathBuf;

use super::schema::Semantics;
use crate::storage::StorageError;
use crate::tables::TableError;

/// Why labels cannot be used. Rows are counted from 1, without the header.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// A file is not there, or cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A table could not be written; nothing is left under its name.
    #[error(transparent)]
    Unwritable(#[from] StorageError),
    /// A table is none of the formats, or a damaged one.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A column that is needed is not there.
    #[error("{path}: no column {wanted}; there are {found}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// Its name, or names of which one is needed.
        wanted: String,
        /// The columns found (the first few).
        found: String,
    },
    /// No column of ids among the usual ones.
    #[error("{path}: no column of ids ({usual}); there are {found}: name it with --id")]
    NoIds {
        /// The file.
        path: PathBuf,
        /// The names that are looked for.
        usual: String,
        /// The columns found (the first few).
        found: String,
    },
    /// Ids of a type that has lost their last digits.
    #[error(
        "{path}: the ids in column {column} are floating-point numbers, which lose the last digits \
         of a survey's ids: write them as whole numbers or as text"
    )]
    FloatIds {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// The same, in a table of text.
    #[error(
        "{path}: row {row}: id {id} is a floating-point number, which has lost the last digits of \
         a survey's id: write ids as whole numbers or as text"
    )]
    FloatId {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// What stands there.
        id: String,
    },
    /// Two columns of one name.
    #[error("{path}: two columns are named {column:?}")]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// Two columns that could both be meant.
    #[error("{path}: both {:?} and {:?} may be {of}: leave one in the table", both[0], both[1])]
    TwoColumns {
        /// The file.
        path: PathBuf,
        /// What is looked for.
        of: String,
        /// The columns.
        both: [String; 2],
    },
    /// More rows than are held in memory.
    #[error("{path}: more than {limit} rows: keep those of your images")]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// How many there may be.
        limit: usize,
    },
    /// More classes than any tree has.
    #[error(
        "{path}: row {row}: more than {limit} different labels, such as {label:?}: is this the \
         column of labels?"
    )]
    TooManyClasses {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// How many there may be.
        limit: usize,
        /// The one beyond.
        label: String,
    },
    /// An id or a label that is longer than any.
    #[error("{path}: row {row}: {what} of {bytes} bytes, {text:?}: at most {limit}")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// Such as "an id".
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// Its beginning.
        text: String,
        /// How long it may be.
        limit: usize,
    },
    /// There is not one row.
    #[error("{path}: no rows")]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// A row without an id.
    #[error("{path}: row {row}: no id")]
    NoId {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
    },
    /// An id that was there before.
    #[error("{path}: row {row}: id {id} was there in row {first}")]
    DuplicateId {
        /// The file.
        path: PathBuf,
        /// The second row.
        row: u64,
        /// The first row.
        first: u64,
        /// The id.
        id: String,
    },
    /// A row without a label.
    #[error("{path}: row {row} (id {id}) has no label: remove the row, or label it")]
    NoLabel {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// Its id.
        id: String,
    },
    /// A label that is no class.
    #[error("{path}: row {row} (id {id}): unknown label {label:?}; the classes are {known}")]
    UnknownLabel {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The row's id.
        id: String,
        /// What stands there.
        label: String,
        /// The classes.
        known: String,
    },
    /// Not one label is among the classes.
    #[error("{path}: its classes, {found}, are not those of {whose}: {known}")]
    OtherClasses {
        /// The file.
        path: PathBuf,
        /// The labels found (the first few).
        found: String,
        /// Such as `the model`.
        whose: String,
        /// The classes.
        known: String,
    },
    /// A split that is none.
    #[error("{path}: row {row} (id {id}): unknown split {split:?}; they are train, val and test")]
    UnknownSplit {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The row's id.
        id: String,
        /// What stands there.
        split: String,
    },
    /// A vote that is no fraction.
    #[error("{path}: row {row} (id {id}): {column} is {value:?}, not a fraction from 0 to 1")]
    NotAFraction {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The row's id.
        id: String,
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// Probabilities that are none.
    #[error("{path}: row {row} (id {id}): {value} are no probabilities that add up to 1")]
    NotADistribution {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The row's id.
        id: String,
        /// What stands there.
        value: String,
    },
    /// A label that is no answer to its question.
    #[error(
        "{path}: row {row} (id {id}): {column} is {value:?}, which is no answer: one of {answers}, \
         or nothing where it is not known"
    )]
    NotAnAnswer {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The row's id.
        id: String,
        /// The question.
        column: String,
        /// What stands there.
        value: String,
        /// What may.
        answers: String,
    },
    /// A number of votes that is none.
    #[error("{path}: row {row} (id {id}): {column} is {value:?}, not a number of votes")]
    NotACount {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The row's id.
        id: String,
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// A row of an export of Panoptes that cannot be counted.
    #[error("{path}: row {row} ({id}): {what}")]
    Export {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The classification, or the subject.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// What the fractions are is said nowhere, and the numbers do not tell.
    #[error(
        "{path}: it is not clear what the fractions are: of the answers to questions, \
         {conditional} are as if of those who were asked (conditional), {cumulative} as if of \
         everybody who looked (cumulative). Describe the table in a file of your own (--votes)"
    )]
    Unclear {
        /// The file.
        path: PathBuf,
        /// Answers nearer to conditional fractions.
        conditional: u64,
        /// Answers nearer to cumulative ones.
        cumulative: u64,
    },
    /// The fractions are not what the schema says they are.
    #[error(
        "{path}: the fractions are not {claimed}: in {rows} of {of} rows the answers to {question} \
         add up to what the other semantics would have (first in row {first}), which would select \
         other galaxies; name the schema that fits the table"
    )]
    Semantics {
        /// The file.
        path: PathBuf,
        /// What the schema says.
        claimed: Semantics,
        /// The question that gives it away.
        question: String,
        /// Rows that contradict.
        rows: u64,
        /// Rows that could have.
        of: u64,
        /// The first that contradicts.
        first: u64,
    },
    /// A schema, rule or recipe file that is not what it should be.
    #[error("{path}: {what}")]
    Definition {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        what: String,
    },
    /// A table that is neither labels nor votes that are known.
    #[error(
        "{path}: neither a column `label` nor the columns of a known vote table ({schemas}): \
         name the schema of its votes"
    )]
    UnknownTable {
        /// The file.
        path: PathBuf,
        /// Names of the schemas.
        schemas: String,
    },
}
