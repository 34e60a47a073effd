//! A catalog, or some of it, in the format that another tool wants.
//!
//! Rows flow from the parts through a `Selection` (which rows, which columns,
//! under which names) into one writer a format, a batch at a time; formats that
//! must know widths or counts beforehand read the parts twice. One file a
//! format: `parquet`, `csv`, `fits`, `votable`, `hats`. Some rows, to look at, are
//! [`pick`]'s.
//!
//! Memory: a batch of 8,192 rows (2 MB and the carried columns) and what the
//! format's writer holds; HATS says its own.
//!
//! Invariant: the output appears under its name whole and on disk, or not at
//! all; it holds every row that was asked for once, in the catalog's order (in
//! that of the sky for HATS).

mod best;
mod csv;
mod error;
pub mod filter;
mod fits;
mod hats;
mod names;
mod parquet;
pub mod pick;
mod rows;
mod selection;
mod votable;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::{fs, io};

use ::parquet::file::metadata::KeyValue;
use serde_json::json;

pub(crate) use best::Best;
pub use error::ExportError;

use crate::catalog::{part, schema, verify::examine};
use crate::run::{RowRange, RunFolder};
use crate::storage::StorageError;
use crate::storage::output::{self, NewFile};
use crate::storage::remote::is_remote;
use rows::Rows;
use selection::Selection;

/// What another tool reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One Parquet file, with VOTable metadata.
    Parquet,
    /// Comma-separated values, at full precision.
    Csv,
    /// A FITS binary table.
    Fits,
    /// A VOTable (TABLEDATA).
    Votable,
    /// A folder partitioned by HEALPix, for LSDB and services.
    Hats,
}

/// How columns are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// As in the catalog.
    #[default]
    Catalog,
    /// After Galaxy Zoo's questions and answers.
    GalaxyZoo,
}

/// How ids are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ids {
    /// As text, as they came.
    #[default]
    Text,
    /// As 64-bit integers; refused if one is not the plain decimal form of one.
    Integer,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The format.
    pub format: Format,
    /// The file, or for HATS the folder, to make.
    pub output: PathBuf,
    /// Which rows, in the language of [`filter`]; all if none.
    pub filter: Option<String>,
    /// Which columns, in this order, by the catalog's names; all if none.
    pub columns: Option<Vec<String>>,
    /// Whether rows of rejected cutouts are written too.
    pub rejected: bool,
    /// Whether a catalog that is not complete is exported as far as it is.
    pub partial: bool,
    /// Whether a file that is there is replaced.
    pub overwrite: bool,
    /// Names of columns.
    pub names: Names,
    /// Type of the ids.
    pub ids: Ids,
    /// HATS: most rows a partition.
    pub rows_per_pixel: u64,
}

impl ExportOptions {
    /// Everything but the rejected rows, as they are in the catalog.
    pub fn new(format: Format, output: PathBuf) -> Self {
        Self {
            format,
            output,
            filter: None,
            columns: None,
            rejected: false,
            partial: false,
            overwrite: false,
            names: Names::Catalog,
            ids: Ids::Text,
            rows_per_pixel: hats::ROWS_PER_PIXEL,
        }
    }
}

/// What became of the catalog's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Rows written.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Rows of rejected cutouts that were left out.
    pub rejected: u64,
    /// Other rows that the condition left out.
    pub filtered: u64,
    /// HATS: rows left out because they have no position.
    pub unplaced: u64,
    /// HATS: partitions.
    pub partitions: u64,
    /// Rows of ranges that the catalog does not have (yet).
    pub missing: u64,
    /// FITS: texts that were cut, since every row is as wide as the widest.
    pub cut: u64,
    /// Columns of vectors, for which the format has no place.
    pub left_out: Vec<String>,
}

