//! From decoded pixels to what the network sees: colours, scale, a centre crop.
//!
//! Without a scale to go by, the crop is torchvision's `CenterCrop`, to the
//! pixel, because that is what trained models expect. Where the radius of an
//! object is given, what is cut out is the field that the model was trained on,
//! in its pixels: `super::scale`. Scaling to [0, 1] and normalising belong to
//! the first layer of [`crate::model`].
//!
//! Invariant: a prepared image is `size × size` and shows something, or the
//! cutout is rejected; what was assumed on the way comes with it.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::colour::{Assumed, Calibration, Given, Profile, Window};
use super::scale::{self, Field};
use super::{BandImage, Decoded, Reason, Rejection, RgbImage, contrast, room};
use crate::limits;

/// How cutouts are prepared in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    /// Side of the crop, in pixels.
    pub size: usize,
    /// How bands become colours; not used for pictures.
    pub profile: Profile,
    /// What a person says of the images.
    pub given: Given,
    /// What to do with a cutout smaller than the crop: enlarge it, or, by
    /// default, reject it, since enlarging changes the scale that the network
    /// knows.
    pub resample: Option<Resample>,
    /// What to do with a picture much wider than the crop, of unknown scale.
    pub wide: Wide,
    /// Arcseconds a pixel that the network knows, per arcsecond of an object's
    /// radius.
    pub scale_per_radius: f64,
}

impl Preparation {
    /// The default for crops of `size` pixels in the colours of `profile`.
    pub fn new(size: usize, profile: Profile) -> Self {
        Self {
            size,
            profile,
            given: Given::default(),
            resample: None,
            wide: Wide::Reject,
            scale_per_radius: GALAXY_ZOO_2,
        }
    }

    /// Refuses what is much wider than the crop, unless its middle is what counts.
    fn check_width(&self, width: usize, height: usize) -> Result<(), Rejection> {
        let (size, shorter) = (self.size, width.min(height));
        if self.wide == Wide::Crop || shorter <= TOO_WIDE * size || shorter <= SMALL {
            return Ok(());
        }
        let detail = format!(
            "{width}×{height} pixels, of which the network would see the middle {size}×{size}: \
             give the objects' radii (--radius-column), smaller cutouts, or --wide crop"
        );
        Err(Rejection::new(Reason::TooWide, detail))
    }
}

/// Galaxy Zoo 2's pictures have pixels of this many Petrosian R90.
pub const GALAXY_ZOO_2: f64 = 0.02;

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

/// What happens to pictures that are much wider than the crop and of unknown
/// scale: the network would judge by their middle alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wide {
    /// They are rejected.
    #[default]
    Reject,
    /// Their middle is cut out.
    Crop,
}

/// A picture wider than the crop by this factor is counted: Galaxy Zoo's own of
/// 424 pixels are 1.77 times the crop of 240.
const WIDE: usize = 2;

/// One wider than it by this factor shows something else than what the network
/// was trained on, unless it is small in itself.
const TOO_WIDE: usize = 3;
const SMALL: usize = 720;

/// A prepared cutout.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// `size × size` pixels.
    pub picture: RgbImage,
    /// What was taken for granted, for bands.
    pub assumed: Option<Assumed>,
    /// Whether only the middle of a much wider picture is shown.
    pub cut: bool,
}

/// Prepares a decoded cutout: a picture of `size × size` pixels. Its position
/// is [`Decoded::centre`]. `radius` is that of the object, in arcseconds, if
/// known.
///
/// # Errors
/// [`Reason::TooSmall`] if the cutout is smaller than the crop and the
/// preparation does not resample, [`Reason::TooWide`], [`Reason::NoScale`] if
/// there is a radius and the size of the pixels is not known,
/// [`Reason::Blank`] and [`Reason::Saturated`].
pub fn prepare(
    decoded: &Decoded,
    preparation: &Preparation,
    radius: Option<f64>,
) -> Result<Prepared, Rejection> {
    let prepared = look(decoded, preparation, radius)?;
    contrast::check(&prepared.picture)?;
    Ok(prepared)
}

/// The same, whether or not it shows anything.
fn look(
    decoded: &Decoded,
    preparation: &Preparation,
    radius: Option<f64>,
) -> Result<Prepared, Rejection> {
    let (calibration, assumed) = match decoded {
        Decoded::Rgb(_) => {
            let pixel_scale = preparation.given.pixel_scale;
            (Calibration { pixel_scale, ..Calibration::NONE }, None)
        }
        Decoded::Bands(bands) => {
            let found = Calibration::of(bands, &preparation.profile, &preparation.given)?;
            let assumed = found.assumed.clone();
            (found, Some(assumed))
        }
    };
    let look = Look { decoded, preparation, calibration: &calibration };
    let (picture, seen, cut) = match radius {
        Some(radius) => {
            let (picture, seen) = look.at_scale(radius)?;
            (picture, seen, false)
        }
        None => look.cropped()?,
    };
    if let Decoded::Bands(bands) = decoded {
        holes(bands, seen)?;
    }
    Ok(Prepared { picture, assumed, cut })
}

