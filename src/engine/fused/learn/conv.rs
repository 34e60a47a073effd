//! A convolution before a batch norm and a SiLU: the 1×1 that opens a block,
//! the head's, or the stem. Its output is kept before the norm.

use super::context::{Context, Workspace, strip_rows};
use super::groups::{run, split};
use super::norm::Norm;
use super::parameter::Parameters;
use super::stem;
use crate::model::weights::{Weights, WeightsError};
use hiwl_kernels::train::{
    Buffer, Element, Packed, combine, outer, outer_room, padded, product, view,
};

/// The convolution with its norm and its output.
pub(super) struct Conv<E: Element> {
    pub(super) weight: usize,
    input: usize,
    output: usize,
    pub(super) norm: Norm,
    /// `[images][pixels][padded(output)]`, before the norm.
    pub(super) out: Buffer<E>,
    forward: Packed<E>,
    backward: Packed<E>,
}

impl<E: Element> Conv<E> {
    /// A 1×1 convolution, or a stem if `input` is its taps and `shape` says so.
    pub(super) fn new(
        parameters: &mut Parameters,
        weights: &Weights,
        prefix: &str,
        shape: &[usize],
        eps: f64,
        pixels: usize,
    ) -> Result<Self, WeightsError> {
        let (output, input) = (shape[0], shape[1..].iter().product());
        Ok(Self {
            weight: parameters.take(weights, format!("{prefix}.0.weight"), shape)?,
            input,
            output,
            norm: Norm::new(parameters, weights, format!("{prefix}.1"), output, eps)?,
            out: Buffer::zeros(pixels * padded(output)),
            forward: Packed::new(input, output),
            backward: Packed::new(output, input),
        })
    }

    /// Packs the weights, those of a stem in the order of its taps.
    pub(super) fn pack(&mut self, parameters: &Parameters, is_stem: bool) {
        let values = parameters.values(self.weight);
        if is_stem {
            self.forward.pack(&stem::by_taps(values), 1, self.input);
        } else {
            self.forward.pack(values, 1, self.input);
            self.backward.pack(values, self.input, 1);
        }
    }

    /// Largest partial gradient.
    pub(super) fn partial(&self) -> usize {
        padded(self.input) * padded(self.output)
    }

    /// `out` from rows of `x`, `pixels` an image.
    pub(super) fn forward(&mut self, context: &Context<'_, E>, x: &[f32], pixels: usize) {
        let (ci, co) = (padded(self.input), padded(self.output));
        let Self { out, forward, norm, .. } = self;
        let tasks: Vec<_> = context
            .groups
            .iter()
            .zip(split(out, context.groups, pixels * co))
            .zip(&mut norm.moments)
            .collect();
        run(tasks, |((group, out), moments)| {
            moments.clear();
            let x = &x[group.start * pixels * ci..group.end * pixels * ci];
            let rows = strip_rows(ci + co);
            context.scratches.with([rows * ci], |[room]| {
                for (x, out) in x.chunks(rows * ci).zip(out.chunks_mut(rows * co)) {
                    let count = x.len() / ci;
                    let x = E::rows(context.own, x, room);
                    product(context.own, count, (x, ci), forward, (out, co), false);
                    if context.training {
                        moments.add(context.own, out);
                    }
                }
            });
        });
    }

    /// The same of a stem, from images of `taps.size` pixels a side.
    pub(super) fn forward_stem(&mut self, context: &Context<'_, E>, taps: &stem::Taps<'_>) {
        let co = padded(self.output);
        let pixels = taps.pixels();
        let Self { out, forward, norm, .. } = self;
        let tasks: Vec<_> = context
            .groups
            .iter()
            .zip(split(out, context.groups, pixels * co))
            .zip(&mut norm.moments)
            .collect();
        run(tasks, |((group, out), moments)| {
            moments.clear();
            let rows = strip_rows(stem::WIDTH + co);
            let sizes = [taps.padded_len(), rows * stem::WIDTH, rows * stem::WIDTH];
            context.scratches.with(sizes, |[image, strip, room]| {
                for (n, out) in group.clone().zip(out.chunks_mut(pixels * co)) {
                    taps.normalise(n, image);
                    for (first, out) in (0..).step_by(rows).zip(out.chunks_mut(rows * co)) {
                        let count = out.len() / co;
                        taps.rows(image, first, count, strip);
                        let a = E::rows(context.own, &strip[..count * stem::WIDTH], room);
                        let a = (a, stem::WIDTH);
                        product(context.own, count, a, forward, (out, co), false);
                        if context.training {
                            moments.add(context.own, out);
                        }
                    }
                }
            });
        });
    }

