//! A network that learns by candle's autograd, with its optimiser and the average of
//! its weights, behind the door of training.
//!
//! Values are kept as vectors, from which each step makes candle's variables, so that
//! optimisers and snapshots are those of every engine.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var};

use super::backward::forth_and_back;
use super::door::normalised;
use super::network::{Network, Pass};
use super::ops::values;
use crate::engine::fused::learn::Parameter;
use crate::engine::learn::{
    Learn, LearnError, Settings, Snapshot, StepOutput, Updates, weights_of,
};
use crate::engine::optimizer::{Average, Optimizer};
use crate::model::architecture::Architecture;
use crate::model::parameters::parameters;
use crate::model::weights::{Weights, WeightsError};

/// A network with what remembers its steps.
pub struct CandleLearner {
    architecture: Architecture,
    settings: Settings,
    device: Device,
    norm_momentum: f64,
    /// What learns: all that is learned, or the classifier alone.
    learned: Vec<Parameter>,
    /// What does not: running statistics, and a frozen backbone.
    fixed: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// All of these as tensors, where no step changes them: shared with each network.
    still: Option<BTreeMap<String, Tensor>>,
    optimizer: Optimizer,
    average: Option<Average>,
}

impl CandleLearner {
    /// A network before its first step, on the processor.
    ///
    /// # Errors
    /// [`WeightsError`] if `weights` are not those of the architecture.
    pub fn new(
        architecture: &Architecture,
        weights: &Weights,
        settings: Settings,
        updates: Updates,
    ) -> std::result::Result<Self, WeightsError> {
        Self::on(&Device::Cpu, architecture, weights, settings, updates)
    }

    /// The same on any device of candle's.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn on(
        device: &Device,
        architecture: &Architecture,
        weights: &Weights,
        settings: Settings,
        updates: Updates,
    ) -> std::result::Result<Self, WeightsError> {
        let mut learner = Self {
            architecture: architecture.clone(),
            settings,
            device: device.clone(),
            norm_momentum: updates.norm_momentum,
            learned: Vec::new(),
            fixed: BTreeMap::new(),
            still: None,
            optimizer: Optimizer::new(updates.rule, !updates.decay_vectors)
                .with_layers(updates.layers),
            average: updates.average.map(|decay| Average::new(decay as f32)),
        };
        learner.load(weights)?;
        Ok(learner)
    }

    fn load(&mut self, weights: &Weights) -> std::result::Result<(), WeightsError> {
        let (mut learned, mut fixed) = (Vec::new(), BTreeMap::new());
        for parameter in parameters(&self.architecture, self.settings.classes) {
            let values = weights.values(&parameter.name, &parameter.shape)?;
            let frozen =
                self.settings.frozen_backbone && !self.architecture.is_classifier(&parameter.name);
            if frozen || parameter.is_running() {
                fixed.insert(parameter.name, (parameter.shape, values));
                continue;
            }
            learned.push(Parameter {
                decays: parameter.shape.len() > 1,
                gradient: vec![0.0; values.len()],
                name: parameter.name,
                shape: parameter.shape,
                values,
            });
        }
        // A frozen backbone's running statistics are as they were.
        let still = self.settings.frozen_backbone.then(|| {
            let of = |(name, (shape, _)): (&String, &(Vec<usize>, Vec<f32>))| {
                let tensor = weights.tensor(name, shape)?.to_device(&self.device);
                Ok((name.clone(), tensor.map_err(WeightsError::tensor(name))?))
            };
            fixed.iter().map(of).collect::<std::result::Result<_, WeightsError>>()
        });
        (self.learned, self.fixed, self.still) = (learned, fixed, still.transpose()?);
        Ok(())
    }

    /// What learns, with the gradients of the last step.
    pub fn parameters(&self) -> &[Parameter] {
        &self.learned
    }

    /// The network as it is now; `vars` are in the order of what learns.
    fn network(&self, vars: &[Tensor]) -> Result<Network> {
        let of = |(name, (shape, values)): (&String, &(Vec<usize>, Vec<f32>))| {
            Ok((name.clone(), Tensor::from_slice(values, shape.as_slice(), &self.device)?))
        };
        let mut tensors = match &self.still {
            Some(still) => still.clone(),
            None => self.fixed.iter().map(of).collect::<Result<BTreeMap<_, _>>>()?,
        };
        let learned = self.learned.iter().map(|parameter| parameter.name.clone());
        tensors.extend(learned.zip(vars.iter().cloned()));
        Ok(Network::with(&self.architecture, self.settings.classes, tensors))
    }

    fn learn(
        &mut self,
        images: &[u8],
        size: usize,
        targets: &[f32],
        seed: u64,
    ) -> Result<StepOutput> {
        let Settings { classes, normalisation, frozen_backbone, .. } = self.settings;
        let vars: Vec<Var> = self
            .learned
            .iter()
            .map(|p| Var::from_slice(&p.values, p.shape.as_slice(), &self.device))
            .collect::<Result<_>>()?;
        let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let network = self.network(&tensors)?;
        let dropout = Some((self.architecture.dropout, seed));
        let mut pass = Pass { of_batch: !frozen_backbone, dropout, ..Pass::default() };
        if frozen_backbone {
            // The backbone is as it is used; only what its features lead to learns.
            pass.dropout = None;
        }
        let images = normalised(images, size, normalisation, &self.device)?;
        let count = targets.len() / classes;
        let mut output = StepOutput { loss: 0.0, logits: Vec::new() };
        let found = forth_and_back(&network, &images, &mut pass, dropout, |logits| {
            output.logits = values(logits)?;
            let mut gradient = vec![0f32; targets.len()];
            let rows = output.logits.chunks_exact(classes).zip(targets.chunks_exact(classes));
            let loss: f64 = rows
                .zip(gradient.chunks_exact_mut(classes))
                .map(|((outputs, targets), gradient)| {
                    self.settings.loss.row(outputs, targets, count as f64, gradient)
                })
                .sum();
            output.loss = loss / count as f64;
            if !output.loss.is_finite() {
                return Ok(None);
            }
            Tensor::from_vec(gradient, (count, classes), &self.device).map(Some)
        })?;
        let Some(gradients) = found else {
            return Ok(output);
        };
        for (parameter, var) in self.learned.iter_mut().zip(&vars) {
            match gradients.get(var) {
                Some(gradient) => parameter.gradient = values(&gradient.contiguous()?)?,
                None => parameter.gradient.fill(0.0),
            }
        }
        for (prefix, moments, pixels) in pass.moments {
            // PyTorch's running variance is the unbiased one.
            let unbiased = pixels as f64 / pixels.saturating_sub(1).max(1) as f64;
            for (part, new, factor) in
                [("mean", moments.mean, 1.0), ("var", moments.variance, unbiased)]
            {
                let Some((_, old)) = self.fixed.get_mut(&format!("{prefix}.running_{part}")) else {
                    continue;
                };
                for (old, new) in old.iter_mut().zip(new) {
                    let new = new * factor;
                    let kept = f64::from(*old) * (1.0 - self.norm_momentum);
                    *old = (kept + self.norm_momentum * new) as f32;
                }
            }
        }
        Ok(output)
    }

    /// All tensors' values, by name.
    fn values(&self) -> BTreeMap<String, Vec<f32>> {
        let learned = self.learned.iter().map(|p| (p.name.clone(), p.values.clone()));
        let fixed = self.fixed.iter().map(|(name, (_, values))| (name.clone(), values.clone()));
        learned.chain(fixed).collect()
    }

    fn weights(&self) -> std::result::Result<Weights, WeightsError> {
        weights_of(parameters(&self.architecture, self.settings.classes), &self.values())
    }

    /// That a batch is no larger than the settings say.
    fn check(&self, images: &[u8], size: usize) -> usize {
        let Settings { batch, max_size, .. } = self.settings;
        assert!(size > 0 && size <= max_size, "images of {size} pixels, at most {max_size}");
        let each = 3 * size * size;
        assert!(images.len().is_multiple_of(each), "no whole images");
        let count = images.len() / each;
        assert!(count > 0 && count <= batch, "{count} images, at most {batch}");
        count
    }
}

