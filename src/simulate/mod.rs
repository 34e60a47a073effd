//! Galaxies of the five classes, rendered from a seed as survey cutouts.
//!
//! They look like Galaxy Zoo 2's at a glance, carry their labels, and exist in
//! any number: fixtures, load tests, and a training set that a network can
//! learn from. They are no substitute for a survey: nothing may be concluded
//! from them about real galaxies.
//!
//! The files, in the order in which a galaxy meets them: `truth` (class,
//! position, size), `scene` and `field` (what the cutout shows), `render`
//! (pixels), `colours` and `fits` (what is written of them), [`write()`] (many), `mosaics`
//! (many in a survey's own images).
//!
//! Invariant: a galaxy depends on the seed, its index and the choice of classes
//! alone, so that a range can be made anywhere, in any order, by any number of
//! threads. Pixels are the same to the last bit on one machine; on another the
//! mathematical functions of its C library may differ in theirs.

mod class;
mod colours;
mod encode;
mod error;
mod field;
mod fits;
mod mosaics;
mod random;
mod render;
mod scene;
mod sersic;
mod table;
mod truth;
pub mod votes;
mod write;

pub use class::Class;
pub use error::SimulateError;
pub use mosaics::{A_MOSAIC, write_mosaics};
pub use truth::{Classes, Truth};
pub use write::{Format, SimulateOptions, SimulateReport, TAR_MEMBERS, write};

use field::WIDTH_IN_R90;
use random::{Purpose, generator};
use scene::Scene;

/// The bands of a simulated galaxy, in the order of its planes.
pub const BANDS: [&str; 3] = ["g", "r", "i"];

/// The smallest and the largest side of a cutout in pixels.
pub const SIZES: std::ops::RangeInclusive<usize> = 32..=4096;

/// An unbounded sequence of galaxies.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    seed: u64,
    size: usize,
    classes: Classes,
}

/// A galaxy and its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedGalaxy {
    /// What it is and where.
    pub truth: Truth,
    /// Pixels a side.
    pub size: usize,
    /// Arcseconds a pixel: Galaxy Zoo 2's 0.02 R90 for 424 pixels, and for
    /// other sizes what shows the same field.
    pub pixel_scale: f64,
    /// g, r and i ([`BANDS`]) in nanomaggies a pixel, sky subtracted:
    /// `size × size` values each, row 0 in the south, column 0 in the east.
    pub bands: [Vec<f32>; 3],
}

impl Simulation {
    /// The galaxies of a seed: classes in turn, 424 pixels a side.
    pub fn new(seed: u64) -> Self {
        Self { seed, size: 424, classes: Classes::Balanced }
    }

    /// The same galaxies in cutouts of another size; the field of view stays.
    ///
    /// # Errors
    /// [`SimulateError::Size`] outside of [`SIZES`].
    pub fn with_size(self, size: usize) -> Result<Self, SimulateError> {
        if !SIZES.contains(&size) {
            return Err(SimulateError::Size { size });
        }
        Ok(Self { size, ..self })
    }

    /// Galaxies of other classes.
    ///
    /// # Errors
    /// [`SimulateError::Weights`] if no class can be drawn.
    pub fn with_classes(self, classes: Classes) -> Result<Self, SimulateError> {
        if !classes.is_valid() {
            return Err(SimulateError::Weights);
        }
        Ok(Self { classes, ..self })
    }

    /// What is true of one galaxy, without its pixels.
    pub fn truth(&self, index: u64) -> Truth {
        Truth::draw(self.seed, index, &self.classes)
    }

    /// One galaxy.
    pub fn galaxy(&self, index: u64) -> SimulatedGalaxy {
        let truth = self.truth(index);
        let pixel_scale = WIDTH_IN_R90 * truth.petro_r90 / self.size as f64;
        let bands = self.scene(index, &truth).render(
            self.size,
            pixel_scale,
            &mut generator(self.seed, index, Purpose::Noise),
        );
        SimulatedGalaxy { truth, size: self.size, pixel_scale, bands }
    }

    /// One galaxy on a grid and with a seeing of a survey's own: what is true of it, its
    /// position aside, and its g, r and i.
    fn stamp(
        &self,
        index: u64,
        size: usize,
        pixel: f64,
        seeing: [f32; 3],
        shifts: [(f32, f32); 3],
    ) -> (Truth, [Vec<f32>; 3]) {
        let truth = self.truth(index);
        let noise = &mut generator(self.seed, index, Purpose::Noise);
        let bands = self.scene(index, &truth).render_bands(size, pixel, noise, seeing, shifts);
        (truth, bands)
    }

    fn scene(&self, index: u64, truth: &Truth) -> Scene {
        Scene::draw(
            truth.class,
            truth.petro_r90,
            &mut generator(self.seed, index, Purpose::Morphology),
            &mut generator(self.seed, index, Purpose::Field),
        )
    }
}

#[cfg(test)]
mod tests;
