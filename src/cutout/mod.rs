//! What flows through the pipeline: cutouts as bytes, as pixels, as crops.
//!
//! [`decode`] turns a file's bytes into pixels, [`colour`] turns survey bands
//! into colours, [`prepare`] cuts out what the network sees (in the pixels that
//! it knows, where their size is known), [`augment`] varies what it learns from;
//! [`wcs`] places pixels on the sky. Reading the bytes belongs to [`crate::source`]; scaling
//! and normalising the pixels belongs to the first layer of
//! [`crate::model`], so that one byte a channel is all that travels.
//!
//! Invariant: nothing here panics or allocates without bound on hostile bytes;
//! whatever is wrong with a cutout comes back as a [`Rejection`].

pub mod augment;
pub mod colour;
mod contrast;
pub mod decode;
pub mod prepare;
mod rejection;
pub(crate) mod room;
mod scale;
pub mod wcs;

use colour::sky::Sky;
use colour::units::Light;
pub use rejection::{Reason, Rejection};
use wcs::PixelScale;

/// The bytes of one cutout, as its files hold them.
#[derive(Debug, Clone)]
pub enum Payload {
    /// One file: a JPEG, a PNG, or a FITS file that holds every band.
    Single(Vec<u8>),
    /// One FITS file a band, with the band's name, in the order in which the
    /// run's bands are listed.
    PerBand(Vec<(String, Vec<u8>)>),
    /// Planes of numbers, from a table that holds them so.
    Planes(Vec<Plane>),
    /// Bands that were cut out of larger images.
    Bands(Box<BandImage>),
}

/// The plane of one band, row 0 in the south.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// The band's name.
    pub band: String,
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height × width` values.
    pub values: Vec<f32>,
}

impl Payload {
    /// Bytes held, for the meters.
    pub fn len(&self) -> usize {
        match self {
            Self::Single(bytes) => bytes.len(),
            Self::PerBand(bands) => bands.iter().map(|(_, b)| b.len()).sum(),
            Self::Planes(planes) => {
                planes.iter().map(|plane| size_of_val(plane.values.as_slice())).sum()
            }
            Self::Bands(image) => size_of_val(image.planes.as_slice()),
        }
    }

    /// Whether there is not a single byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A position on the sky, ICRS, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SkyPosition {
    /// Right ascension, 0 to 360 degrees.
    pub ra: f64,
    /// Declination, -90 to 90 degrees.
    pub dec: f64,
}

/// An 8-bit colour image: interleaved RGB, row 0 on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height × width × 3` bytes.
    pub pixels: Vec<u8>,
}

/// Survey bands, planar, row 0 in the south as FITS stores it.
#[derive(Debug, Clone, PartialEq)]
pub struct BandImage {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Three planes in the order that maps to R, G, B
    /// (`3 × height × width` values; NaN where a pixel is blank).
    pub planes: Vec<f32>,
    /// Centre of the image from its celestial WCS, if it has one.
    pub centre: Option<SkyPosition>,
    /// Size of its pixels there, if the WCS is understood.
    pub pixel_scale: Option<PixelScale>,
    /// Why there is no centre, where the headers seemed to give one.
    pub note: Option<String>,
    /// What the numbers of each plane mean.
    pub light: [Light; 3],
    /// The sky of each plane as it was before the image was resampled, and as it
    /// would be in pixels of this size that know nothing of each other; `None` where
    /// it can be measured.
    pub sky: Option<Box<[Option<Sky>; 3]>>,
}

impl BandImage {
    /// Planes of which nothing else is known.
    pub fn plain(width: usize, height: usize, planes: Vec<f32>) -> Self {
        let light = [0, 1, 2].map(|_| Light::Unknown("no unit and no zero point".into()));
        Self {
            width,
            height,
            planes,
            centre: None,
            pixel_scale: None,
            note: None,
            light,
            sky: None,
        }
    }

    /// Side of a square pixel of the area of its pixels, arcseconds, if known.
    pub fn scale(&self) -> Option<f64> {
        self.pixel_scale.as_ref().map(PixelScale::mean)
    }
}

/// A decoded cutout.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// A picture: JPEG or PNG.
    Rgb(RgbImage),
    /// Bands that a profile has yet to turn into colours.
    Bands(BandImage),
}

impl Decoded {
    /// Pixels a row, and rows.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Rgb(image) => (image.width, image.height),
            Self::Bands(bands) => (bands.width, bands.height),
        }
    }

    /// The sky position of the centre, if the file gives one.
    pub fn centre(&self) -> Option<SkyPosition> {
        match self {
            Self::Rgb(_) => None,
            Self::Bands(bands) => bands.centre,
        }
    }

    /// What a person should know of an image that is fit to be classified.
    pub fn note(&self) -> Option<&str> {
        match self {
            Self::Rgb(_) => None,
            Self::Bands(bands) => bands.note.as_deref(),
        }
    }
}
