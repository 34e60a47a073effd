//! What else is in the cutout: galaxies and stars at random places.
//!
//! Numbers rise towards faint magnitudes as counts of galaxies and stars at
//! high galactic latitude do. Stars reach magnitude 13, where the middle of
//! their image saturates.
//!
//! Invariant: nothing that could be taken for the object itself lies within its
//! R90, so that labels stay true.

use std::f64::consts::PI;

use rand::Rng;

use super::random::Draw;
use super::render::psf::{Psf, Star};
use super::render::sersic::Sersic;
use super::render::{Axis, Canvas};
use super::scene::{Colour, nanomaggies};

/// Cutouts are this many R90 wide.
pub(super) const WIDTH_IN_R90: f64 = 8.48;

/// Galaxies and stars a square arcminute down to [`FAINTEST`].
const GALAXIES: f64 = 6.0;
const STARS: f64 = 6.0;
/// The faintest neighbour, in r.
const FAINTEST: f64 = 22.0;
/// Only neighbours fainter than this may lie on the galaxy.
const HARMLESS: f64 = 21.0;

/// The neighbours of a galaxy.
#[derive(Debug, Clone)]
pub(super) struct Field {
    galaxies: Vec<Sersic>,
    stars: Vec<Star>,
}

impl Field {
    pub(super) fn draw(rng: &mut impl Rng, r90: f64) -> Self {
        let width = WIDTH_IN_R90 * r90;
        let area = (width / 60.0).powi(2);
        let mut galaxies = Vec::new();
        for _ in 0..rng.poisson(GALAXIES * area) {
            // Euclidean counts, N(<m) ~ 10^(0.6 m), flatten where evolution and
            // K-corrections set in.
            let magnitude = magnitude(rng, 0.45, 16.0);
            let centre = place(rng, width);
            // The size-magnitude relation, roughly, and what seeing leaves of it.
            let re = (0.9 * 10f64.powf(0.12 * (20.0 - magnitude))) * rng.normal(0.0, 0.3).exp();
            let red = rng.between(0.0, 1.5);
            let galaxy = Sersic {
                centre,
                n: if rng.chance(0.4) { rng.between(2.0, 4.0) } else { 1.0 },
                re: re as f32,
                q: rng.between(0.25, 1.0) as f32,
                axis: Axis::from_position_angle(rng.between(0.0, PI)),
                flux: Colour::galaxy(rng, red).flux(nanomaggies(magnitude)),
            };
            if is_apart(centre, r90, magnitude) {
                galaxies.push(galaxy);
            }
        }
        let mut stars = Vec::new();
        for _ in 0..rng.poisson(STARS * area) {
            let magnitude = magnitude(rng, 0.22, 13.0);
            let centre = place(rng, width);
            // The stellar locus: red dwarfs keep g - r and grow in r - i.
            let s = rng.between(0.0, 1.0);
            let colour = Colour {
                g_r: (0.25 + 1.6 * s).min(1.35) + rng.normal(0.0, 0.03),
                r_i: 0.08 + 0.4 * s + (3.0 * (s - 0.65)).max(0.0) + rng.normal(0.0, 0.02),
            };
            if is_apart(centre, r90, magnitude) {
                stars.push(Star { centre, flux: colour.flux(nanomaggies(magnitude)) });
            }
        }
        Self { galaxies, stars }
    }

    pub(super) fn add_galaxies(&self, canvas: &mut Canvas, faintest: f32) {
        for galaxy in &self.galaxies {
            galaxy.add_to(canvas, faintest);
        }
    }

    pub(super) fn add_stars(&self, canvas: &mut Canvas, seeing: Psf, faintest: f32) {
        for star in &self.stars {
            seeing.add_star(canvas, star, faintest);
        }
    }
}

/// A magnitude between `brightest` and [`FAINTEST`] whose counts rise as
/// `10^(slope m)`.
fn magnitude(rng: &mut impl Rng, slope: f64, brightest: f64) -> f64 {
    let (least, most) = (10f64.powf(slope * brightest), 10f64.powf(slope * FAINTEST));
    rng.between(least, most).log10() / slope
}

/// A place in the cutout, or just outside, from where it still shines in.
fn place(rng: &mut impl Rng, width: f64) -> (f32, f32) {
    let half = 0.5 * width + 3.0;
    (rng.between(-half, half) as f32, rng.between(-half, half) as f32)
}

fn is_apart(centre: (f32, f32), r90: f64, magnitude: f64) -> bool {
    // A bright one shines from further away.
    let needed = r90 * (1.2 + 0.15 * (18.0 - magnitude).max(0.0));
    magnitude > HARMLESS || f64::from(centre.0.hypot(centre.1)) > needed
}

#[cfg(test)]
mod tests {
    use super::super::random::{Purpose, generator};
    use super::*;

    #[test]
    fn nothing_bright_lies_on_the_galaxy() {
        for k in 0..300 {
            let field = Field::draw(&mut generator(2, k, Purpose::Field), 10.0);
            let limit = nanomaggies(HARMLESS) as f32;
            let stars = field.stars.iter().map(|s| (s.centre, s.flux));
            let galaxies = field.galaxies.iter().map(|s| (s.centre, s.flux));
            for (centre, flux) in stars.chain(galaxies) {
                assert!(flux[1] < limit * 1.001 || centre.0.hypot(centre.1) > 12.0);
            }
        }
    }

    #[test]
    fn counts_rise_towards_the_faint() {
        let mut rng = generator(2, 0, Purpose::Field);
        let draws: Vec<f64> = (0..20_000).map(|_| magnitude(&mut rng, 0.45, 16.0)).collect();
        assert!(draws.iter().all(|m| (16.0..=FAINTEST).contains(m)));
        let brighter = draws.iter().filter(|&&m| m < 21.0).count() as f64 / 20_000.0;
        assert!((brighter - 10f64.powf(-0.45)).abs() < 0.01, "{brighter}");
    }
}
