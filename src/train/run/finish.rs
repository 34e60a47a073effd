//! The end of a run: which of the best epochs of the two models go together,
//! and the model file that holds them.
//!
//! Every pair is scored on validation, routed by the hierarchy that
//! classifies (paper, section 4.3.2). Weights are rounded to the precision of
//! the file first, so that the file is as good as its score.

use std::collections::BTreeMap;

use serde_json::json;

use super::feed::{PROFILE, Shot};
use super::kept::{self, Kept};
use super::state::State;
use super::{Run, TrainError, judge};
use crate::engine::{Infer, InferenceError, Tensors, Want};
use crate::metrics::{self, Calibration, Confusion};
use crate::model::description::{Description, FORMAT, Input, Provenance};
use crate::model::hierarchy::{Class, Hierarchy, Outputs, Stage2};
use crate::model::model_file::{Model, Precision, rounded};
use crate::model::weights::Weights;
use crate::train::recipe::Recipe;

/// What a run came to.
pub struct Finished {
    /// How good it is on validation.
    pub report: metrics::Report,
    /// The epochs that were chosen, by model.
    pub epochs: BTreeMap<String, u32>,
    /// Whether there is a model file; a single network makes none.
    pub is_model: bool,
}

/// What the outputs of a hierarchical recipe mean; `None` if it is not of the
/// catalog's classes.
pub fn outputs(recipe: &Recipe) -> Option<Outputs> {
    let [first, second] = &recipe.models[..] else { return None };
    let name = |classes: &Vec<String>| match &classes[..] {
        [one] => one.clone(),
        [a, b] if [a.as_str(), b] == ["CSS", "EO"] || [a.as_str(), b] == ["EO", "CSS"] => {
            "CSS+EO".to_owned()
        }
        _ => String::new(),
    };
    let names = |model: &crate::train::recipe::Model| -> Vec<String> {
        model.outputs.iter().map(name).collect()
    };
    let outputs = json!({ "stage1": names(first), "stage2": names(second) });
    serde_json::from_value::<Outputs>(outputs).ok().filter(Outputs::is_complete)
}

/// Scores what was kept and writes the best; `None` if the run is stopped.
///
/// # Errors
/// [`TrainError`].
pub fn finish(run: &Run, states: &[State]) -> Result<Option<Finished>, TrainError> {
    let shots: Vec<Shot> = run.data.val.iter().enumerate().map(all).collect();
    match (states, outputs(&run.recipe)) {
        ([first, second], Some(outputs)) => pair(run, &shots, [first, second], outputs),
        ([single], _) => alone(run, &shots, single),
        _ => Err(TrainError::Recipe("a hierarchy of other than the catalog's classes".into())),
    }
}

/// A validation image and its class.
fn all((image, of): (usize, &super::data::Image)) -> Shot {
    Shot { image, output: of.class, repeat: 0 }
}

/// The kept weights of a model, the best first, as a model file holds them.
fn candidates(run: &Run, state: &State) -> Result<Vec<(Kept, Weights)>, TrainError> {
    let kept = state.best.iter().map(|best| {
        let path = run.folder.kept(&state.model, best.epoch);
        let kept = kept::read(&path)?.filter(|kept| kept.description.run == run.folder.digest());
        let missing = || TrainError::Checkpoint { path, what: "not weights of this run".into() };
        let kept = kept.ok_or_else(missing)?;
        let weights = rounded(&kept.weights, Precision::F16)?;
        Ok((kept, weights))
    });
    kept.collect()
}

