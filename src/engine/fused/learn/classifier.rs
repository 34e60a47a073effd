//! From pooled features to the loss: dropout, the classifier, and what its outputs
//! are compared with. The network's head ends with it, and features that are kept
//! are learned from by it alone.

use hiwl_kernels::train::{Buffer, Cpu, Packed, outer, padded, product};

use super::gradient_sum::Partials;
use super::parameter::Parameters;
use super::squeeze::sum_rows;
use crate::engine::Loss;
use crate::model::seeded::SplitMix64;
use crate::model::weights::{Weights, WeightsError};

/// The classifier and what it keeps of a batch.
pub(super) struct Classifier {
    pub(super) features: usize,
    pub(super) classes: usize,
    weight: usize,
    bias: usize,
    forward: Packed,
    backward: Packed,
    /// Features, `[images][padded(features)]`: put there, then dropped out of.
    pub(super) pooled: Buffer,
    /// Their gradient.
    pub(super) pooled_gradient: Buffer,
    /// By feature: 0 where dropped, else `1 / (1 − p)`.
    kept: Buffer,
    logits: Buffer,
    logits_gradient: Buffer,
}

impl Classifier {
    pub(super) fn new(
        parameters: &mut Parameters,
        weights: &Weights,
        (features, classes): (usize, usize),
        images: usize,
    ) -> Result<Self, WeightsError> {
        let shape = [classes, features];
        let wide = || Buffer::zeros(images * padded(features));
        let narrow = || Buffer::zeros(images * padded(classes));
        Ok(Self {
            features,
            classes,
            weight: parameters.take(weights, "classifier.1.weight".into(), &shape)?,
            bias: parameters.take(weights, "classifier.1.bias".into(), &shape[..1])?,
            forward: Packed::new(features, classes),
            backward: Packed::new(classes, features),
            pooled: wide(),
            pooled_gradient: wide(),
            kept: wide(),
            logits: narrow(),
            logits_gradient: narrow(),
        })
    }

    pub(super) fn pack(&mut self, parameters: &Parameters) {
        let weight = parameters.values(self.weight);
        self.forward.pack(weight, 1, self.features);
        self.backward.pack(weight, self.features, 1);
    }

    /// Largest partial gradient.
    pub(super) fn partial(&self) -> usize {
        padded(self.classes) * padded(self.features)
    }

    /// Logits of the pooled features; `dropout` is its probability and seed.
    pub(super) fn forward(
        &mut self,
        cpu: Cpu,
        parameters: &Parameters,
        images: usize,
        dropout: Option<(f64, u64)>,
    ) {
        self.drop_out(images, dropout);
        let (c, k) = (padded(self.features), padded(self.classes));
        let to = (&mut *self.logits, k);
        product(cpu, images, (&*self.pooled, c), &self.forward, to, false);
        for logits in self.logits.chunks_exact_mut(k).take(images) {
            let bias = parameters.values(self.bias);
            logits.iter_mut().zip(bias).for_each(|(logit, bias)| *logit += bias);
        }
    }

    fn drop_out(&mut self, images: usize, dropout: Option<(f64, u64)>) {
        let c = padded(self.features);
        let Some((probability, seed)) = dropout.filter(|&(p, _)| p > 0.0) else {
            self.kept.fill(1.0);
            return;
        };
        let mut random = SplitMix64::named(seed, "dropout");
        let scale = (1.0 / (1.0 - probability)) as f32;
        for (kept, pooled) in
            self.kept.chunks_exact_mut(c).zip(self.pooled.chunks_exact_mut(c)).take(images)
        {
            for (kept, pooled) in kept.iter_mut().zip(pooled).take(self.features) {
                *kept = if random.uniform(0.0, 1.0) < probability { 0.0 } else { scale };
                *pooled *= *kept;
            }
        }
    }

    /// The loss as the mean over the batch, and the classifier's gradients.
    pub(super) fn loss(
        &mut self,
        cpu: Cpu,
        parameters: &mut Parameters,
        partials: &mut Partials,
        images: usize,
        (kind, targets): (&Loss, &[f32]),
    ) -> f64 {
        let (n, k, c) = (images, padded(self.classes), padded(self.features));
        let mut loss = 0.0;
        for ((logits, gradient), targets) in self
            .logits
            .chunks_exact(k)
            .zip(self.logits_gradient.chunks_exact_mut(k))
            .zip(targets.chunks_exact(self.classes))
        {
            let (logits, gradient) = (&logits[..self.classes], &mut gradient[..self.classes]);
            loss += kind.row(logits, targets, n as f64, gradient);
        }
        let d_logits = &self.logits_gradient;
        sum_rows(&d_logits[..n * k], k, parameters.gradient(self.bias));
        let partial = &mut partials.0[0];
        let (a, b) = ((&**d_logits, k, self.classes), (&*self.pooled, c, self.features));
        outer(cpu, n, a, b, partial, true, &mut []);
        partials.sum(1, self.features, parameters.gradient(self.weight));
        loss / n as f64
    }

    /// After [`Self::loss`]: the gradient of the pooled features.
    pub(super) fn towards_features(&mut self, cpu: Cpu, images: usize) {
        let (k, c) = (padded(self.classes), padded(self.features));
        let to = (&mut *self.pooled_gradient, c);
        product(cpu, images, (&*self.logits_gradient, k), &self.backward, to, false);
        for (d, kept) in self.pooled_gradient[..images * c].iter_mut().zip(&*self.kept) {
            *d *= kept;
        }
    }

    /// Copies the logits of the batch, `[images × classes]`.
    pub(super) fn take_logits(&self, images: usize) -> Vec<f32> {
        let rows = self.logits.chunks_exact(padded(self.classes)).take(images);
        rows.flat_map(|row| &row[..self.classes]).copied().collect()
    }
}
