//! The 1×1 convolution, a matrix product, with bias, SiLU ([`silu2`]) and residual in its
//! epilogue.
//!
//! A tile of some pixels × some vectors of output channels stays in registers
//! over all input channels: each step loads the weights once and multiplies
//! them with the broadcast input of each pixel. With one pixel it is a
//! matrix-vector product, which squeeze and excite and the classifier use.
//! The sum over channels runs in the same order for every pixel, whatever the
//! tile it falls in.

#![allow(unsafe_code, reason = "a microkernel on raw pointers; all bounds are asserted on entry")]

use super::{
    lines::{BLOCK, Line, blocks},
    simd::{Kernel, Simd, max_pixels, outer_product, silu2, unrolled},
};

/// One panel of a 1×1 convolution over a rectangle of pixels.
pub(super) struct Pointwise<'a> {
    /// Blocks of channels, each of `rows · width` pixels in order.
    pub input: &'a [Line],
    /// Lines from a block of `input` to the next.
    pub input_block: usize,
    /// Channels in.
    pub channels: usize,
    /// The panel's weights, `[channels][panel blocks]`.
    pub weights: &'a [Line],
    /// `[panel blocks]`.
    pub bias: &'a [Line],
    /// Added after the activation; laid out as `output`.
    pub residual: Option<&'a [Line]>,
    /// Blocks of channels, each of `rows` rows of `width` pixels.
    pub output: &'a mut [Line],
    /// Lines from a block of `output` to the next.
    pub output_block: usize,
    /// Lines from a row of `output` to the next.
    pub output_row: usize,
    /// Rows.
    pub rows: usize,
    /// Pixels a row.
    pub width: usize,
    /// Whether [`silu2`] follows the bias.
    pub silu2: bool,
}

/// Widths in blocks of the panels that `blocks` are cut into, for processors
/// with vectors of a whole [`Line`] or shorter ones.
pub(super) fn panel_widths(blocks: usize, whole_lines: bool) -> Vec<usize> {
    if !whole_lines {
        return vec![1; blocks];
    }
    // Three vectors × eight pixels use the registers best; four and two come close.
    match (blocks / 3, blocks % 3) {
        (threes, 0) => vec![3; threes],
        (0, rest) => vec![rest],
        (threes, 1) => [vec![3; threes - 1], vec![4]].concat(),
        (threes, rest) => [vec![3; threes], vec![rest]].concat(),
    }
}

impl Kernel for Pointwise<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.bias.len() * (BLOCK / S::LANES) {
            1 => self.vectors::<S, 1>(s),
            2 => self.vectors::<S, 2>(s),
            3 => self.vectors::<S, 3>(s),
            4 => self.vectors::<S, 4>(s),
            n => unreachable!("panels of {n} vectors are never packed"),
        }
    }
}

impl Pointwise<'_> {
    #[inline(always)]
    fn vectors<S: Simd, const V: usize>(self, s: S) {
        const { assert!(BLOCK.is_multiple_of(S::LANES)) };
        let panel = self.bias.len();
        assert!(self.rows > 0 && self.width > 0 && self.channels > 0);
        let pixels = self.rows * self.width;
        assert!((blocks(self.channels) - 1) * self.input_block + pixels <= self.input.len());
        assert_eq!(self.weights.len(), self.channels * panel);
        let end = (panel - 1) * self.output_block + (self.rows - 1) * self.output_row + self.width;
        assert!(end <= self.output.len());
        assert!(self.residual.is_none_or(|residual| end <= residual.len()));

        // Tiles of equal size, or one pixel less, waste nothing at the end of a row.
        let count = self.width.div_ceil(max_pixels(S::MANY_REGISTERS, V));
        let small = self.width / count;
        let larger = self.width % count;
        let mut tiles = Tiles::<1, V> {
            input: self.input.as_ptr().cast(),
            input_block: self.input_block * BLOCK,
            input_row: self.width * BLOCK,
            channels: self.channels,
            weights: self.weights.as_ptr().cast(),
            bias: self.bias.as_ptr().cast(),
            residual: self.residual.map_or(std::ptr::null(), |residual| residual.as_ptr().cast()),
            output: self.output.as_mut_ptr().cast(),
            output_block: self.output_block * BLOCK,
            output_row: self.output_row * BLOCK,
            rows: self.rows,
            first: 0,
            count: larger,
            silu2: self.silu2,
        };
        if larger > 0 {
            tiles.dispatch(s, small + 1);
        }
        (tiles.first, tiles.count) = (larger * (small + 1), count - larger);
        tiles.dispatch(s, small);
    }
}

