//! Reading a part back, some of its columns, a batch at a time.

use std::path::Path;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::CatalogError;
use crate::storage::place;

/// Rows a batch.
pub(crate) const BATCH: usize = 8_192;

/// Opens a part; `columns` are the places of those that are read, and batches
/// have them in the part's order. Nothing is held against the part's seal.
pub(crate) fn open(
    path: &Path,
    columns: impl IntoIterator<Item = usize>,
) -> Result<ParquetRecordBatchReader, CatalogError> {
    let file = place::open(path).map_err(CatalogError::io("open", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(CatalogError::parquet("read", path))?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    builder
        .with_projection(mask)
        .with_batch_size(BATCH)
        .build()
        .map_err(CatalogError::parquet("read", path))
}