    /// From the gradient at the norm's output in `workspace.expanded`, and the
    /// norm's own sums: the weights' gradient, and `dx`, to which `residual`
    /// is added.
    #[allow(clippy::too_many_arguments, reason = "each is an operand")]
    pub(super) fn backward(
        &mut self,
        context: &Context<'_, E>,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
        x: &[f32],
        residual: Option<&[f32]>,
        dx: &mut [f32],
        pixels: usize,
    ) {
        let (ci, co) = (padded(self.input), padded(self.output));
        let Self { out, backward, norm, .. } = &*self;
        let tasks: Vec<_> = context
            .groups
            .iter()
            .zip(split(dx, context.groups, pixels * ci))
            .zip(&mut workspace.partials.0)
            .collect();
        let dz = &workspace.expanded;
        run(tasks, |((group, dx), partial)| {
            let all = group.start * pixels..group.end * pixels;
            let rows = strip_rows(co + ci);
            let mut first = true;
            let room = outer_room::<E>(rows, self.input, self.output);
            context.scratches.with([rows * co, rows * ci, room], |[strip, narrow_room, room]| {
                for start in all.clone().step_by(rows) {
                    let end = (start + rows).min(all.end);
                    let count = end - start;
                    let wide = start * co..end * co;
                    let strip = &mut view(strip)[..count * co];
                    let c = norm.vectors.gradient();
                    combine(context.own, &dz[wide.clone()], &out[wide], c, strip);
                    let narrow = start * ci..end * ci;
                    let local = (start - all.start) * ci..(end - all.start) * ci;
                    let dx = &mut dx[local];
                    if let Some(residual) = residual {
                        dx.copy_from_slice(&residual[narrow.clone()]);
                    }
                    let accumulate = residual.is_some();
                    product(context.own, count, (strip, co), backward, (dx, ci), accumulate);
                    let a = (E::rows(context.own, &x[narrow], narrow_room), ci, self.input);
                    let b = (&*strip, co, self.output);
                    outer(context.own, count, a, b, partial, first, room);
                    first = false;
                }
            });
        });
        workspace.partials.sum_transposed(
            context.groups.len(),
            (self.input, self.output),
            parameters.gradient(self.weight),
        );
    }

    /// The same of a stem: the images need no gradient.
    pub(super) fn backward_stem(
        &mut self,
        context: &Context<'_, E>,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
        taps: &stem::Taps<'_>,
    ) {
        let co = padded(self.output);
        let pixels = taps.pixels();
        let Self { out, norm, .. } = &*self;
        let tasks: Vec<_> = context.groups.iter().zip(&mut workspace.partials.0).collect();
        let dz = &workspace.expanded;
        run(tasks, |(group, partial)| {
            let rows = strip_rows(stem::WIDTH + co);
            let room = outer_room::<E>(rows, stem::WIDTH, self.output);
            let sizes =
                [taps.padded_len(), rows * stem::WIDTH, rows * stem::WIDTH, rows * co, room];
            let mut first = true;
            context.scratches.with(sizes, |[image, strip, narrow_room, gradient, room]| {
                for n in group.clone() {
                    taps.normalise(n, image);
                    for start in (0..pixels).step_by(rows) {
                        let count = rows.min(pixels - start);
                        taps.rows(image, start, count, strip);
                        let wide = (n * pixels + start) * co..(n * pixels + start + count) * co;
                        let gradient = &mut view(gradient)[..count * co];
                        let c = norm.vectors.gradient();
                        combine(context.own, &dz[wide.clone()], &out[wide], c, gradient);
                        let a = &strip[..count * stem::WIDTH];
                        let a = E::rows(context.own, a, narrow_room);
                        let (a, b) = ((a, stem::WIDTH, self.input), (&*gradient, co, self.output));
                        outer(context.own, count, a, b, partial, first, room);
                        first = false;
                    }
                }
            });
        });
        let gradient = parameters.gradient(self.weight);
        let shape = (self.input, self.output);
        workspace.partials.sum_transposed(context.groups.len(), shape, gradient);
        let by_taps = gradient.to_vec();
        stem::from_taps(&by_taps, gradient);
    }
}
