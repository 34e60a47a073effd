//! Files that appear under their name whole or not at all, and files that are
//! read as a whole.
//!
//! A file is written under a name that begins with a dot, flushed to disk,
//! renamed, and the folder is flushed too. The writer holds an advisory lock
//! on it all the while, by which `sweep` knows what nobody writes any more.
//! A file for a store is written in the system's temporary folder, nameless,
//! and sent when it is committed. What a user named for an output goes through
//! `output`, which looks at what is there.
//!
//! Invariant: nothing but [`TempFile::commit`] and [`TempFile::commit_new`]
//! makes a final name appear, and only after the content is on disk, or in the
//! store.

use std::ffi::OsStr;
use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::lock::{lockless, same_file};
use super::remote::{self, is_remote};
use super::{StorageError, place, sweep};

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
    /// A new hidden file in `folder`, locked; its name begins with `stem`.
    pub(crate) fn create(folder: &Path, stem: impl AsRef<OsStr>) -> Result<Self, StorageError> {
        if is_remote(folder) {
            let here = std::env::temp_dir();
            let (path, file) =
                place::nameless(stem.as_ref()).map_err(StorageError::io("write in", &here))?;
            return Ok(Self { path, file, store: Some(folder.to_owned()) });
        }
        loop {
            let path = folder.join(sweep::temporary(stem.as_ref()));
            // With `create_new` no link is followed either.
            let opened = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
            let file = match opened {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened.map_err(StorageError::io("create", &path))?,
            };
            let this = Self { path, file, store: None };
            // Between creation and lock another process may take it for a
            // dead one's and remove it; then it has the lock, or the name is
            // gone.
            match this.file.try_lock() {
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) if !lockless(&error) => {
                    return Err(StorageError::io("lock", &this.path)(error));
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

    /// Writes bytes at its end.
    pub(crate) fn append(&self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file().write_all(bytes).map_err(StorageError::io("write", &self.path))
    }

    /// Flushes the content to disk, gives it its final name beside it, and
    /// flushes the folder. A file that already has the name is replaced.
    pub(crate) fn commit(self, name: impl AsRef<Path>) -> Result<PathBuf, StorageError> {
        if let Some(folder) = &self.store {
            let target = folder.join(name);
            remote::put(&target, &self.file).map_err(StorageError::io("put", &target))?;
            return Ok(target);
        }
        let folder = self.path.parent().unwrap_or(Path::new("")).to_owned();
        let target = folder.join(name);
        self.file.sync_all().map_err(StorageError::io("flush to disk", &self.path))?;
        fs::rename(&self.path, &target).map_err(StorageError::io("put in place", &target))?;
        sync_folder(&folder)?;
        Ok(target)
    }

    /// As [`commit`](Self::commit), of a file that there is one of. In a store
    /// one that is there is left as it is; in a folder the caller holds the
    /// lock that keeps others away.
    pub(crate) fn commit_new(self, name: &str) -> Result<(), StorageError> {
        let Some(folder) = &self.store else { return self.commit(name).map(drop) };
        let target = folder.join(name);
        remote::put_new(&target, &self.file).map_err(StorageError::io("put", &target)).map(drop)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.store.is_some() {
            return;
        }
        // After a commit the name is gone and this finds nothing. A failure
        // leaves a file that the next sweep removes.
        let _ = fs::remove_file(&self.path);
    }
}

/// Puts `bytes` under `path` such that the name never stands for half a file,
/// not even after a power cut.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let (folder, name) = split(path)?;
    let temp = TempFile::create(folder, name)?;
    temp.append(bytes)?;
    temp.commit(name).map(drop)
}

/// The folder and the name of a file.
pub(super) fn split(path: &Path) -> Result<(&Path, &OsStr), StorageError> {
    match path.file_name() {
        Some(name) => Ok((path.parent().unwrap_or(Path::new("")), name)),
        None => Err(StorageError::Output { path: path.to_owned(), why: "is no name of a file" }),
    }
}

/// Makes the names in a folder survive a loss of power.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let synced = File::open(folder).and_then(|handle| handle.sync_all());
    match synced {
        // Some network file systems cannot flush a folder and say so; their
        // servers make renames durable themselves.
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced.map_err(StorageError::io("flush to disk", folder)),
    }
}

