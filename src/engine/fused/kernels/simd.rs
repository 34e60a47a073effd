//! The few vector operations that kernels are written in, so that each kernel
//! is written once and compiled for every instruction set.
//!
//! A type that implements [`Simd`] is a token: to hold one proves that the
//! processor has its instructions, so its arithmetic is safe to call. Kernels
//! are compiled with those instructions only inside [`Simd::vectorize`]:
//! everything they call must be `#[inline(always)]`.

#![allow(unsafe_code, reason = "loads and stores through pointers")]

use super::lines::Line;

/// An instruction set, as a token that proves that the processor has it.
pub trait Simd: Copy {
    /// A vector of [`Self::LANES`] values.
    type Vector: Copy;

    /// Values in a vector; divides [`BLOCK`](super::lines::BLOCK).
    const LANES: usize;

    /// Whether it has 32 vector registers rather than 16.
    const MANY_REGISTERS: bool;

    /// Steps of a matrix product that [`Self::outer_products`] does at once;
    /// divides a quarter of [`BLOCK`](super::lines::BLOCK).
    const GROUP: usize = 1;

    /// Runs `kernel` in a function compiled for this instruction set.
    fn vectorize<K: Kernel<Self>>(self, kernel: K);

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

    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a − b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a · b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a · b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// `a` within ±`limit`, and `limit` where it is not a number.
    fn within(self, a: Self::Vector, limit: f32) -> Self::Vector;

    /// The nearest whole number, for magnitudes below 2²².
    fn round(self, a: Self::Vector) -> Self::Vector;

    /// `a · 2ⁿ` for whole `n` from −126 to 127.
    fn scale_by_exp2(self, a: Self::Vector, n: Self::Vector) -> Self::Vector;

    /// `a` in two, for magnitudes below 2²²: what [`Self::scale_by_exp2`] takes for the whole
    /// number below it, and what it is above that, from 0 to 1.
    #[inline(always)]
    fn split(self, a: Self::Vector) -> (Self::Vector, Self::Vector) {
        let whole = self.round(self.sub(a, self.splat(0.5)));
        (whole, self.sub(a, whole))
    }

    /// `1 / a` to about 1e-7, for `a` from 1 to 2¹²⁶.
    fn reciprocal(self, a: Self::Vector) -> Self::Vector;

    /// `1 / a` to about 4e-4, for `a` from 1 to 2¹²⁶.
    fn reciprocal_estimate(self, a: Self::Vector) -> Self::Vector;

    /// [`Self::GROUP`] times [`outer_product`]: for neighbouring values of each
    /// pixel, and weights `distance` values apart. Other than one step where a
    /// processor multiplies a vector with a lane of another.
    ///
    /// # Safety
    /// As for [`outer_product`], for each of the steps.
    #[inline(always)]
    unsafe fn outer_products<const P: usize, const V: usize>(
        self,
        acc: &mut [[Self::Vector; V]; P],
        input: *const f32,
        step: usize,
        weights: *const f32,
        _distance: usize,
    ) {
        const { assert!(Self::GROUP == 1) };
        // SAFETY: the caller's promise.
        unsafe { outer_product(self, acc, input, step, weights) }
    }
}

/// An instruction set that multiplies bfloat16 numbers in pairs and adds in
/// f32.
pub trait HalfSimd: Simd {
    /// [`Simd::LANES`] pairs.
    type Pairs: Copy;

    /// Loads [`Simd::LANES`] numbers, widened.
    ///
    /// # Safety
    /// `from` must be readable for as many.
    unsafe fn load_half(self, from: *const u16) -> Self::Vector;

    /// Stores [`Simd::LANES`] numbers, rounded to the nearest.
    ///
    /// # Safety
    /// `to` must be writable for as many.
    unsafe fn store_half(self, to: *mut u16, value: Self::Vector);

    /// Loads pairs.
    ///
    /// # Safety
    /// `from` must be readable for twice [`Simd::LANES`] numbers.
    unsafe fn load_pairs(self, from: *const u16) -> Self::Pairs;

    /// Stores the pairs of `even` and `odd`, rounded to the nearest.
    ///
    /// # Safety
    /// `to` must be writable for twice [`Simd::LANES`] numbers.
    unsafe fn store_pairs(self, to: *mut u16, even: Self::Vector, odd: Self::Vector);

