//! JPEG to 8-bit RGB, through `zune-jpeg`.
//!
//! Baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK. [`markers`]
//! has the last word on whether the file is whole and on its size; the
//! decoder then runs in its strict mode, in which broken scans are errors
//! and not grey areas.
//!
//! Four-component JPEGs are read as Adobe writes them, inverted, whether or
//! not they say so; others are not known in the wild. EXIF orientation is
//! ignored: a cutout's orientation is that of its sky coordinates, and the
//! pictures the networks are trained on are read without it.

mod markers;

use std::borrow::Cow;

use markers::Colour;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::Limits;
use crate::cutout::{Reason, Rejection, RgbImage};

/// The Adobe marker's code for luma and chroma.
const ADOBE_YCC: u8 = 1;

/// Decodes a JPEG.
///
/// # Errors
/// [`Reason::TooLarge`] before allocation, [`Reason::Truncated`] without an
/// end marker or where a scan ends early, [`Reason::Unsupported`] for
/// lossless, arithmetic-coded, hierarchical and 12-bit files,
/// [`Reason::Corrupt`] otherwise.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, Rejection> {
    let outline = markers::walk(bytes)?;
    let (width, height) = (usize::from(outline.width), usize::from(outline.height));
    limits.check(width as u64, height as u64)?;

    let mut bytes = Cow::Borrowed(&bytes[..outline.end]);
    let mut to = ColorSpace::RGB;
    if let (Colour::Rgb, Some(at)) = (outline.colour, outline.adobe_transform_at) {
        // The decoder takes Adobe's "no transform" for CMYK, whatever the
        // number of components. Called YCbCr and asked for YCbCr, it hands
        // the samples through, and they are R, G and B.
        bytes.to_mut()[at] = ADOBE_YCC;
        to = ColorSpace::YCbCr;
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(limits.max_side)
        .set_max_height(limits.max_side)
        .jpeg_set_out_colorspace(to);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes.as_ref()), options);
    let pixels = decoder.decode().map_err(rejection)?;
    if decoder.dimensions() != Some((width, height)) || pixels.len() != width * height * 3 {
        return Err(Rejection::new(
            Reason::Corrupt,
            "JPEG: the decoder disagrees with the frame header",
        ));
    }
    Ok(RgbImage { width, height, pixels })
}

fn rejection(error: DecodeErrors) -> Rejection {
    let reason = match error {
        DecodeErrors::Unsupported(_) => Reason::Unsupported,
        DecodeErrors::LargeDimensions(_) => Reason::TooLarge,
        DecodeErrors::ExhaustedData => Reason::Truncated,
        _ => Reason::Corrupt,
    };
    // Some of the library's messages end in line breaks.
    Rejection::new(reason, format!("JPEG: {error}").trim_end().replace('\n', " "))
}
