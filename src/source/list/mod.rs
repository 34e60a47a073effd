//! Listing the inputs of a run: one pass, always in the same order.
//!
//! [`Lister`] takes the inputs as the user gave them, decides what each is,
//! and yields [`Chunk`]s of entries. A file a kind of input: `folder`,
//! `archive` (on `tar`), `table`, `paths`, `mosaics`; `bands` puts FITS files of one band
//! each together, `bounded` rejects
//! what has longer names than any. Reading the cutouts is left to
//! [`read`](super::read), keeping the listing to [`crate::run`].
//!
//! Invariant: the same inputs on the same files give the same chunks; memory
//! is bounded by the names in one folder and the rows of one chunk, whatever
//! the size of the whole (band files named one by one, on the command line or
//! in a list, are kept by name until the end).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::vec;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::{Entry, Pin};
use crate::storage::Wait;
use crate::storage::file::irregular;
use crate::storage::remote::is_remote;
use crate::storage::remote::secrets::concealed;
use crate::tables::{Column, Table as Tabular};

mod archive;
mod bands;
mod bounded;
mod error;
mod folder;
mod join;
mod mosaics;
mod names;
mod notes;
mod paths;
mod remote;
mod repeated;
mod table;
mod tar;
mod units;

pub use bands::BandPattern;
pub use error::ListError;
pub use mosaics::{Field, Mosaics, Scale};
pub use notes::Problem;
pub use repeated::RepeatedIds;
pub(crate) use tar::{index as tar_index, is_member};

use bands::BandGroups;
use join::Join;
use names::{FileKind, TableForm, broken_link, compressed, fits_stem, without_extension};
use notes::Notes;
use table::{Members, Table};

/// Entries a chunk: enough to make the work a chunk small beside the work an
/// entry, and at some 300 bytes an entry about 1 MiB.
const CHUNK: usize = 4096;

/// What decides how inputs are listed.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// How FITS files of one band each are named.
    pub band_pattern: BandPattern,
    /// The bands that the run needs, in the order that maps to R, G, B.
    /// Without any, FITS files are never put together.
    pub bands: Vec<String>,
    /// The column of tables that holds ids; without a name, the first of the
    /// usual ones ([`ID_COLUMNS`](crate::labels::ids::ID_COLUMNS)).
    pub id_column: Option<String>,
    /// The column of Parquet tables that holds images; without a name, tables
    /// with a column of paths are lists, and of others the column is found.
    pub image_column: Option<String>,
    /// Further table columns that are wanted in the catalog.
    pub carry: Vec<String>,
    /// The one among them that is a radius in arcseconds.
    pub radius_column: Option<String>,
    /// Planes or HDUs, in file order, of mosaics that do not name them.
    pub cube_bands: Option<Vec<String>>,
    /// Mosaics; then the inputs are tables of sources in them.
    pub mosaics: Option<Mosaics>,
    /// A table that gives positions and the carried columns to cutouts by their ids; then
    /// no input is a table.
    pub join: Option<PathBuf>,
}

/// Entries that follow one another.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The entries, at least one.
    pub entries: Vec<Entry>,
    /// The carried columns of the same rows, with the schema of
    /// [`Lister::carried`]; `None` if these entries are from no table.
    pub carried: Option<RecordBatch>,
}

impl Chunk {
    /// Entries from no table.
    fn of(entries: Vec<Entry>) -> Self {
        Self { entries, carried: None }
    }
}

/// An input that is being listed.
trait Source: Send {
    /// The next entries; none at the end, and ever after.
    fn next_chunk(&mut self, notes: &mut Notes) -> Result<Chunk, ListError>;
}

/// An input that waits for its turn. Nothing is held open.
enum Planned {
    /// Files named one by one.
    Entries(Vec<Entry>),
    Folder(PathBuf),
    /// What lies below a URL.
    Prefix(PathBuf),
    Archive(PathBuf),
    Table(Table),
    Sources(Box<mosaics::Sources>),
    /// A list of paths; `-` is standard input.
    Paths(PathBuf),
}

impl Planned {
    /// Where several cutouts are to be found.
    fn place(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) | Self::Prefix(path) | Self::Archive(path) | Self::Paths(path) => {
                Some(path)
            }
            Self::Entries(_) | Self::Table(_) | Self::Sources(_) => None,
        }
    }
}

