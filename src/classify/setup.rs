//! From a model file and a pipeline to the line's parts.

use std::sync::Arc;

use super::{
    ClassifyError, Device,
    hierarchy::Hierarchy,
    line::Line,
    recipe::{PrecisionChoice, ResampleChoice},
    run::Options,
};
use crate::{
    cutout::{
        colour,
        decode::DecodeOptions,
        prepare::{Preparation, Resample, Wide},
    },
    engine::{
        Engine, Infer, Normalisation, Precision,
        open::{self, Network, Opened, Pair},
    },
    line::{Crops, Front, LineError},
    model::{description::Input, model_file::Model},
    storage::remote::is_remote,
    tree::Stage2,
};

/// The bands of the run: the options', those of the profile that they name, or
/// those that the model was trained with.
pub fn bands(options: &Options, model: &Model) -> [String; 3] {
    let of_profile = || colour::profile(options.looks.profile.as_ref()?).map(|p| p.bands.clone());
    let of_model = || model.description.input.bands.clone();
    options.bands.clone().or_else(of_profile).unwrap_or_else(of_model)
}

/// How bytes become pixels.
pub fn decode_options(options: &Options, model: &Model) -> DecodeOptions {
    let mut decode = DecodeOptions::for_bands(bands(options, model));
    if let Some(planes) = &options.cube_bands {
        decode.cube_bands.clone_from(planes);
    }
    decode
}

/// How pixels become crops: as the model file says, and the options where they
/// say otherwise. A pipeline may repeat the model's profile, not contradict it.
///
/// # Errors
/// [`ClassifyError::Mismatch`] and [`ClassifyError::Line`].
pub fn preparation(options: &Options, model: &Model) -> Result<Preparation, ClassifyError> {
    let input = &model.description.input;
    if let Some(asked) = options.rgb_profile.as_ref().filter(|p| **p != input.rgb_profile) {
        return Err(ClassifyError::Mismatch {
            what: "the RGB profile",
            asked: asked.clone(),
            model: input.rgb_profile.clone(),
        });
    }
    let profile = options.looks.profile(&input.rgb_profile, &bands(options, model))?;
    let mut preparation = Preparation::new(input.size, profile);
    preparation.given.clone_from(&options.looks.given);
    preparation.wide = options.looks.wide.unwrap_or_default();
    if let Some(scale) = model.description.extras.training_scale {
        preparation.scale_per_radius = scale;
    }
    preparation.resample = match options.resample {
        ResampleChoice::None => None,
        ResampleChoice::Bilinear => Some(Resample::Bilinear),
        ResampleChoice::Lanczos3 => Some(Resample::Lanczos3),
    };
    Ok(preparation)
}

/// How the first version prepared what its runs pinned: bands by the formula
/// that the model's profile names, their numbers as they are.
///
/// # Errors
/// [`LineError::UnknownProfile`].
pub fn of_old(input: &Input, now: &Preparation) -> Result<Preparation, LineError> {
    let profile = colour::profile(&input.rgb_profile)
        .ok_or_else(|| LineError::UnknownProfile { name: input.rgb_profile.clone() })?;
    let mut then = Preparation::new(now.size, profile.clone());
    then.resample = now.resample;
    then.wide = Wide::Crop;
    Ok(then)
}

/// How cutouts are read and decoded.
pub fn front(options: &Options, model: &Model) -> Front {
    Front {
        decode: Arc::new(decode_options(options, model)),
        remote: options.inputs.iter().any(|input| is_remote(input)),
        workers: options.workers,
    }
}

/// How they become what the networks see.
///
/// # Errors
/// As [`preparation`].
pub fn crops(options: &Options, model: &Model) -> Result<Crops, ClassifyError> {
    Ok(Crops { preparation: Arc::new(preparation(options, model)?), observed: Arc::default() })
}

/// The precision that is asked for; `pinned` is that of the run that is
/// resumed.
///
/// # Errors
/// [`ClassifyError::Engine`] if the engine does not compute on the devices.
pub fn precision(options: &Options, pinned: Option<Precision>) -> Result<Precision, ClassifyError> {
    let engine = Engine::on(options.devices.first(), options.engine)?;
    Ok(match options.precision {
        PrecisionChoice::Auto => pinned.unwrap_or_else(|| engine.fastest()),
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::Bf16 => Precision::Bf16,
    })
}

/// The networks of the model on `device`, and what to tell of it: two on a GPU,
/// one after the other, as one piece of work; others each by itself.
///
/// # Errors
/// [`ClassifyError::Weights`] if weights and architecture do not agree,
/// [`ClassifyError::NoPrecision`] if the processor does not have it,
/// [`ClassifyError::Gpu`].
pub fn hierarchy(
    options: &Options,
    model: &Model,
    device: Device,
    precision: Precision,
) -> Result<(Hierarchy, Option<String>), ClassifyError> {
    let description = &model.description;
    let (input, scheme) = (&description.input, Arc::new(description.scheme.clone()));
    let named = description.networks().zip(&model.networks);
    let networks: Vec<Network<'_>> = named
        .map(|((network, architecture), weights)| Network {
            architecture,
            outputs: network.outputs(),
            size: input.size,
            normalisation: Normalisation { mean: input.mean, std: input.std },
            weights,
        })
        .collect();
    let gpu = device != Device::Cpu;
    if let (true, Some(combined), &[first, second]) = (gpu, scheme.cascade(), &networks[..])
        && first.architecture == second.architecture
    {
        let all = options.stage2 == Stage2::All;
        let pair = Pair { networks: [first, second], combined, all, batch: options.batch };
        let Opened { network, note } = open::pair(&pair, device, options.engine, precision)?;
        return Ok((Hierarchy::together(network, scheme)?, note));
    }
    let (mut opened, mut told): (Vec<Box<dyn Infer>>, _) = (Vec::new(), None);
    for network in networks {
        let batch = options.batch;
        let Opened { network, note } =
            open::infer(network, device, options.engine, precision, batch)?;
        opened.push(network);
        told = note;
    }
    Ok((Hierarchy::new(opened, scheme)?, told))
}

/// The line for a model and its options.
///
/// # Errors
/// As [`preparation`] and [`hierarchy`], and if threads cannot be started.
pub fn line(options: &Options, model: &Model, precision: Precision) -> Result<Line, ClassifyError> {
    let (front, crops) = (front(options, model), crops(options, model)?);
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(options.workers)
        .thread_name(|i| format!("infer-{i}"))
        .build()
        .map_err(|source| ClassifyError::Threads { threads: options.workers, source })?;
    let (mut hierarchies, mut notes) = (Vec::new(), Vec::new());
    for device in options.devices.each() {
        let (hierarchy, note) = hierarchy(options, model, device, precision)?;
        hierarchies.push(Arc::new(hierarchy));
        notes.extend(note);
    }
    Ok(Line {
        front,
        crops,
        hierarchies,
        stage2: options.stage2,
        batch: options.batch,
        threads: Arc::new(threads),
        notes,
    })
}
