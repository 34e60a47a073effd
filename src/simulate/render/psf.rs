//! The point spread function: two circular Gaussians, as the SDSS pipeline's
//! own description of a frame (Lupton et al. 2001, ASP Conf. 238, 269).
//!
//! Extended light is convolved with the core alone, where nine tenths of a
//! star's light is; the wings hardly change what has no sharp edge. Stars are
//! drawn with both.

use super::{Canvas, Flux};

/// FWHM of a Gaussian in standard deviations, 2 √(2 ln 2).
const FWHM: f32 = 2.354_82;
/// Share of a star's light in the wings.
const WINGS: f32 = 0.1;
/// Width of the wings over that of the core.
const WING_RATIO: f32 = 3.0;

/// The seeing of one cutout.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Psf {
    /// Standard deviation of the core in arcseconds.
    sigma: f32,
}

/// A star, drawn after the convolution.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Star {
    /// Offset, arcseconds west and north.
    pub(in super::super) centre: (f32, f32),
    /// Total flux.
    pub(in super::super) flux: Flux,
}

impl Psf {
    /// From its full width at half maximum in arcseconds.
    pub(in super::super) fn from_fwhm(fwhm: f32) -> Self {
        Self { sigma: fwhm / FWHM }
    }

    /// Blurs what the canvas holds; light that leaves it is lost, none enters.
    pub(in super::super) fn blur(self, canvas: &mut Canvas) {
        let half = half_kernel(self.sigma / canvas.pixel);
        let radius = half.len() - 1;
        let side = canvas.side;
        let mut padded = vec![0.0f32; side + 2 * radius];
        let mut rows = vec![0.0f32; side * side];
        for plane in &mut canvas.planes {
            // Along the rows into `rows`, then down the columns back: each a
            // sum of shifted rows, which compilers turn into vector code.
            for (source, out) in plane.chunks_exact(side).zip(rows.chunks_exact_mut(side)) {
                padded[radius..radius + side].copy_from_slice(source);
                scale(out, &padded[radius..], half[0]);
                for (k, &weight) in half.iter().enumerate().skip(1) {
                    add_pair(out, &padded[radius - k..], &padded[radius + k..], weight);
                }
            }
            for row in 0..side {
                let line = |r: usize| &rows[r * side..(r + 1) * side];
                let out = &mut plane[row * side..(row + 1) * side];
                scale(out, line(row), half[0]);
                for (k, &weight) in half.iter().enumerate().skip(1) {
                    match (row.checked_sub(k), row + k < side) {
                        (Some(above), true) => add_pair(out, line(above), line(row + k), weight),
                        (Some(above), false) => add(out, line(above), weight),
                        (None, true) => add(out, line(row + k), weight),
                        (None, false) => {}
                    }
                }
            }
        }
    }

    /// Adds a star down to `faintest` nanomaggies a pixel, its light integrated
    /// over each pixel.
    pub(in super::super) fn add_star(self, canvas: &mut Canvas, star: &Star, faintest: f32) {
        for (share, sigma) in [(1.0 - WINGS, self.sigma), (WINGS, self.sigma * WING_RATIO)] {
            let flux = star.flux.map(|f| f * share);
            let brightest = flux.iter().fold(0.0, |a: f32, &b| a.max(b));
            let peak = brightest * (canvas.pixel / sigma).powi(2) / std::f32::consts::TAU;
            if peak <= faintest {
                continue;
            }
            let reach = sigma * (2.0 * (peak / faintest).ln()).sqrt() + canvas.pixel;
            let extent = canvas.extent(star.centre, (reach, reach));
            let weights = |centre: f32, range: (usize, usize)| -> Vec<f32> {
                (range.0..range.1)
                    .map(|k| {
                        let low = canvas.offset(k) - 0.5 * canvas.pixel - centre;
                        share_between(low / sigma, (low + canvas.pixel) / sigma)
                    })
                    .collect()
            };
            let columns = weights(star.centre.0, extent.columns);
            let rows = weights(star.centre.1, extent.rows);
            let side = canvas.side;
            for (plane, flux) in canvas.planes.iter_mut().zip(flux) {
                for (row, weight) in (extent.rows.0..extent.rows.1).zip(&rows) {
                    let line = &mut plane[row * side + extent.columns.0..][..columns.len()];
                    add(line, &columns, flux * weight);
                }
            }
        }
    }
}

