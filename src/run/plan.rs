//! `plan.json`: into how many shards a run is shared out, and the options of
//! the command that began it.
//!
//! The number of shards decides nothing of the result, so it is not in
//! `run.json`; it decides who does what, so there is one place to read it.
//! A scheduler's environment is none: rerunning one task of an array tells
//! that task that it is one of one. What the options mean is left to
//! [`crate::classify`], which also holds them against `run.json`.
//!
//! Invariant: a run has one number of shards for as long as it lives.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::folder::{RunFolder, read_manifest};
use super::names::{PLAN, PLAN_LOCK};
use super::settings::Unread;
use super::{RunError, Shard};
use crate::storage::file::TempFile;
use crate::storage::json::json;
use crate::storage::lock::{PathLock, Wait};
use crate::storage::{StorageError, place};

/// The format of plans; those without a number have it too.
const FORMAT: u64 = 1;

fn first() -> u64 {
    1
}

/// The content of `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the file's layout is called. It decides whether the plan can be
    /// carried out.
    #[serde(default = "first")]
    pub format: u64,
    /// The run that is shared out: [`RunFolder::digest`].
    pub run: String,
    /// Into how many shards.
    pub shards: u64,
    /// The options of the command that began the run.
    pub options: Value,
}

impl Plan {
    /// The plan in the run folder `dir`.
    ///
    /// # Errors
    /// [`RunError::NoRun`] and [`RunError::NoPlan`] where there is
    /// none, [`RunError::BadManifest`] where it is something else, and
    /// [`RunError::StalePlan`] where it is another run's.
    pub fn read(dir: &Path) -> Result<Self, RunError> {
        let (_, run) = read_manifest(dir)?;
        Self::of(dir, &run)?.ok_or_else(|| RunError::NoPlan { path: dir.to_owned() })
    }

    /// The plan of the run `run` in `dir`, if the run is shared out.
    pub(crate) fn of(dir: &Path, run: &str) -> Result<Option<Self>, RunError> {
        let path = dir.join(PLAN);
        let bytes = match place::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(StorageError::io("read", &path))?,
        };
        let plan = Self::from_bytes(&bytes).map_err(|unread| unread.at(&path, FORMAT))?;
        if plan.run != run {
            return Err(RunError::StalePlan { path });
        }
        if plan.shards == 0 {
            return Err(RunError::BadSetting(format!("{}: no shards", path.display())));
        }
        Ok(Some(plan))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unread> {
        #[derive(Deserialize)]
        struct Numbered {
            #[serde(default = "first")]
            format: u64,
        }
        // The number first: what else a later format holds is not known here.
        let Numbered { format } = serde_json::from_slice(bytes)?;
        if format > FORMAT {
            return Err(Unread::Newer(format));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Shard `index` of the plan, counted from 0.
    ///
    /// # Errors
    /// [`RunError::BadSetting`] if the plan has no such shard.
    pub fn shard(&self, index: u64) -> Result<Shard, RunError> {
        Shard::new(index, self.shards)
    }
}

impl RunFolder {
    /// Shares the run out into `shards`. Repeated with the same number it does
    /// nothing.
    ///
    /// # Errors
    /// [`RunError::BadSetting`] for no shards, [`RunError::OtherShards`]
    /// if the run is shared out otherwise, and what the system says.
    pub fn share_out(
        &self,
        shards: u64,
        options: Value,
        wait: &dyn Wait,
    ) -> Result<Plan, RunError> {
        Shard::new(0, shards)?;
        let _planning = PathLock::acquire(&self.dir().join(PLAN_LOCK), wait)?;
        if let Some(plan) = self.plan()? {
            self.check_shards(shards)?;
            return Ok(plan);
        }
        let plan = Plan { format: FORMAT, run: self.digest().to_owned(), shards, options };
        let temp = TempFile::create(self.dir(), PLAN)?;
        let mut text = format!("{:#}", json(&plan));
        text.push('\n');
        temp.append(text.as_bytes())?;
        temp.commit_new(PLAN)?;
        // In a store it may be another's, that was first.
        self.check_shards(shards)?;
        Ok(self.plan()?.unwrap_or(plan))
    }

    /// How the run is shared out, if it is.
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn plan(&self) -> Result<Option<Plan>, RunError> {
        Plan::of(self.dir(), self.digest())
    }

    /// Refuses a number of shards that is not the plan's, if there is a plan.
    ///
    /// # Errors
    /// [`RunError::OtherShards`].
    pub fn check_shards(&self, asked: u64) -> Result<(), RunError> {
        match self.plan()? {
            Some(plan) if plan.shards != asked => Err(RunError::OtherShards {
                path: self.dir().to_owned(),
                there: plan.shards,
                asked,
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_without_a_number_is_read_and_a_later_one_refused() {
        // As hiwl 0.1.0 wrote it.
        let old = br#"{"options": {"batch": 32}, "run": "ab", "shards": 4}"#;
        let plan = Plan::from_bytes(old).unwrap();
        assert_eq!((plan.format, plan.shards, plan.run.as_str()), (1, 4, "ab"));
        let later = br#"{"format": 2, "tasks": 4}"#;
        let error = Plan::from_bytes(later).unwrap_err().at(Path::new("plan.json"), FORMAT);
        assert!(error.is_usage() && error.to_string().contains("format 2"), "{error}");
        assert!(matches!(Plan::from_bytes(b"{}"), Err(Unread::Json(_))));
    }
}
