//! Networks on validation images, by the fast engine that classifies, where the run
//! learns: on the processor or a GPU, in f32 on both.

use std::sync::{Arc, Mutex};

use super::data::Image;
use super::feed::{Feed, Shot, View, even_batches};
use super::{Run, TrainError, kept, learner};
use crate::engine::{Device, Precision, Tensors, Want, open};
use crate::metrics::{Confusion, VoteReport, accuracy, recall};
use crate::model::weights::Weights;
use crate::pipeline::Graph;
use crate::train::recipe::Model;
use crate::train::targets;
use crate::tree::{Answered, Head, arg_max, route};

/// Images the engine takes at once on a device. What learns keeps its memory on a GPU
/// meanwhile; one with less than that takes fewer at once.
fn batch(device: Device) -> usize {
    if device == Device::Cpu { 32 } else { 128 }
}

/// How good a network is on validation.
pub struct Judgement {
    /// Mean loss, with the smoothing of training.
    pub loss: f64,
    /// 0 to 1.
    pub accuracy: f64,
    /// Output by output.
    pub recall: Vec<(String, f64)>,
}

impl Judgement {
    /// From the logits of `shots`, row by row.
    pub fn new(model: &Model, smoothing: f32, shots: &[Shot], logits: &[f32]) -> Self {
        let names = model.output_names();
        let outputs: Vec<usize> = shots.iter().map(|shot| shot.output).collect();
        let mut wanted = vec![0.0; logits.len()];
        targets::smoothed(&outputs, names.len(), smoothing, &mut wanted);
        let mut matrix = Confusion::new(&names);
        for (row, &output) in logits.chunks_exact(names.len()).zip(&outputs) {
            matrix.add(output, arg_max(row));
        }
        Self {
            loss: targets::cross_entropy(logits, &wanted, names.len()),
            accuracy: accuracy(&matrix),
            recall: names.iter().cloned().zip(recall(&matrix)).collect(),
        }
    }
}

impl Judgement {
    /// The same of votes: the loss as it is learned, without smoothing; for
    /// accuracy 1 less the RMSE over all answers, and for recall each question's
    /// accuracy.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn of_votes(
        run: &Run,
        model: &Model,
        shots: &[Shot],
        logits: &[f32],
    ) -> Result<Self, TrainError> {
        let loss = learner::loss(model);
        let width = model.outputs.len();
        let votes = votes(&run.data.val, shots.iter().map(|shot| shot.image));
        let mut gradient = vec![0.0; width];
        let rows = logits.chunks_exact(width).zip(&votes);
        let sum: f64 = rows.map(|(row, votes)| loss.row(row, votes, 1.0, &mut gradient)).sum();
        let report = vote_report(run, model, shots, logits)?;
        if report.rmse.is_nan() {
            let why = "of no image to judge by are votes known: nothing says which epoch is best";
            return Err(TrainError::Recipe(why.to_owned()));
        }
        // A number each: what is kept of a run goes through JSON, which has no NaN.
        let recall = report.accuracies().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Self { loss: sum / shots.len().max(1) as f64, accuracy: 1.0 - report.rmse, recall })
    }
}

/// What a model of votes learns of these images.
pub fn votes(images: &[Image], places: impl Iterator<Item = usize>) -> Vec<&[f32]> {
    let of = |place: usize| images[place].votes.as_deref().unwrap_or_default();
    places.map(of).collect()
}

/// Fractions of votes that a network predicts, of those that volunteers gave.
///
/// # Errors
/// [`TrainError::Recipe`].
pub fn vote_report(
    run: &Run,
    model: &Model,
    shots: &[Shot],
    logits: &[f32],
) -> Result<VoteReport, TrainError> {
    let scheme = run.recipe.scheme().map_err(TrainError::Recipe)?;
    let tree = scheme.tree();
    let width = model.outputs.len();
    let heads: Vec<&Head> = scheme.heads().collect();
    let votes = votes(&run.data.val, shots.iter().map(|shot| shot.image));
    let (mut predicted, mut truth) = (Vec::new(), Vec::new());
    for (row, votes) in logits.chunks_exact(width).zip(votes) {
        if !row.iter().all(|logit| logit.is_finite()) {
            continue;
        }
        let answered: Vec<Answered<'_>> = heads
            .iter()
            .map(|head| Answered { head, logits: &row[head.outputs.clone()] })
            .collect();
        let said = route(tree, &answered);
        predicted.push(said.probabilities.iter().map(|p| f64::from(p.unwrap_or(0.0))).collect());
        truth.push(fractions(&heads, tree.answers().len(), votes));
    }
    Ok(VoteReport::new(tree, &predicted, &truth))
}