/// The tiles of `P` pixels × `V` vectors of all rows. Strides in values.
struct Tiles<const P: usize, const V: usize> {
    input: *const f32,
    input_block: usize,
    input_row: usize,
    channels: usize,
    weights: *const f32,
    bias: *const f32,
    residual: *const f32,
    output: *mut f32,
    output_block: usize,
    output_row: usize,
    rows: usize,
    first: usize,
    count: usize,
    silu2: bool,
}

impl<const V: usize> Tiles<1, V> {
    /// Runs with tiles of so many pixels.
    #[inline(always)]
    fn dispatch<S: Simd>(&self, s: S, pixels: usize) {
        macro_rules! dispatch {
            ($($p:literal)*) => {
                match pixels {
                    $($p if const { $p <= max_pixels(S::MANY_REGISTERS, V) } => {
                        s.vectorize(self.with_pixels::<$p>());
                    })*
                    n => unreachable!("no tile has {n} pixels"),
                }
            };
        }
        dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }

    #[inline(always)]
    fn with_pixels<const P: usize>(&self) -> Tiles<P, V> {
        let &Self { input, input_block, input_row, channels, weights, bias, .. } = self;
        let &Self { residual, output, output_block, output_row, .. } = self;
        let &Self { rows, first, count, silu2, .. } = self;
        Tiles {
            input,
            input_block,
            input_row,
            channels,
            weights,
            bias,
            residual,
            output,
            output_block,
            output_row,
            rows,
            first,
            count,
            silu2,
        }
    }
}

impl<const P: usize, const V: usize> Kernel for Tiles<P, V> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in 0..self.rows {
            for tile in 0..self.count {
                let x = (self.first + tile * P) * BLOCK;
                // SAFETY: `Pointwise::vectors` made this and asserted that all rows × (first +
                // count · P) pixels lie in the input, the output and the residual.
                unsafe {
                    let input = self.input.add(row * self.input_row + x);
                    self.tile(s, input, row * self.output_row + x);
                }
            }
        }
    }
}

impl<const P: usize, const V: usize> Tiles<P, V> {
    #[inline(always)]
    unsafe fn tile<S: Simd>(&self, s: S, input: *const f32, output: usize) {
        // SAFETY: the caller's promise for pixels; weights and bias were asserted to hold
        // `channels` × V and V vectors; lines are aligned to 64 bytes.
        unsafe {
            let mut acc = [[s.splat(0.0); V]; P];
            unrolled!(I in 0..V => {
                let bias = s.load(self.bias.add(I * S::LANES));
                unrolled!(J in 0..P => {
                    acc[J][I] = bias;
                });
            });
            let mut weights = self.weights;
            let full = self.channels / BLOCK;
            for block in 0..full {
                let input = input.add(block * self.input_block);
                for k in 0..BLOCK {
                    outer_product::<S, P, V, BLOCK>(s, &mut acc, input.add(k), weights);
                    weights = weights.add(V * S::LANES);
                }
            }
            for k in 0..self.channels % BLOCK {
                let input = input.add(full * self.input_block + k);
                outer_product::<S, P, V, BLOCK>(s, &mut acc, input, weights);
                weights = weights.add(V * S::LANES);
            }

            let per_block = BLOCK / S::LANES;
            unrolled!(I in 0..V => {
                let at = output + I / per_block * self.output_block + I % per_block * S::LANES;
                unrolled!(J in 0..P => {
                    let at = at + J * BLOCK;
                    let mut y = acc[J][I];
                    if self.silu2 {
                        y = silu2(s, y);
                    }
                    if !self.residual.is_null() {
                        y = s.add(y, s.load(self.residual.add(at)));
                    }
                    s.store(self.output.add(at), y);
                });
            });
        }
    }
}
