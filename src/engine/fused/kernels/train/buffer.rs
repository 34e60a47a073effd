//! Memory of the training kernels: cache-aligned f32, zero when made.
//!
//! Activations are channels-last, `[pixels][padded(channels)]`: rows start on
//! a cache line and lanes past the last channel are zero, so no kernel has a
//! tail of channels. What is allocated once is kept for all steps.

#![allow(unsafe_code, reason = "lines of sixteen floats seen as floats")]

use std::ops::{Deref, DerefMut};

use crate::lines::{BLOCK, Line};

/// Floats in the rows of a tensor of `channels` channels.
pub const fn padded(channels: usize) -> usize {
    channels.div_ceil(BLOCK) * BLOCK
}

/// Floats that start on a cache line.
#[derive(Default)]
pub struct Buffer {
    lines: Vec<Line>,
}

impl Buffer {
    /// Zeros, at least `len` of them. The pages come from the system when
    /// they are first written.
    pub fn zeros(len: usize) -> Self {
        Self { lines: vec![Line::ZERO; len.div_ceil(BLOCK)] }
    }

    /// A copy, filled up with zeros.
    #[cfg(test)]
    pub fn of(values: &[f32]) -> Self {
        let mut buffer = Self::zeros(values.len());
        buffer[..values.len()].copy_from_slice(values);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a `Line` is sixteen floats and nothing else.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * BLOCK) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        let len = self.lines.len() * BLOCK;
        // SAFETY: as above; any bits are floats.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }
}

/// Whether a slice starts on a cache line, as kernels that load whole vectors ask.
pub fn aligned(values: &[f32]) -> bool {
    values.as_ptr().cast::<Line>().is_aligned()
}
