//! Reading a part back, some of its columns, a batch at a time.

use std::path::Path;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

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
    let file = place::open(path).and_then(Chunks::of).map_err(StorageError::io("open", path))?;
    let metadata = footer(&file).map_err(StorageError::parquet("read", path))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    builder
        .with_projection(mask)
        .with_batch_size(BATCH)
        .build()
        .map(Batches::of)
        .map_err(StorageError::parquet("read", path))
}
