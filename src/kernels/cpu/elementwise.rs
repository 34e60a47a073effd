//! The small operations around squeeze and excite and the head: scaling by
//! channel, the logistic function, the mean over pixels.
//!
//! None of them is a hundredth of the network's work, but as plain loops they
//! would be: the compiler takes arrays of lanes apart into gathers.

#![allow(unsafe_code, reason = "vector loads and stores of whole lines")]

use super::{
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
pub(super) struct ScalePixels<'a> {
    /// Pixels of one block.
    pub pixels: &'a mut [Line],
    /// Factors of its channels.
    pub factors: &'a Line,
}

impl Kernel for ScalePixels<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for lanes in (0..BLOCK).step_by(S::LANES) {
            let factors = load(s, self.factors, lanes);
            for pixel in self.pixels.iter_mut() {
                store(s, pixel, lanes, s.mul(load(s, pixel, lanes), factors));
            }
        }
    }
}

/// Multiplies the weights of a panel by a factor an input channel.
pub(super) struct ScaleWeights<'a> {
    /// `[channels][panel blocks]`.
    pub weights: &'a [Line],
    /// Blocks of the panel.
    pub panel: usize,
    /// Factor of input channel `16 i + j` in lane `j` of line `i · step`.
    pub factors: &'a [Line],
    /// Lines from a block of `factors` to the next.
    pub step: usize,
    /// As `weights`.
    pub output: &'a mut [Line],
}

impl Kernel for ScaleWeights<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.weights.chunks_exact(self.panel);
        for (k, (from, to)) in rows.zip(self.output.chunks_exact_mut(self.panel)).enumerate() {
            let factor = s.splat(self.factors[k / BLOCK * self.step].0[k % BLOCK]);
            for (from, to) in from.iter().zip(to) {
                for lanes in (0..BLOCK).step_by(S::LANES) {
                    store(s, to, lanes, s.mul(load(s, from, lanes), factor));
                }
            }
        }
    }
}

/// [`sigmoid2`], in place.
pub(super) struct Sigmoid2<'a>(pub &'a mut [Line]);

impl Kernel for Sigmoid2<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for line in self.0 {
            for lanes in (0..BLOCK).step_by(S::LANES) {
                let y = sigmoid2(s, load(s, line, lanes));
                store(s, line, lanes, y);
            }
        }
    }
}

/// The mean over the pixels of one block.
pub(super) struct Mean<'a> {
    /// Pixels of one block.
    pub pixels: &'a [Line],
    /// Their mean.
    pub output: &'a mut Line,
}

impl Kernel for Mean<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
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
