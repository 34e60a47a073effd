//! `hiwl verify DIR`: is the catalog whole?

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::{CliError, Exit, of_catalog, print, usage};
use crate::{catalog, catalog::CatalogError, report::catalog::verification};

/// Prove that a catalog is complete and undamaged.
///
/// Every row range has its part, every part belongs to this run and can be
/// read to the last page, and its rows are the listed inputs, one each, in
/// order. Says what is missing or damaged, and which inputs could not be
/// listed. The command that began the run redoes what is missing, of a planned
/// run in the shards that are named here; with --remove-damaged that is also
/// what was damaged.
///
/// Exit code 0 if the catalog is whole, 2 if not.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's folder (the `--output` of `hiwl classify`), or its URL.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Print the result as JSON.
    #[arg(long, conflicts_with = "array")]
    json: bool,

    /// Of a planned run, print nothing but the shards to run again as an
    /// option of sbatch, such as --array=0,4-7; nothing if there are none.
    #[arg(long)]
    array: bool,

    /// Remove the parts that are damaged, so that they are missing.
    #[arg(long)]
    remove_damaged: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let found = catalog::verify(&self.folder).map_err(of_catalog)?;
        if self.remove_damaged {
            catalog::remove_damaged(&found)?;
            for part in &found.damaged {
                // Standard output may be an option of sbatch.
                let _ = writeln!(
                    io::stderr(),
                    "hiwl: removed {}: {}",
                    part.path.display(),
                    part.damage
                );
            }
        }
        if self.json {
            print(&format!("{}\n", verification::json(&found)))?;
        } else if self.array {
            if found.shards.is_none() {
                return Err(usage(CatalogError::NoPlan { path: self.folder }));
            }
            let array = verification::array(&found);
            print(&array.map_or_else(String::new, |array| format!("{array}\n")))?;
        } else {
            print(&verification::text(&self.folder, &found))?;
        }
        Ok(if found.is_complete() { Exit::Ok } else { Exit::Incomplete })
    }
}
