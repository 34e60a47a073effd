//! `hiwl model calibrate`: a model whose probabilities mean what they say.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::flags::{CatalogFlags, NetworkFlags};
use super::input::InputFlags;
use super::{CliError, Exit, print, usage};
use crate::classify::{self, Devices};
use crate::cli::terminal::shown;
use crate::labels::{LabelColumns, LabelTable, Split};
use crate::model::model_file::{Model, StoredPrecision};
use crate::train::calibrate::{OperatingPoint, Row, calibrate};
use crate::tree::{Prediction, Scheme};

/// Fit a model's probabilities and its operating point on labelled galaxies.
///
/// Each question gets a temperature and an offset for each answer, so that of
/// the labels with a confidence of 0.9 nine in ten are right: give galaxies that
/// the model was not trained on, some thousands, in the mix that it will meet.
/// `hiwl train` does the same at its end, on its validation images.
///
/// The operating point chooses between purity and completeness of rare classes
/// and changes no probability: balanced (the best mean F1 of the classes that
/// gives up no accuracy), accurate (the most probable answer), or a number from
/// 0 (accurate) to 1 (as if all classes were equally frequent).
#[derive(Debug, Args)]
pub struct Calibrate {
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

    #[command(flatten)]
    input: InputFlags,

    /// Where answers are chosen: balanced, accurate, or a number.
    #[arg(long, value_name = "POINT", default_value = "balanced")]
    operating_point: OperatingPoint,

    /// The model file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// How matrices are stored; f16 loses nothing where they were stored so.
    #[arg(long, value_enum, default_value_t = StoredPrecision::F32)]
    precision: StoredPrecision,
}

impl Calibrate {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let mut model = Model::read(&self.model).map_err(usage)?;
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
        let scheme = &mut model.description.scheme;
        let rows: Vec<Row> =
            found.predictions.iter().map(|(class, said)| row(scheme, *class, said)).collect();
        let fitted = calibrate(scheme, &rows, true, self.operating_point)
            .map_err(|what| usage(anyhow::anyhow!("{what}: nothing to calibrate by")))?;
        let shares: std::collections::BTreeMap<&String, f64> =
            fitted.iter().map(|(question, fitted)| (question, fitted.share)).collect();
        let point = match self.operating_point {
            OperatingPoint::Balanced => json!("balanced"),
            OperatingPoint::Accurate => json!("accurate"),
            OperatingPoint::Share(share) => json!(share),
        };
        model.description.extras.operating_point =
            Some(json!({ "point": point, "shares": shares }));
        // It is of the probabilities and labels that were.
        model.description.provenance.card = None;
        let digest = model.write(&self.output, self.precision)?;
        let mut text = left.note().map_or_else(String::new, |note| note + "\n");
        for (question, fitted) in &fitted {
            text += &format!("{question}: {fitted}\n");
        }
        print(&format!("{text}{digest}  {}\n", shown::line(self.output.display())))?;
        Ok(Exit::Ok)
    }
}

/// The logarithm of each answer's share of its question: its corrected logit,
/// but for a constant of the question.
fn row(scheme: &Scheme, class: usize, said: &Prediction) -> Row {
    let tree = scheme.tree();
    let logits = (0..tree.answers().len()).map(|answer| {
        let question = &tree.questions()[tree.answers()[answer].question];
        let reach = match &question.after[..] {
            [] => Some(1.0),
            after => after.iter().map(|&a| said.probabilities[a]).sum::<Option<f32>>(),
        };
        // Of a question that is as good as never asked nothing is left to see.
        let reach = reach.filter(|&reach| reach > 1e-20)?;
        Some((said.probabilities[answer]? / reach).max(1e-30).ln())
    });
    Row { class, logits: logits.collect() }
}
