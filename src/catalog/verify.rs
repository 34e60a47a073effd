//! The proof that a catalog is whole: every range once, every row in it the
//! listing's, every byte as it was written.
//!
//! Bytes are held against their seal first (see `seal`), so that a damaged
//! file never reaches the decoder; then the file is held against the run: its
//! digest, its range, its columns, its rows one by one. Nothing is repaired or
//! removed here; the report says which parts to delete so that a repeated run
//! makes them anew.
//!
//! Memory: one range of the listing, one batch of a part, and eight bytes a
//! row for the count of duplicate ids.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{CatalogError, note, part, row, schema};
use crate::cutout::{Reason, Rejection};
use crate::run::names::CATALOG;
use crate::run::row_digest::RowDigest;
use crate::run::{
    FORMAT, InputsReader, Manifest, Plan, RowRange, RunError, inputs_path, pinned_inputs, ranges,
    read_manifest,
};
use crate::storage::parquet::{Batches, footer};
use crate::storage::remote::is_remote;
use crate::storage::seal::{self, Broken};
use crate::storage::{StorageError, place, sweep};
use crate::tree::Scheme;

/// Rows a batch while reading parts.
const BATCH: usize = 8_192;

/// What [`verify()`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Rows of the listing.
    pub rows_expected: u64,
    /// Rows in parts that are sound.
    pub rows_found: u64,
    /// Ranges of the plan.
    pub ranges: u64,
    /// Into how many shards the run is shared out, if it is.
    pub shards: Option<u64>,
    /// Ranges without a part.
    pub missing: Vec<RowRange>,
    /// Parts that are there and wrong.
    pub damaged: Vec<DamagedPart>,
    /// What is wrong with the listing. Then ids were not compared.
    pub listing: Option<Damage>,
    /// Files and folders among the parts that are no parts and that a reader
    /// of the folder would take for some (a leading `.` or `_` hides a name
    /// from readers).
    pub stray: Vec<PathBuf>,
    /// Temporary files: of a live process, or left by one that died.
    pub unfinished: Vec<PathBuf>,
    /// The labels that rows may have, in the order of the model's classes.
    pub classes: Vec<String>,
    /// Rows by label, by the class's place.
    pub labels: BTreeMap<usize, u64>,
    /// Rejected rows by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// The first of them: its source, and why.
    pub example: Option<(String, Rejection)>,
    /// Rows with a label and a note, by the note's kind ([`note::kind`]).
    pub notes: BTreeMap<String, u64>,
    /// Sound parts with rejected rows: how many of each reason.
    pub with_rejected: Vec<(RowRange, BTreeMap<Reason, u64>)>,
    /// Rows of the listing whose id an earlier row has. They are allowed.
    pub duplicate_ids: u64,
    /// Inputs that could not be listed: none of their cutouts has a row.
    pub problems: Vec<String>,
}

/// A part that is there and wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedPart {
    /// The range whose name it has.
    pub range: RowRange,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The system does not give its bytes.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It does not end as a Parquet file does.
    #[error("it is cut off or no Parquet file ({length} bytes)")]
    Truncated {
        /// Its length in bytes.
        length: u64,
    },
    /// It has no checksum.
    #[error("it has no checksum: hiwl did not write it so")]
    Unsealed,
    /// Its bytes are not those that were written.
    #[error("its checksum does not match: it was changed after it was written")]
    Checksum,
    /// The Parquet library cannot decode it.
    #[error("it does not decode: {0}")]
    Decode(String),
    /// A later version of the program wrote it.
    #[error("its format is {found}, while this program reads up to {known}: update it")]
    Format {
        /// Its format.
        found: String,
        /// The last that this program reads.
        known: u64,
    },
    /// It belongs to another run.
    #[error("it belongs to another run ({0})")]
    OtherRun(String),
    /// It holds other rows than its name says.
    #[error("it holds rows {found}, and its name says {expected}")]
    OtherRange {
        /// By its name.
        expected: String,
        /// By its footer.
        found: String,
    },
    /// Its columns are not the catalog's.
    #[error("its columns are not the catalog's: {0}")]
    Columns(String),
    /// It has another number of rows than the plan.
    #[error("it has {found} rows, not {expected}")]
    Rows {
        /// By the plan.
        expected: u64,
        /// In the file.
        found: u64,
    },
    /// A row is not the listing's.
    #[error("row {row} is `{found}`, the listing has `{expected}`")]
    OtherRow {
        /// The row, counted from 0 over the whole run.
        row: u64,
        /// The listing's id or source.
        expected: String,
        /// The part's.
        found: String,
    },
    /// A row contradicts itself.
    #[error("row {row}: {what}")]
    Row {
        /// The row, counted from 0 over the whole run.
        row: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The listing's rows are not those that `run.json` pins.
    #[error("its rows are not those of run.json")]
    OtherListing,
}

