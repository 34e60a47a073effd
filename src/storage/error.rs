//! What can go wrong with files and folders, each with its path and what to
//! do.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use super::remote::is_remote;

/// An error of the storage layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system refused: no space, no permission, a lost disk.
    #[error("{}", explain(.doing, .path, .source))]
    Io {
        /// What was being done, as in "cannot ...".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A Parquet file could not be read or written, for another reason than
    /// the system's.
    #[error("cannot {doing} {}: {source}", path.display())]
    Parquet {
        /// What was being done, as in "cannot ...".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the Parquet library says.
        source: ParquetError,
    },
    /// A folder is needed where something else is.
    #[error("{} is not a folder: name another output", path.display())]
    NotAFolder {
        /// What is there.
        path: PathBuf,
    },
    /// No folder of ours can be below this URL.
    #[error("{}: a run's folder is on a file system or in an object store (s3://, gs://, az://)",
        path.display())]
    NoStore {
        /// The URL.
        path: PathBuf,
    },
    /// An output is something that is never replaced.
    #[error("{} {why}: name another output", path.display())]
    Output {
        /// The output.
        path: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// A stop was asked for while another process held a lock.
    #[error("stopped while another process held {}", path.display())]
    Stopped {
        /// The lock.
        path: PathBuf,
    },
}

impl StorageError {
    /// Whether there is no space left (or no quota). What was committed is
    /// kept; the run goes on once there is space.
    pub fn is_storage_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if full(source.kind()))
    }

    /// Whether another folder or file must be named: repeating the same
    /// command would fail the same way.
    pub fn is_usage(&self) -> bool {
        use ErrorKind::{InvalidInput, NotFound, PermissionDenied, Unsupported};
        match self {
            // Of a file system the same may be a disk that is not mounted.
            Self::Io { path, source, .. } => {
                is_remote(path)
                    && [InvalidInput, NotFound, PermissionDenied, Unsupported]
                        .contains(&source.kind())
            }
            Self::NotAFolder { .. } | Self::NoStore { .. } | Self::Output { .. } => true,
            Self::Parquet { .. } | Self::Stopped { .. } => false,
        }
    }

    /// Wraps the system's answer.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// Wraps the Parquet library's answer; an answer of the system inside it
    /// is brought out, so that a full disk is known as one.
    pub(crate) fn parquet<E>(doing: &'static str, path: &Path) -> impl FnOnce(E) -> Self
    where
        E: Into<ParquetError>,
    {
        let path = path.to_owned();
        move |error| {
            let source: ParquetError = error.into();
            match io_kind(&source) {
                Some(kind) => Self::Io { doing, path, source: io::Error::new(kind, source) },
                None => Self::Parquet { doing, path, source },
            }
        }
    }
}

fn full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The kind of the system's error somewhere among an error's causes.
fn io_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

/// What happened, and what the user can do about it.
fn explain(doing: &str, path: &Path, source: &io::Error) -> String {
    let what = format!("cannot {doing} {}", path.display());
    if is_remote(path) && !full(source.kind()) {
        return format!("{what}: {source}");
    }
    match source.kind() {
        kind if full(kind) => format!(
            "{what}: no space left; the parts already written are safe: \
             make room and repeat the command to go on from there"
        ),
        ErrorKind::ReadOnlyFilesystem => {
            format!("{what}: the file system is read-only: name another output")
        }
        ErrorKind::PermissionDenied => {
            format!("{what}: no permission: change the folder's, or name another output")
        }
        ErrorKind::FileTooLarge => {
            format!("{what}: {source}: beyond what one file may have here (ulimit -f)")
        }
        ErrorKind::NotADirectory => format!("{what}: a part of its path is not a folder"),
        _ => format!("{what}: {source}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;

    use super::*;

    #[test]
    fn a_full_disk_is_known_however_deep_it_lies() {
        // /dev/full answers every write with ENOSPC.
        let path = Path::new("/dev/full");
        let mut device = OpenOptions::new().write(true).open(path).expect("/dev/full");
        let error = device.write_all(b"x").map_err(StorageError::io("write", path));
        let error = error.expect_err("a full device takes nothing");
        assert!(error.is_storage_full());
        assert!(error.to_string().contains("make room"), "{error}");

        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let batch = RecordBatch::try_from_iter([("x", column)]).expect("a batch");
        let mut writer = ArrowWriter::try_new(device, batch.schema(), None).expect("a writer");
        let written = writer.write(&batch).and_then(|()| writer.close().map(drop));
        let error = written.map_err(StorageError::parquet("write", path));
        assert!(error.expect_err("a full device takes nothing").is_storage_full());
    }

    #[test]
    fn other_failures_are_not_a_full_disk_and_say_what_to_do() {
        let at = Path::new("/data/out");
        for (kind, words) in [
            (ErrorKind::PermissionDenied, "no permission"),
            (ErrorKind::ReadOnlyFilesystem, "read-only"),
            (ErrorKind::NotADirectory, "not a folder"),
        ] {
            let error = StorageError::io("create", at)(io::Error::from(kind));
            assert!(!error.is_storage_full());
            let text = error.to_string();
            assert!(text.contains(words) && text.contains("/data/out"), "{text}");
        }
        let quota = StorageError::io("write", at)(io::Error::from(ErrorKind::QuotaExceeded));
        assert!(quota.is_storage_full());
    }
}
