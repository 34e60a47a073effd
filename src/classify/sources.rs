//! The inputs as the plan found them, against what is there now.
//!
//! A file that vanishes is a row that says so. A disk that vanishes must not
//! be: a night's rows would say `missing`, and parts that are written are never
//! looked at again. So before a range is begun its archives must have the size
//! that they had and members where they were, and before a part with missing files is put in place the
//! folders that were listed must be there with something in them. Otherwise
//! the run ends, keeps what is committed, and goes on when the inputs are back.
//!
//! Invariant: no part is committed whose rows are missing because a whole
//! input is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::ClassifyError;
use crate::catalog::Listing;
use crate::source::list::is_member;
use crate::source::read_at::Positional;
use crate::source::{Entry, Locator, remote};

/// The inputs as the plan found them.
pub(super) struct Sources {
    /// Archives, tables and their bytes.
    archives: BTreeMap<PathBuf, u64>,
    folders: Vec<PathBuf>,
}

impl Sources {
    /// What the listing pins.
    pub(super) fn of(listing: &Listing) -> Self {
        Self {
            archives: listing.archives.iter().map(|(path, size)| (path.into(), *size)).collect(),
            folders: listing.folders.iter().map(PathBuf::from).collect(),
        }
    }

    /// Looks at every folder.
    ///
    /// # Errors
    /// [`ClassifyError::SourceGone`].
    pub(super) fn check_folders(&self) -> Result<(), ClassifyError> {
        let gone = self.folders.iter().find(|folder| !holds_something(folder));
        match gone {
            Some(folder) => Err(ClassifyError::SourceGone { path: folder.clone() }),
            None => Ok(()),
        }
    }

    /// Looks at the size of every archive and table.
    ///
    /// # Errors
    /// [`ClassifyError::SourceGone`] and [`ClassifyError::SourceChanged`].
    pub(super) fn check_sizes(&self) -> Result<(), ClassifyError> {
        for (path, was) in &self.archives {
            let gone = |_| ClassifyError::SourceGone { path: path.clone() };
            let now = remote::size(path).map_err(gone)?;
            if now != *was {
                return Err(ClassifyError::SourceChanged { path: path.clone(), was: *was, now });
            }
        }
        Ok(())
    }

    /// Looks at the archives and tables of the entries of a range, in archives
    /// at the first and the last member.
    ///
    /// # Errors
    /// [`ClassifyError::SourceGone`] and [`ClassifyError::SourceChanged`].
    pub(super) fn check_archives(&self, entries: &[Entry]) -> Result<(), ClassifyError> {
        let members: Vec<Member<'_>> = entries.iter().filter_map(Member::of).collect();
        for members in members.chunk_by(|a, b| a.archive == b.archive) {
            let (Some(first), Some(last)) = (members.first(), members.last()) else { continue };
            let path = || first.archive.to_owned();
            // One whose size was not known has gone while it was listed.
            let Some(was) = self.archives.get(first.archive) else { continue };
            let gone = |_| ClassifyError::SourceGone { path: path() };
            let (file, now) = Positional::open(first.archive).map_err(gone)?;
            let here = |member: &Member<'_>| match member.stretch {
                Some((offset, length)) => is_member(&file, offset, length),
                None => Ok(true),
            };
            let same =
                now == *was && here(first).and_then(|a| Ok(a && here(last)?)).map_err(gone)?;
            if !same {
                return Err(ClassifyError::SourceChanged { path: path(), was: *was, now });
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

/// Whether a folder is there and not empty (the place where a disk is mounted
/// stays when the disk goes), or a store answers.
pub(super) fn holds_something(folder: &Path) -> bool {
    if remote::is_remote(folder) {
        return remote::reachable(folder);
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
        let entry = Entry {
            id: String::new(),
            source: String::new(),
            locator: Locator::Member { archive: archive.clone(), offset: 512, length: 3 },
            position: None,
        };
        let entries = [entry];
        let check = || Sources::of(&listing).check_archives(&entries);
        check().unwrap();
        Sources::of(&listing).check_folders().unwrap();
        let changed = |bytes: &[u8]| {
            fs::write(&archive, bytes).unwrap();
            assert!(matches!(check(), Err(ClassifyError::SourceChanged { .. })));
        };
        changed(&whole[..whole.len() - 512]);
        // As many bytes, and others.
        changed(&[&[0; 512], &whole[..whole.len() - 512]].concat());
        fs::remove_file(&archive).unwrap();
        assert!(matches!(check(), Err(ClassifyError::SourceGone { .. })));
        fs::remove_file(disk.join("1.jpg")).unwrap();
        assert!(Sources::of(&listing).check_folders().is_err());
    }
}
