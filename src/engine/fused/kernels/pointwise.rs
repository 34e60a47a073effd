//! The 1×1 convolution, a matrix product, with bias, SiLU (`silu2`) and residual in its
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
    format::{Format, FormatOn},
    lines::{BLOCK, Line, blocks},
    planes::PlanesMut,
    prepare::PixelScale,
    simd::{Kernel, Simd, load_line, max_pixels, store_line, unrolled},
};

/// One panel of a 1×1 convolution over a rectangle of pixels.
pub struct Pointwise<'a, F: Format> {
    /// Blocks of channels, each of `rows · width` pixels in order.
    pub input: &'a [F::Operand],
    /// What these pixels' operands stand for, if the format prepares them.
    pub scales: &'a [PixelScale],
    /// Lines from a block of `input` to the next.
    pub input_block: usize,
    /// Channels in.
    pub channels: usize,
    /// The panel's weights, `[⌈channels / STEP⌉][panel blocks]`.
    pub weights: &'a [F::Weights],
    /// `[panel blocks]`.
    pub bias: &'a [F::Bias],
    /// Added after the activation; laid out as the output.
    pub residual: Option<&'a [Line]>,
    /// The panel's blocks, each of `rows` rows of `width` pixels.
    pub output: Output<'a, F>,
    /// Lines from a row of the output to the next.
    pub output_row: usize,
    /// Rows.
    pub rows: usize,
    /// Pixels a row.
    pub width: usize,
    /// Whether `silu2` follows the bias.
    pub silu2: bool,
}

/// Where results go, and how they are held.
pub enum Output<'a, F: Format> {
    /// Into lines.
    Lines(PlanesMut<'a, Line>),
    /// Into cells.
    Cells(PlanesMut<'a, F::Cell>),
    /// Into cells, and into lines of the same layout.
    Both(PlanesMut<'a, F::Cell>, PlanesMut<'a, Line>),
}

impl<F: Format> Output<'_, F> {
    /// Blocks, elements of each, and from one to the next; cells and lines.
    fn parts(&mut self) -> ([usize; 3], *mut F::Cell, *mut Line) {
        fn shape<T>(planes: &PlanesMut<'_, T>) -> [usize; 3] {
            [planes.blocks(), planes.len(), planes.stride()]
        }
        match self {
            Self::Lines(lines) => (shape(lines), std::ptr::null_mut(), lines.as_mut_ptr()),
            Self::Cells(cells) => (shape(cells), cells.as_mut_ptr(), std::ptr::null_mut()),
            Self::Both(cells, lines) => {
                assert_eq!(shape(cells), shape(lines), "cells and lines of other layouts");
                (shape(cells), cells.as_mut_ptr(), lines.as_mut_ptr())
            }
        }
    }
}

/// Widths in blocks of the panels that `blocks` are cut into, for processors
/// with vectors of a whole [`Line`] or shorter ones.
pub fn panel_widths(blocks: usize, whole_lines: bool) -> Vec<usize> {
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

/// Whether [`panel_widths`] has panels of so many vectors.
const fn packed<S: Simd>(vectors: usize) -> bool {
    if S::LANES == BLOCK { vectors <= 4 } else { vectors == BLOCK / S::LANES }
}

impl<S: Simd, F: FormatOn<S>> Kernel<S> for Pointwise<'_, F> {
    #[inline(always)]
    fn run(self, s: S) {
        match self.bias.len() * (BLOCK / S::LANES) {
            1 if const { packed::<S>(1) } => self.vectors::<S, 1>(s),
            2 if const { packed::<S>(2) } => self.vectors::<S, 2>(s),
            3 if const { packed::<S>(3) } => self.vectors::<S, 3>(s),
            4 if const { packed::<S>(4) } => self.vectors::<S, 4>(s),
            n => unreachable!("panels of {n} vectors are never packed"),
        }
    }
}