fn pair(
    run: &Run,
    shots: &[Shot],
    [first, second]: [&State; 2],
    outputs: Outputs,
) -> Result<Option<Finished>, TrainError> {
    let size = run.recipe.input.crop;
    let coarse = candidates(run, first)?;
    let fine = candidates(run, second)?;
    let mut coarse_logits = Vec::new();
    // The images that some candidate hands on.
    let mut combined = vec![false; shots.len()];
    for (_, weights) in &coarse {
        let classes = outputs.stage1.len();
        let Some(logits) = judge::logits(run, weights, shots, classes, size)? else {
            return Ok(None);
        };
        for (seen, row) in combined.iter_mut().zip(logits.chunks_exact(classes)) {
            let label = outputs.stage1[judge::arg_max(row)];
            *seen |= label == crate::model::hierarchy::Stage1Class::Combined;
        }
        coarse_logits.push(logits);
    }
    let places: Vec<usize> = (0..shots.len()).filter(|&place| combined[place]).collect();
    let seen: Vec<Shot> = places.iter().map(|&place| shots[place]).collect();
    let mut fine_logits = Vec::new();
    for (_, weights) in &fine {
        let classes = outputs.stage2.len();
        let Some(logits) = judge::logits(run, weights, &seen, classes, size)? else {
            return Ok(None);
        };
        let mut all = vec![f32::NAN; shots.len() * classes];
        for (&place, row) in places.iter().zip(logits.chunks_exact(classes)) {
            all[place * classes..][..classes].copy_from_slice(row);
        }
        fine_logits.push(all);
    }

    let mut best: Option<(usize, usize, Score)> = None;
    for (i, first) in coarse_logits.iter().enumerate() {
        for (j, second) in fine_logits.iter().enumerate() {
            let networks =
                [recorded(first, outputs.stage1.len()), recorded(second, outputs.stage2.len())];
            let score = score(run, shots, networks, outputs)?;
            run.note(&format!(
                "stage1 epoch {} with stage2 epoch {}: accuracy {:.4}",
                coarse[i].0.description.epoch, fine[j].0.description.epoch, score.accuracy,
            ));
            if best.as_ref().is_none_or(|(.., best)| score.is_better_than(best)) {
                best = Some((i, j, score));
            }
        }
    }
    let Some((i, j, score)) = best else {
        return Err(TrainError::Data("no epoch was kept".into()));
    };
    let report = metrics::Report::new(&score.matrix, Some(&score.calibration));
    let chosen = [&coarse[i].0.description, &fine[j].0.description];
    let epochs: BTreeMap<String, u32> =
        chosen.map(|description| (description.model.clone(), description.epoch)).into();
    let model = Model {
        description: describe(run, outputs, &report, &epochs)?,
        stage1: coarse[i].1.clone(),
        stage2: fine[j].1.clone(),
        digest: None,
    };
    model.write(&run.folder.model(), Precision::F16).map_err(TrainError::Model)?;
    Ok(Some(Finished { report, epochs, is_model: true }))
}

/// A single network: its best epoch, judged as it is.
fn alone(run: &Run, shots: &[Shot], state: &State) -> Result<Option<Finished>, TrainError> {
    let Some((kept, weights)) = candidates(run, state)?.into_iter().next() else {
        return Err(TrainError::Data("no epoch was kept".into()));
    };
    let model = &run.recipe.models[0];
    let (classes, size) = (model.outputs.len(), run.recipe.input.crop);
    let Some(logits) = judge::logits(run, &weights, shots, classes, size)? else {
        return Ok(None);
    };
    // The class of each output: a single network combines none.
    let class =
        |output: usize| run.recipe.classes.iter().position(|c| *c == model.outputs[output][0]);
    let mut matrix = Confusion::new(&run.recipe.classes);
    let mut calibration = Calibration::new();
    for (row, shot) in logits.chunks_exact(classes).zip(shots) {
        let winner = judge::arg_max(row);
        let sum: f64 = row.iter().map(|&z| f64::from(z - row[winner]).exp()).sum();
        if let Some(predicted) = class(winner) {
            matrix.add(shot.output, predicted);
            calibration.add(1.0 / sum, predicted == shot.output);
        }
    }
    let report = metrics::Report::new(&matrix, Some(&calibration));
    let epochs = BTreeMap::from([(state.model.clone(), kept.description.epoch)]);
    Ok(Some(Finished { report, epochs, is_model: false }))
}

/// How good a pair is.
struct Score {
    accuracy: f64,
    macro_recall: f64,
    matrix: Confusion,
    calibration: Calibration,
}

impl Score {
    fn is_better_than(&self, other: &Self) -> bool {
        (self.accuracy, self.macro_recall) > (other.accuracy, other.macro_recall)
    }
}

