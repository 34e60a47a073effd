//! From decoded pixels to what the network sees: colours and a centre crop.
//!
//! The crop is torchvision's `CenterCrop`, to the pixel, because that is what
//! trained models expect. Scaling to [0, 1] and normalising belong to the
//! first layer of [`crate::model`].
//!
//! Invariant: a prepared image is `size × size`, or the cutout is rejected.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::rgb::{Profile, Window};
use super::{Decoded, Reason, Rejection, RgbImage};

/// How cutouts are prepared in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// Side of the crop, in pixels.
    pub size: usize,
    /// How bands become colours; not used for pictures.
    pub profile: Profile,
    /// What to do with a cutout smaller than the crop: enlarge it, or, by
    /// default, reject it, since enlarging changes the scale that the network
    /// knows.
    #[serde(default)]
    pub resample: Option<Resample>,
}

/// Enlarging of cutouts that are smaller than the crop: the shorter side
/// becomes the crop's side, the longer one in proportion (rounded). Larger
/// cutouts are never touched. Bands are composed first, so that colours are
/// those of the measured pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resample {
    /// Linear interpolation.
    Bilinear,
    /// Lanczos windowed sinc of three lobes: sharper, may ring at stars.
    Lanczos3,
}

/// Prepares a decoded cutout: a picture of `size × size` pixels. Its position
/// is [`Decoded::centre`].
///
/// # Errors
/// [`Reason::TooSmall`] if the cutout is smaller than the crop and the
/// preparation does not resample.
pub fn prepare(decoded: &Decoded, preparation: &Preparation) -> Result<RgbImage, Rejection> {
    let (width, height) = decoded.size();
    let size = preparation.size;
    if width >= size && height >= size {
        let window = centre_crop(width, height, size);
        return Ok(match decoded {
            Decoded::Rgb(image) => crop(image, window),
            // Only what is seen is composed.
            Decoded::Bands(bands) => preparation.profile.compose_window(bands, window),
        });
    }
    let Some(resample) = preparation.resample else {
        let detail = format!(
            "{width}×{height} pixels, smaller than the {size}×{size} that the network sees"
        );
        return Err(Rejection::new(Reason::TooSmall, detail));
    };
    let enlarged = match decoded {
        Decoded::Rgb(image) => enlarge(image, size, resample)?,
        Decoded::Bands(bands) => enlarge(&preparation.profile.compose(bands), size, resample)?,
    };
    Ok(crop(&enlarged, centre_crop(enlarged.width, enlarged.height, size)))
}

/// A decoded cutout as a whole, in colours: at least as large as the crop, which
/// is left to whoever asks. Training cuts random views out of it.
///
/// # Errors
/// As [`prepare`].
pub fn whole(decoded: Decoded, preparation: &Preparation) -> Result<RgbImage, Rejection> {
    let size = preparation.size;
    let picture = match decoded {
        Decoded::Rgb(image) => image,
        Decoded::Bands(bands) => preparation.profile.compose(&bands),
    };
    let RgbImage { width, height, .. } = picture;
    if width >= size && height >= size {
        return Ok(picture);
    }
    match preparation.resample {
        Some(resample) => enlarge(&picture, size, resample),
        None => {
            let detail = format!("{width}×{height} pixels where {size}×{size} are cut out");
            Err(Rejection::new(Reason::TooSmall, detail))
        }
    }
}

/// The window of torchvision's `CenterCrop` in an image at least as large.
fn centre_crop(width: usize, height: usize, size: usize) -> Window {
    Window { left: offset(width, size), top: offset(height, size), width: size, height: size }
}

