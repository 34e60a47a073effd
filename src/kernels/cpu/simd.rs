//! The few vector operations that kernels are written in, so that each kernel
//! is written once and compiled for every instruction set.
//!
//! A type that implements [`Simd`] is a token: to hold one proves that the
//! processor has its instructions, so its arithmetic is safe to call. Kernels
//! are compiled with those instructions only inside [`Simd::vectorize`]:
//! everything they call must be `#[inline(always)]`.

#![allow(unsafe_code, reason = "loads and stores through pointers")]

/// An instruction set, as a token that proves that the processor has it.
pub(super) trait Simd: Copy {
    /// A vector of [`Self::LANES`] values.
    type Vector: Copy;

    /// Values in a vector; divides [`BLOCK`](super::lines::BLOCK).
    const LANES: usize;

    /// Whether it has 32 vector registers rather than 16.
    const MANY_REGISTERS: bool;

    /// Runs `kernel` in a function compiled for this instruction set.
    fn vectorize<K: Kernel>(self, kernel: K);

    /// The value in all lanes.
    fn splat(self, value: f32) -> Self::Vector;

    /// Loads a vector.
    ///
    /// # Safety
    /// `from` must be readable for [`Self::LANES`] values and aligned to as
    /// many.
    unsafe fn load(self, from: *const f32) -> Self::Vector;

    /// Loads a vector from anywhere.
    ///
    /// # Safety
    /// `from` must be readable for [`Self::LANES`] values.
    unsafe fn load_unaligned(self, from: *const f32) -> Self::Vector;

    /// Loads [`Self::LANES`] bytes as numbers.
    ///
    /// # Safety
    /// `from` must be readable for [`Self::LANES`] bytes.
    unsafe fn load_bytes(self, from: *const u8) -> Self::Vector;

    /// Stores a vector.
    ///
    /// # Safety
    /// `to` must be writable for [`Self::LANES`] values and aligned to as
    /// many.
    unsafe fn store(self, to: *mut f32, value: Self::Vector);

    /// Stores a vector anywhere.
    ///
    /// # Safety
    /// `to` must be writable for [`Self::LANES`] values.
    unsafe fn store_unaligned(self, to: *mut f32, value: Self::Vector);

    /// Asks for the line at `from`, which need not be readable, to be brought
    /// to the second cache.
    fn prefetch(self, from: *const f32) {
        let _ = from;
    }

    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a · b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a · b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// The larger of both, `b` where `a` is not a number.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The nearest whole number, for magnitudes below 2²².
    fn round(self, a: Self::Vector) -> Self::Vector;

    /// `a · 2ⁿ` for whole `n` up to 127; may be zero where `n` < −126.
    fn scale_by_exp2(self, a: Self::Vector, n: Self::Vector) -> Self::Vector;

    /// `1 / a` to about 1e-7, for `a` from 1 to 2¹²⁶.
    fn reciprocal(self, a: Self::Vector) -> Self::Vector;
}

/// Something to run with an instruction set.
pub(super) trait Kernel {
    /// Runs it. Implementations must be `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S);
}

/// Repeats a block for each `i` below a constant of at most 14, as code and
/// not as a loop: vectors that a loop indexes stay in memory, and a loop of
/// some length is unrolled too late to be taken out again.
macro_rules! unrolled {
    ($i:ident in 0..$n:expr => $body:block) => {
        unrolled!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $i:ident, $n:expr, $body:block, $($value:literal)*) => {
        $({
            const $i: usize = $value;
            if $i < $n $body
        })*
    };
}
pub(super) use unrolled;

/// `1 / (1 + exp(−x))`, to about 3e-7 of its value, for |x| < 1e9.
///
/// `exp` by Cody and Waite's reduction to ±ln 2 / 2 and a polynomial of degree
/// 5 that is the minimax one of its relative error (1.5e-7 with the constant
/// term set to 1).
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    // exp(−x) = 2ⁿ exp(−r) with r = x + n ln 2. Beyond exp(87) the sigmoid is 0 for all purposes, and
    // 1 + exp stays finite.
    let x = s.max(x, s.splat(-87.0));
    let n = s.round(s.mul(x, s.splat(-std::f32::consts::LOG2_E)));
    let r = s.mul_add(n, s.splat(std::f32::consts::LN_2), x);
    let p = s.mul_add(r, s.splat(-8.297_648e-3), s.splat(4.191_543e-2));
    let p = s.mul_add(r, p, s.splat(-0.166_675_75));
    let p = s.mul_add(r, p, s.splat(0.499_988_94));
    let p = s.mul_add(r, p, s.splat(-0.999_999_7));
    let p = s.mul_add(r, p, s.splat(1.0));
    let e = s.scale_by_exp2(p, n);
    s.reciprocal(s.add(e, s.splat(1.0)))
}

/// `x · sigmoid(x)`, also known as swish.
#[inline(always)]
pub(super) fn silu<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    s.mul(x, sigmoid(s, x))
}
