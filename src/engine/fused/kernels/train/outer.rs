//! Sums of outer products over rows: the gradients of the 1×1 weights.
//!
//! `C[i][j] += Σ_row A[row][i] · B[row][j]`. Both matrices are read by
//! [`Element::steps`] of rows; the vectors run along `B`, the wider of the two.

#![allow(unsafe_code, reason = "SIMD kernels on pointers into checked slices")]

use std::mem::take;

use super::{
    buffer::{aligned, padded},
    element::{Element, ElementOn},
};
use crate::backend::Launch;
use crate::lines::BLOCK;
use crate::simd::{Kernel, Simd};

/// Rows of `C` in a register tile.
const TILE: usize = 8;

/// Floats of room that [`outer`] takes for `rows` rows.
pub fn outer_room<E: Element>(rows: usize, narrow: usize, wide: usize) -> usize {
    E::room(rows, padded(narrow)) + E::room(rows, padded(wide))
}

/// Adds (or, for the first of several, stores) the products of `rows` rows.
/// `narrow` and `wide` are rows with their stride and number of channels;
/// `sum` is `[padded(narrow)][padded(wide)]`.
pub fn outer<E: Element>(
    own: E::Runner,
    rows: usize,
    narrow: (&[E], usize, usize),
    wide: (&[E], usize, usize),
    sum: &mut [f32],
    first: bool,
    room: &mut [f32],
) {
    let ((a, lda, n), (b, ldb, w)) = (narrow, wide);
    if rows == 0 {
        return;
    }
    assert!(lda >= padded(n) && a.len() >= (rows - 1) * lda + padded(n), "A is too small");
    assert!(ldb >= padded(w) && b.len() >= (rows - 1) * ldb + padded(w), "B is too small");
    assert!(aligned(b) && ldb.is_multiple_of(BLOCK), "B is not aligned");
    assert!(aligned(sum) && sum.len() >= padded(n) * padded(w), "the sum is too small");
    let (for_a, for_b) = room.split_at_mut(E::room(rows, padded(n)));
    let (a, lda) = E::steps(own, rows, (a, lda), padded(n), for_a);
    let (b, ldb) = E::steps(own, rows, (b, ldb), padded(w), for_b);
    let steps = rows.div_ceil(E::STEP);
    own.launch(Outer { steps, a, lda, n, b, ldb, w: padded(w), sum, first });
}

pub struct Outer<'a, E> {
    steps: usize,
    a: &'a [E],
    lda: usize,
    n: usize,
    b: &'a [E],
    ldb: usize,
    w: usize,
    sum: &'a mut [f32],
    first: bool,
}

impl<S: Simd, E: ElementOn<S>> Kernel<S> for Outer<'_, E> {
    #[inline(always)]
    fn run(mut self, s: S) {
        // Taken out, so that no borrow of `self` lies over what is written through it.
        let sum = take(&mut self.sum).as_mut_ptr();
        let lines = self.w / BLOCK;
        let mut line = 0;
        while line < lines {
            let left = lines - line;
            let width = match left {
                4 => 2,
                _ if S::LANES == 16 => left.min(3),
                _ => 1,
            };
            let width = if S::LANES == 16 { width } else { 1 };
            // SAFETY: `outer` checked the slices; tiles reach no further than
            // the padded sizes, since these are multiples of the tile.
            unsafe {
                let (b, c) = (self.b.as_ptr().add(line * BLOCK * E::STEP), sum.add(line * BLOCK));
                let mut i = 0;
                while i < self.n {
                    let (a, c) = (self.a.as_ptr().add(i * E::STEP), c.add(i * self.w));
                    if S::LANES == 16 {
                        match width {
                            3 => self.tile::<S, TILE, 3>(s, a, b, c),
                            2 => self.tile::<S, TILE, 2>(s, a, b, c),
                            _ => self.tile::<S, TILE, 1>(s, a, b, c),
                        }
                        i += TILE;
                    } else if S::LANES == 8 {
                        self.tile::<S, 4, 2>(s, a, b, c);
                        i += 4;
                    } else {
                        self.tile::<S, 2, 4>(s, a, b, c);
                        i += 2;
                    }
                }
            }
            line += width;
        }
    }
}

impl<E: Element> Outer<'_, E> {
    #[inline(always)]
    unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(
        &self,
        s: S,
        a: *const E,
        b: *const E,
        c: *mut f32,
    ) where
        E: ElementOn<S>,
    {
        // SAFETY: the caller's.
        unsafe {
            let mut acc = [[s.splat(0.0); NV]; MR];
            if !self.first {
                for (i, acc) in acc.iter_mut().enumerate() {
                    for (j, acc) in acc.iter_mut().enumerate() {
                        *acc = s.load(c.add(i * self.w + j * S::LANES));
                    }
                }
            }
            let (mut a, mut b) = (a, b);
            for _ in 0..self.steps {
                E::step(s, &mut acc, a, E::STEP, b);
                a = a.wrapping_add(self.lda);
                b = b.wrapping_add(self.ldb);
            }
            for (i, acc) in acc.iter().enumerate() {
                for (j, &value) in acc.iter().enumerate() {
                    s.store(c.add(i * self.w + j * S::LANES), value);
                }
            }
        }
    }
}
