//! Cutouts that are rows of a Parquet table: image bytes, or the planes of
//! their bands, in a column of it.
//!
//! Workers ask for rows one by one, in nearly the order of the table. Parquet
//! gives rows in the order of the table only, so one [`RowImages`] serves all
//! workers of a line: it decodes a table a few rows at a time, keeps the last
//! of them, and goes on from there. A row group is never taken into memory as
//! a whole; its pages are, one by one. A run may begin at any row: row groups
//! before it are not read.
//!
//! Memory: `KEPT` × `BATCH` images a table, fewer where they are large, and one
//! page of the file (the writer's choice: pyarrow closes a page at 1 MB, but not
//! within 1,024 rows). Images come as views of their page, so that one which
//! many rows name is there once.
//!
//! Invariant: every failure is a [`Rejection`]; a damaged table panics no one.

mod layout;
mod payload;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

pub use layout::ImageLayout;

use crate::cutout::{Payload, Reason, Rejection};
use crate::limits;
use crate::storage::chunks::Chunks;
use crate::storage::parquet::{guarded, viewed};
use crate::storage::remote::is_remote;

/// Most rows decoded at a time.
const BATCH: usize = 16;

/// Most bytes decoded at a time, if the footer says what rows have on average.
const BATCH_BYTES: u64 = 32 << 20;

/// Batches kept for workers that are behind: more rows than workers read.
const KEPT: usize = 4;

/// Tables kept open. Workers go through them in order.
const OPEN_TABLES: usize = 2;

/// Images of tables, for the workers of one line.
#[derive(Debug, Clone, Default)]
pub struct RowImages {
    /// The table used last in front.
    tables: Arc<Mutex<Vec<Table>>>,
}

impl RowImages {
    /// The image in `column` of row `row`, counted from 0.
    ///
    /// # Errors
    /// `Missing` if the file, or the row's image, is not there; `Unreadable`,
    /// `Corrupt`, `Empty`, `TooLarge`.
    pub fn read(&self, table: &Path, column: &str, row: u64) -> Result<Payload, Rejection> {
        let mut tables = self.tables.lock().unwrap_or_else(|e| e.into_inner());
        let place = tables.iter().position(|t| t.path == table && t.column == column);
        let mut current = match place {
            Some(place) => tables.remove(place),
            None => Table::open(table, column)?,
        };
        tables.truncate(OPEN_TABLES - 1);
        let read = guarded(|| {
            let payload = current.read(row);
            (current, payload)
        });
        match read {
            Ok((current, payload)) => {
                tables.insert(0, current);
                payload.map_err(|rejection| {
                    rejection.at(format_args!("{} row {}", table.display(), row.saturating_add(1)))
                })
            }
            Err(_) => Err(corrupt(table, "the Parquet reader gave up on it")),
        }
    }
}

