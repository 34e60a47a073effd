//! Pixels: scaling, rectangles, encoding.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::PageError;
use crate::cutout::RgbImage;
use crate::draw::pixels;

/// A picture that fits into a square of `side` pixels, in its proportions. What is
/// smaller is enlarged.
///
/// # Panics
/// If the picture has no pixels, or `side` is 0.
pub(super) fn fitted(picture: &RgbImage, side: usize) -> RgbImage {
    let longer = picture.width.max(picture.height);
    let scaled = |length: usize| ((length * side + longer / 2) / longer).max(1);
    let (width, height) = (scaled(picture.width), scaled(picture.height));
    if (width, height) == (picture.width, picture.height) {
        return picture.clone();
    }
    const SIZES: &str = "sizes are positive, fit 32 bits and their buffers";
    let length = |pixels: usize| u32::try_from(pixels).expect(SIZES);
    let source = ImageRef::new(
        length(picture.width),
        length(picture.height),
        &picture.pixels,
        PixelType::U8x3,
    );
    let mut pixels = vec![0; 3 * width * height];
    let mut target =
        Image::from_slice_u8(length(width), length(height), &mut pixels, PixelType::U8x3)
            .expect(SIZES);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new()
        .resize(&source.expect(SIZES), &mut target, &options)
        .expect("both images have one pixel type");
    RgbImage { width, height, pixels }
}

/// A filled rectangle; what lies outside the picture is not drawn.
pub(super) fn fill(on: &mut RgbImage, [left, top, width, height]: [usize; 4], colour: [u8; 3]) {
    for y in top..(top + height).min(on.height) {
        for x in left..(left + width).min(on.width) {
            let at = 3 * (y * on.width + x);
            on.pixels[at..at + 3].copy_from_slice(&colour);
        }
    }
}

/// As a PNG.
///
/// # Errors
/// [`PageError::Encode`].
pub(super) fn png(picture: &RgbImage) -> Result<Vec<u8>, PageError> {
    let mut bytes = Vec::new();
    pixels::png(&mut bytes, picture).map_err(|error| PageError::Encode(error.to_string()))?;
    Ok(bytes)
}

/// Red, green, blue and opacity as a PNG.
///
/// # Errors
/// [`PageError::Encode`].
pub(super) fn png_with_alpha(
    values: &[u8],
    width: usize,
    height: usize,
) -> Result<Vec<u8>, PageError> {
    let mut bytes = Vec::new();
    pixels::png_with_alpha(&mut bytes, values, [width, height])
        .map_err(|error| PageError::Encode(error.to_string()))?;
    Ok(bytes)
}

/// As a JPEG of this quality, 1 to 100.
///
/// # Errors
/// [`PageError::Encode`], if a side has more than 65,535 pixels.
pub(super) fn jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, PageError> {
    let side = |pixels: usize| {
        u16::try_from(pixels)
            .map_err(|_| PageError::Encode(format!("{pixels} pixels, and a JPEG has 65,535")))
    };
    let (width, height) = (side(picture.width)?, side(picture.height)?);
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, quality)
        .encode(&picture.pixels, width, height, jpeg_encoder::ColorType::Rgb)
        .map_err(|error| PageError::Encode(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::pixels::{lay, paper};

    #[test]
    fn a_picture_keeps_its_proportions_and_its_colour() {
        let wide = paper(300, 100, [10, 20, 30]);
        let small = fitted(&wide, 120);
        assert_eq!((small.width, small.height), (120, 40));
        assert!(small.pixels.chunks(3).all(|pixel| pixel == [10, 20, 30]));
        let mut on = paper(130, 50, [255; 3]);
        lay(&mut on, &small, 5, 5);
        assert_eq!(on.pixels[3 * (5 * 130 + 5)..][..3], [10, 20, 30]);
        assert_eq!(on.pixels[3 * (5 * 130 + 4)..][..3], [255; 3]);
        assert_eq!(on.pixels[3 * (45 * 130 + 5)..][..3], [255; 3]);
    }
}
