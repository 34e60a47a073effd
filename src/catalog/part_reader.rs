//! Reading a part back, some of its columns, a batch at a time.

use std::path::Path;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};

use crate::storage::chunks::Chunks;
use crate::storage::parquet::{Batches, footer};
use crate::storage::{StorageError, place};

/// Rows a batch.
pub(crate) const BATCH: usize = 8_192;

/// Opens a part; `columns` are the places of those that are read, and batches
/// have them in the part's order. Nothing is held against the part's seal.
pub(crate) fn open(
    path: &Path,
    columns: impl IntoIterator<Item = usize>,
) -> Result<Batches, StorageError> {
    read(path, columns, None)
}

/// The same of some rows, by their places in the part, which rise.
pub(crate) fn open_rows(
    path: &Path,
    columns: impl IntoIterator<Item = usize>,
    rows: &[u64],
) -> Result<Batches, StorageError> {
    read(path, columns, Some(rows))
}

fn read(
    path: &Path,
    columns: impl IntoIterator<Item = usize>,
    rows: Option<&[u64]>,
) -> Result<Batches, StorageError> {
    let file = place::open(path).and_then(Chunks::of).map_err(StorageError::io("open", path))?;
    let metadata = footer(&file).map_err(StorageError::parquet("read", path))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
    let total: u64 = metadata.metadata().row_groups().iter().map(|g| g.num_rows() as u64).sum();
    let builder = match rows {
        Some(rows) => builder.with_row_selection(selection(rows, total)),
        None => builder,
    };
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    // A batch has room for so many rows, however few it holds.
    let most = rows.map_or(BATCH, |rows| rows.len().clamp(1, BATCH));
    builder
        .with_projection(mask)
        .with_batch_size(most)
        .build()
        .map(Batches::of)
        .map_err(StorageError::parquet("read", path))
}

/// Rows of a file of `total`; those beyond its end are left out.
pub(crate) fn selection(rows: &[u64], total: u64) -> RowSelection {
    let within = rows.iter().filter(|row| **row < total).map(|row| *row as usize);
    RowSelection::from_consecutive_ranges(within.map(|row| row..row + 1), total as usize)
}
