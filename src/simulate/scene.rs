//! What a cutout shows: the galaxy, drawn by its class, and its field.
//!
//! [`Scene::draw`] chooses the parameters and [`Scene::render`] makes pixels of
//! them with the parts of [`super::render`]. Sizes come from the Petrosian R90,
//! brightness from surface brightnesses usual for the class at r < 17, colours
//! from those of red and blue galaxies at redshifts below 0.15.
//!
//! Invariant: classes stay apart by construction. Axis ratios of the three
//! smooth classes do not overlap; only spirals have arms; only edge-on galaxies
//! are disks with a sech² profile, a bulge or dust.

use std::f64::consts::{PI, TAU};

use rand::Rng;

use crate::simulate::Class;

use super::field::Field;
use super::random::Draw;
use super::render::edge_on::{DustLane, EdgeOnDisk};
use super::render::noise::{SKY, SURVEY_PIXEL, expose};
use super::render::psf::Psf;
use super::render::resample::{MARGIN, resample};
use super::render::sersic::Sersic;
use super::render::spiral::SpiralDisk;
use super::render::{Axis, Canvas, Flux};
use super::sersic::r90_over_re;

/// Light below this share of the sky's noise is not drawn.
const NEGLIGIBLE: f32 = 0.02;

/// Arcseconds between two arms that seeing still separates well.
const RESOLVED: f64 = 3.2;

/// Colours g - r and r - i in magnitudes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Colour {
    pub(super) g_r: f64,
    pub(super) r_i: f64,
}

impl Colour {
    /// From red (1) to blue (0): the sequence along which galaxies lie, with
    /// its scatter.
    pub(super) fn galaxy(rng: &mut impl Rng, red: f64) -> Self {
        Self { g_r: rng.normal(0.42 + 0.45 * red, 0.05), r_i: rng.normal(0.20 + 0.20 * red, 0.025) }
    }

    /// Fluxes in g, r and i of an r-band flux.
    pub(super) fn flux(self, r: f64) -> Flux {
        [r * 10f64.powf(-0.4 * self.g_r), r, r * 10f64.powf(0.4 * self.r_i)].map(|f| f as f32)
    }
}

/// Nanomaggies of a magnitude.
pub(super) fn nanomaggies(magnitude: f64) -> f64 {
    10f64.powf(0.4 * (22.5 - magnitude))
}

/// The galaxy in the middle, in parts.
#[derive(Debug, Clone)]
pub(super) enum Galaxy {
    /// One profile: the smooth classes.
    Smooth(Sersic),
    /// A disk seen from its side, its bulge, and perhaps dust.
    EdgeOn { disk: EdgeOnDisk, bulge: Sersic, dust: Option<DustLane> },
    /// A disk with arms; bulge, bar and the knots along the arms.
    Spiral { disk: SpiralDisk, parts: Vec<Sersic> },
}

/// All that a cutout shows.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) galaxy: Galaxy,
    field: Field,
    seeing: Psf,
    /// Errors of the bands' registration in arcseconds.
    shifts: [(f32, f32); 3],
}

impl Scene {
    /// Chooses the galaxy from one generator and its field from another.
    pub(super) fn draw(
        class: Class,
        petro_r90: f64,
        galaxy: &mut impl Rng,
        field: &mut impl Rng,
    ) -> Self {
        // The catalog's position is good to a fraction of a pixel.
        let centre = (galaxy.normal(0.0, 0.05) as f32, galaxy.normal(0.0, 0.05) as f32);
        let axis = Axis::from_position_angle(galaxy.between(0.0, PI));
        let drawn = match class {
            Class::Crs => {
                let (n, q) = (galaxy.between(2.0, 5.0), galaxy.between(0.87, 1.0));
                Galaxy::Smooth(smooth(galaxy, petro_r90, centre, axis, n, q))
            }
            Class::Ibs => {
                let (n, q) = (galaxy.between(1.5, 4.5), galaxy.between(0.45, 0.80));
                Galaxy::Smooth(smooth(galaxy, petro_r90, centre, axis, n, q))
            }
            Class::Css => {
                let (n, q) = (galaxy.between(0.7, 1.4), galaxy.between(0.20, 0.38));
                Galaxy::Smooth(smooth(galaxy, petro_r90, centre, axis, n, q))
            }
            Class::Eo => edge_on(galaxy, petro_r90, centre, axis),
            Class::Spi => spiral(galaxy, petro_r90, centre, axis),
        };
        let shifts = std::array::from_fn(|band| match band {
            1 => (0.0, 0.0), // positions are measured in r
            _ => (field.normal(0.0, 0.04) as f32, field.normal(0.0, 0.04) as f32),
        });
        Self {
            galaxy: drawn,
            seeing: Psf::from_fwhm(field.normal(1.3, 0.1) as f32),
            field: Field::draw(field, petro_r90),
            shifts,
        }
    }

