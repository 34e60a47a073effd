//! A network on a GPU with its optimiser and the average of its weights, all of
//! which stay there.
//!
//! Checkpoints are those of the CPU's learner: either goes on from the other's.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::GpuNetwork;
use super::parameters::Place;
use crate::engine::cuda::{
    CudaError, GpuPrecision, Queue,
    device::{Buffer, Pinned, bytes_of, run},
    kernels::shapes,
};
use crate::engine::learn::{Settings, StepOutput, Updates};
use crate::engine::optimizer::{Rule, State};
use crate::model::architecture::Architecture;
use crate::model::weights::{Weights, WeightsError};

/// The average of the weights: of what is learned, and of running statistics.
struct Average {
    decay: f32,
    updates: u64,
    values: Buffer,
    running: Buffer,
}

/// What learns on a GPU.
pub struct GpuLearner {
    network: GpuNetwork,
    queue: Arc<dyn Queue>,
    rule: Rule,
    decaying: usize,
    /// What learns of all parameters.
    ranges: Vec<Range<usize>>,
    steps: u64,
    first: Buffer,
    second: Option<Buffer>,
    settings: Buffer,
    host_settings: Pinned,
    average: Option<Average>,
}

impl GpuLearner {
    /// A network with an optimiser that remembers nothing yet.
    ///
    /// Its layers have one learning rate: whoever opens it has seen to that.
    ///
    /// # Errors
    /// As [`GpuNetwork::new`].
    pub fn new(
        queue: &Arc<dyn Queue>,
        precision: GpuPrecision,
        architecture: &Architecture,
        weights: &Weights,
        settings: Settings,
        updates: Updates,
    ) -> Result<Self, CudaError> {
        let Updates { rule, decay_vectors, average, norm_momentum, layers: _ } = updates;
        let frozen = settings.frozen_backbone;
        let mut network = GpuNetwork::new(queue, precision, architecture, weights, settings)?;
        network.set_norm_momentum(norm_momentum);
        let parameters = &network.parameters;
        let second = matches!(rule, Rule::AdamW { .. });
        let average = match average {
            Some(decay) => Some(Average {
                decay: decay as f32,
                updates: 0,
                values: parameters.learned.zeros(queue)?,
                running: parameters.statistics.zeros(queue)?,
            }),
            None => None,
        };
        let count = parameters.learned.count;
        let decaying = if decay_vectors { count } else { parameters.decaying };
        let mut ranges = Vec::new();
        if frozen {
            let places = parameters.learned.places.iter();
            let own = places.filter(|p| p.name.starts_with("classifier."));
            ranges.extend(own.map(|p| p.start..p.start + p.len()));
        } else {
            ranges.push(0..count);
        }
        Ok(Self {
            decaying,
            ranges,
            first: parameters.learned.zeros(queue)?,
            second: if second { Some(parameters.learned.zeros(queue)?) } else { None },
            settings: Buffer::zeros(queue, 8 * 4)?,
            host_settings: Pinned::new(queue, 8 * 4)?,
            queue: Arc::clone(queue),
            steps: 0,
            network,
            rule,
            average,
        })
    }

    /// Learns a batch. Where the loss is not finite nothing is changed but the
    /// running statistics.
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    pub fn step(
        &mut self,
        images: &[u8],
        size: usize,
        targets: &[f32],
        rate: f64,
        seed: u64,
    ) -> Result<StepOutput, CudaError> {
        let output = self.network.step(images, size, targets, seed)?;
        if output.loss.is_finite() {
            self.update(rate)?;
        }
        Ok(output)
    }

    fn update(&mut self, rate: f64) -> Result<(), CudaError> {
        let kept = self.average.as_ref().map_or(0.0, |average| {
            let n = average.updates as f32;
            // The first update takes the weights as they are.
            if average.updates == 0 { 0.0 } else { average.decay.min((1.0 + n) / (10.0 + n)) }
        });
        let parameters = &self.network.parameters;
        let (values, gradient) = (&parameters.values, &parameters.gradient);
        match (self.rule, &self.second) {
            (Rule::AdamW { betas: [b1, b2], eps, weight_decay }, Some(second)) => {
                let t = (self.steps + 1) as f64;
                let step = rate / (1.0 - b1.powf(t));
                let root = 1.0 / (1.0 - b2.powf(t)).sqrt();
                let settings = [rate, b1, b2, f64::from(weight_decay), eps, step, root]
                    .map(|value| value as f32);
                send(&mut self.host_settings, &[&settings[..], &[kept]].concat(), &self.settings)?;
                for range in &self.ranges {
                    let (from, count) = (range.start, range.len());
                    run!(
                        &*self.queue,
                        shapes::each("adamw", count),
                        values.at(from),
                        gradient.at(from),
                        self.first.at(from),
                        second.at(from),
                        &self.settings,
                        self.decaying.saturating_sub(from),
                        count,
                    )?;
                }
            }
            (Rule::Sgd { momentum, nesterov, weight_decay }, _) => {
                let settings = [rate as f32, momentum, 0.0, weight_decay, 0.0, 0.0, 0.0, kept];
                send(&mut self.host_settings, &settings, &self.settings)?;
                for range in &self.ranges {
                    let (from, count) = (range.start, range.len());
                    run!(
                        &*self.queue,
                        shapes::each("sgd", count),
                        values.at(from),
                        gradient.at(from),
                        self.first.at(from),
                        &self.settings,
                        self.decaying.saturating_sub(from),
                        count,
                        nesterov,
                    )?;
                }
            }
            (Rule::AdamW { .. }, None) => unreachable!("made with the rule"),
        }
        self.steps += 1;
        if let Some(average) = &mut self.average {
            let Average { values: averaged, running, .. } = average;
            for (old, new, count) in [
                (averaged, values, parameters.learned.count),
                (running, &parameters.running, parameters.statistics.count),
            ] {
                let launch = shapes::each("average", count);
                run!(&*self.queue, launch, &*old, new, &self.settings, count)?;
            }
            average.updates += 1;
        }
        Ok(())
    }

