//! Eight-bit products: pixels in unsigned bytes, weights in signed ones, sums exact.
//!
//! Each pixel has a scale of its own, from the least to the largest of its channels, found
//! when it is about to be multiplied; each output's weights have one, from their largest
//! magnitude (dynamic quantisation by token, of weights by channel: Yao et al. 2022,
//! arXiv:2206.01861). So nothing has to be calibrated, nothing is ever cut off,
//! and what one pixel holds changes no other. All else, what is between layers and what
//! residuals add up too, stays in f32.

#![allow(unsafe_code, reason = "loads and stores through pointers")]

use super::{
    backend::{ByteRunner, Launch},
    bytes::{ByteLine, ByteSimd, byte_products},
    elementwise::ScaleWeights,
    format::{Format, FormatOn},
    lines::{BLOCK, Line},
    prepare::{PixelScale, Prepare},
    quantise::Quantise,
    simd::{LIMIT, load_line, store_line},
};

/// Numbers rounded to eight bits where they are multiplied.
#[derive(Debug, Clone, Copy)]
pub struct Int8;

/// Weights of four channels in and sixteen out, in fours: one cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct QuadLine(pub(crate) [[i8; 4]; BLOCK]);

/// What sums of sixteen outputs need to become results.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ByteBias {
    /// The bias.
    bias: Line,
    /// What a unit of the weights is worth.
    unit: Line,
    /// The sum of the weights as they were rounded.
    sum: Line,
}

/// The largest magnitude of a weight.
const LARGEST: f32 = 127.0;

/// The nearest byte.
fn rounded(weight: f32, unit: f32) -> i8 {
    (weight / unit).round_ties_even() as i8
}

impl Format for Int8 {
    type Cell = Line;
    type Operand = ByteLine;
    type Weights = QuadLine;
    type Bias = ByteBias;
    type Runner = ByteRunner;

    const ZERO: Line = Line::ZERO;
    const NO_OPERAND: ByteLine = ByteLine([0; BLOCK]);
    const NO_WEIGHTS: QuadLine = QuadLine([[0; 4]; BLOCK]);
    const STEP: usize = 4;
    const WIDE: bool = false;
    const PREPARES: bool = true;

    fn bias(bias: Line, weights: impl Iterator<Item = Line> + Clone) -> (ByteBias, Line) {
        let mut unit = Line::ZERO;
        for line in weights.clone() {
            unit.0.iter_mut().zip(line.0).for_each(|(most, w)| *most = most.max(w.abs()));
        }
        for unit in &mut unit.0 {
            // Of an output without weights any unit does.
            *unit = Some(*unit / LARGEST).filter(|unit| *unit > 0.0).unwrap_or(1.0);
        }
        let mut sum = Line::ZERO;
        for line in weights {
            let lanes = line.0.into_iter().zip(unit.0).zip(&mut sum.0);
            lanes.for_each(|((w, unit), sum)| *sum += f32::from(rounded(w, unit)));
        }
        // Exact until here: whole numbers far below 2²⁴.
        sum.0.iter_mut().zip(unit.0).for_each(|(sum, unit)| *sum *= unit);
        (ByteBias { bias, unit, sum }, unit)
    }

    fn pack(channels: &[Line], unit: &Line) -> QuadLine {
        let of =
            |lane: usize| [0, 1, 2, 3].map(|c: usize| rounded(channels[c].0[lane], unit.0[lane]));
        QuadLine(std::array::from_fn(of))
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

    fn operands<'a>(_: &'a [Line], prepared: &'a [ByteLine]) -> &'a [ByteLine] {
        prepared
    }

    fn prepare(runner: ByteRunner, work: Prepare<'_, Self>) {
        runner.launch(Quantise(work));
    }

    fn scale_weights(_: ByteRunner, _: ScaleWeights<'_, Self>) {
        unreachable!("factors go into pixels before they are rounded");
    }
}

impl<S: ByteSimd> FormatOn<S> for Int8 {
    type Sum = S::Sums;

    #[inline(always)]
    unsafe fn begin(s: S, _: *const ByteBias, _: usize) -> S::Sums {
        s.no_sums()
    }

    #[inline(always)]
    unsafe fn end(
        s: S,
        sum: S::Sums,
        bias: *const ByteBias,
        lane: usize,
        scale: *const PixelScale,
    ) -> S::Vector {
        // Σ (low + step · byte) · unit · weight.
        // SAFETY: the caller's promise; lines are aligned for any vector.
        unsafe {
            let of = |line| load_line(s, line, lane);
            let PixelScale { low, step } = *scale;
            let rest =
                s.mul_add(s.splat(low), of(&raw const (*bias).sum), of(&raw const (*bias).bias));
            let sum = s.mul(s.floats(sum), of(&raw const (*bias).unit));
            s.mul_add(sum, s.splat(step), rest)
        }
    }

    #[inline(always)]
    unsafe fn step<const P: usize, const V: usize>(
        s: S,
        acc: &mut [[S::Sums; V]; P],
        input: *const ByteLine,
        step: usize,
        weights: *const QuadLine,
    ) {
        // SAFETY: the caller's promise; a vector of fours is as long as one of f32.
        unsafe {
            let input = input.cast::<u8>().add(4 * step);
            byte_products(s, acc, input, BLOCK, weights.cast());
        }
    }

    #[inline(always)]
    unsafe fn steps<const P: usize, const V: usize>(
        s: S,
        acc: &mut [[S::Sums; V]; P],
        input: *const ByteLine,
        step: usize,
        weights: *const QuadLine,
        _: usize,
    ) {
        const { assert!(S::GROUP == 1) };
        // SAFETY: the caller's promise, for one step.
        unsafe { <Self as FormatOn<S>>::step(s, acc, input, step, weights) }
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

    /// To about 2e-4 of its value (5e-4 with AVX2's estimate of the reciprocal), finer than
    /// bytes: `2ʳ` for r from 0 to 1 by the polynomial of degree 3 whose largest relative
    /// error is the least (7.5e-5).
    #[inline(always)]
    fn silu2(s: S, t: S::Vector) -> S::Vector {
        let (n, r) = s.split(s.within(t, LIMIT));
        let p = s.mul_add(r, s.splat(7.802_452e-2), s.splat(0.226_067_15));
        let p = s.mul_add(r, p, s.splat(0.695_833_56));
        let p = s.mul_add(r, p, s.splat(0.999_925_2));
        s.mul(t, s.reciprocal_estimate(s.add(s.scale_by_exp2(p, n), s.splat(1.0))))
    }
}
