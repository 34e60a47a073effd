//! Elementwise passes over rows of activations: batch norm with SiLU, batch
//! norm with a residual, and the last step of batch norm's gradient.
//!
//! All slices are whole rows of `c` floats, a multiple of the line; the
//! per-channel vectors hold `c`.

#![allow(unsafe_code, reason = "SIMD kernels on pointers into checked slices")]

use super::sigmoid::silu;
use super::{Cpu, buffer::aligned, prefetch::prefetch};
use crate::lines::BLOCK;
use crate::simd::{Kernel, Simd};

/// Panics unless every slice is aligned and has `len` floats or more.
fn check(len: usize, slices: &[&[f32]]) {
    for slice in slices {
        assert!(slice.len() >= len && aligned(slice), "a slice is too short or not aligned");
    }
}

/// `out = silu(x · scale + shift)`, times `gate` if there is one.
pub fn activate(
    cpu: Cpu,
    x: &[f32],
    (scale, shift): (&[f32], &[f32]),
    gate: Option<&[f32]>,
    out: &mut [f32],
) {
    let c = scale.len();
    assert!(c.is_multiple_of(BLOCK) && x.len().is_multiple_of(c), "not whole rows");
    check(c, &[scale, shift, gate.unwrap_or(scale)]);
    check(x.len(), &[x, out]);
    cpu.run(Activate { c, x, scale, shift, gate, out });
}

struct Activate<'a> {
    c: usize,
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    gate: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl<S: Simd> Kernel<S> for Activate<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let (scale, shift, out) = (self.scale.as_ptr(), self.shift.as_ptr(), self.out.as_mut_ptr());
        for row in (0..self.x.len()).step_by(self.c) {
            for i in (0..self.c).step_by(S::LANES) {
                // SAFETY: `activate` checked that rows and vectors hold `c` floats.
                unsafe {
                    prefetch(self.x.as_ptr().wrapping_add(row + i));
                    let x = s.load(self.x.as_ptr().add(row + i));
                    let a = silu(s, s.mul_add(x, s.load(scale.add(i)), s.load(shift.add(i))));
                    let a = match self.gate {
                        Some(gate) => s.mul(a, s.load(gate.as_ptr().add(i))),
                        None => a,
                    };
                    s.store(out.add(row + i), a);
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
    cpu.run(Affine { c, x, scale, shift, factor, residual, out });
}

struct Affine<'a> {
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
pub fn combine(cpu: Cpu, a: &[f32], b: &[f32], [c0, c1, c2]: [&[f32]; 3], out: &mut [f32]) {
    let c = c0.len();
    assert!(c.is_multiple_of(BLOCK) && a.len().is_multiple_of(c), "not whole rows");
    check(c, &[c0, c1, c2]);
    check(a.len(), &[a, b, out]);
    cpu.run(Combine { c, a, b, c0, c1, c2, out });
}

struct Combine<'a> {
    c: usize,
    a: &'a [f32],
    b: &'a [f32],
    c0: &'a [f32],
    c1: &'a [f32],
    c2: &'a [f32],
    out: &'a mut [f32],
}

impl<S: Simd> Kernel<S> for Combine<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let out = self.out.as_mut_ptr();
        for row in (0..self.a.len()).step_by(self.c) {
            for i in (0..self.c).step_by(S::LANES) {
                // SAFETY: `combine` checked that rows and vectors hold `c` floats.
                unsafe {
                    prefetch(self.a.as_ptr().wrapping_add(row + i));
                    prefetch(self.b.as_ptr().wrapping_add(row + i));
                    let a = s.load(self.a.as_ptr().add(row + i));
                    let b = s.load(self.b.as_ptr().add(row + i));
                    let rest = s.mul_add(
                        b,
                        s.load(self.c1.as_ptr().add(i)),
                        s.load(self.c2.as_ptr().add(i)),
                    );
                    let y = s.mul_add(a, s.load(self.c0.as_ptr().add(i)), rest);
                    s.store(out.add(row + i), y);
                }
            }
        }
    }
}
