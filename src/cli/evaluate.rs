//! `hiwl evaluate`: how good a model is on labelled images.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use super::flags::{CatalogFlags, NetworkFlags};
use super::{CliError, Exit, numbers, print, print_json, usage};
use crate::classify::{self, ClassifyError, ClassifyOptions, Evaluation};
use crate::cli::terminal::{format, shown};
use crate::engine::DevicesChoice;
use crate::labels::grammar::{Kind, Wanted};
use crate::labels::votes::VoteTable;
use crate::labels::{LabelColumns, LabelTable, Split, several, split};
use crate::metrics::Published;
use crate::run::ModelIdentity;
use crate::storage::output;

/// Compare a model's labels with known ones.
///
/// Prints accuracy, recall, precision and F1 of every class with their means,
/// the expected calibration error, the confusion matrix, how far each class's
/// confidences can be believed, and what cuts on confidence keep. With --votes, how near
/// the fractions of every answer are to what volunteers said, and each question's
/// average precision.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl evaluate galaxies/*.tar --labels labels.csv --split val --model model.safetensors
  hiwl evaluate galaxies/*.tar --labels labels.csv --split test --beside paper
  hiwl evaluate galaxies/*.tar --votes votes.csv --model votes.safetensors")]
pub struct Arguments {
    /// Folders, images, tar archives, tables, lists.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The label table: id and label, and split if --split is given.
    #[arg(short, long, value_name = "TABLE", required_unless_present = "votes")]
    labels: Option<PathBuf>,

    /// In place of labels: a table of votes, or of several labels at once, with a column
    /// for each question (id,bar,ring,merger).
    #[arg(long, value_name = "TABLE", conflicts_with_all = ["labels", "csv"])]
    votes: Option<PathBuf>,

    /// Which fractions of a vote table that holds several: best, debiased, plain,
    /// weighted, or counts.  [default: the first of these that is there]
    #[arg(long, value_name = "KIND", value_parser = super::labels::kind, requires = "votes")]
    fractions: Option<Kind>,

    /// Whose votes, of a table that holds those of several campaigns, or of which
    /// workflow.
    #[arg(long, value_name = "NAME", requires = "votes")]
    campaign: Option<String>,

    /// Only the rows of this split: train, val or test.
    #[arg(long, value_name = "SPLIT", value_parser = split_named)]
    split: Option<Split>,

    /// The column of splits.  [default: split]
    #[arg(long, value_name = "COLUMN", requires = "split")]
    split_column: Option<String>,

    #[command(flatten)]
    networks: NetworkFlags,

    /// Where the networks run: auto (a GPU if there is one), cpu, cuda:N, or
    /// several GPUs with commas.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DevicesChoice,

    /// Images per batch.  [default: 32, on a GPU 256]
    #[arg(long, value_name = "N", value_parser = numbers::batch)]
    batch: Option<usize>,

    /// Threads: so many decode, prepare and infer.  [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::workers)]
    workers: Option<usize>,

    /// Also write the metrics as a table: metric, class, predicted, value.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Also write a table of what was said of each image: id, label, predicted,
    /// confidence, and the probability of every answer.
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,

    /// Behind the metrics, print the tables that the paper publishes of HIWL and of
    /// others' works (3, 4, 8 to 11) with this model's figures in them, as Markdown.
    /// Tables 5 to 7 are made by `hiwl reproduce`.
    #[arg(long, value_enum, requires = "split", conflicts_with_all = ["votes", "json", "quiet"])]
    beside: Option<Beside>,

    /// Say nothing but errors, and which images were rejected: the tables that --csv
    /// and --predictions write hold the rest.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    /// Print the metrics as JSON.
    #[arg(long)]
    json: bool,
}

/// Whose figures ours stand beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Beside {
    /// The paper's of HIWL.
    Paper,
}

pub(super) fn split_named(text: &str) -> Result<Split, String> {
    Split::from_name(text).ok_or_else(|| "one of train, val, test".to_owned())
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        if let Some(table) = self.votes.clone() {
            return self.run_on_votes(&table);
        }
        let (json, csv, split) = (self.json, self.csv.clone(), self.split);
        let quiet = self.quiet;
        let predictions = self.predictions.clone();
        let beside = self.beside.map(|Beside::Paper| Published::paper());
        let column = match split {
            Some(_) => Some(self.split_column.as_deref().unwrap_or("split")),
            None => None,
        };
        // clap sees to it that there are labels where there are no votes.
        let (table, column) = (self.labels.clone().unwrap_or_default(), column.map(str::to_owned));
        let options = self.resolve()?;
        let read = options.inputs.iter().chain([&table, &options.model]);
        let read: Vec<&Path> = read.map(PathBuf::as_path).collect();
        let outputs = [&csv, &predictions].map(|path| (path.as_deref(), output::CSV));
        output::refuse_all(&outputs, &read).map_err(usage)?;
        let classes = classify::classes(&options.model)
            .map_err(|error| if error.is_usage() { usage(error) } else { error.into() })?;
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        if let Some(published) = beside.as_ref().filter(|published| !published.fits(&classes)) {
            return Err(usage(anyhow!(
                "--beside paper: the published figures are of {}; the model's classes are {}",
                published.classes.join(", "),
                classes.join(", ")
            )));
        }
        let id = options.id_column.clone();
        let columns = LabelColumns {
            id: id.as_deref(),
            split: column.as_deref(),
            foreign_splits: split.is_none(),
        };
        let of = ("the model", &classes[..]);
        let (labels, left) = LabelTable::read_within(&table, of, columns).map_err(usage)?;
        super::say_memory_limit();
        let (found, stop) = super::watched(json || quiet, |listener, stop| {
            classify::evaluate(&options, &labels, split, listener, stop)
        })?;
        let found = found
            .map_err(|error| if error.is_usage() { usage(error) } else { CliError::from(error) })?;
        let Some(found) = found else {
            return Ok(stop.signal().map_or(Exit::Incomplete, Exit::Signal));
        };
        let mut found = found;
        let learned = || split::note_of_training(&table, id.as_deref(), found.ids.iter());
        let learned = split.is_none().then(learned);
        found.notes.splice(0..0, left.note().into_iter().chain(learned.flatten()));
        if let Some(path) = predictions {
            output::write(&path, found.predictions_csv().as_bytes(), &read)?;
        }
        if let Some(path) = csv {
            output::write(&path, found.report.to_csv().as_bytes(), &read)?;
        }
        if json {
            let notes = caveats(found.notes.clone(), &found.model, &found.rejected);
            json_with(serde_json::to_value(&found.report)?, notes)?;
        } else if quiet {
            super::complain(&rejections(&found.rejected));
        } else {
            print(&text(&found))?;
            let tables = beside.zip(split);
            if let Some(tables) =
                tables.and_then(|(published, split)| published.beside(&found.report, split.name()))
            {
                print(&format!("\n{tables}"))?;
            }
        }
        Ok(if found.rejected.is_empty() { Exit::Ok } else { Exit::Flawed })
    }

    /// The same held against votes.
    fn run_on_votes(self, table: &Path) -> Result<Exit, CliError> {
        let (json, predictions) = (self.json, self.predictions.clone());
        let quiet = self.quiet;
        let wanted = Wanted { kind: self.fractions, campaign: self.campaign.clone() };
        let split = self.split;
        let column = self.split_column.clone().unwrap_or_else(|| "split".to_owned());
        let options = self.resolve()?;
        let read = options.inputs.iter().chain([&options.model]).map(PathBuf::as_path);
        let read: Vec<&Path> = read.chain([table]).collect();
        output::refuse_all(&[(predictions.as_deref(), output::CSV)], &read).map_err(usage)?;
        let of = |error: ClassifyError| {
            if error.is_usage() { usage(error) } else { CliError::from(error) }
        };
        let tree = classify::tree(&options.model).map_err(of)?;
        let id = options.id_column.as_deref();
        let votes = match several::read(table, &tree, id).map_err(usage)? {
            Some(labels) => labels,
            None => VoteTable::open(table, None, id, &wanted).map_err(usage)?,
        };
        let splits = match split {
            Some(_) => {
                let columns = LabelColumns { id, split: Some(&column), ..LabelColumns::default() };
                split::of_table(table, columns, &votes.schema.id)
                    .map_err(usage)?
                    .unwrap_or_default()
            }
            None => HashMap::new(),
        };
        super::say_memory_limit();
        let only = split.map(|split| (split, &splits));
        let (found, stop) = super::watched(json || quiet, |listener, stop| {
            classify::evaluate_votes(&options, &votes, only, listener, stop)
        })?;
        let Some(mut found) = found.map_err(of)? else {
            return Ok(stop.signal().map_or(Exit::Incomplete, Exit::Signal));
        };
        let ids = found.predictions.iter().map(|(id, _)| id);
        let learned = split.is_none().then(|| split::note_of_training(table, id, ids));
        found.notes.splice(0..0, learned.flatten());
        if let Some(path) = predictions {
            output::write(&path, found.predictions_csv().as_bytes(), &read)?;
        }
        if json {
            let notes = caveats(found.notes.clone(), &found.model, &found.rejected);
            json_with(serde_json::to_value(&found.report)?, notes)?;
        } else if quiet {
            super::complain(&rejections(&found.rejected));
        } else {
            let head = head(found.notes.clone(), &found.model, &found.rejected);
            print(&format!("{head}\n\n{}", found.report))?;
        }
        Ok(if found.rejected.is_empty() { Exit::Ok } else { Exit::Flawed })
    }

    /// What the line needs, from flags, the pipeline and the machine.
    fn resolve(self) -> Result<ClassifyOptions, CliError> {
        let (devices, hindrance) = self.device.resolve();
        super::say_hindrance(hindrance);
        let mut options =
            self.networks.resolve(self.inputs, PathBuf::new(), CatalogFlags::default(), devices)?;
        // Nothing is kept, so nothing is carried.
        options.carry.clear();
        options.batch = self.batch.unwrap_or(options.batch);
        options.workers = self.workers.unwrap_or(options.workers);
        Ok(options)
    }
}

/// The metrics, and what they leave out.
fn text(found: &Evaluation) -> String {
    let head = head(found.notes.clone(), &found.model, &found.rejected);
    format!("{head}\n{}", format_args!("\n{}", found.report))
}

/// What is to be said before the metrics.
fn head(notes: Vec<String>, model: &ModelIdentity, rejected: &[(String, String)]) -> String {
    let place = notes.len();
    let mut lines = caveats(notes, model, rejected);
    lines.insert(place, format!("model {} ({})", model.name, model.digest));
    lines.join("\n")
}

/// Prints metrics as JSON with what is to be said of them, which stands on standard error
/// too, unless the JSON does.
fn json_with(mut report: serde_json::Value, notes: Vec<String>) -> Result<(), CliError> {
    if !output::took_stdout() {
        super::complain(&notes);
    }
    if let Some(report) = report.as_object_mut() {
        report.insert("notes".to_owned(), notes.into());
    }
    print_json(serde_json::to_string_pretty(&report)?)
}

/// What the metrics leave out, and what speaks against them.
fn caveats(
    notes: Vec<String>,
    model: &ModelIdentity,
    rejected: &[(String, String)],
) -> Vec<String> {
    let mut lines = notes;
    if model.untrained {
        lines.push("The model is untrained: its labels mean nothing.".into());
    }
    lines.extend(rejections(rejected));
    lines
}

/// How many images were rejected and some of them, in a line; nothing if none was.
pub(super) fn rejections(rejected: &[(String, String)]) -> Vec<String> {
    if rejected.is_empty() {
        return Vec::new();
    }
    let some: Vec<String> =
        rejected.iter().take(5).map(|(id, why)| shown::line(format_args!("{id}: {why}"))).collect();
    let more = if rejected.len() > 5 { "; …" } else { "" };
    let images = format::counted(
        rejected.len() as u64,
        "image was rejected and is",
        "images were rejected and are",
    );
    vec![format!("{images} not counted: {}{more}", some.join("; "))]
}
