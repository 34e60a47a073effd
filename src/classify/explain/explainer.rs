//! Networks that are asked where in a picture they see an answer.
//!
//! Most end in feature maps `A`, their averages over the `Z` pixels of a map, and a
//! linear layer `w`, `b`. So the logit of output `c` is a mean over the picture,
//! `b[c] + 1/Z Σₓ M(x)`, of the map `M(x) = Σₖ w[c][k] A[k](x)` (Zhou et al. 2016,
//! arXiv:1512.04150). Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) weighs the
//! feature maps by the mean gradient of the logit, which is `w[c][k]/Z`: what it shows
//! is `max(0, M)/Z`, the same picture, without a backward pass. The others (VGG-16,
//! ViT) have Grad-CAM by gradients.

use rayon::prelude::*;

use crate::classify::ClassifyError;
use crate::classify::hierarchy::Hierarchy;
use crate::cutout::Rejection;
use crate::draw::panels::{self, Placed};
use crate::engine::candle::GradCam;
use crate::engine::{Device, Engine, Infer, InferenceError, Normalisation, Precision};
use crate::engine::{Tensors, Want, open};
use crate::model::backbone::Grid;
use crate::model::model_file::Model;
use crate::tree::{Prediction, Scheme, Stage2};

/// Pictures that a network sees at once.
pub(super) const BATCH: usize = 16;

/// What a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapKind {
    /// Its mean and a bias are the logit.
    ClassActivation,
    /// Feature maps weighed by gradients.
    GradCam,
}

impl MapKind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClassActivation => "cam",
            Self::GradCam => "grad-cam",
        }
    }
}

/// Where a picture speaks for an answer.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Where the map's pixels lie.
    pub grid: Grid,
    /// `[side][side]`, what speaks against among it.
    pub map: Vec<f32>,
    /// What it is.
    pub kind: MapKind,
    /// The answer's logit.
    pub logit: f32,
}

impl Seen {
    /// The map where it lies in a picture.
    pub fn placed(&self) -> Placed<'_> {
        let Grid { side, first, step, field } = self.grid;
        Placed { map: &self.map, side, first, step, field }
    }

    /// The map at the size of a picture of so many pixels a side, as it is drawn: 0 to 1,
    /// without what speaks against.
    pub fn drawn(&self, size: usize) -> Vec<f32> {
        panels::heat(self.placed(), size, size)
    }
}

/// What a picture is, and where its networks see an answer.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What they say of it.
    pub prediction: Prediction,
    /// The answer that was asked about: a place in the tree's.
    pub answer: usize,
    /// Where it is seen.
    pub seen: Seen,
}

/// How a network is asked.
enum Asked {
    /// It, and the classifier's weights, `[outputs][features]`.
    Exactly(Box<dyn Infer>, Vec<f32>),
    /// By gradients.
    ByGradients(Box<GradCam>),
}

struct Explainable {
    name: String,
    grid: Grid,
    asked: Asked,
}

/// The networks of a model, in single precision on the processor.
pub struct Explainer {
    scheme: Scheme,
    networks: Vec<Explainable>,
}

impl Explainer {
    /// Makes a model's networks ready, with an engine or the usual one.
    ///
    /// # Errors
    /// [`ClassifyError::Network`] for a network that looks at turned views of a
    /// picture, and what engines say.
    pub fn new(model: &Model, engine: Option<Engine>) -> Result<Self, ClassifyError> {
        let input = &model.description.input;
        let named = model.description.networks().zip(&model.networks);
        let networks = named.map(|((network, architecture), weights)| {
            let plan = architecture.plan();
            let outputs = network.outputs();
            let Some(grid) = plan.grid(input.size) else {
                let what = "heat maps of a network that looks at turned and mirrored views: they \
                            are of no one place in the picture";
                return Err(InferenceError::Unsupported { engine: "candle", what }.into());
            };
            let opened = open::Network {
                architecture,
                outputs,
                size: input.size,
                normalisation: Normalisation { mean: input.mean, std: input.std },
                weights,
            };
            let asked = if plan.has_maps() {
                let name = format!("{}.weight", plan.classifier);
                let weight = weights.values(&name, &[outputs, plan.features])?;
                let room = open::Room::for_one(BATCH);
                let opened = open::infer(opened, Device::Cpu, engine, Precision::F32, room)?;
                Asked::Exactly(opened.network, weight)
            } else {
                Asked::ByGradients(Box::new(open::grad_cam(opened, engine)?))
            };
            Ok(Explainable { name: network.name.clone(), grid, asked })
        });
        let networks = networks.collect::<Result<_, ClassifyError>>()?;
        Ok(Self { scheme: model.description.scheme.clone(), networks })
    }

    /// What the outputs mean.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The network that gives an answer.
    pub fn network(&self, answer: usize) -> &str {
        &self.networks[self.source(answer).0].name
    }

    /// Pixels a side of the maps of an answer, or of all classes'.
    ///
    /// # Errors
    /// [`ClassifyError::Maps`] if classes' networks have maps of different sizes, which fit
    /// into no array.
    pub fn side(&self, answer: Option<usize>) -> Result<usize, ClassifyError> {
        let of = |answer: usize| {
            let network = &self.networks[self.source(answer).0];
            (network.grid.side, network.name.as_str())
        };
        if let Some(answer) = answer {
            return Ok(of(answer).0);
        }
        let classes = self.scheme.tree().classes().iter().map(|class| of(class.answer));
        let mut sizes: Vec<(usize, &str)> = classes.collect();
        sizes.sort_unstable();
        sizes.dedup_by_key(|(side, _)| *side);
        match sizes[..] {
            [(side, _)] => Ok(side),
            _ => {
                let each = sizes.iter().map(|(side, network)| format!("{side} ({network})"));
                Err(ClassifyError::Maps { sides: each.collect::<Vec<_>>().join(" and ") })
            }
        }
    }

