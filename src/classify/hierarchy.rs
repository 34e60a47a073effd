//! A model's networks, run over its tree: which images a network sees follows
//! from what the networks before it said.
//!
//! It turns crops into predictions. What computes a network is behind
//! [`Infer`], what its logits mean is [`crate::tree`]'s, so that every
//! execution of the networks is routed by the same code.
//!
//! Invariant: one outcome per image, in order, and an outcome depends on its
//! image only, never on the batch it came in.

use std::sync::Arc;

use super::kept::Keeping;
use crate::cutout::{Reason, Rejection};
use crate::engine::{Infer, InferPair, InferenceError, PairTensors, Tensors, Want};
use crate::model::oddness::Oddness;
use crate::tree::{Answered, Given, Prediction, Scheme, Stage2, route};

/// How the networks are run.
enum Networks {
    /// Each by itself.
    Apart(Vec<Box<dyn Infer>>),
    /// Two as one.
    Together(Box<dyn InferPair>),
}

/// The networks of a model and what their outputs mean.
pub struct Hierarchy {
    networks: Networks,
    scheme: Arc<Scheme>,
    /// By which rows say how odd they are.
    oddness: Option<Arc<Oddness>>,
    /// What rows keep of the first network's features, if anything.
    keeping: Option<Keeping>,
}

impl Hierarchy {
    /// Joins the networks of a scheme, in its order.
    ///
    /// # Errors
    /// [`InferenceError::Classes`] unless each has as many outputs as the
    /// scheme says.
    ///
    /// # Panics
    /// Unless there are as many networks as the scheme has.
    pub fn new(networks: Vec<Box<dyn Infer>>, scheme: Arc<Scheme>) -> Result<Self, InferenceError> {
        let outputs: Vec<usize> = networks.iter().map(|network| network.outputs()).collect();
        check_outputs(&scheme, &outputs)?;
        Ok(Self { networks: Networks::Apart(networks), scheme, oddness: None, keeping: None })
    }

    /// Two networks that are run as one: the second sees the images for which
    /// the first's greatest output is [`Scheme::cascade`]'s, or all.
    ///
    /// # Errors
    /// As [`Hierarchy::new`].
    ///
    /// # Panics
    /// If the scheme is none of two networks that can be run so.
    pub fn together(
        networks: Box<dyn InferPair>,
        scheme: Arc<Scheme>,
    ) -> Result<Self, InferenceError> {
        assert!(scheme.cascade().is_some(), "a scheme of two networks, one after the other");
        check_outputs(&scheme, &networks.outputs())?;
        Ok(Self { networks: Networks::Together(networks), scheme, oddness: None, keeping: None })
    }

    /// The same with predictions that say how odd they are, by the features of the
    /// first network, which come with its logits.
    ///
    /// # Errors
    /// [`InferenceError::Features`] if these are another network's.
    pub fn telling(self, oddness: Option<Arc<Oddness>>) -> Result<Self, InferenceError> {
        let found = self.features_len();
        match &oddness {
            Some(oddness) if oddness.about.features != found => {
                Err(InferenceError::Features { expected: oddness.about.features, found })
            }
            _ => Ok(Self { oddness, ..self }),
        }
    }

    /// The same with predictions that keep something of the first network's
    /// features, which come with its logits.
    ///
    /// # Errors
    /// [`InferenceError::Features`] if these are another network's.
    pub fn keeping(self, keeping: Option<Keeping>) -> Result<Self, InferenceError> {
        let (found, expected) = match &keeping {
            None => return Ok(self),
            Some(Keeping::All(expected)) => (self.features_len(), *expected),
            Some(Keeping::Components(oddness, _)) => (self.features_len(), oddness.about.features),
        };
        if found != expected {
            return Err(InferenceError::Features { expected, found });
        }
        Ok(Self { keeping, ..self })
    }

    /// What the outputs mean.
    pub fn scheme(&self) -> &Arc<Scheme> {
        &self.scheme
    }

    /// Batches that are worth running at once, each from a thread of its own.
    pub fn lanes(&self) -> usize {
        match &self.networks {
            Networks::Apart(networks) => {
                networks.iter().map(|network| network.lanes()).min().unwrap_or(1)
            }
            Networks::Together(networks) => networks.lanes(),
        }
    }

