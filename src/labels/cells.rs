//! The cells of a table as text, row by row, whatever its format.
//!
//! It knows nothing of labels. Text is the common ground: a CSV holds nothing
//! else, ids must not be taken for numbers (leading zeros, 19 digits), and a
//! number that does not parse can be shown as it stands in the file.
//!
//! Memory: one batch of rows of the selected columns.

use std::path::Path;

use arrow::array::{Array, StringArray};
use arrow::datatypes::DataType;

use super::LabelError;
use crate::limits::few;
use crate::limits::table::LABELS;
use crate::storage::parquet::texts;
use crate::tables::{Column, Table, TableError};

/// The names of a table's columns.
///
/// # Errors
/// As [`each_row`].
pub(super) fn header(path: &Path) -> Result<Vec<String>, LabelError> {
    names(path, Table::open(path)?.columns())
}

/// Calls `row` with the number of each row (from 1) and the text of its
/// selected cells, "" where there is none. `select` is given the header and
/// returns the places of the wanted columns, that of the ids first.
///
/// # Errors
/// [`LabelError`] for the file, of which [`LabelError::FloatIds`] if its ids
/// have a type that has lost their digits; whatever `select` and `row` return.
pub(super) fn each_row(
    path: &Path,
    select: impl FnOnce(&[String]) -> Result<Vec<usize>, LabelError>,
    mut row: impl FnMut(u64, &[&str]) -> Result<(), LabelError>,
) -> Result<(), LabelError> {
    let table = Table::open(path)?;
    let names = names(path, table.columns())?;
    let wanted = select(&names)?;
    if let Some(&id) = wanted.first()
        && table.columns()[id].cells.as_ref().is_ok_and(DataType::is_floating)
    {
        let column = names[id].clone();
        return Err(LabelError::FloatIds { path: path.to_owned(), column });
    }
    let mut number = 0;
    for batch in table.rows(&wanted)? {
        let batch = batch?;
        let columns: Result<Vec<StringArray>, _> = batch.columns().iter().map(texts).collect();
        let columns =
            columns.map_err(|e| TableError::corrupt(path, format!("after row {number}: {e}")))?;
        for index in 0..batch.num_rows() {
            number += 1;
            if number > LABELS as u64 {
                return Err(LabelError::TooManyRows { path: path.to_owned(), limit: LABELS });
            }
            let text = |c: &StringArray| c.is_valid(index).then_some(index);
            let cells: Vec<&str> =
                columns.iter().map(|c| text(c).map_or("", |i| c.value(i).trim())).collect();
            row(number, &cells)?;
        }
    }
    if number == 0 {
        return Err(LabelError::NoRows { path: path.to_owned() });
    }
    Ok(())
}

/// The names of columns, of which no two are the same.
fn names(path: &Path, columns: &[Column]) -> Result<Vec<String>, LabelError> {
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let mut sorted: Vec<&String> = names.iter().filter(|n| !n.is_empty()).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(LabelError::DuplicateColumn { path: path.to_owned(), column: pair[0].clone() })
        }
        None => Ok(names),
    }
}

/// The place of the first of `names` in a header: to the letter, or else
/// whatever its case.
pub(super) fn place(header: &[String], names: &[&str]) -> Option<usize> {
    let exact = names.iter().find_map(|name| header.iter().position(|h| h == name));
    exact.or_else(|| {
        names.iter().find_map(|name| header.iter().position(|h| h.eq_ignore_ascii_case(name)))
    })
}

/// The place of the column of ids: the one that is `named`, or the first of the
/// `usual` ones.
///
/// # Errors
/// [`LabelError::MissingColumn`], [`LabelError::NoIds`].
pub(super) fn id_place(
    path: &Path,
    header: &[String],
    named: Option<&str>,
    usual: &[&str],
) -> Result<usize, LabelError> {
    match named {
        Some(name) => place(header, &[name]).ok_or_else(|| missing(path, header, name)),
        None => place(header, usual).ok_or_else(|| LabelError::NoIds {
            path: path.to_owned(),
            usual: usual.join(", "),
            found: few(header),
        }),
    }
}

/// The error for a column that is not there.
pub(super) fn missing(path: &Path, header: &[String], wanted: &str) -> LabelError {
    let (path, wanted) = (path.to_owned(), wanted.to_owned());
    LabelError::MissingColumn { path, wanted, found: few(header) }
}
