//! How numbers are held between layers and multiplied: in f32, or rounded to
//! bfloat16 with sums in f32; in bytes where [`int8`](super::int8) says so.
//!
//! In all, what a layer is doing stays in f32: bias, SiLU, the rows between
//! expansion and depthwise convolution, squeeze and excite, and what residuals
//! add up. bfloat16 has a third of f32's digits (8 bits), but processors
//! multiply it two to four times as fast, and it takes half the memory.

#![allow(unsafe_code, reason = "loads and stores through pointers")]

use std::fmt::Debug;

use half::bf16;

use super::{
    backend::{HalfRunner, Launch, Runner},
    depthwise::Depthwise,
    elementwise::{ScalePixels, ScaleWeights},
    lines::{BLOCK, Line},
    pointwise::Pointwise,
    prepare::{PixelScale, Prepare},
    simd::{
        HalfSimd, Simd, dot_products, load_line, outer_product, silu2, silu2_coarse, store_line,
    },
};

/// A way to hold and multiply numbers.
pub trait Format: Copy + Debug + Send + Sync + 'static {
    /// Sixteen channels of one pixel between layers.
    type Cell: Copy + Debug + Send + Sync;

    /// The same as they are multiplied: a cell, or what is prepared from it.
    type Operand: Copy + Debug + Send + Sync;

    /// Weights of [`Self::STEP`] channels in and sixteen out.
    type Weights: Copy + Debug + Send + Sync;

    /// What sums of sixteen outputs need to become results.
    type Bias: Copy + Debug + Send + Sync;

    /// What runs the kernels that depend on the format.
    type Runner: Copy
        + Debug
        + Send
        + Sync
        + for<'a> Launch<Pointwise<'a, Self>>
        + for<'a> Launch<Depthwise<'a, Self>>;

    /// Zeros.
    const ZERO: Self::Cell;

    /// An operand of no meaning.
    const NO_OPERAND: Self::Operand;

    /// Weights that are zero.
    const NO_WEIGHTS: Self::Weights;

    /// Channels in that are multiplied at once; divides [`BLOCK`].
    const STEP: usize;

    /// Whether residuals need a copy in f32 beside the cells.
    const WIDE: bool;

    /// Whether operands are other than the cells, so that [`Self::prepare`] must make them.
    const PREPARES: bool;

    /// What sums of sixteen outputs with these weights, a line a channel in, need beside
    /// their bias; and what a unit of each output's weights is worth.
    fn bias(bias: Line, weights: impl Iterator<Item = Line> + Clone) -> (Self::Bias, Line);

    /// Weights from [`Self::STEP`] lines, a line a channel in, in units of `unit`.
    fn pack(channels: &[Line], unit: &Line) -> Self::Weights;

    /// A line as a cell.
    fn narrow(line: &Line) -> Self::Cell;

    /// A cell as a line.
    fn widen(cell: &Self::Cell) -> Line;

    /// What residuals add: the cells, or their copy in f32.
    fn residual<'a>(cells: &'a [Self::Cell], wide: &'a [Line]) -> &'a [Line];

    /// What is multiplied: the cells, or what was prepared from them.
    fn operands<'a>(cells: &'a [Self::Cell], prepared: &'a [Self::Operand]) -> &'a [Self::Operand];

    /// Makes operands of cells.
    fn prepare(runner: Self::Runner, work: Prepare<'_, Self>);

    /// Multiplies weights by factors, where the format does not have to prepare pixels.
    fn scale_weights(runner: Self::Runner, work: ScaleWeights<'_, Self>);
}

/// Multiplies cells by their factors, where they have some.
fn scale_pixels<F: Format>(runner: F::Runner, work: Prepare<'_, F>)
where
    F::Runner: for<'a> Launch<ScalePixels<'a, F>>,
{
    let Prepare { mut cells, factors, .. } = work;
    let Some((factors, step)) = factors else { return };
    for block in 0..cells.blocks() {
        let pixels = cells.run_mut(block);
        runner.launch(ScalePixels::<F> { pixels, factors: &factors[block * step] });
    }
}

/// The arithmetic of a format on an instruction set.
pub trait FormatOn<S: Simd>: Format {
    /// [`Simd::LANES`] sums of products.
    type Sum: Copy;

    /// Sums before the first product, for the outputs from lane `lane` on.
    ///
    /// # Safety
    /// `bias` must be readable, and `lane` a multiple of LANES below BLOCK.
    unsafe fn begin(s: S, bias: *const Self::Bias, lane: usize) -> Self::Sum;

    /// What sums are worth, bias included, for the outputs from lane `lane` on.
    ///
    /// # Safety
    /// As for [`Self::begin`]; `scale`, the pixel's, must be readable if the format
    /// prepares operands.
    unsafe fn end(
        s: S,
        sum: Self::Sum,
        bias: *const Self::Bias,
        lane: usize,
        scale: *const PixelScale,
    ) -> S::Vector;

    /// Adds the products of [`Format::STEP`] channels of `P` pixels, side by
    /// side, and `V` vectors of weights.
    ///
    /// # Safety
    /// `input` must be readable for `P` operands and have a step `step`, and
    /// `weights` for `V` vectors.
    unsafe fn step<const P: usize, const V: usize>(
        s: S,
        acc: &mut [[Self::Sum; V]; P],
        input: *const Self::Operand,
        step: usize,
        weights: *const Self::Weights,
    );

    /// [`Simd::GROUP`] steps, the weights of each `distance` lines behind the
    /// last one's.
    ///
    /// # Safety
    /// As for [`Self::step`], for each of the steps.
    unsafe fn steps<const P: usize, const V: usize>(
        s: S,
        acc: &mut [[Self::Sum; V]; P],
        input: *const Self::Operand,
        step: usize,
        weights: *const Self::Weights,
        distance: usize,
    );

    /// Loads a vector of the cell, from lane `lane` on.
    ///
    /// # Safety
    /// `from` must be readable, and `lane` a multiple of LANES below BLOCK.
    unsafe fn load(s: S, from: *const Self::Cell, lane: usize) -> S::Vector;

    /// Stores a vector into the cell, from lane `lane` on.
    ///
    /// # Safety
    /// `to` must be writable, and `lane` a multiple of LANES below BLOCK.
    unsafe fn store(s: S, to: *mut Self::Cell, lane: usize, value: S::Vector);

    /// [`silu2`] to the format's precision.
    fn silu2(s: S, t: S::Vector) -> S::Vector;
}

/// The arithmetic of weights that factors go into, on an instruction set.
pub trait ScaledOn<S: Simd>: FormatOn<S> {
    /// Stores weights of [`Format::STEP`] channels in, each multiplied by its
    /// factor, for the outputs from lane `lane` on.
    ///
    /// # Safety
    /// `from` must be readable for STEP lines, `distance` lines apart, `to`
    /// writable, and `lane` a multiple of LANES below BLOCK.
    unsafe fn scale(
        s: S,
        from: *const Line,
        distance: usize,
        factors: &[f32],
        to: *mut Self::Weights,
        lane: usize,
    );
}

/// Single precision.
#[derive(Debug, Clone, Copy)]
pub struct F32;

impl Format for F32 {
    type Cell = Line;
    type Operand = Line;
    type Weights = Line;
    type Bias = Line;
    type Runner = Runner;

    const ZERO: Line = Line::ZERO;
    const NO_OPERAND: Line = Line::ZERO;
    const NO_WEIGHTS: Line = Line::ZERO;
    const STEP: usize = 1;
    const WIDE: bool = false;
    const PREPARES: bool = false;

    fn bias(bias: Line, _: impl Iterator<Item = Line> + Clone) -> (Line, Line) {
        (bias, Line([1.0; BLOCK]))
    }

    fn pack(channels: &[Line], _: &Line) -> Line {
        channels[0]
    }

    fn narrow(line: &Line) -> Line {
        *line
    }

    fn widen(cell: &Line) -> Line {
        *cell
    }

    fn residual<'a>(cells: &'a [Line], _: &'a [Line]) -> &'a [Line] {
        cells
    }

    fn operands<'a>(cells: &'a [Line], _: &'a [Line]) -> &'a [Line] {
        cells
    }

    fn prepare(runner: Self::Runner, work: Prepare<'_, Self>) {
        scale_pixels(runner, work);
    }

    fn scale_weights(runner: Self::Runner, work: ScaleWeights<'_, Self>) {
        runner.launch(work);
    }
}

impl<S: Simd> FormatOn<S> for F32 {
    type Sum = S::Vector;

    #[inline(always)]
    unsafe fn begin(s: S, bias: *const Line, lane: usize) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe { load_line(s, bias, lane) }
    }

    #[inline(always)]
    unsafe fn end(
        _: S,
        sum: S::Vector,
        _: *const Line,
        _: usize,
        _: *const PixelScale,
    ) -> S::Vector {
        sum
    }

    #[inline(always)]
    unsafe fn step<const P: usize, const V: usize>(
        s: S,
        acc: &mut [[S::Vector; V]; P],
        input: *const Line,
        step: usize,
        weights: *const Line,
    ) {
        // SAFETY: the caller's promise; lines are aligned for any vector.
        unsafe {
            let input = input.cast::<f32>().add(step);
            outer_product(s, acc, input, BLOCK, weights.cast());
        }
    }

    #[inline(always)]
    unsafe fn steps<const P: usize, const V: usize>(
        s: S,
        acc: &mut [[S::Vector; V]; P],
        input: *const Line,
        step: usize,
        weights: *const Line,
        distance: usize,
    ) {
        // SAFETY: as above.
        unsafe {
            let input = input.cast::<f32>().add(step);
            s.outer_products(acc, input, BLOCK, weights.cast(), distance * BLOCK);
        }
    }

    #[inline(always)]
    unsafe fn load(s: S, from: *const Line, lane: usize) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe { load_line(s, from, lane) }
    }

    #[inline(always)]
    unsafe fn store(s: S, to: *mut Line, lane: usize, value: S::Vector) {
        // SAFETY: the caller's promise.
        unsafe { store_line(s, to, lane, value) }
    }

    #[inline(always)]
    fn silu2(s: S, t: S::Vector) -> S::Vector {
        silu2(s, t)
    }
}

