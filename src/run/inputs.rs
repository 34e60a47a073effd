//! The listing, kept in `inputs.parquet`: what the run's rows are.
//!
//! It is written once, as the inputs are walked, and read a range at a time: a
//! row group is a range. Walking is left to [`crate::source`], turning entries
//! into columns to `entries`, the user's columns to `carried`.
//!
//! Memory: one range of rows while writing, and one a reader while reading;
//! with 65,536 rows of some 300 bytes that is 20 MB and the carried columns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::entries::{self, EntryBuffer};
use super::names::INPUTS;
use super::row_digest::RowDigest;
use super::{Listing, RunError, carried};
use crate::source::{Entry, Pin};
use crate::storage::chunks::Chunks;
use crate::storage::file::TempFile;
use crate::storage::parquet::{Batches, footer};
use crate::storage::seal::{self, CREATED_BY, SealingWriter};
use crate::storage::{StorageError, place, remote};

/// Keys in the footer.
const DIGEST: &str = "hiwl.listing";
const ROWS: &str = "hiwl.rows";

/// Before the name of a carried column, whose name may be one of ours.
const CARRIED: &str = "carried.";

/// Takes the listing as it is made.
pub struct InputsWriter {
    temp: TempFile,
    folder: PathBuf,
    range_size: usize,
    /// The user's columns.
    carried: SchemaRef,
    /// Made with the first range, when the user's columns are known.
    writer: Option<ArrowWriter<SealingWriter>>,
    entries: EntryBuffer,
    /// The user's columns of the first entries in the buffer ...
    values: Vec<RecordBatch>,
    valued: usize,
    digest: RowDigest,
    rows: u64,
    skipped: u64,
    repeated_ids: u64,
    joined: Option<String>,
    problems: Vec<String>,
    /// Files that hold many cutouts.
    containers: BTreeSet<PathBuf>,
    /// As they were when they were listed.
    pins: BTreeMap<PathBuf, Pin>,
    folders: Vec<String>,
    places: Vec<String>,
    /// Whether a cutout may hold bands.
    bands: bool,
}

impl InputsWriter {
    pub(crate) fn create(folder: &Path, range_size: u64) -> Result<Self, RunError> {
        Ok(Self {
            temp: TempFile::create(folder, INPUTS)?,
            folder: folder.to_owned(),
            range_size: usize::try_from(range_size).unwrap_or(usize::MAX),
            carried: Arc::new(Schema::empty()),
            writer: None,
            entries: EntryBuffer::new(),
            values: Vec::new(),
            valued: 0,
            digest: RowDigest::default(),
            rows: 0,
            skipped: 0,
            repeated_ids: 0,
            joined: None,
            problems: Vec::new(),
            containers: BTreeSet::new(),
            pins: BTreeMap::new(),
            folders: Vec::new(),
            places: Vec::new(),
            bands: false,
        })
    }

    /// Says which columns of the tables the catalog carries: their names and
    /// the types that they have in the tables; `own` are the catalog's own.
    /// Before the first row.
    ///
    /// # Errors
    /// [`RunError::Carried`] for a name that is taken or a type that does
    /// not fit a catalog.
    pub fn carry(&mut self, columns: &Schema, own: &Schema) -> Result<(), RunError> {
        if self.rows > 0 {
            return Err(RunError::Carried {
                column: columns.fields().iter().map(|f| f.name().as_str()).collect(),
                why: "columns are named before the first row".into(),
            });
        }
        self.carried = carried::carried_schema(columns, own)?;
        Ok(())
    }

    /// The next cutout. It has no values in the carried columns.
    ///
    /// # Errors
    /// When a range is full and cannot be written.
    pub fn push(&mut self, entry: &Entry) -> Result<(), RunError> {
        let pushed = self.entries.push(entry);
        pushed.map_err(|what| self.bad_row(what))?;
        self.bands |= entry.may_hold_bands();
        for container in entry.containers() {
            if !self.containers.contains(container) {
                self.containers.insert(container.to_owned());
            }
        }
        self.count()
    }

    /// Counts a row that was pushed.
    fn count(&mut self) -> Result<(), RunError> {
        self.rows += 1;
        if self.entries.len() >= self.range_size { self.write_range() } else { Ok(()) }
    }

