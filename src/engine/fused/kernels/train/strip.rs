//! Elementwise passes over rows of activations: batch norm with SiLU, batch
//! norm with a residual, and the last step of batch norm's gradient.
//!
//! All slices are whole rows of `c` numbers, a multiple of the line; the
//! per-channel vectors hold `c`.

#![allow(unsafe_code, reason = "SIMD kernels on pointers into checked slices")]

use super::{
    Cpu,
    buffer::aligned,
    element::{Element, ElementOn},
    prefetch::prefetch,
};
use crate::backend::Launch;
use crate::lines::BLOCK;
use crate::simd::{Kernel, Simd};

/// Panics unless every slice is aligned and has `len` numbers or more.
fn check<E: Element>(len: usize, slices: &[&[E]]) {
    for slice in slices {
        assert!(slice.len() >= len && aligned(slice), "a slice is too short or not aligned");
    }
}

/// `out = silu(x · scale + shift)`, times `gate` if there is one.
pub fn activate<E: Element>(
    own: E::Runner,
    x: &[E],
    (scale, shift): (&[f32], &[f32]),
    gate: Option<&[f32]>,
    out: &mut [E],
) {
    let c = scale.len();
    assert!(c.is_multiple_of(BLOCK) && x.len().is_multiple_of(c), "not whole rows");
    check(c, &[scale, shift, gate.unwrap_or(scale)]);
    check(x.len(), &[x, out]);
    own.launch(Activate { c, x, scale, shift, gate, out });
}

pub struct Activate<'a, E> {
    c: usize,
    x: &'a [E],
    scale: &'a [f32],
    shift: &'a [f32],
    gate: Option<&'a [f32]>,
    out: &'a mut [E],
}

impl<S: Simd, E: ElementOn<S>> Kernel<S> for Activate<'_, E> {
    #[inline(always)]
    fn run(self, s: S) {
        let (scale, shift, out) = (self.scale.as_ptr(), self.shift.as_ptr(), self.out.as_mut_ptr());
        for row in (0..self.x.len()).step_by(self.c) {
            for i in (0..self.c).step_by(S::LANES) {
                // SAFETY: `activate` checked that rows and vectors hold `c` floats.
                unsafe {
                    prefetch(self.x.as_ptr().wrapping_add(row + i));
                    let x = E::load(s, self.x.as_ptr().add(row + i));
                    let z = s.mul_add(x, s.load(scale.add(i)), s.load(shift.add(i)));
                    let a = E::silu(s, z);
                    let a = match self.gate {
                        Some(gate) => s.mul(a, s.load(gate.as_ptr().add(i))),
                        None => a,
                    };
                    E::store(s, out.add(row + i), a);
                }
            }
        }
    }
}

/// `out = (x · scale + shift) · factor`, plus `residual` if there is one.
pub fn affine(
    cpu: Cpu,
    x: &[f32],
    (scale, shift): (&[f32], &[f32]),
    factor: f32,
    residual: Option<&[f32]>,
    out: &mut [f32],
) {
    let c = scale.len();
    assert!(c.is_multiple_of(BLOCK) && x.len().is_multiple_of(c), "not whole rows");
    check(c, &[scale, shift]);
    check(x.len(), &[x, out, residual.unwrap_or(x)]);
    cpu.launch(Affine { c, x, scale, shift, factor, residual, out });
}

pub struct Affine<'a> {
    c: usize,
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    factor: f32,
    residual: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl<S: Simd> Kernel<S> for Affine<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let (scale, shift, out) = (self.scale.as_ptr(), self.shift.as_ptr(), self.out.as_mut_ptr());
        let factor = s.splat(self.factor);
        for row in (0..self.x.len()).step_by(self.c) {
            for i in (0..self.c).step_by(S::LANES) {
                // SAFETY: `affine` checked that rows and vectors hold `c` floats.
                unsafe {
                    prefetch(self.x.as_ptr().wrapping_add(row + i));
                    let x = s.load(self.x.as_ptr().add(row + i));
                    let y = s.mul_add(x, s.load(scale.add(i)), s.load(shift.add(i)));
                    let y = match self.residual {
                        Some(r) => s.mul_add(y, factor, s.load(r.as_ptr().add(row + i))),
                        None => s.mul(y, factor),
                    };
                    s.store(out.add(row + i), y);
                }
            }
        }
    }
}

/// `out = a · c0 + b · c1 + c2`, channel by channel: the gradient through
/// batch norm, `a` the gradient at its output and `b` its input.
pub fn combine<A: Element, E: Element>(
    own: E::Runner,
    a: &[A],
    b: &[A],
    [c0, c1, c2]: [&[f32]; 3],
    out: &mut [E],
) where
    E::Runner: for<'a> Launch<Combine<'a, A, E>>,
{
    let c = c0.len();
    assert!(c.is_multiple_of(BLOCK) && a.len().is_multiple_of(c), "not whole rows");
    check(c, &[c0, c1, c2]);
    check(a.len(), &[a, b]);
    check(a.len(), &[&*out]);
    own.launch(Combine { c, a, b, c0, c1, c2, out });
}

pub struct Combine<'a, A, E> {
    c: usize,
    a: &'a [A],
    b: &'a [A],
    c0: &'a [f32],
    c1: &'a [f32],
    c2: &'a [f32],
    out: &'a mut [E],
}

impl<S: Simd, A: ElementOn<S>, E: ElementOn<S>> Kernel<S> for Combine<'_, A, E> {
    #[inline(always)]
    fn run(self, s: S) {
        let out = self.out.as_mut_ptr();
        for row in (0..self.a.len()).step_by(self.c) {
            for i in (0..self.c).step_by(S::LANES) {
                // SAFETY: `combine` checked that rows and vectors hold `c` floats.
                unsafe {
                    prefetch(self.a.as_ptr().wrapping_add(row + i));
                    prefetch(self.b.as_ptr().wrapping_add(row + i));
                    let a = A::load(s, self.a.as_ptr().add(row + i));
                    let b = A::load(s, self.b.as_ptr().add(row + i));
                    let rest = s.mul_add(
                        b,
                        s.load(self.c1.as_ptr().add(i)),
                        s.load(self.c2.as_ptr().add(i)),
                    );
                    let y = s.mul_add(a, s.load(self.c0.as_ptr().add(i)), rest);
                    E::store(s, out.add(row + i), y);
                }
            }
        }
    }
}
