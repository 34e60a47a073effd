//! SiLU and the sigmoid in their own units, and SiLU with its derivative.
//!
//! Inference folds the factors between these and [`sigmoid2`] into its
//! weights; learned weights cannot be held that way, so training multiplies.

use crate::simd::{Simd, sigmoid2};

/// `1 / (1 + exp(−x))`, to a few units in the last place near 0 and to 1e-6
/// of its value where it is small.
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    sigmoid2(s, s.mul(x, s.splat(-std::f32::consts::LOG2_E)))
}

/// `x · sigmoid(x)`, also known as swish.
#[inline(always)]
pub fn silu<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    s.mul(x, sigmoid(s, x))
}

/// `a = z · σ(z)` and `a' = σ(z) + a · (1 − σ(z))`.
#[inline(always)]
pub fn silu_and_slope<S: Simd>(s: S, z: S::Vector) -> (S::Vector, S::Vector) {
    let sigma = sigmoid(s, z);
    let a = s.mul(z, sigma);
    let rest = s.mul_add(sigma, s.splat(-1.0), s.splat(1.0));
    (a, s.mul_add(a, rest, sigma))
}