/// Lists inputs in the order given; an iterator of chunks.
pub struct Lister {
    options: Arc<ListOptions>,
    carried: SchemaRef,
    planned: vec::IntoIter<Planned>,
    current: Option<Box<dyn Source>>,
    /// The input that is being listed, while nothing was found in it, and how many problems
    /// there were before it.
    empty: Option<(PathBuf, u64)>,
    notes: Notes,
    /// How tables of sources are understood.
    told: Vec<String>,
    join: Option<Join>,
    /// What tables found in archives.
    members: Arc<Mutex<Members>>,
}

impl Lister {
    /// Looks at every input and at the columns of every table.
    ///
    /// By what it is, an input is a URL of an object store (by its name an
    /// image, an archive, a table (`.parquet`), or a prefix below which images
    /// and archives are), a folder, an archive (`.tar`), a table (`.csv`, `.tsv`,
    /// `.ecsv`, `.vot`, each also gzipped, `.parquet`, or a FITS binary table with
    /// a column of paths), a list of paths (`.txt`, or `-` for standard
    /// input); any other file is a cutout, whatever its name.
    ///
    /// # Errors
    /// An input that is not there, is compressed, or is a table without the
    /// columns that it needs.
    pub fn open(inputs: &[PathBuf], options: ListOptions) -> Result<Self, ListError> {
        let options = Arc::new(options);
        let mut notes = Notes::default();
        if let Some(mosaics) = &options.mosaics {
            if let Some(path) = &options.join {
                let why = "tables of sources have columns of their own: nothing is joined";
                return Err(ListError::Join { path: path.clone(), why: why.to_owned() });
            }
            let sources = inputs.iter().map(|path| mosaics::Sources::open(path, mosaics, &options));
            let sources: Vec<_> = sources.collect::<Result<_, _>>()?;
            let carried = mosaics::schema(sources.iter())?;
            let told = sources.iter().map(mosaics::Sources::told).collect();
            let planned: Vec<Planned> =
                sources.into_iter().map(|table| Planned::Sources(Box::new(table))).collect();
            let planned = planned.into_iter();
            return Ok(Self {
                options,
                carried,
                planned,
                current: None,
                empty: None,
                notes,
                told,
                join: None,
                members: Arc::default(),
            });
        }
        let kinds: Vec<InputKind> =
            inputs.iter().map(|path| InputKind::of(path)).collect::<Result<_, _>>()?;

        // Band files are put together over the whole command line.
        let mut groups = BandGroups::new(&options.band_pattern, &options.bands);
        for (path, kind) in inputs.iter().zip(&kinds) {
            if let InputKind::File | InputKind::BrokenLink = kind {
                paths::note(&mut groups, path)?;
            }
        }
        let mut planned: Vec<Planned> = Vec::new();
        for (path, kind) in inputs.iter().zip(&kinds) {
            let next = match kind {
                InputKind::Folder => Planned::Folder(path.clone()),
                InputKind::Prefix => Planned::Prefix(path.clone()),
                InputKind::Archive => Planned::Archive(path.clone()),
                InputKind::Paths => Planned::Paths(path.clone()),
                InputKind::Table => Planned::Table(Table::open(path, &options)?),
                InputKind::File => {
                    let entry = paths::entry(&mut groups, path, &mut notes)?;
                    Planned::Entries(entry.into_iter().collect())
                }
                InputKind::BrokenLink => {
                    let entry = paths::entry(&mut groups, path, &mut notes)?;
                    Planned::Entries(entry.map(broken_link).into_iter().collect())
                }
            };
            match (planned.last_mut(), next) {
                (Some(Planned::Entries(named)), Planned::Entries(more)) => named.extend(more),
                (_, next) => planned.push(next),
            }
        }
        let tables = planned.iter().filter_map(|p| match p {
            Planned::Table(table) => Some(table),
            _ => None,
        });
        let join = match (&options.join, tables.clone().next()) {
            (None, _) => None,
            (Some(path), None) => Some(Join::read(path, &options, &mut notes)?),
            (Some(path), Some(_)) => {
                let why = "it is joined to folders, archives and lists, and a table is among the \
                           inputs, which has columns of its own: name them with --carry alone";
                return Err(ListError::Join { path: path.clone(), why: why.to_owned() });
            }
        };
        let carried = match &join {
            Some(join) => join.schema(),
            None => Arc::new(table::unified_schema(&options.carry, tables)?),
        };
        let planned = planned.into_iter();
        Ok(Self {
            options,
            carried,
            planned,
            current: None,
            empty: None,
            notes,
            told: Vec::new(),
            join,
            members: Arc::default(),
        })
    }

