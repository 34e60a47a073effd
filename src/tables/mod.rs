//! Tables in the formats that astronomers keep them in: CSV, TSV, ECSV,
//! Parquet, FITS binary tables, VOTable, and each of them gzipped.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`delimited`] | CSV, TSV and ECSV, record by record |
//! | `fits` | the binary table of a FITS file |
//! | `votable` | TABLEDATA, BINARY and BINARY2 |
//! | `base64` | the bytes in the text of the last two |
//! | `cells` | numbers and texts of binary rows; columns being filled |
//! | `opened` | a file from its first bytes, unpacked |
//!
//! A file is what its first bytes say, whatever its name. Whole columns of cells
//! come out: text, whole numbers, floating-point numbers, truth values. What a
//! column means is left to those who ask for it: labels, and listings of
//! cutouts. A column of lists or complex numbers is no column of cells; a table
//! may have it, and nobody may ask for it.
//!
//! Memory: one batch of [`BATCH`] rows of the selected columns. Invariant:
//! foreign bytes are read in safe Rust, and a damaged or hostile file is an
//! error with its path and row.

mod base64;
mod cells;
pub mod delimited;
mod error;
mod fits;
mod opened;
mod votable;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

pub use error::TableError;

use self::delimited::{Ecsv, Records};
use self::opened::Opened;
use crate::limits::table::COLUMNS;
use crate::storage::chunks::Chunks;
use crate::storage::parquet::{Batches, viewed};

/// Most rows held at a time.
pub const BATCH: usize = 4096;

/// Bytes of text after which a batch ends early.
const BATCH_BYTES: usize = 8 << 20;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, without blanks around it.
    pub name: String,
    /// The type of its cells, or in words what it holds instead.
    pub cells: Result<DataType, String>,
    /// The unit that the table says it is in, as it is written.
    pub unit: Option<String>,
}

/// The columns of a Parquet file: units are those of its fields, or where astropy wrote it
/// of the header of an ECSV file that it puts into the metadata.
pub fn parquet_columns(schema: &Schema) -> Vec<Column> {
    let yaml = schema.metadata().get("table_meta_yaml").map(|yaml| Ecsv::of_yaml(yaml));
    let column = |field: &Arc<Field>| {
        let name = field.name().trim().to_owned();
        let own = field.metadata().get("unit").cloned();
        let unit = own.or_else(|| yaml.as_ref()?.unit(&name).map(str::to_owned));
        Column { cells: Ok(field.data_type().clone()), unit, name }
    };
    schema.fields().iter().map(column).collect()
}

/// A table whose columns are known and whose rows were not read.
pub struct Table {
    path: PathBuf,
    columns: Vec<Column>,
    body: Body,
}

enum Body {
    Text(Records),
    Parquet(Box<ParquetRecordBatchReaderBuilder<Chunks>>, Chunks),
    Fits(fits::Rows),
    VoTable(votable::Rows),
}

/// Batches of the selected columns, in the order in which they were selected.
pub type Rows = Box<dyn Iterator<Item = Result<RecordBatch, TableError>> + Send>;

