//! Features of a frozen backbone, computed once: what classifiers learn from, and
//! are judged by, when nothing else learns and pictures repeat.
//!
//! It applies where the pictures of an image are known beforehand: the recipe does
//! not augment, or says how many `views` it draws, and they fit into memory. The
//! features are those of the engine that classifies, in f32, so that what a
//! classifier learns from is what it will see.
//!
//! Invariant: a row depends on backbone, image, view and size alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::data::{Dataset, Image};
use super::feed::{Shot, View};
use super::plan::Plan;
use super::{Run, TrainError, judge};
use crate::engine::fused::learn::HeadLearner;
use crate::model::oddness::dot;
use crate::model::weights::{Weights, WeightsError};
use crate::train::recipe::Recipe;

/// Bytes of training features that are kept: 100,000 images with four views each
/// have 2 GB in B1.
const FEATURE_BYTES: u64 = 3 << 30;

/// Whether features are kept where only classifiers learn; if not, why.
pub fn applies(recipe: &Recipe, data: &Dataset, features: usize) -> Result<(), String> {
    let mut most = 1;
    for model in &recipe.models {
        match recipe.training(model).views {
            Some(views) => most = most.max(u64::from(views)),
            None if recipe.augmentation.does_nothing() => {}
            None => {
                return Err("every epoch draws other pictures, so features are not kept: \
                            --views K keeps K pictures of each image, and learns in seconds"
                    .into());
            }
        }
    }
    let bytes = (data.train.len() as u64).saturating_mul(most).saturating_mul(4 * features as u64);
    if bytes > FEATURE_BYTES {
        return Err(format!(
            "features are not kept: {:.1} GB are more than {} GB",
            bytes as f64 / 1e9,
            FEATURE_BYTES >> 30
        ));
    }
    Ok(())
}

/// Features of central squares by backbone, split and size, each by the image's
/// place.
#[derive(Default)]
pub struct Kept(Mutex<BTreeMap<Key, Rows>>);

/// Features of a split's images, by their places; `None` where they are not computed yet.
type Rows = Vec<Option<Box<[f32]>>>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    backbone: [u8; 32],
    train: bool,
    size: usize,
}

/// Features of the central squares of some images of a split, row by row; those that
/// are not known yet are computed. `None` if the run is stopped.
///
/// # Errors
/// Those of [`judge::logits`].
pub fn centres(
    run: &Run,
    weights: &Weights,
    images: &Arc<Vec<Image>>,
    shots: &[Shot],
    (outputs, size): (usize, usize),
) -> Result<Option<Vec<f32>>, TrainError> {
    let train = Arc::ptr_eq(images, &run.data.train);
    let key = Key { backbone: backbone(weights)?, train, size };
    let mut kept = run.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = kept.entry(key).or_insert_with(|| vec![None; images.len()]);
    let missing: Vec<Shot> =
        shots.iter().copied().filter(|shot| rows[shot.image].is_none()).collect();
    if !missing.is_empty() {
        let view = View::Centre(run.recipe.input.crop);
        let sizes = (outputs, size);
        let found = judge::features_of(run, weights, (images, &missing), view, sizes, run.device)?;
        let Some(found) = found else { return Ok(None) };
        let width = run.architecture.plan().features;
        for (shot, row) in missing.iter().zip(found.chunks_exact(width)) {
            rows[shot.image] = Some(row.into());
        }
    }
    let rows = shots.iter().filter_map(|shot| rows[shot.image].as_deref());
    Ok(Some(rows.flatten().copied().collect()))
}

/// Logits of features, row by row.
///
/// # Errors
/// [`TrainError::Weights`].
pub fn classified(
    run: &Run,
    weights: &Weights,
    features: &[f32],
    outputs: usize,
) -> Result<Vec<f32>, TrainError> {
    let width = run.architecture.plan().features;
    let of = weights.values("classifier.1.weight", &[outputs, width])?;
    let bias = weights.values("classifier.1.bias", &[outputs])?;
    let logits = |row: &[f32]| -> Vec<f32> {
        of.chunks_exact(width).zip(&bias).map(|(of, bias)| dot(row, of) + bias).collect()
    };
    let rows = features.par_chunks_exact(width);
    Ok(run.pool.install(|| rows.flat_map_iter(logits).collect()))
}