/// Opens a plain file for reading. To open a named pipe would be to wait for
/// whoever writes into it, perhaps for ever.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    plain(OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?)
}

/// Opens a plain file of ours for reading and writing; a link in its place is
/// not followed.
pub(super) fn open_own(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false);
    let opened = options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path);
    match opened {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            Err(io::Error::other("it is a link, not a file"))
        }
        opened => plain(opened?),
    }
}

fn plain(file: File) -> io::Result<File> {
    match irregular(file.metadata()?.file_type()) {
        Some(kind) => Err(io::Error::other(format!("it is {kind}, not a file"))),
        None => Ok(file),
    }
}

/// What something is that is no plain file.
pub(crate) fn irregular(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_symlink() {
        Some("a link")
    } else {
        Some("a device")
    }
}

/// The bytes of a plain file, unless there are more than `most`.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let bytes = file.metadata()?.len();
    within(bytes, most)?;
    let mut buffer = Vec::new();
    // What the system says may be more than there is memory.
    let room = usize::try_from(bytes).map_err(|_| ErrorKind::OutOfMemory)?;
    buffer.try_reserve_exact(room).map_err(|_| ErrorKind::OutOfMemory)?;
    // It may grow meanwhile, or be a file whose size nobody knows.
    file.take(most.saturating_add(1)).read_to_end(&mut buffer)?;
    within(buffer.len() as u64, most)?;
    Ok(buffer)
}

/// The same as text.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

fn within(bytes: u64, most: u64) -> io::Result<()> {
    if bytes <= most {
        return Ok(());
    }
    let words = format!("it has {bytes} bytes, and at most {most} are read");
    Err(io::Error::new(ErrorKind::FileTooLarge, words))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::limits;

    #[test]
    fn a_file_appears_whole_under_its_name_or_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let temp = TempFile::create(folder.path(), "part-1").unwrap();
        temp.append(b"content").unwrap();
        assert!(sweep::is_temporary(temp.path().file_name().unwrap()));
        let target = temp.commit("part-1").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"content");

        drop(TempFile::create(folder.path(), "part-2").unwrap());
        assert_eq!(place::entries(folder.path()).unwrap(), std::slice::from_ref(&target));

        replace(&target, b"other").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"other");
        // A name as long as names may be leaves no room beside it.
        replace(&folder.path().join("é".repeat(127)), b"long").unwrap();
        assert_eq!(place::entries(folder.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_pipe_is_refused_at_once_and_a_link_of_ours_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        symlink(folder.path().join("elsewhere"), &link).unwrap();
        let begun = Instant::now();
        for error in [read(&pipe, 9).unwrap_err(), open_own(&pipe, true).unwrap_err()] {
            assert!(error.to_string().contains("named pipe"), "{error}");
        }
        let error = open_own(&link, true).unwrap_err();
        assert!(error.to_string().contains("link"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(!folder.path().join("elsewhere").exists());
    }

    #[test]
    fn a_file_too_large_is_refused_before_it_is_read() {
        let sparse = tempfile::NamedTempFile::new().unwrap();
        sparse.as_file().set_len(1 << 40).unwrap();
        let error = read(sparse.path(), limits::model::FILE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        let words = "it has 1099511627776 bytes, and at most 4294967296 are read";
        assert_eq!(error.to_string(), words);
        sparse.as_file().set_len(3).unwrap();
        assert_eq!(read(sparse.path(), 3).unwrap(), [0; 3]);
        assert!(read(sparse.path(), 2).is_err());
        assert_eq!(read_text(sparse.path(), 3).unwrap(), "\0\0\0");
        fs::write(sparse.path(), b"\xff").unwrap();
        assert!(read_text(sparse.path(), 3).unwrap_err().to_string().contains("UTF-8"));
    }

    /// Files of /proc say that they have no bytes.
    #[test]
    fn a_file_that_does_not_say_its_size_is_read_within_the_limit() {
        let path = Path::new("/proc/self/status");
        assert!(read_text(path, 1 << 20).unwrap().starts_with("Name:"));
        assert_eq!(read(path, 5).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
