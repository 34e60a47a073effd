//! Which rows: `--where "p_spi > 0.8 and not label in ('EO', 'CSS')"`.
//!
//! The language is the part of SQL that picks rows by their own values:
//! comparisons (`= == != <> < <= > >=`) of a column with a value or another
//! column, `in (…)`, `between … and …`, `is [not] null`, a column of truth
//! values by itself, `not`, `and`, `or`, parentheses. Text stands in single
//! quotes, a column's odd name in double ones. `token` cuts the text,
//! `parse` makes a tree of it that fits the columns' types, `evaluate` runs
//! the tree over batches.
//!
//! Two rules where tools differ. A number is taken as the column's type before
//! it is compared, as DuckDB, polars and pandas do: `p > 0.8` leaves out a
//! 32-bit 0.8. A NaN is no value, like a null: no comparison holds for it, and
//! `is null` does.
//!
//! Invariant: an expression that parses evaluates on every batch of its schema.

mod evaluate;
mod parse;
mod token;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;

pub(super) use evaluate::without_nan;
use parse::Node;

/// A condition on rows, checked against a schema.
#[derive(Debug, Clone)]
pub struct Filter {
    node: Node,
}

/// Why a text is no condition on the rows of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("condition, at character {}: {message}\n  {text}\n  {:>width$}", .position + 1, "^", width = .position + 1)]
pub struct FilterError {
    /// What is wrong, naming the column if it is about one.
    pub message: String,
    /// Where, in characters from 0.
    pub position: usize,
    /// The text.
    pub text: String,
}

impl Filter {
    /// Reads a condition on rows that have the columns of `schema`.
    ///
    /// # Errors
    /// [`FilterError`] with the place.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, FilterError> {
        let node = token::tokens(text).and_then(|tokens| parse::parse(&tokens, schema));
        let node = node.map_err(|(position, message)| FilterError {
            message,
            position,
            text: text.replace(['\n', '\r', '\t'], " "),
        })?;
        Ok(Self { node })
    }

    /// The columns that it looks at, by their place in the schema, sorted.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        self.node.columns(&mut columns);
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Whether each row of a batch is wanted; `place` says where in the batch
    /// the column with this place in the schema is. A condition that is
    /// neither true nor false (because a value is missing) is null, and the
    /// row is not wanted.
    ///
    /// # Errors
    /// What Arrow says, which it does only of a batch of another schema.
    pub fn wanted(
        &self,
        batch: &RecordBatch,
        place: impl Fn(usize) -> usize,
    ) -> Result<BooleanArray, ArrowError> {
        let column = |index| batch.column(place(index)).clone();
        evaluate::evaluate(&self.node, batch.num_rows(), &column)
    }
}

#[cfg(test)]
mod tests;