/// Fractions of those who were asked, of every answer of the tree; NaN where nobody
/// was.
pub fn fractions(heads: &[&Head], answers: usize, votes: &[f32]) -> Vec<f64> {
    let mut fractions = vec![f64::NAN; answers];
    for head in heads {
        let own = &votes[head.outputs.clone()];
        let sum: f64 = own.iter().map(|&v| f64::from(v)).sum();
        if sum > 0.0 {
            for (&answer, &votes) in head.answers.iter().zip(own) {
                fractions[answer] = f64::from(votes) / sum;
            }
        }
    }
    fractions
}

/// Logits of validation images, row by row; `None` if the run is stopped. The
/// images' central squares are resized to `size`.
///
/// # Errors
/// [`TrainError::Image`], [`TrainError::Weights`], [`TrainError::Network`].
pub fn logits(
    run: &Run,
    weights: &Weights,
    shots: &[Shot],
    outputs: usize,
    size: usize,
) -> Result<Option<Vec<f32>>, TrainError> {
    let images = &run.data.val;
    if run.keeps {
        let features = kept::centres(run, weights, images, shots, (outputs, size))?;
        let classified = |features: Vec<f32>| kept::classified(run, weights, &features, outputs);
        return features.map(classified).transpose();
    }
    let view = View::Centre(run.recipe.input.crop);
    seen(run, weights, (images, shots), view, (outputs, size), (Want::LOGITS, run.device))
}

/// Features of some of the images, row by row, as they are when galaxies are
/// classified; `None` if the run is stopped.
///
/// # Errors
/// As [`logits`].
pub fn features(
    run: &Run,
    weights: &Weights,
    images: &Arc<Vec<Image>>,
    shots: &[Shot],
    outputs: usize,
) -> Result<Option<Vec<f32>>, TrainError> {
    let size = run.recipe.input.crop;
    if run.keeps {
        return kept::centres(run, weights, images, shots, (outputs, size));
    }
    let view = View::Centre(run.recipe.input.crop);
    features_of(run, weights, (images, shots), view, (outputs, size), run.device)
}

/// Features of a view of images, `size` pixels a side, row by row, computed on a
/// device; `None` if the run is stopped.
///
/// # Errors
/// As [`logits`].
pub fn features_of(
    run: &Run,
    weights: &Weights,
    images: (&Arc<Vec<Image>>, &[Shot]),
    view: View,
    sizes: (usize, usize),
    device: Device,
) -> Result<Option<Vec<f32>>, TrainError> {
    seen(run, weights, images, view, sizes, (Want::FEATURES, device))
}

/// What one thing that is wanted is of images, row by row.
fn seen(
    run: &Run,
    weights: &Weights,
    (images, shots): (&Arc<Vec<Image>>, &[Shot]),
    view: View,
    (outputs, size): (usize, usize),
    (want, device): (Want, Device),
) -> Result<Option<Vec<f32>>, TrainError> {
    let network = open::Network {
        architecture: &run.architecture,
        outputs,
        size,
        normalisation: learner::normalisation(&run.recipe),
        weights,
    };
    let batch = batch(device);
    // One thread judges.
    let room = open::Room::for_one(batch);
    let network = open::infer(network, device, None, Precision::F32, room)?.network;
    let feed = Feed {
        images: Arc::clone(images),
        shots: shots.to_vec(),
        batches: even_batches(shots.len(), batch),
        view,
        size,
    };
    let mut graph = Graph::new(run.stop.clone());
    let (batches, window) = feed.extend(&mut graph, &run.data);
    let all = Arc::new(Mutex::new(Vec::new()));
    let (rows, pool) = (Arc::clone(&all), Arc::clone(&run.pool));
    let mut found = Tensors::default();
    graph.sink("judge", batches, move |batch| {
        let Some(batch) = batch else { return Ok(()) };
        let count = batch.item.outputs.len();
        let images: Vec<&[u8]> = batch.item.pixels.chunks_exact(3 * size * size).collect();
        pool.install(|| network.run(&images, want, &mut found))?;
        // What is not wanted is empty.
        let mut rows = rows.lock().unwrap_or_else(|e| e.into_inner());
        rows.extend(&found.logits);
        rows.extend(&found.features);
        drop(rows);
        window.leave(count);
        Ok(())
    });
    Ok(super::ended(graph.run())?
        .then(|| std::mem::take(&mut *all.lock().unwrap_or_else(|e| e.into_inner()))))
}
