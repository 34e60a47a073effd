//! AVX-512 F and DQ: sixteen lanes, thirty-two registers; and with them AVX-512 BF16,
//! products of pairs of bfloat16, or AVX-512 VNNI, products of four bytes.

#![allow(unsafe_code, reason = "vendor intrinsics; the token proves that the processor has them")]

use std::arch::x86_64::*;

use super::{
    bytes::ByteSimd,
    simd::{HalfSimd, Kernel, Simd},
};

/// Proves that the processor has AVX-512 F and DQ, and BF16 or VNNI too where that is true.
#[derive(Clone, Copy)]
pub struct Avx512<const BF16: bool = false, const VNNI: bool = false>(());

impl<const BF16: bool, const VNNI: bool> Avx512<BF16, VNNI> {
    /// Whether the processor has the instructions.
    pub fn detected() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && (!BF16 || is_x86_feature_detected!("avx512bf16"))
            && (!VNNI
                || (is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw")))
    }

    /// The token.
    ///
    /// # Safety
    /// [`Self::detected`] must have returned true.
    pub unsafe fn new_unchecked() -> Self {
        Self(())
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn run<S: Simd, K: Kernel<S>>(simd: S, kernel: K) {
    kernel.run(simd);
}

#[target_feature(enable = "avx512f,avx512dq,avx512bf16,avx2,fma")]
fn run_bf16<S: Simd, K: Kernel<S>>(simd: S, kernel: K) {
    kernel.run(simd);
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vnni,avx2,fma")]
fn run_vnni<S: Simd, K: Kernel<S>>(simd: S, kernel: K) {
    kernel.run(simd);
}

impl<const BF16: bool, const VNNI: bool> Simd for Avx512<BF16, VNNI> {
    type Vector = __m512;

    const LANES: usize = 16;
    const MANY_REGISTERS: bool = true;

    fn vectorize<K: Kernel<Self>>(self, kernel: K) {
        if BF16 {
            // SAFETY: the token proves the features.
            unsafe { run_bf16(self, kernel) }
        } else if VNNI {
            // SAFETY: the token proves the features.
            unsafe { run_vnni(self, kernel) }
        } else {
            // SAFETY: the token proves the features.
            unsafe { run(self, kernel) }
        }
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
    fn within(self, a: __m512, limit: f32) -> __m512 {
        // The smaller magnitude, with the first operand's sign; the second operand where the
        // first is not a number.
        const SMALLER: i32 = 0b0010;
        // SAFETY: the token proves the features.
        unsafe { _mm512_range_ps::<SMALLER>(a, _mm512_set1_ps(limit)) }
    }

    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    /// `vscalefps` takes the whole number below what it is given.
    #[inline(always)]
    fn split(self, a: __m512) -> (__m512, __m512) {
        const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
        // SAFETY: the token proves the features.
        (a, unsafe { _mm512_reduce_ps::<DOWN>(a) })
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

    #[inline(always)]
    fn reciprocal_estimate(self, a: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_rcp14_ps(a) }
    }
}

impl HalfSimd for Avx512<true> {
    type Pairs = __m512bh;

    #[inline(always)]
    unsafe fn load_half(self, from: *const u16) -> __m512 {
        // SAFETY: the token proves the features; the caller that it is readable. A bfloat16 is
        // the upper half of an f32.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    unsafe fn store_half(self, to: *mut u16, value: __m512) {
        // SAFETY: the token proves the features; the caller that it is writable.
        unsafe { to.cast::<__m256bh>().write_unaligned(_mm512_cvtneps_pbh(value)) }
    }

    #[inline(always)]
    unsafe fn load_pairs(self, from: *const u16) -> __m512bh {
        // SAFETY: the caller says that it is readable.
        unsafe { from.cast::<__m512bh>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut u16, even: __m512, odd: __m512) {
        // SAFETY: the token proves the features; the caller that it is writable. Both types are
        // 256 bits of anything.
        unsafe {
            let rounded = |v| -> __m512i {
                let halves: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(v));
                _mm512_cvtepu16_epi32(halves)
            };
            let odd = _mm512_slli_epi32::<16>(rounded(odd));
            _mm512_storeu_si512(to.cast(), _mm512_or_si512(rounded(even), odd));
        }
    }

    #[inline(always)]
    unsafe fn pair_rows(self, even: *const u16, odd: *const u16, to: *mut u16) {
        // SAFETY: the token proves the features; the caller that all is readable or writable.
        unsafe {
            let wide = |from: *const u16| _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            let odd = _mm512_slli_epi32::<16>(wide(odd));
            _mm512_storeu_si512(to.cast(), _mm512_or_si512(wide(even), odd));
        }
    }

    #[inline(always)]
    unsafe fn splat_pair(self, from: *const u16) -> __m512bh {
        // SAFETY: the token proves the features; the caller that it is readable. Both types are
        // 512 bits of anything.
        unsafe { std::mem::transmute(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    fn dot(self, a: __m512bh, b: __m512bh, c: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_dpbf16_ps(c, a, b) }
    }
}

impl ByteSimd for Avx512<false, true> {
    type Sums = __m512i;
    type Quads = __m512i;

    #[inline(always)]
    fn no_sums(self) -> __m512i {
        // SAFETY: the token proves the features.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load_quads(self, from: *const i8) -> __m512i {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_quad(self, from: *const u8) -> __m512i {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot_quads(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        // SAFETY: the token proves the features.
        unsafe { _mm512_dpbusd_epi32(c, a, b) }
    }

    #[inline(always)]
    fn floats(self, sums: __m512i) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn least(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn largest(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn extremes(self, low: [__m512; 4], high: [__m512; 4]) -> ([f32; 4], [f32; 4]) {
        // SAFETY: the token proves the features.
        unsafe {
            // The least is the negative of the negatives' largest, so that one way serves both.
            let halved = |low, high| {
                let low = _mm512_sub_ps(_mm512_setzero_ps(), low);
                let first = _mm512_shuffle_f32x4::<0x44>(low, high);
                _mm512_max_ps(first, _mm512_shuffle_f32x4::<0xEE>(low, high))
            };
            // Quarters of low and high of one vector, then of the other.
            let pair = |a, b| {
                let first = _mm512_shuffle_f32x4::<0x88>(a, b);
                _mm512_max_ps(first, _mm512_shuffle_f32x4::<0xDD>(a, b))
            };
            let even = pair(halved(low[0], high[0]), halved(low[1], high[1]));
            let odd = pair(halved(low[2], high[2]), halved(low[3], high[3]));
            let v = _mm512_max_ps(_mm512_unpacklo_ps(even, odd), _mm512_unpackhi_ps(even, odd));
            let v = _mm512_max_ps(v, _mm512_permute_ps::<0x4E>(v));
            let mut of = [0.0; 16];
            _mm512_storeu_ps(of.as_mut_ptr(), v);
            ([-of[0], -of[8], -of[1], -of[9]], [of[4], of[12], of[5], of[13]])
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, values: [__m512; 4]) {
        // SAFETY: the token proves the features; the caller that 64 bytes are writable, as a
        // vector fills the sixteen up to the next one's.
        unsafe {
            let whole = |i: usize| _mm512_cvtps_epi32(values[i]);
            let words = |a, b| _mm512_packus_epi32(whole(a), whole(b));
            let bytes = _mm512_packus_epi16(words(0, 1), words(2, 3));
            // Four bytes of each vector in each quarter; they belong together.
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_storeu_si512(to.cast(), _mm512_permutexvar_epi32(order, bytes));
        }
    }
}
