//! The depthwise convolution, 3×3 or 5×5, with bias, SiLU (`silu2`) and the sum that
//! squeeze and excite needs, in one pass.
//!
//! It reads rows of a ring that whatever comes before it fills (see
//! [`Ring`]), so that the expanded tensor never reaches memory. A tile of
//! pixels of one row stays in registers over all taps.

#![allow(unsafe_code, reason = "a microkernel on raw pointers; all bounds are asserted on entry")]

use std::ops::Range;

use super::{
    format::{Format, FormatOn},
    lines::{BLOCK, Line},
    planes::PlanesMut,
    simd::{Kernel, Simd, load_line, store_line, unrolled},
};

/// The shape of a depthwise convolution's plane and of the ring of input rows
/// it reads: blocks of `rows` rows of `width` lines, row `y` of the plane at
/// `y % rows`, its pixels from line `pad_left` on, the rest of the row zeros.
#[derive(Debug, Clone, Copy)]
pub struct Ring {
    /// Rows the ring holds.
    pub rows: usize,
    /// Lines a row, both paddings included.
    pub width: usize,
    /// Zeros before the first pixel of a row.
    pub pad_left: usize,
}

impl Ring {
    /// Lines of one block.
    pub fn block(&self) -> usize {
        self.rows * self.width
    }

    /// Where the pixels of row `y` begin.
    pub fn start(&self, y: usize) -> usize {
        y % self.rows * self.width + self.pad_left
    }
}

/// Some rows of a depthwise convolution, for a panel of blocks.
pub struct Depthwise<'a, F: Format> {
    /// `[panel blocks][ring rows][ring width]`.
    pub input: &'a [Line],
    /// Its shape.
    pub ring: Ring,
    /// Rows of the input plane; those above and below are zeros.
    pub height: usize,
    /// Zero rows above the first.
    pub pad_top: usize,
    /// Side of the kernel, 3 or 5.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// `[panel blocks][kernel²]`.
    pub weights: &'a [Line],
    /// `[panel blocks]`.
    pub bias: &'a [Line],
    /// The panel's blocks, from the first of `rows` on.
    pub output: PlanesMut<'a, F::Cell>,
    /// Pixels of an output row.
    pub output_width: usize,
    /// Output rows to compute; the ring must hold the input rows they need.
    pub rows: Range<usize>,
    /// One line a block of the panel: the sum over the pixels computed.
    pub sums: PlanesMut<'a, Line>,
}

/// Most pixels in a tile.
const fn max_pixels(many_registers: bool) -> usize {
    if many_registers { 8 } else { 6 }
}

impl<S: Simd, F: FormatOn<S>> Kernel<S> for Depthwise<'_, F> {
    #[inline(always)]
    fn run(self, s: S) {
        match (self.kernel, self.stride) {
            (3, 1) => self.sized::<S, 3, 1>(s),
            (3, 2) => self.sized::<S, 3, 2>(s),
            (5, 1) => self.sized::<S, 5, 1>(s),
            (5, 2) => self.sized::<S, 5, 2>(s),
            other => unreachable!("no EfficientNet has a depthwise kernel of {other:?}"),
        }
    }
}

/// What a tile of one block and one row needs. Pointers are at the first of
/// the lanes at work.
struct Row<const K: usize> {
    taps: Range<usize>,
    input: [*const f32; K],
    weights: *const f32,
}

