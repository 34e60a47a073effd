//! AVX2 with FMA: eight lanes, sixteen registers.

#![allow(unsafe_code, reason = "vendor intrinsics; the token proves that the processor has them")]

use std::arch::x86_64::*;

use super::simd::{Kernel, Simd};

/// Proves that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// Whether the processor has the instructions.
    pub fn detected() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// The token.
    ///
    /// # Safety
    /// [`Self::detected`] must have returned true.
    pub unsafe fn new_unchecked() -> Self {
        Self(())
    }
}

#[target_feature(enable = "avx2,fma")]
fn run<K: Kernel<Avx2>>(simd: Avx2, kernel: K) {
    kernel.run(simd);
}

impl Simd for Avx2 {
    type Vector = __m256;

    const LANES: usize = 8;
    const MANY_REGISTERS: bool = false;

    fn vectorize<K: Kernel<Self>>(self, kernel: K) {
        // SAFETY: the token proves the features.
        unsafe { run(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: the token proves the features; the caller that it is readable and aligned.
        unsafe { _mm256_load_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_unaligned(self, from: *const f32) -> __m256 {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> __m256 {
        // SAFETY: the token proves the features; the caller that eight bytes are readable.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m256) {
        // SAFETY: the token proves the features; the caller that it is writable and aligned.
        unsafe { _mm256_store_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn store_unaligned(self, to: *mut f32, value: __m256) {
        // SAFETY: the token proves the features; the caller that it is writable.
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn within(self, a: __m256, limit: f32) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe {
            // The second operand where the first is not a number.
            let a = _mm256_min_ps(a, _mm256_set1_ps(limit));
            _mm256_max_ps(a, _mm256_set1_ps(-limit))
        }
    }

    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn scale_by_exp2(self, a: __m256, n: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe {
            let n = _mm256_cvtps_epi32(n);
            let exponent = _mm256_slli_epi32::<23>(_mm256_add_epi32(n, _mm256_set1_epi32(127)));
            _mm256_mul_ps(a, _mm256_castsi256_ps(exponent))
        }
    }

    #[inline(always)]
    fn reciprocal(self, a: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_div_ps(_mm256_set1_ps(1.0), a) }
    }
}
