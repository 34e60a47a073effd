//! The folder of a run: planned once, resumed at will, shared by processes.
//!
//! Planning lists the inputs and pins the run in `run.json`, whose appearance
//! is the moment from which the run exists. Afterwards the folder is only added
//! to: a part a range. Nothing is remembered elsewhere, so the ranges without
//! a part are what is left to do.
//!
//! In a store nobody waits for whoever plans: `run.json` is put on condition
//! that there is none, and who comes second goes on with the first one's run, or
//! fails as in any folder with another run.
//!
//! Invariant: for one `run.json` there is one listing and one answer to which
//! rows a range has, whichever process asks.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::journal::{Desk, Journal, Left};
use super::names::{self, CATALOG, INPUTS, Lock, MANIFEST, PLAN_LOCK};
use super::ranges::{Ranges, usual_size};
use super::settings::FORMAT;
use super::{InputsReader, InputsWriter, Manifest, RowRange, RunError, Settings, Shard};
use crate::storage::file::TempFile;
use crate::storage::lock::{self, PathLock, Wait};
use crate::storage::remote::is_remote;
use crate::storage::{StorageError, output, place, sweep};

/// A planned run.
#[derive(Clone)]
pub struct RunFolder {
    dir: PathBuf,
    manifest: Manifest,
    digest: String,
    inputs: InputsReader,
}

/// A range that this process is writing. Another process that asks for it is
/// told so, until the claim is dropped or the process dies.
#[derive(Debug)]
pub struct Claim {
    range: RowRange,
    left: Left,
    desk: Arc<Desk>,
}

impl Claim {
    fn new(range: RowRange, part: PathBuf, lock: PathLock) -> Self {
        let (desk, left) = Desk::open(range, part, lock);
        Self { range, left, desk: Arc::new(desk) }
    }

    /// The range.
    pub fn range(&self) -> RowRange {
        self.range
    }

    /// What is known of its rows from processes that died over them.
    pub fn left(&self) -> &Left {
        &self.left
    }

    /// Says that a suspect is being tried in this process, and nothing else is
    /// done: should the process die, it was that one.
    ///
    /// # Errors
    /// What the system says of writing.
    pub fn try_alone(&self, row: u64) -> Result<(), RunError> {
        self.desk.alone(&self.left, row)
    }

    /// Notes that a row ended a process when it was tried alone, and how; it is
    /// written with the beginning of the range.
    pub fn crashed(&mut self, row: u64, how: String) {
        self.left.suspects.remove(&row);
        self.left.crashed.insert(row, how);
    }

    /// Begins the range: from here on the workers of `journal` say in the file
    /// of the claim what they are at.
    ///
    /// # Errors
    /// What the system says of writing.
    pub fn begin(&mut self, journal: &Journal) -> Result<(), RunError> {
        self.left.suspects.clear();
        let desk = Arc::get_mut(&mut self.desk).expect("nobody watches it before it is begun");
        desk.begin(&self.left, journal.workers())?;
        journal.watch(&self.desk);
        Ok(())
    }
}

/// The answer to [`RunFolder::claim`].
#[derive(Debug)]
pub enum Claimed {
    /// This process is to write it.
    Ours(Claim),
    /// Another live process is writing it.
    Elsewhere,
    /// Its part is there.
    Complete,
}