impl<S: Simd> ScaledOn<S> for F32 {
    #[inline(always)]
    unsafe fn scale(
        s: S,
        from: *const Line,
        _: usize,
        factors: &[f32],
        to: *mut Line,
        lane: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let weights = load_line(s, from, lane);
            store_line(s, to, lane, s.mul(weights, s.splat(factors[0])));
        }
    }
}

/// Numbers rounded to bfloat16, sums in f32.
#[derive(Debug, Clone, Copy)]
pub struct Bf16;

/// Sixteen channels of one pixel in bfloat16: half a cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(32))]
pub struct HalfLine(pub [bf16; BLOCK]);

/// Weights of two channels in and sixteen out, in pairs: one cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct PairLine([[bf16; 2]; BLOCK]);

impl Format for Bf16 {
    type Cell = HalfLine;
    type Operand = HalfLine;
    type Weights = PairLine;
    type Bias = Line;
    type Runner = HalfRunner;

    const ZERO: HalfLine = HalfLine([bf16::ZERO; BLOCK]);
    const NO_OPERAND: HalfLine = Self::ZERO;
    const NO_WEIGHTS: PairLine = PairLine([[bf16::ZERO; 2]; BLOCK]);
    const STEP: usize = 2;
    const WIDE: bool = true;
    const PREPARES: bool = false;