/// A cutout on its way.
struct Look<'a> {
    decoded: &'a Decoded,
    preparation: &'a Preparation,
    calibration: &'a Calibration,
}

impl Look<'_> {
    /// The crop of a cutout whose scale is not known, of which pixels it is, and
    /// whether much is cut away.
    fn cropped(&self) -> Result<(RgbImage, Window, bool), Rejection> {
        let (width, height) = self.decoded.size();
        let size = self.preparation.size;
        if width >= size && height >= size {
            self.preparation.check_width(width, height)?;
            let seen = centre_crop(width, height, size);
            return Ok((self.window(seen), seen, width.min(height) > WIDE * size));
        }
        let Some(resample) = self.preparation.resample else {
            let detail = format!(
                "{width}×{height} pixels, smaller than the {size}×{size} that the network sees"
            );
            return Err(Rejection::new(Reason::TooSmall, detail));
        };
        let whole = Window { left: 0, top: 0, width, height };
        let enlarged = enlarge(&self.window(whole), size, resample)?;
        let middle = crop(&enlarged, centre_crop(enlarged.width, enlarged.height, size));
        let shorter = width.min(height);
        Ok((middle, centre_crop(width, height, shorter), false))
    }

    /// Colours of a part of the cutout. Only what is seen is composed.
    fn window(&self, window: Window) -> RgbImage {
        match self.decoded {
            Decoded::Rgb(image) => crop(image, window),
            Decoded::Bands(bands) => {
                self.preparation.profile.compose_window(bands, self.calibration, window)
            }
        }
    }

    /// The field that the network knows of an object of this radius, and the
    /// pixels in it.
    fn at_scale(&self, radius: f64) -> Result<(RgbImage, Window), Rejection> {
        let size = self.preparation.size;
        if !(radius > 0.0 && radius.is_finite()) {
            let detail = match radius {
                radius if radius.is_nan() => "its row has no radius".to_owned(),
                radius => format!("a radius of {radius} arcsec is none"),
            };
            return Err(Rejection::new(Reason::NoScale, detail));
        }
        let known = match self.decoded {
            Decoded::Rgb(_) => self.calibration.pixel_scale,
            // What is assumed for the sake of brightness is no size.
            Decoded::Bands(bands) => self.preparation.given.pixel_scale.or(bands.scale()),
        };
        let Some(pixel) = known else {
            let detail = "the size of its pixels is not known: it has no WCS that says it, and \
                          no --pixel-scale was given";
            return Err(Rejection::new(Reason::NoScale, detail));
        };
        let wanted = radius * self.preparation.scale_per_radius;
        let step = wanted / pixel;
        let (width, height) = self.decoded.size();
        if (step - 1.0).abs() < UNCHANGED && width >= size && height >= size {
            let seen = centre_crop(width, height, size);
            return Ok((self.window(seen), seen));
        }
        let side = step * size as f64;
        // Half a pixel may be missing at each edge, for rounded sizes.
        if side > width.min(height) as f64 + 1.0 {
            let detail = format!(
                "{width}×{height} pixels of {pixel:.3} arcsec, where the network sees {:.1} \
                 arcsec around an object of radius {radius}",
                side * pixel
            );
            return Err(Rejection::new(Reason::TooSmall, detail));
        }
        let field = Field { width: side.min(width as f64), height: side.min(height as f64) };
        let seen = centre_crop(width, height, (side as usize).clamp(1, width.min(height)));
        if step > 1.0 {
            return Ok((self.shrunk(field), seen));
        }
        let filter = self.preparation.resample.unwrap_or(Resample::Bilinear);
        // Only what is seen is composed, with what interpolation reaches for.
        let part = around(width, height, field);
        Ok((interpolate(&self.window(part), field, (size, size), filter)?, seen))
    }

    /// Larger pixels: means of light, or of a picture's colours.
    fn shrunk(&self, field: Field) -> RgbImage {
        let size = self.preparation.size;
        match self.decoded {
            Decoded::Rgb(image) => scale::mean_picture(image, field, size),
            Decoded::Bands(bands) => {
                let means = BandImage::plain(size, size, scale::mean_bands(bands, field, size));
                let window = Window { left: 0, top: 0, width: size, height: size };
                self.preparation.profile.compose_window(&means, self.calibration, window)
            }
        }
    }
}

/// More than this of what the network sees is not left out: it would be shown as
/// dark as the sky.
const HOLES: f64 = 0.3;
/// The same of its middle, a tenth as wide, where the object is.
const HOLES_IN_THE_MIDDLE: f64 = 0.25;

