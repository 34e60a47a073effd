//! `hiwl classify`: what was typed becomes [`Options`], and their run is told
//! to whoever listens.

use std::{path::PathBuf, sync::Arc};

use anyhow::anyhow;
use clap::Args;

use super::{CliError, Exit, print, signals, usage};
use crate::{
    catalog::Shard,
    classify::{
        self, ClassifyError, DeviceChoice, Options,
        recipe::{PrecisionChoice, Recipe, ResampleChoice},
    },
    network::hierarchy::Stage2,
    pipeline::Stop,
    report::{
        catalog::run,
        progress::{Audience, Progress},
    },
    source::list::BandPattern,
};

/// Classify cutouts into a Parquet catalog.
///
/// Inputs may be mixed freely: folders (searched recursively for images and
/// tar archives), single images, tar archives (read as they are, never
/// unpacked), tables (CSV or Parquet with the columns id and path, and
/// optionally ra and dec), and lists (a .txt file with a path a line, or - for
/// standard input). FITS files that hold a band each are put together by their
/// names.
///
/// The catalog is a folder of Parquet files, DIR/catalog/part-*.parquet, with
/// one row an input. A cutout that cannot be classified has a row that says
/// why. A run that was killed goes on where it stopped when the same command
/// is given again.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl classify cutouts/ --output night1
  hiwl classify sample.csv --carry petroR90_r,z --output sample
  hiwl classify dr17-*.tar --output dr17 --shard 0/4   # of four processes")]
pub struct Arguments {
    /// Folders, images, tar archives, tables, lists.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The run's folder: made, or resumed if it holds the same run.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    /// The model file.  [default: the one that comes with the program]
    #[arg(short, long, value_name = "FILE", env = "HIWL_MODEL")]
    model: Option<PathBuf>,

    /// A pipeline that comes with the program (sdss, any-size) or a file of
    /// your own; the flags below override it.
    #[arg(short, long, value_name = "NAME|FILE", default_value = "sdss")]
    pipeline: String,

    /// Which rows the 2-class network sees: those of the combined class, or
    /// all.
    #[arg(long, value_enum)]
    stage2: Option<Stage2>,

    /// Cutouts a batch.
    #[arg(long, value_name = "N", value_parser = positive)]
    batch: Option<usize>,

    /// How the networks hold and multiply numbers: single precision, bfloat16
    /// where the processor multiplies it, or the faster that it has.  [default:
    /// auto]
    #[arg(long, value_enum)]
    precision: Option<PrecisionChoice>,

    /// Threads: so many decode, prepare and infer.  [default: one a core]
    #[arg(long, value_name = "N", value_parser = positive)]
    workers: Option<usize>,

    /// Where the networks run: auto (a GPU if there is one), cpu, or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,

    /// Do one of several shares of the work: INDEX/COUNT, counted from 0. All
    /// shards write into the same folder.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<Shard>,

    /// Columns of input tables to carry into the catalog.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    carry: Option<Vec<String>>,

    /// Bands that become red, green and blue.
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', num_args = 3)]
    bands: Option<Vec<String>>,

    /// Names of files that hold one band each, such as {id}_{band}.fits.
    #[arg(long, value_name = "PATTERN")]
    band_pattern: Option<String>,

    /// What happens to cutouts smaller than the network's input: rejected
    /// (none), or enlarged.
    #[arg(long, value_enum)]
    resample: Option<ResampleChoice>,

    /// Rows a part of the catalog, and a unit of work.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    range_size: Option<u64>,

    /// Say nothing but errors.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    /// Print events and the summary as JSON lines.
    #[arg(long)]
    json: bool,
}

pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(e) => Err(e.to_string()),
    }
}

fn parse_shard(text: &str) -> Result<Shard, String> {
    Shard::parse(text).map_err(|e| e.to_string())
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let audience = match (self.quiet, self.json) {
            (true, _) => Audience::Nobody,
            (_, true) => Audience::Program,
            _ => Audience::Person,
        };
        let options = self.resolve()?;
        let stop = Stop::new();
        signals::stop_on_signal(stop.clone())?;
        let progress = Arc::new(Progress::new(audience));
        let report = classify::run(&options, &progress, &stop);
        progress.finish();
        let report = report.map_err(|error| {
            if error.is_usage() { usage(error) } else { CliError::Failed(resumable(error)) }
        })?;
        match audience {
            Audience::Nobody => {}
            Audience::Program => progress.event(run::json(&report)),
            Audience::Person => print(&run::text(&report))?,
        }
        Ok(match (stop.signal(), report.is_finished()) {
            (Some(signal), false) => Exit::Signal(signal),
            (None, false) => Exit::Incomplete,
            (_, true) if report.is_flawless() => Exit::Ok,
            (_, true) => Exit::Flawed,
        })
    }

    /// What the run needs, from flags, the pipeline and the machine.
    fn resolve(self) -> Result<Options, CliError> {
        let device = self.device.resolve();
        let sdss = Recipe::find("sdss").map_err(usage)?;
        let recipe = Recipe::find(&self.pipeline).map_err(usage)?.over(sdss);
        let model = super::model::chosen(self.model.or(recipe.model.file))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let bands = match self.bands {
            Some(bands) => Some(
                <[String; 3]>::try_from(bands)
                    .map_err(|_| usage(anyhow!("--bands takes three bands, such as i,r,g")))?,
            ),
            None => recipe.input.bands,
        };
        Ok(Options {
            inputs: self.inputs,
            output: self.output,
            model,
            bands,
            band_pattern: self
                .band_pattern
                .or(recipe.input.band_pattern)
                .unwrap_or_else(|| BandPattern::default().to_string()),
            cube_bands: recipe.input.cube_bands,
            carry: self.carry.or(recipe.input.carry).unwrap_or_default(),
            rgb_profile: recipe.prepare.rgb_profile,
            resample: self.resample.or(recipe.prepare.resample).unwrap_or_default(),
            stage2: self.stage2.or(recipe.run.stage2).unwrap_or_default(),
            batch: self.batch.or(recipe.run.batch).unwrap_or(device.batch()),
            device,
            precision: self.precision.or(recipe.run.precision).unwrap_or_default(),
            workers: self.workers.or(recipe.run.workers).unwrap_or(cores),
            range_size: self.range_size.or(recipe.run.range_size).unwrap_or(16_384),
            shard: self.shard,
        })
    }
}

fn resumable(error: ClassifyError) -> anyhow::Error {
    anyhow!(error).context("the run stopped; the same command goes on from the last part")
}
