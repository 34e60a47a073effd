//! Entries of the listing as columns, and back.
//!
//! A path on Unix is bytes, not text, so the paths are stored as bytes:
//! `source` and `id` are what a person reads. Every kind of [`Locator`] uses
//! the same columns:
//!
//! | kind | paths | bands | offset, length | status, error |
//! | --- | --- | --- | --- | --- |
//! | `file` | the file | | | |
//! | `member` | the archive | | of its data | |
//! | `row` | the table | the column's name | the row as offset | |
//! | `bands` | one a band | their names | | |
//! | `rejected` | | | | its reason and detail |
//!
//! Invariant: what is read back is equal to what was written.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, Float64Builder, Int64Builder, ListArray, ListBuilder,
    RecordBatch, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int64Type, Schema};
use arrow::error::ArrowError;

use crate::cutout::{Reason, Rejection, SkyPosition};
use crate::source::{Entry, Locator};

/// The listing's own columns.
pub(crate) fn fields() -> Fields {
    let list = |name, item| Field::new_list(name, Field::new_list_field(item, false), false);
    Fields::from(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("kind", DataType::Utf8, false),
        list("paths", DataType::Binary),
        list("bands", DataType::Utf8),
        Field::new("offset", DataType::Int64, true),
        Field::new("length", DataType::Int64, true),
        Field::new("ra", DataType::Float64, true),
        Field::new("dec", DataType::Float64, true),
        Field::new("status", DataType::Utf8, false),
        Field::new("error", DataType::Utf8, false),
    ])
}

/// Entries on their way to becoming a batch.
pub(crate) struct EntryBuffer {
    rows: usize,
    id: StringBuilder,
    source: StringBuilder,
    kind: StringBuilder,
    paths: ListBuilder<BinaryBuilder>,
    bands: ListBuilder<StringBuilder>,
    offset: Int64Builder,
    length: Int64Builder,
    ra: Float64Builder,
    dec: Float64Builder,
    status: StringBuilder,
    error: StringBuilder,
}

impl EntryBuffer {
    pub(crate) fn new() -> Self {
        let item = |data_type| Field::new_list_field(data_type, false);
        Self {
            rows: 0,
            id: StringBuilder::new(),
            source: StringBuilder::new(),
            kind: StringBuilder::new(),
            paths: ListBuilder::new(BinaryBuilder::new()).with_field(item(DataType::Binary)),
            bands: ListBuilder::new(StringBuilder::new()).with_field(item(DataType::Utf8)),
            offset: Int64Builder::new(),
            length: Int64Builder::new(),
            ra: Float64Builder::new(),
            dec: Float64Builder::new(),
            status: StringBuilder::new(),
            error: StringBuilder::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Adds an entry, or says why it cannot be one.
    pub(crate) fn push(&mut self, entry: &Entry) -> Result<(), String> {
        let stretch = match &entry.locator {
            Locator::Member { offset, length, .. } => {
                let whole = |value: u64| {
                    i64::try_from(value).map_err(|_| format!("no file has a byte {value}"))
                };
                Some((whole(*offset)?, Some(whole(*length)?)))
            }
            Locator::Mosaic { pixels, scale, .. } => {
                let scale = i64::try_from(*scale);
                let scale = scale.map_err(|_| "no pixel is so large".to_owned())?;
                Some((i64::from(*pixels), Some(scale)))
            }
            Locator::Row { row, .. } => {
                Some((i64::try_from(*row).map_err(|_| format!("no table has a row {row}"))?, None))
            }
            _ => None,
        };
        let (kind, rejection) = match &entry.locator {
            Locator::File(path) => {
                self.path(path);
                ("file", None)
            }
            Locator::Member { archive, .. } => {
                self.path(archive);
                ("member", None)
            }
            Locator::Row { table, column, .. } => {
                self.bands.values().append_value(column);
                self.path(table);
                ("row", None)
            }
            Locator::Bands(bands) | Locator::Mosaic { bands, .. } => {
                for (band, path) in bands {
                    self.bands.values().append_value(band);
                    self.path(path);
                }
                let is_cut = matches!(entry.locator, Locator::Mosaic { .. });
                (if is_cut { "mosaic" } else { "bands" }, None)
            }
            Locator::Rejected(rejection) => ("rejected", Some(rejection)),
        };
        self.rows += 1;
        self.id.append_value(&entry.id);
        self.source.append_value(&entry.source);
        self.kind.append_value(kind);
        self.paths.append(true);
        self.bands.append(true);
        self.offset.append_option(stretch.map(|(offset, _)| offset));
        self.length.append_option(stretch.and_then(|(_, length)| length));
        self.ra.append_option(entry.position.map(|at| at.ra));
        self.dec.append_option(entry.position.map(|at| at.dec));
        self.status.append_value(rejection.map_or("", |r| r.reason.code()));
        self.error.append_value(rejection.map_or("", |r| r.detail.as_str()));
        Ok(())
    }

    fn path(&mut self, path: &Path) {
        self.paths.values().append_value(path.as_os_str().as_bytes());
    }

    /// The entries so far as a batch; the buffer is empty afterwards.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.paths.finish()),
            Arc::new(self.bands.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.length.finish()),
            Arc::new(self.ra.finish()),
            Arc::new(self.dec.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.error.finish()),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields())), columns)
    }
}

