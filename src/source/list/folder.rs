//! Walking a folder and what is below it.
//!
//! Depth first, names in the order of their bytes, so that the order of a run
//! never depends on the file system. Links are followed; a link back to a
//! folder on the way down is a problem and not an endless walk. Hidden names
//! are passed over, as shells' patterns do. Reading the files is left to the
//! readers.
//!
//! Invariant: memory holds the names of the folders between the root and the
//! place reached, never those of the whole tree; files that are no cutouts are
//! counted and not kept.

use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use tracing::debug;

use super::super::Entry;
use super::archive::Archive;
use super::bands::{BandGroups, Role};
use super::names::{FileKind, broken_link, file_entry, is_hidden, passed_over};
use super::notes::Notes;
use super::{CHUNK, Chunk, ListError, ListOptions, Source};
use crate::storage::patience::{may_pass, patiently};

/// A walk under way.
pub(super) struct FolderWalk {
    options: Arc<ListOptions>,
    /// The folders from the root to the place reached.
    levels: Vec<Level>,
    /// An archive found on the way, until it is listed.
    archive: Option<Archive>,
}

struct Level {
    given: PathBuf,
    absolute: PathBuf,
    identity: Identity,
    items: vec::IntoIter<Item>,
    groups: BandGroups,
}

/// Device and inode: what makes two paths one folder.
type Identity = (u64, u64);

struct Item {
    name: OsString,
    kind: ItemKind,
    /// A link that leads nowhere.
    is_broken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemKind {
    Folder,
    File(FileKind),
}

impl FolderWalk {
    /// A walk of the folder `given`. Problems with the folder itself are noted.
    pub fn new(
        given: &Path,
        absolute: PathBuf,
        options: &Arc<ListOptions>,
        notes: &mut Notes,
    ) -> Result<Self, ListError> {
        let mut walk = Self { options: Arc::clone(options), levels: Vec::new(), archive: None };
        walk.enter(given.to_owned(), absolute, notes)?;
        Ok(walk)
    }

    /// Goes down into a folder; one that may not be read is a problem and not an
    /// end.
    ///
    /// # Errors
    /// Where the system may get over what it says, as of an archive.
    fn enter(
        &mut self,
        given: PathBuf,
        absolute: PathBuf,
        notes: &mut Notes,
    ) -> Result<(), ListError> {
        match self.open(&given, &absolute, notes) {
            Ok(Some(level)) => self.levels.push(level),
            Ok(None) => notes.problem(given, "a link back to a folder that holds it: not followed"),
            Err(source) if may_pass(&source) => return Err(ListError::Io { path: given, source }),
            Err(error) => notes.problem(given, format!("folder cannot be read: {error}")),
        }
        Ok(())
    }

    /// The names in a folder, sorted; `None` if the walk is inside it already.
    fn open(&self, given: &Path, absolute: &Path, notes: &mut Notes) -> io::Result<Option<Level>> {
        let metadata = patiently(|| fs::metadata(absolute))?;
        let identity = (metadata.dev(), metadata.ino());
        if self.levels.iter().any(|level| level.identity == identity) {
            return Ok(None);
        }
        let read = || fs::read_dir(absolute)?.collect::<io::Result<Vec<DirEntry>>>();
        let mut items: Vec<Item> =
            patiently(read)?.iter().filter_map(|entry| Item::new(entry, given, notes)).collect();
        items.sort_unstable_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
        let mut groups = BandGroups::new(&self.options.band_pattern, &self.options.bands);
        for item in &items {
            if let (ItemKind::File(FileKind::Fits), Some(name)) = (item.kind, item.name.to_str()) {
                groups.note(absolute, name);
            }
        }
        Ok(Some(Level {
            given: given.to_owned(),
            absolute: absolute.to_owned(),
            identity,
            items: items.into_iter(),
            groups,
        }))
    }
}

impl Item {
    /// What a name in a folder is; `None` if it is nothing for a catalog.
    fn new(entry: &DirEntry, given: &Path, notes: &mut Notes) -> Option<Self> {
        let name = entry.file_name();
        if is_hidden(name.as_encoded_bytes()) {
            notes.skip(&given.join(&name));
            return None;
        }
        let (by_name, _) = FileKind::of(&name.to_string_lossy());
        let is_link = entry.file_type().is_ok_and(|t| t.is_symlink());
        // Only links are looked at: one look more at every file would be most
        // of the time of a listing.
        let (is_folder, is_broken) = if is_link {
            match fs::metadata(entry.path()) {
                Ok(target) => (target.is_dir(), false),
                Err(_) => (false, true),
            }
        } else {
            (entry.file_type().is_ok_and(|t| t.is_dir()), false)
        };
        if is_folder {
            return Some(Self { name, kind: ItemKind::Folder, is_broken });
        }
        if is_broken && !by_name.is_image() {
            // It may have led to a folder full of cutouts.
            notes.problem(given.join(&name), "a link that leads nowhere");
            return None;
        }
        if by_name == FileKind::Other {
            debug!(path = %given.join(&name).display(), "passed over: no image by its name");
            match passed_over(&name.to_string_lossy()) {
                Some(why) => notes.unread(given.join(&name), why),
                None => notes.skip(&given.join(&name)),
            }
            return None;
        }
        Some(Self { name, kind: ItemKind::File(by_name), is_broken })
    }

    /// The entry of a file of its own.
    fn entry(&self, given: &Path, absolute: PathBuf) -> Entry {
        let entry = file_entry(given, absolute);
        if self.is_broken { broken_link(entry) } else { entry }
    }
}

impl Source for FolderWalk {
    fn next_chunk(&mut self, notes: &mut Notes) -> Result<Chunk, ListError> {
        let mut entries = Vec::new();
        while entries.len() < CHUNK {
            if let Some(archive) = &mut self.archive {
                if !archive.fill(&mut entries, notes)? {
                    self.archive = None;
                }
                continue;
            }
            let Some(level) = self.levels.last_mut() else { break };
            let Some(item) = level.items.next() else {
                self.levels.pop();
                continue;
            };
            let given = level.given.join(&item.name);
            let absolute = level.absolute.join(&item.name);
            match item.kind {
                ItemKind::Folder => self.enter(given, absolute, notes)?,
                ItemKind::File(FileKind::Archive) => {
                    self.archive = Archive::open(given, absolute, &self.options, notes)?;
                }
                ItemKind::File(FileKind::CompressedArchive) => {
                    notes.problem(given, "a compressed archive is not read: unpack it to a .tar");
                }
                ItemKind::File(FileKind::Fits) => {
                    entries.extend(level.fits(&item, &given, absolute, notes));
                }
                ItemKind::File(_) => entries.push(item.entry(&given, absolute)),
            }
        }
        Ok(Chunk::of(entries))
    }
}

impl Level {
    /// The entry that stands at a FITS file, if one does.
    fn fits(
        &mut self,
        item: &Item,
        given: &Path,
        absolute: PathBuf,
        notes: &mut Notes,
    ) -> Option<Entry> {
        let role = match item.name.to_str() {
            Some(name) => self.groups.role(&self.given, &self.absolute, name),
            None => Role::Alone,
        };
        match role {
            Role::Alone => Some(item.entry(given, absolute)),
            Role::Leader(entry) => Some(entry),
            Role::Member => None,
            Role::Companion => {
                notes.skip(given);
                None
            }
        }
    }
}
