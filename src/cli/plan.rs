//! `hiwl plan`: list the inputs and share them out, for the tasks of a cluster.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::flags::{CatalogFlags, NetworkFlags};
use super::mosaics::MosaicFlags;
use super::scheduler::{self, Scheduler};
use super::{CliError, Exit, print, print_json, signals, usage};
use crate::classify;
use crate::cli::terminal::audience::Audience;
use crate::cli::terminal::catalog::{plan, run};
use crate::cli::terminal::progress::Progress;
use crate::engine::Devices;
use crate::pipeline::Stop;
use crate::storage::remote::absolute;

/// List the inputs once and share them out into shards.
///
/// The folder then holds everything that decides the result: every task runs
/// `hiwl classify --plan DIR` and nothing else, and all write into the same
/// catalog. The number of shards is fixed here; a task is told its index
/// (counted from 0) by --shard or by the scheduler, never how many there are.
/// The same command again changes nothing.
///
/// Exit code 1 if something could not be listed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl plan dr17-*.tar --model model.safetensors --output dr17 --shards 16
  hiwl plan dr17-*.tar --output dr17 --shards 16 --for slurm > dr17.sh
  bash dr17.sh --cpus-per-task=8
  hiwl verify dr17")]
pub struct Arguments {
    /// Folders, images, tar archives, tables, lists.
    #[arg(required_unless_present = "sources", value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The run's folder, on a file system that all tasks share, or a URL in an
    /// object store.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    /// Tasks to share the work out to.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    shards: u64,

    #[command(flatten)]
    mosaics: MosaicFlags,

    #[command(flatten)]
    networks: NetworkFlags,

    #[command(flatten)]
    catalog: CatalogFlags,

    /// Print the job script for this scheduler on standard output, and what was
    /// planned on standard error: `hiwl plan ... --for slurm > job.sh; bash job.sh`.
    #[arg(long = "for", value_enum, value_name = "SCHEDULER", conflicts_with = "json")]
    scheduler: Option<Scheduler>,

    /// Say nothing but errors.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let audience = if self.quiet || self.json { Audience::Nobody } else { Audience::Person };
        let progress = Progress::new(audience);
        let output = self.output.clone();
        let mut options =
            self.networks.resolve(self.inputs, self.output, self.catalog, Devices::Cpu)?;
        self.mosaics.apply(&mut options)?;
        let stop = Stop::new();
        signals::stop_on_signal(stop.clone())?;
        let planned = classify::plan(&options, self.shards, &progress, &stop)
            .map_err(|error| if error.is_usage() { usage(error) } else { error.into() })?;
        if let Some(scheduler) = self.scheduler {
            let folder = absolute(&output)?;
            let Some(folder) = folder.to_str() else {
                return Err(usage(anyhow!("{}: a name that is not UTF-8", folder.display())));
            };
            let program = std::env::current_exe()?;
            super::print_script(&scheduler::script(scheduler, folder, planned.shards, &program))?;
        }
        // Standard output may be a script.
        match (self.quiet, self.json, self.scheduler) {
            // Whatever makes the exit code another than 0 is said.
            (true, ..) => super::complain(&run::problems(&planned.listing)),
            (_, true, _) => print_json(plan::json(&planned))?,
            (.., Some(_)) => {
                let lines = plan::text(&output, &planned);
                super::complain(&lines.lines().map(str::to_owned).collect::<Vec<_>>());
            }
            (.., None) => print(&plan::text(&output, &planned))?,
        }
        Ok(if planned.listing.problems.is_empty() { Exit::Ok } else { Exit::Flawed })
    }
}