impl<F: Format> Depthwise<'_, F> {
    #[inline(always)]
    fn sized<S: Simd, const K: usize, const STRIDE: usize>(mut self, s: S)
    where
        F: FormatOn<S>,
    {
        let panel = self.bias.len();
        assert!(self.sums.blocks() == panel && self.sums.len() > 0);
        assert_eq!(self.weights.len(), panel * K * K);
        assert!(panel * self.ring.block() <= self.input.len());
        assert!(self.output_width > 0 && self.rows.start < self.rows.end);
        assert!((self.output_width - 1) * STRIDE + K <= self.ring.width);
        assert_eq!(self.output.blocks(), panel);
        assert!(self.rows.len() * self.output_width <= self.output.len());
        assert!(self.height > 0 && self.ring.rows > 0);

        let count = self.output_width.div_ceil(max_pixels(S::MANY_REGISTERS));
        let (small, larger) = (self.output_width / count, self.output_width % count);
        for block in 0..panel {
            for lanes in (0..BLOCK).step_by(S::LANES) {
                // SAFETY: within the slices by the assertions above; rows of the ring are taken
                // modulo its rows, and tiles cover `output_width` pixels exactly.
                unsafe {
                    let input = self.input.as_ptr().add(block * self.ring.block());
                    let input = input.cast::<f32>().add(lanes);
                    let output_block = block * self.output.stride();
                    let output = self.output.as_mut_ptr().add(output_block);
                    let weights = self.weights.as_ptr().add(block * K * K).cast::<f32>().add(lanes);
                    let bias = load_line(s, self.bias.as_ptr().add(block), lanes);
                    let sums = self.sums.as_mut_ptr().add(block * self.sums.stride());
                    let mut sum = s.splat(0.0);
                    for y in self.rows.clone() {
                        let top = y * STRIDE;
                        let from = self.pad_top.saturating_sub(top).min(K);
                        let to = (self.height + self.pad_top).saturating_sub(top).min(K);
                        let mut row = Row { taps: from..to, input: [input; K], weights };
                        for tap in from..to {
                            let ring_row = (top + tap - self.pad_top) % self.ring.rows;
                            row.input[tap] = input.add(ring_row * self.ring.width * BLOCK);
                        }
                        let output = output.add((y - self.rows.start) * self.output_width);
                        let mut row_sum = s.splat(0.0);
                        let mut x = 0;
                        for tile in 0..count {
                            let pixels = small + usize::from(tile < larger);
                            let at = (output.add(x), lanes);
                            let tile_sum = row.tile::<F, S, STRIDE>(s, bias, at, x, pixels);
                            row_sum = s.add(row_sum, tile_sum);
                            x += pixels;
                        }
                        sum = s.add(sum, row_sum);
                    }
                    store_line(s, sums, lanes, sum);
                }
            }
        }
    }
}

impl<const K: usize> Row<K> {
    #[inline(always)]
    unsafe fn tile<F: FormatOn<S>, S: Simd, const STRIDE: usize>(
        &self,
        s: S,
        bias: S::Vector,
        output: (*mut F::Cell, usize),
        x: usize,
        pixels: usize,
    ) -> S::Vector {
        macro_rules! dispatch {
            ($($p:literal)*) => {
                match pixels {
                    $($p if const { $p <= max_pixels(S::MANY_REGISTERS) } => {
                        // SAFETY: the caller's promise.
                        unsafe { self.pixels::<F, S, STRIDE, $p>(s, bias, output, x) }
                    })*
                    n => unreachable!("no tile has {n} pixels"),
                }
            };
        }
        dispatch!(8 7 6 5 4 3 2 1)
    }

    #[inline(always)]
    unsafe fn pixels<F: FormatOn<S>, S: Simd, const STRIDE: usize, const P: usize>(
        &self,
        s: S,
        bias: S::Vector,
        (output, lane): (*mut F::Cell, usize),
        x: usize,
    ) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = [bias; P];
            for tap in self.taps.clone() {
                let input = self.input[tap].add(x * STRIDE * BLOCK);
                let weights = self.weights.add(tap * K * BLOCK);
                unrolled!(J in 0..K, up to 5 => {
                    let w = s.load(weights.add(J * BLOCK));
                    unrolled!(I in 0..P, up to 8 => {
                        let x = s.load(input.add((I * STRIDE + J) * BLOCK));
                        acc[I] = s.mul_add(x, w, acc[I]);
                    });
                });
            }
            let mut sum = s.splat(0.0);
            unrolled!(I in 0..P, up to 8 => {
                let y = F::silu2(s, acc[I]);
                F::store(s, output.add(I), lane, y);
                sum = s.add(sum, y);
            });
            sum
        }
    }
}
