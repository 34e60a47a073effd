//! How the activations that a step keeps are held and multiplied: in f32, or
//! rounded to bfloat16 with sums in f32.
//!
//! A kernel is written once over both. Statistics, sums, what residuals add
//! up, the depthwise convolution's arithmetic and every gradient of a weight
//! are f32 (or f64) in both.

#![allow(unsafe_code, reason = "loads and stores through pointers")]

use std::fmt::Debug;

use half::bf16;

use super::buffer::{aligned, view};
use super::depthwise::Forward;
use super::depthwise_backward::Backward;
use super::outer::Outer;
use super::product::Product;
use super::strip::{Activate, Combine};
use super::sums::{Add, Pool, PoolGradient, ProjectSums};
use super::{Cpu, HalfCpu};
use crate::backend::Launch;
use crate::lines::BLOCK;
use crate::simd::{HalfSimd, Kernel, Simd, dot_products, outer_product, sigmoid2, sigmoid2_coarse};

/// What a kept activation is.
pub trait Element: Copy + Debug + Default + PartialEq + Send + Sync + 'static {
    /// What runs the kernels that read or write such rows.
    type Runner: Copy
        + Send
        + Sync
        + for<'a> Launch<Activate<'a, Self>>
        + for<'a> Launch<Combine<'a, f32, Self>>
        + for<'a> Launch<Combine<'a, Self, Self>>
        + for<'a> Launch<Add<'a, Self>>
        + for<'a> Launch<Pool<'a, Self>>
        + for<'a> Launch<PoolGradient<'a, Self>>
        + for<'a> Launch<ProjectSums<'a, Self>>
        + for<'a> Launch<Product<'a, Self, Self>>
        + for<'a> Launch<Product<'a, Self, f32>>
        + for<'a> Launch<Outer<'a, Self>>
        + for<'a> Launch<Forward<'a, Self>>
        + for<'a> Launch<Backward<'a, Self>>;

    /// Values that are multiplied and added at once.
    const STEP: usize;

    /// The nearest one.
    fn round(value: f32) -> Self;

    /// Its value.
    fn widen(self) -> f32;

    /// Rows in f32 as such rows, which may take as many floats of `room`.
    fn rows<'a>(own: Self::Runner, x: &'a [f32], room: &'a mut [f32]) -> &'a [Self];

    /// Floats that [`Self::steps`] takes.
    fn room(rows: usize, width: usize) -> usize;

    /// `rows` rows of `width` values, a multiple of the line, [`Self::STEP`]
    /// rows side by side: value by value, zeros after the last row. Also the
    /// distance from such a step to the next.
    fn steps<'a>(
        own: Self::Runner,
        rows: usize,
        x: (&'a [Self], usize),
        width: usize,
        room: &'a mut [f32],
    ) -> (&'a [Self], usize);
}

/// The arithmetic of kept activations on an instruction set.
pub trait ElementOn<S: Simd>: Element {
    /// Loads a vector.
    ///
    /// # Safety
    /// `from` must be readable for [`Simd::LANES`] values and aligned to as
    /// many.
    unsafe fn load(s: S, from: *const Self) -> S::Vector;

    /// Stores a vector, rounded to the nearest.
    ///
    /// # Safety
    /// `to` must be writable for [`Simd::LANES`] values and aligned to as many.
    unsafe fn store(s: S, to: *mut Self, value: S::Vector);

    /// Adds to a tile the products of [`Element::STEP`] values of each of
    /// `MR` rows, `lda` values apart, with `NV` vectors.
    ///
    /// # Safety
    /// The rows must be readable for a step, and `b` aligned and readable for
    /// `NV` vectors of steps.
    unsafe fn step<const MR: usize, const NV: usize>(
        s: S,
        acc: &mut [[S::Vector; NV]; MR],
        a: *const Self,
        lda: usize,
        b: *const Self,
    );

    /// [`Simd::GROUP`] neighbouring steps, `ldb` apart in `b`.
    ///
    /// # Safety
    /// As for [`Self::step`], for each of the steps.
    unsafe fn group<const MR: usize, const NV: usize>(
        s: S,
        acc: &mut [[S::Vector; NV]; MR],
        a: *const Self,
        lda: usize,
        b: *const Self,
        ldb: usize,
    );

    /// `1 / (1 + exp(−x))` to the element's precision.
    fn sigmoid(s: S, x: S::Vector) -> S::Vector;

    /// `x · sigmoid(x)`, also known as swish.
    #[inline(always)]
    fn silu(s: S, x: S::Vector) -> S::Vector {
        s.mul(x, Self::sigmoid(s, x))
    }

    /// `a = z · σ(z)` and `a' = σ(z) + a · (1 − σ(z))`.
    #[inline(always)]
    fn silu_and_slope(s: S, z: S::Vector) -> (S::Vector, S::Vector) {
        let sigma = Self::sigmoid(s, z);
        let a = s.mul(z, sigma);
        let rest = s.mul_add(sigma, s.splat(-1.0), s.splat(1.0));
        (a, s.mul_add(a, rest, sigma))
    }
}

impl Element for f32 {
    type Runner = Cpu;

    const STEP: usize = 1;

    fn round(value: f32) -> Self {
        value
    }

    fn widen(self) -> f32 {
        self
    }

    fn rows<'a>(_: Cpu, x: &'a [f32], _: &'a mut [f32]) -> &'a [f32] {
        x
    }

    fn room(_: usize, _: usize) -> usize {
        0
    }

    fn steps<'a>(
        _: Cpu,
        _: usize,
        x: (&'a [f32], usize),
        _: usize,
        _: &'a mut [f32],
    ) -> (&'a [f32], usize) {
        x
    }
}

