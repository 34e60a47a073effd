//! Where images lie on the sky, and which of several holds a position deepest.
//!
//! Invariant: which one is found depends on the positions and the images alone; of two
//! that hold a position equally deep it is the first.

use crate::cutout::SkyPosition;
use crate::cutout::decode::fits::part::Image;
use crate::cutout::wcs::Wcs;

/// An image that reaches farther from its middle than so many radians may bend around the
/// sky, so that its edges say little.
const WIDE: f64 = 1.0;

/// Where an image lies on the sky.
#[derive(Debug, Clone)]
pub struct Footprint {
    width: usize,
    height: usize,
    wcs: Wcs,
    /// Its middle, as a direction, and how far its edges are from it, radians; `None` of
    /// one that is not known or so wide that they do not bound it.
    centre: Option<([f64; 3], f64)>,
}

impl Footprint {
    pub(super) fn of(image: &Image) -> Self {
        Self::new(image.raster.width, image.raster.height, image.wcs.clone())
    }

    fn new(width: usize, height: usize, wcs: Wcs) -> Self {
        let (right, top) = (width as f64 + 0.5, height as f64 + 0.5);
        let at = |x, y| wcs.pixel_to_sky(x, y).map(direction);
        let middle = at((right + 0.5) / 2.0, (top + 0.5) / 2.0);
        // Corners and the middles of sides: of a map in cylinders those are farther.
        let ends = |end: f64| [0.5, (end + 0.5) / 2.0, end];
        let edges = ends(right).into_iter().flat_map(|x| ends(top).map(|y| at(x, y)));
        let reach = middle.zip(edges.collect::<Option<Vec<_>>>());
        let centre = reach.and_then(|(middle, edges)| {
            let farthest = edges.iter().map(|edge| apart(&middle, edge)).fold(0.0, f64::max);
            // Sides may bulge.
            (farthest < WIDE).then_some((middle, 1.1 * farthest))
        });
        Self { width, height, wcs, centre }
    }

    /// The pixel in which a position lies, counted as FITS does, and how far from the
    /// nearest edge, in pixels; `None` outside.
    pub fn depth(&self, position: SkyPosition) -> Option<(f64, f64, f64)> {
        if let Some((centre, reach)) = &self.centre
            && apart(centre, &direction(position)) > *reach
        {
            return None;
        }
        let (x, y) = self.wcs.sky_to_pixel(position)?;
        let depth = (x - 0.5)
            .min(self.width as f64 + 0.5 - x)
            .min(y - 0.5)
            .min(self.height as f64 + 0.5 - y);
        // A projection that does not tell the far side of the sky from the near.
        let back = self.wcs.pixel_to_sky(x, y)?;
        let near = apart(&direction(back), &direction(position)) < 1e-6;
        (depth > 0.0 && near).then_some((x, y, depth))
    }

    /// Arcseconds of a pixel at a place of it.
    pub fn scale(&self, x: f64, y: f64) -> Option<f64> {
        self.wcs.pixel_scale(x, y).map(|scale| scale.mean())
    }
}

/// The images of one band.
#[derive(Debug, Default)]
pub struct Footprints {
    images: Vec<(usize, Footprint)>,
    /// Their middles' declinations with their places, ascending; those whose middle is
    /// not known at the beginning.
    order: Vec<(f64, usize)>,
    /// The farthest that one reaches, degrees.
    reach: f64,
}

impl Footprints {
    /// Images with a number each, by which they are told.
    pub fn new(images: Vec<(usize, Footprint)>) -> Self {
        let (mut order, mut reach) = (Vec::with_capacity(images.len()), 0.0_f64);
        for (place, (_, footprint)) in images.iter().enumerate() {
            let declination = match &footprint.centre {
                Some((centre, far)) => {
                    reach = reach.max(far.to_degrees());
                    centre[2].clamp(-1.0, 1.0).asin().to_degrees()
                }
                None => f64::NEG_INFINITY,
            };
            order.push((declination, place));
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Self { images, order, reach }
    }

    /// The image in which a position lies deepest: its number, the pixel, and the size
    /// of a pixel there. `among` leaves the others out.
    pub fn deepest(
        &self,
        position: SkyPosition,
        among: impl Fn(usize) -> bool,
    ) -> Option<(usize, f64, f64, Option<f64>)> {
        let from = position.dec - self.reach;
        let unknown = self.order.partition_point(|(dec, _)| *dec == f64::NEG_INFINITY);
        let first = self.order.partition_point(|(dec, _)| *dec < from).max(unknown);
        let near = self.order[first..].iter().take_while(|(d, _)| *d <= position.dec + self.reach);
        let mut best: Option<(f64, usize, f64, f64)> = None;
        for &(_, place) in self.order[..unknown].iter().chain(near) {
            let (number, footprint) = &self.images[place];
            if !among(*number) {
                continue;
            }
            let Some((x, y, depth)) = footprint.depth(position) else { continue };
            let deeper =
                best.is_none_or(|(most, held, ..)| depth > most || (depth == most && place < held));
            if deeper {
                best = Some((depth, place, x, y));
            }
        }
        best.map(|(_, place, x, y)| {
            let (number, footprint) = &self.images[place];
            (*number, x, y, footprint.scale(x, y))
        })
    }
}

fn direction(at: SkyPosition) -> [f64; 3] {
    let ((sin_a, cos_a), (sin_d, cos_d)) =
        (at.ra.to_radians().sin_cos(), at.dec.to_radians().sin_cos());
    [cos_d * cos_a, cos_d * sin_a, sin_d]
}

/// The angle between directions, radians.
fn apart(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    let chord = (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt();
    2.0 * (chord / 2.0).min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutout::wcs::{Keywords, Value};

    /// A plate carrée of pixels of 0.1°, around a right ascension on the equator.
    struct Plate {
        middle: f64,
        size: (usize, usize),
    }

    impl Keywords for Plate {
        fn value(&self, keyword: &str) -> Option<Value> {
            let (width, height) = self.size;
            Some(match keyword {
                "CTYPE1" => Value::Text("RA---CAR".into()),
                "CTYPE2" => Value::Text("DEC--CAR".into()),
                "CRPIX1" => Value::Number((width as f64 + 1.0) / 2.0),
                "CRPIX2" => Value::Number((height as f64 + 1.0) / 2.0),
                "CRVAL1" => Value::Number(self.middle),
                "CRVAL2" => Value::Number(0.0),
                "CDELT1" => Value::Number(-0.1),
                "CDELT2" => Value::Number(0.1),
                _ => return None,
            })
        }

        fn any_begins(&self, _: &str) -> bool {
            false
        }
    }

    #[test]
    fn whatever_lies_in_a_wide_map_is_found() {
        let maps =
            [(0.0, (3600, 1800)), (180.0, (3400, 600)), (40.0, (900, 1000)), (9.0, (800, 300))];
        for (middle, size) in maps {
            let wcs = Wcs::from_header(&Plate { middle, size }).unwrap().unwrap();
            let found = Footprints::new(vec![(7, Footprint::new(size.0, size.1, wcs))]);
            let (across, up) = (size.0 as f64 / 20.0 - 0.2, size.1 as f64 / 20.0 - 0.2);
            for k in -10..=10 {
                for l in -10..=10 {
                    let ra = (middle + f64::from(k) / 10.0 * across).rem_euclid(360.0);
                    let position = SkyPosition { ra, dec: f64::from(l) / 10.0 * up };
                    let number = found.deepest(position, |_| true).map(|found| found.0);
                    assert_eq!(number, Some(7), "{position:?} {size:?}");
                }
            }
        }
    }
}