impl From<Broken> for Damage {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Unreadable(why) => Self::Unreadable(why),
            Broken::Truncated { length } => Self::Truncated { length },
            Broken::Unsealed => Self::Unsealed,
            Broken::Checksum => Self::Checksum,
        }
    }
}

impl Verification {
    /// Whether every row is there once, and nothing else is.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
            && self.damaged.is_empty()
            && self.listing.is_none()
            && self.stray.is_empty()
            && self.rows_found == self.rows_expected
    }

    /// Numbers of the ranges without a sound part, in order.
    pub fn ranges_to_redo(&self) -> Vec<u64> {
        let damaged = self.damaged.iter().map(|part| part.range.index);
        let mut ranges: Vec<u64> =
            self.missing.iter().map(|range| range.index).chain(damaged).collect();
        ranges.sort_unstable();
        ranges
    }

    /// The shards of those ranges, in order; none if the run is not shared
    /// out.
    pub fn shards_to_redo(&self) -> Option<Vec<u64>> {
        let count = self.shards?;
        let mut shards: Vec<u64> =
            self.ranges_to_redo().into_iter().map(|range| range % count).collect();
        shards.sort_unstable();
        shards.dedup();
        Some(shards)
    }
}

/// Removes the parts of these ranges: they are then missing, and made anew like
/// others that are. For parts that are damaged, and for those whose rows were
/// rejected for what has passed since.
///
/// # Errors
/// What the system says.
pub fn remove_parts(
    dir: &Path,
    ranges: impl IntoIterator<Item = RowRange>,
) -> Result<(), CatalogError> {
    ranges.into_iter().try_for_each(|range| Ok(place::remove(&range.part_path(dir))?))
}

/// Holds the catalog in the run folder `dir` against its plan.
///
/// # Errors
/// If there is no run or its folder cannot be listed. Whatever is wrong with
/// the listing or a part is in the result.
pub fn verify(dir: &Path) -> Result<Verification, CatalogError> {
    examine(dir, true)
}

/// As [`verify()`]; duplicate ids, whose count takes memory with the number of
/// rows, are looked for only if `duplicates` says so.
pub(crate) fn examine(dir: &Path, duplicates: bool) -> Result<Verification, CatalogError> {
    let (manifest, run) = read_manifest(dir)?;
    let ranges = ranges(&manifest);
    let scheme = manifest.settings.model.scheme();
    let mut found = Verification {
        rows_expected: manifest.listing.rows,
        ranges: ranges.len(),
        shards: Plan::of(dir, &run)?.map(|plan| plan.shards),
        problems: manifest.listing.problems.clone(),
        classes: scheme.tree().class_names(),
        ..Verification::default()
    };
    let present = sort_files(dir, &manifest, &mut found)?;
    let path = inputs_path(dir, &manifest)?;
    let listing = match open(&path)? {
        Ok(file) => Listed::new(path, file, &manifest, duplicates),
        Err(damage) => Err(damage),
    };
    let mut listing = match listing {
        Ok(listing) => Some(listing),
        Err(damage) => {
            found.listing = Some(damage);
            None
        }
    };
    let schema = match &listing {
        Some(listing) => {
            schema::catalog_schema(&scheme, listing.reader.carried().map(AsRef::as_ref)).ok()
        }
        None => None,
    };

    for range in ranges.iter() {
        let names = match listing.as_mut().map(|listing| listing.next(&range)) {
            Some(Err(damage)) => {
                found.listing = Some(damage);
                listing = None;
                None
            }
            names => names.transpose().ok().flatten(),
        };
        if present.binary_search(&range.index).is_err() {
            found.missing.push(range);
            continue;
        }
        let path = range.part_path(dir);
        let expected = Expected {
            run: &run,
            range,
            names: names.as_ref(),
            schema: schema.as_ref(),
            scheme: &scheme,
        };
        match open(&path)?.and_then(|file| check_part(file, &expected)) {
            Ok(counts) => found.add(range, counts),
            Err(damage) => found.damaged.push(DamagedPart { range, path, damage }),
        }
    }
    if let Some(listing) = listing {
        let (duplicates, damage) = listing.finish(&manifest);
        found.duplicate_ids = duplicates;
        found.listing = damage;
    }
    Ok(found)
}

