//! Windows on planes that threads write at once.
//!
//! A tensor blocked by channels has the pixels of a block side by side. A
//! window is some blocks of it and of each the same run of pixels; cut in two,
//! along blocks or along pixels, its halves share nothing.
//!
//! Invariant: no two windows that exist at a time have an element in common.

#![allow(unsafe_code, reason = "disjoint strided windows are more than slices can say")]

use std::marker::PhantomData;
use std::ops::Range;

/// A window of `blocks` runs of `len` elements.
pub struct PlanesMut<'a, T> {
    base: *mut T,
    blocks: usize,
    len: usize,
    stride: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: a window is an exclusive borrow of its elements, as `&mut [T]` is.
unsafe impl<T: Send> Send for PlanesMut<'_, T> {}

impl<'a, T> PlanesMut<'a, T> {
    /// All of `blocks` planes of `stride` elements, the last of which may be
    /// cut short: `len` is the shortest.
    ///
    /// # Panics
    /// Where `elements` does not hold them, or `len` is above `stride`.
    pub fn new(elements: &'a mut [T], blocks: usize, stride: usize, len: usize) -> Self {
        assert!(blocks > 0 && len <= stride, "no such planes");
        assert!((blocks - 1) * stride + len <= elements.len(), "the planes end before");
        Self { base: elements.as_mut_ptr(), blocks, len, stride, lifetime: PhantomData }
    }

    /// Runs of elements.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// GpuPrecision of each run.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// GpuPrecision from the start of a run to that of the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The elements of a run.
    ///
    /// # Panics
    /// Where there is no such run.
    pub fn run_mut(&mut self, block: usize) -> &mut [T] {
        assert!(block < self.blocks, "no such run");
        // SAFETY: the run is this window's, which is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(block * self.stride), self.len) }
    }

    /// The first element of the first run.
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.base
    }

    /// The first `at` blocks, and the others.
    ///
    /// # Panics
    /// Where there are not more than `at`.
    pub fn split_blocks(self, at: usize) -> (Self, Self) {
        assert!(at < self.blocks, "no blocks are left");
        let Self { base, blocks, len, stride, lifetime } = self;
        // SAFETY: block `at` is one of this window's.
        let second = unsafe { base.add(at * stride) };
        (
            Self { base, blocks: at, len, stride, lifetime },
            Self { base: second, blocks: blocks - at, len, stride, lifetime },
        )
    }

    /// The first `at` elements of each run, and the others.
    ///
    /// # Panics
    /// Where there are less than `at`.
    pub fn split_at(self, at: usize) -> (Self, Self) {
        assert!(at <= self.len, "the run ends before");
        let Self { base, blocks, len, stride, lifetime } = self;
        // SAFETY: at most the end of the first run.
        let second = unsafe { base.add(at) };
        (
            Self { base, blocks, len: at, stride, lifetime },
            Self { base: second, blocks, len: len - at, stride, lifetime },
        )
    }

    /// Some blocks for a while.
    ///
    /// # Panics
    /// Where there are not so many.
    pub fn select(&mut self, blocks: Range<usize>) -> PlanesMut<'_, T> {
        assert!(blocks.start < blocks.end && blocks.end <= self.blocks, "no such blocks");
        let &mut Self { base, len, stride, lifetime, .. } = self;
        // SAFETY: block `start` is one of this window's, which is borrowed exclusively.
        let base = unsafe { base.add(blocks.start * stride) };
        PlanesMut { base, blocks: blocks.len(), len, stride, lifetime }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_share_nothing_and_miss_nothing() {
        let (blocks, stride, len) = (5, 7, 6);
        let mut elements = vec![0; (blocks - 1) * stride + len];
        let (low, mut high) = PlanesMut::new(&mut elements, blocks, stride, len).split_blocks(2);
        let (mut left, mut right) = low.split_at(4);
        let windows = [(&mut left, 1), (&mut right, 2), (&mut high, 3)];
        for (window, name) in windows {
            for block in 0..window.blocks() {
                let mut one = window.select(block..block + 1);
                for i in 0..one.len() {
                    // SAFETY: within the run.
                    let element = unsafe { &mut *one.as_mut_ptr().add(i) };
                    *element = 10 * *element + name;
                }
            }
        }
        let expected = |i: usize| match (i / stride, i % stride) {
            (_, 6) => 0,
            (0 | 1, 0..4) => 1,
            (0 | 1, _) => 2,
            _ => 3,
        };
        assert_eq!(elements, (0..elements.len()).map(expected).collect::<Vec<_>>());
    }
}