/// Rejects bands in which too many of the pixels that are seen are undefined in
/// any of the three.
fn holes(bands: &BandImage, seen: Window) -> Result<(), Rejection> {
    let Window { left, top, width, height } = seen;
    let (across, down) = ((width / 10).max(1), (height / 10).max(1));
    let middle = Window {
        left: left + (width - across) / 2,
        top: top + (height - down) / 2,
        width: across,
        height: down,
    };
    for (part, most, name) in
        [(seen, HOLES, "the picture"), (middle, HOLES_IN_THE_MIDDLE, "its middle")]
    {
        let share = undefined(bands, part) as f64 / (part.width * part.height).max(1) as f64;
        if share > most {
            let detail = format!("{:.0} % of the pixels of {name} are undefined", share * 100.0);
            return Err(Rejection::new(Reason::NoData, detail));
        }
    }
    Ok(())
}

/// Pixels of a window that are undefined in any band.
fn undefined(bands: &BandImage, Window { left, top, width, height }: Window) -> usize {
    let plane = bands.width * bands.height;
    let [r, g, b] = [0, 1, 2].map(|i| &bands.planes[i * plane..(i + 1) * plane]);
    let rows = (top..top + height).map(|y| (bands.height - 1 - y) * bands.width + left);
    rows.map(|start| {
        let row = start..start + width;
        let values = r[row.clone()].iter().zip(&g[row.clone()]).zip(&b[row]);
        // Without short cuts, so that many are looked at together.
        values.filter(|((r, g), b)| !(r.is_finite() & g.is_finite() & b.is_finite())).count()
    })
    .sum()
}

/// A scale off by less than this is the network's: a pixel in a crop of 240.
const UNCHANGED: f64 = 0.002;

/// Pixels beyond its samples that a filter reaches for, and one for rounding.
const REACH: usize = 4;

/// The pixels of an image that a field around its centre touches, as many on
/// each side.
fn around(width: usize, height: usize, field: Field) -> Window {
    let margin = |whole: usize, length: f64| {
        (((whole as f64 - length) / 2.0).floor() as usize).saturating_sub(REACH)
    };
    let (left, top) = (margin(width, field.width), margin(height, field.height));
    Window { left, top, width: width - 2 * left, height: height - 2 * top }
}

/// The whole picture of a cutout, in colours, at least as large as the crop: what
/// random crops are taken from. With a `radius` it is the field that the network
/// knows of an object of that size, no larger than the crop.
///
/// # Errors
/// As [`prepare`], but that nothing need be seen on it.
pub fn whole(
    decoded: Decoded,
    preparation: &Preparation,
    radius: Option<f64>,
) -> Result<RgbImage, Rejection> {
    if radius.is_some() {
        return Ok(look(&decoded, preparation, radius)?.picture);
    }
    let size = preparation.size;
    let (width, height) = decoded.size();
    preparation.check_width(width, height)?;
    let picture = match decoded {
        Decoded::Rgb(image) => image,
        Decoded::Bands(bands) => {
            let calibration = Calibration::of(&bands, &preparation.profile, &preparation.given)?;
            preparation.profile.compose(&bands, &calibration)
        }
    };
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

/// Whether the central square of a whole picture, of `size` pixels or as many as it has,
/// shows anything.
///
/// # Errors
/// [`Reason::Blank`] and [`Reason::Saturated`], as [`prepare`].
pub fn check_shown(picture: &RgbImage, size: usize) -> Result<(), Rejection> {
    let (width, height) = (picture.width, picture.height);
    contrast::check(&crop(picture, centre_crop(width, height, size.min(width).min(height))))
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
    let mut pixels = room::BYTES.empty(width * height * 3);
    for row in image.pixels.chunks_exact(image.width * 3).skip(top).take(height) {
        pixels.extend_from_slice(&row[left * 3..(left + width) * 3]);
    }
    RgbImage { width, height, pixels }
}

/// Enlarges an image so that its shorter side is `size`.
fn enlarge(image: &RgbImage, size: usize, resample: Resample) -> Result<RgbImage, Rejection> {
    let shorter = image.width.min(image.height);
    let scaled = |side: usize| (side * size * 2 + shorter) / (shorter * 2);
    if shorter == 0 || scaled(image.width.max(image.height)) > limits::image::SIDE {
        let detail =
            format!("{}×{} pixels cannot be enlarged to {size}", image.width, image.height);
        return Err(Rejection::new(Reason::TooSmall, detail));
    }
    let whole = Field { width: image.width as f64, height: image.height as f64 };
    interpolate(image, whole, (scaled(image.width), scaled(image.height)), resample)
}

/// A field around the centre of an image in smaller pixels.
fn interpolate(
    image: &RgbImage,
    field: Field,
    (width, height): (usize, usize),
    resample: Resample,
) -> Result<RgbImage, Rejection> {
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
    let mut options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    let (left, top) =
        ((image.width as f64 - field.width) / 2.0, (image.height as f64 - field.height) / 2.0);
    if left > 0.0 || top > 0.0 {
        options = options.crop(left, top, field.width, field.height);
    }
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| unfit(&e))?;
    Ok(RgbImage { width, height, pixels: target.into_vec() })
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
