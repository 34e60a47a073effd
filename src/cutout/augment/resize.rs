//! PIL's bilinear resize, by `fast_image_resize`.
//!
//! Like PIL, and unlike most of what is called bilinear, the filter widens
//! when the image shrinks, so that nothing aliases. Results are within one
//! step of 255 of Pillow's (the library's coefficients have 15 bits,
//! Pillow's 22), as the tests check.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// Resizes, with buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Resize(Resizer);

impl Resize {
    /// Resizes `source`, `width` × `height` interleaved RGB, to `target`,
    /// `size` × `size`. Nothing is touched if the sizes are the same.
    ///
    /// # Panics
    /// If a buffer has not the size that goes with it, or a size is 0.
    pub(super) fn bilinear(
        &mut self,
        source: &[u8],
        width: usize,
        height: usize,
        target: &mut [u8],
        size: usize,
    ) {
        const SIZES: &str = "sizes are positive, fit 32 bits and their buffers";
        assert!(width > 0 && height > 0 && size > 0, "{SIZES}");
        if width == size && height == size {
            target.copy_from_slice(source);
            return;
        }
        let side = |pixels: usize| u32::try_from(pixels).expect(SIZES);
        let source =
            ImageRef::new(side(width), side(height), source, PixelType::U8x3).expect(SIZES);
        let mut target =
            Image::from_slice_u8(side(size), side(size), target, PixelType::U8x3).expect(SIZES);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.0.resize(&source, &mut target, &options).expect("both images have one pixel type");
    }
}
