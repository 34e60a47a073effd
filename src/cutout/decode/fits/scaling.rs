//! From stored numbers to physical values: BSCALE, BZERO and BLANK (FITS 4.0,
//! section 4.4.2.5).

use super::layout::Pixels;
use crate::storage::fits::{Header, Unclear};

/// How an image's numbers become physical values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    /// BSCALE: what a number is multiplied by.
    pub scale: f64,
    /// BZERO: what is added to the product.
    pub zero: f64,
    /// BLANK: the integer that stands for an undefined pixel.
    pub blank: Option<i64>,
}

impl Scaling {
    /// No scaling, and no undefined integers.
    pub const NONE: Self = Self { scale: 1.0, zero: 0.0, blank: None };

    /// Reads the keywords of an image of such pixels. BLANK means nothing for
    /// floats, which have NaN.
    ///
    /// # Errors
    /// Where one of the keywords is not clear.
    pub fn read(header: &Header<'_>, pixels: Pixels) -> Result<Self, Unclear> {
        Ok(Self {
            scale: header.number("BSCALE")?.unwrap_or(Self::NONE.scale),
            zero: header.number("BZERO")?.unwrap_or(Self::NONE.zero),
            blank: if pixels.are_integers() { header.integer("BLANK")? } else { None },
        })
    }

    /// Whether physical values are the numbers themselves.
    pub fn is_none(&self) -> bool {
        self.scale == Self::NONE.scale && self.zero == Self::NONE.zero
    }

    /// The physical value of a number, BLANK aside.
    pub fn apply(&self, number: f64) -> f64 {
        number * self.scale + self.zero
    }
}
