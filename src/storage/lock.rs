//! Advisory locks that are files, and vanish with their process.
//!
//! They serve to spare work (one process plans, one process writes a range),
//! never correctness: every file is put in place by a rename, so where a file
//! system has no locks two processes do the same work twice and the catalog is
//! the same. Such systems, and object stores, are therefore treated as if every
//! lock was free.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::catalog::CatalogError;
use crate::storage::remote::is_remote;

/// A lock that is held. Dropping it removes its file.
#[derive(Debug)]
pub(crate) struct PathLock {
    path: PathBuf,
    /// None in a store.
    file: Option<File>,
}

impl PathLock {
    /// Waits for the lock. The folder is made if it is not there.
    pub(crate) fn acquire(path: &Path) -> Result<Self, CatalogError> {
        Self::take(path, |file| match file.lock() {
            Err(error) if !lockless(&error) => Err(error),
            _ => Ok(true),
        })
        .map(|lock| lock.expect("a lock that is waited for is had or fails"))
    }

    /// Takes the lock, or says that another holds it.
    pub(crate) fn try_acquire(path: &Path) -> Result<Option<Self>, CatalogError> {
        Self::take(path, |file| match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) if !lockless(&error) => Err(error),
            _ => Ok(true),
        })
    }

    fn take(
        path: &Path,
        lock: impl Fn(&File) -> io::Result<bool>,
    ) -> Result<Option<Self>, CatalogError> {
        if is_remote(path) {
            return Ok(Some(Self { path: path.to_owned(), file: None }));
        }
        loop {
            // The last holder may have removed the folder with its lock.
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder).map_err(CatalogError::io("create", folder))?;
            }
            let opened =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = match opened {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(CatalogError::io("create", path))?,
            };
            if !lock(&file).map_err(CatalogError::io("lock", path))? {
                return Ok(None);
            }
            // Whoever held it until now has removed the name: what is locked
            // here may be a file that nobody else will ever open.
            if same_file(&file, path) {
                return Ok(Some(Self { path: path.to_owned(), file: Some(file) }));
            }
        }
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        // Removed while still held, so that the next holder finds either this
        // file locked or none; an empty leftover does no harm.
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the error says that this file system has no locks: ENOTSUP and
/// ENOSYS, or ENOLCK from a network file system without its lock daemon.
pub(crate) fn lockless(error: &io::Error) -> bool {
    const ENOLCK: i32 = 37;
    error.kind() == ErrorKind::Unsupported || error.raw_os_error() == Some(ENOLCK)
}

/// Whether `path` still names the open file.
pub(crate) fn same_file(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => identity(open) == identity(named),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn one_holder_at_a_time_and_no_file_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made").join(".lock");
        let (inside, turns) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let held = PathLock::acquire(&path).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        turns.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 200);
        assert!(!path.exists());
    }

    #[test]
    fn a_held_lock_is_seen_and_a_free_one_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        // A crash leaves the file without its lock.
        File::create(&path).unwrap();
        let held = PathLock::try_acquire(&path).unwrap().unwrap();
        assert!(PathLock::try_acquire(&path).unwrap().is_none());
        drop(held);
        assert!(PathLock::try_acquire(&path).unwrap().is_some());
    }
}
