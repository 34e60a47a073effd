//! NEON, which every 64-bit ARM processor has: four lanes, thirty-two
//! registers; and with it BF16 (Graviton 3, Neoverse N2 and V1, Apple's M2 and
//! later ones): products of pairs of bfloat16.
//!
//! A vector is multiplied with any lane of another, so one load of a pixel
//! serves four steps of a matrix product ([`Simd::outer_products`]).
//!
//! The instructions of BF16 have no stable intrinsics in Rust 1.95
//! (`vbfdotq_f32` and the types that it takes are not there), so they are
//! inline assembly. `bfmmla` does twice the work of `bfdot`, but on 2 × 2
//! outputs: it would need weights in steps of four channels and results taken
//! apart, another [`Format`](super::format::Format).

#![allow(unsafe_code, reason = "vendor intrinsics; the token proves that the processor has them")]

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::simd::{HalfSimd, Kernel, Simd, unrolled};

/// Proves that the processor has NEON, and BF16 too where that is true.
#[derive(Clone, Copy)]
pub struct Neon<const BF16: bool = false>(());

impl<const BF16: bool> Neon<BF16> {
    /// Whether the processor has the instructions.
    pub fn detected() -> bool {
        is_aarch64_feature_detected!("neon") && (!BF16 || is_aarch64_feature_detected!("bf16"))
    }

    /// The token.
    ///
    /// # Safety
    /// [`Self::detected`] must have returned true.
    pub unsafe fn new_unchecked() -> Self {
        Self(())
    }
}

#[target_feature(enable = "neon")]
fn run<const BF16: bool, K: Kernel<Neon<BF16>>>(simd: Neon<BF16>, kernel: K) {
    kernel.run(simd);
}

#[target_feature(enable = "neon,bf16")]
fn run_bf16<const BF16: bool, K: Kernel<Neon<BF16>>>(simd: Neon<BF16>, kernel: K) {
    kernel.run(simd);
}

impl<const BF16: bool> Simd for Neon<BF16> {
    type Vector = float32x4_t;

    const LANES: usize = 4;
    const MANY_REGISTERS: bool = true;
    const GROUP: usize = 4;