    fn bias(bias: Line, _: impl Iterator<Item = Line> + Clone) -> (Line, Line) {
        (bias, Line([1.0; BLOCK]))
    }

    fn pack(channels: &[Line], _: &Line) -> PairLine {
        PairLine(std::array::from_fn(|i| [0, 1].map(|c: usize| bf16::from_f32(channels[c].0[i]))))
    }

    fn narrow(line: &Line) -> HalfLine {
        HalfLine(line.0.map(bf16::from_f32))
    }

    fn widen(cell: &HalfLine) -> Line {
        Line(cell.0.map(bf16::to_f32))
    }

    fn residual<'a>(_: &'a [HalfLine], wide: &'a [Line]) -> &'a [Line] {
        wide
    }

    fn operands<'a>(cells: &'a [HalfLine], _: &'a [HalfLine]) -> &'a [HalfLine] {
        cells
    }

    fn prepare(runner: Self::Runner, work: Prepare<'_, Self>) {
        scale_pixels(runner, work);
    }

    fn scale_weights(runner: Self::Runner, work: ScaleWeights<'_, Self>) {
        runner.launch(work);
    }
}

impl<S: HalfSimd> FormatOn<S> for Bf16 {
    type Sum = S::Vector;

    #[inline(always)]
    unsafe fn begin(s: S, bias: *const Line, lane: usize) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe { load_line(s, bias, lane) }
    }

    #[inline(always)]
    unsafe fn end(
        _: S,
        sum: S::Vector,
        _: *const Line,
        _: usize,
        _: *const PixelScale,
    ) -> S::Vector {
        sum
    }

    #[inline(always)]
    unsafe fn step<const P: usize, const V: usize>(
        s: S,
        acc: &mut [[S::Vector; V]; P],
        input: *const HalfLine,
        step: usize,
        weights: *const PairLine,
    ) {
        // SAFETY: the caller's promise; a vector of pairs is as long as one of f32.
        unsafe {
            let input = input.cast::<u16>().add(2 * step);
            dot_products(s, acc, input, BLOCK, weights.cast());
        }
    }

    #[inline(always)]
    unsafe fn steps<const P: usize, const V: usize>(
        s: S,
        acc: &mut [[S::Vector; V]; P],
        input: *const HalfLine,
        step: usize,
        weights: *const PairLine,
        distance: usize,
    ) {
        // SAFETY: as above.
        unsafe {
            let input = input.cast::<u16>().add(2 * step);
            s.dots(acc, input, BLOCK, weights.cast(), distance * 2 * BLOCK);
        }
    }

    #[inline(always)]
    unsafe fn load(s: S, from: *const HalfLine, lane: usize) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe { s.load_half(from.cast::<u16>().add(lane)) }
    }

    #[inline(always)]
    unsafe fn store(s: S, to: *mut HalfLine, lane: usize, value: S::Vector) {
        // SAFETY: the caller's promise.
        unsafe { s.store_half(to.cast::<u16>().add(lane), value) }
    }

    #[inline(always)]
    fn silu2(s: S, t: S::Vector) -> S::Vector {
        silu2_coarse(s, t)
    }
}

impl<S: HalfSimd> ScaledOn<S> for Bf16 {
    #[inline(always)]
    unsafe fn scale(
        s: S,
        from: *const Line,
        distance: usize,
        factors: &[f32],
        to: *mut PairLine,
        lane: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let of = |channel: usize| {
                let weights = load_line(s, from.add(channel * distance), lane);
                s.mul(weights, s.splat(factors[channel]))
            };
            s.store_pairs(to.cast::<u16>().add(2 * lane), of(0), of(1));
        }
    }
}