/// SHA-256 of all tensors but the classifier's.
fn backbone(weights: &Weights) -> Result<[u8; 32], WeightsError> {
    let mut hash = Sha256::new();
    for (name, tensor) in weights.iter().filter(|(name, _)| !name.starts_with("classifier.")) {
        let values = weights.values(name, tensor.dims())?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        hash.update(name);
        hash.update(bytes);
    }
    Ok(hash.finalize().into())
}

/// How features of a phase came to be at hand.
pub enum Prepared {
    /// They were.
    Already,
    /// They were computed.
    Now,
}

/// A classifier that learns, and the features of the phase at hand.
pub struct OnFeatures {
    /// What learns.
    pub learner: HeadLearner,
    /// What it began with: the backbone is its.
    weights: Weights,
    size: usize,
    /// Where in a view an image of the training split is, by its place.
    rows: Vec<usize>,
    /// Of each view, features row by row.
    views: Vec<Vec<f32>>,
    val: Vec<f32>,
}

impl OnFeatures {
    /// With features of nothing yet.
    pub fn new(learner: HeadLearner, weights: Weights) -> Self {
        let (rows, views, val) = (Vec::new(), Vec::new(), Vec::new());
        Self { learner, weights, size: 0, rows, views, val }
    }

    /// Computes the features of a phase's images, of `size` pixels a side, if they are
    /// not those at hand; `None` if the run is stopped.
    ///
    /// # Errors
    /// Those of [`judge::logits`].
    pub fn prepare(
        &mut self,
        run: &Run,
        plan: &Plan,
        size: usize,
    ) -> Result<Option<Prepared>, TrainError> {
        if self.size == size {
            return Ok(Some(Prepared::Already));
        }
        let outputs = plan.model.outputs.len();
        let shots = plan.shots();
        let views = plan.training.views.unwrap_or(1);
        run.note(&format!(
            "{}: features of {} views of {} training images and of {} validation images, {size} \
             px, are computed once",
            plan.model.name,
            views,
            shots.len(),
            plan.val.len()
        ));
        self.rows = vec![usize::MAX; run.data.train.len()];
        shots.iter().enumerate().for_each(|(row, shot)| self.rows[shot.image] = row);
        self.views.clear();
        for epoch in 0..views {
            let view = View::Augmented {
                recipe: Arc::new(run.recipe.augmentation.clone()),
                seed: plan.seed,
                epoch,
                views: plan.training.views,
            };
            let images = (&run.data.train, &shots[..]);
            let found =
                judge::features_of(run, &self.weights, images, view, (outputs, size), run.device)?;
            let Some(found) = found else { return Ok(None) };
            self.views.push(found);
        }
        let val = centres(run, &self.weights, &run.data.val, &plan.val, (outputs, size))?;
        let Some(val) = val else { return Ok(None) };
        (self.val, self.size) = (val, size);
        Ok(Some(Prepared::Now))
    }

    /// Features of a batch of training images, of the pictures that `shots` show in an
    /// epoch, row by row.
    pub fn batch(&self, plan: &Plan, epoch: u32, shots: &[Shot]) -> Vec<f32> {
        let width = self.learner.features();
        let mut features = Vec::with_capacity(shots.len() * width);
        for shot in shots {
            let (view, _) = super::feed::drawn(plan.training.views, epoch, shot.repeat);
            // Without views there is one picture of each image.
            let view = &self.views[view as usize % self.views.len()];
            features.extend(&view[self.rows[shot.image] * width..][..width]);
        }
        features
    }

    /// Features of the validation images of the phase.
    pub fn val(&self) -> &[f32] {
        &self.val
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_the_sum_of_products() {
        for length in [0, 1, 15, 16, 17, 1280] {
            let a: Vec<f32> = (0..length).map(|k| (k as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..length).map(|k| (k as f32 * 0.11).cos()).collect();
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a * b)).sum();
            assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-4, "{length}");
        }
    }
}
