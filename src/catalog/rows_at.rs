//! Rows of a catalog by their places: those of a sample, the surest, the oddest.
//!
//! Memory: the rows that are asked for, and a batch. Of each part that has one
//! of them the pages of the columns are read, and only those rows are made of
//! them.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Schema;

use super::{CatalogError, part_reader, schema};
use crate::run::{RowRange, RunFolder};
use crate::storage::StorageError;

/// The rows at `places` of the run (from 0, each in a range that has a part), in
/// that order, with the columns at these places of the schema, sorted; all if none
/// are named.
///
/// # Errors
/// If a part cannot be read, or has fewer rows than its range.
pub fn rows_at(
    run: &RunFolder,
    places: &[u64],
    columns: Option<&[usize]>,
) -> Result<RecordBatch, CatalogError> {
    let all = schema::of(run)?;
    let every: Vec<usize> = (0..all.fields().len()).collect();
    let columns = columns.unwrap_or(&every);
    let fields: Vec<_> = columns.iter().map(|column| all.fields()[*column].clone()).collect();
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|at| places[*at]);
    let mut found = Vec::new();
    // Where each place is among the rows that were found.
    let mut row_of = vec![0u32; places.len()];
    let (mut rows, mut next) = (0u32, order.as_slice());
    while let Some(first) = next.first() {
        let range = range_of(run, places[*first])?;
        let here = next.partition_point(|at| places[*at] <= range.last());
        let (of_range, rest) = next.split_at(here);
        let mut wanted: Vec<u64> = Vec::with_capacity(of_range.len());
        for at in of_range {
            let place = places[*at] - range.first;
            if wanted.last() != Some(&place) {
                wanted.push(place);
                rows += 1;
            }
            row_of[*at] = rows - 1;
        }
        let path = range.part_path(run.dir());
        let before = found.iter().map(RecordBatch::num_rows).sum::<usize>();
        for batch in part_reader::open_rows(&path, columns.iter().copied(), &wanted)? {
            found.push(batch.map_err(StorageError::parquet("read", &path))?);
        }
        let read = found.iter().map(RecordBatch::num_rows).sum::<usize>() - before;
        if read != wanted.len() {
            let what = format!("{} of {} rows that were asked for are there", read, wanted.len());
            return Err(CatalogError::Short { path, what });
        }
        next = rest;
    }
    let schema = found.first().map_or_else(|| Arc::new(Schema::new(fields)), RecordBatch::schema);
    let rows = concat_batches(&schema, &found)
        .and_then(|found| take_record_batch(&found, &UInt32Array::from(row_of)));
    Ok(rows.map_err(StorageError::parquet("read", &run.catalog()))?)
}

/// The range of a row.
fn range_of(run: &RunFolder, place: u64) -> Result<RowRange, CatalogError> {
    let size = run.manifest().settings.range_size.max(1);
    Ok(run.range(place / size)?)
}