    /// Stores the pairs of two rows of numbers.
    ///
    /// # Safety
    /// `even` and `odd` must be readable for [`Simd::LANES`] numbers, `to`
    /// writable for twice as many.
    unsafe fn pair_rows(self, even: *const u16, odd: *const u16, to: *mut u16);

    /// One pair in all lanes.
    ///
    /// # Safety
    /// `from` must be readable for two numbers.
    unsafe fn splat_pair(self, from: *const u16) -> Self::Pairs;

    /// `c` and the two products of each pair of `a` and `b`.
    fn dot(self, a: Self::Pairs, b: Self::Pairs, c: Self::Vector) -> Self::Vector;

    /// [`Simd::GROUP`] times [`dot_products`], as [`Simd::outer_products`]
    /// does it.
    ///
    /// # Safety
    /// As for [`dot_products`], for each of the steps.
    #[inline(always)]
    unsafe fn dots<const P: usize, const V: usize>(
        self,
        acc: &mut [[Self::Vector; V]; P],
        input: *const u16,
        step: usize,
        weights: *const u16,
        _distance: usize,
    ) {
        const { assert!(Self::GROUP == 1) };
        // SAFETY: the caller's promise.
        unsafe { dot_products(self, acc, input, step, weights) }
    }
}

/// Something to run with an instruction set.
pub trait Kernel<S: Simd> {
    /// Runs it. Implementations must be `#[inline(always)]`.
    fn run(self, simd: S);
}

/// Repeats a block for each `i` below a constant, as code and not as a loop:
/// vectors that a loop indexes stay in memory, and a loop of some length is
/// unrolled too late to bring them into registers again.
///
/// The constant is a parameter of what surrounds the block, so the compiler
/// sees all copies that there could be, and drops those above it: a low bound
/// (4; 5, the widest kernel; 8; or 14, the most that [`max_pixels`] gives)
/// saves it minutes.
macro_rules! unrolled {
    ($i:ident in 0..$n:expr, up to 4 => $body:block) => {
        unrolled!(@ $i, $n, $body, 0 1 2 3)
    };
    ($i:ident in 0..$n:expr, up to 5 => $body:block) => {
        unrolled!(@ $i, $n, $body, 0 1 2 3 4)
    };
    ($i:ident in 0..$n:expr, up to 8 => $body:block) => {
        unrolled!(@ $i, $n, $body, 0 1 2 3 4 5 6 7)
    };
    ($i:ident in 0..$n:expr, up to 14 => $body:block) => {
        unrolled!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $i:ident, $n:expr, $body:block, $($value:literal)*) => {
        $({
            const $i: usize = $value;
            if $i < $n $body
        })*
    };
}
pub(crate) use unrolled;

/// Most pixels in a tile of [`outer_product`] with so many vectors: these
/// accumulators, the weights and one broadcast have to fit the registers.
pub const fn max_pixels(many_registers: bool, vectors: usize) -> usize {
    match (many_registers, vectors) {
        (true, 1) => 14,
        (true, 2) => 12,
        (true, 3) => 8,
        (true, _) => 6,
        (false, 1) => 12,
        (false, 2) => 6,
        (false, 3) => 3,
        (false, _) => 2,
    }
}

/// Loads a vector of a line, from lane `lane` on.
///
/// # Safety
/// `from` must be readable, and `lane` a multiple of LANES below BLOCK.
#[inline(always)]
pub unsafe fn load_line<S: Simd>(s: S, from: *const Line, lane: usize) -> S::Vector {
    // SAFETY: the caller's promise; lines are aligned for any vector.
    unsafe { s.load(from.cast::<f32>().add(lane)) }
}

/// Stores a vector into a line, from lane `lane` on.
///
/// # Safety
/// `to` must be writable, and `lane` a multiple of LANES below BLOCK.
#[inline(always)]
pub unsafe fn store_line<S: Simd>(s: S, to: *mut Line, lane: usize, value: S::Vector) {
    // SAFETY: the caller's promise; lines are aligned for any vector.
    unsafe { s.store(to.cast::<f32>().add(lane), value) }
}