impl fmt::Debug for RunFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RunFolder");
        debug.field("dir", &self.dir).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl RunFolder {
    /// The run in `dir`: the one that is there, if it has these settings, or a
    /// new one, for which `list` puts every cutout into the writer. Processes
    /// that come at once wait for the one that plans; `wait` is told so, and
    /// may end it.
    ///
    /// # Errors
    /// [`RunError::OtherRun`] if the folder holds a run with other
    /// settings, [`RunError::NoInputs`] if the listing is empty, whatever
    /// `list` returns, and what the system says. When nothing was planned,
    /// nothing is left behind.
    pub fn open_or_create<E: From<RunError>>(
        dir: &Path,
        settings: &Settings,
        wait: &dyn Wait,
        list: impl FnOnce(&mut InputsWriter) -> Result<(), E>,
    ) -> Result<Self, E> {
        settings.check()?;
        let exists = || place::exists(&dir.join(MANIFEST)).map_err(RunError::from);
        place::check(dir).map_err(RunError::from)?;
        output::refuse_run_in_run(dir).map_err(RunError::from)?;
        let made = MadeFolders::make(dir).map_err(RunError::from)?;
        if !exists()? {
            // The thousand tasks of a planned run need no turns.
            let planning = PathLock::acquire(&dir.join(PLAN_LOCK), wait);
            let _planning = planning.map_err(RunError::from)?;
            sweep::sweep(dir).map_err(RunError::from)?;
            if !exists()? {
                plan(dir, settings, list)?;
            }
        }
        // In a store it may be another's, that was first.
        let run = Self::resume(dir, settings)?;
        made.keep();
        Ok(run)
    }

    /// The settings of the run in `dir`, if there is one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn settings(dir: &Path) -> Result<Option<Settings>, RunError> {
        place::check(dir)?;
        // What is wrong with a path that is no folder, who opens it says.
        if (is_remote(dir) || dir.is_dir()) && place::exists(&dir.join(MANIFEST))? {
            Ok(Some(read_manifest(dir)?.0.settings))
        } else {
            Ok(None)
        }
    }

    /// The run in `dir`, whatever its settings. Writes nothing.
    ///
    /// # Errors
    /// [`RunError::NoRun`] if there is none, [`RunError::OtherListing`]
    /// if its listing is another run's, and what the system says.
    pub fn open(dir: &Path) -> Result<Self, RunError> {
        let (manifest, digest) = read_manifest(dir)?;
        let inputs = open_inputs(dir, &manifest)?;
        Ok(Self { dir: dir.to_owned(), manifest, digest, inputs })
    }

    fn resume(dir: &Path, settings: &Settings) -> Result<Self, RunError> {
        let run = Self::open(dir)?;
        let differences = run.manifest.settings.differences(settings);
        if !differences.is_empty() {
            return Err(RunError::OtherRun { path: dir.to_owned(), differences });
        }
        // Whoever removed the parts with their folder wants them again.
        let catalog = run.catalog();
        if !is_remote(dir) {
            fs::create_dir_all(&catalog).map_err(StorageError::io("create", &catalog))?;
        }
        lock::sweep(dir, |name| match names::lock(name) {
            Some(Lock::Plan) => true,
            Some(Lock::Range(index)) => run.is_of_no_use(index, &dir.join(name)),
            None => false,
        })?;
        sweep::sweep(dir)?;
        sweep::sweep(&catalog)?;
        Ok(run)
    }

    /// Whether the lock of a range that somebody left says nothing, or of a
    /// range that is done.
    fn is_of_no_use(&self, index: u64, lock: &Path) -> bool {
        let says_nothing = || fs::symlink_metadata(lock).is_ok_and(|found| found.len() == 0);
        match ranges(&self.manifest).get(index) {
            Some(range) => range.part_path(&self.dir).exists() || says_nothing(),
            None => true,
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of the parts.
    pub fn catalog(&self) -> PathBuf {
        self.dir.join(CATALOG)
    }

    /// What decides the run's result.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of `run.json`: the name of the run in its parts.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The listing.
    pub fn inputs(&self) -> &InputsReader {
        &self.inputs
    }

    /// Range `index`.
    ///
    /// # Errors
    /// [`RunError::NoSuchRange`].
    pub fn range(&self, index: u64) -> Result<RowRange, RunError> {
        let ranges = ranges(&self.manifest);
        ranges.get(index).ok_or_else(|| RunError::NoSuchRange { index, ranges: ranges.len() })
    }

    /// Every range of the run.
    pub fn ranges(&self) -> impl Iterator<Item = RowRange> + use<> {
        ranges(&self.manifest).iter()
    }

    /// The ranges without a part, in order; only those of `shard`, if one is
    /// given.
    ///
    /// # Errors
    /// If the parts cannot be listed.
    pub fn missing_ranges(&self, shard: Option<Shard>) -> Result<Vec<RowRange>, RunError> {
        let ranges = ranges(&self.manifest);
        let parts: HashSet<u64> = place::entries(&self.catalog())?
            .iter()
            .filter_map(|path| ranges.of_part(path.file_name()?.to_str()?))
            .map(|range| range.index)
            .collect();
        let wanted = |range: &RowRange| shard.is_none_or(|shard| shard.takes(range));
        Ok(ranges.iter().filter(wanted).filter(|range| !parts.contains(&range.index)).collect())
    }

    /// Asks for a range, so that no two live processes do the same work.
    ///
    /// # Errors
    /// [`RunError::NoSuchRange`], and what the system says. Where the file
    /// system has no locks, and in stores, every range that has no part is had:
    /// then two processes may do the same work, and the second part replaces the
    /// first.
    pub fn claim(&self, index: u64) -> Result<Claimed, RunError> {
        let range = self.range(index)?;
        let part = range.part_path(&self.dir);
        if place::exists(&part)? {
            return Ok(Claimed::Complete);
        }
        let lock = self.dir.join(names::range_lock(index));
        let Some(lock) = PathLock::try_acquire(&lock)? else {
            return Ok(Claimed::Elsewhere);
        };
        // Its last holder may have finished between the question and the lock.
        if !is_remote(&part) && place::exists(&part)? {
            return Ok(Claimed::Complete);
        }
        Ok(Claimed::Ours(Claim::new(range, part, lock)))
    }
}

/// The ranges of a run.
pub(crate) fn ranges(manifest: &Manifest) -> Ranges {
    Ranges::new(manifest.listing.rows, manifest.settings.range_size)
}

/// `run.json` and its digest.
pub(crate) fn read_manifest(dir: &Path) -> Result<(Manifest, String), RunError> {
    place::check(dir)?;
    let path = dir.join(MANIFEST);
    let bytes = match place::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(RunError::NoRun { path: dir.to_owned() });
        }
        read => read.map_err(StorageError::io("read", &path))?,
    };
    let (manifest, digest) =
        Manifest::from_bytes(&bytes).map_err(|unread| unread.at(&path, FORMAT))?;
    manifest.settings.check()?;
    Ok((manifest, digest))
}

