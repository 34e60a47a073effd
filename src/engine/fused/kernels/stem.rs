//! The stem: bytes to normalised pixels, and the 3×3 convolution of stride 2
//! over them with bias and SiLU ([`silu2`]).
//!
//! Pixels are normalised row by row into a small ring, with zeros left and
//! right, as PyTorch pads: after normalisation. The convolution then is a
//! matrix product over 27 taps, of which each row's nine lie side by side.

#![allow(unsafe_code, reason = "a microkernel on raw pointers; all bounds are asserted on entry")]

use super::{
    lines::{BLOCK, Line},
    simd::{Kernel, Simd, max_pixels, outer_product, silu2, unrolled},
};

/// Taps of one row: three pixels of three colours.
const ROW_TAPS: usize = 9;
/// Values from the input of one output pixel to the next: stride 2.
const STEP: usize = 6;

/// Bytes of interleaved RGB to `byte · scale + shift`, a scale and shift a
/// colour.
pub struct Normalise<'a> {
    /// Pixels of three bytes.
    pub bytes: &'a [u8],
    /// By colour, three times over (see [`colours`]).
    pub scale: &'a [f32; 3 * BLOCK],
    /// By colour, likewise.
    pub shift: &'a [f32; 3 * BLOCK],
    /// As many values as bytes.
    pub output: &'a mut [f32],
}

/// A value a colour repeated over three lines.
pub fn colours(values: [f32; 3]) -> [f32; 3 * BLOCK] {
    std::array::from_fn(|i| values[i % 3])
}

impl<S: Simd> Kernel<S> for Normalise<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let len = self.bytes.len();
        assert_eq!(len, self.output.len());
        let whole = len - len % S::LANES;
        let mut phase = 0;
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: `at + LANES` ≤ `whole` ≤ the length of both; `phase + LANES` ≤ 3 · BLOCK as
            // LANES divides BLOCK.
            unsafe {
                let x = s.load_bytes(self.bytes.as_ptr().add(at));
                let scale = s.load_unaligned(self.scale.as_ptr().add(phase));
                let shift = s.load_unaligned(self.shift.as_ptr().add(phase));
                let y = s.mul_add(x, scale, shift);
                s.store_unaligned(self.output.as_mut_ptr().add(at), y);
            }
            phase = (phase + S::LANES) % (3 * BLOCK);
        }
        // The rest through a vector too, so that a pixel's value never depends on the column.
        let mut bytes = [0; BLOCK];
        let mut values = [0.0; BLOCK];
        let rest = len - whole;
        bytes[..rest].copy_from_slice(&self.bytes[whole..]);
        // SAFETY: both buffers hold BLOCK ≥ LANES values; `phase` as above.
        unsafe {
            let x = s.load_bytes(bytes.as_ptr());
            let scale = s.load_unaligned(self.scale.as_ptr().add(phase));
            let shift = s.load_unaligned(self.shift.as_ptr().add(phase));
            s.store_unaligned(values.as_mut_ptr(), s.mul_add(x, scale, shift));
        }
        self.output[whole..].copy_from_slice(&values[..rest]);
    }
}

/// One row of the stem's convolution, for a panel of blocks.
pub struct Stem<'a> {
    /// The three input rows, padded, interleaved RGB.
    pub rows: [&'a [f32]; 3],
    /// The panel's weights, `[ky][kx][colour][panel blocks]`.
    pub weights: &'a [Line],
    /// `[panel blocks]`.
    pub bias: &'a [Line],
    /// Blocks of at least `width` pixels.
    pub output: &'a mut [Line],
    /// Lines from a block of `output` to the next.
    pub output_block: usize,
    /// Output pixels.
    pub width: usize,
}

impl<S: Simd> Kernel<S> for Stem<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        // One block at a time: with fourteen pixels to a vector of weights, loads keep up with
        // arithmetic as well as with wider tiles, of which there would be thrice as many.
        match BLOCK / S::LANES {
            1 if const { BLOCK == S::LANES } => self.vectors::<S, 1>(s),
            2 if const { BLOCK == 2 * S::LANES } => self.vectors::<S, 2>(s),
            4 if const { BLOCK == 4 * S::LANES } => self.vectors::<S, 4>(s),
            n => unreachable!("no vector is a {n}th of a line"),
        }
    }
}

impl Stem<'_> {
    #[inline(always)]
    fn vectors<S: Simd, const V: usize>(self, s: S) {
        let panel = self.bias.len();
        assert!(self.width > 0);
        let needed = (self.width - 1) * STEP + ROW_TAPS;
        assert!(self.rows.iter().all(|row| row.len() >= needed));
        assert_eq!(self.weights.len(), 3 * ROW_TAPS * panel);
        assert!((panel - 1) * self.output_block + self.width <= self.output.len());

        let count = self.width.div_ceil(max_pixels(S::MANY_REGISTERS, V));
        let (small, larger) = (self.width / count, self.width % count);
        let rows = self.rows.map(<[f32]>::as_ptr);
        for block in 0..panel {
            // SAFETY: block `block` of the weights, the bias and the output, as asserted above.
            let (weights, bias, output) = unsafe {
                (
                    self.weights.as_ptr().add(block).cast(),
                    self.bias.as_ptr().add(block).cast(),
                    self.output.as_mut_ptr().add(block * self.output_block).cast(),
                )
            };
            let tap = panel * BLOCK;
            let mut x = 0;
            for tile in 0..count {
                let pixels = small + usize::from(tile < larger);
                macro_rules! dispatch {
                    ($($p:literal)*) => {
                        match pixels {
                            $($p if const { $p <= max_pixels(S::MANY_REGISTERS, V) } => {
                                // SAFETY: tiles cover `width` pixels exactly, all asserted above.
                                unsafe {
                                    stem_tile::<S, V, $p>(s, rows, (weights, tap), bias, output, x);
                                }
                            })*
                            n => unreachable!("no tile has {n} pixels"),
                        }
                    };
                }
                dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
                x += pixels;
            }
        }
    }
}

/// `P` pixels of one block; `tap` values of weights from a tap to the next.
#[inline(always)]
unsafe fn stem_tile<S: Simd, const V: usize, const P: usize>(
    s: S,
    rows: [*const f32; 3],
    (mut weights, tap): (*const f32, usize),
    bias: *const f32,
    output: *mut f32,
    x: usize,
) {
    // SAFETY: the caller's promise; weights hold 27 taps of V vectors.
    unsafe {
        let mut acc = [[s.splat(0.0); V]; P];
        unrolled!(I in 0..V, up to 4 => {
            let bias = s.load(bias.add(I * S::LANES));
            unrolled!(J in 0..P, up to 14 => {
                acc[J][I] = bias;
            });
        });
        for row in rows {
            let input = row.add(x * STEP);
            for k in 0..ROW_TAPS {
                outer_product(s, &mut acc, input.add(k), STEP, weights);
                weights = weights.add(tap);
            }
        }
        unrolled!(I in 0..V, up to 4 => {
            unrolled!(J in 0..P, up to 14 => {
                s.store(output.add((x + J) * BLOCK + I * S::LANES), silu2(s, acc[J][I]));
            });
        });
    }
}
