//! SiLU together with its derivative, from one sigmoid.

use super::super::simd::{Simd, sigmoid};

/// `a = z · σ(z)` and `a' = σ(z) + a · (1 − σ(z))`.
#[inline(always)]
pub(super) fn silu_and_slope<S: Simd>(s: S, z: S::Vector) -> (S::Vector, S::Vector) {
    let sigma = sigmoid(s, z);
    let a = s.mul(z, sigma);
    let rest = s.mul_add(sigma, s.splat(-1.0), s.splat(1.0));
    (a, s.mul_add(a, rest, sigma))
}