    /// The network.
    pub fn network(&self) -> &GpuNetwork {
        &self.network
    }

    /// The network, to be run.
    pub(super) fn network_mut(&mut self) -> &mut GpuNetwork {
        &mut self.network
    }

    /// The average's tensors by name and its number of updates, if there is one.
    ///
    /// # Errors
    /// [`CudaError::Lost`].
    #[allow(clippy::type_complexity, reason = "what a checkpoint holds")]
    pub fn average(&self) -> Result<Option<(BTreeMap<String, Vec<f32>>, u64)>, CudaError> {
        let Some(average) = &self.average else { return Ok(None) };
        let mut values = BTreeMap::new();
        if average.updates > 0 {
            let parameters = &self.network.parameters;
            values = parameters.learned.read(&average.values)?;
            values.extend(parameters.statistics.read(&average.running)?);
        }
        Ok(Some((values, average.updates)))
    }

    /// What the optimiser remembers of each parameter.
    ///
    /// # Errors
    /// [`CudaError::Lost`].
    pub fn optimizer(&self) -> Result<BTreeMap<String, State>, CudaError> {
        if self.steps == 0 {
            return Ok(BTreeMap::new());
        }
        let parameters = &self.network.parameters;
        let mut second = match &self.second {
            Some(second) => parameters.learned.read(second)?,
            None => BTreeMap::new(),
        };
        let learns = |name: &str| {
            let place = parameters.learned.places.iter().find(|place| place.name == name);
            place.is_some_and(|place| self.ranges.iter().any(|range| range.contains(&place.start)))
        };
        let first = parameters.learned.read(&self.first)?.into_iter();
        let first = first.filter(|(name, _)| learns(name));
        let states = first.map(|(name, first)| {
            let second = second.remove(&name).unwrap_or_default();
            (name, State { steps: self.steps, first, second })
        });
        Ok(states.collect())
    }

    /// Goes on from weights, an optimiser's memory and an average.
    ///
    /// # Errors
    /// [`CudaError::Weights`] if they are another network's.
    pub fn restore(
        &mut self,
        weights: &Weights,
        optimizer: &BTreeMap<String, State>,
        average: Option<(BTreeMap<String, Vec<f32>>, u64)>,
    ) -> Result<(), CudaError> {
        self.network.load_weights(weights)?;
        let parameters = &self.network.parameters;
        self.steps = optimizer.values().map(|state| state.steps).max().unwrap_or(0);
        if self.steps > 0 {
            // What does not learn has no state.
            let state = |place: &Place, part: fn(&State) -> &Vec<f32>| {
                let state = optimizer.get(&place.name).map(part).cloned();
                state.unwrap_or_else(|| vec![0.0; place.len()])
            };
            parameters.learned.write(&self.first, |place| Ok(state(place, |s| &s.first)))?;
            if let Some(second) = &self.second {
                parameters.learned.write(second, |place| Ok(state(place, |s| &s.second)))?;
            }
        }
        if let (Some(own), Some((mut values, updates))) = (&mut self.average, average) {
            own.updates = updates;
            if updates > 0 {
                let mut take = |place: &Place| {
                    let missing = || WeightsError::Missing { name: place.name.clone() };
                    Ok(values.remove(&place.name).ok_or_else(missing)?)
                };
                parameters.learned.write(&own.values, &mut take)?;
                parameters.statistics.write(&own.running, &mut take)?;
            }
        }
        Ok(())
    }
}

/// Sends the optimiser's settings.
fn send(through: &mut Pinned, settings: &[f32], to: &Buffer) -> Result<(), CudaError> {
    let bytes = bytes_of(settings);
    through.as_mut_slice()?[..bytes.len()].copy_from_slice(&bytes);
    through.upload(to, bytes.len())
}
