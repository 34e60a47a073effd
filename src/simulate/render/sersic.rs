//! Elliptical Sérsic components.

use super::super::sersic::Profile;
use super::{Axis, Canvas, Flux};

/// A galaxy, or a part of one, with elliptical isophotes.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Sersic {
    /// Offset of its centre, arcseconds west and north.
    pub(in super::super) centre: (f32, f32),
    /// Its index.
    pub(in super::super) n: f64,
    /// Semi-major half-light radius in arcseconds.
    pub(in super::super) re: f32,
    /// Axis ratio.
    pub(in super::super) q: f32,
    /// Direction of the major axis.
    pub(in super::super) axis: Axis,
    /// Total flux.
    pub(in super::super) flux: Flux,
}

impl Sersic {
    /// Adds its light down to `faintest` nanomaggies a pixel.
    ///
    /// A pixel takes the profile at its middle; near the centre, where that
    /// would be wrong, the mean over 4×4 or 8×8 points of it.
    pub(in super::super) fn add_to(&self, canvas: &mut Canvas, faintest: f32) {
        let table = &Profile::nearest(self.n).brightness;
        let pixel = canvas.pixel;
        let per_pixel = pixel * pixel / (self.re * self.re * self.q);
        let brightest = self.flux.iter().fold(0.0, |a: f32, &b| a.max(b)) * per_pixel;
        if brightest <= 0.0 {
            return;
        }
        let reach = self.re * table.reach(faintest / brightest).sqrt() + 2.0 * pixel;
        let (major, minor) = (self.axis.offset(reach, 0.0), self.axis.offset(0.0, reach * self.q));
        let extent = canvas.extent(self.centre, (major.0.hypot(minor.0), major.1.hypot(minor.1)));

        let flux = self.flux.map(|f| f * per_pixel);
        let inverse = (1.0 / self.re, 1.0 / (self.re * self.q));
        let brightness = |dx: f32, dy: f32| {
            let (u, v) = self.axis.along(dx, dy);
            let (u, v) = (u * inverse.0, v * inverse.1);
            u * u + v * v
        };
        // One pixel across the minor axis is 1/q of elliptical radius.
        let unit = pixel / (self.re * self.q);
        let (near, far) = ((1.5 * unit).powi(2), (4.0 * unit).powi(2));
        for row in extent.rows.0..extent.rows.1 {
            let dy = canvas.offset(row) - self.centre.1;
            for column in extent.columns.0..extent.columns.1 {
                let dx = canvas.offset(column) - self.centre.0;
                let t = brightness(dx, dy);
                let value = if t > far {
                    table.at(t)
                } else {
                    let points = if t > near { 4 } else { 8 };
                    mean_over_pixel(pixel, points, |ox, oy| table.at(brightness(dx + ox, dy + oy)))
                };
                let at = row * canvas.side + column;
                for (plane, flux) in canvas.planes.iter_mut().zip(flux) {
                    plane[at] += flux * value;
                }
            }
        }
    }
}

/// The mean of a function over `points × points` places in a pixel.
#[inline]
pub(super) fn mean_over_pixel(pixel: f32, points: usize, f: impl Fn(f32, f32) -> f32) -> f32 {
    let step = pixel / points as f32;
    let start = 0.5 * (step - pixel);
    let mut sum = 0.0;
    for j in 0..points {
        for i in 0..points {
            sum += f(start + i as f32 * step, start + j as f32 * step);
        }
    }
    sum / (points * points) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::near::apart;

    fn galaxy(n: f64, q: f32) -> Sersic {
        let axis = Axis::from_position_angle(0.7);
        Sersic { centre: (0.13, -0.07), n, re: 3.0, q, axis, flux: [1.0, 10.0, 100.0] }
    }

    #[test]
    fn flux_is_kept() {
        for (n, q) in [(0.5, 1.0), (1.0, 0.25), (2.0, 0.7)] {
            let mut canvas = Canvas::new(301, 0.4);
            galaxy(n, q).add_to(&mut canvas, 0.0);
            let total: f64 = canvas.planes[1].iter().map(|&v| f64::from(v)).sum();
            assert!((total / 10.0 - 1.0).abs() < 0.02, "n {n} q {q}: {total}");
        }
    }

    #[test]
    fn centre_and_axis_are_where_they_should_be() {
        let mut canvas = Canvas::new(201, 0.4);
        galaxy(1.0, 0.3).add_to(&mut canvas, 0.0);
        let (mut sum, mut x, mut y, mut xx, mut yy, mut xy) = (0., 0., 0., 0., 0., 0.);
        for row in 0..201 {
            for column in 0..201 {
                let w = f64::from(canvas.planes[2][row * 201 + column]);
                let (dx, dy) = (f64::from(canvas.offset(column)), f64::from(canvas.offset(row)));
                sum += w;
                x += w * dx;
                y += w * dy;
                xx += w * dx * dx;
                yy += w * dy * dy;
                xy += w * dx * dy;
            }
        }
        assert!((x / sum - 0.13).abs() < 0.01 && (y / sum + 0.07).abs() < 0.01);
        // North through east is anticlockwise where east is to the left.
        let angle = 0.5 * (2.0 * xy).atan2(yy - xx);
        assert!((angle + 0.7).abs() < 0.02, "{angle}");
    }

    #[test]
    fn a_faint_limit_bounds_the_work_and_hardly_the_flux() {
        let mut all = Canvas::new(301, 0.4);
        let mut cut = Canvas::new(301, 0.4);
        galaxy(1.0, 0.5).add_to(&mut all, 0.0);
        galaxy(1.0, 0.5).add_to(&mut cut, 0.001);
        let worst = apart(&cut.planes[2], &all.planes[2]);
        assert!(worst <= 0.001, "{worst}");
        assert!(cut.planes[2].iter().filter(|&&v| v == 0.0).count() > 50_000);
    }
}
