//! Disks with spiral arms.
//!
//! An exponential disk, inclined, whose light is gathered into `m` logarithmic
//! arms `R = R_0 exp(θ tan p)` of pitch angle `p` (Binney & Tremaine 2008,
//! section 6.1.3). Along a ring the arms are ridges `exp(κ (cos φ - 1))` of the
//! phase `φ = m θ - m ln(R/R_0) / tan p`, divided by their mean, so that they
//! move light about and add none.

use std::f64::consts::{LN_2, TAU};

use super::super::sersic::Profile;
use super::super::table::Table;
use super::sersic::mean_over_pixel;
use super::{Axis, Canvas, Flux};

/// Half-light radius of an exponential disk in scale lengths.
const RE_OVER_H: f32 = 1.678_35;

/// A spiral disk.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct SpiralDisk {
    /// Offset of its centre, arcseconds west and north.
    pub(in super::super) centre: (f32, f32),
    /// Scale length in arcseconds.
    pub(in super::super) h: f32,
    /// Apparent axis ratio, the cosine of the inclination.
    pub(in super::super) q: f32,
    /// Direction of the line of nodes.
    pub(in super::super) axis: Axis,
    /// Total flux.
    pub(in super::super) flux: Flux,
    /// The number of arms.
    pub(in super::super) arms: u32,
    /// Pitch angle in radians; its sign is the sense of the winding.
    pub(in super::super) pitch: f64,
    /// Phase of the arms in radians.
    pub(in super::super) phase: f64,
    /// Sharpness κ of the ridges.
    pub(in super::super) sharpness: f64,
    /// Share of each band's light that is in the arms, at most 1.
    pub(in super::super) contrast: [f32; 3],
    /// Where the arms begin, in arcseconds: the end of the bar or the bulge.
    pub(in super::super) start: f32,
    /// How much brighter one side is, and towards which angle.
    pub(in super::super) lopsided: (f32, f64),
}

impl SpiralDisk {
    /// Adds its light down to `faintest` nanomaggies a pixel.
    pub(in super::super) fn add_to(&self, canvas: &mut Canvas, faintest: f32) {
        let pixel = canvas.pixel;
        let re = self.h * RE_OVER_H;
        let disk = &Profile::nearest(1.0).brightness;
        let per_pixel = pixel * pixel / (re * re * self.q);
        let flux = self.flux.map(|f| f * per_pixel);
        let brightest = flux.iter().fold(0.0, |a: f32, &b| a.max(b));
        if brightest <= 0.0 {
            return;
        }
        let reach = re * disk.reach(faintest / brightest).sqrt() + 2.0 * pixel;
        let (along, across) = (self.axis.offset(reach, 0.0), self.axis.offset(0.0, reach * self.q));
        let extent = canvas.extent(self.centre, (along.0.hypot(across.0), along.1.hypot(across.1)));
        let pattern = Pattern::new(self);
        let (inverse_re2, near) = (1.0 / (re * re), (2.5 * pixel / self.q).powi(2));
        for row in extent.rows.0..extent.rows.1 {
            let dy = canvas.offset(row) - self.centre.1;
            for column in extent.columns.0..extent.columns.1 {
                let dx = canvas.offset(column) - self.centre.0;
                let (u, v) = self.axis.along(dx, dy);
                let v = v / self.q;
                let r2 = u * u + v * v;
                let value = if r2 > near {
                    disk.at(r2 * inverse_re2)
                } else {
                    mean_over_pixel(pixel, 4, |ox, oy| {
                        let (u, v) = self.axis.along(dx + ox, dy + oy);
                        let v = v / self.q;
                        disk.at((u * u + v * v) * inverse_re2)
                    })
                };
                let (arm, side) = pattern.at(u, v, r2);
                let at = row * canvas.side + column;
                for (band, plane) in canvas.planes.iter_mut().enumerate() {
                    plane[at] += flux[band] * value * side * (1.0 + self.contrast[band] * arm);
                }
            }
        }
    }

    /// The offset from the cutout's centre of a place in the disk: radius in
    /// arcseconds, which arm, and radians ahead of its ridge.
    pub(in super::super) fn place(&self, radius: f64, arm: u32, ahead: f64) -> (f32, f32) {
        let angle = (radius / f64::from(self.h)).ln() / self.pitch.tan()
            + (TAU * f64::from(arm) + self.phase) / f64::from(self.arms)
            + ahead;
        let (major, minor) = (radius * angle.cos(), radius * angle.sin() * f64::from(self.q));
        let (dx, dy) = self.axis.offset(major as f32, minor as f32);
        (self.centre.0 + dx, self.centre.1 + dy)
    }
}

/// The arms as tables, so that a pixel needs no trigonometry.
struct Pattern {
    arms: u32,
    /// Cosine and sine of the arms' angle by R².
    winding: (Table, Table),
    /// Strength of the arms by R²: none inside their start and far outside.
    strength: Table,
    /// Ridge over its mean, less one, at even steps of cos φ from -1 to 1.
    ridge: [f32; RIDGE_STEPS + 1],
    /// Lopsidedness times the unit vector of its direction.
    lopsided: (f32, f32),
}

