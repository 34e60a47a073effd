//! The small operations around squeeze and excite and the head: scaling by
//! channel, the logistic function, the mean over pixels.
//!
//! They are plain loops that the compiler vectorises inside
//! [`Simd::vectorize`]; none of them is a thousandth of the network's work.

#![allow(unsafe_code, reason = "vector loads and stores of whole lines")]

use super::{
    lines::{BLOCK, Line},
    simd::{Kernel, Simd, sigmoid},
};

/// Multiplies the pixels of one block by a factor a channel.
pub(super) struct ScalePixels<'a> {
    /// Pixels of one block.
    pub pixels: &'a mut [Line],
    /// Factors of its channels.
    pub factors: &'a Line,
}

impl Kernel for ScalePixels<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for pixel in self.pixels {
            for lane in 0..BLOCK {
                pixel.0[lane] *= self.factors.0[lane];
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
    fn run<S: Simd>(self, _: S) {
        let rows = self.weights.chunks_exact(self.panel);
        for (k, (from, to)) in rows.zip(self.output.chunks_exact_mut(self.panel)).enumerate() {
            let factor = self.factors[k / BLOCK * self.step].0[k % BLOCK];
            for (from, to) in from.iter().zip(to) {
                for lane in 0..BLOCK {
                    to.0[lane] = from.0[lane] * factor;
                }
            }
        }
    }
}

/// The logistic function, in place.
pub(super) struct Sigmoid<'a>(pub &'a mut [Line]);

impl Kernel for Sigmoid<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for line in self.0 {
            for lanes in (0..BLOCK).step_by(S::LANES) {
                // SAFETY: `lanes + LANES` ≤ BLOCK; a line is aligned to 64 bytes.
                unsafe {
                    let at = line.0.as_mut_ptr().add(lanes);
                    s.store(at, sigmoid(s, s.load(at)));
                }
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
    fn run<S: Simd>(self, _: S) {
        let mut sum = [0.0; BLOCK];
        for pixel in self.pixels {
            for lane in 0..BLOCK {
                sum[lane] += pixel.0[lane];
            }
        }
        *self.output = Line(sum.map(|sum| sum / self.pixels.len() as f32));
    }
}