impl<S: Simd> ElementOn<S> for f32 {
    #[inline(always)]
    unsafe fn load(s: S, from: *const f32) -> S::Vector {
        // SAFETY: the caller's.
        unsafe { s.load(from) }
    }

    #[inline(always)]
    unsafe fn store(s: S, to: *mut f32, value: S::Vector) {
        // SAFETY: the caller's.
        unsafe { s.store(to, value) }
    }

    #[inline(always)]
    unsafe fn step<const MR: usize, const NV: usize>(
        s: S,
        acc: &mut [[S::Vector; NV]; MR],
        a: *const f32,
        lda: usize,
        b: *const f32,
    ) {
        // SAFETY: the caller's.
        unsafe { outer_product(s, acc, a, lda, b) }
    }

    #[inline(always)]
    unsafe fn group<const MR: usize, const NV: usize>(
        s: S,
        acc: &mut [[S::Vector; NV]; MR],
        a: *const f32,
        lda: usize,
        b: *const f32,
        ldb: usize,
    ) {
        // SAFETY: the caller's.
        unsafe { s.outer_products(acc, a, lda, b, ldb) }
    }

    #[inline(always)]
    fn sigmoid(s: S, x: S::Vector) -> S::Vector {
        sigmoid2(s, s.mul(x, s.splat(-std::f32::consts::LOG2_E)))
    }
}

impl Element for bf16 {
    type Runner = HalfCpu;

    const STEP: usize = 2;

    /// (`bf16::from_f32` does the same, branch by branch.)
    #[inline]
    fn round(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        // What is not a number stays so.
        let bits = if value.is_nan() { bits >> 16 | 0x40 } else { rounded };
        Self::from_bits(bits as u16)
    }

    fn widen(self) -> f32 {
        self.to_f32()
    }

    fn rows<'a>(own: HalfCpu, x: &'a [f32], room: &'a mut [f32]) -> &'a [bf16] {
        assert!(x.len().is_multiple_of(BLOCK) && aligned(x), "not whole lines");
        let out = &mut view(room)[..x.len()];
        own.launch(Round { x, out });
        out
    }

    fn room(rows: usize, width: usize) -> usize {
        rows.div_ceil(2) * width
    }

    fn steps<'a>(
        own: HalfCpu,
        rows: usize,
        (x, stride): (&'a [bf16], usize),
        width: usize,
        room: &'a mut [f32],
    ) -> (&'a [bf16], usize) {
        assert!(width.is_multiple_of(BLOCK) && width <= stride, "not whole lines");
        assert!(rows == 0 || x.len() >= (rows - 1) * stride + width, "too few rows");
        let out = &mut view(room)[..2 * Self::room(rows, width)];
        own.launch(Pair { rows, x, stride, width, out });
        (out, 2 * width)
    }
}

impl<S: HalfSimd> ElementOn<S> for bf16 {
    #[inline(always)]
    unsafe fn load(s: S, from: *const bf16) -> S::Vector {
        // SAFETY: the caller's; a bf16 is its bits.
        unsafe { s.load_half(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(s: S, to: *mut bf16, value: S::Vector) {
        // SAFETY: as above.
        unsafe { s.store_half(to.cast(), value) }
    }

    #[inline(always)]
    unsafe fn step<const MR: usize, const NV: usize>(
        s: S,
        acc: &mut [[S::Vector; NV]; MR],
        a: *const bf16,
        lda: usize,
        b: *const bf16,
    ) {
        // SAFETY: the caller's.
        unsafe { dot_products(s, acc, a.cast(), lda, b.cast()) }
    }

    #[inline(always)]
    unsafe fn group<const MR: usize, const NV: usize>(
        s: S,
        acc: &mut [[S::Vector; NV]; MR],
        a: *const bf16,
        lda: usize,
        b: *const bf16,
        ldb: usize,
    ) {
        // SAFETY: the caller's.
        unsafe { s.dots(acc, a.cast(), lda, b.cast(), ldb) }
    }

    #[inline(always)]
    fn sigmoid(s: S, x: S::Vector) -> S::Vector {
        sigmoid2_coarse(s, s.mul(x, s.splat(-std::f32::consts::LOG2_E)))
    }
}

/// Rounds f32.
pub struct Round<'a> {
    x: &'a [f32],
    out: &'a mut [bf16],
}

impl<S: HalfSimd> Kernel<S> for Round<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let (x, out) = (self.x.as_ptr(), self.out.as_mut_ptr());
        for i in (0..self.x.len()).step_by(S::LANES) {
            // SAFETY: `rows` made both as long, whole aligned lines.
            unsafe { s.store_half(out.add(i).cast(), s.load(x.add(i))) }
        }
    }
}

/// Puts rows side by side, two and two.
pub struct Pair<'a> {
    rows: usize,
    x: &'a [bf16],
    stride: usize,
    width: usize,
    out: &'a mut [bf16],
}

impl<S: HalfSimd> Kernel<S> for Pair<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let zeros = [0u16; BLOCK];
        for pair in 0..self.rows.div_ceil(2) {
            // SAFETY: `steps` checked the rows, whole lines each, and made `out` for all pairs.
            unsafe {
                let even = self.x.as_ptr().add(2 * pair * self.stride).cast::<u16>();
                let (odd, step) = match 2 * pair + 1 < self.rows {
                    true => (even.add(self.stride), 1),
                    false => (zeros.as_ptr(), 0),
                };
                let out = self.out.as_mut_ptr().add(2 * pair * self.width).cast::<u16>();
                for i in (0..self.width).step_by(S::LANES) {
                    s.pair_rows(even.add(i), odd.add(i * step), out.add(2 * i));
                }
            }
        }
    }
}