fn score(
    run: &Run,
    shots: &[Shot],
    [first, second]: [Box<dyn Infer>; 2],
    outputs: Outputs,
) -> Result<Score, TrainError> {
    let hierarchy = Hierarchy::new(first, second, outputs)?;
    let keys: Vec<[u8; 8]> = (0..shots.len() as u64).map(u64::to_le_bytes).collect();
    let keys: Vec<&[u8]> = keys.iter().map(<[u8; 8]>::as_slice).collect();
    let predictions = hierarchy.classify(&keys, Stage2::Routed)?;
    let class = |label: Class| run.recipe.classes.iter().position(|c| c == label.label());
    let mut matrix = Confusion::new(&run.recipe.classes);
    let mut calibration = Calibration::new();
    for (prediction, shot) in predictions.iter().zip(shots) {
        // A network that overflows on an image has no answer, a wrong one.
        let Ok(prediction) = prediction else { continue };
        if let Some(predicted) = class(prediction.label) {
            matrix.add(shot.output, predicted);
            calibration.add(f64::from(prediction.confidence), predicted == shot.output);
        }
    }
    Ok(Score {
        accuracy: matrix.correct() as f64 / shots.len() as f64,
        macro_recall: metrics::macro_average(&metrics::recall(&matrix)),
        matrix,
        calibration,
    })
}

/// Logits that were computed before; an image is its place as eight bytes.
struct Recorded {
    rows: Vec<f32>,
    classes: usize,
}

fn recorded(rows: &[f32], classes: usize) -> Box<dyn Infer> {
    Box::new(Recorded { rows: rows.to_vec(), classes })
}

impl Infer for Recorded {
    fn outputs(&self) -> usize {
        self.classes
    }

    fn features(&self) -> usize {
        0
    }

    fn map_side(&self) -> usize {
        0
    }

    fn run(&self, images: &[&[u8]], want: Want, to: &mut Tensors) -> Result<(), InferenceError> {
        InferenceError::check_sizes(images, 8)?;
        to.resize(self, images.len(), want);
        for (image, out) in images.iter().zip(to.logits.chunks_exact_mut(self.classes)) {
            let key = image.iter().rev().fold(0, |key, &byte| key << 8 | u64::from(byte));
            let place = key as usize * self.classes;
            out.copy_from_slice(&self.rows[place..place + self.classes]);
        }
        Ok(())
    }
}

/// What the model file says of itself.
fn describe(
    run: &Run,
    outputs: Outputs,
    report: &metrics::Report,
    epochs: &BTreeMap<String, u32>,
) -> Result<Description, TrainError> {
    let recipe = &run.recipe;
    let mut results = BTreeMap::from([
        ("validation.accuracy".to_owned(), report.accuracy),
        ("validation.recall_macro".to_owned(), report.macro_average.recall),
        ("validation.f1_macro".to_owned(), report.macro_average.f1),
    ]);
    for class in &report.classes {
        results.insert(format!("validation.recall.{}", class.class), class.recall);
    }
    let text = |e: serde_json::Error| TrainError::Recipe(e.to_string());
    let provenance = Provenance {
        program: Some(format!("hiwl {}", env!("CARGO_PKG_VERSION"))),
        imported: run.initial.identity().into_iter().collect(),
        data_digest: Some(run.data.digest.clone()),
        recipe: Some(serde_json::to_value(recipe).map_err(text)?),
        seed: Some(recipe.seed),
        metrics: results,
        other: BTreeMap::from([
            ("epochs".to_owned(), json!(epochs)),
            ("training_images".to_owned(), json!(run.data.train.len())),
            ("validation_images".to_owned(), json!(run.data.val.len())),
        ]),
    };
    let input = Input {
        mean: recipe.input.mean,
        std: recipe.input.std,
        rgb_profile: PROFILE.into(),
        ..Input::paper(recipe.input.crop)
    };
    Ok(Description {
        format: FORMAT,
        architecture: run.architecture.clone(),
        input,
        outputs,
        untrained: false,
        provenance,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn outputs_follow_the_recipe_s_order_and_its_classes_alone() {
        let mut recipe = Recipe::read(Path::new("train-hiwl")).unwrap();
        assert_eq!(outputs(&recipe), Some(Outputs::default()));
        recipe.models[0].outputs.reverse();
        recipe.models[0].outputs[0].reverse();
        let turned = outputs(&recipe).unwrap();
        assert_eq!(turned.stage1[0], crate::model::hierarchy::Stage1Class::Combined);
        recipe.models[1].outputs[0] = vec!["RING".into()];
        assert_eq!(outputs(&recipe), None);
        assert_eq!(outputs(&Recipe::read(Path::new("train-plain")).unwrap()), None);
    }
}
