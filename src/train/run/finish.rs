//! The end of a run: which of the best epochs of its models go together, and
//! the model file that holds them.
//!
//! Every way to join one epoch of each model is scored on validation, routed by
//! the tree as galaxies are that are classified (paper, section 4.3.2). Weights
//! are rounded to the precision of the file first, so that the file is as good
//! as its score. Then the probabilities of the best are calibrated and its
//! operating point is chosen, on the same images.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::data::Image;
use super::feed::Shot;
use super::state::State;
use super::{Run, TrainError, judge};
use crate::limits;
use crate::metrics::{self, Calibration, Confidences, Confusion};
use crate::model::description::{Description, Input, Provenance};
use crate::model::model_file::{Model, StoredPrecision, rounded};
use crate::model::oddness::Oddness;
use crate::model::saved_weights::{self, SavedWeights};
use crate::model::weights::Weights;
use crate::storage::{StorageError, file};
use crate::train::calibrate::{OperatingPoint, Row, calibrate};
use crate::train::{oddness, recipe};
use crate::tree::{Answered, Given, Head, Scheme, Tree, arg_max, route};

/// What a run came to.
pub struct Finished {
    /// How good it is on validation.
    pub report: metrics::ClassificationReport,
    /// The epochs that were chosen, by model.
    pub epochs: BTreeMap<String, u32>,
}

/// An epoch of a model that was kept.
struct Candidate {
    kept: SavedWeights,
    /// Rounded as the file will hold them.
    weights: Weights,
    /// Of every validation image; rows of images that it did not see are NaN.
    logits: Vec<f32>,
}

/// What the run came to before: its model and evaluation are there, of this data and by
/// this version of the program, which may know more than an earlier one.
///
/// # Errors
/// What the system says of files that are there and cannot be read.
pub fn finished(run: &Run) -> Result<Option<Finished>, TrainError> {
    let (model, evaluation) = (run.folder.model(), run.folder.evaluation());
    let mut files = vec![&model, &evaluation];
    let votes = run.folder.votes();
    if run.recipe.of_votes().is_some() {
        files.push(&votes);
    }
    if !files.iter().all(|path| path.exists()) {
        return Ok(None);
    }
    // What cannot be understood is made anew.
    let Ok(provenance) = Description::read(&model).map(|description| description.provenance) else {
        return Ok(None);
    };
    let bytes = file::read(&evaluation, limits::settings::JSON)
        .map_err(StorageError::io("read", &evaluation))?;
    let epochs = provenance.other.get("epochs").cloned().unwrap_or_default();
    let (Ok(report), Ok(epochs)) = (serde_json::from_slice(&bytes), serde_json::from_value(epochs))
    else {
        return Ok(None);
    };
    let ours = provenance.program.is_some_and(|program| program == this_program())
        && provenance.data_digest.is_some_and(|digest| digest == run.data.digest);
    Ok(ours.then_some(Finished { report, epochs }))
}

