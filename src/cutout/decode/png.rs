//! PNG to 8-bit RGB, through the `png` crate.
//!
//! Every colour type, bit depth and interlacing. Grey is repeated in three
//! channels. Sixteen bits become eight by rounding `v·255/65535`, not by
//! dropping the low byte, which would darken by half a level on average.
//! Alpha is dropped and not multiplied in: astronomical PNGs use it to mark
//! coverage, and the colour under it is what the survey measured. Of an
//! animation the default image is read. Gamma and colour profiles are
//! ignored, as the pictures that networks are trained on are read that way.
//! Checksums are held to, of what is ignored too: a damaged file is told.

use std::io::{Cursor, ErrorKind};

use png::{BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, Transformations};

use super::Limits;
use crate::cutout::{Reason, Rejection, RgbImage};
use crate::limits;

/// Decodes a PNG.
///
/// # Errors
/// [`Reason::TooLarge`] before allocation, [`Reason::Truncated`] where the
/// data end before the IEND chunk, [`Reason::Corrupt`] otherwise.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, Rejection> {
    let mut options = DecodeOptions::default();
    options.set_ignore_checksums(false);
    options.set_skip_ancillary_crc_failures(false);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_limits(png::Limits { bytes: limits::image::PNG_WORKING });
    let header = decoder.read_header_info().map_err(rejection)?;
    let ((width, height), indexed) = (header.size(), header.color_type == ColorType::Indexed);
    limits.check(width.into(), height.into())?;
    // The crate's own palette is black beyond its end.
    let identity = Transformations::IDENTITY;
    decoder.set_transformations(if indexed { identity } else { Transformations::EXPAND });

    let mut reader = decoder.read_info().map_err(rejection)?;
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| Rejection::new(Reason::TooLarge, "the image does not fit memory"))?;
    let mut samples = vec![0; size];
    let frame = reader.next_frame(&mut samples).map_err(rejection)?;
    // Without this a file cut after its last row would pass.
    reader.finish().map_err(rejection)?;

    let (width, height) = (width as usize, height as usize);
    let pixels = if indexed {
        let palette = reader.info().palette.as_deref().unwrap_or_default();
        let lines = samples.chunks_exact(frame.line_size);
        coloured(lines, width, frame.bit_depth as u8, palette)?
    } else {
        to_rgb(samples, frame.color_type, frame.bit_depth, width * height)
    };
    Ok(RgbImage { width, height, pixels })
}

/// The colours of indices of `depth` bits, packed into lines from the top bit
/// down.
fn coloured<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    width: usize,
    depth: u8,
    palette: &[u8],
) -> Result<Vec<u8>, Rejection> {
    let (colours, _) = palette.as_chunks::<3>();
    let depth = usize::from(depth);
    let mask = u8::MAX >> (8 - depth);
    let mut pixels = Vec::new();
    for line in lines {
        for x in 0..width {
            let (byte, bit) = (x * depth / 8, x * depth % 8);
            let index = usize::from((line[byte] >> (8 - depth - bit)) & mask);
            let colour = colours.get(index).ok_or_else(|| {
                let detail = format!("PNG: colour {index} of a palette of {}", colours.len());
                Rejection::new(Reason::Corrupt, detail)
            })?;
            pixels.extend_from_slice(colour);
        }
    }
    Ok(pixels)
}

/// Interleaved samples of any kind to interleaved 8-bit RGB.
fn to_rgb(samples: Vec<u8>, colour: ColorType, depth: BitDepth, pixels: usize) -> Vec<u8> {
    let samples = match depth {
        BitDepth::Sixteen => samples.as_chunks().0.iter().map(|b| to_eight_bits(*b)).collect(),
        // Transformations::EXPAND makes everything else eight bits.
        _ => samples,
    };
    let channels = colour.samples();
    let mut rgb = match colour {
        ColorType::Rgb | ColorType::Indexed => samples,
        ColorType::Rgba => {
            samples.chunks_exact(channels).flat_map(|p| [p[0], p[1], p[2]]).collect()
        }
        ColorType::Grayscale | ColorType::GrayscaleAlpha => {
            samples.chunks_exact(channels).flat_map(|p| [p[0]; 3]).collect()
        }
    };
    rgb.truncate(pixels * 3);
    rgb
}

/// A big-endian 16-bit sample to the nearest of 256 levels.
fn to_eight_bits(sample: [u8; 2]) -> u8 {
    let value = u32::from(u16::from_be_bytes(sample));
    ((value * 255 + 32_767) / 65_535) as u8
}

fn rejection(error: DecodingError) -> Rejection {
    match error {
        DecodingError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Rejection::new(Reason::Truncated, "the PNG data end early")
        }
        DecodingError::LimitsExceeded => {
            Rejection::new(Reason::TooLarge, "the PNG needs more memory than is allowed")
        }
        e => Rejection::new(Reason::Corrupt, format!("PNG: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_rounded() {
        for value in 0..=u16::MAX {
            let exact = f64::from(value) * 255.0 / 65_535.0;
            assert_eq!(f64::from(to_eight_bits(value.to_be_bytes())), exact.round(), "{value}");
        }
    }

    #[test]
    fn the_header_is_checked_before_the_data() {
        let mut encoded = Vec::new();
        let mut encoder = png::Encoder::new(&mut encoded, 60_000, 60_000);
        encoder.set_color(ColorType::Rgb);
        drop(encoder.write_header().unwrap());
        let e = decode(&encoded, &Limits::default()).unwrap_err();
        assert_eq!(e.reason, Reason::TooLarge);
        assert!(e.detail.contains("60000×60000"), "{}", e.detail);
    }
}
