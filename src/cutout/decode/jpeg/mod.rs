//! JPEG to 8-bit RGB.
//!
//! Baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK. [`markers`]
//! says what the file claims to be, [`verify`] whether its scans hold just
//! that. `zune-jpeg` decodes what nearly every JPEG is ([`fast`]), and
//! `jpeg-decoder`, at half the speed, the arrangements that the former gets
//! wrong ([`general`]). Whatever libjpeg-turbo warns of is rejected, and so is
//! what a matrix of files against it (`tests/oracles/jpeg.py`) has not proven.
//!
//! EXIF orientation is ignored: a cutout's orientation is that of its sky
//! coordinates, and the pictures the networks are trained on are read without
//! it.

mod block;
mod fast;
mod frame;
mod general;
mod huffman;
mod markers;
mod tail;
mod verify;

use frame::Component;
use markers::{Colour, Outline};

use super::Limits;
use crate::cutout::{Rejection, RgbImage};

/// Decodes a JPEG.
///
/// # Errors
/// [`Reason::TooLarge`] before allocation, [`Reason::Truncated`] without an
/// end marker or where a scan ends early, [`Reason::Unsupported`] for
/// lossless, arithmetic-coded, hierarchical and 12-bit files and for those
/// whose coefficients are not all there, [`Reason::Corrupt`] otherwise.
///
/// [`Reason::TooLarge`]: crate::cutout::Reason::TooLarge
/// [`Reason::Truncated`]: crate::cutout::Reason::Truncated
/// [`Reason::Unsupported`]: crate::cutout::Reason::Unsupported
/// [`Reason::Corrupt`]: crate::cutout::Reason::Corrupt
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, Rejection> {
    let outline = markers::walk(bytes)?;
    limits.check(outline.frame.width.into(), outline.frame.height.into())?;
    let picture = &bytes[..outline.end];
    if !is_common(&outline) {
        verify::verify(bytes, &outline)?;
        return general::decode(picture, &outline);
    }
    if !is_plain(&outline) {
        verify::verify(bytes, &outline)?;
        return fast::decode(picture, &outline, limits).map(|decoded| decoded.image);
    }
    let decoded = fast::decode(picture, &outline, limits)?;
    if !(decoded.reached_end && tail::is_clean(bytes, &outline)) {
        verify::verify(bytes, &outline)?;
    }
    Ok(decoded.image)
}

/// Whether `zune-jpeg` reads it right, as far as the matrix has shown: all
/// components in one sequential scan, or progressive; no component sampled
/// but luma, by 2×2 at most.
fn is_common(outline: &Outline<'_>) -> bool {
    let components = outline.frame.components.as_slice();
    let in_order = |parts: &[frame::Part]| {
        parts.len() == components.len() && parts.iter().enumerate().all(|(i, p)| p.component == i)
    };
    let arranged = match outline.scans.as_slice() {
        _ if outline.frame.progressive => true,
        [only] => in_order(&only.parts),
        _ => false,
    };
    let single = |c: &Component| (c.h, c.v) == (1, 1);
    let sampled = match (outline.colour, components) {
        (Colour::Grey, _) => true,
        (Colour::YCbCr, [luma, chroma @ ..]) => {
            luma.h <= 2 && luma.v <= 2 && chroma.iter().all(single)
        }
        _ => components.iter().all(single),
    };
    arranged && sampled
}

/// Whether it is one sequential scan without restart markers: nearly every
/// JPEG, and the only kind of which [`fast`] can tell where it stopped.
fn is_plain(outline: &Outline<'_>) -> bool {
    matches!(outline.scans.as_slice(), [only] if only.restart_interval == 0)
        && !outline.frame.progressive
}
