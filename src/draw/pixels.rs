//! Pictures: empty ones, one laid on another, and PNGs of them.

use std::io::{self, Write};

use crate::cutout::RgbImage;

/// An empty picture of one colour.
pub fn paper(width: usize, height: usize, colour: [u8; 3]) -> RgbImage {
    let pixels = colour.iter().copied().cycle().take(3 * width * height).collect();
    RgbImage { width, height, pixels }
}

/// Lays a picture on another, its upper left corner at (`left`, `top`).
///
/// # Panics
/// If it reaches over the edge.
pub fn lay(on: &mut RgbImage, picture: &RgbImage, left: usize, top: usize) {
    assert!(left + picture.width <= on.width && top + picture.height <= on.height);
    for (y, row) in picture.pixels.chunks_exact(3 * picture.width).enumerate() {
        let at = 3 * ((top + y) * on.width + left);
        on.pixels[at..at + row.len()].copy_from_slice(row);
    }
}

/// Writes a picture as PNG.
///
/// # Errors
/// What the writer says.
pub fn png(to: impl Write, picture: &RgbImage) -> io::Result<()> {
    let size = [picture.width, picture.height];
    encode_png(to, &picture.pixels, size, png::ColorType::Rgb)
}

/// Writes red, green, blue and opacity, `[height][width][4]`, as PNG.
///
/// # Errors
/// What the writer says.
pub fn png_with_alpha(to: impl Write, pixels: &[u8], size: [usize; 2]) -> io::Result<()> {
    encode_png(to, pixels, size, png::ColorType::Rgba)
}

fn encode_png(
    to: impl Write,
    pixels: &[u8],
    [width, height]: [usize; 2],
    colour: png::ColorType,
) -> io::Result<()> {
    let mut encoder = png::Encoder::new(to, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    Ok(writer.finish()?)
}
