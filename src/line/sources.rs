//! The inputs as the plan found them, against what is there now.
//!
//! A file that vanishes is a row that says so. A disk that vanishes must not
//! be: a night's rows would say `missing`, and parts that are written are never
//! looked at again. So before a range is begun its archives must have the size
//! that they had, and members where they were, and the folders of its files must
//! be there with something in them; and before a part with missing files is put
//! in place all that is asked again, and whether their store answers. Otherwise
//! that part is not made, and the run goes on with it when the inputs are back.
//!
//! Invariant: no part is committed whose rows are missing because a whole
//! input is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{LineError, places};
use crate::run::Listing;
use crate::source::list::is_member;
use crate::source::{Entry, Locator};
use crate::storage::patience::patiently;
use crate::storage::read_at::Positional;
use crate::storage::remote;

/// The inputs as the plan found them.
pub struct Sources {
    /// Archives, tables and their bytes.
    archives: BTreeMap<PathBuf, u64>,
    /// Inputs.
    folders: Vec<PathBuf>,
    /// Where files lie.
    places: BTreeSet<PathBuf>,
}

impl Sources {
    /// What the listing pins.
    pub fn of(listing: &Listing) -> Self {
        Self {
            archives: listing.archives.iter().map(|(path, size)| (path.into(), *size)).collect(),
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
        let members: Vec<Member<'_>> = entries.into_iter().filter_map(Member::of).collect();
        for members in members.chunk_by(|a, b| a.archive == b.archive) {
            let (Some(first), Some(last)) = (members.first(), members.last()) else { continue };
            let path = || first.archive.to_owned();
            // One whose size was not known has gone while it was listed.
            let Some(was) = self.archives.get(first.archive) else { continue };
            let gone = |source| LineError::SourceGone { path: path(), source };
            let (file, now) = patiently(|| Positional::open(first.archive)).map_err(gone)?;
            let here = |member: &Member<'_>| match member.stretch {
                Some((offset, length)) => is_member(&file, offset, length),
                None => Ok(true),
            };
            let same =
                now == *was && here(first).and_then(|a| Ok(a && here(last)?)).map_err(gone)?;
            if !same {
                return Err(LineError::SourceChanged { path: path(), was: *was, now });
            }
        }
        Ok(())
    }
}

/// A cutout in an archive or a table.
struct Member<'a> {
    archive: &'a Path,
    /// First byte and length, in an archive.
    stretch: Option<(u64, u64)>,
}

impl<'a> Member<'a> {
    fn of(entry: &'a Entry) -> Option<Self> {
        match &entry.locator {
            Locator::Member { archive, offset, length } => {
                Some(Self { archive, stretch: Some((*offset, *length)) })
            }
            Locator::Row { table, .. } => Some(Self { archive: table, stretch: None }),
            _ => None,
        }
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
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some_and(|e| e.is_ok()))
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
            archives: [(text(&archive), whole.len() as u64)].into(),
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
        let check = || Sources::of(&listing).check_archives(&entries);
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
        let check = || Sources::of(&listing).check_places(&[file("2.jpg"), file("below/3.jpg")]);
        check().unwrap();
        fs::remove_file(disk.join("1.jpg")).unwrap();
        assert!(matches!(check(), Err(LineError::SourceGone { .. })));
    }
}