/// `int(round((length - size) / 2.0))` of Python, which rounds halves to the
/// even neighbour: 13 → 6, 15 → 8.
fn offset(length: usize, size: usize) -> usize {
    let margin = length - size;
    let half = margin / 2;
    if margin % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

fn crop(image: &RgbImage, window: Window) -> RgbImage {
    let Window { left, top, width, height } = window;
    let mut pixels = Vec::with_capacity(width * height * 3);
    for row in image.pixels.chunks_exact(image.width * 3).skip(top).take(height) {
        pixels.extend_from_slice(&row[left * 3..(left + width) * 3]);
    }
    RgbImage { width, height, pixels }
}

/// Enlarges an image so that its shorter side is `size`.
fn enlarge(image: &RgbImage, size: usize, resample: Resample) -> Result<RgbImage, Rejection> {
    let shorter = image.width.min(image.height);
    let scaled = |side: usize| (side * size * 2 + shorter) / (shorter * 2);
    if shorter == 0 || scaled(image.width.max(image.height)) > super::decode::limits::MAX_SIDE {
        let detail =
            format!("{}×{} pixels cannot be enlarged to {size}", image.width, image.height);
        return Err(Rejection::new(Reason::TooSmall, detail));
    }
    let (width, height) = (scaled(image.width), scaled(image.height));
    let filter = match resample {
        Resample::Bilinear => FilterType::Bilinear,
        Resample::Lanczos3 => FilterType::Lanczos3,
    };
    let unfit = |e: &dyn std::fmt::Display| {
        Rejection::new(Reason::Unsupported, format!("enlarging to {width}×{height}: {e}"))
    };
    let source =
        ImageRef::new(image.width as u32, image.height as u32, &image.pixels, PixelType::U8x3)
            .map_err(|e| unfit(&e))?;
    let mut target = Image::new(width as u32, height as u32, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| unfit(&e))?;
    Ok(RgbImage { width, height, pixels: target.into_vec() })
}

#[cfg(test)]
mod tests {
    use super::super::{BandImage, rgb};
    use super::*;

    fn preparation(size: usize, resample: Option<Resample>) -> Preparation {
        Preparation { size, profile: rgb::profile("lupton").unwrap().clone(), resample }
    }

    fn picture(width: usize, height: usize) -> RgbImage {
        let pixels = (0..width * height * 3).map(|i| (i * 37 % 251) as u8).collect();
        RgbImage { width, height, pixels }
    }

    fn bands(width: usize, height: usize) -> BandImage {
        let planes = (0..3 * width * height).map(|i| (i % 97) as f32 * 0.1 - 1.0).collect();
        BandImage { width, height, planes, centre: None, pixel_scale: None, note: None }
    }

    #[test]
    fn offsets_are_those_of_python() {
        // [int(round((n - 240) / 2.0)) for n in ...]
        let wanted = [
            (240, 0),
            (241, 0),
            (242, 1),
            (243, 2),
            (253, 6),
            (255, 8),
            (264, 12),
            (424, 92),
            (425, 92),
        ];
        for (length, wanted) in wanted {
            assert_eq!(offset(length, 240), wanted, "{length}");
        }
    }

    #[test]
    fn crops_take_the_centre() {
        let image = picture(7, 5);
        let out = prepare(&Decoded::Rgb(image.clone()), &preparation(3, None)).unwrap();
        assert_eq!((out.width, out.height), (3, 3));
        assert_eq!(out.pixels[..9], image.pixels[(7 + 2) * 3..(7 + 5) * 3]);
        let same = prepare(&Decoded::Rgb(picture(4, 4)), &preparation(4, None)).unwrap();
        assert_eq!(same, picture(4, 4));
    }

    #[test]
    fn cropping_first_changes_nothing() {
        let bands = bands(9, 8);
        let preparation = preparation(5, None);
        let whole = preparation.profile.compose(&bands);
        assert_eq!(
            prepare(&Decoded::Bands(bands), &preparation).unwrap(),
            prepare(&Decoded::Rgb(whole), &preparation).unwrap()
        );
    }

    #[test]
    fn the_whole_picture_is_what_crops_are_cut_from() {
        let bands = bands(9, 8);
        for resample in [None, Some(Resample::Bilinear)] {
            let same = preparation(5, resample);
            let picture = whole(Decoded::Bands(bands.clone()), &same).unwrap();
            assert_eq!((picture.width, picture.height), (9, 8));
            assert_eq!(
                prepare(&Decoded::Rgb(picture), &same).unwrap(),
                prepare(&Decoded::Bands(bands.clone()), &same).unwrap()
            );
        }
        let e = whole(Decoded::Rgb(picture(9, 8)), &preparation(16, None)).unwrap_err();
        assert_eq!(e.reason, Reason::TooSmall);
        let enlarge = preparation(16, Some(Resample::Bilinear));
        let large = whole(Decoded::Rgb(picture(9, 8)), &enlarge).unwrap();
        assert_eq!((large.width, large.height), (18, 16));
    }

    #[test]
    fn small_cutouts_are_rejected_with_their_size() {
        let e = prepare(&Decoded::Rgb(picture(300, 239)), &preparation(240, None)).unwrap_err();
        assert_eq!(e.reason, Reason::TooSmall);
        assert!(e.detail.contains("300×239") && e.detail.contains("240×240"), "{}", e.detail);
    }

    #[test]
    fn small_cutouts_are_enlarged_if_asked() {
        for resample in [Resample::Bilinear, Resample::Lanczos3] {
            for (width, height) in [(10, 15), (15, 10), (10, 10), (30, 1)] {
                let flat = RgbImage { width, height, pixels: vec![77; width * height * 3] };
                let out = prepare(&Decoded::Rgb(flat), &preparation(20, Some(resample))).unwrap();
                assert_eq!((out.width, out.height), (20, 20));
                assert!(out.pixels.iter().all(|p| *p == 77), "{resample:?} keeps flat images flat");
            }
        }
        let large =
            prepare(&Decoded::Rgb(picture(7, 5)), &preparation(3, Some(Resample::Bilinear)));
        assert_eq!(large, prepare(&Decoded::Rgb(picture(7, 5)), &preparation(3, None)));
    }

    #[test]
    fn a_line_is_not_enlarged_without_bound() {
        let line = RgbImage { width: 16_000, height: 1, pixels: vec![0; 48_000] };
        let e =
            prepare(&Decoded::Rgb(line), &preparation(240, Some(Resample::Bilinear))).unwrap_err();
        assert_eq!(e.reason, Reason::TooSmall);
    }
}