/// One step of a matrix product on a tile of `P` pixels × `V` vectors: adds the
/// product of each pixel's value, `step` values apart, and each vector of
/// weights.
///
/// (A function, as a closure would not be compiled for the instruction set.)
///
/// # Safety
/// `weights` must hold `V` aligned vectors, and each pixel's value must be
/// readable.
#[inline(always)]
pub unsafe fn outer_product<S: Simd, const P: usize, const V: usize>(
    s: S,
    acc: &mut [[S::Vector; V]; P],
    input: *const f32,
    step: usize,
    weights: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut w = [s.splat(0.0); V];
        unrolled!(I in 0..V, up to 4 => {
            w[I] = s.load(weights.add(I * S::LANES));
        });
        unrolled!(J in 0..P, up to 14 => {
            let x = s.splat(*input.add(J * step));
            unrolled!(I in 0..V, up to 4 => {
                acc[J][I] = s.mul_add(x, w[I], acc[J][I]);
            });
        });
    }
}

/// [`outer_product`] on pairs of bfloat16, each pixel's `step` numbers apart.
///
/// # Safety
/// `weights` must hold `V` vectors of pairs, and each pixel's pair be readable.
#[inline(always)]
pub unsafe fn dot_products<S: HalfSimd, const P: usize, const V: usize>(
    s: S,
    acc: &mut [[S::Vector; V]; P],
    input: *const u16,
    step: usize,
    weights: *const u16,
) {
    // SAFETY: the caller's promise; a vector of pairs is as long as one of f32.
    unsafe {
        let mut w = [s.load_pairs(weights); V];
        unrolled!(I in 0..V, up to 4 => {
            w[I] = s.load_pairs(weights.add(2 * I * S::LANES));
        });
        unrolled!(J in 0..P, up to 14 => {
            let x = s.splat_pair(input.add(J * step));
            unrolled!(I in 0..V, up to 4 => {
                acc[J][I] = s.dot(x, w[I], acc[J][I]);
            });
        });
    }
}

/// Exponents of 2 are kept within ± this. Above, `1 / (1 + 2ᵗ)` is 0 for all purposes and the
/// sum stays finite; below, it is 1, and 2ᵗ would be subnormal, which costs Intel's processors
/// a hundred cycles.
pub const LIMIT: f32 = 126.0;

/// `1 / (1 + 2ᵗ)`, the logistic function of `−t ln 2`, to about 4e-7 of its
/// value.
///
/// `2ᵗ` by taking off the nearest whole number, and a polynomial of degree 5
/// for the rest in ±1/2: the minimax one of its relative error, which is
/// 1.5e-7 as the constant term is set to 1.
#[inline(always)]
pub fn sigmoid2<S: Simd>(s: S, t: S::Vector) -> S::Vector {
    let t = s.within(t, LIMIT);
    let n = s.round(t);
    let r = s.sub(t, n);
    let p = s.mul_add(r, s.splat(1.327_645_8e-3), s.splat(9.675_541e-3));
    let p = s.mul_add(r, p, s.splat(5.550_713e-2));
    let p = s.mul_add(r, p, s.splat(0.240_221_2));
    let p = s.mul_add(r, p, s.splat(0.693_146_97));
    let p = s.mul_add(r, p, s.splat(1.0));
    s.reciprocal(s.add(s.scale_by_exp2(p, n), s.splat(1.0)))
}

/// `t / (1 + 2ᵗ)`, which is `−silu(x) / ln 2` for `t = −x / ln 2`.
///
/// Two multiplications fewer than SiLU itself: the factors are folded into the
/// weights before and after (see `packed`).
#[inline(always)]
pub fn silu2<S: Simd>(s: S, t: S::Vector) -> S::Vector {
    s.mul(t, sigmoid2(s, t))
}

/// [`sigmoid2`] to about 2e-4 of its value, finer than bfloat16: a polynomial
/// of degree 3 (1.0e-4) and an estimate of the reciprocal.
#[inline(always)]
pub fn sigmoid2_coarse<S: HalfSimd>(s: S, t: S::Vector) -> S::Vector {
    let exponent = s.within(t, LIMIT);
    let n = s.round(exponent);
    let r = s.sub(exponent, n);
    let p = s.mul_add(r, s.splat(5.500_893e-2), s.splat(0.242_210_98));
    let p = s.mul_add(r, p, s.splat(0.693_282_9));
    let p = s.mul_add(r, p, s.splat(1.0));
    s.reciprocal_estimate(s.add(s.scale_by_exp2(p, n), s.splat(1.0)))
}

/// [`silu2`] to the precision of [`sigmoid2_coarse`].
#[inline(always)]
pub fn silu2_coarse<S: HalfSimd>(s: S, t: S::Vector) -> S::Vector {
    s.mul(t, sigmoid2_coarse(s, t))
}
