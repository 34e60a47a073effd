//! Advisory locks that are files, and vanish with their process.
//!
//! They serve to spare work (one process plans, one process writes a range),
//! never correctness: every file is put in place by a rename, so where a file
//! system has no locks two processes do the same work twice and the catalog is
//! the same. Such systems, and object stores, are therefore treated as if every
//! lock was free.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::file::open_own;
use super::remote::is_remote;
use super::{StorageError, place};

/// How long is waited without a word.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// Who waits, for a lock or for what somebody writes.
pub trait Wait: Send + Sync {
    /// Is told, once, what has been waited for for seconds.
    fn waits(&self, what: &str);
    /// Whether to give up.
    fn stopped(&self) -> bool;
}

/// Waits without a word, for as long as it takes.
impl Wait for () {
    fn waits(&self, _: &str) {}

    fn stopped(&self) -> bool {
        false
    }
}

/// A lock that is held. Dropping it removes its file, unless it is
/// [kept](Self::keep).
#[derive(Debug)]
pub(crate) struct PathLock {
    path: PathBuf,
    /// None in a store.
    file: Option<File>,
    keep: bool,
}

impl PathLock {
    /// Waits for the lock. The folder is made if it is not there.
    ///
    /// # Errors
    /// [`StorageError::Stopped`] if a stop is asked for while another holds
    /// it, and what the system says.
    pub(crate) fn acquire(path: &Path, wait: &dyn Wait) -> Result<Self, StorageError> {
        const LONGEST_PAUSE: Duration = Duration::from_millis(100);
        let (begun, mut told) = (Instant::now(), false);
        let mut pause = Duration::from_millis(1);
        loop {
            // Asked for again and again, since a call that waits for a lock
            // sees no signal.
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(lock);
            }
            if wait.stopped() {
                return Err(StorageError::Stopped { path: path.to_owned() });
            }
            if !told && begun.elapsed() > SILENCE {
                let path = path.display();
                wait.waits(&format!("another process holds {path}: waiting until it is done"));
                told = true;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its file, in which the holder may write; none in a store.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Leaves the file where it is when the lock is dropped.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }

    /// Takes the lock, or says that another holds it.
    pub(crate) fn try_acquire(path: &Path) -> Result<Option<Self>, StorageError> {
        Self::take(path, |file| match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) if !lockless(&error) => Err(error),
            _ => Ok(true),
        })
    }

    fn take(
        path: &Path,
        lock: impl Fn(&File) -> io::Result<bool>,
    ) -> Result<Option<Self>, StorageError> {
        if is_remote(path) {
            return Ok(Some(Self { path: path.to_owned(), file: None, keep: false }));
        }
        loop {
            // The last holder may have removed the folder with its lock.
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder).map_err(StorageError::io("create", folder))?;
            }
            let file = match open_own(path, true) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(StorageError::io("create", path))?,
            };
            if !lock(&file).map_err(StorageError::io("lock", path))? {
                return Ok(None);
            }
            // Whoever held it until now has removed the name: what is locked
            // here may be a file that nobody else will ever open.
            if same_file(&file, path) {
                return Ok(Some(Self { path: path.to_owned(), file: Some(file), keep: false }));
            }
        }
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        // Removed while still held, so that the next holder finds either this
        // file locked or none; an empty leftover does no harm.
        if self.file.is_some() && !self.keep {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the locks of these names in `folder` that nobody holds. Whoever died
/// may have left something in one, which `is_lock` then knows.
pub(crate) fn sweep(folder: &Path, is_lock: impl Fn(&str) -> bool) -> Result<(), StorageError> {
    if is_remote(folder) {
        return Ok(());
    }
    for path in place::entries(folder)? {
        if path.file_name().and_then(|name| name.to_str()).is_some_and(&is_lock) {
            drop(PathLock::try_acquire(&path)?);
        }
    }
    Ok(())
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
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let held = PathLock::acquire(&path, &()).unwrap();
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

    #[test]
    fn whoever_waits_says_so_within_seconds_and_can_be_stopped() {
        struct Waiting(AtomicU32);
        impl Wait for Waiting {
            fn waits(&self, _: &str) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
            fn stopped(&self) -> bool {
                self.0.load(Ordering::SeqCst) > 0
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let _held = PathLock::try_acquire(&path).unwrap().unwrap();
        let (begun, waiting) = (Instant::now(), Waiting(AtomicU32::new(0)));
        let error = PathLock::acquire(&path, &waiting).unwrap_err();
        assert!(matches!(error, StorageError::Stopped { .. }), "{error}");
        assert_eq!(waiting.0.into_inner(), 1);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
