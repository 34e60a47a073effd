//! The inputs as the plan found them, against what is there now.
//!
//! A file that vanishes is a row that says so. A disk that vanishes must not
//! be: a night's rows would say `missing`, and parts that are written are never
//! looked at again. So before a range is begun its archives must be those that
//! were listed (see [`Pin`]), with members where they were, and the folders of
//! its files must be there with something in them; archives are looked at once
//! more before its part is put in place, and where files are missing all that is
//! asked again, and whether their store answers. Otherwise that part is not
//! made, and the run goes on with it when the inputs are back.
//!
//! Invariants: no part is committed whose rows are missing because a whole
//! input is; all rows of an archive are of one archive, whoever made them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use super::{LineError, places};
use crate::run::Listing;
use crate::source::list::is_member;
use crate::source::{Entry, Locator, Pin};
use crate::storage::patience::patiently;
use crate::storage::read_at::Positional;
use crate::storage::remote;

/// The inputs as the plan found them.
pub struct Sources {
    /// Archives and tables.
    archives: BTreeMap<PathBuf, Pin>,
    /// Whether times do not count, since the inputs were copied.
    copied: bool,
    /// Those whose times or versions are others, and that hold what they held.
    copies: Mutex<BTreeMap<PathBuf, Pin>>,
    /// Inputs.
    folders: Vec<PathBuf>,
    /// Where files lie.
    places: BTreeSet<PathBuf>,
}

impl Sources {
    /// What the listing pins. Where inputs were `copied`, archives are known by
    /// their sizes and indexes, and not by their times.
    pub fn of(listing: &Listing, copied: bool) -> Self {
        let archives = listing.archives.iter();
        Self {
            archives: archives.map(|(path, pin)| (path.into(), pin.clone())).collect(),
            copied,
            copies: Mutex::default(),
            folders: listing.folders.iter().map(PathBuf::from).collect(),
            places: listing.places.iter().chain(&listing.folders).map(PathBuf::from).collect(),
        }
    }

    /// Asks every store that is an input.
    ///
    /// # Errors
    /// [`LineError::SourceGone`].
    pub fn check_stores(&self) -> Result<(), LineError> {
        let prefixes = self.folders.iter().filter(|folder| remote::is_remote(folder));
        prefixes.map(PathBuf::as_path).try_for_each(answers)
    }

    /// Asks the store of the first entry that is in one.
    ///
    /// # Errors
    /// [`LineError::SourceGone`].
    pub fn check_store_of(&self, entries: &[&Entry]) -> Result<(), LineError> {
        let mut paths = entries.iter().flat_map(|entry| places::paths(&entry.locator));
        paths.find(|path| remote::is_remote(path)).map_or(Ok(()), answers)
    }

    /// Looks at the folders above the files of entries.
    ///
    /// # Errors
    /// [`LineError::SourceGone`].
    pub fn check_places<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<(), LineError> {
        let paths = entries.into_iter().flat_map(|entry| places::paths(&entry.locator));
        // Few, of many files: only then is anything looked up.
        let parents: BTreeSet<&Path> =
            paths.filter(|path| !remote::is_remote(path)).filter_map(Path::parent).collect();
        let above = parents.into_iter().flat_map(Path::ancestors);
        let known: BTreeSet<&Path> = above.filter(|folder| self.places.contains(*folder)).collect();
        known.into_iter().try_for_each(check_folder)
    }

    /// Looks at the archives and tables of the entries of a range, in archives
    /// at the first and the last member.
    ///
    /// # Errors
    /// [`LineError::SourceGone`] and [`LineError::SourceChanged`].
    pub fn check_archives<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<(), LineError> {
        let mut members: Vec<Member<'_>> = entries.into_iter().flat_map(Member::all_of).collect();
        // Those of several mosaics come by turns.
        members.sort_by_key(|member| member.archive);
        for members in members.chunk_by(|a, b| a.archive == b.archive) {
            let (Some(first), Some(last)) = (members.first(), members.last()) else { continue };
            let path = || first.archive.to_owned();
            if !self.archives.contains_key(first.archive) {
                continue;
            }
            self.check_archive(first.archive)?;
            if first.stretch.is_none() {
                continue;
            }
            let gone = |source| LineError::SourceGone { path: path(), source };
            let (file, _) = patiently(|| Positional::open(first.archive)).map_err(gone)?;
            let here = |member: &Member<'_>| match member.stretch {
                Some((offset, length)) => is_member(&file, offset, length),
                None => Ok(true),
            };
            if !here(first).and_then(|a| Ok(a && here(last)?)).map_err(gone)? {
                let what = "its members are not where they were".to_owned();
                return Err(LineError::SourceChanged { path: path(), what });
            }
        }
        Ok(())
    }

    /// Looks at an archive or a table as a whole.
    ///
    /// # Errors
    /// As [`check_archives`](Self::check_archives).
    pub fn check_archive(&self, path: &Path) -> Result<(), LineError> {
        // One that was not pinned has gone while it was listed.
        let Some(was) = self.archives.get(path) else { return Ok(()) };
        let gone = |source| LineError::SourceGone { path: path.to_owned(), source };
        let now = patiently(|| Pin::of(path)).map_err(gone)?;
        if was.is_untouched(&now) {
            return Ok(());
        }
        let changed = |what: String| LineError::SourceChanged { path: path.to_owned(), what };
        if was.bytes != now.bytes {
            return Err(changed(format!("{} bytes then, {} now", was.bytes, now.bytes)));
        }
        if !self.copied {
            return Err(changed(
                "as many bytes, written at another time; if it was only copied since, without \
                 its time, add --copied to the command"
                    .to_owned(),
            ));
        }
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if copies.get(path).is_some_and(|copy| copy.is_untouched(&now)) {
            return Ok(());
        }
        let found = patiently(|| now.clone().with_index(path)).map_err(gone)?;
        if found.index != was.index {
            return Err(changed("as many bytes, and other members, or elsewhere".to_owned()));
        }
        copies.insert(path.to_owned(), now);
        Ok(())
    }

    /// The archives, tables and mosaics of some entries.
    pub fn archives_of(entries: &[Entry]) -> Vec<PathBuf> {
        let archives: BTreeSet<&Path> = entries.iter().flat_map(Entry::containers).collect();
        archives.into_iter().map(Path::to_owned).collect()
    }
}