    /// Renders it in g, r and i: nanomaggies a pixel of `pixel` arcseconds, row
    /// 0 in the south, column 0 in the east.
    pub(super) fn render(&self, size: usize, pixel: f64, noise: &mut impl Rng) -> [Vec<f32>; 3] {
        let (mut canvas, faintest) = self.sharp(size, pixel);
        self.seeing.blur(&mut canvas);
        self.field.add_stars(&mut canvas, self.seeing, faintest);
        expose(&mut canvas, noise);
        resample(&canvas, size, pixel as f32, self.shifts)
    }

    /// Its galaxies as no atmosphere blurs them, for a picture of `size` pixels of `pixel`
    /// arcseconds, and what is too faint to be drawn.
    fn sharp(&self, size: usize, pixel: f64) -> (Canvas, f32) {
        let working = pixel.max(f64::from(SURVEY_PIXEL));
        let side = (size as f64 * pixel / working).ceil() as usize + 2 * MARGIN;
        let mut canvas = Canvas::new(side, working as f32);
        let faintest = NEGLIGIBLE * SKY[0] * (working as f32 / SURVEY_PIXEL);
        self.galaxy.add_to(&mut canvas, faintest);
        self.field.add_galaxies(&mut canvas, faintest);
        (canvas, faintest)
    }

    /// The same with a seeing (FWHM, arcseconds) of its own in each band, and the bands
    /// moved by so many arcseconds.
    pub(super) fn render_bands(
        &self,
        size: usize,
        pixel: f64,
        noise: &mut impl Rng,
        seeing: [f32; 3],
        shifts: [(f32, f32); 3],
    ) -> [Vec<f32>; 3] {
        let (sharp, faintest) = self.sharp(size, pixel);
        let planes = [0, 1, 2].map(|band| {
            let (mut canvas, psf) = (sharp.clone(), Psf::from_fwhm(seeing[band]));
            psf.blur(&mut canvas);
            self.field.add_stars(&mut canvas, psf, faintest);
            std::mem::take(&mut canvas.planes[band])
        });
        let mut canvas = Canvas { planes, ..sharp };
        expose(&mut canvas, noise);
        resample(&canvas, size, pixel as f32, shifts)
    }
}

impl Galaxy {
    /// Adds its light, without seeing or noise.
    pub(super) fn add_to(&self, canvas: &mut Canvas, faintest: f32) {
        match self {
            Self::Smooth(sersic) => sersic.add_to(canvas, faintest),
            Self::EdgeOn { disk, bulge, dust } => {
                disk.add_to(canvas);
                bulge.add_to(canvas, faintest);
                if let Some(lane) = dust {
                    lane.dim(canvas);
                }
            }
            Self::Spiral { disk, parts } => {
                disk.add_to(canvas, faintest);
                for part in parts {
                    part.add_to(canvas, faintest);
                }
            }
        }
    }
}

/// Round, in between or cigar-shaped: one Sérsic profile. Cigars are fainter
/// and, being mostly disks without a visible bulge, bluer.
fn smooth(rng: &mut impl Rng, r90: f64, centre: (f32, f32), axis: Axis, n: f64, q: f64) -> Sersic {
    let re = r90 / r90_over_re(n, q);
    let (mean_brightness, red) = match n {
        n if n < 1.5 => (rng.normal(19.6, 0.35), rng.between(0.1, 0.9)),
        _ if rng.chance(0.12) => (rng.normal(19.5, 0.3), rng.between(0.0, 0.4)),
        _ => (rng.normal(19.0 - 0.1 * (n - 3.0), 0.3), rng.between(0.75, 1.1)),
    };
    let flux = TAU * re * re * q * nanomaggies(mean_brightness);
    let flux = Colour::galaxy(rng, red).flux(flux);
    Sersic { centre, n, re: re as f32, q: q as f32, axis, flux }
}

/// An edge-on disk with its bulge; two in three show dust.
fn edge_on(rng: &mut impl Rng, r90: f64, centre: (f32, f32), axis: Axis) -> Galaxy {
    let h = r90 / 2.7;
    let z0 = h * rng.between(0.18, 0.34);
    let red = rng.between(0.2, 0.95);
    let central = nanomaggies(rng.normal(18.4, 0.35));
    let flux = central * TAU * h * z0;
    let disk = EdgeOnDisk {
        centre,
        h: h as f32,
        z0: z0 as f32,
        axis,
        flux: Colour::galaxy(rng, red).flux(flux),
    };
    let share = rng.between(0.08, 0.30);
    let bulge = Sersic {
        centre,
        n: rng.between(1.5, 3.0),
        re: (h * rng.between(0.22, 0.4)) as f32,
        q: rng.between(0.55, 0.85) as f32,
        axis,
        flux: Colour::galaxy(rng, (red + 0.4).min(1.1)).flux(flux * share / (1.0 - share)),
    };
    let dust = rng.chance(0.67).then(|| {
        let depth = rng.between(0.4, 1.4);
        DustLane {
            centre,
            across: (z0 * rng.normal(0.0, 0.35)) as f32,
            thickness: (z0 * rng.between(0.25, 0.45)) as f32,
            length: (h * rng.between(1.2, 2.0)) as f32,
            axis,
            // Extinction of the Milky Way's law, A_g : A_r : A_i.
            depth: [1.39, 1.0, 0.74].map(|a| (a * depth) as f32),
        }
    });
    Galaxy::EdgeOn { disk, bulge, dust }
}

