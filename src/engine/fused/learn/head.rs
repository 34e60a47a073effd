//! From the last block to the loss: the 1×1 head, the mean over pixels,
//! dropout, the classifier, and what its outputs are compared with.

use super::context::{Context, Workspace};
use super::conv::Conv;
use super::groups::{run, split};
use super::parameter::Parameters;
use super::profile::{Clock, Part};
use super::squeeze::sum_rows;
use crate::engine::Loss;
use crate::model::seeded::SplitMix64;
use crate::model::weights::{Weights, WeightsError};
use hiwl_kernels::train::{
    Buffer, Element, Packed, Sums, outer, padded, pool, pool_gradient, product,
};

/// The head and what it keeps of a batch.
pub(super) struct Head<E: Element> {
    features: usize,
    classes: usize,
    pub(super) conv: Conv<E>,
    weight: usize,
    bias: usize,
    forward: Packed,
    backward: Packed,
    image_sums: Vec<Sums>,
    /// Means over pixels after dropout.
    pooled: Buffer,
    pooled_gradient: Buffer,
    /// By feature: 0 where dropped, else `1 / (1 − p)`.
    kept: Buffer,
    pub(super) logits: Buffer,
    logits_gradient: Buffer,
}

impl<E: Element> Head<E> {
    pub(super) fn new(
        parameters: &mut Parameters,
        weights: &Weights,
        conv: Conv<E>,
        (features, classes): (usize, usize),
        images: usize,
    ) -> Result<Self, WeightsError> {
        let shape = [classes, features];
        let wide = || Buffer::zeros(images * padded(features));
        let narrow = || Buffer::zeros(images * padded(classes));
        Ok(Self {
            features,
            classes,
            conv,
            weight: parameters.take(weights, "classifier.1.weight".into(), &shape)?,
            bias: parameters.take(weights, "classifier.1.bias".into(), &shape[..1])?,
            forward: Packed::new(features, classes),
            backward: Packed::new(classes, features),
            image_sums: (0..images).map(|_| Sums::new(padded(features), 2)).collect(),
            pooled: wide(),
            pooled_gradient: wide(),
            kept: wide(),
            logits: narrow(),
            logits_gradient: narrow(),
        })
    }

    pub(super) fn pack(&mut self, parameters: &Parameters) {
        self.conv.pack(parameters, false);
        let weight = parameters.values(self.weight);
        self.forward.pack(weight, 1, self.features);
        self.backward.pack(weight, self.features, 1);
    }

    /// Largest partial gradient.
    pub(super) fn partial(&self) -> usize {
        self.conv.partial().max(padded(self.classes) * padded(self.features))
    }

    /// Logits from the last block's output; `dropout` is its probability and
    /// seed.
    pub(super) fn forward(
        &mut self,
        context: &Context<'_, E>,
        parameters: &Parameters,
        x: &[f32],
        pixels: usize,
        dropout: Option<(f64, u64)>,
    ) {
        self.conv.forward(context, x, pixels);
        self.conv.norm.fold_for(context, parameters);
        let c = padded(self.features);
        let affine = self.conv.norm.vectors.affine();
        let images = self.conv.out[..context.images * pixels * c].chunks_exact(pixels * c);
        let tasks: Vec<_> =
            images.zip(self.pooled.chunks_exact_mut(c)).zip(&mut self.image_sums).collect();
        run(tasks, |((image, pooled), sums)| {
            sums.clear();
            pool(context.own, image, affine, sums);
            for (mean, sum) in pooled.iter_mut().zip(sums.get(0)) {
                *mean = (sum / pixels as f64) as f32;
            }
        });
        self.drop_out(context.images, dropout);
        let (n, k) = (context.images, padded(self.classes));
        let to = (&mut *self.logits, k);
        product(context.cpu, n, (&*self.pooled, c), &self.forward, to, false);
        for logits in self.logits.chunks_exact_mut(k).take(n) {
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

    /// The loss as the mean over the batch, and its gradients towards the classifier and the pooled features.
    pub(super) fn loss(
        &mut self,
        context: &Context<'_, E>,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
        (kind, targets): (&Loss, &[f32]),
    ) -> f64 {
        let (n, k, c) = (context.images, padded(self.classes), padded(self.features));
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
        let partial = &mut workspace.partials.0[0];
        let (a, b) = ((&**d_logits, k, self.classes), (&*self.pooled, c, self.features));
        outer(context.cpu, n, a, b, partial, true, &mut []);
        workspace.partials.sum(1, self.features, parameters.gradient(self.weight));
        let to = (&mut *self.pooled_gradient, c);
        product(context.cpu, n, (&**d_logits, k), &self.backward, to, false);
        for (d, kept) in self.pooled_gradient[..n * c].iter_mut().zip(&*self.kept) {
            *d *= kept;
        }
        loss / n as f64
    }

    /// From the pooled features' gradient to that of the last block's output.
    #[allow(clippy::too_many_arguments, reason = "each is an operand")]
    pub(super) fn backward(
        &mut self,
        context: &Context<'_, E>,
        clock: &mut Clock,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
        x: &[f32],
        dx: &mut [f32],
        pixels: usize,
    ) {
        let c = padded(self.features);
        let stride = pixels * c;
        self.pooled_gradient[..context.images * c].iter_mut().for_each(|d| *d /= pixels as f32);
        let (pooled_gradient, out) = (&self.pooled_gradient, &self.conv.out);
        let vectors = &self.conv.norm.vectors;
        let tasks: Vec<_> = context
            .groups
            .iter()
            .zip(split(&mut workspace.expanded, context.groups, stride))
            .zip(&mut self.conv.norm.sums)
            .collect();
        run(tasks, |((group, dz), sums)| {
            sums.clear();
            for (n, dz) in group.clone().zip(dz.chunks_exact_mut(stride)) {
                let constant = &pooled_gradient[n * c..(n + 1) * c];
                let per_channel =
                    [&vectors.scale, &vectors.shift, &vectors.rstd, &vectors.offset, constant];
                pool_gradient(
                    context.own,
                    &out[n * stride..(n + 1) * stride],
                    per_channel,
                    dz,
                    sums,
                );
            }
        });
        self.conv.norm.gradient_of_groups(parameters, context.groups.len(), 1.0);
        self.conv.backward(context, parameters, workspace, x, None, dx, pixels);
        clock.lap(Part::HeadBackward);
    }

    /// Copies the logits of the batch, `[images × classes]`.
    pub(super) fn take_logits(&self, images: usize) -> Vec<f32> {
        let rows = self.logits.chunks_exact(padded(self.classes)).take(images);
        rows.flat_map(|row| &row[..self.classes]).copied().collect()
    }
}
