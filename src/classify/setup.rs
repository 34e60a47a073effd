//! From a model file and what was decided to the line's parts.

use std::sync::Arc;

use rayon::ThreadPool;

use super::{
    ClassifyError, Device, hierarchy::Hierarchy, kept::Keeping, line::Line, resolved::Resolved,
};
use crate::{
    cutout::{
        colour,
        prepare::{Preparation, Wide},
    },
    engine::{
        Engine, Infer, Normalisation,
        open::{self, Network, Opened, Pair, Room},
    },
    line::{Crops, Front, LineError},
    model::{description::Input, model_file::Model},
    pipeline,
    run::Journal,
    tree::Stage2,
};

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
pub fn front(run: &Resolved) -> Front {
    Front {
        decode: Arc::new(run.reading.decode_options()),
        cutting: run.reading.cutting(),
        remote: run.is_remote(),
        from_mosaics: run.reading.mosaics.is_some(),
        workers: run.workers,
        journal: Journal::default(),
    }
}

/// How they become what the networks see.
pub fn crops(run: &Resolved) -> Crops {
    Crops { preparation: Arc::new(run.preparation.clone()), observed: Arc::default() }
}

/// The networks of the model on `device`, and what to tell of it: two on a GPU,
/// one after the other, as one piece of work; others each by itself. What the
/// processor computes is computed on `threads`, by whichever thread asks; without, on
/// the threads of whoever asks.
///
/// # Errors
/// [`ClassifyError::Weights`] if weights and architecture do not agree,
/// [`ClassifyError::NoPrecision`] if the processor does not have it,
/// [`ClassifyError::Gpu`].
pub fn hierarchy(
    run: &Resolved,
    model: &Model,
    device: Device,
    threads: Option<&Arc<ThreadPool>>,
) -> Result<(Hierarchy, Option<String>), ClassifyError> {
    let room = Room::for_many(run.batch).on(threads);
    let description = &model.description;
    let (input, scheme) = (&description.input, Arc::new(description.scheme.clone()));
    let oddness = model.oddness.clone().map(Arc::new);
    let keeping = run.features.map(|column| Keeping::of(column, oddness.as_ref()));
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
    let ours = Engine::on(device, run.engine, &description.architectures)? == Engine::Cuda;
    if let (true, Some(combined), &[first, second]) = (ours, scheme.cascade(), &networks[..])
        && first.architecture == second.architecture
    {
        let all = run.stage2 == Stage2::All;
        let pair = Pair { networks: [first, second], combined, all, room };
        let Opened { network, note } = open::pair(&pair, device, run.engine, run.precision)?;
        let hierarchy = Hierarchy::together(network, scheme)?;
        return Ok((hierarchy.telling(oddness)?.keeping(keeping)?, note));
    }
    let (mut opened, mut told): (Vec<Box<dyn Infer>>, _) = (Vec::new(), None);
    for network in networks {
        let Opened { network, note } =
            open::infer(network, device, run.engine, run.precision, room.clone())?;
        opened.push(network);
        told = note;
    }
    Ok((Hierarchy::new(opened, scheme)?.telling(oddness)?.keeping(keeping)?, told))
}

/// The line for a model and what was decided.
///
/// # Errors
/// As [`hierarchy`], and if threads cannot be started.
pub fn line(run: &Resolved, model: &Model) -> Result<Line, ClassifyError> {
    let threads = Arc::new(pipeline::threads::pool("infer", run.workers)?);
    let (mut hierarchies, mut notes) = (Vec::new(), Vec::new());
    for device in run.devices.each() {
        let (hierarchy, note) = hierarchy(run, model, device, Some(&threads))?;
        hierarchies.push(Arc::new(hierarchy));
        notes.extend(note);
    }
    Ok(Line {
        front: front(run),
        crops: crops(run),
        hierarchies,
        stage2: run.stage2,
        batch: run.batch,
        threads,
        notes,
    })
}
