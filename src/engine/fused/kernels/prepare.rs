//! What becomes of a layer's cells before they are multiplied: a factor a channel, where
//! there is one, and their rounding, where the format rounds them by pixel.

#![allow(
    unsafe_code,
    reason = "cells of a few pixels through pointers; bounds are asserted on entry"
)]

use super::{
    bytes::ByteSimd,
    format::Format,
    int8::{ByteLine, Int8},
    lines::{BLOCK, Line},
    planes::PlanesMut,
    simd::{Kernel, Simd, unrolled},
};

/// What the bytes of a pixel stand for: `low + step · byte`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelScale {
    /// The value of 0.
    pub low: f32,
    /// What a unit is worth.
    pub step: f32,
}

impl PixelScale {
    /// Of a pixel without channels.
    pub const NONE: Self = Self { low: 0.0, step: 0.0 };
}

/// Some pixels of an image that are about to be multiplied.
pub struct Prepare<'a, F: Format> {
    /// Their cells, blocks of channels. Factors go into them where the format multiplies
    /// cells as they are.
    pub cells: PlanesMut<'a, F::Cell>,
    /// Factor of channel `16 i + j` in lane `j` of line `i · step`; and `step`.
    pub factors: Option<(&'a [Line], usize)>,
    /// Where operands and their scales go, if the format prepares them.
    pub prepared: Option<(PlanesMut<'a, F::Operand>, &'a mut [PixelScale])>,
}

impl<F: Format> Prepare<'_, F> {
    /// How many pixels.
    pub fn pixels(&self) -> usize {
        self.cells.len()
    }

    /// The first `at` pixels, and the others.
    ///
    /// # Panics
    /// Where there are less than `at`.
    pub fn split(self, at: usize) -> (Self, Self) {
        let (cells, others) = self.cells.split_at(at);
        let (mine, theirs) = self
            .prepared
            .map(|(operands, scales)| {
                let (operands, other_operands) = operands.split_at(at);
                let (scales, other_scales) = scales.split_at_mut(at);
                ((operands, scales), (other_operands, other_scales))
            })
            .unzip();
        let factors = self.factors;
        (Self { cells, factors, prepared: mine }, Self { cells: others, factors, prepared: theirs })
    }
}

/// Rounds pixels to bytes.
pub struct Quantise<'a>(pub Prepare<'a, Int8>);

/// Units between the least and the largest value of a pixel.
const UNITS: f32 = 255.0;

/// Pixels that are rounded side by side.
const TILE: usize = 4;

impl<S: ByteSimd> Kernel<S> for Quantise<'_> {
    #[inline(always)]
    fn run(self, s: S) {
        let Prepare { mut cells, factors, prepared } = self.0;
        let Some((mut operands, scales)) = prepared else {
            unreachable!("bytes are prepared");
        };
        let (blocks, pixels) = (cells.blocks(), cells.len());
        assert!(operands.blocks() == blocks && operands.len() == pixels && scales.len() == pixels);
        assert!(factors.is_none_or(|(lines, step)| (blocks - 1) * step < lines.len()));
        let (factors, factor_step) =
            factors.map_or((std::ptr::null(), 0), |(lines, step)| (lines.as_ptr(), step));
        let tiles = Pixels {
            cells: cells.as_mut_ptr(),
            cell_block: cells.stride(),
            factors,
            factor_step,
            operands: operands.as_mut_ptr(),
            operand_block: operands.stride(),
            blocks,
        };
        let (whole, rest) = scales.as_chunks_mut::<TILE>();
        let rest_from = whole.len() * TILE;
        // SAFETY: pixels of the windows, whose blocks were asserted to be as many.
        unsafe {
            for (tile, scales) in whole.iter_mut().enumerate() {
                tiles.round(s, tile * TILE, scales);
            }
            for (i, scale) in rest.iter_mut().enumerate() {
                tiles.round(s, rest_from + i, std::array::from_mut(scale));
            }
        }
    }
}

/// Where pixels come from and go. Strides in elements; factors may be null.
struct Pixels {
    cells: *const Line,
    cell_block: usize,
    factors: *const Line,
    factor_step: usize,
    operands: *mut ByteLine,
    operand_block: usize,
    blocks: usize,
}

impl Pixels {
    /// A vector of pixel `x`, times its factors.
    ///
    /// # Safety
    /// There must be such a block, lane and pixel.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, s: S, block: usize, lane: usize, x: usize) -> S::Vector {
        // SAFETY: the caller's promise; lines are aligned for any vector.
        unsafe {
            let value = s.load(self.cells.add(block * self.cell_block + x).cast::<f32>().add(lane));
            if self.factors.is_null() {
                return value;
            }
            let factors = self.factors.add(block * self.factor_step).cast::<f32>().add(lane);
            s.mul(value, s.load(factors))
        }
    }

    /// Rounds `P` pixels from pixel `x` on. Zero is always within a pixel's range, so
    /// that lanes past the last channel do not matter.
    ///
    /// # Safety
    /// There must be such pixels.
    #[inline(always)]
    unsafe fn round<S: ByteSimd, const P: usize>(
        &self,
        s: S,
        x: usize,
        scales: &mut [PixelScale; P],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut low = [s.splat(0.0); P];
            let mut high = [s.splat(0.0); P];
            for block in 0..self.blocks {
                for lane in (0..BLOCK).step_by(S::LANES) {
                    unrolled!(I in 0..P, up to 4 => {
                        let value = self.load(s, block, lane, x + I);
                        low[I] = s.least(low[I], value);
                        high[I] = s.largest(high[I], value);
                    });
                }
            }
            let mut per_unit = [0.0; P];
            let mut offset = [0.0; P];
            unrolled!(I in 0..P, up to 4 => {
                let (low, high) = s.extremes(low[I], high[I]);
                let step = (high - low) / UNITS;
                // Of a pixel that is zero everywhere, or nearly, all bytes are zero.
                per_unit[I] = if step >= f32::MIN_POSITIVE { 1.0 / step } else { 0.0 };
                offset[I] = -low * per_unit[I];
                scales[I] = PixelScale { low, step };
            });
            for block in 0..self.blocks {
                for lane in (0..BLOCK).step_by(S::LANES) {
                    unrolled!(I in 0..P, up to 4 => {
                        let value = self.load(s, block, lane, x + I);
                        let units = s.mul_add(value, s.splat(per_unit[I]), s.splat(offset[I]));
                        let to = self.operands.add(block * self.operand_block + x + I);
                        s.store_bytes(to.cast::<u8>().add(lane), units);
                    });
                }
            }
        }
    }
}
