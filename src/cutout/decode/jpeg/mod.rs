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

use markers::{Colour, Outline};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::Limits;
use crate::cutout::{Reason, Rejection, RgbImage};

/// The Adobe marker's code for luma and chroma.
const ADOBE_YCC: u8 = 1;

/// The marker EOI.
const END_MARKER: [u8; 2] = [0xFF, 0xD9];

/// Sixty-four 1-bits as entropy-coded data, a zero stuffed after each byte.
const ONES: [u8; 16] = [0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0];

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

    let mut stream = guarded(&bytes[..outline.end], &outline);
    let mut to = ColorSpace::RGB;
    if let (Colour::Rgb, false, Some(at)) =
        (outline.colour, outline.named_rgb, outline.adobe_transform_at)
    {
        // The decoder takes Adobe's "no transform" for CMYK, whatever the
        // number of components. Called YCbCr and asked for YCbCr, it hands
        // the samples through, and they are R, G and B.
        stream[at] = ADOBE_YCC;
        to = ColorSpace::YCbCr;
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(limits.max_side)
        .set_max_height(limits.max_side)
        .jpeg_set_out_colorspace(to);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(stream.as_slice()), options);
    let pixels = decoder.decode().map_err(rejection)?;
    if decoder.dimensions() != Some((width, height)) || pixels.len() != width * height * 3 {
        return Err(Rejection::new(
            Reason::Corrupt,
            "JPEG: the decoder disagrees with the frame header",
        ));
    }
    Ok(RgbImage { width, height, pixels })
}

/// The picture with 1-bits put before its end marker. Where a scan stops
/// early and an end marker follows all the same (a hole in the file, a mended
/// one), the decoder would go on with zeros, which are valid codes, and make
/// up the rest of the picture. No Huffman code consists of ones (T.81, annex
/// C), so with these it fails; a whole scan never reads them.
///
/// Left out where the decoder needs the marker in sight right after a scan:
/// with several sequential scans, and after a first progressive one.
fn guarded(picture: &[u8], outline: &Outline) -> Vec<u8> {
    let body = &picture[..picture.len() - END_MARKER.len()];
    let guard: &[u8] = if outline.progressive == (outline.scans > 1) { &ONES } else { &[] };
    [body, guard, &END_MARKER].concat()
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