    /// Which network gives an answer, and by which output.
    fn source(&self, answer: usize) -> (usize, usize) {
        let networks = self.scheme.networks().iter().enumerate();
        let mut heads = networks.flat_map(|(at, n)| n.heads.iter().map(move |head| (at, head)));
        heads
            .find_map(|(network, head)| {
                let place = head.answers.iter().position(|own| *own == answer)?;
                Some((network, head.outputs.start + place))
            })
            .expect("every answer is given by a network of the scheme")
    }

    /// Pictures (see [`Infer::run`]) as they are classified, each with the map of `target`
    /// or, without one, of its own class: an outcome for each, in their order.
    ///
    /// # Errors
    /// [`ClassifyError::Network`] if the pictures could not be run.
    pub(in crate::classify) fn explanations(
        &self,
        hierarchy: &Hierarchy,
        stage2: Stage2,
        images: &[&[u8]],
        target: Option<usize>,
    ) -> Result<Vec<Result<Explanation, Rejection>>, ClassifyError> {
        let tree = self.scheme.tree();
        let predictions = hierarchy.classify(images, stage2)?;
        // Of each picture that has an outcome, the answer that it is asked about.
        let answer = |found: &Prediction| target.unwrap_or(tree.classes()[found.class].answer);
        let both = images.iter().zip(&predictions);
        let asked: Vec<(&[u8], usize)> = both
            .filter_map(|(image, found)| Some((*image, answer(found.as_ref().ok()?))))
            .collect();
        let mut maps = self.explain(&asked)?.into_iter();
        let mut explained = |prediction: Prediction| {
            let answer = answer(&prediction);
            let seen = maps.next().expect("a map for each outcome");
            Explanation { prediction, answer, seen }
        };
        Ok(predictions.into_iter().map(|found| found.map(&mut explained)).collect())
    }

    /// Of each picture (see [`Infer::run`]) where it speaks for an answer, in their
    /// order.
    ///
    /// # Errors
    /// [`ClassifyError::Network`] if a picture has not the networks' size.
    pub fn explain(&self, asked: &[(&[u8], usize)]) -> Result<Vec<Seen>, ClassifyError> {
        let mut found: Vec<Option<Seen>> = vec![None; asked.len()];
        let sources: Vec<(usize, usize)> =
            asked.iter().map(|(_, answer)| self.source(*answer)).collect();
        for (place, network) in self.networks.iter().enumerate() {
            let own: Vec<usize> = (0..asked.len()).filter(|k| sources[*k].0 == place).collect();
            for batch in own.chunks(BATCH) {
                let images = batch.iter().map(|k| (asked[*k].0, sources[*k].1)).collect::<Vec<_>>();
                let seen = network.explain(&images)?;
                batch.iter().zip(seen).for_each(|(k, seen)| found[*k] = Some(seen));
            }
        }
        Ok(found.into_iter().map(|seen| seen.expect("every network was asked")).collect())
    }
}

impl Explainable {
    /// Images, each with an output.
    fn explain(&self, images: &[(&[u8], usize)]) -> Result<Vec<Seen>, InferenceError> {
        let grid = self.grid;
        match &self.asked {
            Asked::Exactly(network, weight) => {
                let pixels: Vec<&[u8]> = images.iter().map(|(pixels, _)| *pixels).collect();
                let mut found = Tensors::default();
                network.run(&pixels, Want::LOGITS | Want::MAPS, &mut found)?;
                let (features, plane) = (network.features(), network.map_side().pow(2));
                let all = images.iter().zip(found.maps.chunks_exact(features * plane));
                let logits = found.logits.chunks_exact(network.outputs());
                let seen = |((&(_, output), maps), logits): ((&(_, usize), &[f32]), &[f32])| Seen {
                    grid,
                    map: activation(maps, &weight[output * features..][..features], plane),
                    kind: MapKind::ClassActivation,
                    logit: logits[output],
                };
                Ok(all.zip(logits).map(seen).collect())
            }
            Asked::ByGradients(network) => images
                .par_iter()
                .map(|&(pixels, output)| {
                    let (map, logit) = network.of(pixels, output)?;
                    Ok(Seen { grid, map, kind: MapKind::GradCam, logit })
                })
                .collect(),
        }
    }
}

/// The class-activation map of an output, `[plane]`: the sum of feature maps
/// (`[features][plane]`), each by the output's weight for it.
pub fn activation(maps: &[f32], weight: &[f32], plane: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; plane];
    for (map, weight) in maps.chunks_exact(plane).zip(weight) {
        let weight = f64::from(*weight);
        sums.iter_mut().zip(map).for_each(|(sum, value)| *sum += weight * f64::from(*value));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_the_weighted_sum_of_feature_maps() {
        let maps = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0];
        assert_eq!(activation(&maps, &[2.0, -0.5], 4), [-3.0, -6.0, -9.0, -12.0]);
    }
}
