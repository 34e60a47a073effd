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

    /// `gradient[wide][narrow] = Σ partials`.
    pub(super) fn sum_transposed(
        &self,
        groups: usize,
        (narrow, wide): (usize, usize),
        gradient: &mut [f32],
    ) {
        let stride = padded(wide);
        gradient.par_chunks_mut(16 * narrow).enumerate().for_each(|(block, rows)| {
            for n in 0..narrow {
                let mut line = [0.0; 16];
                for partial in &self.0[..groups] {
                    let from = &partial[n * stride + block * 16..][..16];
                    line.iter_mut().zip(from).for_each(|(sum, value)| *sum += value);
                }
                for (row, value) in rows.chunks_mut(narrow).zip(line) {
                    row[n] = value;
                }
            }
        });
    }
}