/// Exports the catalog in the run folder `dir`. `progress` is told of rows as
/// they are read, and how many there will be in all, whatever the passes; it
/// says whether to go on.
///
/// # Errors
/// [`ExportError`], [`ExportError::Stopped`] among them; then there is no output, and a file that was to be replaced
/// is as it was.
pub fn export(
    dir: &Path,
    options: &ExportOptions,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<ExportReport, ExportError> {
    if is_remote(&options.output) {
        return Err(ExportError::Remote { path: options.output.clone() });
    }
    let run = RunFolder::open(dir)?;
    let schema = schema::of(&run)?;
    let selection = Selection::new(&schema, options)?;
    refuse_existing(&options.output, options.overwrite && options.format != Format::Hats)?;
    output::refuse(&options.output, &[])?;
    let (ranges, missing) = sound_ranges(&run, options.partial)?;
    let source = RowSource {
        run: &run,
        ranges,
        selection: &selection,
        origin: origin(&run, options, missing),
    };
    let passes = if matches!(options.format, Format::Fits | Format::Hats) { 2 } else { 1 };
    let total = passes * source.ranges.iter().map(|range| range.count).sum::<u64>();
    let mut seen = 0;
    let mut progress = |rows: u64| {
        seen += rows;
        match progress(seen, total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ExportError::Stopped),
        }
    };
    let writer: FileWriter = match options.format {
        Format::Parquet => parquet::write,
        Format::Csv => csv::write,
        Format::Fits => fits::write,
        Format::Votable => votable::write,
        Format::Hats => {
            let report = hats::write(&source, options, &mut progress)?;
            return Ok(ExportReport { missing, ..report });
        }
    };
    let file = match options.format {
        // cfitsio opens it by its name.
        Format::Fits => NewFile::create_by_name(&options.output, &[])?,
        _ => NewFile::create(&options.output, &[])?,
    };
    let report = writer(&source, &file, &mut progress)?;
    let left_out = selection.left_out().to_vec();
    Ok(ExportReport { missing, bytes: file.commit()?, left_out, ..report })
}

/// Says no to an output that is there, unless it is a file to be replaced.
fn refuse_existing(path: &Path, overwrite: bool) -> Result<(), ExportError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(found) if !found.is_dir() && overwrite => Ok(()),
        Ok(_) => Err(ExportError::Exists { path: path.to_owned() }),
        Err(error) => Err(StorageError::io("look for", path)(error).into()),
    }
}

/// Writes the rows of a source into a file that is still nameless.
type FileWriter = fn(&RowSource<'_>, &NewFile, OnRows<'_>) -> Result<ExportReport, ExportError>;

/// Is told of rows as they are read; an error of it ends the export.
type OnRows<'a> = &'a mut dyn FnMut(u64) -> Result<(), ExportError>;

/// The rows that are exported, to be read as often as a format needs them.
struct RowSource<'a> {
    run: &'a RunFolder,
    ranges: Vec<RowRange>,
    selection: &'a Selection,
    /// Where the rows come from, for the output to say.
    origin: Vec<KeyValue>,
}

impl RowSource<'_> {
    fn rows(&self) -> Rows<'_> {
        Rows::new(self.run.dir(), &self.ranges, self.selection)
    }
}

/// The ranges whose parts are sound, and the rows of the others: none, unless
/// a part of the catalog is wanted.
fn sound_ranges(run: &RunFolder, partial: bool) -> Result<(Vec<RowRange>, u64), ExportError> {
    let found = examine(run.dir(), false)?;
    if !found.is_complete() && !partial {
        if let (true, Some(stray)) = (found.rows_found == found.rows_expected, found.stray.first())
        {
            let (path, stray) = (run.dir().to_owned(), stray.clone());
            return Err(ExportError::Stray { path, stray });
        }
        return Err(ExportError::Incomplete {
            path: run.dir().to_owned(),
            found: found.rows_found,
            expected: found.rows_expected,
        });
    }
    let damaged = found.damaged.iter().map(|part| part.range.index);
    let without: std::collections::HashSet<u64> =
        found.missing.iter().map(|range| range.index).chain(damaged).collect();
    let ranges: Vec<RowRange> = run.ranges().filter(|r| !without.contains(&r.index)).collect();
    Ok((ranges, found.rows_expected - found.rows_found))
}

/// The run's provenance, and what the export took of it.
fn origin(run: &RunFolder, options: &ExportOptions, missing: u64) -> Vec<KeyValue> {
    let mut pairs = part::provenance(run.manifest(), run.digest());
    let export = json!({
        "where": options.filter,
        "columns": options.columns,
        "rejected": options.rejected,
        "missing_rows": missing,
    });
    pairs.push(KeyValue::new("hiwl.export".to_owned(), export.to_string()));
    pairs
}

impl ExportReport {
    /// Counts a batch; returns how many rows of the catalog it came from.
    fn add(&mut self, selected: &selection::Selected) -> u64 {
        let rows = selected.batch.num_rows() as u64;
        self.rows += rows;
        self.rejected += selected.rejected;
        self.filtered += selected.filtered;
        rows + selected.rejected + selected.filtered
    }
}
