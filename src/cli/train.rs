//! `hiwl train`: what was typed becomes [`TrainOptions`], and their run is told to
//! whoever listens.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::input::InputFlags;
use super::{CliError, Exit, numbers, print, signals, usage};
use crate::classify::recipe::PrecisionChoice;
use crate::cli::terminal::audience::Audience;
use crate::cli::terminal::shown;
use crate::cli::terminal::training::TrainingProgress;
use crate::engine::{Device, DeviceChoice};
use crate::events::Listener;
use crate::labels::grammar::{Kind, Wanted};
use crate::pipeline::Stop;
use crate::train::recipe::Recipe;
use crate::train::run::{self, TrainError, TrainOptions, TrainReport, TrainingData};

/// Train a model.
///
/// Inputs are those of `hiwl classify`; LABELS is a table of id and label
/// (CSV, TSV, ECSV, FITS, VOTable or Parquet) with, if it has one, a column `split` of train and val
/// (without it: 8:1:1 within every class). Ids are file names without their
/// extension, or a table's ids.
///
/// A recipe says how to learn. With the same images, labels, initial weights
/// and seed it gives the same model, whatever the number of workers. DIR holds
/// checkpoints, metrics.csv, curves.svg and in the end model.safetensors: the
/// best pair of the two models on the validation images.
///
/// A run that was killed or interrupted goes on when the same command is given
/// again.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl train galaxies/*.tar --labels labels.csv --recipe train-hiwl --output run1
  hiwl train mine/ --labels mine.csv --init model.safetensors --freeze --output run2")]
pub struct Arguments {
    /// Folders, images, tar archives, tables, lists.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The label table; for a recipe that learns votes, the table of votes.
    #[arg(short, long, value_name = "TABLE")]
    labels: PathBuf,

    /// Which fractions to learn of a vote table that holds several: best, debiased,
    /// plain, weighted, or counts.  [default: the first of these that is there]
    #[arg(long, value_name = "KIND", value_parser = super::labels::kind)]
    fractions: Option<Kind>,

    /// Whose votes to learn of a table that holds those of several campaigns, or of
    /// which workflow.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,

    /// Learn these probabilities of the classes in place of the labels, for the
    /// galaxies that the table has: a catalog, exported as one table, or any table
    /// with a column for each class (a teacher's, or an ensemble's means).
    #[arg(long, value_name = "TABLE")]
    soft_labels: Option<PathBuf>,

    /// The column of splits.  [default: split, if there is one]
    #[arg(long, value_name = "COLUMN")]
    split_column: Option<String>,

    /// The run's folder: made, or resumed if it holds the same run.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    /// A recipe that comes with the program (train-best, train-hiwl,
    /// train-slwslm, train-hmws, train-plain, train-refine, train-robust, train-distil,
    /// train-pair) or a file of your own.
    #[arg(short, long, value_name = "NAME|FILE", default_value = "train-best")]
    recipe: PathBuf,

    /// The backbone of every network, such as efficientnet-b0, resnet34, resnet50,
    /// vgg16, googlenet, vit-b16, resnet26 or dieleman.  [default: the recipe's]
    #[arg(long, value_name = "NAME")]
    backbone: Option<String>,

    #[command(flatten)]
    input: InputFlags,

    /// Start from a model file, from saved weights of a run, from torchvision's
    /// weights of the backbone, or from those of an EfficientNet (timm,
    /// EfficientNet-PyTorch, EfficientNet-Lite).  [default: random weights]
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,

    /// Let only the classifiers learn: new labels in minutes. Where pictures repeat
    /// (a recipe without augmentation, or --views), their features are computed once,
    /// and a thousand epochs take a minute.
    #[arg(long, requires = "init")]
    freeze: bool,

    /// Draw K pictures of every image, which epochs take in turn, in place of others
    /// in every epoch.  [default: the recipe's]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    views: Option<u32>,

    /// Where the networks learn: auto (a GPU if there is one), cpu, or cuda:N. A
    /// run may go on elsewhere; its weights are the same bit for bit only on
    /// one kind of device.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,

