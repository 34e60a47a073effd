//! Matrix products of rows of activations with packed weights: the 1×1
//! convolutions forward, and their gradient towards the input.
//!
//! `C[m×n] = A[m×k] · B[k×n]`, `A` and `C` as they lie in memory, `B` packed
//! in panels as wide as the register tile, [`Element::STEP`] rows of it side
//! by side. Each element is one chain of multiply-adds over `k` in order,
//! whatever rows are computed together.

#![allow(unsafe_code, reason = "SIMD kernels on pointers into checked slices")]

use super::{
    buffer::{Buffer, aligned, padded},
    element::{Element, ElementOn},
    prefetch::prefetch_to_write,
};
use crate::backend::Launch;
use crate::lines::BLOCK;
use crate::simd::{Kernel, Simd};

/// Rows that [`Packed::pack`] packs together.
const PACKED_TOGETHER: usize = 32;

/// Lines in the widest panel.
const WIDEST: usize = 3;

/// A matrix `[k × n]` in panels of up to `WIDEST` lines, each
/// `[⌈k / STEP⌉][lines · 16][STEP]`.
pub struct Packed<E: Element = f32> {
    k: usize,
    n: usize,
    data: Buffer<E>,
}

/// Lines of the next panel when `rest` are left.
#[inline(always)]
fn panel(rest: usize) -> usize {
    // Two of two rather than three and one.
    if rest == 4 { 2 } else { rest.min(WIDEST) }
}

impl<E: Element> Packed<E> {
    /// Room for a matrix.
    pub fn new(k: usize, n: usize) -> Self {
        Self { k, n, data: Buffer::zeros(k.next_multiple_of(E::STEP) * padded(n)) }
    }

    /// Packs `source`, in which `B[k][n]` is at `k · k_step + n · n_step`.
    pub fn pack(&mut self, source: &[f32], k_step: usize, n_step: usize) {
        let (mut first, mut at) = (0, 0);
        while first < self.n {
            let width = BLOCK * panel((self.n - first).div_ceil(BLOCK));
            let used = width.min(self.n - first);
            let steps = self.k.div_ceil(E::STEP);
            let panel = &mut self.data[at..at + steps * width * E::STEP];
            // So many rows at a time that both sides stay in the cache.
            for from in (0..self.k).step_by(PACKED_TOGETHER) {
                let to = (from + PACKED_TOGETHER).min(self.k);
                for j in 0..used {
                    let source = &source[(first + j) * n_step..];
                    for k in from..to {
                        let place = (k / E::STEP * width + j) * E::STEP + k % E::STEP;
                        panel[place] = E::round(source[k * k_step]);
                    }
                }
            }
            at += panel.len();
            first += width;
        }
    }
}

/// `C = A · B`, or `C += A · B`, for `m` rows, whole padded rows of `C`.
pub fn product<E: Element, C: Element>(
    own: E::Runner,
    m: usize,
    a: (&[E], usize),
    b: &Packed<E>,
    c: (&mut [C], usize),
    accumulate: bool,
) where
    E::Runner: for<'a> Launch<Product<'a, E, C>>,
{
    let ((a, lda), (c, ldc)) = (a, c);
    if m == 0 {
        return;
    }
    let k = b.k.next_multiple_of(E::STEP);
    assert!(a.len() >= (m - 1) * lda + k && lda >= k, "A is too small");
    assert!(c.len() >= (m - 1) * ldc + padded(b.n) && ldc >= padded(b.n), "C is too small");
    assert!(aligned(c) && ldc.is_multiple_of(BLOCK), "C is not aligned");
    own.launch(Product { m, a, lda, b, c, ldc, accumulate });
}

pub struct Product<'a, E: Element, C> {
    m: usize,
    a: &'a [E],
    lda: usize,
    b: &'a Packed<E>,
    c: &'a mut [C],
    ldc: usize,
    accumulate: bool,
}

