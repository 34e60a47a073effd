//! How far a picture's features lie from those of the galaxies that a model
//! learned from: what tells stars, artefacts and mergers, to cut them or to look
//! for them.
//!
//! Features are the vector that the first network's classifier sees. Of what
//! galaxies learned from have, the mean and the directions in which they vary
//! most were kept, with the variance along each; what lies outside of these
//! directions has a variance of its own (probabilistic principal components,
//! Tipping & Bishop 1999). The distance is Mahalanobis':
//!
//! ```text
//! d² = Σ (vᵢ·(x − μ))² / λᵢ  +  |x − μ|² − Σ (vᵢ·(x − μ))²) / σ²
//! ```
//!
//! A row's oddness is its percentile among galaxies that were not learned from,
//! of which half lie below 50. How it is fitted is [`crate::train`]'s.
//!
//! Invariant: a value is finite, has the shape that its description says, and its
//! distances ascend.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::weights::{Weights, WeightsError};

/// What a model file says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The network whose features it takes.
    pub network: String,
    /// Length of the feature vector.
    pub features: usize,
    /// Directions that are kept.
    pub components: usize,
    /// Galaxies, learned from, whose features were fitted.
    pub fitted: u64,
    /// Galaxies, not learned from, whose percentiles are told.
    pub held_out: u64,
}

/// Distances from 0 to 100 %, a tenth of a percent apart.
pub const DISTANCES: usize = 1001;

/// The most directions that a file may keep.
const MOST: usize = 4096;

impl About {
    /// Whether its values make sense; if not, which does not.
    pub(super) fn check(&self) -> Result<(), String> {
        let rules = [
            ((1..=1 << 16).contains(&self.features), "oddness: features are not in 1…65536"),
            (
                (1..=MOST.min(self.features)).contains(&self.components),
                "oddness: more components than features, or none",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err((*what).into()),
            None => Ok(()),
        }
    }
}

/// The features of training galaxies, in short.
#[derive(Debug, Clone, PartialEq)]
pub struct Oddness {
    /// What it is of.
    pub about: About,
    /// `[features]`.
    pub mean: Vec<f32>,
    /// `[components][features]`, of length 1 and at right angles to each other.
    pub directions: Vec<f32>,
    /// Variance along each direction, and last that of what remains, a feature.
    pub variances: Vec<f32>,
    /// Distances of the galaxies held out, [`DISTANCES`] of them, ascending.
    pub distances: Vec<f32>,
}

impl Oddness {
    /// The distance of a feature vector.
    ///
    /// # Panics
    /// If it has another length.
    pub fn distance(&self, features: &[f32]) -> f32 {
        let length = self.mean.len();
        assert_eq!(features.len(), length, "features of another network");
        let off: Vec<f32> = features.iter().zip(&self.mean).map(|(x, mean)| x - mean).collect();
        let (mut along, mut inside) = (0.0_f64, 0.0_f64);
        for (direction, variance) in self.directions.chunks_exact(length).zip(&self.variances) {
            let part = f64::from(dot(direction, &off)).powi(2);
            along += part / f64::from(*variance);
            inside += part;
        }
        let rest = (f64::from(dot(&off, &off)) - inside).max(0.0);
        let variance = self.variances.last().copied().unwrap_or(1.0);
        (along + rest / f64::from(variance)).sqrt() as f32
    }

    /// The first `count` principal components of a feature vector: where it lies
    /// along the directions, from the mean.
    ///
    /// # Panics
    /// If it has another length, or there are not so many directions.
    pub fn components(&self, features: &[f32], count: usize) -> Vec<f32> {
        let length = self.mean.len();
        assert_eq!(features.len(), length, "features of another network");
        let off: Vec<f32> = features.iter().zip(&self.mean).map(|(x, mean)| x - mean).collect();
        let directions = self.directions[..count * length].chunks_exact(length);
        directions.map(|direction| dot(direction, &off)).collect()
    }

    /// The percentile of a distance among the galaxies held out, 0 to 100.
    pub fn percentile(&self, distance: f32) -> f32 {
        let above = self.distances.partition_point(|known| *known < distance);
        let steps = (self.distances.len() - 1) as f32;
        let Some(upper) = self.distances.get(above) else { return 100.0 };
        let Some(lower) = above.checked_sub(1) else { return 0.0 };
        let part = (distance - self.distances[lower]) / (upper - self.distances[lower]);
        100.0 * (lower as f32 + part) / steps
    }

    /// That of a feature vector; `None` if it is not finite.
    ///
    /// # Panics
    /// As [`Self::distance`].
    pub fn of(&self, features: &[f32]) -> Option<f32> {
        let distance = self.distance(features);
        distance.is_finite().then(|| self.percentile(distance))
    }

    /// Its tensors, by name.
    pub(super) fn tensors(&self) -> Result<BTreeMap<&'static str, Tensor>, WeightsError> {
        let tensor = |name: &'static str, values: &[f32], shape: &[usize]| {
            let tensor = Tensor::from_slice(values, shape, &Device::Cpu);
            tensor.map(|tensor| (name, tensor)).map_err(WeightsError::tensor(name))
        };
        Shapes::of(&self.about)
            .0
            .into_iter()
            .zip([&self.mean, &self.directions, &self.variances, &self.distances])
            .map(|((name, shape), values)| tensor(name, values, &shape))
            .collect()
    }

    /// That of which these are the tensors.
    pub(super) fn from_tensors(about: About, tensors: &Weights) -> Result<Self, WeightsError> {
        let shapes = Shapes::of(&about).0;
        let known = |name: &str| shapes.iter().any(|(own, _)| *own == name);
        if let Some((name, _)) = tensors.iter().find(|(name, _)| !known(name)) {
            return Err(WeightsError::Unexpected { name: name.to_owned() });
        }
        let values = |place: usize| tensors.values(shapes[place].0, &shapes[place].1);
        let found = Self {
            about: about.clone(),
            mean: values(0)?,
            directions: values(1)?,
            variances: values(2)?,
            distances: values(3)?,
        };
        let odd = |name: &str| WeightsError::Values { name: name.to_owned() };
        if found.variances.iter().any(|variance| *variance <= 0.0) {
            return Err(odd(shapes[2].0));
        }
        if found.distances.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(odd(shapes[3].0));
        }
        Ok(found)
    }
}

/// Names and shapes of the tensors, in the order of the fields.
struct Shapes([(&'static str, Vec<usize>); 4]);

impl Shapes {
    fn of(about: &About) -> Self {
        let About { features, components, .. } = *about;
        Self([
            ("mean", vec![features]),
            ("directions", vec![components, features]),
            ("variances", vec![components + 1]),
            ("distances", vec![DISTANCES]),
        ])
    }
}

/// A product of vectors, in sixteen sums side by side, in an order that no processor
/// changes.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
