//! Tables whose columns have types (Parquet, FITS, VOTable): only the columns
//! that are needed, a batch at a time.
//!
//! Ids of whole numbers become decimal text. Invariant: one batch of rows is
//! in memory, beside the pages that it comes from.

use std::cell::OnceCell;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use super::carried::{as_carried, as_unified};
use super::{Columns, Place, Rows, check_id, check_numbers, odd_place, position};
use crate::source::list::notes::Notes;
use crate::source::list::{CHUNK, Chunk, ListError, ListOptions, Source};
use crate::storage::chunks::Chunks;
use crate::storage::parquet::{Batches, texts, viewed};
use crate::tables::{self, Column, Table};

/// Finds the columns, and the types of those to carry.
pub(super) fn inspect(
    place: &Place,
    options: &ListOptions,
) -> Result<(Columns, Vec<DataType>), ListError> {
    let (builder, _) = open(place)?;
    find(&tables::parquet_columns(builder.schema()), place, options)
}

/// The same for a table of another format.
pub(super) fn inspect_other(
    place: &Place,
    options: &ListOptions,
) -> Result<(Columns, Vec<DataType>), ListError> {
    find(Table::open(&place.given)?.columns(), place, options)
}

fn find(
    all: &[Column],
    place: &Place,
    options: &ListOptions,
) -> Result<(Columns, Vec<DataType>), ListError> {
    // A list of anything: a type that is neither text nor number.
    let list = DataType::new_list(DataType::Null, true);
    let of = |column: usize| all[column].cells.as_ref().unwrap_or(&list);
    let columns = Columns::find(all, options, &place.given)?;
    let wrong = |column: usize, expected| ListError::ColumnType {
        table: place.given.clone(),
        column: all[column].name.clone(),
        found: of(column).to_string(),
        expected,
    };
    if !is_text(of(columns.id)) && !of(columns.id).is_integer() {
        return Err(wrong(columns.id, "text or whole numbers"));
    }
    if !is_text(of(columns.path)) {
        return Err(wrong(columns.path, "text"));
    }
    if let Some(position) = columns.position {
        check_numbers(all, position, &place.given)?;
    }
    let types = columns
        .carried
        .iter()
        .map(|column| {
            as_carried(of(*column))
                .ok_or_else(|| wrong(*column, "numbers, booleans or text to be carried"))
        })
        .collect::<Result<_, _>>()?;
    Ok((columns, types))
}

/// Text in any of its forms. Text of a fixed length that numpy wrote comes as
/// bytes.
pub(super) fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, values) => is_text(values),
        other => other.is_string() || other.is_binary(),
    }
}

/// Opens a table; the second is the file of the first, to be asked what is
/// wrong with it.
pub(super) fn open(
    place: &Place,
) -> Result<(ParquetRecordBatchReaderBuilder<Chunks>, Chunks), ListError> {
    let file = Chunks::open(&place.given).map_err(|source| place.io(source))?;
    let metadata = viewed(&file).map_err(|source| not_read(place, &file, failed(place, source)))?;
    Ok((ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata), file))
}

/// What is wrong: with a store, if it did not answer, or else with the table.
pub(super) fn not_read(place: &Place, file: &Chunks, damage: ListError) -> ListError {
    file.failure().map_or(damage, |source| place.io(source))
}

pub(super) fn failed(place: &Place, source: ParquetError) -> ListError {
    ListError::Parquet { table: place.given.clone(), source }
}

/// The rows of a table.
pub(super) struct TypedRows {
    rows: Rows,
    reader: Reader,
    /// The columns read, by their index in the file.
    read: Vec<usize>,
    /// Rows read so far.
    done: u64,
    /// What to tell of the first position that is on no sky, and whether it was.
    odd: (OnceCell<String>, bool),
}

/// Where batches come from.
enum Reader {
    Parquet(Batches, Chunks),
    Other(tables::Rows),
}

impl TypedRows {
    /// The rows of a table that is no Parquet file.
    pub fn open_other(rows: Rows) -> Result<Self, ListError> {
        let read = Self::read(&rows.columns);
        let reader = Reader::Other(Table::open(&rows.place.given)?.rows(&read)?);
        Ok(Self { rows, reader, read, done: 0, odd: Default::default() })
    }

    /// The columns that are read, in the order of the file.
    fn read(columns: &Columns) -> Vec<usize> {
        let mut read = vec![columns.id, columns.path];
        read.extend(columns.position.iter().flat_map(|(ra, dec)| [*ra, *dec]));
        read.extend(&columns.carried);
        read.sort_unstable();
        read.dedup();
        read
    }