impl Learn for CandleLearner {
    fn step(
        &mut self,
        images: &[u8],
        size: usize,
        targets: &[f32],
        rate: f64,
        seed: u64,
    ) -> std::result::Result<StepOutput, LearnError> {
        let count = self.check(images, size);
        assert_eq!(targets.len(), count * self.settings.classes, "a row of targets an image");
        let output = self.learn(images, size, targets, seed)?;
        if !output.loss.is_finite() {
            return Ok(output);
        }
        self.optimizer.step(self.learned.iter_mut(), rate);
        if let Some(average) = &mut self.average {
            let learned = self.learned.iter().map(|p| (p.name.as_str(), p.values.as_slice()));
            let fixed = self.fixed.iter().map(|(name, (_, v))| (name.as_str(), v.as_slice()));
            average.update(learned.chain(fixed));
        }
        Ok(output)
    }

    fn evaluate(
        &mut self,
        images: &[u8],
        size: usize,
    ) -> std::result::Result<Vec<f32>, LearnError> {
        self.check(images, size);
        let tensors = self
            .learned
            .iter()
            .map(|p| Tensor::from_slice(&p.values, p.shape.as_slice(), &self.device))
            .collect::<Result<Vec<_>>>()?;
        let network = self.network(&tensors)?;
        let mut pass = Pass::default();
        let images = normalised(images, size, self.settings.normalisation, &self.device)?;
        let maps = network.maps(&images, &mut pass)?;
        let features = network.features(&maps, &mut pass)?;
        Ok(values(&network.classify(&features)?)?)
    }

    fn judged(&self) -> std::result::Result<Weights, LearnError> {
        match &self.average {
            Some(average) if average.updates() > 0 => {
                let all = parameters(&self.architecture, self.settings.classes);
                Ok(weights_of(all, average.values())?)
            }
            _ => Ok(self.weights()?),
        }
    }

    fn is_finite(&self) -> std::result::Result<bool, LearnError> {
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        Ok(self.learned.iter().all(|p| finite(&p.values))
            && self.fixed.values().all(|(_, values)| finite(values)))
    }

    fn snapshot(&self) -> std::result::Result<Snapshot, LearnError> {
        Ok(Snapshot {
            weights: self.weights()?,
            optimizer: self.optimizer.state().clone(),
            average: self.average.as_ref().map(|a| (a.values().clone(), a.updates())),
        })
    }

    fn restore(&mut self, snapshot: Snapshot) -> std::result::Result<(), LearnError> {
        self.load(&snapshot.weights)?;
        self.optimizer.restore(snapshot.optimizer);
        if let (Some(average), Some((values, updates))) = (&mut self.average, snapshot.average) {
            average.restore(values, updates);
        }
        Ok(())
    }
}
