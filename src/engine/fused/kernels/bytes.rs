//! Products of bytes in fours, with sums in 32-bit integers: what VNNI's `vpdpbusd` does.

#![allow(unsafe_code, reason = "loads and stores through pointers")]

#[cfg(doc)]
use super::prepare::PixelScale;
use super::{
    lines::BLOCK,
    simd::{Simd, unrolled},
};

/// Sixteen channels of one pixel in bytes; a [`PixelScale`] says what they stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(16))]
pub struct ByteLine(pub [u8; BLOCK]);

/// An instruction set that multiplies bytes in fours and adds in 32-bit integers.
pub trait ByteSimd: Simd {
    /// [`Simd::LANES`] sums.
    type Sums: Copy;

    /// [`Simd::LANES`] times four bytes.
    type Quads: Copy;

    /// Sums of nothing.
    fn no_sums(self) -> Self::Sums;

    /// Loads fours of signed bytes.
    ///
    /// # Safety
    /// `from` must be readable for four times [`Simd::LANES`] bytes.
    unsafe fn load_quads(self, from: *const i8) -> Self::Quads;

    /// Four unsigned bytes in all lanes.
    ///
    /// # Safety
    /// `from` must be readable for four bytes.
    unsafe fn splat_quad(self, from: *const u8) -> Self::Quads;

    /// `c` and the four products of each of `a`, which are unsigned, and `b`, which are
    /// signed. Nothing is cut off: a sum must stay below 2³¹.
    fn dot_quads(self, a: Self::Quads, b: Self::Quads, c: Self::Sums) -> Self::Sums;

    /// The sums as the nearest numbers.
    fn floats(self, sums: Self::Sums) -> Self::Vector;

    /// The smaller of both, lane by lane.
    fn least(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The larger of both, lane by lane.
    fn largest(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The least of all lanes of each of `low`, and the largest of all of each of `high`.
    fn extremes(
        self,
        low: [Self::Vector; ABREAST],
        high: [Self::Vector; ABREAST],
    ) -> ([f32; ABREAST], [f32; ABREAST]);

    /// Stores each lane as the nearest byte: those of each vector [`BLOCK`] bytes behind the
    /// last one's.
    ///
    /// # Safety
    /// `to` must be writable for [`Simd::LANES`] bytes at each of these places.
    unsafe fn store_bytes(self, to: *mut u8, values: [Self::Vector; ABREAST]);
}

/// Vectors that are rounded side by side: four times a quarter of their bytes.
pub const ABREAST: usize = 4;

/// [`outer_product`](super::simd::outer_product) on fours of bytes, each pixel's `step`
/// bytes apart.
///
/// # Safety
/// `weights` must hold `V` vectors of fours, and each pixel's four be readable.
#[inline(always)]
pub unsafe fn byte_products<S: ByteSimd, const P: usize, const V: usize>(
    s: S,
    acc: &mut [[S::Sums; V]; P],
    input: *const u8,
    step: usize,
    weights: *const i8,
) {
    // SAFETY: the caller's promise; a vector of fours is as long as one of f32.
    unsafe {
        let mut w = [s.load_quads(weights); V];
        unrolled!(I in 0..V, up to 4 => {
            w[I] = s.load_quads(weights.add(4 * I * S::LANES));
        });
        unrolled!(J in 0..P, up to 14 => {
            let x = s.splat_quad(input.add(J * step));
            unrolled!(I in 0..V, up to 4 => {
                acc[J][I] = s.dot_quads(x, w[I], acc[J][I]);
            });
        });
    }
}
