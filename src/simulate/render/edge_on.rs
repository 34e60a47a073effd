//! Disks seen from the side, and the dust in their planes.
//!
//! An exponential disk of vertical profile sech² seen exactly edge-on has the
//! surface brightness `I(x, z) = I_0 (|x|/h) K_1(|x|/h) sech²(z/z_0)` (van der
//! Kruit & Searle 1981, A&A 95, 105, eq. 5).

use std::f64::consts::PI;
use std::sync::LazyLock;

use super::super::table::Table;
use super::sersic::mean_over_pixel;
use super::{Axis, Canvas, Flux};

/// `x K_1(x)`, whose integral from 0 to infinity is π/2.
static X_K1: LazyLock<Table> = LazyLock::new(|| Table::new(-12, 5, x_k1));

/// `sech²(x)`.
static SECH2: LazyLock<Table> = LazyLock::new(|| Table::new(-8, 4, |x| x.cosh().powi(-2)));

/// `x K_1(x)` from `K_1(x) = ∫_0^∞ exp(-x cosh u) cosh u du` (NIST DLMF
/// 10.32.9) by the trapezoid rule, which converges exponentially here.
fn x_k1(x: f64) -> f64 {
    let step = 0.05;
    let term = |k: u32| {
        let c = (f64::from(k) * step).cosh();
        (-x * c).exp() * c
    };
    x * step * (0.5 * term(0) + (1..400).map(term).sum::<f64>())
}

/// A disk seen edge-on.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct EdgeOnDisk {
    /// Offset of its centre, arcseconds west and north.
    pub(in super::super) centre: (f32, f32),
    /// Scale length in arcseconds.
    pub(in super::super) h: f32,
    /// Scale height in arcseconds.
    pub(in super::super) z0: f32,
    /// Direction of its plane.
    pub(in super::super) axis: Axis,
    /// Total flux.
    pub(in super::super) flux: Flux,
}

impl EdgeOnDisk {
    /// Adds its light, out to ten scale lengths and five scale heights.
    pub(in super::super) fn add_to(&self, canvas: &mut Canvas) {
        let pixel = canvas.pixel;
        let central = pixel * pixel / (PI as f32 * self.h * 2.0 * self.z0);
        let (length, height) = (10.0 * self.h + pixel, 5.0 * self.z0 + pixel);
        let (along, across) = (self.axis.offset(length, 0.0), self.axis.offset(0.0, height));
        let reach = (along.0.abs() + across.0.abs(), along.1.abs() + across.1.abs());
        let extent = canvas.extent(self.centre, reach);
        // The plane is thin: enough points that a scale height has two.
        let points = ((2.0 * pixel / self.z0).ceil() as usize).clamp(2, 8);
        for row in extent.rows.0..extent.rows.1 {
            let dy = canvas.offset(row) - self.centre.1;
            for column in extent.columns.0..extent.columns.1 {
                let dx = canvas.offset(column) - self.centre.0;
                let (u, v) = self.axis.along(dx, dy);
                if u.abs() > length || v.abs() > height {
                    continue;
                }
                let value = mean_over_pixel(pixel, points, |ox, oy| {
                    let (x, z) = self.axis.along(dx + ox, dy + oy);
                    X_K1.at(x.abs() / self.h) * SECH2.at(z.abs() / self.z0)
                });
                let at = row * canvas.side + column;
                for (plane, flux) in canvas.planes.iter_mut().zip(self.flux) {
                    plane[at] += flux * central * value;
                }
            }
        }
    }
}

/// A lane of dust in the plane of an edge-on disk: it dims what is there.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct DustLane {
    /// Offset of the galaxy's centre, arcseconds west and north.
    pub(in super::super) centre: (f32, f32),
    /// Distance of the lane from the centre across the plane, in arcseconds:
    /// a disk not quite edge-on shows it to one side.
    pub(in super::super) across: f32,
    /// Half its thickness (standard deviation) in arcseconds.
    pub(in super::super) thickness: f32,
    /// Half its length (standard deviation) in arcseconds.
    pub(in super::super) length: f32,
    /// Direction of the plane.
    pub(in super::super) axis: Axis,
    /// Optical depth in g, r and i.
    pub(in super::super) depth: [f32; 3],
}

