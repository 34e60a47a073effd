//! What becomes of a layer's cells before they are multiplied: a factor a channel, where
//! there is one, and other operands, where the format makes them. Who does so is the
//! format's to say.

use super::{format::Format, lines::Line, planes::PlanesMut};

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
