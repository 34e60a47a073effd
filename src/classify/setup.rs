//! From a model file and a pipeline to the line's parts.

use std::sync::Arc;

use super::{
    ClassifyError, Device, Devices,
    hierarchy::Hierarchy,
    line::Line,
    recipe::{PrecisionChoice, ResampleChoice},
    run::Options,
};
use crate::{
    cutout::{
        decode::DecodeOptions,
        prepare::{Preparation, Resample},
        rgb,
    },
    engine::{
        Infer, Normalisation, Precision,
        cuda::{self, Alone, Cascade, CascadeOptions, CudaError},
        fused::{Backend, PackedNetwork},
    },
    model::model_file::Model,
    storage::remote::is_remote,
    tree::Stage2,
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

/// The precision that is asked for; `pinned` is that of the run that is
/// resumed.
pub fn precision(options: &Options, pinned: Option<Precision>) -> Precision {
    let on_cpu = options.devices == Devices::Cpu;
    let fastest = || if on_cpu { Precision::detect() } else { Precision::Bf16 };
    match options.precision {
        PrecisionChoice::Auto => pinned.unwrap_or_else(fastest),
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::Bf16 => Precision::Bf16,
    }
}

/// The networks of the model, packed for this processor.
///
/// # Errors
/// [`WeightsError`] if weights and architecture do not agree,
/// [`ClassifyError::NoPrecision`] if the processor does not have it.
///
/// [`WeightsError`]: crate::model::weights::WeightsError
pub fn hierarchy(model: &Model, precision: Precision) -> Result<Hierarchy, ClassifyError> {
    if !precision.is_available_on(Backend::detect()) {
        return Err(ClassifyError::NoPrecision { name: precision.name() });
    }
    let description = &model.description;
    let input = &description.input;
    let mut networks: Vec<Box<dyn Infer>> = Vec::new();
    for ((network, architecture), weights) in description.networks().zip(&model.networks) {
        let packed = PackedNetwork::with(
            architecture,
            network.outputs(),
            input.size,
            weights,
            Normalisation { mean: input.mean, std: input.std },
            Backend::detect(),
            precision,
        )?;
        networks.push(Box::new(packed));
    }
    Ok(Hierarchy::new(networks, Arc::new(description.scheme.clone()))?)
}

/// Batches under way on a GPU: one that computes, one whose pixels are copied,
/// one whose rows are being made.
const LANES: usize = 3;

/// The networks of the model on GPU `index`, and what to tell of it: two, one
/// after the other, as one piece of work; others each by itself.
///
/// # Errors
/// [`ClassifyError::Gpu`].
pub fn on_gpu(
    options: &Options,
    model: &Model,
    index: usize,
    precision: Precision,
) -> Result<(Hierarchy, String), ClassifyError> {
    let device = Device::Cuda(index);
    let failed = |error| match error {
        CudaError::Weights(error) => ClassifyError::Weights(error),
        source => ClassifyError::Gpu { device, source },
    };
    let gpu = cuda::open(index, precision).map_err(failed)?;
    let description = &model.description;
    let (size, scheme) = (description.input.size, Arc::new(description.scheme.clone()));
    let normalisation = Normalisation { mean: description.input.mean, std: description.input.std };
    let same = description.architectures.windows(2).all(|pair| pair[0] == pair[1]);
    let (hierarchy, batch) = if let (Some(combined), true) = (scheme.cascade(), same) {
        let outputs = |place: usize| scheme.networks()[place].outputs();
        let cascade = Cascade::new(
            &mut || gpu.queue(),
            &description.architectures[0],
            size,
            [0, 1].map(|place| (&model.networks[place], outputs(place))),
            normalisation,
            CascadeOptions {
                precision,
                batch: options.batch,
                lanes: LANES,
                combined,
                all: options.stage2 == Stage2::All,
            },
        );
        let cascade = cascade.map_err(failed)?;
        let batch = cascade.batch();
        (Hierarchy::together(Box::new(cascade), scheme)?, batch)
    } else {
        let (mut networks, mut batch): (Vec<Box<dyn Infer>>, _) = (Vec::new(), options.batch);
        for ((network, architecture), weights) in description.networks().zip(&model.networks) {
            let alone = Alone::new(
                &mut || gpu.queue(),
                architecture,
                size,
                (weights, network.outputs()),
                normalisation,
                precision,
                options.batch,
                LANES,
            );
            let alone = alone.map_err(failed)?;
            batch = batch.min(alone.batch());
            networks.push(Box::new(alone));
        }
        (Hierarchy::new(networks, scheme)?, batch)
    };
    let mut note = format!("{device}: {}", gpu.description);
    if batch < options.batch {
        note += &format!("; its memory holds batches of {batch} instead of {}", options.batch);
    }
    Ok((hierarchy, note))
}

/// The line for a model and its options.
///
/// # Errors
/// As [`preparation`] and [`hierarchy`], and if threads cannot be started.
pub fn line(
    options: &Options,
    model: &Model,
    preparation: Preparation,
    precision: Precision,
) -> Result<Line, ClassifyError> {
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(options.workers)
        .thread_name(|i| format!("infer-{i}"))
        .build()
        .map_err(|source| ClassifyError::Threads { threads: options.workers, source })?;
    let (hierarchies, notes) = match &options.devices {
        Devices::Cpu => (vec![Arc::new(hierarchy(model, precision)?)], Vec::new()),
        Devices::Cuda(gpus) => {
            let opened = gpus.iter().map(|&index| {
                let (hierarchy, note) = on_gpu(options, model, index, precision)?;
                Ok((Arc::new(hierarchy), note))
            });
            opened.collect::<Result<Vec<_>, ClassifyError>>()?.into_iter().unzip()
        }
    };
    Ok(Line {
        decode: Arc::new(decode_options(options, model)),
        preparation: Arc::new(preparation),
        hierarchies,
        stage2: options.stage2,
        remote: options.inputs.iter().any(|input| is_remote(input)),
        batch: options.batch,
        workers: options.workers,
        threads: Arc::new(threads),
        notes,
    })
}
