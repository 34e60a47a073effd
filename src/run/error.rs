//! What can go wrong with a run's folder, each with its path and what to do.
//!
//! A cutout that cannot be classified is not an error here: it is a row.

use std::path::PathBuf;

use crate::storage::json::Sentences;
use crate::storage::{Difference, StorageError};
use crate::words::counted;

/// An error of a run's folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The system refused, or a file is not what it was written as.
    #[error(transparent)]
    Storage(#[from] StorageError),
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
    /// A file of the run was written by a later version of the program.
    #[error("{}: format {found}, while this program reads up to {known}: update it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The last that this program reads.
        known: u64,
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
    #[error("{} is shared out into {}, not {asked}: the number is fixed when a run is planned",
        path.display(), counted(*there, "shard", "shards"))]
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
    #[error("{} holds another run: name another output, or repeat the command that began this one; \
        {}", path.display(), Sentences(differences))]
    OtherRun {
        /// The folder.
        path: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// Parts whose run is unknown.
    #[error("{} holds {} and no run.json that says what {}: name another output",
        path.display(), counted(*parts as u64, "part", "parts"),
        if *parts == 1 { "it is" } else { "they are" })]
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
}

impl RunError {
    /// Whether there is no space left (or no quota). What was committed is
    /// kept; the run goes on once there is space.
    pub fn is_storage_full(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_storage_full())
    }

    /// Whether another folder or other settings must be named: repeating the
    /// same command would fail the same way.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_usage(),
            Self::NoRun { .. }
            | Self::Newer { .. }
            | Self::NoPlan { .. }
            | Self::StalePlan { .. }
            | Self::OtherShards { .. }
            | Self::NoInputs
            | Self::OtherRun { .. }
            | Self::PartsWithoutRun { .. }
            | Self::NotOurs { .. }
            | Self::BadSetting(_)
            | Self::NoSuchRange { .. }
            | Self::Carried { .. } => true,
            Self::BadManifest { .. } | Self::OtherListing { .. } | Self::BadListing { .. } => false,
        }
    }
}