/// Scores what was kept and writes the best; `None` if the run is stopped.
///
/// # Errors
/// [`TrainError`].
pub fn finish(run: &Run, states: &[State]) -> Result<Option<Finished>, TrainError> {
    let scheme = run.recipe.scheme().map_err(TrainError::Recipe)?;
    if let Some((model, _)) = run.recipe.of_votes() {
        return finish_votes(run, scheme, model, states);
    }
    let shots: Vec<Shot> = run.data.val.iter().enumerate().map(all).collect();
    let Some(candidates) = candidates(run, &scheme, &shots, states)? else { return Ok(None) };

    let mut best: Option<(Vec<usize>, Score)> = None;
    for chosen in combinations(&candidates.iter().map(Vec::len).collect::<Vec<_>>()) {
        let joined: Vec<&Candidate> =
            candidates.iter().zip(&chosen).map(|(of_model, &place)| &of_model[place]).collect();
        let logits: Vec<&[f32]> = joined.iter().map(|c| &c.logits[..]).collect();
        let score = score(run, &scheme, &shots, &logits)?;
        let epochs: Vec<String> = joined
            .iter()
            .map(|c| format!("{} epoch {}", c.kept.description.model, c.kept.description.epoch))
            .collect();
        run.note(&format!("{}: accuracy {:.4}", epochs.join(" with "), score.accuracy));
        if best.as_ref().is_none_or(|(_, best)| score.is_better_than(best)) {
            best = Some((chosen, score));
        }
    }
    let Some((chosen, _)) = best else {
        return Err(TrainError::Data("no epoch was kept".into()));
    };
    let (mut epochs, mut networks, mut logits) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (of_model, place) in candidates.into_iter().zip(chosen) {
        let Candidate { kept, weights, logits: known } =
            of_model.into_iter().nth(place).expect("a combination is of candidates");
        epochs.insert(kept.description.model, kept.description.epoch);
        networks.push(weights);
        logits.push(known);
    }
    let mut scheme = scheme;
    for ((network, weights), rows) in scheme.networks().iter().zip(&networks).zip(&mut logits) {
        if !complete(run, weights, &shots, network.outputs(), rows)? {
            return Ok(None);
        }
    }
    let shares = calibrated(run, &mut scheme, &shots, &logits);
    let logits: Vec<&[f32]> = logits.iter().map(Vec::as_slice).collect();
    let score = score(run, &scheme, &shots, &logits)?;
    let report = metrics::ClassificationReport::new(&score.matrix, Some(&score.calibration));
    let report = report.with(&score.confidences);
    let mut description = describe(run, scheme, &report, &epochs)?;
    description.extras.operating_point = shares;
    let Some(oddness) = odd_ones(run, &description.scheme, &networks)? else { return Ok(None) };
    let mut model = Model::new(description, networks);
    model.set_oddness(oddness);
    model.write_into_run(&run.folder.model(), StoredPrecision::F16).map_err(TrainError::Model)?;
    Ok(Some(Finished { report, epochs }))
}

/// The same of votes: the best epoch's weights, what they predict of validation
/// (`votes.json`), and, as labels are what catalogs are read by, how often going
/// down the tree by the most probable answers ends where the volunteers' most
/// frequent answers do.
fn finish_votes(
    run: &Run,
    scheme: Scheme,
    model: &recipe::Model,
    states: &[State],
) -> Result<Option<Finished>, TrainError> {
    let best = states.first().and_then(|state| state.best.first());
    let epoch = best.map_or(0, |best| best.epoch);
    let path = run.folder.kept(&model.name, epoch);
    let kept =
        saved_weights::read(&path)?.filter(|kept| kept.description.run == run.folder.digest());
    let missing = || TrainError::Checkpoint { path, what: "not weights of this run".into() };
    let weights = rounded(&kept.ok_or_else(missing)?.weights, StoredPrecision::F16)?;
    let shots: Vec<Shot> = run.data.val.iter().enumerate().map(all).collect();
    let (width, size) = (model.outputs.len(), run.recipe.input.crop);
    let Some(logits) = judge::logits(run, &weights, &shots, width, size)? else { return Ok(None) };
    let votes = judge::vote_report(run, model, &shots, &logits)?;
    votes.to_string().lines().for_each(|line| run.note(line));
    let text =
        serde_json::to_string_pretty(&votes).map_err(|e| TrainError::Panic(e.to_string()))?;
    run.folder.write(&run.folder.votes(), text.as_bytes())?;

    let tree = scheme.tree();
    let heads: Vec<&Head> = scheme.heads().collect();
    // Volunteers' fractions as what they are the softmax of.
    let plain: Vec<Head> =
        heads.iter().map(|&head| Head { calibration: None, ..head.clone() }).collect();
    let mut matrix = Confusion::new(&run.recipe.classes);
    let (mut calibration, mut confidences) = (Calibration::new(), Confidences::new());
    let own = judge::votes(&run.data.val, shots.iter().map(|shot| shot.image));
    for (row, own) in logits.chunks_exact(width).zip(own) {
        let given: Vec<f32> = own.iter().map(|v| (v + 1e-6).ln()).collect();
        let went = route(tree, &answers(&plain, &given));
        if !row.iter().all(|logit| logit.is_finite()) || !is_told(tree, &heads, own, went.class) {
            continue;
        }
        let said = route(tree, &answers(&heads, row));
        let place = |class: usize| {
            run.recipe.classes.iter().position(|name| *name == tree.classes()[class].name)
        };
        let (Some(truth), Some(predicted)) = (place(went.class), place(said.class)) else {
            continue;
        };
        matrix.add(truth, predicted);
        let confidence = f64::from(said.confidence);
        calibration.add(confidence, truth == predicted);
        confidences.add(truth, predicted, confidence);
    }
    let report = metrics::ClassificationReport::new(&matrix, Some(&calibration)).with(&confidences);
    let epochs = BTreeMap::from([(model.name.clone(), epoch)]);
    let mut description = describe(run, scheme.clone(), &report, &epochs)?;
    let said = [("validation.rmse", votes.rmse), ("validation.rmse_of_means", votes.rmse_of_means)];
    let said = said.map(|(name, value)| (name.to_owned(), value));
    description.provenance.metrics.extend(said);
    let networks = vec![weights];
    let Some(oddness) = odd_ones(run, &description.scheme, &networks)? else { return Ok(None) };
    let mut file = Model::new(description, networks);
    file.set_oddness(oddness);
    file.write_into_run(&run.folder.model(), StoredPrecision::F16).map_err(TrainError::Model)?;
    Ok(Some(Finished { report, epochs }))
}

