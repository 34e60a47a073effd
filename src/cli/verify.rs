//! `hiwl verify DIR`: is the catalog whole?

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Exit, of_catalog, print, print_json, usage};
use crate::catalog::{self, Verification};
use crate::cli::terminal::catalog::verification;
use crate::cli::terminal::format::count;
use crate::cli::terminal::shown::say;
use crate::cutout::Reason;
use crate::run::{RowRange, RunError};

/// Prove that a catalog is complete and undamaged.
///
/// Every row range has its part, every part belongs to this run and can be
/// read to the last page, and its rows are the listed inputs, one each, in
/// order. Says what is missing or damaged, and which inputs could not be
/// listed. The command that began the run redoes what is missing, of a planned
/// run in the shards that are named here; --remove-damaged and --remove-rejected
/// add to it what was damaged, and what was rejected for a reason that has passed.
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

    /// Remove the parts with cutouts that were rejected so, such as
    /// missing,unreadable after an outage, so that they are made again.
    #[arg(long, value_name = "STATUS,...", value_delimiter = ',', value_parser = reason)]
    remove_rejected: Vec<Reason>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let mut found = catalog::verify(&self.folder).map_err(of_catalog)?;
        let removed = self.removed(&found);
        if !removed.is_empty() {
            catalog::remove_parts(&self.folder, removed.iter().map(|(range, _)| *range))?;
            for (range, why) in removed {
                // Standard output may be an option of sbatch.
                say(format_args!("removed the part of range {range}: {why}"));
            }
            found = catalog::verify(&self.folder).map_err(of_catalog)?;
        }
        if self.json {
            print_json(verification::json(&found))?;
        } else if self.array {
            if found.shards.is_none() {
                return Err(usage(RunError::NoPlan { path: self.folder }));
            }
            let array = verification::array(&found);
            print(&array.map_or_else(String::new, |array| format!("{array}\n")))?;
        } else {
            print(&verification::text(&self.folder, &found))?;
        }
        Ok(if found.is_complete() { Exit::Ok } else { Exit::Incomplete })
    }

    /// What is to be removed, and why.
    fn removed(&self, found: &Verification) -> Vec<(RowRange, String)> {
        let mut removed = Vec::new();
        if self.remove_damaged {
            removed.extend(found.damaged.iter().map(|part| (part.range, part.damage.to_string())));
        }
        for (range, rejected) in &found.with_rejected {
            let rows = self.remove_rejected.iter().filter_map(|reason| rejected.get(reason));
            let rows: u64 = rows.sum();
            if rows > 0 {
                let was = if rows == 1 { "was" } else { "were" };
                removed.push((*range, format!("{} of its cutouts {was} rejected", count(rows))));
            }
        }
        removed
    }
}

fn reason(status: &str) -> Result<Reason, String> {
    let all = || Reason::ALL.map(Reason::code).join(", ");
    Reason::from_code(status).ok_or_else(|| format!("one of {}", all()))
}
