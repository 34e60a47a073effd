//! Where a run folder is: on a file system, or below a URL in an object store.
//!
//! What a run folder needs of either is little: to look for a name, list a
//! folder, read a file, and put one in place as a whole (see
//! [`TempFile`](super::file::TempFile)). A store has no folders to make, no
//! names to sweep, nothing to flush and no locks: there locks are always had,
//! as on file systems without them.
//!
//! A file of a store is fetched into a nameless one in the system's temporary
//! folder: parts are read at random, and some MB large.
//!
//! Invariant: whoever keeps a run never asks whether a path is a URL to
//! find, list or read it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::remote::{self, is_remote, is_store};
use super::{StorageError, file};
use crate::limits::settings::JSON;

/// Refuses URLs below which no run can be.
pub(crate) fn check(dir: &Path) -> Result<(), StorageError> {
    if is_remote(dir) && !is_store(dir) {
        return Err(StorageError::NoStore { path: dir.to_owned() });
    }
    Ok(())
}

/// Whether something has this name; a folder that may not be searched is an
/// error and not an absence.
pub(crate) fn exists(path: &Path) -> Result<bool, StorageError> {
    let found = if is_remote(path) { remote::exists(path) } else { path.try_exists() };
    found.map_err(StorageError::io("look for", path))
}

/// The whole of a small file: `run.json` or a plan.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !is_remote(path) {
        return file::read(path, JSON);
    }
    let mut bytes = Small(Vec::new());
    remote::fetch(path, &mut bytes)?;
    Ok(bytes.0)
}

/// Bytes that are as many as a small file may have.
struct Small(Vec<u8>);

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.0.len() + bytes.len()) as u64 > JSON {
            let words = format!("it has more than {JSON} bytes");
            return Err(io::Error::new(ErrorKind::FileTooLarge, words));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes a file; one that is not there is removed.
pub(crate) fn remove(path: &Path) -> Result<(), StorageError> {
    let removed = if is_remote(path) { remote::remove(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StorageError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Opens a file for reading at random.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if !is_remote(path) {
        return file::open(path);
    }
    let (_, mut file) = nameless("fetched".as_ref())?;
    remote::fetch(path, &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// A new file in the system's temporary folder that goes with its handle,
/// however the process ends; and the name that it had, for messages.
pub(crate) fn nameless(stem: &OsStr) -> io::Result<(PathBuf, File)> {
    let folder = std::env::temp_dir();
    loop {
        let random = rand::random::<u64>();
        let stem = stem.to_string_lossy();
        let path = folder.join(format!(".hiwl-{stem}.{random:016x}.tmp"));
        let opened = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = match opened {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        fs::remove_file(&path)?;
        return Ok((path, file));
    }
}

/// A name in a folder.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// When it came to be, if the listing told.
    told: Option<SystemTime>,
}

impl Found {
    /// When it came to be; `None` where the system does not say.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        if self.told.is_some() || is_remote(&self.path) {
            return self.told;
        }
        fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok()
    }
}

/// What is in a folder, in no order; nothing if there is no such folder.
pub(crate) fn list(folder: &Path) -> Result<Vec<Found>, StorageError> {
    if is_remote(folder) {
        let listed = remote::entries(folder).map_err(StorageError::io("list", folder))?;
        let found =
            |entry: remote::Listed| Found { path: folder.join(entry.name), told: entry.modified };
        return Ok(listed.into_iter().map(found).collect());
    }
    let found = |path| Found { path, told: None };
    let listed = fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .and_then(|entries| entries.map(|entry| Ok(found(entry?.path()))).collect());
    match listed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(StorageError::io("list", folder)),
    }
}

/// The paths in a folder, in no order; none if there is no such folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    Ok(list(folder)?.into_iter().map(|found| found.path).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_nameless_file_can_be_read_back_and_has_no_name() {
        let (path, mut file) = nameless("test".as_ref()).unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).unwrap();
        assert_eq!(read, "content");
        assert!(!path.exists());
    }

    #[test]
    fn more_than_a_small_file_is_not_taken_up() {
        let mut small = Small(Vec::new());
        small.write_all(&vec![b' '; JSON as usize]).unwrap();
        assert_eq!(small.write(b" ").unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_web_server_holds_no_run() {
        for (url, words) in [("https://host/night", "object store"), ("http://host/n", "s3://")] {
            let error = check(Path::new(url)).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(words), "{error}");
        }
        for place in ["s3://bucket/night", "gs://b", "az://c/n", "night", "/data/https:/x"] {
            check(Path::new(place)).unwrap();
        }
    }
}
