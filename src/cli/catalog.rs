//! `hiwl catalog DIR`: what a catalog holds.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Exit, numbers, of_catalog, print};
use crate::catalog::{self, Sample};
use crate::cli::terminal::catalog::overview;
use crate::cli::terminal::shown;

/// Sum up a catalog, or show some of its rows.
///
/// Counts by label and by reason of rejection, a histogram of confidences, the
/// model, the run, and where on the sky the galaxies are. A catalog that is not
/// complete is summed up as far as it is.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl catalog night1
  hiwl catalog night1 --sample 20 --random")]
pub struct Arguments {
    /// The run's folder (the `--output` of `hiwl classify`), or its URL.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Show this many rows instead: the first ones.
    #[arg(long, value_name = "N", value_parser = numbers::sample)]
    sample: Option<u64>,

    /// Rows from anywhere in the catalog.  [default: 20 of them]
    #[arg(long)]
    random: bool,

    /// The same seed gives the same random rows.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// Print JSON; rows with all their columns.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let sample = match (self.random, self.sample) {
            (true, rows) => Some(Sample::Random { rows: rows.unwrap_or(20), seed: self.seed }),
            (false, rows) => rows.map(Sample::First),
        };
        let text = match sample {
            Some(sample) => {
                let rows = catalog::sample(&self.folder, sample).map_err(of_catalog)?;
                if self.json {
                    format!("{}\n", shown::json(overview::rows_json(&rows)))
                } else {
                    overview::rows_text(&rows)
                }
            }
            None => {
                let found = catalog::overview(&self.folder).map_err(of_catalog)?;
                if self.json {
                    format!("{}\n", shown::json(overview::json(&found)))
                } else {
                    overview::text(&self.folder, &found)
                }
            }
        };
        print(&text)?;
        Ok(Exit::Ok)
    }
}
