//! Rows on their way from the catalog's order to the sky's, by way of the
//! disk.
//!
//! Rows are gathered into runs; a full run is sorted by index, cut at the
//! borders of partitions, and appended to one file as Arrow IPC streams. What
//! is kept in memory of them is where each piece is.
//!
//! Memory: one run; 24 bytes a piece.

use std::io::{Cursor, Write};
use std::os::unix::fs::FileExt;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::healpix;
use super::partition::Partitions;
use crate::catalog::part_reader::BATCH;
use crate::export::ExportError;
use crate::storage::StorageError;
use crate::storage::file::TempFile;
use crate::storage::output::NewFolder;

/// Rows a run.
const RUN: usize = 131_072;

/// Takes rows in any order.
pub(super) struct Spill<'a> {
    file: TempFile,
    schema: SchemaRef,
    partitions: &'a Partitions,
    run: Vec<RecordBatch>,
    rows: usize,
    at: u64,
    pieces: Vec<Vec<(u64, usize)>>,
}

/// Rows by partition.
pub(super) struct Spilled {
    file: TempFile,
    /// Of each partition: offset and length of its pieces.
    pieces: Vec<Vec<(u64, usize)>>,
}

impl<'a> Spill<'a> {
    pub(super) fn create(
        folder: &NewFolder,
        schema: &SchemaRef,
        partitions: &'a Partitions,
    ) -> Result<Self, ExportError> {
        Ok(Self {
            file: TempFile::create(folder.path(), "spill")?,
            schema: schema.clone(),
            partitions,
            run: Vec::new(),
            rows: 0,
            at: 0,
            pieces: vec![Vec::new(); partitions.len()],
        })
    }

    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), ExportError> {
        self.rows += batch.num_rows();
        self.run.push(batch);
        if self.rows >= RUN { self.write_run() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<Spilled, ExportError> {
        self.write_run()?;
        Ok(Spilled { file: self.file, pieces: self.pieces })
    }

    fn write_run(&mut self) -> Result<(), ExportError> {
        let order = order(&self.run);
        let partition_of =
            |(batch, row): (usize, usize)| self.partitions.of(healpix(&self.run[batch])[row]);
        let mut rest = &order[..];
        while let Some(first) = rest.first() {
            let partition = partition_of(*first);
            let length = rest.partition_point(|place| partition_of(*place) == partition);
            let (piece, after) = rest.split_at(length);
            let bytes = stream(&self.schema, &self.run, piece)
                .map_err(ExportError::arrow("writing rows aside"))?;
            let written = self.file.file().write_all(&bytes);
            written.map_err(StorageError::io("write", self.file.path()))?;
            self.pieces[partition].push((self.at, bytes.len()));
            self.at += bytes.len() as u64;
            rest = after;
        }
        self.run.clear();
        self.rows = 0;
        Ok(())
    }
}

impl Spilled {
    /// The rows of a partition, in no order.
    pub(super) fn partition(&self, index: usize) -> Result<Vec<RecordBatch>, ExportError> {
        let mut batches = Vec::new();
        for (offset, length) in &self.pieces[index] {
            let mut bytes = vec![0; *length];
            self.file
                .file()
                .read_exact_at(&mut bytes, *offset)
                .map_err(StorageError::io("read back", self.file.path()))?;
            let read =
                || StreamReader::try_new(Cursor::new(bytes), None)?.collect::<Result<Vec<_>, _>>();
            batches.extend(read().map_err(ExportError::arrow("reading rows back"))?);
        }
        Ok(batches)
    }
}

fn stream(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    places: &[(usize, usize)],
) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    for slice in slices(batches, places) {
        writer.write(&slice?)?;
    }
    writer.into_inner()
}

/// The places of the rows of some batches along the sky; of rows at one place,
/// the first is first.
pub(super) fn order(batches: &[RecordBatch]) -> Vec<(usize, usize)> {
    let mut places: Vec<(i64, u32, u32)> = (0u32..)
        .zip(batches)
        .flat_map(|(batch, rows)| {
            (0u32..).zip(healpix(rows)).map(move |(row, index)| (*index, batch, row))
        })
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(_, batch, row)| (batch as usize, row as usize)).collect()
}

/// The rows at these places, some at a time.
pub(super) fn slices(
    batches: &[RecordBatch],
    places: &[(usize, usize)],
) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    places.chunks(BATCH).map(move |places| interleave_record_batch(&batches, places))
}