/// Every head with its part of a row.
fn answers<'a, H: std::borrow::Borrow<Head>>(heads: &'a [H], row: &'a [f32]) -> Vec<Answered<'a>> {
    let of = |head: &'a H| {
        let head: &Head = head.borrow();
        Answered { head, logits: &row[head.outputs.clone()] }
    };
    heads.iter().map(of).collect()
}

/// Whether somebody was asked the question whose answer is the class.
fn is_told(tree: &Tree, heads: &[&Head], votes: &[f32], class: usize) -> bool {
    let question = tree.answers()[tree.classes()[class].answer].question;
    let head = heads.iter().find(|head| head.question == question);
    head.is_some_and(|head| votes[head.outputs.clone()].iter().any(|v| *v > 0.0))
}

/// Adds a network's logits of the validation images that it did not see; `false` if the
/// run is stopped.
fn complete(
    run: &Run,
    weights: &Weights,
    shots: &[Shot],
    outputs: usize,
    rows: &mut [f32],
) -> Result<bool, TrainError> {
    let unseen = |&place: &usize| rows[place * outputs..][..outputs].iter().all(|v| v.is_nan());
    let places: Vec<usize> = (0..shots.len()).filter(unseen).collect();
    if places.is_empty() {
        return Ok(true);
    }
    let missing: Vec<Shot> = places.iter().map(|&place| shots[place]).collect();
    let size = run.recipe.input.crop;
    let Some(found) = judge::logits(run, weights, &missing, outputs, size)? else {
        return Ok(false);
    };
    for (place, row) in places.into_iter().zip(found.chunks_exact(outputs)) {
        rows[place * outputs..][..outputs].copy_from_slice(row);
    }
    Ok(true)
}

/// Calibrates the scheme by every network's logits of every validation image, and
/// returns the shares of its operating point.
fn calibrated(
    run: &Run,
    scheme: &mut Scheme,
    shots: &[Shot],
    all: &[Vec<f32>],
) -> Option<serde_json::Value> {
    let tree = scheme.tree();
    let rows: Vec<Row> = shots
        .iter()
        .enumerate()
        .filter_map(|(image, shot)| {
            let class = tree.class(&run.recipe.classes[shot.output])?;
            let mut logits = vec![None; tree.answers().len()];
            for (network, rows) in scheme.networks().iter().zip(all) {
                let row = &rows[image * network.outputs()..][..network.outputs()];
                for head in &network.heads {
                    for (&answer, &logit) in head.answers.iter().zip(&row[head.outputs.clone()]) {
                        logits[answer] = Some(logit);
                    }
                }
            }
            Some(Row { class, logits })
        })
        .collect();
    match calibrate(scheme, &rows, false, OperatingPoint::Balanced) {
        Ok(fitted) => {
            for (question, fitted) in &fitted {
                run.note(&format!("{question}: {fitted}"));
            }
            let shares: BTreeMap<&String, f64> =
                fitted.iter().map(|(question, fitted)| (question, fitted.share)).collect();
            Some(json!({ "point": "balanced", "shares": shares }))
        }
        Err(what) => {
            run.note(&format!("not calibrated: {what}"));
            None
        }
    }
}