    /// The next cutouts, one a row of `values`, which has the carried columns
    /// by name (others are not looked at).
    ///
    /// # Errors
    /// [`RunError::Carried`] if a value does not fit its column, and as
    /// [`push`](Self::push).
    pub fn push_with(&mut self, entries: &[Entry], values: &RecordBatch) -> Result<(), RunError> {
        if entries.len() != values.num_rows() {
            let what =
                format!("{} entries with {} rows of a table", entries.len(), values.num_rows());
            return Err(self.bad_row(what));
        }
        let values = carried::conform(values, &self.carried)?;
        let mut done = 0;
        while done < entries.len() {
            let room = self.range_size - self.entries.len();
            let end = entries.len().min(done + room);
            self.blank_rest()?;
            self.values.push(values.slice(done, end - done));
            self.valued += end - done;
            for entry in &entries[done..end] {
                self.push(entry)?;
            }
            done = end;
        }
        Ok(())
    }

    /// Counts files that were passed over because they are no cutouts.
    pub fn skip(&mut self, files: u64) {
        self.skipped += files;
    }

    /// Notes what a joined table left out.
    pub fn joined(&mut self, told: String) {
        self.joined = Some(told);
    }

    /// Notes how many identifiers several rows have.
    pub fn repeated_ids(&mut self, count: u64) {
        self.repeated_ids = count;
    }

    /// Notes what is wrong with an input as a whole, for `run.json`.
    pub fn problem(&mut self, what: impl Into<String>) {
        self.problems.push(what.into());
    }

    /// Notes the archives and tables as they were when they were listed; one
    /// that is not among them is taken as it is at the end.
    pub fn pins(&mut self, pins: &BTreeMap<PathBuf, Pin>) {
        self.pins.extend(pins.iter().map(|(path, pin)| (path.clone(), pin.clone())));
    }

    /// Notes a folder that was listed and was not empty.
    pub fn folder(&mut self, path: impl Into<String>) {
        self.folders.push(path.into());
    }

    /// Notes a folder in which cutouts lie.
    pub fn place(&mut self, path: impl Into<String>) {
        self.places.push(path.into());
    }

    /// Whether a cutout so far may hold bands.
    pub(super) fn may_hold_bands(&self) -> bool {
        self.bands
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// As [`finish`](Self::finish), with ranges of `size` rows, which divides the size
    /// that the writer was made with: only now is it known how many rows there are.
    pub(crate) fn finish_in(self, size: u64) -> Result<(TempFile, Listing), RunError> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size >= self.range_size {
            return self.finish();
        }
        let (folder, carried) = (self.folder.clone(), Arc::clone(&self.carried));
        let (large, mut listing) = self.finish()?;
        let temp = TempFile::create(&folder, INPUTS)?;
        let read = |error: ParquetError| StorageError::parquet("read", large.path())(error);
        let written = |error: ParquetError| StorageError::parquet("write", temp.path())(error);
        let file = large.file().try_clone().map_err(StorageError::io("open", large.path()))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|reader| reader.with_batch_size(size).build());
        let mut writer = open_writer(&temp, file_schema(&carried))?;
        let mut digest = RowDigest::default();
        for batch in reader.map_err(read)? {
            // In the schema of the writer: that of a file has words about it.
            let columns = batch.map_err(|error| read(error.into()))?.columns().to_vec();
            let batch = RecordBatch::try_new(file_schema(&carried), columns)
                .map_err(|error| written(error.into()))?;
            digest.update(&batch);
            writer.write(&batch).and_then(|()| writer.flush()).map_err(written)?;
        }
        listing.digest = digest.finish();
        seal(writer, &temp, &listing.digest, listing.rows)?;
        Ok((temp, listing))
    }

    /// Writes the last range and the footer; the file has yet to be committed.
    pub(crate) fn finish(mut self) -> Result<(TempFile, Listing), RunError> {
        if self.entries.len() > 0 {
            self.write_range()?;
        }
        let writer = self.writer.take().ok_or(RunError::NoInputs)?;
        let digest = self.digest.finish();
        seal(writer, &self.temp, &digest, self.rows)?;
        // One that has gone meanwhile can be held against nothing.
        let archives = self.containers.iter().filter_map(|path| {
            let pin = match self.pins.get(path) {
                Some(pin) => pin.clone(),
                None => Pin::of(path).and_then(|pin| pin.with_index(path)).ok()?,
            };
            Some((path.to_str()?.to_owned(), pin))
        });
        let listing = Listing {
            rows: self.rows,
            digest,
            skipped: self.skipped,
            repeated_ids: self.repeated_ids,
            joined: self.joined,
            problems: self.problems,
            archives: archives.collect(),
            folders: self.folders,
            places: self.places,
        };
        Ok((self.temp, listing))
    }

    fn bad_row(&self, what: String) -> RunError {
        RunError::BadListing { path: self.temp.path().to_owned(), row: self.rows, what }
    }

    /// Gives the entries that came without a table their empty values.
    fn blank_rest(&mut self) -> Result<(), RunError> {
        let missing = self.entries.len() - self.valued;
        if missing > 0 {
            self.values.push(carried::blank(&self.carried, missing)?);
            self.valued += missing;
        }
        Ok(())
    }

    fn write_range(&mut self) -> Result<(), RunError> {
        self.blank_rest()?;
        let path = self.temp.path();
        let entries = self.entries.take().map_err(StorageError::parquet("write", path))?;
        let values = carried::concat(&self.carried, &self.values)?;
        self.values.clear();
        self.valued = 0;

        let columns = entries.columns().iter().chain(values.columns()).cloned().collect();
        let batch = RecordBatch::try_new(file_schema(&self.carried), columns)
            .map_err(StorageError::parquet("write", path))?;
        self.digest.update(&batch);
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(open_writer(&self.temp, batch.schema())?),
        };
        let written = writer.write(&batch).and_then(|()| writer.flush());
        Ok(written.map_err(StorageError::parquet("write", path))?)
    }
}

