//! Files that appear under their name whole or not at all.
//!
//! A file is written under a name that begins with a dot, flushed to disk,
//! renamed, and the folder is flushed too. The writer holds an advisory lock
//! on it all the while, and the system drops that lock when the process dies
//! in whatever way: a temporary file of this machine that can be locked is
//! nobody's any more. Of another machine's file the lock says nothing, since
//! some file systems lock on each machine by itself; it is nobody's after a day
//! without a byte.
//! A file for a store is written in the system's temporary folder, nameless,
//! and sent when it is committed.
//!
//! Invariant: nothing but [`TempFile::commit`] and [`TempFile::commit_new`]
//! makes a final name appear, and only after the content is on disk, or in the
//! store.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::lock::{PathLock, lockless, same_file};
use super::place;
use crate::catalog::CatalogError;
use crate::storage::remote::{self, is_remote};

/// A file being written. Dropped before [`commit`](Self::commit), it is
/// removed.
#[derive(Debug)]
pub(crate) struct TempFile {
    path: PathBuf,
    file: File,
    /// The folder of a store where it is to go; otherwise it goes where it is.
    store: Option<PathBuf>,
}

impl TempFile {
    /// A new file `.<stem>.<machine>-<pid>-<random>.tmp` in `folder`, locked.
    pub(crate) fn create(folder: &Path, stem: &str) -> Result<Self, CatalogError> {
        if is_remote(folder) {
            let here = std::env::temp_dir();
            let (path, file) =
                place::nameless(stem).map_err(CatalogError::io("write in", &here))?;
            return Ok(Self { path, file, store: Some(folder.to_owned()) });
        }
        loop {
            let (pid, random) = (std::process::id(), rand::random::<u32>());
            let name = format!(".{stem}.{}-{pid}-{random:08x}.tmp", machine());
            let path = folder.join(name);
            let opened = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
            let file = match opened {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened.map_err(CatalogError::io("create", &path))?,
            };
            let this = Self { path, file, store: None };
            // Between creation and lock another process may take it for a
            // dead one's and remove it; then it has the lock, or the name is
            // gone.
            match this.file.try_lock() {
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) if !lockless(&error) => {
                    return Err(CatalogError::io("lock", &this.path)(error));
                }
                _ if same_file(&this.file, &this.path) => return Ok(this),
                _ => continue,
            }
        }
    }

    /// Where it is for now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, open for reading and writing.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Flushes the content to disk, gives it its final name beside it, and
    /// flushes the folder. A file that already has the name is replaced.
    pub(crate) fn commit(self, name: &str) -> Result<PathBuf, CatalogError> {
        if let Some(folder) = &self.store {
            let target = folder.join(name);
            remote::put(&target, &self.file).map_err(CatalogError::io("put", &target))?;
            return Ok(target);
        }
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        let target = folder.join(name);
        self.file.sync_all().map_err(CatalogError::io("flush to disk", &self.path))?;
        fs::rename(&self.path, &target).map_err(CatalogError::io("put in place", &target))?;
        sync_folder(&folder)?;
        Ok(target)
    }

    /// As [`commit`](Self::commit), of a file that there is one of. In a store
    /// one that is there is left as it is; in a folder the caller holds the
    /// lock that keeps others away.
    pub(crate) fn commit_new(self, name: &str) -> Result<(), CatalogError> {
        let Some(folder) = &self.store else { return self.commit(name).map(drop) };
        let target = folder.join(name);
        remote::put_new(&target, &self.file).map_err(CatalogError::io("put", &target)).map(drop)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.store.is_some() {
            return;
        }
        // After a commit the name is gone and this finds nothing. A failure
        // leaves a file that the next run's sweep removes.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes the names in a folder survive a loss of power.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), CatalogError> {
    let synced = File::open(folder).and_then(|handle| handle.sync_all());
    match synced {
        // Some network file systems cannot flush a folder and say so; their
        // servers make renames durable themselves.
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced.map_err(CatalogError::io("flush to disk", folder)),
    }
}