impl<S: Simd, E: ElementOn<S>, C: ElementOn<S>> Kernel<S> for Product<'_, E, C> {
    #[inline(always)]
    fn run(self, s: S) {
        let (steps, lines) = (self.b.k.div_ceil(E::STEP), padded(self.b.n) / BLOCK);
        let (mut line, mut b) = (0, self.b.data.as_ptr());
        while line < lines {
            let width = panel(lines - line);
            let rows = Rows {
                m: self.m,
                steps,
                a: self.a.as_ptr(),
                lda: self.lda,
                // SAFETY: `line` is below the lines of a row, which is in bounds.
                c: unsafe { self.c.as_mut_ptr().add(line * BLOCK) },
                ldc: self.ldc,
                accumulate: self.accumulate,
            };
            // SAFETY: `product` checked A and C; a panel holds steps of `width` lines.
            unsafe {
                if S::LANES == 16 {
                    match width {
                        3 => rows.all::<S, 8, 3>(s, b, 0, BLOCK * 3),
                        2 => rows.all::<S, 12, 2>(s, b, 0, BLOCK * 2),
                        _ => rows.all::<S, 14, 1>(s, b, 0, BLOCK),
                    }
                } else {
                    for part in 0..width {
                        let skip = part * BLOCK;
                        if S::LANES == 8 {
                            rows.all::<S, 6, 2>(s, b, skip, BLOCK * width);
                        } else if S::MANY_REGISTERS {
                            rows.all::<S, 6, 4>(s, b, skip, BLOCK * width);
                        } else {
                            rows.all::<S, 2, 4>(s, b, skip, BLOCK * width);
                        }
                    }
                }
                b = b.add(steps * width * BLOCK * E::STEP);
            }
            line += width;
        }
    }
}

#[derive(Clone, Copy)]
struct Rows<E, C> {
    m: usize,
    steps: usize,
    a: *const E,
    lda: usize,
    c: *mut C,
    ldc: usize,
    accumulate: bool,
}

impl<E: Element, C: Element> Rows<E, C> {
    /// All rows for one panel of `NV` vectors that lie `skip` into rows of `ldb`.
    #[inline(always)]
    unsafe fn all<S: Simd, const MR: usize, const NV: usize>(
        self,
        s: S,
        b: *const E,
        skip: usize,
        ldb: usize,
    ) where
        E: ElementOn<S>,
        C: ElementOn<S>,
    {
        let mut row = 0;
        // SAFETY: rows below m and lanes of the panel are in bounds, says the caller.
        unsafe {
            let (b, ldb) = (b.add(skip * E::STEP), ldb * E::STEP);
            let this = Self { c: self.c.add(skip), ..self };
            while row + MR <= self.m {
                this.tile::<S, MR, NV>(s, b, ldb, row);
                row += MR;
            }
            if MR > 8 && row + 8 <= self.m {
                this.tile::<S, 8, NV>(s, b, ldb, row);
                row += 8;
            }
            if MR > 4 && row + 4 <= self.m {
                this.tile::<S, 4, NV>(s, b, ldb, row);
                row += 4;
            }
            while row < self.m {
                this.tile::<S, 1, NV>(s, b, ldb, row);
                row += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(
        self,
        s: S,
        b: *const E,
        ldb: usize,
        row: usize,
    ) where
        E: ElementOn<S>,
        C: ElementOn<S>,
    {
        // SAFETY: as above.
        unsafe {
            let mut a = self.a.add(row * self.lda);
            let c = self.c.add(row * self.ldc);
            let mut acc = [[s.splat(0.0); NV]; MR];
            let mut b = b;
            for i in 0..MR {
                for j in (0..NV * S::LANES).step_by(BLOCK) {
                    prefetch_to_write(c.add(i * self.ldc + j));
                }
            }
            for _ in 0..self.steps / S::GROUP {
                E::group(s, &mut acc, a, self.lda, b, ldb);
                a = a.add(S::GROUP * E::STEP);
                b = b.add(S::GROUP * ldb);
            }
            for _ in 0..self.steps % S::GROUP {
                E::step(s, &mut acc, a, self.lda, b);
                a = a.add(E::STEP);
                b = b.add(ldb);
            }
            for (i, acc) in acc.iter().enumerate() {
                for (j, &value) in acc.iter().enumerate() {
                    let to = c.add(i * self.ldc + j * S::LANES);
                    let value = match self.accumulate {
                        true => s.add(C::load(s, to), value),
                        false => value,
                    };
                    C::store(s, to, value);
                }
            }
        }
    }
}
