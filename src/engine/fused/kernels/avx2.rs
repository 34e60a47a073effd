//! AVX2 with FMA: eight lanes, sixteen registers; and with them AVX-VNNI (Intel's laptops
//! from Alder Lake on, AMD from Zen 5): products of four bytes.

#![allow(unsafe_code, reason = "vendor intrinsics; the token proves that the processor has them")]

use std::arch::x86_64::*;

use super::{
    bytes::ByteSimd,
    lines::BLOCK,
    simd::{Kernel, Simd},
};

/// Proves that the processor has AVX2 and FMA, and AVX-VNNI too where that is true.
#[derive(Clone, Copy)]
pub struct Avx2<const VNNI: bool = false>(());

impl<const VNNI: bool> Avx2<VNNI> {
    /// Whether the processor has the instructions.
    pub fn detected() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && (!VNNI || is_x86_feature_detected!("avxvnni"))
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
fn run<S: Simd, K: Kernel<S>>(simd: S, kernel: K) {
    kernel.run(simd);
}

#[target_feature(enable = "avx2,fma,avxvnni")]
fn run_vnni<S: Simd, K: Kernel<S>>(simd: S, kernel: K) {
    kernel.run(simd);
}

impl<const VNNI: bool> Simd for Avx2<VNNI> {
    type Vector = __m256;

    const LANES: usize = 8;
    const MANY_REGISTERS: bool = false;

    fn vectorize<K: Kernel<Self>>(self, kernel: K) {
        if VNNI {
            // SAFETY: the token proves the features.
            unsafe { run_vnni(self, kernel) }
        } else {
            // SAFETY: the token proves the features.
            unsafe { run(self, kernel) }
        }
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

    #[inline(always)]
    fn reciprocal_estimate(self, a: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_rcp_ps(a) }
    }
}

impl ByteSimd for Avx2<true> {
    type Sums = __m256i;
    type Quads = __m256i;

    #[inline(always)]
    fn no_sums(self) -> __m256i {
        // SAFETY: the token proves the features.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load_quads(self, from: *const i8) -> __m256i {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_quad(self, from: *const u8) -> __m256i {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot_quads(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        // SAFETY: the token proves the features.
        unsafe { _mm256_dpbusd_avx_epi32(c, a, b) }
    }

    #[inline(always)]
    fn floats(self, sums: __m256i) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn least(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn largest(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves the features.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn extremes(self, low: [__m256; 4], high: [__m256; 4]) -> ([f32; 4], [f32; 4]) {
        // SAFETY: the token proves the features.
        unsafe {
            // The least is the negative of the negatives' largest, so that one way serves both.
            let halved = |i: usize| {
                let low = _mm256_sub_ps(_mm256_setzero_ps(), low[i]);
                let first = _mm256_permute2f128_ps::<0x20>(low, high[i]);
                _mm256_max_ps(first, _mm256_permute2f128_ps::<0x31>(low, high[i]))
            };
            let pair = |a, b| _mm256_max_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            // Two lanes of each of two vectors; low in the first half and high in the second.
            let (even, odd) = (pair(halved(0), halved(1)), pair(halved(2), halved(3)));
            let first = _mm256_shuffle_ps::<0x44>(even, odd);
            let v = _mm256_max_ps(first, _mm256_shuffle_ps::<0xEE>(even, odd));
            let mut of = [0.0; 8];
            _mm256_storeu_ps(of.as_mut_ptr(), v);
            ([-of[0], -of[1], -of[2], -of[3]], [of[4], of[5], of[6], of[7]])
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, values: [__m256; 4]) {
        // SAFETY: the token proves the features; the caller that eight bytes are writable at
        // each place.
        unsafe {
            let whole = |i: usize| _mm256_cvtps_epi32(values[i]);
            let words = |a, b| _mm256_packus_epi32(whole(a), whole(b));
            // Four bytes of each vector in each half; they belong together.
            let bytes = _mm256_packus_epi16(words(0, 1), words(2, 3));
            let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
            let (first, last) = (_mm_unpacklo_epi32(low, high), _mm_unpackhi_epi32(low, high));
            _mm_storel_epi64(to.cast(), first);
            _mm_storel_epi64(to.add(BLOCK).cast(), _mm_unpackhi_epi64(first, first));
            _mm_storel_epi64(to.add(2 * BLOCK).cast(), last);
            _mm_storel_epi64(to.add(3 * BLOCK).cast(), _mm_unpackhi_epi64(last, last));
        }
    }
}