/// What tells pictures unlike those that were learned from, by the first network;
/// a note where there are too few to say. `None` if the run is stopped.
fn odd_ones(
    run: &Run,
    scheme: &Scheme,
    networks: &[Weights],
) -> Result<Option<Option<Oddness>>, TrainError> {
    let (network, weights) = (&scheme.networks()[0], &networks[0]);
    if run.data.train.len().min(run.data.val.len()) < oddness::LEAST {
        run.note("too few images to tell odd ones: the model has no oddness");
        return Ok(Some(None));
    }
    let of = |images: &Arc<Vec<Image>>| {
        let count = images.len().min(oddness::ENOUGH);
        let shot = |k: usize| Shot { image: k * images.len() / count, output: 0, repeat: 0 };
        let shots: Vec<Shot> = (0..count).map(shot).collect();
        judge::features(run, weights, images, &shots, network.outputs())
    };
    let Some(learned) = of(&run.data.train)? else { return Ok(None) };
    let Some(held_out) = of(&run.data.val)? else { return Ok(None) };
    let features = run.architecture.plan().features;
    let fitted = run.pool.install(|| oddness::fit(&network.name, features, &learned, &held_out));
    Ok(Some(match fitted {
        Ok(oddness) => Some(oddness),
        Err(what) => {
            run.note(&format!("the model has no oddness: {what}"));
            None
        }
    }))
}

/// A validation image and its class.
fn all((image, of): (usize, &Image)) -> Shot {
    Shot { image, output: of.class, repeat: 0 }
}

/// The kept epochs of every model, the best first, with what each says of the
/// images that some epoch of the models before it hands on. `None` if the run
/// is stopped.
fn candidates(
    run: &Run,
    scheme: &Scheme,
    shots: &[Shot],
    states: &[State],
) -> Result<Option<Vec<Vec<Candidate>>>, TrainError> {
    let tree = scheme.tree();
    // Of each answer, the images to which some epoch gives it.
    let mut given = vec![vec![false; shots.len()]; tree.answers().len()];
    let mut found = Vec::new();
    for (network, state) in scheme.networks().iter().zip(states) {
        // A model that learned has one question.
        let head = &network.heads[0];
        let after = &tree.questions()[head.question].after;
        let asked = |place: &usize| after.is_empty() || after.iter().any(|&a| given[a][*place]);
        let places: Vec<usize> = (0..shots.len()).filter(asked).collect();
        let seen: Vec<Shot> = places.iter().map(|&place| shots[place]).collect();
        let outputs = network.outputs();
        let mut of_model = Vec::new();
        for best in &state.best {
            let path = run.folder.kept(&state.model, best.epoch);
            let kept =
                saved_weights::read(&path)?.filter(|k| k.description.run == run.folder.digest());
            let missing =
                || TrainError::Checkpoint { path, what: "not weights of this run".into() };
            let kept = kept.ok_or_else(missing)?;
            let weights = rounded(&kept.weights, StoredPrecision::F16)?;
            let size = run.recipe.input.crop;
            let Some(rows) = judge::logits(run, &weights, &seen, outputs, size)? else {
                return Ok(None);
            };
            let mut logits = vec![f32::NAN; shots.len() * outputs];
            for (&place, row) in places.iter().zip(rows.chunks_exact(outputs)) {
                logits[place * outputs..][..outputs].copy_from_slice(row);
                given[head.answers[arg_max(row)]][place] = true;
            }
            of_model.push(Candidate { kept, weights, logits });
        }
        found.push(of_model);
    }
    Ok(Some(found))
}

