//! Partial gradients of a weight matrix, one a group, and their sum.

use rayon::prelude::*;

use super::groups::GROUPS;
use hiwl_kernels::train::{Buffer, padded};

/// One matrix `[padded(narrow)][padded(wide)]` a group, shared by all layers.
pub(super) struct Partials(pub(super) Vec<Buffer>);

impl Partials {
    /// Room for matrices of up to `len` floats.
    pub(super) fn new(len: usize) -> Self {
        Self((0..GROUPS).map(|_| Buffer::zeros(len)).collect())
    }

    /// `gradient[narrow][wide] = Σ partials`.
    pub(super) fn sum(&self, groups: usize, wide: usize, gradient: &mut [f32]) {
        let stride = padded(wide);
        gradient.par_chunks_mut(wide).enumerate().for_each(|(n, row)| {
            row.fill(0.0);
            for partial in &self.0[..groups] {
                for (sum, value) in row.iter_mut().zip(&partial[n * stride..]) {
                    *sum += value;
                }
            }
        });
    }

    /// `gradient[wide][narrow] = Σ partials`, which are changed.
    pub(super) fn sum_transposed(
        &mut self,
        groups: usize,
        (narrow, wide): (usize, usize),
        gradient: &mut [f32],
    ) {
        let stride = padded(wide);
        let Some((sum, others)) = self.0[..groups].split_first_mut() else { return };
        // Along the rows first: to go down the columns of a dozen matrices
        // would touch a page at every step.
        sum[..narrow * stride].par_chunks_mut(stride).enumerate().for_each(|(n, sum)| {
            for partial in &*others {
                for (sum, value) in sum.iter_mut().zip(&partial[n * stride..]) {
                    *sum += value;
                }
            }
        });
        let sum = &*sum;
        gradient.par_chunks_mut(16 * narrow).enumerate().for_each(|(block, rows)| {
            for n in 0..narrow {
                let line = &sum[n * stride + block * 16..][..16];
                for (row, value) in rows.chunks_mut(narrow).zip(line) {
                    row[n] = *value;
                }
            }
        });
    }
}
