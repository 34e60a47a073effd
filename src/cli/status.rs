//! `hiwl status DIR`: how far is a run?

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Exit, of_run, print, print_json};
use crate::{cli::terminal::catalog::status, run};

/// Tell how far a run is, and how long it will take.
///
/// Looks at the names and times of the parts and at nothing else, so it is
/// quick and disturbs nobody; `hiwl verify` looks inside. Rates are those of
/// the last parts.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's folder, or its URL.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Print it as JSON, every shard of it.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let found = run::status(&self.folder).map_err(of_run)?;
        if self.json {
            print_json(status::json(&found))?;
        } else {
            print(&status::text(&self.folder, &found))?;
        }
        Ok(Exit::Ok)
    }
}
