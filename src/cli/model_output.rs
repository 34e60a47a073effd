//! The model file that a command writes of one that it read.
//!
//! Invariant: nothing that the command reads is written over, which is told before the work.

use std::path::{Path, PathBuf};

use clap::Args;

use super::terminal::shown;
use super::{CliError, print, usage};
use crate::model::model_file::{Model, StoredPrecision};
use crate::storage::output;

/// Where it goes, and how its numbers are stored.
#[derive(Debug, Args)]
pub(super) struct ModelOutput {
    /// The model file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// How matrices are stored; f16 loses nothing where they were stored so.
    #[arg(long, value_enum, default_value_t = StoredPrecision::F32)]
    precision: StoredPrecision,
}

impl ModelOutput {
    /// Refuses a place that is never written over; `inputs` are what the command reads.
    pub(super) fn refuse(&self, inputs: &[&Path]) -> Result<(), CliError> {
        output::refuse(&self.output, inputs).map_err(usage)
    }

    /// Writes the model, and tells its digest behind `said`.
    pub(super) fn write(&self, model: &Model, said: &str) -> Result<(), CliError> {
        let digest = model.write(&self.output, self.precision)?;
        print(&format!("{said}{digest}  {}\n", shown::line(self.output.display())))
    }
}
