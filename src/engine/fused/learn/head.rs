//! From the last block to the loss: the 1×1 head, the mean over pixels, and the
//! classifier.

use super::classifier::Classifier;
use super::context::{Context, Workspace};
use super::conv::Conv;
use super::groups::{run, split};
use super::parameter::Parameters;
use super::profile::{Clock, Part};
use crate::engine::Loss;
use crate::model::weights::{Weights, WeightsError};
use hiwl_kernels::train::{Element, Sums, padded, pool, pool_gradient};

/// The head and what it keeps of a batch.
pub(super) struct Head<E: Element> {
    pub(super) conv: Conv<E>,
    image_sums: Vec<Sums>,
    classifier: Classifier,
}

impl<E: Element> Head<E> {
    pub(super) fn new(
        parameters: &mut Parameters,
        weights: &Weights,
        conv: Conv<E>,
        (features, classes): (usize, usize),
        images: usize,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            conv,
            image_sums: (0..images).map(|_| Sums::new(padded(features), 2)).collect(),
            classifier: Classifier::new(parameters, weights, (features, classes), images)?,
        })
    }

    pub(super) fn pack(&mut self, parameters: &Parameters) {
        self.conv.pack(parameters, false);
        self.classifier.pack(parameters);
    }

    /// Largest partial gradient.
    pub(super) fn partial(&self) -> usize {
        self.conv.partial().max(self.classifier.partial())
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
        let c = padded(self.classifier.features);
        let affine = self.conv.norm.vectors.affine();
        let images = self.conv.out[..context.images * pixels * c].chunks_exact(pixels * c);
        let pooled = self.classifier.pooled.chunks_exact_mut(c);
        let tasks: Vec<_> = images.zip(pooled).zip(&mut self.image_sums).collect();
        run(tasks, |((image, pooled), sums)| {
            sums.clear();
            pool(context.own, image, affine, sums);
            for (mean, sum) in pooled.iter_mut().zip(sums.get(0)) {
                *mean = (sum / pixels as f64) as f32;
            }
        });
        self.classifier.forward(context.cpu, parameters, context.images, dropout);
    }

    /// The loss as the mean over the batch, and its gradients towards the classifier and the pooled features.
    pub(super) fn loss(
        &mut self,
        context: &Context<'_, E>,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
        against: (&Loss, &[f32]),
    ) -> f64 {
        let (cpu, images) = (context.cpu, context.images);
        let loss = self.classifier.loss(cpu, parameters, &mut workspace.partials, images, against);
        self.classifier.towards_features(cpu, images);
        loss
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
        let c = padded(self.classifier.features);
        let stride = pixels * c;
        self.classifier.pooled_gradient[..context.images * c]
            .iter_mut()
            .for_each(|d| *d /= pixels as f32);
        let (pooled_gradient, out) = (&self.classifier.pooled_gradient, &self.conv.out);
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
        self.classifier.take_logits(images)
    }
}