/// Every way to take one of each, the last changing first.
fn combinations(counts: &[usize]) -> Vec<Vec<usize>> {
    let mut ways = vec![Vec::new()];
    for &count in counts {
        let longer = |way: Vec<usize>| {
            (0..count).map(move |place| {
                let mut way = way.clone();
                way.push(place);
                way
            })
        };
        ways = ways.into_iter().flat_map(longer).collect();
    }
    ways
}

/// How good epochs are together.
struct Score {
    accuracy: f64,
    macro_recall: f64,
    matrix: Confusion,
    calibration: Calibration,
    confidences: Confidences,
}

impl Score {
    fn is_better_than(&self, other: &Self) -> bool {
        (self.accuracy, self.macro_recall) > (other.accuracy, other.macro_recall)
    }
}

fn score(
    run: &Run,
    scheme: &Scheme,
    shots: &[Shot],
    logits: &[&[f32]],
) -> Result<Score, TrainError> {
    let tree = scheme.tree();
    // The recipe's place of each class of the tree.
    let places: Option<Vec<usize>> = tree
        .classes()
        .iter()
        .map(|class| run.recipe.classes.iter().position(|name| *name == class.name))
        .collect();
    let places =
        places.ok_or_else(|| TrainError::Recipe("the classes are not those of the tree".into()))?;
    let mut matrix = Confusion::new(&run.recipe.classes);
    let (mut calibration, mut confidences) = (Calibration::new(), Confidences::new());
    'images: for (image, shot) in shots.iter().enumerate() {
        let mut given = Given::none(tree);
        let mut answered = Vec::new();
        for (place, network) in scheme.networks().iter().enumerate() {
            if !scheme.wants(place, &given) {
                continue;
            }
            let outputs = network.outputs();
            let row = &logits[place][image * outputs..][..outputs];
            if !row.iter().all(|logit| logit.is_finite()) {
                // A network that overflows on an image has no answer, a wrong one.
                continue 'images;
            }
            for head in &network.heads {
                let own = Answered { head, logits: &row[head.outputs.clone()] };
                given.take(tree, own);
                answered.push(own);
            }
        }
        let prediction = route(tree, &answered);
        let predicted = places[prediction.class];
        matrix.add(shot.output, predicted);
        let confidence = f64::from(prediction.confidence);
        calibration.add(confidence, predicted == shot.output);
        confidences.add(shot.output, predicted, confidence);
    }
    Ok(Score {
        accuracy: matrix.correct() as f64 / shots.len() as f64,
        macro_recall: metrics::macro_average_of(&matrix, &metrics::recall(&matrix)),
        matrix,
        calibration,
        confidences,
    })
}

/// Name and version, as model files say them.
fn this_program() -> String {
    format!("hiwl {}", env!("CARGO_PKG_VERSION"))
}

/// What the networks of a run are fed.
pub fn input(run: &Run) -> Input {
    let Run { recipe, data, colours, .. } = run;
    Input {
        mean: recipe.input.mean,
        std: recipe.input.std,
        bands: data.reading.bands.clone(),
        rgb_profile: colours.clone(),
        ..Input::paper(recipe.input.crop)
    }
}

/// What the model file says of itself.
fn describe(
    run: &Run,
    scheme: Scheme,
    report: &metrics::ClassificationReport,
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
        program: Some(this_program()),
        imported: run.initial.identity().into_iter().collect(),
        data_digest: Some(run.data.digest.clone()),
        recipe: Some(serde_json::to_value(recipe).map_err(text)?),
        seed: Some(recipe.seed),
        card: None,
        metrics: results,
        other: BTreeMap::from([
            ("epochs".to_owned(), json!(epochs)),
            ("training_images".to_owned(), json!(run.data.train.len())),
            ("validation_images".to_owned(), json!(run.data.val.len())),
        ]),
    };
    let architectures = vec![run.architecture.clone(); scheme.networks().len()];
    let mut description = Description::new(scheme, architectures, input(run));
    description.provenance = provenance;
    description.extras.training_scale = run.data.scale();
    Ok(description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_are_every_one_once_in_order() {
        assert_eq!(combinations(&[2, 1, 2]), [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]]);
        assert_eq!(combinations(&[3]), [[0], [1], [2]]);
        assert!(combinations(&[2, 0]).is_empty());
    }
}
