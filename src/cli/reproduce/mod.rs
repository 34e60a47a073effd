//! `hiwl reproduce`: the paper's tables by one command.
//!
//! Each run of a table is two commands that one could type, `hiwl train` and `hiwl
//! evaluate`, done by this same program; what they were is said, and the recipe of each
//! is a file beside its run. So a run that was killed goes on as any does, and what is
//! scored is not done again.
//!
//! Invariant: a score stands in the table only if its file (`RUN.SPLIT.json`) is there,
//! which is written last.

mod child;
mod paper;
mod report;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use self::child::Children;
use self::paper::{Row, Table};
use super::evaluate::split_named;
use super::terminal::shown;
use super::{CliError, Exit, numbers, print, usage};
use crate::labels::{LabelColumns, LabelTable, Split};
use crate::limits;
use crate::model::architecture::Architecture;
use crate::storage::{digest, file};
use crate::train::history;
use crate::train::recipe::{Optimiser, Phase, Recipe, Training};

/// Train and score what a table of the paper compares, and print it beside the
/// paper's figures.
///
/// Each run is `hiwl train` into a folder of DIR, with the recipe of the paper's method
/// (train-hiwl, -slwslm, -hmws, -plain) and the row's backbone, and `hiwl evaluate` on
/// the split. The same command goes on where it was stopped, and tables in one DIR
/// share the runs that they have in common. The table goes to DIR/TABLE.md and .csv too.
/// The other tables of the paper are figures of one model: `hiwl evaluate --beside paper`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  hiwl reproduce table5 galaxies/*.tar --labels labels.csv --budget cpu --output tables")]
pub struct Arguments {
    /// table5 (the hierarchy), table6 (label smoothing) or table7 (backbones).
    table: Table,

    /// Folders, images, tar archives, tables, lists.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The label table, with a column of splits.
    #[arg(short, long, value_name = "TABLE")]
    labels: PathBuf,

    /// Where runs and tables go.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    /// What the rows are scored on: val, or test as in the paper.
    #[arg(long, value_name = "SPLIT", value_parser = split_named, default_value = "val")]
    split: Split,

    /// Runs of each row, with seeds 1, 2, …  [default: 10 for table7 at the paper's
    /// budget, else 1]
    #[arg(long, value_name = "N")]
    runs: Option<u16>,

    /// How much is trained.
    #[arg(long, value_enum, default_value_t = Budget::Cpu)]
    budget: Budget,

    /// What EfficientNets start from: a model, or ImageNet's weights, of each
    /// row's own backbone.  [default: random weights]
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,

    /// Only the rows whose backbone is one of these.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    backbones: Vec<String>,

    /// Threads.  [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::workers)]
    workers: Option<usize>,
}

/// How much is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Budget {
    /// Narrow networks, one epoch of small images: seconds, and the figures mean
    /// nothing.
    Smoke,
    /// Eight epochs, five of small images: an hour or two for tables 5 and 6 on two cores.
    Cpu,
    /// The paper's protocol: hundreds of epochs of 240 pixels. For a GPU.
    Paper,
}

impl Budget {
    fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Cpu => "cpu",
            Self::Paper => "paper",
        }
    }

    /// The recipe of a row at this budget.
    fn recipe(self, row: &Row, seed: u64) -> Result<Recipe, CliError> {
        let mut recipe = Recipe::read(Path::new(row.recipe))?;
        let architecture =
            Architecture::named(row.backbone).ok_or_else(|| anyhow!("no {}", row.backbone))?;
        recipe.seed = seed;
        recipe.architecture = row.backbone.to_owned();
        // As each backbone was published.
        recipe.dropout = architecture.dropout;
        let one_size = architecture.image.is_some();
        let phase = |epochs, size| Phase { epochs, size };
        let (phases, rate) = match self {
            Self::Paper => return Ok(recipe),
            Self::Cpu if one_size => (vec![phase(10, 240)], 0.005),
            // What learned from small images has to learn again at the last size, for which
            // the rate must not be near its end yet.
            Self::Cpu => (vec![phase(5, 96), phase(3, 240)], 0.03),
            Self::Smoke => (vec![phase(1, 64)], 0.005),
        };
        if self == Self::Smoke {
            recipe.architecture = format!("{}-nano", architecture.backbone.name());
            (recipe.input.crop, recipe.augmentation.crop) = (64, 68);
        }
        let shorten = |training: &mut Training| {
            training.schedule.epochs = phases.iter().map(|phase| phase.epochs).sum();
            training.phases.clone_from(&phases);
            if let Optimiser::Sgd { learning_rate, .. } = &mut training.optimiser {
                *learning_rate = rate;
            }
        };
        shorten(&mut recipe.training);
        recipe.models.iter_mut().filter_map(|model| model.training.as_mut()).for_each(shorten);
        recipe.check().map_err(|what| anyhow!("{}: {what}", row.recipe))?;
        Ok(recipe)
    }
}

