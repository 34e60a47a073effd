//! The sky position of an image's centre from its celestial WCS.
//!
//! Only the gnomonic projection (TAN), which cutouts of every survey here
//! use, and only its linear part: distortion terms (SIP, TPV) vanish or are
//! tiny near the reference point, where a cutout's centre lies.
//! Formulae: Calabretta & Greisen 2002, A&A 395, 1077 ("paper II"), and
//! Greisen & Calabretta 2002, A&A 395, 1061 ("paper I").

use super::header::Header;
use crate::cutout::SkyPosition;

/// Position of the centre of an image of `width × height` pixels, whose
/// pixel coordinates are `((width + 1) / 2, (height + 1) / 2)` as FITS counts
/// (the first pixel's centre is 1). `None` without a valid TAN WCS.
pub fn centre(header: &Header<'_>, width: u64, height: u64) -> Option<SkyPosition> {
    let wcs = Tan::read(header)?;
    wcs.sky((width as f64 + 1.0) / 2.0, (height as f64 + 1.0) / 2.0)
}

/// A TAN projection and its linear transformation.
#[derive(Debug)]
struct Tan {
    /// Reference pixel on axes 1 and 2.
    crpix: [f64; 2],
    /// From pixels to degrees in the tangent plane: rows are (RA, Dec),
    /// whatever the order of the axes in the header.
    matrix: [[f64; 2]; 2],
    /// Reference position: RA and Dec, degrees.
    crval: [f64; 2],
    /// Native longitude of the celestial pole, degrees.
    lonpole: f64,
}

impl Tan {
    fn read(header: &Header<'_>) -> Option<Self> {
        let kinds = [header.text("CTYPE1")?, header.text("CTYPE2")?];
        // TAN-SIP names the same projection with distortion terms.
        let is = |kind: &str, axis: &str| kind == axis || kind.strip_suffix("-SIP") == Some(axis);
        let ra = kinds.iter().position(|k| is(k, "RA---TAN"))?;
        let dec = kinds.iter().position(|k| is(k, "DEC--TAN"))?;
        let unit =
            |key| header.text(key).is_none_or(|u| matches!(&*u, "" | "deg" | "degree" | "degrees"));
        if !unit("CUNIT1") || !unit("CUNIT2") {
            return None;
        }
        let matrix = matrix(header, ra)?;
        let crval = [header.real("CRVAL1")?, header.real("CRVAL2")?];
        let wcs = Self {
            crpix: [header.real("CRPIX1")?, header.real("CRPIX2")?],
            matrix: [matrix[ra], matrix[dec]],
            crval: [crval[ra], crval[dec]],
            // Paper II, section 2.4: for zenithal projections 0 if the
            // reference is at the pole itself, else 180.
            lonpole: header.real("LONPOLE").unwrap_or(if crval[dec] >= 90.0 { 0.0 } else { 180.0 }),
        };
        let [[a, b], [c, d]] = wcs.matrix;
        (a * d - b * c != 0.0 && wcs.crval[1].abs() <= 90.0).then_some(wcs)
    }

    /// The position of a pixel.
    fn sky(&self, x: f64, y: f64) -> Option<SkyPosition> {
        let (dx, dy) = (x - self.crpix[0], y - self.crpix[1]);
        let [[a, b], [c, d]] = self.matrix;
        // Projection plane coordinates, degrees (paper I, eq. 1 to 3).
        let (px, py) = (a * dx + b * dy, c * dx + d * dy);
        // Native coordinates (paper II, eq. 14, 15 and 55).
        let r = px.hypot(py);
        let phi = if r == 0.0 { 0.0 } else { px.atan2(-py) };
        let theta = (1.0_f64.to_degrees()).atan2(r);
        // To celestial coordinates (paper II, eq. 2), the reference point
        // being the native pole: theta_0 = 90 degrees.
        let (sin_t, cos_t) = theta.sin_cos();
        let (sin_p, cos_p) = self.crval[1].to_radians().sin_cos();
        let (sin_f, cos_f) = (phi - self.lonpole.to_radians()).sin_cos();
        let east = -cos_t * sin_f;
        let north = sin_t * cos_p - cos_t * sin_p * cos_f;
        // The arc sine of the sine loses digits near the poles.
        let up = sin_t * sin_p + cos_t * cos_p * cos_f;
        let ra = self.crval[0] + east.atan2(north).to_degrees();
        let dec = up.atan2(east.hypot(north)).to_degrees();
        let position = SkyPosition { ra: wrap(ra), dec };
        (position.ra.is_finite() && position.dec.is_finite()).then_some(position)
    }
}