impl<F: Format> Pointwise<'_, F> {
    #[inline(always)]
    fn vectors<S: Simd, const V: usize>(mut self, s: S)
    where
        F: FormatOn<S>,
    {
        const { assert!(BLOCK.is_multiple_of(S::LANES) && BLOCK.is_multiple_of(F::STEP * S::GROUP)) };
        let panel = self.bias.len();
        assert!(self.rows > 0 && self.width > 0 && self.channels > 0);
        let pixels = self.rows * self.width;
        assert!(!F::PREPARES || pixels <= self.scales.len());
        assert!((blocks(self.channels) - 1) * self.input_block + pixels <= self.input.len());
        let steps = self.channels.div_ceil(F::STEP);
        assert_eq!(self.weights.len(), steps * panel);
        let ([blocks, len, output_block], cells, lines) = self.output.parts();
        assert_eq!(blocks, panel);
        let run = (self.rows - 1) * self.output_row + self.width;
        assert!(run <= len);
        let end = (panel - 1) * output_block + run;
        assert!(self.residual.is_none_or(|residual| end <= residual.len()));

        // Tiles of equal size, or one pixel less, waste nothing at the end of a row.
        let count = self.width.div_ceil(max_pixels(S::MANY_REGISTERS, V));
        let small = self.width / count;
        let larger = self.width % count;
        let mut tiles = Tiles::<F, 1, V> {
            input: self.input.as_ptr(),
            input_block: self.input_block,
            input_row: self.width,
            scales: self.scales.as_ptr(),
            steps,
            weights: self.weights.as_ptr(),
            bias: self.bias.as_ptr(),
            residual: self.residual.map_or(std::ptr::null(), <[Line]>::as_ptr),
            cells,
            lines,
            output_block,
            output_row: self.output_row,
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

/// The tiles of `P` pixels × `V` vectors of all rows. Strides in lines; what is
/// null is not there.
struct Tiles<F: Format, const P: usize, const V: usize> {
    input: *const F::Operand,
    input_block: usize,
    input_row: usize,
    /// Of no meaning where the format prepares nothing.
    scales: *const PixelScale,
    steps: usize,
    weights: *const F::Weights,
    bias: *const F::Bias,
    residual: *const Line,
    cells: *mut F::Cell,
    lines: *mut Line,
    output_block: usize,
    output_row: usize,
    rows: usize,
    first: usize,
    count: usize,
    silu2: bool,
}

impl<F: Format, const V: usize> Tiles<F, 1, V> {
    /// Runs with tiles of so many pixels.
    #[inline(always)]
    fn dispatch<S: Simd>(&self, s: S, pixels: usize)
    where
        F: FormatOn<S>,
    {
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
    fn with_pixels<const P: usize>(&self) -> Tiles<F, P, V> {
        let &Self { input, input_block, input_row, scales, steps, weights, bias, .. } = self;
        let &Self { residual, cells, lines, output_block, output_row, .. } = self;
        let &Self { rows, first, count, silu2, .. } = self;
        Tiles {
            input,
            input_block,
            input_row,
            scales,
            steps,
            weights,
            bias,
            residual,
            cells,
            lines,
            output_block,
            output_row,
            rows,
            first,
            count,
            silu2,
        }
    }
}

impl<S: Simd, F: FormatOn<S>, const P: usize, const V: usize> Kernel<S> for Tiles<F, P, V> {
    #[inline(always)]
    fn run(self, s: S) {
        for row in 0..self.rows {
            for tile in 0..self.count {
                let x = self.first + tile * P;
                // SAFETY: `Pointwise::vectors` made this and asserted that all rows × (first +
                // count · P) pixels lie in the input, the output and the residual.
                unsafe { self.tile(s, row * self.input_row + x, row * self.output_row + x) }
            }
        }
    }
}

impl<F: Format, const P: usize, const V: usize> Tiles<F, P, V> {
    #[inline(always)]
    unsafe fn tile<S: Simd>(&self, s: S, input: usize, output: usize)
    where
        F: FormatOn<S>,
    {
        // SAFETY: the caller's promise for pixels; weights and bias were asserted to hold
        // `steps` × V and V vectors; lines are aligned to 64 bytes.
        unsafe {
            let (per_block, vectors) = (BLOCK / F::STEP, BLOCK / S::LANES);
            // Where vector I of outputs is, and from which lane on.
            let bias = |i: usize| self.bias.add(i / vectors);
            let lane = |i: usize| i % vectors * S::LANES;
            let mut sums = [[F::begin(s, bias(0), 0); V]; P];
            unrolled!(I in 0..V, up to 4 => {
                let begin = F::begin(s, bias(I), lane(I));
                unrolled!(J in 0..P, up to 14 => {
                    sums[J][I] = begin;
                });
            });
            let scales = self.scales.wrapping_add(input);
            let input = self.input.add(input);
            let panel = V / vectors;
            let mut weights = self.weights;
            let full = self.steps / per_block;
            for block in 0..full {
                let input = input.add(block * self.input_block);
                for k in (0..per_block).step_by(S::GROUP) {
                    F::steps::<P, V>(s, &mut sums, input, k, weights, panel);
                    weights = weights.add(S::GROUP * panel);
                }
            }
            for k in 0..self.steps % per_block {
                let input = input.add(full * self.input_block);
                F::step::<P, V>(s, &mut sums, input, k, weights);
                weights = weights.add(panel);
            }

            let mut acc = [[s.splat(0.0); V]; P];
            unrolled!(I in 0..V, up to 4 => {
                unrolled!(J in 0..P, up to 14 => {
                    acc[J][I] = F::end(s, sums[J][I], bias(I), lane(I), scales.wrapping_add(J));
                });
            });
            if self.silu2 {
                unrolled!(I in 0..V, up to 4 => {
                    unrolled!(J in 0..P, up to 14 => {
                        acc[J][I] = F::silu2(s, acc[J][I]);
                    });
                });
            }
            // Where vector I of pixel J goes.
            let at = |i: usize, j: usize| output + i / vectors * self.output_block + j;
            if !self.residual.is_null() {
                unrolled!(I in 0..V, up to 4 => {
                    unrolled!(J in 0..P, up to 14 => {
                        let residual = load_line(s, self.residual.add(at(I, J)), lane(I));
                        acc[J][I] = s.add(acc[J][I], residual);
                    });
                });
            }
            if !self.lines.is_null() {
                unrolled!(I in 0..V, up to 4 => {
                    unrolled!(J in 0..P, up to 14 => {
                        store_line(s, self.lines.add(at(I, J)), lane(I), acc[J][I]);
                    });
                });
            }
            if !self.cells.is_null() {
                unrolled!(I in 0..V, up to 4 => {
                    unrolled!(J in 0..P, up to 14 => {
                        F::store(s, self.cells.add(at(I, J)), lane(I), acc[J][I]);
                    });
                });
            }
        }
    }
}
