//! Squeeze and excite (Hu et al. 2018, arXiv:1709.01507) of a whole batch:
//! the two small matrices between the pooled activation and its gate.

use super::context::{Context, Workspace};
use super::parameter::Parameters;
use crate::model::weights::{Weights, WeightsError};
use hiwl_kernels::train::{Buffer, Element, Packed, outer, padded, product};

/// The matrices and what is kept of the forward pass.
pub(super) struct Squeeze {
    channels: usize,
    squeezed: usize,
    /// Places of weight and bias.
    reduce: [usize; 2],
    expand: [usize; 2],
    packed: [Packed; 4],
    /// Means of the activation, `[images][padded(channels)]`.
    pub(super) pooled: Buffer,
    /// The squeezed vector before its SiLU, and behind it.
    before: Buffer,
    hidden: Buffer,
    /// What the activation is multiplied with.
    pub(super) gate: Buffer,
    /// Gradient at the gate; later at its sigmoid's argument.
    pub(super) gate_gradient: Buffer,
    hidden_gradient: Buffer,
    /// Gradient at the pooled means.
    pub(super) pooled_gradient: Buffer,
}

impl Squeeze {
    pub(super) fn new(
        parameters: &mut Parameters,
        weights: &Weights,
        prefix: &str,
        (channels, squeezed): (usize, usize),
        images: usize,
    ) -> Result<Self, WeightsError> {
        let mut take = |name: &str, shape: &[usize]| {
            parameters.take(weights, format!("{prefix}.{name}"), shape)
        };
        let wide = || Buffer::zeros(images * padded(channels));
        let narrow = || Buffer::zeros(images * padded(squeezed));
        Ok(Self {
            channels,
            squeezed,
            reduce: [
                take("fc1.weight", &[squeezed, channels, 1, 1])?,
                take("fc1.bias", &[squeezed])?,
            ],
            expand: [
                take("fc2.weight", &[channels, squeezed, 1, 1])?,
                take("fc2.bias", &[channels])?,
            ],
            packed: [
                Packed::new(channels, squeezed),
                Packed::new(squeezed, channels),
                Packed::new(channels, squeezed),
                Packed::new(squeezed, channels),
            ],
            pooled: wide(),
            before: narrow(),
            hidden: narrow(),
            gate: wide(),
            gate_gradient: wide(),
            hidden_gradient: narrow(),
            pooled_gradient: wide(),
        })
    }

    pub(super) fn pack(&mut self, parameters: &Parameters) {
        let (reduce, expand) =
            (parameters.values(self.reduce[0]), parameters.values(self.expand[0]));
        let [reduce_forward, expand_forward, expand_backward, reduce_backward] = &mut self.packed;
        reduce_forward.pack(reduce, 1, self.channels);
        expand_forward.pack(expand, 1, self.squeezed);
        expand_backward.pack(expand, self.squeezed, 1);
        reduce_backward.pack(reduce, self.channels, 1);
    }

    /// Largest partial gradient.
    pub(super) fn partial(&self) -> usize {
        padded(self.channels) * padded(self.squeezed)
    }

    /// The gate from `pooled`.
    pub(super) fn forward<E: Element>(
        &mut self,
        context: &Context<'_, E>,
        parameters: &Parameters,
    ) {
        let (n, c, q) = (context.images, padded(self.channels), padded(self.squeezed));
        let [reduce, expand, ..] = &self.packed;
        product(context.cpu, n, (&*self.pooled, c), reduce, (&mut *self.before, q), false);
        let bias = parameters.values(self.reduce[1]);
        for (before, hidden) in
            self.before.chunks_exact_mut(q).zip(self.hidden.chunks_exact_mut(q)).take(n)
        {
            for ((before, hidden), bias) in before.iter_mut().zip(hidden).zip(bias) {
                *before += bias;
                *hidden = *before * sigmoid(*before);
            }
        }
        product(context.cpu, n, (&*self.hidden, q), expand, (&mut *self.gate, c), false);
        let bias = parameters.values(self.expand[1]);
        for gate in self.gate.chunks_exact_mut(c).take(n) {
            for (gate, bias) in gate.iter_mut().zip(bias) {
                *gate = sigmoid(*gate + bias);
            }
        }
    }

    /// From `gate_gradient`: the matrices' gradients and `pooled_gradient`.
    pub(super) fn backward<E: Element>(
        &mut self,
        context: &Context<'_, E>,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
    ) {
        let (n, c, q) = (context.images, padded(self.channels), padded(self.squeezed));
        let [.., expand, reduce] = &self.packed;
        for (d, gate) in self.gate_gradient[..n * c].iter_mut().zip(&self.gate[..n * c]) {
            *d *= gate * (1.0 - gate);
        }
        sum_rows(&self.gate_gradient[..n * c], c, parameters.gradient(self.expand[1]));
        let partial = &mut workspace.partials.0[0];
        let (hidden, d_gate) = (&*self.hidden, &*self.gate_gradient);
        let shape = (self.squeezed, self.channels);
        outer(context.cpu, n, (hidden, q, shape.0), (d_gate, c, shape.1), partial, true, &mut []);
        let gradient = parameters.gradient(self.expand[0]);
        workspace.partials.sum_transposed(1, shape, gradient);

        let d_hidden = &mut self.hidden_gradient;
        product(context.cpu, n, (d_gate, c), expand, (&mut **d_hidden, q), false);
        for (d, &z) in d_hidden[..n * q].iter_mut().zip(&self.before[..n * q]) {
            let sigma = sigmoid(z);
            *d *= sigma + z * sigma * (1.0 - sigma);
        }
        sum_rows(&d_hidden[..n * q], q, parameters.gradient(self.reduce[1]));
        let partial = &mut workspace.partials.0[0];
        let (d_hidden, pooled) = (&*self.hidden_gradient, &*self.pooled);
        outer(context.cpu, n, (d_hidden, q, shape.0), (pooled, c, shape.1), partial, true, &mut []);
        workspace.partials.sum(1, shape.1, parameters.gradient(self.reduce[0]));
        let to = (&mut *self.pooled_gradient, c);
        product(context.cpu, n, (d_hidden, q), reduce, to, false);
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Column sums of rows of `stride` floats.
pub(super) fn sum_rows(rows: &[f32], stride: usize, sums: &mut [f32]) {
    sums.fill(0.0);
    for row in rows.chunks_exact(stride) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}