/// A disk at up to sixty degrees of inclination, with two to four arms.
fn spiral(rng: &mut impl Rng, r90: f64, centre: (f32, f32), axis: Axis) -> Galaxy {
    let q = rng.between(0.5, 1.0);
    let h = r90 / (3.7 * (0.55 + 0.45 * q));
    let red = rng.between(0.0, 0.45);
    let colour = Colour::galaxy(rng, red);
    let central = nanomaggies(rng.normal(19.2, 0.3));
    let light = central * TAU * h * h;
    let bulge_share = rng.between(0.04, 0.22);
    let bar = rng.chance(0.35).then(|| h * rng.between(0.7, 1.1));
    let mut arms = match rng.between(0.0, 1.0) {
        x if x < 0.65 => 2,
        x if x < 0.85 => 3,
        _ => 4,
    };
    // Arms closer than seeing separates would be a smooth disk with the label of
    // a spiral: fewer arms, or more open ones. Distances are across the arms at
    // two scale lengths on the minor axis.
    let mut pitch = rng.between(12.0, 28.0);
    let distance =
        |arms: u32, pitch: f64| TAU * 2.0 * h * q * pitch.to_radians().sin() / f64::from(arms);
    while arms > 2 && distance(arms, pitch) < RESOLVED {
        arms -= 1;
    }
    while pitch < 35.0 && distance(arms, pitch) < RESOLVED {
        pitch += 1.0;
    }
    let winding = if rng.chance(0.5) { 1.0 } else { -1.0 };
    let contrast = rng.between(0.50, 0.80);
    let disk = SpiralDisk {
        centre,
        h: h as f32,
        q: q as f32,
        axis,
        flux: colour.flux(light),
        arms,
        pitch: winding * pitch.to_radians(),
        phase: rng.between(0.0, TAU),
        sharpness: rng.between(1.5, 3.8),
        // Young stars are in the arms: more of g is there than of i.
        contrast: [1.2, 1.0, 0.85].map(|c| (c * contrast) as f32),
        start: bar.unwrap_or(h * rng.between(0.3, 0.6)) as f32,
        lopsided: (rng.between(0.0, 0.15) as f32, rng.between(0.0, TAU)),
    };
    // Bulges and bars are redder than their disks.
    let old = Colour::galaxy(rng, (red + 0.5).min(1.0));
    let mut parts = vec![Sersic {
        centre,
        n: rng.between(1.0, 2.5),
        re: (h * rng.between(0.18, 0.35)) as f32,
        q: (0.5 + 0.5 * q) as f32,
        axis,
        flux: old.flux(light * bulge_share / (1.0 - bulge_share)),
    }];
    if let Some(length) = bar {
        // It ends where the arms begin: the angle of an arm at that radius.
        let (x, y) = disk.place(length, 0, 0.0);
        let (dx, dy) = (f64::from(x - centre.0), f64::from(y - centre.1));
        parts.push(Sersic {
            centre,
            n: 0.6,
            re: (0.45 * dx.hypot(dy)) as f32,
            q: rng.between(0.22, 0.36) as f32,
            axis: Axis::from_position_angle((-dx).atan2(dy)),
            flux: old.flux(light * rng.between(0.06, 0.14)),
        });
    }
    let knots = rng.random_range(8..40);
    for _ in 0..knots {
        let radius = h * rng.between(0.8, 3.4);
        let arm = rng.random_range(0..arms);
        let ahead = rng.normal(0.0, 0.35 / f64::from(arms));
        let young = Colour { g_r: rng.normal(0.15, 0.1), r_i: rng.normal(0.05, 0.05) };
        let knot_light = light * rng.between(0.001, 0.006) * (-0.3 * radius / h).exp();
        parts.push(Sersic {
            centre: disk.place(radius, arm, ahead),
            n: 0.5,
            re: rng.between(0.3, 0.7) as f32,
            q: 1.0,
            axis,
            flux: young.flux(knot_light),
        });
    }
    Galaxy::Spiral { disk, parts }
}
