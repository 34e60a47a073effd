//! Matrix products of rows of activations with packed weights: the 1×1
//! convolutions forward, and their gradient towards the input.
//!
//! `C[m×n] = A[m×k] · B[k×n]`, `A` and `C` as they lie in memory, `B` packed
//! in panels as wide as the register tile. Each element is one chain of
//! multiply-adds over `k` in order, whatever rows are computed together.

#![allow(unsafe_code, reason = "SIMD kernels on pointers into checked slices")]

use super::{
    Cpu,
    buffer::{Buffer, aligned, padded},
    prefetch::prefetch_to_write,
};
use crate::lines::BLOCK;
use crate::simd::{Kernel, Simd};

/// Lines in the widest panel.
const WIDEST: usize = 3;

/// A matrix `[k × n]` in panels of up to [`WIDEST`] lines, each `[k][lines · 16]`.
#[derive(Default)]
pub struct Packed {
    k: usize,
    n: usize,
    data: Buffer,
}

/// Lines of the next panel when `rest` are left.
#[inline(always)]
fn panel(rest: usize) -> usize {
    // Two of two rather than three and one.
    if rest == 4 { 2 } else { rest.min(WIDEST) }
}

impl Packed {
    /// Room for a matrix.
    pub fn new(k: usize, n: usize) -> Self {
        Self { k, n, data: Buffer::zeros(k * padded(n)) }
    }

    /// Packs `source`, in which `B[k][n]` is at `k · k_step + n · n_step`.
    pub fn pack(&mut self, source: &[f32], k_step: usize, n_step: usize) {
        let (mut first, mut at) = (0, 0);
        while first < self.n {
            let width = BLOCK * panel((self.n - first).div_ceil(BLOCK));
            let used = width.min(self.n - first);
            for k in 0..self.k {
                for j in 0..used {
                    self.data[at + j] = source[k * k_step + (first + j) * n_step];
                }
                at += width;
            }
            first += width;
        }
    }
}

/// `C = A · B`, or `C += A · B`, for `m` rows, whole padded rows of `C`.
pub fn product(
    cpu: Cpu,
    m: usize,
    a: (&[f32], usize),
    b: &Packed,
    c: (&mut [f32], usize),
    accumulate: bool,
) {
    let ((a, lda), (c, ldc)) = (a, c);
    if m == 0 {
        return;
    }
    assert!(a.len() >= (m - 1) * lda + b.k && lda >= b.k, "A is too small");
    assert!(c.len() >= (m - 1) * ldc + padded(b.n) && ldc >= padded(b.n), "C is too small");
    assert!(aligned(c) && ldc.is_multiple_of(BLOCK), "C is not aligned");
    cpu.run(Product { m, a, lda, b, c, ldc, accumulate });
}

struct Product<'a> {
    m: usize,
    a: &'a [f32],
    lda: usize,
    b: &'a Packed,
    c: &'a mut [f32],
    ldc: usize,
    accumulate: bool,
}

impl<S: Simd> Kernel<S> for Product<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let (k, lines) = (self.b.k, padded(self.b.n) / BLOCK);
        let (mut line, mut b) = (0, self.b.data.as_ptr());
        while line < lines {
            let width = panel(lines - line);
            let rows = Rows {
                m: self.m,
                k,
                a: self.a.as_ptr(),
                lda: self.lda,
                // SAFETY: `line` is below the lines of a row, which is in bounds.
                c: unsafe { self.c.as_mut_ptr().add(line * BLOCK) },
                ldc: self.ldc,
                accumulate: self.accumulate,
            };
            // SAFETY: `product` checked A and C; a panel holds k · width lines.
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
                b = b.add(k * width * BLOCK);
            }
            line += width;
        }
    }
}

#[derive(Clone, Copy)]
struct Rows {
    m: usize,
    k: usize,
    a: *const f32,
    lda: usize,
    c: *mut f32,
    ldc: usize,
    accumulate: bool,
}

impl Rows {
    /// All rows for one panel of `NV` vectors that lie `skip` into rows of `ldb`.
    #[inline(always)]
    unsafe fn all<S: Simd, const MR: usize, const NV: usize>(
        self,
        s: S,
        b: *const f32,
        skip: usize,
        ldb: usize,
    ) {
        let mut row = 0;
        // SAFETY: rows below m and lanes of the panel are in bounds, says the caller.
        unsafe {
            let b = b.add(skip);
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
        b: *const f32,
        ldb: usize,
        row: usize,
    ) {
        // SAFETY: as above.
        unsafe {
            let a = self.a.add(row * self.lda);
            let c = self.c.add(row * self.ldc);
            let mut acc = [[s.splat(0.0); NV]; MR];
            let mut b = b;
            for i in 0..MR {
                for j in (0..NV * S::LANES).step_by(BLOCK) {
                    prefetch_to_write(c.add(i * self.ldc + j));
                }
            }
            for k in 0..self.k {
                let mut v = [s.splat(0.0); NV];
                for (j, v) in v.iter_mut().enumerate() {
                    *v = s.load(b.add(j * S::LANES));
                }
                for (i, acc) in acc.iter_mut().enumerate() {
                    let x = s.splat(*a.add(i * self.lda + k));
                    for j in 0..NV {
                        acc[j] = s.mul_add(x, v[j], acc[j]);
                    }
                }
                b = b.add(ldb);
            }
            for (i, acc) in acc.iter().enumerate() {
                for (j, &value) in acc.iter().enumerate() {
                    let to = c.add(i * self.ldc + j * S::LANES);
                    let value = if self.accumulate { s.add(s.load(to), value) } else { value };
                    s.store(to, value);
                }
            }
        }
    }
}
