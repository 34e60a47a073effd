//! Vectors as plain arrays of four, for processors without a backend of their
//! own: right everywhere, and mapped to vector registers by the compiler where
//! the target has them (SSE2, NEON).

#![allow(unsafe_code, reason = "loads and stores through pointers, as the trait asks")]

use super::{
    bytes::{ABREAST, ByteSimd},
    lines::BLOCK,
    simd::{Kernel, Simd},
};

/// Needs nothing of the processor.
#[derive(Clone, Copy)]
pub struct Portable;

const LANES: usize = 4;

#[inline(always)]
fn map2(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Portable {
    type Vector = [f32; LANES];

    const LANES: usize = LANES;
    const MANY_REGISTERS: bool = cfg!(target_arch = "aarch64");

    fn vectorize<K: Kernel<Self>>(self, kernel: K) {
        kernel.run(self);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Vector {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<Self::Vector>().read() }
    }

    #[inline(always)]
    unsafe fn load_unaligned(self, from: *const f32) -> Self::Vector {
        // SAFETY: the caller's promise; an array asks for no more alignment than its elements.
        unsafe { from.cast::<Self::Vector>().read() }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> Self::Vector {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<[u8; LANES]>().read() }.map(f32::from)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::Vector) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<Self::Vector>().write(value) }
    }

    #[inline(always)]
    unsafe fn store_unaligned(self, to: *mut f32, value: Self::Vector) {
        // SAFETY: the caller's promise; an array asks for no more alignment than its elements.
        unsafe { to.cast::<Self::Vector>().write(value) }
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        map2(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        map2(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        map2(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // `f32::mul_add` is a slow library call where the target has no such instruction.
        let fused = cfg!(target_arch = "aarch64");
        let f = |a: f32, b: f32, c: f32| if fused { a.mul_add(b, c) } else { a * b + c };
        [f(a[0], b[0], c[0]), f(a[1], b[1], c[1]), f(a[2], b[2], c[2]), f(a[3], b[3], c[3])]
    }

    #[inline(always)]
    fn within(self, a: Self::Vector, limit: f32) -> Self::Vector {
        a.map(|a| {
            let a = if a < limit { a } else { limit };
            if a > -limit { a } else { -limit }
        })
    }

    #[inline(always)]
    fn round(self, a: Self::Vector) -> Self::Vector {
        // Adding 1.5 · 2²³ leaves no bits for a fraction.
        const MAGIC: f32 = 12_582_912.0;
        a.map(|a| (a + MAGIC) - MAGIC)
    }

    #[inline(always)]
    fn scale_by_exp2(self, a: Self::Vector, n: Self::Vector) -> Self::Vector {
        map2(a, n, |a, n| a * f32::from_bits(((n as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn reciprocal(self, a: Self::Vector) -> Self::Vector {
        a.map(|a| 1.0 / a)
    }

    #[inline(always)]
    fn reciprocal_estimate(self, a: Self::Vector) -> Self::Vector {
        self.reciprocal(a)
    }
}

impl ByteSimd for Portable {
    type Sums = [i32; LANES];
    type Quads = [[i32; 4]; LANES];

    #[inline(always)]
    fn no_sums(self) -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    unsafe fn load_quads(self, from: *const i8) -> Self::Quads {
        // SAFETY: the caller's promise; an array asks for no more alignment than its elements.
        unsafe { from.cast::<[[i8; 4]; LANES]>().read() }.map(|quad| quad.map(i32::from))
    }

    #[inline(always)]
    unsafe fn splat_quad(self, from: *const u8) -> Self::Quads {
        // SAFETY: the caller's promise; an array asks for no more alignment than its elements.
        [unsafe { from.cast::<[u8; 4]>().read() }.map(i32::from); LANES]
    }

    #[inline(always)]
    fn dot_quads(self, a: Self::Quads, b: Self::Quads, c: Self::Sums) -> Self::Sums {
        let of = |i: usize| c[i] + (0..4).map(|j| a[i][j] * b[i][j]).sum::<i32>();
        [of(0), of(1), of(2), of(3)]
    }

    #[inline(always)]
    fn floats(self, sums: Self::Sums) -> Self::Vector {
        sums.map(|sum| sum as f32)
    }

    #[inline(always)]
    fn least(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        map2(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn largest(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        map2(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn extremes(
        self,
        low: [Self::Vector; ABREAST],
        high: [Self::Vector; ABREAST],
    ) -> ([f32; ABREAST], [f32; ABREAST]) {
        let least = |v: Self::Vector| v.into_iter().fold(f32::INFINITY, f32::min);
        let largest = |v: Self::Vector| v.into_iter().fold(f32::NEG_INFINITY, f32::max);
        (low.map(least), high.map(largest))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, values: [Self::Vector; ABREAST]) {
        for (i, value) in values.into_iter().enumerate() {
            // A float that is cast stays within the type.
            let bytes = value.map(|value| value.round_ties_even() as u8);
            // SAFETY: the caller's promise; an array asks for no more alignment than its
            // elements.
            unsafe { to.add(i * BLOCK).cast::<[u8; LANES]>().write(bytes) }
        }
    }
}