/// Writes the footer.
fn seal(
    mut writer: ArrowWriter<SealingWriter>,
    temp: &TempFile,
    digest: &str,
    rows: u64,
) -> Result<(), StorageError> {
    writer.append_key_value_metadata(KeyValue::new(DIGEST.into(), digest.to_owned()));
    writer.append_key_value_metadata(KeyValue::new(ROWS.into(), rows.to_string()));
    seal::close(writer, temp.path())
}

fn open_writer(
    temp: &TempFile,
    schema: SchemaRef,
) -> Result<ArrowWriter<SealingWriter>, StorageError> {
    let file = temp.file().try_clone().map_err(StorageError::io("open", temp.path()))?;
    ArrowWriter::try_new(SealingWriter::new(file), schema, Some(properties()))
        .map_err(StorageError::parquet("write", temp.path()))
}

/// Names and paths in sorted order share their beginnings: delta byte arrays
/// keep each beginning once, where a dictionary would fill up and be given up.
fn properties() -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(None);
    for path in [vec!["id"], vec!["source"], vec!["paths", "list", "item"]] {
        let column = ColumnPath::new(path.into_iter().map(str::to_owned).collect());
        builder = builder
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BYTE_ARRAY);
    }
    builder.build()
}

fn file_schema(carried: &Schema) -> SchemaRef {
    let renamed = carried.fields().iter().map(|field| {
        let field = Field::clone(field);
        let name = format!("{CARRIED}{}", field.name());
        Arc::new(field.with_name(name))
    });
    Arc::new(Schema::new(entries::fields().iter().cloned().chain(renamed).collect::<Vec<_>>()))
}

/// Reads the listing, a range at a time; one reader serves many threads.
#[derive(Clone)]
pub struct InputsReader {
    path: PathBuf,
    /// Of a store's, the bytes, which are fetched once.
    fetched: Option<Chunks>,
    metadata: ArrowReaderMetadata,
    carried: SchemaRef,
}