    pub fn open(rows: Rows) -> Result<Self, ListError> {
        let (builder, file) = open(&rows.place)?;
        let read = Self::read(&rows.columns);
        let mask = ProjectionMask::roots(builder.parquet_schema(), read.iter().copied());
        let reader = builder
            .with_projection(mask)
            .with_batch_size(CHUNK)
            .build()
            .map(Batches::of)
            .map_err(|source| failed(&rows.place, source))?;
        Ok(Self {
            rows,
            reader: Reader::Parquet(reader, file),
            read,
            done: 0,
            odd: Default::default(),
        })
    }

    fn next_batch(&mut self) -> Option<Result<RecordBatch, ListError>> {
        match &mut self.reader {
            Reader::Other(rows) => Some(rows.next()?.map_err(ListError::from)),
            Reader::Parquet(batches, file) => Some(batches.next()?.map_err(|source| {
                let damage = self.rows.arrow_error(self.done, source);
                not_read(&self.rows.place, file, damage)
            })),
        }
    }

    /// The chunk of a batch.
    fn chunk(
        &self,
        batch: &RecordBatch,
        notes: &mut Notes,
    ) -> Result<Result<Chunk, ListError>, ArrowError> {
        let column = |index: usize, to: &DataType| -> Result<ArrayRef, ArrowError> {
            // Columns come in the order of the file.
            let place = self.read.iter().position(|read| *read == index);
            match place.and_then(|place| batch.columns().get(place)) {
                Some(array) if *to == DataType::Utf8 => Ok(Arc::new(texts(array)?)),
                Some(array) => as_unified(array, to),
                None => Err(ArrowError::SchemaError(format!("column {index} is not there"))),
            }
        };
        let columns = &self.rows.columns;
        let ids = column(columns.id, &DataType::Utf8)?;
        let paths = column(columns.path, &DataType::Utf8)?;
        let (ids, paths) = (ids.as_string::<i32>(), paths.as_string::<i32>());
        let position_columns = match columns.position {
            Some((ra, dec)) => {
                Some((column(ra, &DataType::Float64)?, column(dec, &DataType::Float64)?))
            }
            None => None,
        };
        let positions = position_columns
            .as_ref()
            .map(|(ra, dec)| (ra.as_primitive::<Float64Type>(), dec.as_primitive::<Float64Type>()));
        let text = |array: &StringArray, row: usize| -> String {
            if array.is_null(row) { String::new() } else { array.value(row).to_owned() }
        };
        let degrees =
            |array: &Float64Array, row: usize| (!array.is_null(row)).then(|| array.value(row));
        let entries = (0..batch.num_rows())
            .map(|row| {
                let label = format!("row {}", self.done + row as u64 + 1);
                let at = positions.map(|(ra, dec)| (degrees(ra, row), degrees(dec, row)));
                if let Some(words) = at.and_then(|(ra, dec)| odd_place(&label, ra, dec)) {
                    // The first is told.
                    let _ = self.odd.0.set(words);
                }
                let position = at.and_then(|(ra, dec)| position(ra, dec));
                let (id, path) = (text(ids, row), text(paths, row));
                self.rows.entry(&label, &id, &path, position, notes)
            })
            .collect::<Result<Vec<_>, ListError>>();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return Ok(Err(error)),
        };
        if columns.carried.is_empty() {
            return Ok(Ok(Chunk::of(entries)));
        }
        let arrays = columns
            .carried
            .iter()
            .zip(self.rows.schema.fields())
            .map(|(index, field)| column(*index, field.data_type()))
            .collect::<Result<_, _>>()?;
        let carried = RecordBatch::try_new(Arc::clone(&self.rows.schema), arrays)?;
        Ok(Ok(Chunk { entries, carried: Some(carried) }))
    }
}

impl Source for TypedRows {
    fn next_chunk(&mut self, notes: &mut Notes) -> Result<Chunk, ListError> {
        loop {
            let Some(batch) = self.next_batch().transpose()? else {
                return Ok(Chunk::of(Vec::new()));
            };
            let chunk = self
                .chunk(&batch, notes)
                .map_err(|source| self.rows.arrow_error(self.done, source))??;
            for (row, entry) in (self.done + 1..).zip(&chunk.entries) {
                check_id(&self.rows.place, || format!("row {row}"), &entry.id)?;
            }
            self.done += chunk.entries.len() as u64;
            if let (Some(words), false) = (self.odd.0.get(), self.odd.1) {
                notes.problem(&self.rows.place.given, words);
                self.odd.1 = true;
            }
            // A file may hold row groups without rows.
            if !chunk.entries.is_empty() {
                return Ok(chunk);
            }
        }
    }
}