/// Tells parts from temporary, hidden and stray files; returns the sorted
/// indices of the ranges that have a part.
fn sort_files(
    dir: &Path,
    manifest: &Manifest,
    found: &mut Verification,
) -> Result<Vec<u64>, CatalogError> {
    let ranges = ranges(manifest);
    let mut present = Vec::new();
    let mut paths = place::entries(&dir.join(CATALOG))?;
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if let Some(range) = ranges.of_part(&name) {
            present.push(range.index);
        } else if path.file_name().is_some_and(sweep::is_temporary) {
            found.unfinished.push(path);
        } else if !name.starts_with(['.', '_']) {
            found.stray.push(path);
        }
    }
    present.sort_unstable();
    Ok(present)
}

/// The listing, read range by range.
struct Listed {
    reader: InputsReader,
    digest: RowDigest,
    /// Hashes of the ids, if duplicates are counted.
    ids: Option<Vec<u64>>,
}

impl Listed {
    fn new(
        path: PathBuf,
        file: File,
        manifest: &Manifest,
        duplicates: bool,
    ) -> Result<Self, Damage> {
        seal::check(&file)?;
        let reader = InputsReader::of(&path, file)
            .and_then(|reader| pinned_inputs(reader, path, manifest))
            .map_err(|error| match error {
                RunError::OtherListing { .. } => Damage::OtherListing,
                other => Damage::Decode(other.to_string()),
            })?;
        Ok(Self { reader, digest: RowDigest::default(), ids: duplicates.then(Vec::new) })
    }

    /// The rows of the next range.
    fn next(&mut self, range: &RowRange) -> Result<RecordBatch, Damage> {
        let batch =
            self.reader.batch(range.index).map_err(|error| Damage::Decode(error.to_string()))?;
        let found = batch.num_rows() as u64;
        if found != range.count {
            return Err(Damage::Rows { expected: range.count, found });
        }
        self.digest.update(&batch);
        if let Some(ids) = &mut self.ids {
            ids.extend(texts(&batch, "id").map(|id| {
                let mut hasher = DefaultHasher::new();
                id.hash(&mut hasher);
                hasher.finish()
            }));
        }
        Ok(batch)
    }

    /// How many ids came before, and what is wrong with the rows as a whole.
    fn finish(self, manifest: &Manifest) -> (u64, Option<Damage>) {
        let mut ids = self.ids.unwrap_or_default();
        let rows = ids.len();
        ids.sort_unstable();
        ids.dedup();
        let same = self.digest.finish() == manifest.listing.digest;
        ((rows - ids.len()) as u64, (!same).then_some(Damage::OtherListing))
    }
}

/// What a part should be.
struct Expected<'a> {
    run: &'a str,
    range: RowRange,
    /// The listing's rows; none where the listing is damaged.
    names: Option<&'a RecordBatch>,
    /// None where the listing is damaged, which knows the carried columns.
    schema: Option<&'a SchemaRef>,
    scheme: &'a Scheme,
}

#[derive(Default)]
struct Counts {
    labels: BTreeMap<usize, u64>,
    rejected: BTreeMap<Reason, u64>,
    example: Option<(String, Rejection)>,
    notes: BTreeMap<String, u64>,
    rows: u64,
}

impl Verification {
    fn add(&mut self, range: RowRange, counts: Counts) {
        self.rows_found += counts.rows;
        for (label, rows) in counts.labels {
            *self.labels.entry(label).or_default() += rows;
        }
        for (reason, rows) in &counts.rejected {
            *self.rejected.entry(*reason).or_default() += rows;
        }
        for (kind, rows) in counts.notes {
            note::count(&mut self.notes, &kind, rows);
        }
        self.example = self.example.take().or(counts.example);
        if !counts.rejected.is_empty() {
            self.with_rejected.push((range, counts.rejected));
        }
    }
}

/// Opens a part or the listing. A store that does not answer says nothing of
/// it; a disk that does not give a file's bytes does.
fn open(path: &Path) -> Result<Result<File, Damage>, CatalogError> {
    match place::open(path) {
        Err(error) if is_remote(path) && error.kind() != ErrorKind::NotFound => {
            Err(StorageError::io("read", path)(error).into())
        }
        opened => Ok(opened.map_err(|error| Damage::Unreadable(error.to_string()))),
    }
}

