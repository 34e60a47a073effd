//! `hiwl verify DIR`: is the catalog whole?

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Exit, print};
use crate::{catalog, report::catalog::verification};

/// Prove that a catalog is complete and undamaged.
///
/// Every row range has its part, every part belongs to this run and can be
/// read to the last page, and its rows are the listed inputs, one each, in
/// order. Says what is missing or damaged; `hiwl classify` with the command
/// that began the run redoes just that.
///
/// Exit code 0 if the catalog is whole, 2 if not.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's folder (the `--output` of `hiwl classify`).
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let found = catalog::verify(&self.folder)?;
        if self.json {
            print(&format!("{}\n", verification::json(&found)))?;
        } else {
            print(&verification::text(&self.folder, &found))?;
        }
        Ok(if found.is_complete() { Exit::Ok } else { Exit::Incomplete })
    }
}
