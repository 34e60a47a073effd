//! `hiwl model card`: a model that says what it was measured to do.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;

use super::flags::{CatalogFlags, NetworkFlags};
use super::input::InputFlags;
use super::terminal::{format, shown};
use super::{CliError, Exit, print, usage};
use crate::classify::{self, Devices};
use crate::labels::{LabelColumns, LabelTable, Split};
use crate::limits;
use crate::metrics::ClassificationReport;
use crate::model::card::{Card, Measured, OfClass};
use crate::model::model_file::{Model, StoredPrecision};
use crate::storage::output;

/// Measure a model on labelled galaxies, and write what was found into it.
///
/// The card holds accuracy, recall and precision of each class, and the calibration
/// error, and a text of your own: what the model was made of and how, what it does not
/// know, its licence and whom to credit. `hiwl model info` prints it. No label changes.
/// `hiwl model average` and `calibrate` take it off again, as it is of the model as it
/// was measured: let it be the last step.
#[derive(Debug, Args)]
#[command(name = "card")]
pub struct MakeCard {
    /// The model file.
    model: PathBuf,

    /// Folders, images, tar archives, tables, lists.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The label table: id and label, and split if --split is given.
    #[arg(short, long, value_name = "TABLE")]
    labels: PathBuf,

    /// Only the rows of this split: train, val or test.
    #[arg(long, value_name = "SPLIT", value_parser = super::evaluate::split_named)]
    split: Option<Split>,

    /// The card's text, Markdown.  [default: the present card's, if there is one]
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,

    #[command(flatten)]
    input: InputFlags,

    /// The model file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// How matrices are stored; f16 loses nothing where they were stored so.
    #[arg(long, value_enum, default_value_t = StoredPrecision::F32)]
    precision: StoredPrecision,
}

impl MakeCard {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let mut model = Model::read(&self.model).map_err(usage)?;
        let mut given = vec![self.model.as_path(), self.labels.as_path()];
        given.extend(self.text.as_deref());
        output::refuse(&self.output, &given).map_err(usage)?;
        let text = match &self.text {
            Some(path) => read(path)?,
            None => model.description.provenance.card.take().map_or_else(String::new, |c| c.text),
        };
        let asked = NetworkFlags::of_model(self.model.clone(), self.input);
        let options =
            asked.resolve(self.inputs, PathBuf::new(), CatalogFlags::default(), Devices::Cpu)?;
        let classes = model.description.scheme.tree().class_names();
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        let columns =
            LabelColumns { id: options.id_column.as_deref(), split: self.split.map(|_| "split") };
        let of = ("the model", &classes[..]);
        let (labels, left) = LabelTable::read_within(&self.labels, of, columns).map_err(usage)?;
        let (found, stop) = super::watched(false, |listener, stop| {
            classify::evaluate(&options, &labels, self.split, listener, stop)
        })?;
        let found = found
            .map_err(|error| if error.is_usage() { usage(error) } else { CliError::from(error) })?;
        let Some(found) = found else {
            return Ok(stop.signal().map_or(Exit::Incomplete, Exit::Signal));
        };
        let card = Card { measured: measured(&found.report), text };
        let mut said = left.note().map_or_else(String::new, |note| note + "\n");
        if !found.rejected.is_empty() {
            let count = format::count(found.rejected.len() as u64);
            writeln!(said, "{count} images could not be used")?;
        }
        said += &lines(&card);
        model.description.provenance.card = Some(card);
        let digest = model.write(&self.output, self.precision)?;
        print(&format!("{said}{digest}  {}\n", shown::line(self.output.display())))?;
        Ok(Exit::Ok)
    }
}

/// The text of a card, which is kept as it is.
fn read(path: &std::path::Path) -> Result<String, CliError> {
    let name = shown::line(path.display());
    let about = std::fs::metadata(path).with_context(|| name.to_string()).map_err(usage)?;
    let most = limits::model::CARD;
    if about.len() > most as u64 {
        return Err(usage(anyhow!("{name}: {} bytes; a card has at most {most}", about.len())));
    }
    std::fs::read_to_string(path).with_context(|| name.to_string()).map_err(usage)
}

/// What a report says, in a card's words.
fn measured(report: &ClassificationReport) -> Measured {
    let classes = report.classes.iter().map(|class| OfClass {
        class: class.class.clone(),
        galaxies: class.support,
        recall: class.recall,
        precision: class.precision,
    });
    Measured {
        program: format!("hiwl {}", env!("CARGO_PKG_VERSION")),
        galaxies: report.total,
        accuracy: report.accuracy,
        f1_macro: report.macro_average.f1,
        expected_calibration_error: report.expected_calibration_error,
        classes: classes.collect(),
    }
}

/// What was measured, as lines of `hiwl model info`.
pub(super) fn lines(card: &Card) -> String {
    let Card { measured, text } = card;
    let error = measured.expected_calibration_error;
    let error =
        error.map_or_else(String::new, |e| format!(", calibration error {:.1} %", 100.0 * e));
    let mut out = format!(
        "  {:<20}accuracy {:.2} ± {:.2} % of {} galaxies, mean F1 {:.3}{error}\n",
        "measured",
        100.0 * measured.accuracy,
        100.0 * measured.accuracy_error(),
        format::count(measured.galaxies),
        measured.f1_macro
    );
    for class in &measured.classes {
        let name = shown::line(&class.class).to_string();
        out += &format!(
            "  {:<20}{name:<8} recall {:.3} ± {:.3}, precision {:.3}, {} galaxies\n",
            "",
            class.recall,
            class.recall_error(),
            class.precision,
            format::count(class.galaxies)
        );
    }
    if !text.is_empty() {
        out += &format!("  {:<20}`--card` prints it\n", "card");
    }
    out
}

/// A card as Markdown: its text, and a table of what was measured.
pub(super) fn page(card: &Card) -> String {
    let Card { measured, text } = card;
    let mut out = String::new();
    if !text.is_empty() {
        out += &shown::text(text.trim_end());
        out += "\n\n";
    }
    let error = measured.expected_calibration_error;
    let error = error
        .map_or_else(String::new, |e| format!(", expected calibration error {:.1} %", 100.0 * e));
    out += &format!(
        "Measured by {} on {} galaxies: accuracy {:.2} ± {:.2} %, mean F1 of the classes \
         {:.3}{error}.\n\n| class | recall | precision | galaxies |\n| --- | --- | --- | --- |\n",
        shown::line(&measured.program),
        format::count(measured.galaxies),
        100.0 * measured.accuracy,
        100.0 * measured.accuracy_error(),
        measured.f1_macro
    );
    for class in &measured.classes {
        out += &format!(
            "| {} | {:.3} ± {:.3} | {:.3} | {} |\n",
            shown::line(&class.class),
            class.recall,
            class.recall_error(),
            class.precision,
            format::count(class.galaxies)
        );
    }
    out
}
