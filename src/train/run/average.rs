//! One model of the weights that runs kept: their mean, parameter by
//! parameter (Wortsman et al. 2022, arXiv:2203.05482). Epochs that came from
//! one another lie in one valley of the loss; their mean lies lower and costs
//! nothing more to use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::json;

use super::TrainError;
use crate::model::architecture::Architecture;
use crate::model::model_file::Model;
use crate::model::parameters::parameters;
use crate::model::saved_weights::{self, SavedWeights};
use crate::model::weights::{Weights, WeightsError};

/// The model, each of its networks the mean of those of `files` (kept
/// weights, see [`crate::train::run`]) that have its name; a network without
/// any stays as it is. Metrics are left out, and so are calibration and oddness of
/// networks that change: they were the old weights'.
///
/// # Errors
/// [`TrainError::Checkpoint`] for a file that is not weights of such a
/// network, and what reading says.
pub fn average(mut model: Model, files: &[PathBuf]) -> Result<Model, TrainError> {
    let mut found: BTreeMap<usize, Vec<(&Path, SavedWeights)>> = BTreeMap::new();
    for path in files {
        let wrong = |what: &str| TrainError::Checkpoint { path: path.clone(), what: what.into() };
        let kept =
            saved_weights::read(path)?.ok_or_else(|| wrong("not weights that a run kept"))?;
        let mut networks = model.description.networks().enumerate();
        let named = networks.find(|(_, (network, _))| network.name == kept.description.model);
        let (place, (_, architecture)) =
            named.ok_or_else(|| wrong("weights of none of the model's networks"))?;
        if !model.description.scheme.means(place, &kept.description.outputs)
            || !same(&kept.description.architecture, architecture)
        {
            return Err(wrong("weights of another network than the model's"));
        }
        if kept.description.input.as_ref().is_some_and(|input| *input != model.description.input) {
            return Err(wrong(
                "weights of a network that was fed otherwise than the model's: another size, \
                 normalisation, other bands or colours",
            ));
        }
        found.entry(place).or_default().push((path, kept));
    }
    let mut told = BTreeMap::new();
    for (&place, kept) in &found {
        model.networks[place] = mean(&model.description.architectures[place], kept)?;
        let of = |(path, kept): &(&Path, SavedWeights)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            json!({ "file": name, "sha256": kept.digest, "run": kept.description.run })
        };
        let name = model.description.scheme.networks()[place].name.clone();
        told.insert(name, kept.iter().map(of).collect::<Vec<_>>());
    }
    let provenance = &mut model.description.provenance;
    provenance.metrics.clear();
    provenance.card = None;
    provenance.other.remove("epochs");
    provenance.other.insert("mean_of".into(), json!(told));
    // What was fitted to the old weights says nothing of the new ones.
    found.keys().for_each(|&place| model.description.scheme.uncalibrate(place));
    model.description.extras.operating_point = None;
    let networks = model.description.scheme.networks();
    let features_of = model.oddness.as_ref().map(|oddness| &*oddness.about.network);
    if found.keys().any(|&place| features_of == Some(&*networks[place].name)) {
        model.set_oddness(None);
    }
    model.digest = None;
    Ok(model)
}

/// Whether weights of one run as those of the other.
fn same(a: &Architecture, b: &Architecture) -> bool {
    a.same_layers(b) && a.bn_eps == b.bn_eps && a.padding == b.padding
}

fn mean(
    architecture: &Architecture,
    kept: &[(&Path, SavedWeights)],
) -> Result<Weights, WeightsError> {
    let classes = kept.first().map_or(0, |(_, kept)| kept.description.outputs.len());
    let mut weights = Weights::new();
    for parameter in parameters(architecture, classes) {
        let (name, shape) = (&*parameter.name, parameter.shape.as_slice());
        let mut sum = vec![0.0; shape.iter().product()];
        for (_, kept) in kept {
            for (sum, value) in sum.iter_mut().zip(kept.weights.values(name, shape)?) {
                *sum += f64::from(value);
            }
        }
        let mean: Vec<f32> = sum.iter().map(|sum| (sum / kept.len() as f64) as f32).collect();
        let tensor = Tensor::from_vec(mean, shape, &Device::Cpu);
        weights.insert(name, tensor.map_err(WeightsError::tensor(name))?);
    }
    Ok(weights)
}