    /// How numbers are held and multiplied: auto (as the run that goes on does;
    /// else bf16 where it is fast), bf16 (sums, statistics and the weights
    /// themselves in f32), or f32.
    #[arg(long, value_enum, default_value_t)]
    precision: PrecisionChoice,

    /// Random seed, of everything that is random.  [default: the recipe's]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Threads: so many decode, augment and learn.  [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::workers)]
    workers: Option<usize>,

    /// Minutes between checkpoints within an epoch.
    #[arg(long, value_name = "M", default_value_t = 5.0)]
    checkpoint_minutes: f64,

    /// Say nothing but errors.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    /// Print events and the evaluation as JSON lines.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let audience = Audience::of_flags(self.quiet, self.json);
        let options = self.resolve()?;
        super::say_memory_limit();
        let stop = Stop::new();
        signals::stop_on_signal(stop.clone())?;
        let progress = Arc::new(TrainingProgress::new(audience));
        let listener: Arc<dyn Listener> = progress.clone();
        let report = run::run(&options, &listener, &stop);
        progress.finish();
        let report = report.map_err(|error| {
            if error.is_usage() {
                return usage(error);
            }
            // Going on would diverge again: a gentler recipe is what helps.
            if matches!(error, TrainError::Diverged { .. }) {
                return error.into();
            }
            let context = "the run stopped; the same command goes on from the last checkpoint";
            CliError::Failed(anyhow!(error).context(context))
        })?;
        if let Some(evaluation) = &report.evaluation {
            match audience {
                Audience::Nobody => {}
                Audience::Program => progress.event(serde_json::json!({
                    "event": "end", "model": &report.model, "evaluation": evaluation,
                })),
                Audience::Person => print(&text(&report, &evaluation.to_string())?)?,
            }
            return Ok(Exit::Ok);
        }
        Ok(match stop.signal() {
            Some(signal) => {
                progress.say("stopped; the same command goes on");
                Exit::Signal(signal)
            }
            None => Exit::Incomplete,
        })
    }

    /// What the run needs.
    fn resolve(self) -> Result<TrainOptions, CliError> {
        let mut recipe = Recipe::read(&self.recipe).map_err(usage)?;
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        if self.views.is_some() {
            let own = recipe.models.iter_mut().filter_map(|model| model.training.as_mut());
            own.chain([&mut recipe.training]).for_each(|training| training.views = self.views);
        }
        if let Some(backbone) = self.backbone {
            recipe.architecture = backbone;
            recipe.check().map_err(|what| usage(anyhow!("--backbone: {what}")))?;
        }
        let checkpoint_every = Duration::try_from_secs_f64(60.0 * self.checkpoint_minutes)
            .map_err(|_| usage(anyhow!("--checkpoint-minutes takes a positive number")))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (mut device, hindrance) = self.device.resolve();
        super::say_hindrance(hindrance);
        if self.device == DeviceChoice::Auto
            && let Err(error) = run::can_learn(&recipe, device)
        {
            super::say(format_args!("on the processor: {error}"));
            device = Device::Cpu;
        }
        let (reading, colours) = self.input.to_learn()?;
        Ok(TrainOptions {
            data: TrainingData {
                inputs: self.inputs,
                labels: self.labels,
                split_column: self.split_column,
                reading,
                colours,
                wanted: Wanted { kind: self.fractions, campaign: self.campaign },
                soft: self.soft_labels,
            },
            recipe,
            output: self.output,
            initial: self.init,
            freeze: self.freeze,
            device,
            precision: self.precision.named(),
            workers: self.workers.unwrap_or(cores),
            checkpoint_every,
        })
    }
}

/// What a finished run came to.
fn text(report: &TrainReport, evaluation: &str) -> Result<String, CliError> {
    let mut out = format!("On the validation images:\n{evaluation}\n");
    for (model, epoch) in &report.epochs {
        writeln!(out, "{model}: epoch {epoch}")?;
    }
    if let Some(model) = &report.model {
        writeln!(out, "model: {}", shown::line(model.display()))?;
    }
    Ok(out)
}