/// The listing that `run.json` pins, and no other.
fn open_inputs(dir: &Path, manifest: &Manifest) -> Result<InputsReader, RunError> {
    let path = inputs_path(dir, manifest)?;
    pinned_inputs(InputsReader::open(&path)?, path, manifest)
}

/// Where the listing is. A run may have been copied from a store into a
/// folder, or into a store from one: it keeps the name that it has.
pub(crate) fn inputs_path(dir: &Path, manifest: &Manifest) -> Result<PathBuf, RunError> {
    let plain = dir.join(INPUTS);
    let named = dir.join(names::inputs_in_store(&manifest.listing.digest));
    let (usual, copied) = if is_remote(dir) { (named, plain) } else { (plain, named) };
    let is_usual = place::exists(&usual)? || !place::exists(&copied)?;
    Ok(if is_usual { usual } else { copied })
}

/// A listing, if it is the one that `run.json` pins.
pub(crate) fn pinned_inputs(
    inputs: InputsReader,
    path: PathBuf,
    manifest: &Manifest,
) -> Result<InputsReader, RunError> {
    let expected = &manifest.listing.digest;
    if inputs.digest() != Some(expected) || inputs.ranges() != ranges(manifest).len() {
        let found = inputs.digest().unwrap_or("none").to_owned();
        return Err(RunError::OtherListing { path, expected: expected.clone(), found });
    }
    Ok(inputs)
}

/// Lists the inputs and pins the run. `run.json` comes last: without it there
/// is no run, and a listing alone is written anew.
fn plan<E: From<RunError>>(
    dir: &Path,
    settings: &Settings,
    list: impl FnOnce(&mut InputsWriter) -> Result<(), E>,
) -> Result<(), E> {
    refuse_what_is_not_ours(dir)?;
    let mut writer = InputsWriter::create(dir, settings.range_size)?;
    list(&mut writer)?;
    let mut settings = settings.clone();
    if settings.usual_ranges {
        settings.range_size = settings.range_size.min(usual_size(writer.rows()));
    }
    if !writer.may_hold_bands() && !settings.colours_asked {
        settings.colours = None;
    }
    let (inputs, listing) = writer.finish_in(settings.range_size)?;
    let name = if is_remote(dir) { names::inputs_in_store(&listing.digest) } else { INPUTS.into() };
    let manifest = Manifest::new(settings, listing);

    put(dir, &name, inputs, &manifest).map_err(E::from)
}

/// Puts the listing and `run.json` in place.
fn put(dir: &Path, name: &str, inputs: TempFile, manifest: &Manifest) -> Result<(), RunError> {
    let description = TempFile::create(dir, MANIFEST)?;
    description.append(&manifest.to_bytes())?;
    let catalog = dir.join(CATALOG);
    if !is_remote(dir) {
        match fs::create_dir(&catalog) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => created.map_err(StorageError::io("create", &catalog))?,
        }
    }
    inputs.commit(name)?;
    description.commit_new(MANIFEST)?;
    Ok(())
}

/// A folder without `run.json` may hold a listing of ours, whose planning was
/// cut short; parts, or a listing of somebody else's, would be lost.
fn refuse_what_is_not_ours(dir: &Path) -> Result<(), RunError> {
    let catalog = dir.join(CATALOG);
    if !is_remote(dir) && place::exists(&catalog)? && !catalog.is_dir() {
        return Err(StorageError::NotAFolder { path: catalog }.into());
    }
    let parts = place::entries(&catalog)?;
    let parts = parts.iter().filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_none_or(|n| !n.starts_with('.'))
    });
    match parts.count() {
        0 => {}
        // Another process was first, between the question and now.
        _ if is_remote(dir) && place::exists(&dir.join(MANIFEST))? => {}
        parts => return Err(RunError::PartsWithoutRun { path: dir.to_owned(), parts }),
    }
    if is_remote(dir) {
        // What has the listing's name has its content.
        return Ok(());
    }
    let inputs = dir.join(INPUTS);
    if place::exists(&inputs)? && InputsReader::open(&inputs).is_ok_and(|it| it.digest().is_some())
    {
        return Ok(());
    }
    if place::exists(&inputs)? { Err(RunError::NotOurs { path: inputs }) } else { Ok(()) }
}

/// The folders that had to be made for a run; dropped before
/// [`keep`](Self::keep), they go again, unless something is in them.
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    fn make(dir: &Path) -> Result<Self, StorageError> {
        if is_remote(dir) {
            return Ok(Self(Vec::new()));
        }
        let missing = dir
            .ancestors()
            .filter(|folder| !folder.as_os_str().is_empty())
            .take_while(|folder| matches!(folder.try_exists(), Ok(false)));
        let made = Self(missing.map(Path::to_owned).collect());
        match fs::create_dir_all(dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(StorageError::NotAFolder { path: dir.to_owned() })
            }
            created => created.map_err(StorageError::io("create", dir)).map(|()| made),
        }
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in &self.0 {
            // Refused, as it should be, if another process put something in.
            let _ = fs::remove_dir(folder);
        }
    }
}