/// The 2×2 linear transformation, one row an axis of the header, degrees a
/// pixel: `CDi_j`, or `CDELTi` with `PCi_j` or the older `CROTA` (paper I,
/// section 2.1; paper II, section 6.1). `ra` is the index of the RA axis.
fn matrix(header: &Header<'_>, ra: usize) -> Option<[[f64; 2]; 2]> {
    let read = |name: &str, i, j| header.real(&format!("{name}{i}_{j}"));
    let has = |name: &str| (1..=2).any(|i| (1..=2).any(|j| read(name, i, j).is_some()));
    if has("CD") {
        // Missing elements are zero.
        let cd = |i, j| read("CD", i, j).unwrap_or(0.0);
        return Some([[cd(1, 1), cd(1, 2)], [cd(2, 1), cd(2, 2)]]);
    }
    let (s, t) = (header.real("CDELT1")?, header.real("CDELT2")?);
    if has("PC") {
        // Missing elements are those of the unit matrix.
        let pc = |i, j| read("PC", i, j).unwrap_or(if i == j { 1.0 } else { 0.0 });
        return Some([[s * pc(1, 1), s * pc(1, 2)], [t * pc(2, 1), t * pc(2, 2)]]);
    }
    // CROTA belongs to the latitude axis.
    let rotation = header.real(if ra == 0 { "CROTA2" } else { "CROTA1" }).unwrap_or(0.0);
    let (sin, cos) = rotation.to_radians().sin_cos();
    // Paper II, eq. 189, with the roles of the axes as they stand.
    let sin = if ra == 0 { sin } else { -sin };
    Some([[s * cos, -t * sin], [s * sin, t * cos]])
}

/// Degrees into `[0, 360)`.
fn wrap(degrees: f64) -> f64 {
    let wrapped = degrees.rem_euclid(360.0);
    // A tiny negative angle rounds up to 360 itself.
    if wrapped >= 360.0 { 0.0 } else { wrapped }
}

#[cfg(test)]
mod tests {
    use super::super::header::BLOCK;
    use super::*;

    fn at(cards: &[&str]) -> Option<SkyPosition> {
        let mut bytes: Vec<u8> =
            cards.iter().chain(&["END"]).flat_map(|c| format!("{c:80}").into_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
        let (header, _) = Header::parse(&bytes).unwrap();
        centre(&header, 101, 101)
    }

    const TAN: [&str; 8] = [
        "CTYPE1  = 'RA---TAN'",
        "CTYPE2  = 'DEC--TAN'",
        "CRPIX1  = 51.0",
        "CRPIX2  = 51.0",
        "CRVAL1  = 150.25",
        "CRVAL2  = 2.5",
        "CDELT1  = -1.0E-4",
        "CDELT2  = 1.0E-4",
    ];

    #[test]
    fn the_reference_pixel_is_the_reference_position() {
        let p = at(&TAN).unwrap();
        assert!((p.ra - 150.25).abs() < 1e-12 && (p.dec - 2.5).abs() < 1e-12, "{p:?}");
    }

    #[test]
    fn other_projections_and_broken_ones_are_none() {
        let replaced = |i: usize, card: &'static str| {
            let mut cards = TAN;
            cards[i] = card;
            at(&cards)
        };
        assert!(at(&[]).is_none());
        assert!(replaced(0, "CTYPE1  = 'RA---SIN'").is_none());
        assert!(replaced(0, "CTYPE1  = 'GLON-TAN'").is_none());
        assert!(replaced(6, "CDELT1  = 0.0").is_none(), "singular");
        assert!(replaced(5, "CRVAL2  = 'north'").is_none());
        assert!(replaced(0, "CTYPE1  = 'RA---TAN-SIP'").is_some());
    }

    #[test]
    fn right_ascension_wraps() {
        assert_eq!(wrap(-0.25), 359.75);
        assert_eq!(wrap(360.0), 0.0);
        assert_eq!(wrap(-1e-17), 0.0);
    }
}