impl Table {
    /// Opens a table.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let (columns, body) = match opened::open(path)? {
            Opened::Parquet(file) => {
                let metadata =
                    viewed(&file).map_err(|source| parquet_error(path, &file, source))?;
                let whole =
                    ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata);
                (parquet_columns(whole.schema()), Body::Parquet(Box::new(whole), file))
            }
            Opened::Text(source) => {
                let records = Records::new(path, source)?;
                (records.columns(), Body::Text(records))
            }
            Opened::Fits(source) => {
                let rows = fits::Rows::open(path, source)?;
                (rows.columns(), Body::Fits(rows))
            }
            Opened::Xml(source) => {
                let rows = votable::Rows::open(path, source)?;
                (rows.columns(), Body::VoTable(rows))
            }
        };
        if columns.len() > COLUMNS {
            let words = format!("{} columns; at most {COLUMNS} are read", columns.len());
            return Err(TableError::corrupt(path, words));
        }
        Ok(Self { path: path.to_owned(), columns, body })
    }

    /// The table of a FITS file that holds one and no image before it; of any
    /// other file none. Whatever the file's size, headers are read and no data.
    pub fn of_fits(path: &Path) -> Option<Self> {
        let Ok(Opened::Fits(source)) = opened::open(path) else { return None };
        let rows = fits::Rows::at_once(path, source)?;
        Some(Self { path: path.to_owned(), columns: rows.columns(), body: Body::Fits(rows) })
    }

    /// Whether the file says of what types its columns are; text that does not may be
    /// read as what it looks like.
    pub fn is_typed(&self) -> bool {
        !matches!(self.body, Body::Text(_))
    }

    /// The columns, in the order of the file.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The rows of these columns (by place).
    ///
    /// # Errors
    /// [`TableError::NoCells`] for one that holds no cells.
    pub fn rows(self, selected: &[usize]) -> Result<Rows, TableError> {
        let Self { path, columns, body } = self;
        for column in selected.iter().map(|&place| &columns[place]) {
            if let Err(what) = &column.cells {
                return Err(TableError::no_cells(path, &column.name, what));
            }
        }
        let selected = selected.to_vec();
        Ok(match body {
            Body::Text(records) => Box::new(Texts { records, selected, columns }),
            Body::Parquet(whole, file) => parquet_rows(path, *whole, file, &selected)?,
            Body::Fits(rows) => Box::new(rows.select(selected)),
            Body::VoTable(rows) => Box::new(rows.select(selected)),
        })
    }
}

fn parquet_error(path: &Path, file: &Chunks, source: parquet::errors::ParquetError) -> TableError {
    match file.failure() {
        Some(source) => TableError::Unreadable { path: path.to_owned(), source },
        None => TableError::corrupt(path, source.to_string()),
    }
}

fn parquet_rows(
    path: PathBuf,
    whole: ParquetRecordBatchReaderBuilder<Chunks>,
    file: Chunks,
    selected: &[usize],
) -> Result<Rows, TableError> {
    let mask = ProjectionMask::roots(whole.parquet_schema(), selected.iter().copied());
    let reader = whole
        .with_projection(mask)
        .with_batch_size(BATCH)
        .build()
        .map_err(|source| parquet_error(&path, &file, source))?;
    // The reader gives the selected columns once each, in the file's order.
    let mut sorted = selected.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let places: Vec<usize> = selected.iter().map(|s| sorted.partition_point(|p| p < s)).collect();
    let batches = Batches::of(reader);
    Ok(Box::new(batches.map(move |batch| {
        batch
            .and_then(|batch| batch.project(&places))
            .map_err(|source| parquet_error(&path, &file, source.into()))
    })))
}

/// The rows of a table of text.
struct Texts {
    records: Records,
    selected: Vec<usize>,
    columns: Vec<Column>,
}

impl Texts {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, TableError> {
        let mut filling: Vec<StringBuilder> =
            self.selected.iter().map(|_| StringBuilder::new()).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH && bytes < BATCH_BYTES && self.records.step()? {
            if self.records.is_malformed() {
                return Err(self.records.malformed());
            }
            for (column, place) in filling.iter_mut().zip(&self.selected) {
                let text = self.records.text(*place);
                bytes += text.len();
                column.append_value(text);
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let arrays = filling.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        let names = self.selected.iter().map(|&place| &*self.columns[place].name);
        batch(names, arrays.collect(), rows)
            .map(Some)
            .map_err(|words| TableError::corrupt(self.records.path(), words))
    }
}

impl Iterator for Texts {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

/// A batch of these columns, whose names may repeat.
fn batch<'a>(
    names: impl Iterator<Item = &'a str>,
    arrays: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, String> {
    let fields = names.zip(&arrays).map(|(name, a)| Field::new(name, a.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests;