const RIDGE_STEPS: usize = 64;

impl Pattern {
    fn new(disk: &SpiralDisk) -> Self {
        let h = f64::from(disk.h);
        let start = f64::from(disk.start);
        // R² from (h/8)² to (16 h)², to whole octaves.
        let octave = (2.0 * h.ln() / LN_2).round() as i32;
        let (low, high) = (octave - 6, octave + 8);
        let winding = |r2: f64| {
            f64::from(disk.arms) * 0.5 * (r2 / (h * h)).ln() / disk.pitch.tan() + disk.phase
        };
        let rise = |x: f64| {
            let x = x.clamp(0.0, 1.0);
            x * x * (3.0 - 2.0 * x)
        };
        let strength = |r2: f64| {
            let r = r2.sqrt();
            rise((r - 0.7 * start) / (0.6 * start)) * (1.0 - rise((r / h - 4.0) / 2.0))
        };
        let ridge = |c: f64| (disk.sharpness * (c - 1.0)).exp();
        let mean = (0..256).map(|k| ridge((TAU * f64::from(k) / 256.0).cos())).sum::<f64>() / 256.0;
        let step =
            |k: usize| (ridge(2.0 * k as f64 / RIDGE_STEPS as f64 - 1.0) / mean - 1.0) as f32;
        let (by, towards) = disk.lopsided;
        Self {
            arms: disk.arms,
            winding: (
                Table::new(low, high, |r2| winding(r2).cos()),
                Table::new(low, high, |r2| winding(r2).sin()),
            ),
            strength: Table::new(low, high, strength),
            ridge: std::array::from_fn(step),
            lopsided: (by * towards.cos() as f32, by * towards.sin() as f32),
        }
    }

    /// How much more light the arms put at a place in the disk, from -1 up,
    /// and the factor of its side.
    #[inline]
    fn at(&self, u: f32, v: f32, r2: f32) -> (f32, f32) {
        let inverse = 1.0 / r2.max(1e-12).sqrt();
        let (c, s) = (u * inverse, v * inverse);
        let side = 1.0 + self.lopsided.0 * c + self.lopsided.1 * s;
        let strength = self.strength.at(r2);
        if strength == 0.0 {
            return (0.0, side);
        }
        // cos mθ and sin mθ as powers of cos θ + i sin θ.
        let (mut cm, mut sm) = (c, s);
        for _ in 1..self.arms {
            (cm, sm) = (cm * c - sm * s, cm * s + sm * c);
        }
        let cos_phase = cm * self.winding.0.at(r2) + sm * self.winding.1.at(r2);
        let x = (cos_phase.clamp(-1.0, 1.0) + 1.0) * (RIDGE_STEPS as f32 / 2.0);
        let k = (x as usize).min(RIDGE_STEPS - 1);
        let ridge = self.ridge[k] + (self.ridge[k + 1] - self.ridge[k]) * (x - k as f32);
        (strength * ridge, side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> SpiralDisk {
        SpiralDisk {
            centre: (0.0, 0.0),
            h: 5.0,
            q: 0.8,
            axis: Axis::from_position_angle(0.4),
            flux: [5.0; 3],
            arms: 2,
            pitch: 0.3,
            phase: 1.0,
            sharpness: 3.0,
            contrast: [0.8, 0.6, 0.4],
            start: 3.0,
            lopsided: (0.0, 0.0),
        }
    }

    #[test]
    fn arms_move_light_and_add_none() {
        let mut canvas = Canvas::new(301, 0.4);
        disk().add_to(&mut canvas, 0.0);
        for plane in &canvas.planes {
            let total: f64 = plane.iter().map(|&v| f64::from(v)).sum();
            assert!((total / 5.0 - 1.0).abs() < 0.02, "{total}");
            assert!(plane.iter().all(|&v| v >= 0.0));
        }
    }

    #[test]
    fn a_ridge_is_brighter_than_the_gap_beside_it_and_bluer() {
        let mut canvas = Canvas::new(301, 0.4);
        let disk = disk();
        disk.add_to(&mut canvas, 0.0);
        let pixel = |(x, y): (f32, f32), band: usize| {
            let (column, row) =
                (canvas.index(x).round() as usize, canvas.index(y).round() as usize);
            canvas.planes[band][row * 301 + column]
        };
        for radius in [6.0, 9.0, 13.0] {
            for arm in 0..2 {
                let on = disk.place(radius, arm, 0.0);
                let off = disk.place(radius, arm, std::f64::consts::FRAC_PI_2);
                assert!(pixel(on, 0) > 2.0 * pixel(off, 0), "{radius} {arm}");
                assert!(pixel(on, 0) / pixel(on, 2) > 1.05 * pixel(off, 0) / pixel(off, 2));
            }
        }
    }
}