    fn vectorize<K: Kernel<Self>>(self, kernel: K) {
        if BF16 {
            // SAFETY: the token proves the features.
            unsafe { run_bf16(self, kernel) }
        } else {
            // SAFETY: the token proves the features.
            unsafe { run(self, kernel) }
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn load_unaligned(self, from: *const f32) -> float32x4_t {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> float32x4_t {
        // SAFETY: the token proves the features; the caller that four bytes are readable.
        unsafe {
            let bytes = u32::from_le_bytes(from.cast::<[u8; 4]>().read());
            let wide = vget_low_u16(vmovl_u8(vcreate_u8(u64::from(bytes))));
            vcvtq_f32_u32(vmovl_u16(wide))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: float32x4_t) {
        // SAFETY: the token proves the features; the caller that it is writable.
        unsafe { vst1q_f32(to, value) }
    }

    #[inline(always)]
    unsafe fn store_unaligned(self, to: *mut f32, value: float32x4_t) {
        // SAFETY: the token proves the features; the caller that it is writable.
        unsafe { vst1q_f32(to, value) }
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn within(self, a: float32x4_t, limit: f32) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe {
            // The number where the other is none.
            let a = vminnmq_f32(a, vdupq_n_f32(limit));
            vmaxnmq_f32(a, vdupq_n_f32(-limit))
        }
    }

    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe { vrndnq_f32(a) }
    }

    #[inline(always)]
    fn scale_by_exp2(self, a: float32x4_t, n: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe {
            let n = vcvtq_s32_f32(n);
            let exponent = vshlq_n_s32::<23>(vaddq_s32(n, vdupq_n_s32(127)));
            vmulq_f32(a, vreinterpretq_f32_s32(exponent))
        }
    }

    #[inline(always)]
    fn reciprocal(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe {
            // Two steps of Newton from 8 bits.
            let y = vrecpeq_f32(a);
            let y = vmulq_f32(y, vrecpsq_f32(a, y));
            vmulq_f32(y, vrecpsq_f32(a, y))
        }
    }

    #[inline(always)]
    fn reciprocal_estimate(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves the features.
        unsafe {
            // A step of Newton from 8 bits.
            let y = vrecpeq_f32(a);
            vmulq_f32(y, vrecpsq_f32(a, y))
        }
    }

    #[inline(always)]
    unsafe fn outer_products<const P: usize, const V: usize>(
        self,
        acc: &mut [[float32x4_t; V]; P],
        input: *const f32,
        step: usize,
        weights: *const f32,
        distance: usize,
    ) {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe {
            let mut x = [vdupq_n_f32(0.0); P];
            unrolled!(J in 0..P, up to 14 => {
                x[J] = vld1q_f32(input.add(J * step));
            });
            unrolled!(K in 0..4, up to 4 => {
                unrolled!(I in 0..V, up to 4 => {
                    let w = vld1q_f32(weights.add(K * distance + I * 4));
                    unrolled!(J in 0..P, up to 14 => {
                        acc[J][I] = vfmaq_laneq_f32::<{ K as i32 }>(acc[J][I], w, x[J]);
                    });
                });
            });
        }
    }
}

/// `c` and the two products of each pair of `a` with the pair `I` of `b`.
///
/// # Safety
/// The processor must have BF16, and the caller be compiled for it.
#[inline(always)]
unsafe fn dot_lane<const I: usize>(
    a: uint16x8_t,
    b: uint16x8_t,
    mut c: float32x4_t,
) -> float32x4_t {
    // SAFETY: the caller's; registers alone are read and written.
    unsafe {
        asm!(
            "bfdot {c:v}.4s, {a:v}.8h, {b:v}.2h[{i}]",
            c = inout(vreg) c,
            a = in(vreg) a,
            b = in(vreg) b,
            i = const I,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    c
}

/// Rounds to the nearest.
///
/// # Safety
/// The processor must have BF16, and the caller be compiled for it.
#[inline(always)]
unsafe fn rounded(value: float32x4_t) -> uint16x4_t {
    let halves: uint16x4_t;
    // SAFETY: the caller's; registers alone are read and written.
    unsafe {
        asm!(
            "bfcvtn {to:v}.4h, {from:v}.4s",
            to = lateout(vreg) halves,
            from = in(vreg) value,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    halves
}

impl HalfSimd for Neon<true> {
    type Pairs = uint16x8_t;

    #[inline(always)]
    unsafe fn load_half(self, from: *const u16) -> float32x4_t {
        // SAFETY: the token proves the features; the caller that it is readable. A bfloat16 is
        // the upper half of an f32.
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from))) }
    }

    #[inline(always)]
    unsafe fn store_half(self, to: *mut u16, value: float32x4_t) {
        // SAFETY: the token proves the features; the caller that it is writable.
        unsafe { vst1_u16(to, rounded(value)) }
    }

    #[inline(always)]
    unsafe fn load_pairs(self, from: *const u16) -> uint16x8_t {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { vld1q_u16(from) }
    }

    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut u16, even: float32x4_t, odd: float32x4_t) {
        // SAFETY: the token proves the features; the caller that it is writable.
        unsafe { vst2_u16(to, uint16x4x2_t(rounded(even), rounded(odd))) }
    }

    #[inline(always)]
    unsafe fn pair_rows(self, even: *const u16, odd: *const u16, to: *mut u16) {
        // SAFETY: the token proves the features; the caller that all is readable or writable.
        unsafe { vst2_u16(to, uint16x4x2_t(vld1_u16(even), vld1_u16(odd))) }
    }

    #[inline(always)]
    unsafe fn splat_pair(self, from: *const u16) -> uint16x8_t {
        // SAFETY: the token proves the features; the caller that it is readable.
        unsafe { vreinterpretq_u16_u32(vdupq_n_u32(from.cast::<u32>().read_unaligned())) }
    }

    #[inline(always)]
    fn dot(self, a: uint16x8_t, b: uint16x8_t, mut c: float32x4_t) -> float32x4_t {
        // SAFETY: the token proves the features; registers alone are read and written.
        unsafe {
            asm!(
                "bfdot {c:v}.4s, {a:v}.8h, {b:v}.8h",
                c = inout(vreg) c,
                a = in(vreg) a,
                b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        c
    }

    #[inline(always)]
    unsafe fn dots<const P: usize, const V: usize>(
        self,
        acc: &mut [[float32x4_t; V]; P],
        input: *const u16,
        step: usize,
        weights: *const u16,
        distance: usize,
    ) {
        // SAFETY: the token proves the features, whose kernels are compiled for them; the caller
        // that it is readable.
        unsafe {
            let mut x = [vdupq_n_u16(0); P];
            unrolled!(J in 0..P, up to 14 => {
                x[J] = vld1q_u16(input.add(J * step));
            });
            unrolled!(K in 0..4, up to 4 => {
                unrolled!(I in 0..V, up to 4 => {
                    let w = vld1q_u16(weights.add(K * distance + I * 8));
                    unrolled!(J in 0..P, up to 14 => {
                        acc[J][I] = dot_lane::<K>(w, x[J], acc[J][I]);
                    });
                });
            });
        }
    }
}
