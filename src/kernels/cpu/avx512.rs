//! AVX-512 F: sixteen lanes, thirty-two registers.

#![allow(unsafe_code, reason = "vendor intrinsics; the token proves that the processor has them")]

use std::arch::x86_64::*;

use super::simd::{Kernel, Simd};

/// Proves that the processor has AVX-512 F.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    /// Whether the processor has the instructions.
    pub(super) fn detected() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
    }

    /// The token.
    ///
    /// # Safety
    /// [`Self::detected`] must have returned true.
    pub(super) unsafe fn new_unchecked() -> Self {
        Self(())
    }
}

#[target_feature(enable = "avx512f,avx2,fma")]
fn run<K: Kernel>(simd: Avx512, kernel: K) {
    kernel.run(simd);
}

impl Simd for Avx512 {
    type Vector = __m512;

    const LANES: usize = 16;
    const MANY_REGISTERS: bool = true;

    fn vectorize<K: Kernel>(self, kernel: K) {
        // SAFETY: the token proves the features.
        unsafe { run(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the token proves the features; the caller that it is readable and aligned.
        unsafe { _mm512_load_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_unaligned(self, from: *const f32) -> __m512 {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> __m512 {
        // SAFETY: the token proves the features; the caller that sixteen bytes are readable.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m512) {
        // SAFETY: the token proves the features; the caller that it is writable and aligned.
        unsafe { _mm512_store_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn store_unaligned(self, to: *mut f32, value: __m512) {
        // SAFETY: the token proves the features; the caller that it is writable.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn scale_by_exp2(self, a: __m512, n: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_scalef_ps(a, n) }
    }

    #[inline(always)]
    fn reciprocal(self, a: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe {
            // One step of Newton from 14 bits.
            let y = _mm512_rcp14_ps(a);
            _mm512_mul_ps(y, _mm512_fnmadd_ps(a, y, _mm512_set1_ps(2.0)))
        }
    }
}
