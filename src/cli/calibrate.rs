//! `hiwl model calibrate`: a model whose probabilities mean what they say.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::labelled::Labelled;
use super::{CliError, Exit, usage};
use crate::model::model_file::Model;
use crate::train::calibrate::{OperatingPoint, Row, calibrate};
use crate::tree::{Prediction, Scheme};

/// Galaxies of a question below which its calibration is told to be chance.
const FEW: usize = 200;

/// Fit a model's probabilities and its operating point on labelled galaxies.
///
/// Each question gets a temperature and an offset for each answer, so that of
/// the labels with a confidence of 0.9 nine in ten are right: give galaxies that
/// the model was not trained on, some thousands, in the mix that it will meet.
/// `hiwl train` does the same at its end, on its validation images.
///
/// The operating point chooses between purity and completeness of rare classes
/// and changes no probability: balanced (the best mean F1 of the classes that
/// gives up no accuracy), accurate (the most probable answer), or a number, of which
/// 0 is accurate, 1 as if all classes were equally frequent, and others, from -4 to 4,
/// go as far beyond.
///
/// Exit code 1 if an image could not be used.
#[derive(Debug, Args)]
pub struct Calibrate {
    #[command(flatten)]
    labelled: Labelled,

    /// Where answers are chosen: balanced, accurate, or a number.
    #[arg(long, value_name = "POINT", default_value = "balanced")]
    operating_point: OperatingPoint,
}

impl Calibrate {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let no_classes = |model: &Model| match model.description.scheme.tells_concentrations() {
            true => Err("it learned votes, and answers with what fractions of volunteers would \
                         say and how surely: calibrated by classes these would mean nothing"),
            false => Ok(()),
        };
        let mut held = match self.labelled.hold(&[], no_classes)? {
            ControlFlow::Continue(held) => held,
            ControlFlow::Break(exit) => return Ok(exit),
        };
        let description = &mut held.model.description;
        let scheme = &mut description.scheme;
        let predictions = held.found.predictions.iter();
        let rows: Vec<Row> = predictions.map(|(class, said)| row(scheme, *class, said)).collect();
        let fitted = calibrate(scheme, &rows, true, self.operating_point)
            .map_err(|what| usage(anyhow!("{what}: nothing to calibrate by")))?;
        let questions = scheme.heads().map(|head| &scheme.tree().questions()[head.question].name);
        let left: Vec<&String> = questions.filter(|name| !fitted.contains_key(*name)).collect();
        if let (OperatingPoint::Share(_), [question, ..]) = (self.operating_point, &left[..]) {
            return Err(usage(anyhow!(
                "of the question {question} two answers must be among these galaxies: how rare \
                 each is decides where a share puts its operating point"
            )));
        }
        let mut shares: BTreeMap<String, f64> =
            fitted.iter().map(|(question, fitted)| (question.clone(), fitted.share)).collect();
        for question in &left {
            // What stays as it was was recorded then.
            let before = description.extras.operating_point.as_ref();
            let before = before.and_then(|point| point["shares"][question.as_str()].as_f64());
            let before = before.filter(|_| self.operating_point != OperatingPoint::Accurate);
            shares.insert((*question).clone(), before.unwrap_or(0.0));
        }
        let point = match self.operating_point {
            OperatingPoint::Balanced => json!("balanced"),
            OperatingPoint::Accurate => json!("accurate"),
            OperatingPoint::Share(share) => json!(share),
        };
        description.extras.operating_point = Some(json!({ "point": point, "shares": shares }));
        // They are of the probabilities and labels that were.
        description.provenance.card = None;
        description.provenance.metrics.clear();
        let mut said = String::new();
        for (question, fitted) in &fitted {
            said += &format!("{question}: {fitted}\n");
            if fitted.galaxies < FEW {
                said += "  (of so few galaxies chance decides: give some thousands)\n";
            }
        }
        for question in left {
            let kept = match self.operating_point {
                OperatingPoint::Accurate => "its probabilities stay as they were",
                _ => "it stays as it was, its operating point too",
            };
            said += &format!("{question}: no two answers are among these galaxies: {kept}\n");
        }
        held.write(&said)
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