fn check_part(file: File, expected: &Expected<'_>) -> Result<Counts, Damage> {
    seal::check(&file)?;
    let decode = |error: &dyn std::fmt::Display| Damage::Decode(error.to_string());
    let metadata = footer(&file).map_err(|e| decode(&e))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let footer = builder.metadata().file_metadata();
    let value = |key: &str| {
        let pairs = footer.key_value_metadata().into_iter().flatten();
        pairs
            .filter(|pair| pair.key == key)
            .find_map(|pair| pair.value.as_deref())
            .unwrap_or("none")
    };
    // By another layout nothing below would mean what it says.
    let format = match value(part::FORMAT) {
        "none" => Some(1),
        number => number.parse().ok(),
    };
    if format.is_none_or(|format| format > FORMAT) {
        return Err(Damage::Format { found: value(part::FORMAT).to_owned(), known: FORMAT });
    }
    if value(part::RUN) != expected.run {
        return Err(Damage::OtherRun(value(part::RUN).to_owned()));
    }
    let range = part::range_key(&expected.range);
    if value(part::RANGE) != range {
        return Err(Damage::OtherRange { expected: range, found: value(part::RANGE).to_owned() });
    }
    check_columns(builder.schema(), expected)?;
    let found = u64::try_from(footer.num_rows()).unwrap_or(0);
    if found != expected.range.count {
        return Err(Damage::Rows { expected: expected.range.count, found });
    }

    let mut counts = Counts::default();
    let reader = builder.with_batch_size(BATCH).build().map_err(|e| decode(&e))?;
    for batch in Batches::of(reader) {
        let batch = batch.map_err(|e| decode(&e))?;
        check_rows(&batch, expected, &mut counts)?;
    }
    if counts.rows != expected.range.count {
        return Err(Damage::Rows { expected: expected.range.count, found: counts.rows });
    }
    Ok(counts)
}

/// Names, types and nulls of every column; without a listing only the
/// catalog's own, which come first.
fn check_columns(found: &SchemaRef, expected: &Expected<'_>) -> Result<(), Damage> {
    let own = schema::catalog_schema(expected.scheme, None)
        .map_err(|error| Damage::Columns(error.to_string()))?;
    let expected = expected.schema;
    let expected_fields = expected.map_or(own.fields(), |schema| schema.fields());
    let count = found.fields().len();
    if count < expected_fields.len() || (expected.is_some() && count > expected_fields.len()) {
        return Err(Damage::Columns(format!("{count} of them, not {}", expected_fields.len())));
    }
    for (found, expected) in found.fields().iter().zip(expected_fields) {
        let what = |field: &Arc<arrow::datatypes::Field>| {
            (field.name().clone(), field.data_type().clone(), field.is_nullable())
        };
        if what(found) != what(expected) {
            return Err(Damage::Columns(format!(
                "`{}` of type {} where `{}` of type {} belongs",
                found.name(),
                found.data_type(),
                expected.name(),
                expected.data_type()
            )));
        }
    }
    Ok(())
}

/// The next rows of a part: against the listing, and in themselves.
fn check_rows(
    batch: &RecordBatch,
    expected: &Expected<'_>,
    counts: &mut Counts,
) -> Result<(), Damage> {
    let first = counts.rows;
    if let Some(names) = expected.names {
        let names =
            names.slice(first as usize, batch.num_rows().min(names.num_rows() - first as usize));
        for column in ["id", "source"] {
            let pairs = texts(&names, column).zip(texts(batch, column)).enumerate();
            for (at, (expected_text, found)) in pairs {
                if expected_text != found {
                    return Err(Damage::OtherRow {
                        row: expected.range.first + first + at as u64,
                        expected: expected_text.to_owned(),
                        found: found.to_owned(),
                    });
                }
            }
        }
    }
    let confidence = batch.column_by_name("confidence");
    let rows = texts(batch, "label").zip(texts(batch, "status"));
    let said = texts(batch, "source").zip(texts(batch, "error"));
    for (at, ((label, status), (source, error))) in rows.zip(said).enumerate() {
        let wrong =
            |what: String| Damage::Row { row: expected.range.first + first + at as u64, what };
        if confidence.is_some_and(|column| column.is_valid(at) != (status == row::OK)) {
            return Err(wrong(format!("status `{status}` contradicts its confidence")));
        }
        match (status, expected.scheme.tree().class(label), Reason::from_code(status)) {
            (row::OK, Some(class), _) => {
                *counts.labels.entry(class).or_default() += 1;
                if !error.is_empty() {
                    note::count(&mut counts.notes, error, 1);
                }
            }
            (_, None, Some(reason)) if label.is_empty() => {
                *counts.rejected.entry(reason).or_default() += 1;
                let example = || (source.to_owned(), Rejection::new(reason, error));
                counts.example.get_or_insert_with(example);
            }
            _ => return Err(wrong(format!("label `{label}` with status `{status}`"))),
        }
    }
    counts.rows += batch.num_rows() as u64;
    Ok(())
}

/// A text column that the schema check has found to be there and without nulls.
fn texts<'a>(batch: &'a RecordBatch, name: &str) -> impl Iterator<Item = &'a str> {
    let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.into_iter().flatten().flatten()
}