/// A cutout in an archive, a table, or a mosaic.
struct Member<'a> {
    archive: &'a Path,
    /// First byte and length, in an archive.
    stretch: Option<(u64, u64)>,
}

impl<'a> Member<'a> {
    fn all_of(entry: &'a Entry) -> impl Iterator<Item = Self> {
        let stretch = match &entry.locator {
            Locator::Member { offset, length, .. } => Some((*offset, *length)),
            _ => None,
        };
        entry.containers().map(move |archive| Self { archive, stretch })
    }
}

fn check_folder(folder: &Path) -> Result<(), LineError> {
    let looked = patiently(|| match fs::read_dir(folder)?.next() {
        Some(entry) => entry.map(|_| true),
        None => Ok(false),
    });
    let source = match looked {
        Ok(true) => return Ok(()),
        Ok(false) => io::Error::other("there is nothing in it"),
        Err(error) => error,
    };
    Err(LineError::SourceGone { path: folder.to_owned(), source })
}

/// Asks a store for a name; there need be nothing of it, and what there is may
/// be forbidden: it is the store that must answer.
fn answers(url: &Path) -> Result<(), LineError> {
    match remote::exists(url) {
        Err(source) if source.kind() == io::ErrorKind::Other => {
            Err(LineError::SourceGone { path: url.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Whether a folder is there and not empty (the place where a disk is mounted
/// stays when the disk goes), or a store answers.
pub fn holds_something(folder: &Path) -> bool {
    if remote::is_remote(folder) {
        return remote::exists(folder).is_ok();
    }
    patiently(|| fs::read_dir(folder)?.next().transpose()).is_ok_and(|entry| entry.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_and_folders_are_held_against_the_listing() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("a.tar");
        let disk = folder.path().join("disk");
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        tar.append_data(&mut header, "1.jpg", &b"abc"[..]).unwrap();
        let whole = tar.into_inner().unwrap();
        fs::write(&archive, &whole).unwrap();
        fs::create_dir(&disk).unwrap();
        fs::write(disk.join("1.jpg"), "").unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let listing = Listing {
            archives: [(text(&archive), Pin::of(&archive).unwrap())].into(),
            folders: vec![text(&disk)],
            ..Listing::default()
        };
        let entry = |offset| Entry {
            id: String::new(),
            source: String::new(),
            locator: Locator::Member { archive: archive.clone(), offset, length: 3 },
            position: None,
        };
        let entries = [entry(512)];
        let check = || Sources::of(&listing, false).check_archives(&entries);
        check().unwrap();
        let changed = |bytes: &[u8]| {
            fs::write(&archive, bytes).unwrap();
            assert!(matches!(check(), Err(LineError::SourceChanged { .. })));
        };
        changed(&whole[..whole.len() - 512]);
        // As many bytes, and others.
        changed(&[&[0; 512], &whole[..whole.len() - 512]].concat());
        fs::remove_file(&archive).unwrap();
        assert!(matches!(check(), Err(LineError::SourceGone { .. })));
        // A file of a folder that is still there, and of one that is not.
        let file = |name: &str| Entry { locator: Locator::File(disk.join(name)), ..entry(0) };
        let check =
            || Sources::of(&listing, false).check_places(&[file("2.jpg"), file("below/3.jpg")]);
        check().unwrap();
        fs::remove_file(disk.join("1.jpg")).unwrap();
        assert!(matches!(check(), Err(LineError::SourceGone { .. })));
    }
}
