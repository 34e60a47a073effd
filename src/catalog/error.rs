//! What can go wrong with a run folder, each with its path and what to do.
//!
//! A cutout that cannot be classified is not an error here: it is a row.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use crate::run::Difference;
use crate::storage::remote::is_remote;

/// An error of the catalog layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
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
    /// There is no `run.json`.
    #[error("{} holds no run: it has no run.json", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// `run.json` is there and says something else than a run does.
    #[error("{} is not a run's description: {source}", path.display())]
    BadManifest {
        /// The file.
        path: PathBuf,
        /// Where it fails to parse.
        source: serde_json::Error,
    },
    /// The run is not shared out.
    #[error("{} is not shared out: it has no plan.json; make one with `hiwl plan ... --shards N`",
        path.display())]
    NoPlan {
        /// The folder.
        path: PathBuf,
    },
    /// `plan.json` was made for another run than the folder's.
    #[error("{} was made for another run than the one in its folder: remove it and plan again",
        path.display())]
    StalePlan {
        /// The file.
        path: PathBuf,
    },
    /// The run is shared out into another number of shards.
    #[error("{} is shared out into {there} shards, not {asked}: the number is fixed when a run is planned",
        path.display())]
    OtherShards {
        /// The folder.
        path: PathBuf,
        /// In the plan.
        there: u64,
        /// What was asked for.
        asked: u64,
    },
    /// The listing found nothing to classify.
    #[error("no cutout found in the inputs: nothing to do")]
    NoInputs,
    /// The folder holds a run with other settings.
    #[error("{} holds another run; {}\nname another output, or repeat the command that began this one",
        path.display(), sentences(differences))]
    OtherRun {
        /// The folder.
        path: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// Parts whose run is unknown.
    #[error("{} holds {parts} parts and no run.json that says what they are: name another output",
        path.display())]
    PartsWithoutRun {
        /// The folder.
        path: PathBuf,
        /// How many.
        parts: usize,
    },
    /// A file of somebody else's has a name that the run needs.
    #[error("{} was not written by hiwl and would be overwritten: name another output", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// `inputs.parquet` is not the listing that `run.json` pins.
    #[error("{} is not the listing of this run (digest {found}, run.json has {expected})", path.display())]
    OtherListing {
        /// The listing.
        path: PathBuf,
        /// The digest in `run.json`.
        expected: String,
        /// The digest in its footer, or "none".
        found: String,
    },
    /// A row of `inputs.parquet` does not describe a cutout.
    #[error("{}, row {row}: {what}", path.display())]
    BadListing {
        /// The listing.
        path: PathBuf,
        /// Row, counted from 0.
        row: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A setting that no run can have.
    #[error("{0}")]
    BadSetting(String),
    /// A range that the plan does not have.
    #[error("there is no range {index}: the run has {ranges}, counted from 0")]
    NoSuchRange {
        /// The index asked for.
        index: u64,
        /// How many there are.
        ranges: u64,
    },
    /// A column that was asked for cannot be carried into the catalog.
    #[error("column `{column}` cannot be carried: {why}")]
    Carried {
        /// The user's column.
        column: String,
        /// Why, and what to do.
        why: String,
    },
    /// The pipeline handed over rows that are not the range's: a defect of the
    /// program, never of the input.
    #[error("range {range}: {what}; this is a defect of hiwl, and the part was not written")]
    Rows {
        /// The range.
        range: u64,
        /// What came instead of what.
        what: String,
    },
}

impl CatalogError {
    /// Whether there is no space left (or no quota). What was committed is
    /// kept; the run goes on once there is space.
    pub fn is_storage_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if full(source.kind()))
    }

    /// Whether another folder or other settings must be named: repeating the
    /// same command would fail the same way.
    pub fn is_usage(&self) -> bool {
        use ErrorKind::{InvalidInput, NotFound, PermissionDenied, Unsupported};
        // Of a file system the same may be a disk that is not mounted.
        let refused = |source: &io::Error| {
            [InvalidInput, NotFound, PermissionDenied, Unsupported].contains(&source.kind())
        };
        if let Self::Io { path, source, .. } = self {
            return is_remote(path) && refused(source);
        }
        matches!(
            self,
            Self::NotAFolder { .. }
                | Self::NoRun { .. }
                | Self::NoPlan { .. }
                | Self::StalePlan { .. }
                | Self::OtherShards { .. }
                | Self::NoInputs
                | Self::OtherRun { .. }
                | Self::PartsWithoutRun { .. }
                | Self::NotOurs { .. }
                | Self::BadSetting(_)
                | Self::NoSuchRange { .. }
                | Self::Carried { .. }
        )
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
        ErrorKind::NotADirectory => format!("{what}: a part of its path is not a folder"),
        _ => format!("{what}: {source}"),
    }
}

fn sentences(differences: &[Difference]) -> impl fmt::Display + '_ {
    struct Lines<'a>(&'a [Difference]);
    impl fmt::Display for Lines<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "what differs (there → asked for):")?;
            self.0.iter().try_for_each(|difference| write!(f, "\n  {difference}"))
        }
    }
    Lines(differences)
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
        let error = device.write_all(b"x").map_err(CatalogError::io("write", path));
        let error = error.expect_err("a full device takes nothing");
        assert!(error.is_storage_full());
        assert!(error.to_string().contains("make room"), "{error}");

        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let batch = RecordBatch::try_from_iter([("x", column)]).expect("a batch");
        let mut writer = ArrowWriter::try_new(device, batch.schema(), None).expect("a writer");
        let written = writer.write(&batch).and_then(|()| writer.close().map(drop));
        let error = written.map_err(CatalogError::parquet("write", path));
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
            let error = CatalogError::io("create", at)(io::Error::from(kind));
            assert!(!error.is_storage_full());
            let text = error.to_string();
            assert!(text.contains(words) && text.contains("/data/out"), "{text}");
        }
        let quota = CatalogError::io("write", at)(io::Error::from(ErrorKind::QuotaExceeded));
        assert!(quota.is_storage_full());
    }
}
