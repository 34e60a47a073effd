//! `hiwl classify`: what was typed, or what a plan holds, becomes [`ClassifyOptions`],
//! and their run is told to whoever listens.

use std::{ffi::OsString, io, path::PathBuf, sync::Arc};

use anyhow::anyhow;
use clap::Args;

use super::flags::{CatalogFlags, NetworkFlags};
use super::mosaics::MosaicFlags;
use super::{
    CliError, Exit, numbers, print,
    share::{self, Share},
    signals, usage, verbosity,
};
use crate::{
    classify::{self, Alone, ClassifyError, ClassifyOptions, Devices, DevicesChoice},
    cli::terminal::{audience::Audience, catalog::run, progress::Progress},
    events::Listener,
    pipeline::Stop,
};

/// Classify cutouts into a Parquet catalog.
///
/// Inputs may be mixed freely: folders (searched recursively for images and
/// tar archives), single images, tar archives (read as they are, never
/// unpacked), tables (CSV, TSV, ECSV, FITS, VOTable or Parquet with the columns id and
/// path, and optionally ra and dec; ids may have another of their usual names), and lists
/// (a .txt file with a path per line, or - for standard input). FITS files that hold a
/// band each are put together by their names. Or sources, from a table of positions,
/// are cut out of a survey's own images (--sources, --mosaics).
///
/// The catalog is a folder of Parquet files, DIR/catalog/part-*.parquet, with
/// one row per input. A cutout that cannot be classified has a row that says
/// why. A run that was killed goes on where it stopped when the same command
/// is given again.
///
/// On a cluster, `hiwl plan` lists the inputs once and every task runs
/// `hiwl classify --plan DIR`: which shard is its own it reads from
/// SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX or PBS_ARRAY_INDEX, how many
/// there are from the plan.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl classify cutouts/ --output night1
  hiwl classify sample.csv --carry petroR90_r,z --output sample
  hiwl classify dr17-*.tar --join dr17.fits --carry petroR90_r,z --output dr17
  hiwl classify dr17-*.tar --output dr17 --shard 0/4   # of four processes
  hiwl classify --mosaics frames/*.fits --sources galaxies.parquet --output night1
  hiwl classify --plan dr17 --shard 3                  # of a planned run")]
pub struct Arguments {
    /// Folders, images, tar archives, tables, lists, or their URLs.
    #[arg(required_unless_present_any = ["plan", "sources"], value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The run's folder, or a URL in an object store (s3://, gs://, az://): made,
    /// or resumed if it holds the same run.
    #[arg(short, long, required_unless_present = "plan", value_name = "DIR")]
    output: Option<PathBuf>,

    /// A folder (or a URL) that `hiwl plan` made: inputs, settings and, unless
    /// one is named, the model are the plan's.
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "inputs", "output", "pipeline", "stage2", "carry", "join", "bands", "band_pattern", "resample",
        "id_column", "image_column", "cube_bands", "range_size", "precision", "engine",
        "features", "components", "half", "concentrations",
        "profile", "unit", "zero_point", "pixel_scale", "flux_pixel", "radius_column", "wide",
        "sources", "mosaics", "scale", "mask", "mask_bits", "weight",
    ])]
    plan: Option<PathBuf>,

    /// Do one of several shares of the work: with --plan a shard's index I,
    /// counted from 0, or `all` of them; without a plan I/N. All shards write
    /// into the same folder.  [default with --plan: the scheduler's index]
    #[arg(long, value_name = "I|I/N|all")]
    shard: Option<Share>,

    #[command(flatten)]
    mosaics: MosaicFlags,

    #[command(flatten)]
    networks: NetworkFlags,

    #[command(flatten)]
    catalog: CatalogFlags,

    /// Cutouts per batch.  [default: 32, on a GPU 256]
    #[arg(long, value_name = "N", value_parser = numbers::batch)]
    batch: Option<usize>,

    /// Threads: so many decode, prepare and infer.  [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::workers)]
    workers: Option<usize>,

    /// Where the networks run: auto (a GPU if there is one), cpu, cuda:N, or
    /// several GPUs with commas.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DevicesChoice,

    /// Exit with 0 when finished even if cutouts were rejected, or inputs could
    /// not be listed: schedulers take any other code for a failure.
    #[arg(long)]
    allow_rejected: bool,

    /// Archives and tables were copied since they were listed, without their
    /// times: know them by their sizes and by what they hold (names, sizes and
    /// times of members) instead.
    #[arg(long)]
    copied: bool,

    /// Only read the cutouts of a range that are named on standard input: what
    /// another process starts in order to see whether it ends this one.
    #[arg(long, hide = true, value_name = "RANGE")]
    try_alone: Option<u64>,

    /// Say nothing but errors, and in a line how many cutouts were rejected.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    /// Print events and the summary as JSON lines.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        self.run_as("classify", false)
    }

    /// Runs as the command that was typed, which may ask for features.
    pub(super) fn run_as(mut self, command: &str, features: bool) -> Result<Exit, CliError> {
        if features {
            self.catalog = self.catalog.with_features();
        }
        let audience = Audience::of_flags(self.quiet, self.json);
        let allow_rejected = self.allow_rejected;
        let (alone, copied) = (self.try_alone, self.copied);
        let mut options = self.resolve()?;
        options.copied = copied;
        if features && options.features.is_none() {
            let what = "this plan keeps no features: plan with --features, or `hiwl classify` it";
            return Err(usage(anyhow!(what)));
        }
        if let Some(range) = alone {
            classify::try_alone(&options, range, io::stdin().lock(), io::stdout().lock())?;
            return Ok(Exit::Ok);
        }
        options.alone = same_command(command);
        super::say_memory_limit();
        let stop = Stop::new();
        signals::stop_on_signal(stop.clone())?;
        let progress = Arc::new(Progress::new(audience));
        let listener: Arc<dyn Listener> = progress.clone();
        let report = classify::run(&options, &listener, &stop);
        progress.finish();
        if let (Err(ClassifyError::Stopped), Some(signal)) = (&report, stop.signal()) {
            return Ok(Exit::Signal(signal));
        }
        let report = report.map_err(|error| {
            if error.is_usage() { usage(error) } else { CliError::Failed(resumable(error)) }
        })?;
        match audience {
            // Whatever makes the exit code another than 0 is said.
            Audience::Nobody => {
                let mut lines = run::problems(&report.listing);
                if stop.signal().is_none() {
                    lines.extend(run::incomplete(&report));
                }
                lines.extend(run::rejected(&report).filter(|_| !allow_rejected));
                super::complain(&lines);
            }
            Audience::Program => progress.event(run::json(&report)),
            Audience::Person => print(&run::text(&report, verbosity::is_on()))?,
        }
        Ok(match (stop.signal(), report.is_finished()) {
            (Some(signal), false) => Exit::Signal(signal),
            (None, false) => Exit::Incomplete,
            (_, true) if report.is_flawless() || allow_rejected => Exit::Ok,
            (_, true) => Exit::Flawed,
        })
    }

    /// What the run needs, from flags, the pipeline and the machine.
    fn resolve(self) -> Result<ClassifyOptions, CliError> {
        let (devices, hindrance) = self.device.resolve();
        super::say_hindrance(hindrance);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = match &self.plan {
            Some(dir) => {
                let (plan, options) = classify::planned(dir).map_err(of_plan)?;
                let shard = share::of_plan(self.shard, &plan)?;
                let model = self.networks.model.unwrap_or(options.model);
                // Who planned may not have had the device.
                let batch = if devices == Devices::Cpu { options.batch } else { devices.batch() };
                ClassifyOptions { model, workers: cores, shard, batch, devices, ..options }
            }
            // clap sees to it that there is an output where there is no plan.
            None => {
                let output = self.output.unwrap_or_default();
                let mut options =
                    self.networks.resolve(self.inputs, output, self.catalog, devices)?;
                self.mosaics.apply(&mut options)?;
                ClassifyOptions { shard: share::without_plan(self.shard)?, ..options }
            }
        };
        if let Some(batch) = self.batch {
            options.batch = batch;
        }
        if let Some(workers) = self.workers {
            options.workers = workers;
        }
        Ok(options)
    }
}

/// This command once more, to try cutouts alone.
fn same_command(command: &str) -> Option<Alone> {
    let program = std::env::current_exe().ok()?;
    let mut before: Vec<OsString> = std::env::args_os().skip(1).collect();
    let place = before.iter().position(|argument| argument == command)?;
    let behind = before.split_off(place + 1);
    before.push("--try-alone".into());
    Some(Alone { program, arguments: (before, behind) })
}

/// What is wrong with a plan is wrong with what was typed.
fn of_plan(error: ClassifyError) -> CliError {
    if error.is_usage() { usage(error) } else { error.into() }
}

fn resumable(error: ClassifyError) -> anyhow::Error {
    anyhow!(error).context("the run is not complete; the same command goes on with what is missing")
}
