//! The folders in which listed cutouts lie, as far as a run must remember them.
//!
//! Where a cutout is missing, one of these tells whether it alone is: a folder
//! that was there when the inputs were listed, or the place where a disk is
//! mounted. Of a sky survey's folders not all are kept; a place where a disk
//! is mounted always is, for a disk that goes takes most with it.
//!
//! Invariant: a folder that was not there, or empty, is not remembered: paths
//! in tables may be wrong from the beginning.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::sources::holds_something;
use crate::source::{Entry, Locator};
use crate::storage::patience::patiently;
use crate::storage::remote;

/// Folders that are remembered, at most: 100 kB of `run.json`.
const MOST: usize = 1_000;

/// Folders that are looked at, at most. A look takes a network file system a
/// millisecond, and a table may name a folder a row.
const LOOKS: usize = 65_536;

/// Folders found so far.
#[derive(Default)]
pub struct Places {
    folders: BTreeSet<PathBuf>,
    devices: BTreeSet<u64>,
    seen: HashSet<u64>,
    last: PathBuf,
}

impl Places {
    /// Notes where the files of an entry lie.
    pub fn note(&mut self, entry: &Entry) {
        for path in paths(&entry.locator) {
            // Files come folder by folder; a store has none.
            if remote::is_remote(path) {
                continue;
            }
            if let Some(folder) = path.parent().filter(|folder| *folder != self.last) {
                self.last = folder.to_owned();
                self.look(folder);
            }
        }
    }

    fn look(&mut self, folder: &Path) {
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        if self.seen.len() == LOOKS || !self.seen.insert(hasher.finish()) {
            return;
        }
        let Ok(metadata) = patiently(|| fs::metadata(folder)) else { return };
        if self.devices.insert(metadata.dev()) {
            let mount = mount_point(folder, metadata.dev());
            if mount.parent().is_some() && holds_something(&mount) {
                self.folders.insert(mount);
            }
        }
        if self.folders.len() < MOST && holds_something(folder) {
            self.folders.insert(folder.to_owned());
        }
    }

    /// What was found, in order.
    pub fn into_folders(self) -> impl Iterator<Item = PathBuf> {
        self.folders.into_iter()
    }
}

/// The highest folder above `folder`, or itself, that is on the same device.
fn mount_point(folder: &Path, device: u64) -> PathBuf {
    let same = |above: &&Path| {
        patiently(|| fs::metadata(above)).is_ok_and(|metadata| metadata.dev() == device)
    };
    folder.ancestors().take_while(same).last().unwrap_or(folder).to_owned()
}

/// The files that an entry is, other than members of something.
pub fn paths(locator: &Locator) -> impl Iterator<Item = &Path> {
    let (one, bands) = match locator {
        Locator::File(path) => (Some(path), &[][..]),
        Locator::Bands(bands) => (None, &bands[..]),
        _ => (None, &[][..]),
    };
    one.into_iter().chain(bands.iter().map(|(_, path)| path)).map(PathBuf::as_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: PathBuf) -> Entry {
        let locator = Locator::File(path);
        Entry { id: String::new(), source: String::new(), locator, position: None }
    }

    #[test]
    fn folders_that_hold_something_are_remembered_once() {
        let folder = tempfile::tempdir().unwrap();
        let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
        fs::create_dir(&full).unwrap();
        fs::create_dir(&empty).unwrap();
        fs::write(full.join("1.jpg"), "").unwrap();
        let mut places = Places::default();
        for path in [full.join("1.jpg"), full.join("2.jpg"), empty.join("3.jpg"), "/none/4".into()]
        {
            places.note(&entry(path));
        }
        let bands = [("g".to_owned(), full.join("g.fits")), ("r".to_owned(), "s3://b/r".into())];
        places.note(&Entry { locator: Locator::Bands(bands.into()), ..entry(PathBuf::new()) });
        let found: Vec<PathBuf> = places.into_folders().collect();
        // The temporary folder may be a disk of its own.
        assert!(found.contains(&full) && !found.contains(&empty), "{found:?}");
        assert!(found.iter().all(|place| full.starts_with(place)), "{found:?}");
    }

    #[test]
    fn a_mount_point_is_the_highest_folder_of_its_device() {
        let device = |path: &str| fs::metadata(path).unwrap().dev();
        let place = mount_point(Path::new("/proc/self/fd"), device("/proc/self/fd"));
        assert_eq!(place, Path::new("/proc"));
        assert_eq!(mount_point(Path::new("/"), device("/")), Path::new("/"));
    }
}