/// What one run of a row came to.
pub struct Score {
    /// On the split.
    pub accuracy: f64,
    /// By class, in the order of reports.
    pub recall: Vec<(String, f64)>,
    /// Scored.
    pub images: u64,
    /// Of its epochs and of scoring.
    pub seconds: f64,
}

impl Score {
    fn of(value: &Value) -> Option<Self> {
        let classes = value["classes"].as_array()?.iter();
        let recall =
            classes.map(|c| Some((c["class"].as_str()?.to_owned(), c["recall"].as_f64()?)));
        Some(Self {
            accuracy: value["accuracy"].as_f64()?,
            recall: recall.collect::<Option<_>>()?,
            images: value["total"].as_u64()?,
            seconds: value["seconds"].as_f64()?,
        })
    }
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let runs = self.runs.unwrap_or(match (self.table, self.budget) {
            (Table::Table7, Budget::Paper) => 10,
            _ => 1,
        });
        if runs == 0 {
            return Err(usage(anyhow!("--runs takes a number from 1 up")));
        }
        let all = self.table.rows();
        let is_there = |name: &&String| all.iter().any(|row| row.backbone == **name);
        if let Some(name) = self.backbones.iter().find(|name| !is_there(name)) {
            let mut names: Vec<&str> = all.iter().map(|row| row.backbone).collect();
            names.dedup();
            let (name, names) = (shown::line(name), names.join(", "));
            return Err(usage(anyhow!("--backbones: no {name} in the table, which has {names}")));
        }
        let wanted = |row: &&Row| {
            self.backbones.is_empty() || self.backbones.iter().any(|name| name == row.backbone)
        };
        let rows: Vec<Row> = all.iter().filter(wanted).copied().collect();
        let sources = self.sources()?;
        let children = Children::new()?;
        std::fs::create_dir_all(&self.output)
            .with_context(|| format!("{}", self.output.display()))?;
        let mut scores: Vec<Vec<Score>> = Vec::new();
        for row in &rows {
            let mut own = Vec::new();
            for seed in 1..=u64::from(runs) {
                match self.score(row, seed, &sources, &children)? {
                    Ok(score) => own.push(score),
                    Err(exit) => return Ok(exit),
                }
            }
            scores.push(own);
        }
        let about = report::About {
            budget: self.budget.name(),
            narrow: self.budget == Budget::Smoke,
            split: self.split.name(),
            initial: self.init.as_deref(),
        };
        let table = report::Report::new(self.table, &rows, &scores);
        let (markdown, csv) = (table.markdown(&about), table.csv());
        for (ending, text) in [("md", &markdown), ("csv", &csv)] {
            let path = self.output.join(format!("{}.{ending}", self.table.name()));
            file::replace(&path, text.as_bytes())?;
        }
        print(&markdown)?;
        Ok(Exit::Ok)
    }

    /// What decides scores beside images and recipes; checked, as a table takes hours.
    fn sources(&self) -> Result<Value, CliError> {
        let columns = LabelColumns { split: Some("split"), ..LabelColumns::default() };
        let labels = LabelTable::read(&self.labels, None, columns).map_err(usage)?;
        if labels.of(self.split).next().is_none() {
            let (path, split) = (shown::line(self.labels.display()), self.split.name());
            return Err(usage(anyhow!("{path}: no row is of the split {split} to score on")));
        }
        let weights = match &self.init {
            None => None,
            Some(path) => {
                let bytes = file::read(path, limits::model::FILE)
                    .with_context(|| format!("{}", path.display()))
                    .map_err(usage)?;
                Some(digest::sha256(&bytes))
            }
        };
        Ok(json!({ "labels": labels.digest(), "init": weights }))
    }

    /// What a run of a row came to, or how it was stopped.
    fn score(
        &self,
        row: &Row,
        seed: u64,
        sources: &Value,
        children: &Children,
    ) -> Result<Result<Score, Exit>, CliError> {
        let name = format!("{}-{}-{}-{seed}", self.budget.name(), row.recipe, row.backbone);
        let folder = self.output.join(&name);
        let path = self.output.join(format!("{name}.{}.json", self.split.name()));
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let recipe = toml::to_string(&self.budget.recipe(row, seed)?).context("the recipe")?;
        let mut asked = json!({
            "inputs": self.inputs.iter().map(text).collect::<Vec<_>>(),
            "labels": text(&self.labels),
            "init": self.init.as_ref().map(text),
            // Files change under their names.
            "sources": sources,
            // Budgets change from version to version.
            "recipe": recipe,
        });
        let architecture = Architecture::named(row.backbone);
        if let Some(revision) = architecture.and_then(|known| known.backbone.revision()) {
            asked["backbone_revision"] = json!(revision);
        }
        if path.exists() {
            let text = std::fs::read(&path).with_context(|| format!("{}", path.display()))?;
            let value: Value =
                serde_json::from_slice(&text).with_context(|| format!("{}", path.display()))?;
            if value["asked"] != asked {
                return Err(usage(anyhow!(
                    "{}: scored with other images, labels, --init, recipe or layers of its network: \
                     take another --output",
                    shown::line(path.display())
                )));
            }
            let damaged = || anyhow!("{}: no score; remove it to score again", path.display());
            return Ok(Ok(Score::of(&value).ok_or_else(damaged)?));
        }
        let written = self.output.join(format!("{name}.toml"));
        file::replace(&written, recipe.as_bytes())?;

        let mut train = self.command("train");
        train.arg("--recipe").arg(&written).arg("--output").arg(&folder).arg("--quiet");
        if let Some(init) = &self.init {
            train.arg("--init").arg(init);
        }
        if let Err(exit) = children.run(train.stdout(Stdio::null()), &[0])? {
            return Ok(Err(exit));
        }
        // What was stopped and gone on with cost what all of its epochs did.
        let curves = folder.join("metrics.csv");
        let epochs = history::read(&curves).with_context(|| format!("{}", curves.display()))?;
        let began = Instant::now();
        let model = folder.join("model.safetensors");
        let mut evaluate = self.command("evaluate");
        evaluate.args(["--split", self.split.name(), "--json", "--model"]).arg(&model);
        // Some images may be rejected: they are told, and not counted.
        let told = match children.run(evaluate.stdout(Stdio::piped()), &[0, 1])? {
            Ok(told) => told,
            Err(exit) => return Ok(Err(exit)),
        };
        let mut value: Value = serde_json::from_slice(&told).context("what evaluate printed")?;
        value["asked"] = asked;
        let learned: f64 = epochs.iter().map(|epoch| epoch.seconds).sum();
        value["seconds"] = json!(learned + began.elapsed().as_secs_f64());
        let score = Score::of(&value).ok_or_else(|| anyhow!("evaluate printed no accuracy"))?;
        file::replace(&path, value.to_string().as_bytes())?;
        Ok(Ok(score))
    }

    /// A subcommand of this program on the same images and labels.
    fn command(&self, name: &str) -> Command {
        let program = std::env::current_exe().unwrap_or_else(|_| "hiwl".into());
        let mut command = Command::new(program);
        command.arg(name).args(&self.inputs).arg("--labels").arg(&self.labels);
        if let Some(workers) = self.workers {
            command.args(["--workers", &workers.to_string()]);
        }
        command
    }
}
