//! A run shared out before it begins: listed and pinned once, so that the
//! tasks of a cluster have only to know which of them they are.
//!
//! The options of the command that planned travel in `plan.json`; whoever
//! takes them from there goes through [`run()`](super::run()) like anybody
//! else, which holds them against `run.json`.

use std::path::Path;

use serde_json::to_value;

use super::ClassifyError;
use super::resolved::Resolved;
use super::run::{ClassifyOptions, open};
use crate::engine::Precision;
use crate::events::Listener;
use crate::line::Waiting;
use crate::model::model_file::Model;
use crate::pipeline::Stop;
use crate::run::{Listing, ModelIdentity, Plan};
use crate::storage::StorageError;
use crate::storage::remote::absolute;

/// A run that is planned.
#[derive(Debug)]
pub struct Planned {
    /// The model.
    pub model: ModelIdentity,
    /// What the listing found.
    pub listing: Listing,
    /// Ranges, the units of work.
    pub ranges: u64,
    /// Rows of a range; the last may have fewer.
    pub range_size: u64,
    /// Shards.
    pub shards: u64,
    /// How all tasks will hold and multiply numbers.
    pub precision: Precision,
}

/// Lists the inputs, or finds them listed, and shares them out into `shards`.
/// Nothing is classified.
///
/// # Errors
/// [`ClassifyError`]; what the networks need is not looked at beyond the model
/// file.
pub fn plan(
    options: &ClassifyOptions,
    shards: u64,
    listener: &dyn Listener,
    stop: &Stop,
) -> Result<Planned, ClassifyError> {
    let model = Model::read(&options.model)?;
    let resolved = Resolved::into_run(options, &model)?;
    let (run, settings) = open(&resolved, &model, listener, stop)?;
    let range_size = run.manifest().settings.range_size;
    let mut kept = ClassifyOptions {
        engine: resolved.engine,
        range_size: Some(range_size),
        ..options.clone()
    };
    // Tasks start in folders of their own.
    let mosaics = kept.mosaics.iter_mut().flat_map(|mosaics| &mut mosaics.files);
    let named = kept.inputs.iter_mut().chain([&mut kept.model]).chain(&mut kept.join);
    for path in named.chain(mosaics) {
        *path = absolute(path).map_err(StorageError::io("find", path))?;
    }
    let kept = to_value(kept)
        .map_err(|source| ClassifyError::Plan { path: options.output.clone(), source })?;
    run.share_out(shards, kept, &Waiting { listener, stop })?;
    Ok(Planned {
        model: settings.model,
        listing: run.manifest().listing.clone(),
        ranges: run.ranges().count() as u64,
        range_size,
        shards,
        precision: resolved.precision,
    })
}

/// The plan in the run folder `dir`, and the options that it holds. Which
/// shard, how many threads and how many cutouts a batch are the caller's.
///
/// # Errors
/// [`ClassifyError::Run`] if there is no plan, [`ClassifyError::Plan`] if
/// its options are not this program's.
pub fn planned(dir: &Path) -> Result<(Plan, ClassifyOptions), ClassifyError> {
    let plan = Plan::read(dir)?;
    let options: ClassifyOptions = serde_json::from_value(plan.options.clone())
        .map_err(|source| ClassifyError::Plan { path: dir.to_owned(), source })?;
    Ok((plan, ClassifyOptions { output: dir.to_owned(), ..options }))
}