impl DustLane {
    /// Dims what the canvas holds so far.
    pub(in super::super) fn dim(&self, canvas: &mut Canvas) {
        let pixel = canvas.pixel;
        let reach = 3.0 * self.length;
        let extent = canvas.extent(self.centre, (reach, reach));
        let squares = (0.5 / self.length.powi(2), 0.5 / self.thickness.powi(2));
        for row in extent.rows.0..extent.rows.1 {
            let dy = canvas.offset(row) - self.centre.1;
            for column in extent.columns.0..extent.columns.1 {
                let dx = canvas.offset(column) - self.centre.0;
                let (_, v) = self.axis.along(dx, dy);
                if (v - self.across).abs() > 3.0 * self.thickness + pixel {
                    continue;
                }
                let dust = mean_over_pixel(pixel, 3, |ox, oy| {
                    let (x, z) = self.axis.along(dx + ox, dy + oy);
                    let z = z - self.across;
                    (-x * x * squares.0 - z * z * squares.1).exp()
                });
                let at = row * canvas.side + column;
                for (plane, depth) in canvas.planes.iter_mut().zip(self.depth) {
                    plane[at] *= (-depth * dust).exp();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_function_agrees_with_tables() {
        // Abramowitz & Stegun, table 9.8: K_1(0.5), K_1(1), K_1(2).
        for (x, k1) in [(0.5, 1.656_441_12), (1.0, 0.601_907_23), (2.0, 0.139_865_88)] {
            assert!((x_k1(x) - x * k1).abs() < 1e-8, "{x}: {}", x_k1(x));
        }
        assert!((x_k1(1e-4) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn flux_is_kept_and_the_disk_is_thin() {
        let axis = Axis::from_position_angle(1.1);
        let disk = EdgeOnDisk { centre: (0.2, 0.1), h: 4.0, z0: 0.5, axis, flux: [7.0; 3] };
        let mut canvas = Canvas::new(301, 0.4);
        disk.add_to(&mut canvas);
        let total: f64 = canvas.planes[0].iter().map(|&v| f64::from(v)).sum();
        assert!((total / 7.0 - 1.0).abs() < 0.01, "{total}");

        // Second moments in closed form: 3 h² along, π²/12 z0² across.
        let (mut along, mut across) = (0.0, 0.0);
        for row in 0..301 {
            for column in 0..301 {
                let w = f64::from(canvas.planes[0][row * 301 + column]) / total;
                let (u, v) = axis.along(canvas.offset(column) - 0.2, canvas.offset(row) - 0.1);
                along += w * f64::from(u * u);
                across += w * f64::from(v * v);
            }
        }
        assert!((along / 48.0 - 1.0).abs() < 0.05, "{along}");
        let pixels = 0.4f64.powi(2) / 12.0;
        let expected = PI * PI / 12.0 * 0.25 + pixels;
        assert!((across / expected - 1.0).abs() < 0.1, "{across} {expected}");
    }

    #[test]
    fn dust_dims_g_more_than_i_and_only_in_its_lane() {
        let mut canvas = Canvas::new(101, 0.4);
        canvas.planes.iter_mut().for_each(|p| p.fill(1.0));
        let lane = DustLane {
            centre: (0.0, 0.0),
            across: 0.0,
            thickness: 0.5,
            length: 6.0,
            axis: Axis::from_position_angle(0.0),
            depth: [0.8, 0.6, 0.4],
        };
        lane.dim(&mut canvas);
        let middle = 50 * 101 + 50;
        assert!(canvas.planes[0][middle] < canvas.planes[2][middle]);
        assert!(canvas.planes[2][middle] < 0.75);
        assert_eq!(canvas.planes[0][50 * 101 + 60], 1.0, "4 arcseconds beside the lane");
    }
}
