//! The selected rows of a catalog, read part by part.
//!
//! Memory: one batch; a part's pages are decompressed as they are needed.

use std::path::{Path, PathBuf};

use crate::limits::output::CELL;
use crate::storage::parquet::Batches;
use arrow::array::{Array, AsArray, RecordBatch};

use super::ExportError;
use super::selection::{Selected, Selection};
use crate::catalog::part::longest_text;
use crate::catalog::part_reader;
use crate::run::RowRange;
use crate::storage::StorageError;

/// An iterator over batches of selected rows; empty ones are among them.
pub(super) struct Rows<'a> {
    dir: &'a Path,
    ranges: std::slice::Iter<'a, RowRange>,
    selection: &'a Selection,
    open: Option<(PathBuf, Batches)>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(dir: &'a Path, ranges: &'a [RowRange], selection: &'a Selection) -> Self {
        Self { dir, ranges: ranges.iter(), selection, open: None }
    }

    fn next_batch(&mut self) -> Result<Option<Selected>, ExportError> {
        loop {
            if let Some((path, reader)) = &mut self.open {
                if let Some(batch) = reader.next() {
                    let batch = batch.map_err(StorageError::parquet("read", path))?;
                    return self.selection.apply(&batch).map(Some);
                }
                self.open = None;
            }
            let Some(range) = self.ranges.next() else { return Ok(None) };
            let path = range.part_path(self.dir);
            let reader = part_reader::open(&path, self.selection.read().iter().copied())?;
            self.open = Some((path, reader));
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Selected, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

/// What a format must know of the rows before it can write the first.
pub(super) struct Measured {
    pub(super) rows: u64,
    /// Longest text of each column in characters; 0 for numbers.
    pub(super) characters: Vec<usize>,
    /// The same in bytes.
    pub(super) bytes: Vec<usize>,
    /// Missing values of each column.
    pub(super) nulls: Vec<u64>,
    /// Texts of more than [`CELL`] bytes in all columns.
    pub(super) long: u64,
}

impl Measured {
    /// Of no rows with so many columns.
    pub(super) fn new(columns: usize) -> Self {
        Self {
            rows: 0,
            characters: vec![0; columns],
            bytes: vec![0; columns],
            nulls: vec![0; columns],
            long: 0,
        }
    }

    /// Looks at the next rows.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        for (index, column) in batch.columns().iter().enumerate() {
            self.characters[index] = self.characters[index].max(longest_text(column));
            self.nulls[index] += column.null_count() as u64;
            let texts = column.as_string_opt::<i32>().into_iter().flatten().flatten();
            for length in texts.map(str::len) {
                self.bytes[index] = self.bytes[index].max(length);
                self.long += u64::from(length > CELL);
            }
        }
    }
}
