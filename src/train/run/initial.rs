//! What a model starts from: a model file, saved weights, other people's
//! weights, or nothing.
//!
//! A classifier is taken over where its outputs are those of the recipe in
//! the same order, and made anew otherwise. Random weights are drawn as the
//! families were (He et al. 2015, arXiv:1502.01852, by the fan out; dense layers
//! as PyTorch's `Linear`; patches by the fan in and places with a deviation of
//! 0.02, as torchvision's ViT), from a stream a tensor.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::TrainError;
use crate::model::architecture::Architecture;
use crate::model::import::{self, Foreign};
use crate::model::model_file::{Model, ModelError};
use crate::model::parameters::{Parameter, parameters};
use crate::model::saved_weights::{self, SavedWeights};
use crate::model::weights::{Weights, WeightsError};
use crate::random::Stream;
use crate::train::recipe::{self, Recipe};

/// What the models of a run start from.
pub enum Initial {
    /// Random numbers.
    Random,
    /// A model file, and its path.
    Model(Box<Model>, PathBuf),
    /// Weights that a run kept, and their path.
    SavedWeights(Box<SavedWeights>, PathBuf),
    /// Other people's weights.
    Foreign(Foreign),
}

impl Initial {
    /// What `path` holds; [`Initial::Random`] without one.
    ///
    /// # Errors
    /// [`TrainError::InitialModel`], [`TrainError::InitialWeights`].
    pub fn read(path: Option<&Path>) -> Result<Self, TrainError> {
        let Some(path) = path else { return Ok(Self::Random) };
        match Model::read(path) {
            Ok(model) => return Ok(Self::Model(Box::new(model), path.to_owned())),
            // Not of the program's own format, which leaves the others'.
            Err(ModelError::NotAModel { .. } | ModelError::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match saved_weights::read(path)? {
            Some(kept) => Ok(Self::SavedWeights(Box::new(kept), path.to_owned())),
            None => Ok(Self::Foreign(import::read(path)?)),
        }
    }

    /// The file's name and SHA-256, hexadecimal.
    pub fn identity(&self) -> Option<(String, String)> {
        let (path, digest) = match self {
            Self::Random => return None,
            Self::Model(model, path) => (path, model.digest.clone().unwrap_or_default()),
            Self::SavedWeights(kept, path) => (path, kept.digest.clone()),
            Self::Foreign(foreign) => (&foreign.path, foreign.digest.clone()),
        };
        Some((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), digest))
    }

    /// The recipe's architecture, with epsilon and padding of what it starts
    /// from.
    ///
    /// # Errors
    /// [`TrainError::Initial`] if that is of another architecture.
    pub fn architecture(&self, recipe: &Recipe) -> Result<Architecture, TrainError> {
        let named = Architecture::named(&recipe.architecture).ok_or_else(|| {
            TrainError::Recipe(format!("architecture {:?} is not known", recipe.architecture))
        })?;
        let mut architecture = named.for_images(recipe.input.crop);
        architecture.dropout = recipe.dropout;
        let found = match self {
            Self::Random => return Ok(architecture),
            // The others of a file are held against it with their tensors.
            Self::Model(model, path) => (&model.description.architectures[0], path),
            Self::SavedWeights(kept, path) => (&kept.description.architecture, path),
            Self::Foreign(foreign) => {
                if let (Some(theirs), Some(own)) = (foreign.image(), architecture.image)
                    && theirs != own
                {
                    let own = told(&architecture);
                    let what = format!(
                        "weights for crops of {theirs} pixels, while the recipe trains {own}"
                    );
                    return Err(TrainError::Initial { path: foreign.path.clone(), what });
                }
                (architecture.bn_eps, architecture.padding) =
                    foreign.naming.conventions(&architecture);
                return Ok(architecture);
            }
        };
        let (found, path) = found;
        if !found.same_layers(&architecture) {
            let what = format!("{}, while the recipe trains {}", told(found), told(&architecture));
            return Err(TrainError::Initial { path: path.clone(), what });
        }
        (architecture.bn_eps, architecture.padding) = (found.bn_eps, found.padding);
        Ok(architecture)
    }

    /// The weights that a model of the recipe starts from.
    ///
    /// # Errors
    /// Those of the file.
    pub fn weights(
        &self,
        architecture: &Architecture,
        model: &recipe::Model,
        seed: u64,
    ) -> Result<Weights, TrainError> {
        let classes = model.outputs.len();
        let parameters = parameters(architecture, classes);
        let (mut weights, keeps_head) = match self {
            Self::Random => (random(&parameters, seed)?, true),
            Self::Model(file, _) => {
                // The network of its name, or the first: a backbone is one.
                let scheme = &file.description.scheme;
                let named = scheme.networks().iter().position(|n| n.name == model.name);
                let place = named.unwrap_or(0);
                (file.networks[place].clone(), scheme.means(place, &model.outputs))
            }
            Self::SavedWeights(kept, _) => {
                (kept.weights.clone(), kept.description.outputs == model.outputs)
            }
            Self::Foreign(foreign) => {
                let same = foreign.classes() == Some(classes);
                (foreign.network(architecture, classes, seed, &format!("{}.", model.name))?, same)
            }
        };
        if !keeps_head {
            for parameter in parameters.iter().filter(|p| architecture.is_classifier(&p.name)) {
                weights.insert(&*parameter.name, drawn(parameter, seed)?);
            }
        }
        weights.check(&parameters)?;
        Ok(weights)
    }
}

/// An architecture by name, and by its crops where it is for one size of them.
fn told(architecture: &Architecture) -> String {
    match architecture.image {
        Some(side) => format!("{} for crops of {side} pixels", architecture.name),
        None => architecture.name.clone(),
    }
}

fn random(parameters: &[Parameter], seed: u64) -> Result<Weights, WeightsError> {
    let mut weights = Weights::new();
    for parameter in parameters {
        weights.insert(&*parameter.name, drawn(parameter, seed)?);
    }
    Ok(weights)
}

/// One tensor before it learned anything.
fn drawn(parameter: &Parameter, seed: u64) -> Result<Tensor, WeightsError> {
    let Parameter { name, shape } = parameter;
    let count: usize = shape.iter().product();
    let mut stream = Stream::new("initial weights", seed, &[name.as_bytes()]);
    let values: Vec<f32> = match shape[..] {
        // Depthwise kernels have one output a channel, others all of them.
        [outputs, inputs, height, width] => {
            let outputs = if inputs == 1 { 1 } else { outputs };
            let deviation = match name.as_str() {
                "conv_proj.weight" => (1.0 / (inputs * height * width) as f64).sqrt(),
                _ => (2.0 / (outputs * height * width) as f64).sqrt(),
            };
            (0..count).map(|_| (deviation * normal(&mut stream)) as f32).collect()
        }
        [_, features] => {
            let bound = 1.0 / (features as f64).sqrt();
            (0..count).map(|_| stream.uniform(-bound, bound) as f32).collect()
        }
        _ if name == "encoder.pos_embedding" => {
            (0..count).map(|_| (0.02 * normal(&mut stream)) as f32).collect()
        }
        _ => {
            let scales = !name.starts_with("classifier.") && name.ends_with(".weight");
            vec![if scales || name.ends_with("running_var") { 1.0 } else { 0.0 }; count]
        }
    };
    Tensor::from_vec(values, shape.as_slice(), &Device::Cpu).map_err(WeightsError::tensor(name))
}

/// A standard normal number (Box & Muller 1958).
fn normal(stream: &mut Stream) -> f64 {
    // 1 − u is in (0, 1], so that its logarithm is finite.
    let radius = (-2.0 * (1.0 - stream.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * stream.unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_weights_have_the_family_s_variance() {
        let of = |name: &str, shape: &[usize]| {
            let parameter = Parameter { name: name.into(), shape: shape.to_vec() };
            let tensor = drawn(&parameter, 3).unwrap().flatten_all().unwrap();
            let values = tensor.to_vec1::<f32>().unwrap();
            let n = values.len() as f64;
            values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n
        };
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.1;
        assert!(near(of("a.weight", &[100, 50, 1, 1]), 2.0 / 100.0));
        assert!(near(of("b.weight", &[400, 1, 5, 5]), 2.0 / 25.0));
        assert!(near(of("classifier.1.weight", &[4, 1280]), 1.0 / (3.0 * 1280.0)));
        assert_eq!(of("c.1.weight", &[16]), 1.0);
        assert_eq!(of("c.1.running_var", &[16]), 1.0);
        assert_eq!(of("c.1.bias", &[16]) + of("classifier.1.bias", &[4]), 0.0);
    }

    #[test]
    fn a_model_file_s_head_is_kept_where_it_means_the_same() {
        let recipe = Recipe::read(Path::new("train-hiwl")).unwrap();
        let nano = Architecture::nano();
        let file = Model::seeded(nano.clone(), 240, 5).unwrap();
        let initial = Initial::Model(Box::new(file.clone()), "model".into());
        let head = |w: &Weights| {
            let tensor = w.get("classifier.1.weight").unwrap().flatten_all().unwrap();
            tensor.to_vec1::<f32>().unwrap()
        };
        let [stage1, stage2] = &recipe.models[..] else { panic!("two models") };
        assert_eq!(head(&initial.weights(&nano, stage1, 1).unwrap()), head(&file.networks[0]));
        assert_eq!(head(&initial.weights(&nano, stage2, 1).unwrap()), head(&file.networks[1]));
        let turned = recipe::Model {
            outputs: vec![vec!["EO".into()], vec!["CSS".into()]],
            ..stage2.clone()
        };
        let weights = initial.weights(&nano, &turned, 1).unwrap();
        assert_ne!(head(&weights), head(&file.networks[1]));
        let at = "features.0.0.weight";
        let values =
            |w: &Weights| w.get(at).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&weights), values(&file.networks[1]));

        let error = initial.architecture(&recipe).unwrap_err().to_string();
        assert!(
            error.contains("efficientnet-nano") && error.contains("efficientnet-b1"),
            "{error}"
        );
    }
}
