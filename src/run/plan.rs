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

use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::folder::{RunFolder, read_manifest};
use super::names::{PLAN, PLAN_LOCK};
use super::{Shard, json};
use crate::catalog::CatalogError;
use crate::storage::file::TempFile;
use crate::storage::lock::PathLock;
use crate::storage::place;

/// The content of `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
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
    /// [`CatalogError::NoRun`] and [`CatalogError::NoPlan`] where there is
    /// none, [`CatalogError::BadManifest`] where it is something else, and
    /// [`CatalogError::StalePlan`] where it is another run's.
    pub fn read(dir: &Path) -> Result<Self, CatalogError> {
        let (_, run) = read_manifest(dir)?;
        Self::of(dir, &run)?.ok_or_else(|| CatalogError::NoPlan { path: dir.to_owned() })
    }

    /// The plan of the run `run` in `dir`, if the run is shared out.
    pub(crate) fn of(dir: &Path, run: &str) -> Result<Option<Self>, CatalogError> {
        let path = dir.join(PLAN);
        let bytes = match place::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(CatalogError::io("read", &path))?,
        };
        let plan: Self = serde_json::from_slice(&bytes)
            .map_err(|source| CatalogError::BadManifest { path: path.clone(), source })?;
        if plan.run != run {
            return Err(CatalogError::StalePlan { path });
        }
        if plan.shards == 0 {
            return Err(CatalogError::BadSetting(format!("{}: no shards", path.display())));
        }
        Ok(Some(plan))
    }

    /// Shard `index` of the plan, counted from 0.
    ///
    /// # Errors
    /// [`CatalogError::BadSetting`] if the plan has no such shard.
    pub fn shard(&self, index: u64) -> Result<Shard, CatalogError> {
        Shard::new(index, self.shards)
    }
}

impl RunFolder {
    /// Shares the run out into `shards`. Repeated with the same number it does
    /// nothing.
    ///
    /// # Errors
    /// [`CatalogError::BadSetting`] for no shards, [`CatalogError::OtherShards`]
    /// if the run is shared out otherwise, and what the system says.
    pub fn share_out(&self, shards: u64, options: Value) -> Result<Plan, CatalogError> {
        Shard::new(0, shards)?;
        let _planning = PathLock::acquire(&self.dir().join(PLAN_LOCK))?;
        if let Some(plan) = self.plan()? {
            self.check_shards(shards)?;
            return Ok(plan);
        }
        let plan = Plan { run: self.digest().to_owned(), shards, options };
        let temp = TempFile::create(self.dir(), PLAN)?;
        let mut text = format!("{:#}", json(&plan));
        text.push('\n');
        let mut file = temp.file();
        file.write_all(text.as_bytes()).map_err(CatalogError::io("write", temp.path()))?;
        temp.commit_new(PLAN)?;
        // In a store it may be another's, that was first.
        self.check_shards(shards)?;
        Ok(self.plan()?.unwrap_or(plan))
    }

    /// How the run is shared out, if it is.
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn plan(&self) -> Result<Option<Plan>, CatalogError> {
        Plan::of(self.dir(), self.digest())
    }

    /// Refuses a number of shards that is not the plan's, if there is a plan.
    ///
    /// # Errors
    /// [`CatalogError::OtherShards`].
    pub fn check_shards(&self, asked: u64) -> Result<(), CatalogError> {
        match self.plan()? {
            Some(plan) if plan.shards != asked => Err(CatalogError::OtherShards {
                path: self.dir().to_owned(),
                there: plan.shards,
                asked,
            }),
            _ => Ok(()),
        }
    }
}
