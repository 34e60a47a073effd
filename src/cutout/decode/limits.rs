//! What is too large to be a cutout.
//!
//! The limits bound the memory of a decode worker. At the defaults the largest
//! accepted image holds 16.8 million pixels: 50 MB as RGB and 201 MB as three
//! float bands, and beside them at most 140 MB while it is decoded (the
//! coefficients of a progressive CMYK JPEG, the samples of a 16-bit RGBA PNG,
//! a compressed FITS tile of 64-bit numbers; twice that if its bytes are
//! shuffled). A galaxy of 424 pixels takes 0.5
//! or 2 MB. Checks come before allocation, from the numbers in the header.

use crate::cutout::{Reason, Rejection};
use crate::limits::image;

/// What is too large for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest accepted side, in pixels.
    pub max_side: usize,
    /// Most pixels in a plane.
    pub max_pixels: usize,
    /// Most bytes that a compressed file may unpack to.
    pub max_decompressed_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_side: image::SIDE,
            max_pixels: image::PIXELS,
            max_decompressed_bytes: image::UNPACKED,
        }
    }
}

impl Limits {
    /// Accepts a plane of `width × height` pixels, or says that it is too
    /// large. Takes 64 bits, as headers can claim anything.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] with the size and the limit.
    pub fn check(&self, width: u64, height: u64) -> Result<(), Rejection> {
        let longest = width.max(height);
        if longest > self.max_side as u64 {
            let detail =
                format!("{width}×{height} pixels; the longest side allowed is {}", self.max_side);
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        if width.saturating_mul(height) > self.max_pixels as u64 {
            let detail =
                format!("{width}×{height} pixels; at most {} are allowed", self.max_pixels);
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_and_areas_are_bounded() {
        let limits = Limits::default();
        assert!(limits.check(4096, 4096).is_ok());
        assert!(limits.check(16_384, 1024).is_ok());
        for (w, h) in [(4097, 4096), (16_385, 1), (60_000, 60_000), (u64::MAX, u64::MAX)] {
            assert_eq!(limits.check(w, h).unwrap_err().reason, Reason::TooLarge, "{w}×{h}");
        }
    }
}