/// The entries in a batch whose first columns are [`fields`] (the reader makes
/// sure of that); or the row that is none, and why.
pub(crate) fn entries(batch: &RecordBatch) -> Result<Vec<Entry>, (usize, String)> {
    let text = |index: usize| batch.column(index).as_string::<i32>();
    let (id, source, kind) = (text(0), text(1), text(2));
    let (paths, bands) = (batch.column(3).as_list::<i32>(), batch.column(4).as_list::<i32>());
    let whole = |index: usize, row: usize| {
        let column = batch.column(index).as_primitive::<Int64Type>();
        column.is_valid(row).then(|| u64::try_from(column.value(row)).ok()).flatten()
    };
    let degrees = |index: usize, row: usize| {
        let column = batch.column(index).as_primitive::<Float64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let (status, error) = (text(9), text(10));

    let locator = |row: usize| -> Result<Locator, String> {
        let mut files = paths_of(paths, row);
        let mut only = || match files.len() {
            1 => Ok(files.remove(0)),
            other => Err(format!("a {} has one path, not {other}", kind.value(row))),
        };
        match kind.value(row) {
            "file" => Ok(Locator::File(only()?)),
            "member" => {
                let (offset, length) = whole(5, row)
                    .zip(whole(6, row))
                    .ok_or("a member of an archive has an offset and a length")?;
                Ok(Locator::Member { archive: only()?, offset, length })
            }
            "row" => {
                let row_of_table = whole(5, row).ok_or("a row of a table has a number")?;
                let column = names_of(bands, row).pop().ok_or("a row of a table has a column")?;
                Ok(Locator::Row { table: only()?, column, row: row_of_table })
            }
            "bands" => {
                let names = names_of(bands, row);
                if names.len() != files.len() {
                    return Err(format!("{} bands and {} paths", names.len(), files.len()));
                }
                Ok(Locator::Bands(names.into_iter().zip(files).collect()))
            }
            "mosaic" => {
                let names = names_of(bands, row);
                if names.len() != files.len() {
                    return Err(format!("{} bands and {} mosaics", names.len(), files.len()));
                }
                let position = degrees(7, row).zip(degrees(8, row));
                let (ra, dec) = position.ok_or("a place in a mosaic has a position")?;
                let pixels = whole(5, row).and_then(|pixels| u32::try_from(pixels).ok());
                let (pixels, scale) =
                    pixels.zip(whole(6, row)).ok_or("a place in a mosaic has a size")?;
                let bands = names.into_iter().zip(files).collect();
                let position = SkyPosition { ra, dec };
                Ok(Locator::Mosaic { bands, position, pixels, scale })
            }
            "rejected" => {
                let reason = Reason::from_code(status.value(row))
                    .ok_or_else(|| format!("unknown reason `{}`", status.value(row)))?;
                Ok(Locator::Rejected(Rejection::new(reason, error.value(row))))
            }
            other => Err(format!("unknown kind `{other}`")),
        }
    };
    let entry = |row: usize| {
        Ok(Entry {
            id: id.value(row).to_owned(),
            source: source.value(row).to_owned(),
            locator: locator(row).map_err(|what| (row, what))?,
            position: degrees(7, row).zip(degrees(8, row)).map(|(ra, dec)| SkyPosition { ra, dec }),
        })
    };
    (0..batch.num_rows()).map(entry).collect()
}

fn names_of(bands: &ListArray, row: usize) -> Vec<String> {
    let names = bands.value(row);
    names.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

fn paths_of(paths: &ListArray, row: usize) -> Vec<PathBuf> {
    let paths = paths.value(row);
    let paths = paths.as_binary::<i32>().iter().flatten();
    paths.map(|bytes| PathBuf::from(OsString::from_vec(bytes.to_vec()))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An entry of every kind, with what names can hold.
    pub(crate) fn every_kind() -> Vec<Entry> {
        let odd = PathBuf::from(OsString::from_vec(b"/data/\xff\xfe|,\"\n.jpg".to_vec()));
        let entry = |id: &str, locator: Locator, position| Entry {
            id: id.to_owned(),
            source: format!("/data/{id}"),
            locator,
            position,
        };
        let here = Some(SkyPosition { ra: 0.1 + 0.2, dec: -89.999_999_999 });
        vec![
            entry("plain", Locator::File("/data/plain.jpg".into()), None),
            entry("NGC 1300 — Ωμέγα 🌌", Locator::File(odd), here),
            entry("", Locator::File(PathBuf::new()), None),
            entry(
                "member",
                Locator::Member { archive: "/a.tar".into(), offset: 1 << 40, length: 0 },
                here,
            ),
            entry(
                "bands",
                Locator::Bands(vec![("i".into(), "/i.fits".into()), ("Ks|,".into(), "/k".into())]),
                None,
            ),
            entry(
                "mosaic",
                Locator::Mosaic {
                    bands: vec![("i".into(), "/i.fz".into()), ("r".into(), "s3://b/r".into())],
                    position: SkyPosition { ra: 0.1 + 0.2, dec: -89.999_999_999 },
                    pixels: 240,
                    scale: 123_456_789,
                },
                here,
            ),
            entry(
                "row",
                Locator::Row { table: "/t.parquet".into(), column: "image".into(), row: 1 << 33 },
                None,
            ),
            entry("no bands", Locator::Bands(Vec::new()), here),
            entry(
                "rejected",
                Locator::Rejected(Rejection::new(Reason::Truncated, "the archive ends at 5\n")),
                None,
            ),
        ]
    }

    #[test]
    fn every_locator_comes_back_as_it_was() {
        let mut buffer = EntryBuffer::new();
        for entry in &every_kind() {
            buffer.push(entry).unwrap();
        }
        let batch = buffer.take().unwrap();
        assert_eq!(entries(&batch).unwrap(), every_kind());
        assert_eq!(buffer.take().unwrap().num_rows(), 0);
    }

    #[test]
    fn a_stretch_beyond_any_file_is_refused_and_leaves_the_buffer_whole() {
        let mut buffer = EntryBuffer::new();
        let archive = || PathBuf::from("/a.tar");
        let far = Locator::Member { archive: archive(), offset: u64::MAX, length: 1 };
        let entry = Entry { id: "x".into(), source: "x".into(), locator: far, position: None };
        assert!(buffer.push(&entry).is_err());
        buffer.push(&every_kind()[0]).unwrap();
        assert_eq!(entries(&buffer.take().unwrap()).unwrap(), every_kind()[..1]);
    }
}