    /// The carried columns in the order asked for, each with a type that holds
    /// the values of every table.
    pub fn carried(&self) -> &Schema {
        &self.carried
    }

    /// How tables of sources are understood, a line each.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// What a joined table left out, at the end of the listing; `None` if nothing.
    ///
    /// # Errors
    /// [`ListError::Join`] if it gave nothing to any cutout.
    pub fn joined(&self) -> Result<Option<String>, ListError> {
        self.join.as_ref().map_or(Ok(None), Join::told)
    }

    /// What could not be listed so far: the first thousand problems.
    pub fn problems(&self) -> &[Problem] {
        self.notes.problems()
    }

    /// How many problems there are so far, beyond those kept too.
    pub fn problem_count(&self) -> u64 {
        self.notes.problem_count()
    }

    /// The archives and tables so far that were listed to their end, as they
    /// were then.
    pub fn pins(&self) -> &BTreeMap<PathBuf, Pin> {
        self.notes.pins()
    }

    /// Files so far that were found in folders and archives and are no
    /// cutouts, or were set aside as further bands.
    pub fn skipped(&self) -> u64 {
        self.notes.skipped()
    }

    /// What these files were, by kind and example, a line each kind of reason.
    pub fn passed_over(&self) -> Vec<String> {
        let by_name = self.notes.passed_over();
        let by_name = by_name
            .map(|kinds| format!("passed over, for their names are not of cutouts: {kinds}"));
        by_name.into_iter().chain(self.notes.told_aside()).collect()
    }

    /// The mosaics among them that are not used, by kind and example.
    pub fn mosaics_passed_over(&self) -> Vec<String> {
        self.notes.told_aside()
    }

    /// The next chunk; while it waits for somebody else, `wait` is told and may
    /// end it: then the chunk is an error.
    pub fn next_or_wait(&mut self, wait: &dyn Wait) -> Option<Result<Chunk, ListError>> {
        let next = self.try_next(wait).transpose();
        if let Some(Err(_)) = next {
            // A listing with a gap is no listing: end here.
            self.current = None;
            self.planned = Vec::new().into_iter();
        }
        next
    }

    /// Begins with an input; `None` if a problem says why it cannot.
    fn start(
        &mut self,
        planned: Planned,
        wait: &dyn Wait,
    ) -> Result<Option<Box<dyn Source>>, ListError> {
        let notes = &mut self.notes;
        Ok(match planned {
            Planned::Entries(entries) => Some(Box::new(Named(entries.into_iter()))),
            Planned::Folder(given) => {
                let absolute = absolute(&given)?;
                Some(Box::new(folder::FolderWalk::new(&given, absolute, &self.options, notes)?))
            }
            Planned::Prefix(given) => Some(Box::new(remote::Prefix::open(given, &self.options)?)),
            Planned::Archive(given) => {
                let absolute = absolute(&given)?;
                archive::Archive::open(given, absolute, &self.options, notes)?
                    .map(|archive| Box::new(archive) as Box<dyn Source>)
            }
            Planned::Paths(given) => {
                Some(Box::new(paths::PathList::open(given, &self.options, wait)?))
            }
            Planned::Sources(sources) => Some(sources.start(notes)?),
            Planned::Table(table) => {
                Some(table.start(&self.carried, &self.options, &self.members)?)
            }
        })
    }

    fn try_next(&mut self, wait: &dyn Wait) -> Result<Option<Chunk>, ListError> {
        loop {
            if let Some(source) = &mut self.current {
                let chunk = source.next_chunk(&mut self.notes)?;
                if !chunk.entries.is_empty() {
                    self.empty = None;
                    let chunk = match &mut self.join {
                        Some(join) => join.give(chunk)?,
                        None => chunk,
                    };
                    return Ok(Some(bounded::bounded(chunk)?));
                }
                self.current = None;
                if let Some((path, before)) = self.empty.take()
                    && self.notes.problem_count() == before
                {
                    self.notes.problem(path, "no cutouts in it");
                }
            }
            let Some(planned) = self.planned.next() else {
                self.notes.finish();
                return Ok(None);
            };
            let given = planned.place().map(Path::to_owned);
            self.current = self.start(planned, wait)?;
            // What could not be begun with is a problem already.
            let before = self.notes.problem_count();
            self.empty = given.filter(|_| self.current.is_some()).map(|path| (path, before));
        }
    }
}

impl Iterator for Lister {
    type Item = Result<Chunk, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_or_wait(&())
    }
}

/// Files named one by one, a chunk at a time.
struct Named(vec::IntoIter<Entry>);