impl fmt::Debug for InputsReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its metadata would fill pages.
        f.debug_struct("InputsReader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl InputsReader {
    /// Opens a listing. Its bytes are not held against its seal, which would
    /// mean reading it all: `verify` does that.
    ///
    /// # Errors
    /// If it cannot be read, or is no listing.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        Self::of(path, place::open(path).map_err(StorageError::io("open", path))?)
    }

    /// The listing in `file`, which was opened from `path`.
    pub(crate) fn of(path: &Path, file: File) -> Result<Self, RunError> {
        let metadata = footer(&file).map_err(StorageError::parquet("read", path))?;
        let own = entries::fields();
        let fields = metadata.schema().fields();
        let carried = fields.iter().skip(own.len()).map(|field| {
            let name = field.name().strip_prefix(CARRIED)?;
            Some(Arc::new(Field::clone(field).with_name(name)))
        });
        let carried: Option<Vec<_>> = carried.collect();
        match carried {
            Some(carried)
                if fields.iter().zip(&own).filter(|(a, b)| a == b).count() == own.len() =>
            {
                let fetched = remote::is_remote(path).then(|| Chunks::of(file)).transpose();
                Ok(Self {
                    path: path.to_owned(),
                    fetched: fetched.map_err(StorageError::io("read", path))?,
                    metadata,
                    carried: Arc::new(Schema::new(carried)),
                })
            }
            _ => Err(RunError::NotOurs { path: path.to_owned() }),
        }
    }

    /// The digest of its rows, as its footer says.
    pub fn digest(&self) -> Option<&str> {
        let pairs = self.metadata.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == DIGEST)?.value.as_deref()
    }

    /// The carried columns, if there are any.
    pub fn carried(&self) -> Option<&SchemaRef> {
        Some(&self.carried).filter(|schema| !schema.fields().is_empty())
    }

    /// Ranges in it.
    pub fn ranges(&self) -> u64 {
        self.metadata.metadata().num_row_groups() as u64
    }

    /// The cutouts of range `index`, and the carried columns of the same rows.
    ///
    /// # Errors
    /// If there is no such range, it cannot be read, or a row is no entry.
    pub fn range(&self, index: u64) -> Result<(Vec<Entry>, Option<RecordBatch>), RunError> {
        let batch = self.batch(index)?;
        let entries = entries::entries(&batch).map_err(|(row, what)| RunError::BadListing {
            path: self.path.clone(),
            row: self.first_row(index) + row as u64,
            what,
        })?;
        Ok((entries, self.carried_of(&batch)?))
    }

    /// Some cutouts of range `index` by their places in it, which do not fall, and
    /// the carried columns of the same rows.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn rows(
        &self,
        index: u64,
        places: &[u64],
    ) -> Result<(Vec<Entry>, Option<RecordBatch>), RunError> {
        let mut distinct = places.to_vec();
        distinct.dedup();
        let batch = self.read(index, Some(&distinct))?;
        let bad = |row: u64, what: String| {
            let row = self.first_row(index) + row;
            RunError::BadListing { path: self.path.clone(), row, what }
        };
        if batch.num_rows() != distinct.len() {
            let first = distinct.first().copied().unwrap_or(0);
            return Err(bad(first, "it has fewer rows than its footer says".to_owned()));
        }
        let at = |place: &u64| distinct.partition_point(|other| other < place) as u32;
        let wanted = UInt32Array::from_iter_values(places.iter().map(at));
        let batch = take_record_batch(&batch, &wanted)
            .map_err(StorageError::parquet("read", &self.path))?;
        let entries = entries::entries(&batch).map_err(|(row, what)| bad(places[row], what))?;
        Ok((entries, self.carried_of(&batch)?))
    }

    /// The carried columns of rows of the listing.
    fn carried_of(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>, RunError> {
        let carried = self.carried().map(|schema| {
            let own = entries::fields().len();
            RecordBatch::try_new(Arc::clone(schema), batch.columns()[own..].to_vec())
                .map_err(StorageError::parquet("read", &self.path))
        });
        Ok(carried.transpose()?)
    }

    /// All columns of range `index`.
    pub(crate) fn batch(&self, index: u64) -> Result<RecordBatch, RunError> {
        self.read(index, None)
    }

    /// All columns of range `index`, of some of its rows or all.
    fn read(&self, index: u64, some: Option<&[u64]>) -> Result<RecordBatch, RunError> {
        let file = match &self.fetched {
            Some(fetched) => fetched.clone(),
            None => Chunks::open(&self.path).map_err(StorageError::io("open", &self.path))?,
        };
        let group = usize::try_from(index).ok().filter(|_| index < self.ranges());
        let group = group.ok_or_else(|| RunError::NoSuchRange { index, ranges: self.ranges() })?;
        let rows = self.metadata.metadata().row_group(group).num_rows();
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_row_groups(vec![group])
                .with_batch_size(usize::try_from(rows).unwrap_or(1).max(1));
        if let Some(some) = some {
            let within = some.iter().filter(|row| **row < rows.unsigned_abs());
            let within = within.map(|row| *row as usize..*row as usize + 1);
            let total = usize::try_from(rows).unwrap_or(0);
            let wanted = RowSelection::from_consecutive_ranges(within, total);
            builder = builder.with_row_selection(wanted);
        }
        let reader = builder.build().map_err(StorageError::parquet("read", &self.path))?;
        let batches = Batches::of(reader)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|batches| concat_batches(self.metadata.schema(), &batches))
            .map_err(StorageError::parquet("read", &self.path));
        Ok(batches?)
    }

    fn first_row(&self, index: u64) -> u64 {
        let groups = self.metadata.metadata().row_groups().iter().take(index as usize);
        groups.map(|group| group.num_rows().unsigned_abs()).sum()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Float64Array, StringArray};
    use arrow::datatypes::Float64Type;

    use super::super::entries::tests::every_kind;
    use super::*;

    fn table(z: &[Option<f64>], note: &[Option<&str>]) -> RecordBatch {
        let z: ArrayRef = Arc::new(Float64Array::from(z.to_vec()));
        let note: ArrayRef = Arc::new(StringArray::from(note.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("z", z, true), ("kind", note, true)]).unwrap()
    }

    /// The listing of `every_kind`, three times over, some of it from a table.
    fn write(folder: &Path, range_size: u64, chunk: usize) -> (PathBuf, Listing) {
        let (temp, listing) = writer(folder, range_size, chunk).finish().unwrap();
        (temp.commit(INPUTS).unwrap(), listing)
    }

    fn writer(folder: &Path, range_size: u64, chunk: usize) -> InputsWriter {
        let mut writer = InputsWriter::create(folder, range_size).unwrap();
        let some = table(&[Some(0.5), None], &[Some("a"), None]);
        writer.carry(some.schema_ref(), &Schema::empty()).unwrap();
        let entries = every_kind();
        entries.iter().for_each(|entry| writer.push(entry).unwrap());
        let z: Vec<_> = (0..entries.len()).map(|i| Some(i as f64)).collect();
        let all = table(&z, &vec![Some("t"); z.len()]);
        for at in (0..entries.len()).step_by(chunk) {
            let end = entries.len().min(at + chunk);
            writer.push_with(&entries[at..end], &all.slice(at, end - at)).unwrap();
        }
        entries.iter().for_each(|entry| writer.push(entry).unwrap());
        writer.skip(2);
        writer.problem("a.tar ends early");
        assert_eq!(writer.rows(), 27);
        writer
    }

    #[test]
    fn a_range_is_a_row_group_and_comes_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let expected: Vec<Entry> = [every_kind(), every_kind(), every_kind()].concat();
        for range_size in [1, 4, 9, 26, 27, 1000] {
            let (path, listing) = write(folder.path(), range_size, 3);
            assert_eq!((listing.rows, listing.skipped), (27, 2));
            assert_eq!(listing.problems, ["a.tar ends early"]);
            let reader = InputsReader::open(&path).unwrap();
            assert_eq!(reader.digest(), Some(listing.digest.as_str()));
            assert_eq!(reader.ranges(), 27u64.div_ceil(range_size));

            let (mut entries, mut z, mut notes) = (Vec::new(), Vec::new(), Vec::new());
            for index in 0..reader.ranges() {
                let (part, carried) = reader.range(index).unwrap();
                let carried = carried.unwrap();
                assert_eq!(carried.num_rows(), part.len());
                entries.extend(part);
                z.extend(carried["z"].as_primitive::<Float64Type>().iter());
                notes.extend(
                    carried["kind"].as_string::<i32>().iter().map(|v| v.unwrap().to_owned()),
                );
            }
            assert_eq!(entries, expected, "ranges of {range_size}");
            let blank = || std::iter::repeat_n(None, 9);
            let values = blank().chain((0..9).map(|i| Some(f64::from(i)))).chain(blank());
            assert_eq!(z, values.collect::<Vec<_>>(), "ranges of {range_size}");
            assert_eq!(notes.iter().filter(|note| *note == "t").count(), 9);
            assert!(reader.range(reader.ranges()).is_err());
        }
    }

    #[test]
    fn ranges_may_be_cut_when_all_rows_are_known() {
        let folder = tempfile::tempdir().unwrap();
        for size in [1, 2, 4, 8] {
            let (path, listing) = write(folder.path(), size, 3);
            let at_once = (std::fs::read(&path).unwrap(), listing);
            let (temp, listing) = writer(folder.path(), 8, 3).finish_in(size).unwrap();
            let path = temp.commit(INPUTS).unwrap();
            assert_eq!((std::fs::read(&path).unwrap(), listing), at_once, "{size}");
        }
    }

    #[test]
    fn the_digest_is_of_the_rows_and_not_of_how_they_came() {
        let folder = tempfile::tempdir().unwrap();
        let (path, listing) = write(folder.path(), 4, 1);
        let bytes = std::fs::read(&path).unwrap();
        let (path, again) = write(folder.path(), 4, 7);
        assert_eq!(listing, again);
        assert_eq!(bytes, std::fs::read(&path).unwrap());
    }

    #[test]
    fn columns_are_named_first_and_an_empty_listing_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = InputsWriter::create(folder.path(), 4).unwrap();
        writer.push(&every_kind()[0]).unwrap();
        assert!(writer.carry(&Schema::empty(), &Schema::empty()).is_err());
        assert!(writer.push_with(&every_kind(), &table(&[], &[])).is_err());
        drop(writer);
        let empty = InputsWriter::create(folder.path(), 4).unwrap();
        assert!(matches!(empty.finish(), Err(RunError::NoInputs)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_of_somebody_else_is_no_listing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(INPUTS);
        let batch = table(&[None], &[None]);
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        assert!(matches!(InputsReader::open(&path), Err(RunError::NotOurs { .. })));
    }
}
