//! Planes of numbers that came without a file around them, as bands.
//!
//! Tables of survey images name their bands after instrument and filter
//! (`DES-G`, `hsc-r`); a band that is asked for is found by its whole name, or
//! by what follows the last separator where only one plane ends so.
//!
//! Invariant: as for FITS, undefined and infinite pixels are NaN, row 0 is in
//! the south, and room for doubt is a rejection.

use super::DecodeOptions;
use crate::cutout::{BandImage, Plane, Reason, Rejection};

/// The bands that become R, G and B.
///
/// # Errors
/// `MissingBand`, `TooLarge`, `NoData`, `Corrupt` if the sizes differ.
pub fn decode(planes: &[Plane], options: &DecodeOptions) -> Result<BandImage, Rejection> {
    for (place, plane) in planes.iter().enumerate() {
        if planes[..place].iter().any(|other| other.band == plane.band) {
            let detail = format!("two planes are called {}", plane.band);
            return Err(Rejection::new(Reason::Corrupt, detail));
        }
    }
    let chosen = options.bands.each_ref().map(|band| find(planes, band));
    let [Some(r), Some(g), Some(b)] = chosen else {
        let names: Vec<&str> = planes.iter().map(|plane| plane.band.as_str()).collect();
        let missing = options.bands.iter().zip(chosen).filter(|(_, plane)| plane.is_none());
        let missing: Vec<&str> = missing.map(|(band, _)| band.as_str()).collect();
        let detail = format!("no {} among {}", missing.join(", "), names.join(", "));
        return Err(Rejection::new(Reason::MissingBand, detail));
    };
    let (width, height) = (r.width, r.height);
    options.limits.check(width as u64, height as u64)?;
    let mut values = Vec::with_capacity(3 * width * height);
    for plane in [r, g, b] {
        let at = |rejection: Rejection| rejection.at(format_args!("band {}", plane.band));
        let pixels = plane.width * plane.height;
        if (plane.width, plane.height) != (width, height) || plane.values.len() != pixels {
            let detail = format!(
                "{}×{} pixels, where band {} has {width}×{height}",
                plane.width, plane.height, r.band
            );
            return Err(at(Rejection::new(Reason::Corrupt, detail)));
        }
        if !plane.values.iter().any(|value| value.is_finite()) {
            return Err(at(Rejection::new(Reason::NoData, "no finite pixel")));
        }
        let finite = |value: &f32| if value.is_finite() { *value } else { f32::NAN };
        values.extend(plane.values.iter().map(finite));
    }
    Ok(BandImage::plain(width, height, values))
}

/// The plane of a band.
fn find<'a>(planes: &'a [Plane], band: &str) -> Option<&'a Plane> {
    let by = |is: &dyn Fn(&str) -> bool| planes.iter().find(|plane| is(&plane.band));
    let last = |name: &str| name.rsplit(['-', '_', '.', ' ']).next().unwrap_or(name).to_owned();
    by(&|name| name == band).or_else(|| by(&|name| name.eq_ignore_ascii_case(band))).or_else(|| {
        let mut ends = planes.iter().filter(|plane| last(&plane.band).eq_ignore_ascii_case(band));
        ends.next().filter(|_| ends.next().is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(band: &str, value: f32) -> Plane {
        Plane { band: band.to_owned(), width: 2, height: 1, values: vec![value, f32::INFINITY] }
    }

    fn reason(planes: &[Plane]) -> Reason {
        decode(planes, &DecodeOptions::default()).unwrap_err().reason
    }

    #[test]
    fn bands_are_found_by_name_or_by_what_it_ends_in() {
        let planes = [plane("DES-G", 1.0), plane("DES-R", 2.0), plane("DES-I", 3.0)];
        let image = decode(&planes, &DecodeOptions::default()).unwrap();
        let firsts: Vec<f32> = image.planes.iter().step_by(2).copied().collect();
        assert_eq!(firsts, [3.0, 2.0, 1.0]);
        assert!(image.planes[1].is_nan());
        // A whole name goes first; one of two is not guessed.
        assert_eq!(find(&[plane("a-i", 0.0), plane("i", 1.0)], "i").unwrap().values[0], 1.0);
        assert_eq!(find(&[plane("a-i", 0.0), plane("b-i", 1.0)], "i"), None);
    }

    #[test]
    fn what_is_no_image_is_rejected() {
        assert_eq!(reason(&[plane("i", 1.0), plane("r", 1.0)]), Reason::MissingBand);
        let nan = [plane("i", 1.0), plane("r", f32::NAN), plane("g", 1.0)];
        assert_eq!(reason(&nan), Reason::NoData);
        let mut sizes = [plane("i", 1.0), plane("r", 1.0), plane("g", 1.0)];
        sizes[2].height = 2;
        assert_eq!(reason(&sizes), Reason::Corrupt);
        sizes[0].width = 1 << 40;
        assert_eq!(reason(&sizes), Reason::TooLarge);
    }

    #[test]
    fn two_planes_of_one_name_are_refused() {
        let names = ["i", "r", "g", "r"];
        let planes: Vec<Plane> = names.iter().map(|name| plane(name, 1.0)).collect();
        assert_eq!(reason(&planes), Reason::Corrupt);
        assert!(decode(&planes[..3], &DecodeOptions::default()).is_ok());
    }
}
