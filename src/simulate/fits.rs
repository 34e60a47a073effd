//! One band as a FITS file: a primary image of 32-bit floats and its header.
//!
//! The bytes themselves are [`Header`]'s.

use super::SimulatedGalaxy;
use crate::cutout::SkyPosition;
use crate::storage::fits::write::Header;

/// The bytes of one band of a galaxy (0 = g, 1 = r, 2 = i).
pub(super) fn image(galaxy: &SimulatedGalaxy, band: usize) -> Vec<u8> {
    let size = galaxy.size as i64;
    let middle = (galaxy.size as f64 + 1.0) / 2.0;
    let degrees = galaxy.pixel_scale / 3600.0;
    let truth = &galaxy.truth;
    let mut header = Header::default();
    header.logical("SIMPLE", true, "conforms to FITS standard");
    header.integer("BITPIX", -32, "32-bit floating point");
    header.integer("NAXIS", 2, "");
    header.integer("NAXIS1", size, "");
    header.integer("NAXIS2", size, "");
    header.text("OBJECT", &truth.id, "");
    header.text("FILTER", super::BANDS[band], "SDSS band");
    header.text("BUNIT", "nanomaggy", "1 nanomaggy = 22.5 mag (AB)");
    header.text("RADESYS", "ICRS", "");
    header.text("CTYPE1", "RA---TAN", "");
    header.text("CTYPE2", "DEC--TAN", "");
    header.text("CUNIT1", "deg", "");
    header.text("CUNIT2", "deg", "");
    header.real("CRPIX1", middle, "middle of the image");
    header.real("CRPIX2", middle, "");
    header.real("CRVAL1", truth.position.ra, "right ascension");
    header.real("CRVAL2", truth.position.dec, "declination");
    header.real("CD1_1", -degrees, "east to the left");
    header.real("CD1_2", 0.0, "");
    header.real("CD2_1", 0.0, "");
    header.real("CD2_2", degrees, "north up");
    header.real("PETROR90", truth.petro_r90, "Petrosian R90 [arcsec]");
    header.text("TRUTH", truth.class.label(), "class of the simulated galaxy");
    header.text("ORIGIN", concat!("hiwl ", env!("CARGO_PKG_VERSION")), "simulated");

    header.with_floats(&galaxy.bands[band])
}

/// The grid of a mosaic: a tangential projection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    /// CRPIX1 and CRPIX2.
    pub reference: (f64, f64),
    /// Of the reference pixel.
    pub position: SkyPosition,
    /// Arcseconds a pixel.
    pub scale: f64,
    /// How far it is turned, degrees.
    pub angle: f64,
    /// Whether east lies to the right of north.
    pub mirrored: bool,
}

impl Grid {
    /// CD1_1, CD1_2, CD2_1, CD2_2.
    fn matrix(&self) -> [f64; 4] {
        let (sin, cos) = self.angle.to_radians().sin_cos();
        let degrees = self.scale / 3600.0;
        let flip = if self.mirrored { degrees } else { -degrees };
        [flip * cos, -flip * sin, degrees * sin, degrees * cos]
    }

    /// The position of a pixel so many columns and rows from the reference (Calabretta &
    /// Greisen 2002, A&A 395, 1077, equations 54 and 55, in its usual form).
    pub fn sky(&self, columns: f64, rows: f64) -> SkyPosition {
        let [a, b, c, d] = self.matrix();
        let xi = (a * columns + b * rows).to_radians();
        let eta = (c * columns + d * rows).to_radians();
        let (sin, cos) = self.position.dec.to_radians().sin_cos();
        let across = cos - eta * sin;
        let ra = self.position.ra + xi.atan2(across).to_degrees();
        let dec = (sin + eta * cos).atan2(xi.hypot(across)).to_degrees();
        SkyPosition { ra: ra.rem_euclid(360.0), dec }
    }
}

/// The bytes of a mosaic of a band.
pub(super) fn mosaic(
    (width, height): (usize, usize),
    band: &str,
    grid: &Grid,
    plane: &[f32],
) -> Vec<u8> {
    let mut header = Header::default();
    header.logical("SIMPLE", true, "conforms to FITS standard");
    header.integer("BITPIX", -32, "32-bit floating point");
    header.integer("NAXIS", 2, "");
    header.integer("NAXIS1", width as i64, "");
    header.integer("NAXIS2", height as i64, "");
    header.text("FILTER", band, "SDSS band");
    header.text("BUNIT", "nanomaggy", "1 nanomaggy = 22.5 mag (AB)");
    header.text("RADESYS", "ICRS", "");
    header.text("CTYPE1", "RA---TAN", "");
    header.text("CTYPE2", "DEC--TAN", "");
    header.text("CUNIT1", "deg", "");
    header.text("CUNIT2", "deg", "");
    header.real("CRPIX1", grid.reference.0, "");
    header.real("CRPIX2", grid.reference.1, "");
    header.real("CRVAL1", grid.position.ra, "right ascension");
    header.real("CRVAL2", grid.position.dec, "declination");
    for (name, value) in ["CD1_1", "CD1_2", "CD2_1", "CD2_2"].into_iter().zip(grid.matrix()) {
        header.real(name, value, "");
    }
    header.text("ORIGIN", concat!("hiwl ", env!("CARGO_PKG_VERSION")), "simulated");
    header.with_floats(plane)
}
