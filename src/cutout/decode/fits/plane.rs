//! Planes of images that are not compressed.

use super::layout::Hdu;
use super::scaling::Scaling;
use super::{cfitsio, floats};
use crate::cutout::{Reason, Rejection};

/// Reads the plane `index` of the image in `hdu`, from 0. Undefined and
/// infinite pixels become NaN.
///
/// # Errors
/// Where the image's scaling is not clear.
pub fn read(hdu: &Hdu<'_>, index: usize, file: &[u8], out: &mut [f32]) -> Result<(), Rejection> {
    let scaling = Scaling::read(&hdu.header, hdu.pixels)?;
    let bytes = out.len() * hdu.pixels.bytes();
    // The layout has found all planes of the image in its data.
    let numbers =
        file[hdu.data.clone()].chunks_exact(bytes.max(1)).nth(index).ok_or_else(|| {
            Rejection::new(Reason::Truncated, format!("plane {} ends early", index + 1))
        })?;
    if !hdu.pixels.are_integers() {
        floats::convert(hdu.pixels, &scaling, numbers, out);
        return Ok(());
    }
    cfitsio::convert(hdu.pixels, &scaling, numbers, out)
        .map_err(|e| Rejection::new(Reason::Corrupt, e.to_string()))
}
