//! Memory of the training kernels: cache-aligned numbers, zero when made.
//!
//! Activations are channels-last, `[pixels][padded(channels)]`: rows start on
//! a line of their own (sixteen numbers) and lanes past the last channel are
//! zero, so no kernel has a tail of channels. What is allocated once is kept
//! for all steps.

#![allow(unsafe_code, reason = "lines of sixteen floats seen as numbers")]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use super::element::Element;
use crate::lines::{BLOCK, Line};

/// Numbers in the rows of a tensor of `channels` channels.
pub const fn padded(channels: usize) -> usize {
    channels.div_ceil(BLOCK) * BLOCK
}

/// Numbers that start on a cache line.
pub struct Buffer<E: Element = f32> {
    lines: Vec<Line>,
    element: PhantomData<E>,
}

impl<E: Element> Default for Buffer<E> {
    fn default() -> Self {
        Self { lines: Vec::new(), element: PhantomData }
    }
}

impl<E: Element> Buffer<E> {
    /// Numbers in a line.
    const PER_LINE: usize = size_of::<Line>() / size_of::<E>();

    /// Zeros, at least `len` of them. The pages come from the system when
    /// they are first written.
    pub fn zeros(len: usize) -> Self {
        Self { lines: vec![Line::ZERO; len.div_ceil(Self::PER_LINE)], element: PhantomData }
    }

    /// A copy, filled up with zeros.
    #[cfg(test)]
    pub fn of(values: &[E]) -> Self {
        let mut buffer = Self::zeros(values.len());
        buffer[..values.len()].copy_from_slice(values);
        buffer
    }
}

impl<E: Element> Deref for Buffer<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        let len = self.lines.len() * Self::PER_LINE;
        // SAFETY: a `Line` is 64 bytes and nothing else, and any bits are an element.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), len) }
    }
}

impl<E: Element> DerefMut for Buffer<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        let len = self.lines.len() * Self::PER_LINE;
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }
}

/// Floats as room for elements, as many as fit.
pub fn view<E: Element>(room: &mut [f32]) -> &mut [E] {
    const { assert!(size_of::<E>() <= size_of::<f32>() && align_of::<E>() <= align_of::<f32>()) };
    let len = size_of_val(room) / size_of::<E>();
    // SAFETY: as many bytes, of no greater alignment; any bits are a float or an element.
    unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), len) }
}

/// Whether a slice starts on a line of its own, as kernels that load whole
/// vectors ask.
pub fn aligned<E: Element>(values: &[E]) -> bool {
    values.as_ptr().addr().is_multiple_of(BLOCK * size_of::<E>())
}