/// Whether this is the name of a file that [`TempFile`] writes.
pub(crate) fn is_temporary(name: &str) -> bool {
    let ours = [".part-", ".inputs.parquet.", ".run.json.", ".plan.json."];
    name.ends_with(".tmp") && ours.iter().any(|prefix| name.starts_with(prefix))
}

/// This machine since it was started last: whose locks are seen by all its
/// processes, in whatever containers they are.
fn machine() -> &'static str {
    static MACHINE: OnceLock<String> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = boot.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        // None elsewhere than on Linux: then nothing is known to be this machine's.
        if digits.is_empty() { format!("{:012x}", rand::random::<u64>() >> 16) } else { digits }
    })
}

/// Whether a temporary file can be somebody's on another machine.
fn is_elsewhere(name: &str, path: &Path) -> bool {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    if name.contains(&format!(".{}-", machine())) {
        return false;
    }
    let age = fs::metadata(path).and_then(|metadata| metadata.modified()).map(|t| t.elapsed());
    // One from the future is not old.
    !age.is_ok_and(|age| age.is_ok_and(|age| age > LONGEST))
}

fn is_range_lock(name: &str) -> bool {
    let index = name.strip_prefix(".range-").and_then(|rest| rest.strip_suffix(".lock"));
    index.is_some_and(|index| index.parse::<u64>().is_ok())
}

/// Removes what dead processes left in `folder`: temporary files, and locks,
/// that can be locked. Where locks do not work nothing is removed, for a live
/// process cannot be told from a dead one; a leftover does no harm.
pub(crate) fn sweep(folder: &Path) -> Result<(), CatalogError> {
    if is_remote(folder) {
        return Ok(());
    }
    for path in entries(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == ".lock" || is_range_lock(name) {
            drop(PathLock::try_acquire(&path)?);
        }
        if !is_temporary(name) {
            continue;
        }
        if is_elsewhere(name, &path) {
            continue;
        }
        // To write, which network file systems ask for before they lock.
        let abandoned = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file.try_lock().is_ok().then_some(file),
            Err(_) => None,
        };
        if let Some(_lock_until_removed) = abandoned {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(CatalogError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The paths in a folder, in no order; none if there is no such folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    Ok(place::list(folder)?.into_iter().map(|found| found.path).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_appears_whole_under_its_name_or_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let temp = TempFile::create(folder.path(), "part-1").unwrap();
        temp.file().write_all(b"content").unwrap();
        assert!(is_temporary(temp.path().file_name().unwrap().to_str().unwrap()));
        let target = temp.commit("part-1").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"content");

        drop(TempFile::create(folder.path(), "part-2").unwrap());
        assert_eq!(entries(folder.path()).unwrap(), [target]);
    }

    #[test]
    fn the_sweep_spares_the_living_and_what_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let alive = TempFile::create(folder.path(), "part-1").unwrap();
        let dead = folder.path().join(format!(".part-1.{}-4711-00000001.tmp", machine()));
        let elsewhere = folder.path().join(".part-1.0123456789ab-4711-00000001.tmp");
        let foreign = folder.path().join(".notes.tmp");
        for path in [&dead, &elsewhere, &foreign] {
            fs::write(path, b"half a part").unwrap();
        }
        sweep(folder.path()).unwrap();
        assert!(alive.path().exists() && foreign.exists() && !dead.exists());
        // Of another machine no lock is seen; after a day without a byte it is
        // nobody's there either.
        assert!(elsewhere.exists());
        let yesterday = std::time::SystemTime::now() - Duration::from_secs(25 * 60 * 60);
        File::options().write(true).open(&elsewhere).unwrap().set_modified(yesterday).unwrap();
        sweep(folder.path()).unwrap();
        assert!(alive.path().exists() && foreign.exists() && !elsewhere.exists());
        sweep(&folder.path().join("no such folder")).unwrap();
    }

    #[test]
    fn creating_and_sweeping_at_once_loses_no_live_file() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| (0..300).for_each(|_| sweep(folder.path()).unwrap()));
            let mut made = 0;
            while made < 10 || !sweeper.is_finished() {
                let temp = TempFile::create(folder.path(), "part-1").unwrap();
                temp.commit("part-1").unwrap();
                made += 1;
            }
        });
    }
}
