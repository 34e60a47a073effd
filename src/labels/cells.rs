//! The cells of a table file as text, row by row: CSV, gzipped CSV, Parquet.
//!
//! It knows nothing of labels. Text is the common ground: a CSV holds nothing
//! else, ids must not be taken for numbers (leading zeros, 19 digits), and a
//! number that does not parse can be shown as it stands in the file.
//!
//! Memory: one batch of [`BATCH`] rows of the selected columns.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use flate2::read::MultiGzDecoder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::LabelError;
use crate::storage::chunks::Chunks;
use crate::storage::parquet::{self as tables, texts, viewed};

/// Rows held at a time.
const BATCH: usize = 4096;

/// The names of a table's columns.
///
/// # Errors
/// As [`each_row`].
pub(super) fn header(path: &Path) -> Result<Vec<String>, LabelError> {
    match open(path)? {
        Kind::Parquet(file) => Ok(parquet_names(&parquet(path, file)?)),
        Kind::Csv(source) => csv_names(path, source),
    }
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
    let corrupt = |source| LabelError::Corrupt { path: path.to_owned(), source };
    let (wanted, batches): (Vec<usize>, Batches) = match open(path)? {
        Kind::Parquet(file) => {
            let builder = parquet(path, file)?;
            let names = unique(path, parquet_names(&builder))?;
            let wanted = select(&names)?;
            if let Some(&id) = wanted.first()
                && builder.schema().field(id).data_type().is_floating()
            {
                let column = names[id].clone();
                return Err(LabelError::FloatIds { path: path.to_owned(), column });
            }
            let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
            let reader = builder
                .with_projection(mask)
                .with_batch_size(BATCH)
                .build()
                .map_err(|e| corrupt(e.into()))?;
            (wanted, Box::new(tables::Batches::of(reader)))
        }
        Kind::Csv(source) => {
            let names = unique(path, csv_names(path, source)?)?;
            let wanted = select(&names)?;
            let fields = names.iter().map(|n| Field::new(n, DataType::Utf8, true));
            let mut projection = wanted.clone();
            projection.sort_unstable();
            projection.dedup();
            let reader = ReaderBuilder::new(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
                .with_header(true)
                .with_projection(projection)
                .with_batch_size(BATCH)
                .build(reopen(path)?)
                .map_err(corrupt)?;
            (wanted, Box::new(reader))
        }
    };
    // Both readers give the selected columns once each, in the file's order.
    let mut sorted = wanted.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let places: Vec<usize> = wanted.iter().map(|w| sorted.partition_point(|s| s < w)).collect();

    let mut number = 0;
    for batch in batches {
        let batch = batch.map_err(corrupt)?;
        let columns = as_text(&batch).map_err(corrupt)?;
        for index in 0..batch.num_rows() {
            number += 1;
            let text = |c: &StringArray| c.is_valid(index).then_some(index);
            let cells: Vec<&str> = places
                .iter()
                .map(|&p| text(&columns[p]).map_or("", |i| columns[p].value(i).trim()))
                .collect();
            row(number, &cells)?;
        }
    }
    if number == 0 {
        return Err(LabelError::NoRows { path: path.to_owned() });
    }
    Ok(())
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

enum Kind {
    Parquet(File),
    Csv(Box<dyn BufRead>),
}

/// The file by its first bytes, whatever its name.
fn open(path: &Path) -> Result<Kind, LabelError> {
    let unreadable = |source| LabelError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = Vec::with_capacity(4);
    (&mut file).take(4).read_to_end(&mut magic).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    Ok(match magic.as_slice() {
        b"PAR1" => Kind::Parquet(file),
        [0x1f, 0x8b, ..] => Kind::Csv(Box::new(BufReader::new(MultiGzDecoder::new(file)))),
        _ => Kind::Csv(Box::new(BufReader::new(file))),
    })
}

/// A CSV from its start, after the header was looked at.
fn reopen(path: &Path) -> Result<Box<dyn BufRead>, LabelError> {
    match open(path)? {
        Kind::Csv(source) => Ok(source),
        Kind::Parquet(_) => Err(LabelError::Unreadable {
            path: path.to_owned(),
            source: std::io::Error::other("the file was replaced while it was read"),
        }),
    }
}

fn parquet(path: &Path, file: File) -> Result<ParquetRecordBatchReaderBuilder<Chunks>, LabelError> {
    let file = Chunks::of(file)
        .map_err(|source| LabelError::Unreadable { path: path.to_owned(), source })?;
    let metadata = viewed(&file)
        .map_err(|e| LabelError::Corrupt { path: path.to_owned(), source: e.into() })?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata))
}

fn parquet_names(builder: &ParquetRecordBatchReaderBuilder<Chunks>) -> Vec<String> {
    builder.schema().fields().iter().map(|f| f.name().clone()).collect()
}

fn csv_names(path: &Path, source: Box<dyn BufRead>) -> Result<Vec<String>, LabelError> {
    let corrupt = |source| LabelError::Corrupt { path: path.to_owned(), source };
    let (schema, _) =
        Format::default().with_header(true).infer_schema(source, Some(0)).map_err(corrupt)?;
    // Spreadsheets begin a UTF-8 file with a byte-order mark.
    Ok(schema
        .fields()
        .iter()
        .map(|f| f.name().trim_start_matches('\u{feff}').trim().to_owned())
        .collect())
}

fn unique(path: &Path, names: Vec<String>) -> Result<Vec<String>, LabelError> {
    let mut sorted: Vec<&String> = names.iter().filter(|n| !n.is_empty()).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(LabelError::DuplicateColumn { path: path.to_owned(), column: pair[0].clone() })
        }
        None => Ok(names),
    }
}

fn as_text(batch: &RecordBatch) -> Result<Vec<StringArray>, ArrowError> {
    batch.columns().iter().map(texts).collect()
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

/// The first columns of a header, for messages.
fn few(header: &[String]) -> String {
    let mut found = header.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    if header.len() > 8 {
        found.push_str(&format!(" and {} more", header.len() - 8));
    }
    found
}
