//! The vectors of a run, part by part, and rows by their numbers.
//!
//! Parts are read as they are: nothing is held against their seals, which is
//! [`crate::catalog::verify()`]'s. A part that is not there yet has no rows.
//!
//! Memory: a batch of 8,192 rows a thread (42 MB of 1,280 values).

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, SchemaRef};

use super::VectorError;
use crate::catalog::{part_reader, present, rows_at, schema};
use crate::run::{RowRange, RunFolder};
use crate::storage::StorageError;
use crate::tree::{FEATURE, FeatureColumn};

/// A run that keeps vectors.
pub(super) struct Vectors {
    pub(super) run: RunFolder,
    /// What they are.
    pub(super) kept: FeatureColumn,
    /// Ranges that have a part.
    pub(super) present: Vec<RowRange>,
    schema: SchemaRef,
}

/// Rows that have a vector.
#[derive(Default)]
pub(super) struct Block {
    /// Their numbers in the run.
    pub(super) rows: Vec<u64>,
    /// `[rows][length]`.
    pub(super) values: Vec<f32>,
}

impl Vectors {
    pub(super) fn open(dir: &Path) -> Result<Self, VectorError> {
        let run = RunFolder::open(dir)?;
        let kept = run.manifest().settings.model.features;
        let kept = kept.ok_or_else(|| VectorError::NoVectors { path: dir.to_owned() })?;
        let present = present(&run)?;
        let schema = schema::of(&run)?;
        Ok(Self { run, kept, present, schema })
    }

    /// Rows of parts that are not there.
    pub(super) fn missing(&self) -> u64 {
        let present: u64 = self.present.iter().map(|range| range.count).sum();
        self.run.manifest().listing.rows - present
    }

    /// Gives the columns of a part's rows, a batch at a time, with the number of the
    /// batch's first row.
    pub(super) fn each(
        &self,
        range: &RowRange,
        columns: &[&str],
        mut of: impl FnMut(u64, &RecordBatch) -> Result<(), VectorError>,
    ) -> Result<(), VectorError> {
        let path = range.part_path(self.run.dir());
        let places = columns.iter().map(|name| self.schema.index_of(name));
        let places: Vec<usize> = places
            .collect::<Result<_, _>>()
            .map_err(|_| VectorError::Part { path: path.clone() })?;
        let mut first = range.first;
        for batch in part_reader::open(&path, places)? {
            let batch = batch.map_err(StorageError::parquet("read", &path))?;
            of(first, &batch)?;
            first += batch.num_rows() as u64;
        }
        Ok(())
    }

    /// Gives the vectors of a part's rows, a batch at a time.
    pub(super) fn each_block(
        &self,
        range: &RowRange,
        mut of: impl FnMut(&Block),
    ) -> Result<(), VectorError> {
        let mut block = Block::default();
        self.each(range, &[FEATURE], |first, batch| {
            let column = self.vectors(range, batch)?;
            let values = flat(&column);
            let values = values.as_primitive::<Float32Type>().values();
            let length = self.kept.length;
            block.rows.clear();
            block.values.clear();
            for (at, vector) in values.chunks_exact(length).enumerate() {
                if column.is_valid(at) {
                    block.rows.push(first + at as u64);
                    block.values.extend(vector);
                }
            }
            of(&block);
            Ok(())
        })
    }

    /// The column of vectors, if it is as the run keeps them.
    fn vectors(
        &self,
        range: &RowRange,
        batch: &RecordBatch,
    ) -> Result<FixedSizeListArray, VectorError> {
        let length = i32::try_from(self.kept.length).unwrap_or(i32::MAX);
        let column = batch.column_by_name(FEATURE).and_then(|c| c.as_fixed_size_list_opt());
        let column = column.filter(|column| column.value_length() == length).cloned();
        let path = || range.part_path(self.run.dir());
        column.ok_or_else(|| VectorError::Part { path: path() })
    }

    /// Rows with some of their columns, in the order in which they are named.
    pub(super) fn rows(&self, rows: &[u64], columns: &[&str]) -> Result<RecordBatch, VectorError> {
        let places = columns.iter().filter_map(|name| self.schema.index_of(name).ok());
        let mut places: Vec<usize> = places.collect();
        places.sort_unstable();
        Ok(rows_at(&self.run, rows, Some(&places))?)
    }
}

/// The values of vectors, one after the other, those of rows without one among them.
fn flat(column: &FixedSizeListArray) -> ArrayRef {
    cast(column.values(), &DataType::Float32).expect("half and single precision are floats")
}
