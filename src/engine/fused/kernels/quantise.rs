//! Rounds pixels to bytes, each to the range of its own channels, times their factors.
//!
//! A first pass over a few pixels' channels finds their ranges, a second one rounds.
//! Invariant: a pixel's bytes and scale depend on its channels and factors alone.

#![allow(
    unsafe_code,
    reason = "cells of a few pixels through pointers; bounds are asserted on entry"
)]

use std::array::from_fn;

use super::{
    bytes::{ABREAST, ByteLine, ByteSimd},
    format::Format,
    lines::{BLOCK, Line},
    prepare::{PixelScale, Prepare},
    simd::{Kernel, Simd, load_line, unrolled},
};

/// Rounds pixels to bytes.
pub struct Quantise<'a, F: Format<Cell = Line, Operand = ByteLine>>(pub Prepare<'a, F>);

/// Units between the least and the largest value of a pixel.
const UNITS: f32 = 255.0;

impl<S: ByteSimd, F: Format<Cell = Line, Operand = ByteLine>> Kernel<S> for Quantise<'_, F> {
    #[inline(always)]
    fn run(self, s: S) {
        let Prepare { mut cells, factors, prepared } = self.0;
        let Some((mut operands, scales)) = prepared else {
            unreachable!("bytes are prepared");
        };
        let (blocks, pixels) = (cells.blocks(), cells.len());
        assert!(operands.blocks() == blocks && operands.len() == pixels && scales.len() == pixels);
        assert!(factors.is_none_or(|(lines, step)| (blocks - 1) * step < lines.len()));
        let planes = Planes {
            cells: cells.as_mut_ptr(),
            cell_block: cells.stride(),
            factors: factors.map_or(std::ptr::null(), |(lines, _)| lines.as_ptr()),
            factor_block: factors.map_or(0, |(_, step)| step),
            operands: operands.as_mut_ptr(),
            operand_block: operands.stride(),
            blocks,
        };
        for tile in 0..pixels.div_ceil(ABREAST) {
            // The last ones overlap others, which are rounded twice, where there are so many.
            let x = (tile * ABREAST).min(pixels.saturating_sub(ABREAST));
            let count = ABREAST.min(pixels - x);
            // SAFETY: pixels of the windows, whose blocks were asserted to be as many.
            let found = unsafe {
                match factors {
                    Some(_) => planes.round::<S, true>(s, x, count),
                    None => planes.round::<S, false>(s, x, count),
                }
            };
            scales[x..x + count].copy_from_slice(&found[..count]);
        }
    }
}

/// Where pixels come from and go. Strides in elements.
struct Planes {
    cells: *const Line,
    cell_block: usize,
    factors: *const Line,
    factor_block: usize,
    operands: *mut ByteLine,
    operand_block: usize,
    blocks: usize,
}

impl Planes {
    /// A vector of a block of the pixel whose first block is at `cells`, times its factors
    /// where `SCALED`.
    ///
    /// # Safety
    /// There must be such a block, pixel and lane.
    #[inline(always)]
    unsafe fn load<S: Simd, const SCALED: bool>(
        &self,
        s: S,
        cells: *const Line,
        block: usize,
        lane: usize,
    ) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe {
            let value = load_line(s, cells.add(block * self.cell_block), lane);
            if !SCALED {
                return value;
            }
            s.mul(value, load_line(s, self.factors.add(block * self.factor_block), lane))
        }
    }

    /// Rounds `count` pixels from pixel `x` on, and says by which scales. Zero is always
    /// within a pixel's range, so that lanes past the last channel do not matter.
    ///
    /// # Safety
    /// There must be such pixels, from one to [`ABREAST`], and factors where `SCALED`.
    #[inline(always)]
    unsafe fn round<S: ByteSimd, const SCALED: bool>(
        &self,
        s: S,
        x: usize,
        count: usize,
    ) -> [PixelScale; ABREAST] {
        // SAFETY: the caller's promise; fewer pixels than a store fills go through `few`.
        unsafe {
            // The last one stands in for those that are missing.
            let cells: [_; ABREAST] = from_fn(|i| self.cells.add(x + i.min(count - 1)));
            let mut low = [s.splat(0.0); ABREAST];
            let mut high = [s.splat(0.0); ABREAST];
            for block in 0..self.blocks {
                for lane in (0..BLOCK).step_by(S::LANES) {
                    unrolled!(I in 0..ABREAST, up to 4 => {
                        let value = self.load::<S, SCALED>(s, cells[I], block, lane);
                        low[I] = s.least(low[I], value);
                        high[I] = s.largest(high[I], value);
                    });
                }
            }
            let (low, high) = s.extremes(low, high);
            let step: [f32; ABREAST] = from_fn(|i| (high[i] - low[i]) * (1.0 / UNITS));
            // A unit below the smallest normal number would have no reciprocal.
            let per_unit: [f32; ABREAST] = from_fn(|i| 1.0 / step[i].max(f32::MIN_POSITIVE));
            let offset: [f32; ABREAST] = from_fn(|i| -low[i] * per_unit[i]);
            let mut few = [ByteLine([0; BLOCK]); ABREAST];
            for block in 0..self.blocks {
                let whole = self.operands.add(block * self.operand_block + x);
                let to = if count < ABREAST { few.as_mut_ptr() } else { whole };
                for lane in (0..BLOCK).step_by(S::LANES) {
                    let mut units = [s.splat(0.0); ABREAST];
                    unrolled!(I in 0..ABREAST, up to 4 => {
                        let value = self.load::<S, SCALED>(s, cells[I], block, lane);
                        units[I] = s.mul_add(value, s.splat(per_unit[I]), s.splat(offset[I]));
                    });
                    s.store_bytes(to.cast::<u8>().add(lane), units);
                }
                if count < ABREAST {
                    whole.copy_from_nonoverlapping(few.as_ptr(), count);
                }
            }
            from_fn(|i| PixelScale { low: low[i], step: step[i] })
        }
    }
}
