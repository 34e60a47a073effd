//! From a model file and a pipeline to the line's parts.

use std::sync::Arc;

use super::{ClassifyError, line::Line, recipe::ResampleChoice, run::Options};
use crate::{
    cutout::{
        decode::DecodeOptions,
        prepare::{Preparation, Resample},
        rgb,
    },
    kernels::cpu::{Normalisation, PackedNetwork},
    network::{
        hierarchy::Hierarchy,
        model_file::Model,
        weights::{Weights, WeightsError},
    },
    source::remote::is_remote,
};

/// The bands of the run: the options', or those that the model was trained
/// with.
pub fn bands(options: &Options, model: &Model) -> [String; 3] {
    options.bands.clone().unwrap_or_else(|| model.description.input.bands.clone())
}

/// How bytes become pixels.
pub fn decode_options(options: &Options, model: &Model) -> DecodeOptions {
    let mut decode = DecodeOptions::for_bands(bands(options, model));
    if let Some(planes) = &options.cube_bands {
        decode.cube_bands.clone_from(planes);
    }
    decode
}

/// How pixels become crops: as the model file says. A pipeline may repeat it,
/// not contradict it.
///
/// # Errors
/// [`ClassifyError::Mismatch`] and [`ClassifyError::UnknownProfile`].
pub fn preparation(options: &Options, model: &Model) -> Result<Preparation, ClassifyError> {
    let input = &model.description.input;
    if let Some(asked) = options.rgb_profile.as_ref().filter(|p| **p != input.rgb_profile) {
        return Err(ClassifyError::Mismatch {
            what: "the RGB profile",
            asked: asked.clone(),
            model: input.rgb_profile.clone(),
        });
    }
    let profile = rgb::profile(&input.rgb_profile)
        .ok_or_else(|| ClassifyError::UnknownProfile { name: input.rgb_profile.clone() })?;
    Ok(Preparation {
        size: input.size,
        profile: profile.clone(),
        resample: match options.resample {
            ResampleChoice::None => None,
            ResampleChoice::Bilinear => Some(Resample::Bilinear),
            ResampleChoice::Lanczos3 => Some(Resample::Lanczos3),
        },
    })
}

/// Both networks of the model, packed for this processor.
///
/// # Errors
/// [`WeightsError`] if weights and architecture do not agree.
pub fn hierarchy(model: &Model) -> Result<Hierarchy, ClassifyError> {
    let description = &model.description;
    let network = |weights: &Weights, classes| -> Result<_, WeightsError> {
        let input = &description.input;
        let normalisation = Normalisation { mean: input.mean, std: input.std };
        let network = PackedNetwork::new(
            &description.architecture,
            classes,
            input.size,
            weights,
            normalisation,
        )?;
        Ok(Box::new(network))
    };
    let outputs = description.outputs;
    Ok(Hierarchy::new(
        network(&model.stage1, outputs.stage1.len())?,
        network(&model.stage2, outputs.stage2.len())?,
        outputs,
    )?)
}

/// The line for a model and its options.
///
/// # Errors
/// As [`preparation`] and [`hierarchy`], and if threads cannot be started.
pub fn line(
    options: &Options,
    model: &Model,
    preparation: Preparation,
) -> Result<Line, ClassifyError> {
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(options.workers)
        .thread_name(|i| format!("infer-{i}"))
        .build()
        .map_err(|source| ClassifyError::Threads { threads: options.workers, source })?;
    Ok(Line {
        decode: Arc::new(decode_options(options, model)),
        preparation: Arc::new(preparation),
        hierarchy: Arc::new(hierarchy(model)?),
        stage2: options.stage2,
        remote: options.inputs.iter().any(|input| is_remote(input)),
        batch: options.batch,
        workers: options.workers,
        threads: Arc::new(threads),
    })
}
