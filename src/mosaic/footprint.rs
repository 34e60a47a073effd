//! Where images lie on the sky, and which of several holds a position deepest.
//!
//! Invariant: which one is found depends on the positions and the images alone; of two
//! that hold a position equally deep it is the first.

use crate::cutout::SkyPosition;
use crate::cutout::decode::fits::part::Image;
use crate::cutout::wcs::Wcs;

/// Where an image lies on the sky.
#[derive(Debug, Clone)]
pub struct Footprint {
    width: usize,
    height: usize,
    wcs: Wcs,
    /// Its middle, as a direction, and how far its corners are from it, radians.
    centre: Option<([f64; 3], f64)>,
}

impl Footprint {
    pub(super) fn of(image: &Image) -> Self {
        let (width, height) = (image.raster.width, image.raster.height);
        let (right, top) = (width as f64 + 0.5, height as f64 + 0.5);
        let at = |x, y| image.wcs.pixel_to_sky(x, y).map(direction);
        let middle = at((right + 0.5) / 2.0, (top + 0.5) / 2.0);
        let corners = [at(0.5, 0.5), at(right, 0.5), at(0.5, top), at(right, top)];
        let reach = middle.zip(corners.into_iter().collect::<Option<Vec<_>>>());
        let centre = reach.map(|(middle, corners)| {
            let farthest = corners.iter().map(|corner| apart(&middle, corner)).fold(0.0, f64::max);
            // Sides may bulge.
            (middle, 1.1 * farthest)
        });
        Self { width, height, wcs: image.wcs.clone(), centre }
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