impl Source for Named {
    fn next_chunk(&mut self, _: &mut Notes) -> Result<Chunk, ListError> {
        Ok(Chunk::of(self.0.by_ref().take(CHUNK).collect()))
    }
}

/// Whether a FITS file lists cutouts: a binary table with a column of paths
/// where an image would be.
fn is_fits_table(path: &Path) -> bool {
    let names_paths = |column: &Column| column.name.eq_ignore_ascii_case("path");
    Tabular::of_fits(path).is_some_and(|table| table.columns().iter().any(names_paths))
}

/// What an input is.
#[derive(Debug, Clone, Copy)]
enum InputKind {
    Folder,
    Prefix,
    Archive,
    Table,
    Paths,
    File,
    BrokenLink,
}

impl InputKind {
    fn of(path: &Path) -> Result<Self, ListError> {
        if path == Path::new("-") {
            return Ok(Self::Paths);
        }
        if is_remote(path) {
            return Self::of_url(path);
        }
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ListError::NotFound { path: path.to_owned() },
            _ => ListError::Io { path: path.to_owned(), source },
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            // A link that leads nowhere is there, and gets its row: patterns
            // of the shell match it like any other name.
            Err(_) if fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink()) => {
                return Ok(Self::BrokenLink);
            }
            Err(error) => return Err(failed(error)),
        };
        if metadata.is_dir() {
            return Ok(Self::Folder);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_table = TableForm::of(&name).is_some();
        if let Some(how) = decompressor(&name).filter(|_| !is_table) {
            return Err(ListError::Compressed { path: path.to_owned(), how });
        }
        let ends = |extension| without_extension(&name, extension).is_some();
        let kind = if is_table || fits_stem(&name).is_some() && is_fits_table(path) {
            Self::Table
        } else if ends("txt") {
            Self::Paths
        } else if ends("tar") {
            // What is wrong with an archive is a problem, here as in folders.
            return Ok(Self::Archive);
        } else {
            return Ok(Self::File);
        };
        match irregular(metadata.file_type()) {
            Some(kind) => Err(ListError::NotAFile { path: path.to_owned(), kind }),
            None => Ok(kind),
        }
    }
}

impl InputKind {
    /// By its name alone: a prefix of a store is nothing that can be looked at.
    fn of_url(url: &Path) -> Result<Self, ListError> {
        let given = url.to_string_lossy();
        if let Cow::Owned(url) = concealed(&given) {
            return Err(ListError::Secret { url });
        }
        let name = url.file_name().unwrap_or_default().to_string_lossy();
        if let Some(how) = decompressor(&name) {
            return Err(ListError::Compressed { path: url.to_owned(), how });
        }
        let is_text = matches!(TableForm::of(&name), Some(TableForm::Text | TableForm::Xml));
        if is_text || without_extension(&name, "txt").is_some() {
            return Err(ListError::RemoteTable { path: url.to_owned() });
        }
        if without_extension(&name, "parquet").is_some() {
            return Ok(Self::Table);
        }
        Ok(match FileKind::of(&name).0 {
            FileKind::Archive => Self::Archive,
            // A query is nothing that an object store knows.
            kind if kind.is_image() && !name.contains('?') => Self::File,
            _ => Self::Prefix,
        })
    }
}

/// The command that unpacks a compressed archive, table or list; `None` for
/// any other name.
fn decompressor(name: &str) -> Option<&'static str> {
    let (inner, tool) = compressed(name)?;
    let is_archive = FileKind::of(name).0 == FileKind::CompressedArchive;
    let is_table = ["csv", "parquet", "txt"].iter().any(|e| without_extension(inner, e).is_some());
    (is_archive || is_table).then_some(tool)
}

/// The absolute form of a path, links and `..` kept as they are.
fn absolute(path: &Path) -> Result<PathBuf, ListError> {
    crate::storage::remote::absolute(path)
        .map_err(|source| ListError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lister_can_move_to_a_thread() {
        fn is_send<T: Send>() {}
        is_send::<Lister>();
    }

    #[test]
    fn compressed_inputs_name_their_tool() {
        assert_eq!(decompressor("a.tar.gz"), Some("gunzip"));
        assert_eq!(decompressor("a.TGZ"), Some("gunzip"));
        assert_eq!(decompressor("a.csv.zst"), Some("unzstd"));
        assert_eq!(decompressor("a.fits.gz"), None);
        assert_eq!(decompressor("a.tar"), None);
    }
}
