//! Checkpoints: everything that a model of a run is, in one file.
//!
//! A safetensors file with the network's tensors under `weights/`, what the
//! optimiser remembers under `first/` and `second/`, the average of weights
//! under `average/`, and the [`State`] as TOML in its metadata.
//!
//! Invariant: a file under its final name is whole and finite, and training
//! that goes on from it does what it would have done without a stop.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::TrainError;
use super::state::{FORMAT, State};
use crate::engine::learn::Snapshot;
use crate::engine::optimizer;
use crate::model::tensors::{self, Tensors};
use crate::model::weights::{Weights, WeightsError};
use crate::model::whole;
use crate::storage::{StorageError, file};

/// Key of the state in the metadata.
const KEY: &str = "hiwl-training";

/// Writes a checkpoint; the file appears whole or not at all.
///
/// # Errors
/// [`TrainError::Folder`] if the system refuses, such as for want of space;
/// the checkpoint before it then stays.
pub fn write(path: &Path, state: &State, snapshot: Snapshot) -> Result<(), TrainError> {
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    for (name, tensor) in snapshot.weights.iter() {
        tensors.push((format!("weights/{name}"), tensor.clone()));
    }
    let mut push = |name: String, values: &[f32]| {
        let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu)
            .map_err(WeightsError::tensor(&name))?;
        tensors.push((name, tensor));
        Ok::<_, WeightsError>(())
    };
    for (name, remembered) in &snapshot.optimizer {
        push(format!("first/{name}"), &remembered.first)?;
        if !remembered.second.is_empty() {
            push(format!("second/{name}"), &remembered.second)?;
        }
    }
    let mut state = state.clone();
    state.optimizer_steps = snapshot.optimizer.values().map(|s| s.steps).max().unwrap_or(0);
    if let Some((values, updates)) = &snapshot.average {
        state.average_updates = *updates;
        for (name, values) in values {
            push(format!("average/{name}"), values)?;
        }
    }
    let damaged = |what: String| TrainError::Checkpoint { path: path.to_owned(), what };
    let text = toml::to_string(&state).map_err(|e| damaged(e.to_string()))?;
    let bytes = tensors::to_bytes((KEY, text), tensors).map_err(|e| damaged(e.to_string()))?;
    file::replace(path, &bytes)?;
    Ok(())
}

/// Reads a checkpoint of the model `model` of the run whose `run.json` has the
/// digest `run`.
///
/// # Errors
/// [`TrainError::Checkpoint`] if it is damaged or another's.
pub fn read(path: &Path, run: &str, model: &str) -> Result<(State, Snapshot), TrainError> {
    let bytes = whole::read(path).map_err(StorageError::io("read", path))?;
    let damaged = |what: String| TrainError::Checkpoint { path: path.to_owned(), what };
    let text = tensors::text(&bytes, KEY)
        .map_err(|e| damaged(format!("damaged: {e}")))?
        .ok_or_else(|| damaged("no checkpoint of a training run".into()))?;
    let state: State = toml::from_str(&text).map_err(|e| damaged(format!("its state: {e}")))?;
    if state.format > FORMAT {
        let (found, known) = (state.format.to_string(), FORMAT.into());
        return Err(TrainError::Newer { path: path.to_owned(), found, known });
    }
    if state.run != run || state.model != model {
        return Err(damaged(format!("a checkpoint of {} of another run", state.model)));
    }

    let file = Tensors::of(&bytes).map_err(|e| damaged(format!("damaged: {e}")))?;
    let mut weights = Weights::new();
    let mut optimizer: BTreeMap<String, optimizer::State> = BTreeMap::new();
    let mut average = BTreeMap::new();
    for (full, tensor) in file.floats() {
        let tensor = tensor.map_err(|e| damaged(format!("tensor `{full}`: {e}")))?;
        let values = || {
            let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>());
            values.map_err(|e| damaged(format!("tensor `{full}`: {e}")))
        };
        match full.split_once('/') {
            Some(("weights", name)) => weights.insert(name, tensor),
            Some(("first", name)) => {
                let remembered = optimizer.entry(name.to_owned()).or_default();
                remembered.first = values()?;
                remembered.steps = state.optimizer_steps;
            }
            Some(("second", name)) => {
                optimizer.entry(name.to_owned()).or_default().second = values()?;
            }
            Some(("average", name)) => {
                average.insert(name.to_owned(), values()?);
            }
            _ => return Err(damaged(format!("tensor `{full}` is not known"))),
        }
    }
    let average = (!average.is_empty()).then_some((average, state.average_updates));
    Ok((state, Snapshot { weights, optimizer, average }))
}
