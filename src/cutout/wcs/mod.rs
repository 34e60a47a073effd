//! World coordinates: from pixels of an image to ICRS positions and back.
//!
//! A [`Wcs`] is read from the keywords of a FITS header ([`Keywords`]) in
//! three steps, the same that a pixel takes: `distortion` and `linear` lead
//! from pixels to the plane of projection, `projection` and `rotation` from
//! there to the sphere in the header's own frame, `frame` to ICRS. What the
//! position of a cutout is to be belongs to [`super::decode`].
//!
//! Invariant: a keyword that changes frame or transformation is applied, or
//! there is no [`Wcs`] and a [`WcsError`] says which keyword it was. What is
//! read agrees with astropy and wcslib to well below a milliarcsecond.
//!
//! Formulae: Greisen & Calabretta 2002, A&A 395, 1061 ("paper I"), and
//! Calabretta & Greisen 2002, A&A 395, 1077 ("paper II").

mod axes;
mod distortion;
mod frame;
mod keywords;
mod linear;
mod precession;
mod projection;
mod pseudocylindrical;
mod rotation;
mod vector;
mod zenithal;

pub use keywords::{Keywords, Value};

use axes::Axes;
use distortion::Distortion;
use frame::Frame;
use linear::Linear;
use projection::Projection;
use vector::{Vector, between, from_angles, to_angles};

use super::SkyPosition;

/// Why the celestial coordinates of a header are not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WcsError {
    /// A keyword without which there is no position.
    #[error("{0} is missing")]
    Missing(String),
    /// A keyword whose value is of another type, or means nothing here.
    #[error("{keyword} = {value} is not understood")]
    NotUnderstood {
        /// The keyword.
        keyword: String,
        /// Its value as it stands.
        value: String,
    },
    /// Something that changes positions and is not read here.
    #[error("{0}, which is not supported")]
    Unsupported(String),
    /// Keywords that say two things at once.
    #[error("{0} contradict each other")]
    Contradiction(String),
    /// Numbers from which no transformation can be made.
    #[error("{0}")]
    Impossible(&'static str),
}

/// Angular size of a pixel along both axes of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelScale {
    /// Arcseconds a pixel along a row.
    pub x: f64,
    /// Arcseconds a pixel along a column.
    pub y: f64,
}

impl PixelScale {
    /// Side of the square pixel of the same area, arcseconds.
    pub fn mean(&self) -> f64 {
        (self.x * self.y).sqrt()
    }
}

/// How an image lies on the sky.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Orientation {
    /// Position angle of the direction in which rows count up, degrees from
    /// north through east, `[0, 360)`.
    pub up: f64,
    /// Whether the image is a mirror image: east lies to the right where
    /// north is up and rows count upwards.
    pub mirrored: bool,
}

/// A celestial coordinate system of an image.
///
/// Pixel coordinates count as FITS does: the centre of the first pixel is
/// `(1, 1)`.
#[derive(Debug, Clone)]
pub struct Wcs {
    distortion: Distortion,
    linear: Linear,
    projection: Projection,
    /// From native to celestial unit vectors, in the header's frame.
    rotation: vector::Matrix,
    frame: Frame,
}

impl Wcs {
    /// Reads the primary celestial coordinates of a header. `Ok(None)` if it
    /// gives none, that is, if no `CTYPE` names a celestial axis.
    ///
    /// # Errors
    /// A [`WcsError`] if it gives some that cannot be followed to the letter.
    pub fn from_header(header: &impl Keywords) -> Result<Option<Self>, WcsError> {
        let Some(axes) = Axes::read(header)? else { return Ok(None) };
        let linear = Linear::read(header, &axes)?;
        let distortion = Distortion::read(header, &axes)?;
        let crval = axes.crval(header)?;
        let projection = Projection::read(header, &axes, &distortion, crval)?;
        let rotation =
            rotation::native_to_celestial(header, &axes, &projection, &distortion, crval)?;
        let frame = Frame::read(header, &axes)?;
        Ok(Some(Self { distortion, linear, projection, rotation, frame }))
    }

    /// Position of a point of the image. `None` where the projection does
    /// not reach.
    pub fn pixel_to_sky(&self, x: f64, y: f64) -> Option<SkyPosition> {
        let (ra, dec) = to_angles(&self.direction(x, y)?);
        (ra.is_finite() && dec.is_finite()).then_some(SkyPosition { ra, dec })
    }

    /// Where a position lies in the image; it may be outside of it. `None`
    /// where the projection does not reach, or where the distortion has no
    /// inverse.
    pub fn sky_to_pixel(&self, position: SkyPosition) -> Option<(f64, f64)> {
        let celestial = self.frame.out_of_icrs(&from_angles(position.ra, position.dec));
        let native = self.rotation.transposed().apply(&celestial);
        let plane = self.distortion.undo_in_plane(self.projection.project(&native)?)?;
        let pixel = self.linear.to_pixel(plane);
        let (x, y) = self.distortion.undo_in_pixels(&self.linear, pixel)?;
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }

    /// Size of the pixel around a point of the image.
    pub fn pixel_scale(&self, x: f64, y: f64) -> Option<PixelScale> {
        let arcseconds =
            |[a, b]: [Option<Vector>; 2]| Some(between(&a?, &b?).to_degrees() * 3600.0);
        let along_x = arcseconds([self.direction(x - 0.5, y), self.direction(x + 0.5, y)])?;
        let along_y = arcseconds([self.direction(x, y - 0.5), self.direction(x, y + 0.5)])?;
        let sound = |length: f64| length.is_finite() && length > 0.0;
        (sound(along_x) && sound(along_y)).then_some(PixelScale { x: along_x, y: along_y })
    }

    /// How the image lies on the sky around one of its points. `None` at the
    /// poles, where there is no north.
    pub fn orientation(&self, x: f64, y: f64) -> Option<Orientation> {
        let centre = self.direction(x, y)?;
        let [cx, cy, cz] = centre;
        let flat = cx.hypot(cy);
        if flat < 1e-12 {
            return None;
        }
        let east = [-cy / flat, cx / flat, 0.0];
        let north = [-cz * cx / flat, -cz * cy / flat, flat];
        let step = |dx: f64, dy: f64| {
            let [a, b] = [self.direction(x - dx, y - dy)?, self.direction(x + dx, y + dy)?];
            let along = |axis: &Vector| (0..3).map(|i| (b[i] - a[i]) * axis[i]).sum::<f64>();
            Some((along(&east), along(&north)))
        };
        let (right, up) = (step(0.5, 0.0)?, step(0.0, 0.5)?);
        let angle = vector::wrap(up.0.atan2(up.1).to_degrees());
        // East to the left of north: right × up is negative in (east, north).
        Some(Orientation { up: angle, mirrored: right.0 * up.1 - right.1 * up.0 > 0.0 })
    }

    /// The reference pixel, `CRPIX1` and `CRPIX2`.
    pub fn reference_pixel(&self) -> (f64, f64) {
        self.linear.reference()
    }

    /// ICRS direction of a point of the image.
    fn direction(&self, x: f64, y: f64) -> Option<Vector> {
        let undistorted = self.distortion.apply_in_pixels(&self.linear, (x, y));
        let plane = self.distortion.apply_in_plane(self.linear.to_plane(undistorted));
        let native = self.projection.deproject(plane)?;
        Some(self.frame.to_icrs(&self.rotation.apply(&native)))
    }
}

#[cfg(test)]
mod tests;