/// Weights of a Gaussian integrated over pixels, from the middle out to four
/// standard deviations, that sum to 1 with their mirror images.
fn half_kernel(sigma: f32) -> Vec<f32> {
    let radius = (4.0 * sigma).ceil() as usize;
    let mut half: Vec<f32> = (0..=radius)
        .map(|k| share_between((k as f32 - 0.5) / sigma, (k as f32 + 0.5) / sigma))
        .collect();
    let total = half[0] + 2.0 * half[1..].iter().sum::<f32>();
    half.iter_mut().for_each(|w| *w /= total);
    half
}

/// The normal distribution's share between two abscissae, by Simpson's rule.
fn share_between(low: f32, high: f32) -> f32 {
    const INTERVALS: u32 = 8;
    let step = (high - low) / INTERVALS as f32;
    let density = |x: f32| (-0.5 * x * x).exp();
    let sum: f32 = (0..=INTERVALS)
        .map(|k| {
            let weight = match k {
                0 | INTERVALS => 1.0,
                _ if k % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * density(low + k as f32 * step)
        })
        .sum();
    sum * step / 3.0 * 0.398_942_3
}

fn scale(out: &mut [f32], line: &[f32], weight: f32) {
    for (o, &a) in out.iter_mut().zip(line) {
        *o = weight * a;
    }
}

fn add(out: &mut [f32], line: &[f32], weight: f32) {
    for (o, &a) in out.iter_mut().zip(line) {
        *o += weight * a;
    }
}

fn add_pair(out: &mut [f32], one: &[f32], other: &[f32], weight: f32) {
    for ((o, &a), &b) in out.iter_mut().zip(one).zip(other) {
        *o += weight * (a + b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(plane: &[f32], side: usize) -> (f64, f64, f64) {
        let (mut sum, mut xx, mut yy) = (0.0, 0.0, 0.0);
        let middle = (side as f64 - 1.0) / 2.0;
        for (k, &v) in plane.iter().enumerate() {
            let v = f64::from(v);
            sum += v;
            xx += v * ((k % side) as f64 - middle).powi(2);
            yy += v * ((k / side) as f64 - middle).powi(2);
        }
        (sum, xx / sum, yy / sum)
    }

    #[test]
    fn shares_of_the_normal_distribution() {
        assert!((share_between(-1.0, 1.0) - 0.682_689_5).abs() < 1e-4);
        assert!((share_between(0.0, 3.0) - 0.498_650_1).abs() < 5e-4);
    }

    #[test]
    fn a_point_becomes_a_gaussian_of_the_same_flux() {
        let mut canvas = Canvas::new(41, 0.4);
        canvas.planes.iter_mut().for_each(|p| p[20 * 41 + 20] = 3.0);
        Psf::from_fwhm(1.3).blur(&mut canvas);
        let (sum, xx, yy) = moments(&canvas.planes[0], 41);
        let expected = (1.3f64 / 2.35482 / 0.4).powi(2) + 1.0 / 12.0;
        assert!((sum - 3.0).abs() < 1e-5, "{sum}");
        assert!((xx / expected - 1.0).abs() < 0.02 && (yy / expected - 1.0).abs() < 0.02);
    }

    #[test]
    fn blur_at_the_edge_loses_light_and_never_gains() {
        let mut canvas = Canvas::new(9, 0.4);
        canvas.planes.iter_mut().for_each(|p| p.fill(1.0));
        Psf::from_fwhm(2.0).blur(&mut canvas);
        assert!(canvas.planes[0].iter().all(|&v| v > 0.2 && v < 1.0 + 1e-6));
    }

    #[test]
    fn a_star_keeps_its_flux_and_has_wings() {
        let mut canvas = Canvas::new(81, 0.4);
        let star = Star { centre: (0.0, 0.0), flux: [100.0; 3] };
        Psf::from_fwhm(1.3).add_star(&mut canvas, &star, 1e-5);
        let (sum, xx, _) = moments(&canvas.planes[1], 81);
        assert!((sum - 100.0).abs() < 0.1, "{sum}");
        let core = (1.3f64 / 2.35482 / 0.4).powi(2);
        let expected = core * (0.9 + 0.1 * 9.0) + 1.0 / 12.0;
        assert!((xx / expected - 1.0).abs() < 0.02, "{xx} {expected}");
    }
}
