//! The small operations around squeeze and excite and the head: scaling by
//! channel, the logistic function, the mean over pixels.
//!
//! None of them is a hundredth of the network's work, but as plain loops they
//! would be: the compiler takes arrays of lanes apart into gathers.

#![allow(unsafe_code, reason = "vector loads and stores of whole lines")]

use super::{
    format::{Format, FormatOn, ScaledOn},
    lines::{BLOCK, Line},
    simd::{Kernel, Simd, sigmoid2},
};

/// The vector of a line that begins at lane `at`, a multiple of LANES.
#[inline(always)]
fn load<S: Simd>(s: S, line: &Line, at: usize) -> S::Vector {
    assert!(at + S::LANES <= BLOCK);
    // SAFETY: within the line, which is aligned to 64 bytes.
    unsafe { s.load(line.0.as_ptr().add(at)) }
}

/// Stores the vector of a line that begins at lane `at`, a multiple of LANES.
#[inline(always)]
fn store<S: Simd>(s: S, line: &mut Line, at: usize, value: S::Vector) {
    assert!(at + S::LANES <= BLOCK);
    // SAFETY: within the line, which is aligned to 64 bytes.
    unsafe { s.store(line.0.as_mut_ptr().add(at), value) }
}

/// Multiplies the pixels of one block by a factor a channel.
pub struct ScalePixels<'a, F: Format> {
    /// Pixels of one block.
    pub pixels: &'a mut [F::Cell],
    /// Factors of its channels.
    pub factors: &'a Line,
}

impl<S: Simd, F: FormatOn<S>> Kernel<S> for ScalePixels<'_, F> {
    #[inline(always)]
    fn run(self, s: S) {
        for lanes in (0..BLOCK).step_by(S::LANES) {
            let factors = load(s, self.factors, lanes);
            for pixel in self.pixels.iter_mut() {
                // SAFETY: a cell, and a lane below BLOCK.
                unsafe {
                    let y = s.mul(F::load(s, pixel, lanes), factors);
                    F::store(s, pixel, lanes, y);
                }
            }
        }
    }
}

/// Multiplies the weights of a panel by a factor an input channel.
pub struct ScaleWeights<'a, F: Format> {
    /// `[channels][panel blocks]`.
    pub weights: &'a [Line],
    /// Blocks of the panel.
    pub panel: usize,
    /// Factor of input channel `16 i + j` in lane `j` of line `i · step`.
    pub factors: &'a [Line],
    /// Lines from a block of `factors` to the next.
    pub step: usize,
    /// `[⌈channels / STEP⌉][panel blocks]`.
    pub output: &'a mut [F::Weights],
}

impl<S: Simd, F: ScaledOn<S>> Kernel<S> for ScaleWeights<'_, F> {
    #[inline(always)]
    fn run(self, s: S) {
        let rows = self.weights.chunks_exact(F::STEP * self.panel);
        assert!(rows.remainder().is_empty(), "a step is not whole");
        for (step, (from, to)) in rows.zip(self.output.chunks_exact_mut(self.panel)).enumerate() {
            let k = step * F::STEP;
            let factors = &self.factors[k / BLOCK * self.step].0[k % BLOCK..][..F::STEP];
            for (block, to) in to.iter_mut().enumerate() {
                for lanes in (0..BLOCK).step_by(S::LANES) {
                    // SAFETY: `from` holds STEP rows of the panel's lines.
                    unsafe { F::scale(s, &raw const from[block], self.panel, factors, to, lanes) };
                }
            }
        }
    }
}

/// `sigmoid2`, in place.
pub struct Sigmoid2<'a>(pub &'a mut [Line]);

impl<S: Simd> Kernel<S> for Sigmoid2<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        for line in self.0 {
            for lanes in (0..BLOCK).step_by(S::LANES) {
                let y = sigmoid2(s, load(s, line, lanes));
                store(s, line, lanes, y);
            }
        }
    }
}

/// The mean over the pixels of one block.
pub struct Mean<'a> {
    /// Pixels of one block.
    pub pixels: &'a [Line],
    /// Their mean.
    pub output: &'a mut Line,
}

impl<S: Simd> Kernel<S> for Mean<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let share = s.splat(1.0 / self.pixels.len() as f32);
        for lanes in (0..BLOCK).step_by(S::LANES) {
            let mut sum = s.splat(0.0);
            for pixel in self.pixels {
                sum = s.add(sum, load(s, pixel, lanes));
            }
            store(s, self.output, lanes, s.mul(sum, share));
        }
    }
}