/// An open table and the place reached in it.
struct Table {
    path: PathBuf,
    column: String,
    /// Opened once; the readers made from it share it.
    file: Chunks,
    metadata: ArrowReaderMetadata,
    layout: ImageLayout,
    mask: ProjectionMask,
    /// Rows decoded at a time.
    batch: usize,
    /// From which the next batch comes; none before the first row is asked
    /// for, and after an error.
    reader: Option<ParquetRecordBatchReader>,
    /// First row of the next batch.
    next: u64,
    /// The last batches, each with its first row.
    kept: VecDeque<(u64, RecordBatch)>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Table");
        debug.field("path", &self.path).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Table {
    fn open(path: &Path, column: &str) -> Result<Self, Rejection> {
        let failed = |error: io::Error| super::read::failed(path, &error);
        let file = if is_remote(path) {
            Chunks::open(path).map_err(failed)?
        } else {
            Chunks::of(super::read::open(path)?.0).map_err(failed)?
        };
        let metadata = viewed(&file).map_err(|error| not_read(path, &file, &error.to_string()))?;
        let fields = metadata.schema().fields();
        let index = fields.iter().position(|field| field.name() == column);
        let layout = index.and_then(|index| ImageLayout::of(fields[index].data_type()));
        let (Some(index), Some(layout)) = (index, layout) else {
            return Err(corrupt(path, &format!("it has no images in a column `{column}`")));
        };
        let schema = metadata.parquet_schema();
        let leaves = (0..schema.num_columns()).filter(|leaf| {
            schema.get_column_root_idx(*leaf) == index
                && layout.needs(schema.column(*leaf).path().parts())
        });
        let leaves: Vec<usize> = leaves.collect();
        let bytes = bytes_a_row(&metadata, &leaves);
        if bytes > 2 * limits::image::BYTES {
            let words = format!("{}: its images have {bytes} bytes each", path.display());
            return Err(Rejection::new(Reason::TooLarge, words));
        }
        let file = file.watching(metadata.metadata(), &leaves);
        let batch = (BATCH_BYTES / bytes.max(1)).clamp(1, BATCH as u64) as usize;
        let mask = ProjectionMask::leaves(schema, leaves);
        Ok(Self {
            path: path.to_owned(),
            column: column.to_owned(),
            file,
            layout,
            mask,
            batch,
            reader: None,
            next: 0,
            kept: VecDeque::new(),
            metadata,
        })
    }

    fn read(&mut self, row: u64) -> Result<Payload, Rejection> {
        if let Some(payload) = self.among_kept(row) {
            return payload;
        }
        if self.reader.is_some() && row < self.next {
            // A worker far behind the others: by itself, so that they are not
            // thrown back.
            return self.read_alone(row);
        }
        let near = row.saturating_sub(self.next) < (KEPT * self.batch) as u64;
        if self.reader.is_none() || !near {
            self.kept.clear();
            self.reader = Some(self.start(row, self.batch)?);
            self.next = row;
        }
        loop {
            let Some(mut reader) = self.reader.take() else {
                return Err(corrupt(&self.path, "its rows end before they should"));
            };
            let Ok(batch) = self.batch(&mut reader) else {
                // The reader is gone, and the next row begins anew. What is
                // damaged may be another row of the batch.
                return self.read_alone(row);
            };
            self.reader = Some(reader);
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            let first = self.next;
            self.next += batch.num_rows() as u64;
            self.kept.push_back((first, batch));
            if let Some(payload) = self.among_kept(row) {
                return payload;
            }
        }
    }

    /// A row with no other's help or harm.
    fn read_alone(&self, row: u64) -> Result<Payload, Rejection> {
        let mut reader = self.start(row, 1)?;
        let batch = self.batch(&mut reader)?;
        self.image(&batch, 0)
    }

    fn among_kept(&self, row: u64) -> Option<Result<Payload, Rejection>> {
        self.kept.iter().find_map(|(first, batch)| {
            let at = row.checked_sub(*first).filter(|at| *at < batch.num_rows() as u64)?;
            Some(self.image(batch, usize::try_from(at).ok()?))
        })
    }

    fn image(&self, batch: &RecordBatch, at: usize) -> Result<Payload, Rejection> {
        match batch.columns().first() {
            Some(column) if at < column.len() => payload::payload(column, self.layout, at),
            _ => Err(corrupt(&self.path, "a batch without the column")),
        }
    }

    fn batch(&self, reader: &mut ParquetRecordBatchReader) -> Result<RecordBatch, Rejection> {
        match reader.next() {
            Some(batch) => {
                batch.map_err(|error| not_read(&self.path, &self.file, &error.to_string()))
            }
            None => Err(corrupt(&self.path, "its rows end before they should")),
        }
    }

    /// A reader whose first row is `row`.
    fn start(&self, row: u64, batch: usize) -> Result<ParquetRecordBatchReader, Rejection> {
        let groups = self.metadata.metadata().row_groups();
        let mut skip = row;
        let mut first = 0;
        for group in groups {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            if skip < rows {
                break;
            }
            skip -= rows;
            first += 1;
        }
        if first == groups.len() {
            return Err(corrupt(&self.path, "it has fewer rows than when it was listed"));
        }
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
            .with_row_groups((first..groups.len()).collect())
            .with_projection(self.mask.clone())
            .with_offset(usize::try_from(skip).unwrap_or(usize::MAX))
            .with_batch_size(batch)
            .build()
            .map_err(|error| corrupt(&self.path, &error.to_string()))
    }
}

/// Bytes of an image before compression, of the row group in which they are the
/// largest, on average. An image that a dictionary gives to many rows counts once.
fn bytes_a_row(metadata: &ArrowReaderMetadata, leaves: &[usize]) -> u64 {
    let groups = metadata.metadata().row_groups().iter().filter(|group| group.num_rows() > 0);
    let mean = groups.map(|group| {
        let bytes = leaves.iter().map(|leaf| group.column(*leaf).uncompressed_size());
        bytes.sum::<i64>().unsigned_abs() / group.num_rows().unsigned_abs()
    });
    mean.max().unwrap_or(0)
}

/// What is wrong: with a store, if it did not answer, or else with the table.
fn not_read(path: &Path, file: &Chunks, damage: &str) -> Rejection {
    match file.failure() {
        Some(error) => super::read::failed(path, &error),
        None => corrupt(path, damage),
    }
}

fn corrupt(path: &Path, words: &str) -> Rejection {
    Rejection::new(Reason::Corrupt, format!("{}: {words}", path.display()))
}