    /// Classifies a batch of crops (see [`Infer::run`]): one outcome per image,
    /// in order. Networks after the first see the images that `stage2` says,
    /// gathered into one batch.
    ///
    /// An image for which a network's output is not finite is rejected; the
    /// others of its batch are not touched by it.
    ///
    /// # Errors
    /// [`InferenceError`] if the batch could not be run.
    ///
    /// # Panics
    /// If two networks are run as one, and with another `stage2`.
    pub fn classify(
        &self,
        images: &[&[u8]],
        stage2: Stage2,
    ) -> Result<Vec<Result<Prediction, Rejection>>, InferenceError> {
        let tree = self.scheme.tree();
        let asked = self.oddness.is_some() || self.keeping.is_some();
        let want = if asked { Want::LOGITS | Want::FEATURES } else { Want::LOGITS };
        let length = self.features_len();
        let PairTensors { logits: mut pair, mut features } = match &self.networks {
            Networks::Apart(_) => PairTensors::default(),
            Networks::Together(networks) => {
                assert_eq!(networks.sees_all(), stage2 == Stage2::All, "made to route otherwise");
                networks.run(images, want)?
            }
        };
        let mut rows: Vec<Row> = images.iter().map(|_| Row::new(&self.scheme)).collect();
        let mut logits = Vec::new();
        for (place, network) in self.scheme.networks().iter().enumerate() {
            let wants = |row: &Row| {
                let asked = place == 0 || stage2 == Stage2::All;
                row.failed.is_none() && (asked || self.scheme.wants(place, &row.given))
            };
            let seen: Vec<usize> = (0..rows.len()).filter(|&image| wants(&rows[image])).collect();
            let outputs = network.outputs();
            let (found, gathered) = match &self.networks {
                Networks::Apart(networks) => {
                    let chosen: Vec<&[u8]> = seen.iter().map(|&image| images[image]).collect();
                    // The first sees all images, in their order.
                    let want = if place == 0 { want } else { Want::LOGITS };
                    let found = run(networks[place].as_ref(), &chosen, want)?;
                    if place == 0 {
                        features = found.features;
                    }
                    (found.logits, true)
                }
                Networks::Together(_) => (std::mem::take(&mut pair[place]), false),
            };
            for (order, image) in seen.into_iter().enumerate() {
                let at = outputs * if gathered { order } else { image };
                let own = &found[at..at + outputs];
                let row = &mut rows[image];
                if !own.iter().all(|logit| logit.is_finite()) {
                    row.failed = Some(place);
                    continue;
                }
                for head in &network.heads {
                    row.given.take(tree, Answered { head, logits: &own[head.outputs.clone()] });
                }
                row.at[place] = Some(at);
            }
            logits.push(found);
        }
        let outcomes = rows.iter().enumerate().map(|(image, row)| {
            let mut prediction = self.outcome(row, &logits)?;
            let own = || &features[image * length..][..length];
            prediction.oddness = self.oddness.as_ref().and_then(|oddness| oddness.of(own()));
            if let Some(keeping) = &self.keeping {
                prediction.feature = keeping.of_features(own());
            }
            Ok::<_, Rejection>(prediction)
        });
        Ok(outcomes.collect())
    }

    /// Numbers of a feature vector of the first network.
    pub fn features_len(&self) -> usize {
        match &self.networks {
            Networks::Apart(networks) => networks.first().map_or(0, |first| first.features()),
            Networks::Together(networks) => networks.features(),
        }
    }

    /// The features of crops by the first network: `[images][features]`.
    ///
    /// # Errors
    /// [`InferenceError`] if the batch could not be run.
    pub fn features(&self, images: &[&[u8]]) -> Result<Vec<f32>, InferenceError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match &self.networks {
            Networks::Apart(networks) => {
                run(networks[0].as_ref(), images, Want::FEATURES)?.features
            }
            Networks::Together(networks) => networks.run(images, Want::FEATURES)?.features,
        })
    }

    /// What became of an image, from the logits of all networks.
    fn outcome(&self, row: &Row, logits: &[Vec<f32>]) -> Result<Prediction, Rejection> {
        if let Some(place) = row.failed {
            let what = format!("the network of stage {} overflows on it", place + 1);
            return Err(Rejection::new(Reason::NotFinite, what));
        }
        let networks = self.scheme.networks().iter().zip(logits).zip(&row.at);
        let answered: Vec<Answered<'_>> = networks
            .filter_map(|((network, logits), at)| Some((network, &logits[(*at)?..])))
            .flat_map(|(network, own)| {
                let heads = network.heads.iter();
                heads.map(move |head| Answered { head, logits: &own[head.outputs.clone()] })
            })
            .collect();
        Ok(route(self.scheme.tree(), &answered))
    }
}

/// An image on its way down the tree.
struct Row {
    given: Given,
    /// Where its logits begin among those of each network that saw it.
    at: Vec<Option<usize>>,
    /// The network whose output for it is not finite.
    failed: Option<usize>,
}

impl Row {
    fn new(scheme: &Scheme) -> Self {
        let at = vec![None; scheme.networks().len()];
        Self { given: Given::none(scheme.tree()), at, failed: None }
    }
}

/// That networks have the outputs that the scheme says.
fn check_outputs(scheme: &Scheme, found: &[usize]) -> Result<(), InferenceError> {
    assert_eq!(scheme.networks().len(), found.len(), "the networks of the scheme");
    for (place, (network, &found)) in scheme.networks().iter().zip(found).enumerate() {
        let expected = network.outputs();
        if found != expected {
            return Err(InferenceError::Classes { stage: place as u8 + 1, expected, found });
        }
    }
    Ok(())
}

/// What is wanted of images, row by row.
fn run(network: &dyn Infer, images: &[&[u8]], want: Want) -> Result<Tensors, InferenceError> {
    let mut found = Tensors::default();
    if !images.is_empty() {
        network.run(images, want, &mut found)?;
    }
    Ok(found)
}

#[cfg(test)]
#[path = "hierarchy_tests.rs"]
mod tests;
