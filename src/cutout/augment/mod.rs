//! Augmentation: the same galaxy, turned, scaled and mirrored, a little
//! different in every epoch (paper, section 4.2 and figure 4).
//!
//! The steps and their arithmetic are torchvision's on PIL images, which the
//! paper used: centre crop → [`rotate`] by the nearest pixel, corners black →
//! [`crop`] of random area and aspect, resized with PIL's bilinear filter →
//! [`flip`]s. All chance is in [`Draws`], which depend on seed, epoch and id
//! alone; all pixels are in [`Augmenter::apply`], which has no chance. Scaling
//! to 0…1 and normalising is left to the network's first layer.
//!
//! What the paper does not do, so that a model bears other surveys: mirrored
//! edges in place of black ones ([`turn`]), another scale, and another stretch,
//! colour, sharpness and noise ([`light`]).
//!
//! The steps are fused where that changes nothing: the centre crop is never
//! copied, and only those pixels are turned that the random crop keeps.

pub mod crop;
pub mod flip;
pub mod light;
mod resize;
pub mod rotate;
pub mod turn;

use serde::{Deserialize, Serialize};

use self::crop::Window;
use self::light::{Lamp, Light};
use self::resize::Resize;
use super::{Reason, Rejection, RgbImage};
use crate::random::Stream;

/// What may happen to an image, in the order in which it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Side of the central square that is kept at first, in pixels.
    pub crop: usize,
    /// It is turned by an angle uniform between minus and plus this, in
    /// degrees; 0 for never, 180 for any orientation.
    pub rotation: f64,
    /// Of which a part is kept whose area, as a fraction, is uniform in this
    /// range …
    pub scale: [f64; 2],
    /// … and whose width through height is log-uniform in this one, resized
    /// to the size of training.
    pub aspect: [f64; 2],
    /// Probability of a mirror image, left to right.
    pub horizontal_flip: f64,
    /// Probability of a mirror image, top to bottom.
    pub vertical_flip: f64,
    /// Probability of rows and columns changing places. With ½ here and in
    /// both flips, all eight orientations of a square are equally likely.
    pub transpose: f64,
    /// What is where the image ends.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fill: Fill,
    /// Galaxies appear so many times as large, log-uniform in this range; below
    /// 1 the image may end inside the picture, which takes a mirrored edge.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub zoom: [f64; 2],
    /// Their flux is so many times as large below an asinh stretch (Lupton et
    /// al. 2004, Q = 8), log-uniform in this range.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stretch: [f64; 2],
    /// Pixels are so many times as bright, log-uniform in this range.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub brightness: [f64; 2],
    /// Each channel is multiplied by a number whose natural logarithm is
    /// uniform between minus and plus this.
    #[serde(default, skip_serializing_if = "is_default")]
    pub colour: f64,
    /// Standard deviation of a Gaussian blur in pixels of the result, uniform
    /// in this range; less than a fifth of a pixel is none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub blur: [f64; 2],
    /// Standard deviation of the noise that is added, 1 being white, uniform in
    /// this range.
    #[serde(default, skip_serializing_if = "is_default")]
    pub noise: [f64; 2],
}

/// What is where an image ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// Black, from the edge of the square on, as the paper has it; turned
    /// pixels are the nearest ones.
    #[default]
    Black,
    /// The mirror image, from the edge of the image on; turned pixels are
    /// interpolated.
    Mirror,
}

fn one() -> [f64; 2] {
    [1.0, 1.0]
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(range: &[f64; 2]) -> bool {
    *range == one()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Augmentation {
    /// The paper's.
    pub fn paper() -> Self {
        Self {
            crop: 256,
            rotation: 25.0,
            scale: [0.9, 1.0],
            aspect: [3.0 / 4.0, 4.0 / 3.0],
            horizontal_flip: 0.5,
            vertical_flip: 0.5,
            transpose: 0.0,
            ..Self::none(256)
        }
    }

    /// Nothing but the central square of `crop` pixels: what validation sees.
    pub fn none(crop: usize) -> Self {
        Self {
            crop,
            rotation: 0.0,
            scale: [1.0, 1.0],
            aspect: [1.0, 1.0],
            horizontal_flip: 0.0,
            vertical_flip: 0.0,
            transpose: 0.0,
            fill: Fill::Black,
            zoom: one(),
            stretch: one(),
            brightness: one(),
            colour: 0.0,
            blur: [0.0, 0.0],
            noise: [0.0, 0.0],
        }
    }

    /// Whether nothing happens but that the central square is cut out: every
    /// epoch sees the same picture.
    pub fn does_nothing(&self) -> bool {
        *self == Self { fill: self.fill, ..Self::none(self.crop) }
    }

    /// Whether every value makes sense; if not, which does not.
    ///
    /// # Errors
    /// A phrase for a person.
    pub fn check(&self) -> Result<(), String> {
        let [least, most] = self.scale;
        let [narrow, wide] = self.aspect;
        let chance = |p: f64| (0.0..=1.0).contains(&p);
        let range = |[low, high]: [f64; 2], least: f64, most: f64| {
            least <= low && low <= high && high <= most
        };
        let mirrors = self.fill == Fill::Mirror;
        let rules = [
            ((32..=4096).contains(&self.crop), "crop is not in 32…4096"),
            ((0.0..=180.0).contains(&self.rotation), "rotation is not in 0…180"),
            (0.0 < least && least <= most && most <= 1.0, "scale is no range in 0…1"),
            (0.0 < narrow && narrow <= wide && wide <= 100.0, "aspect is no range of ratios"),
            (chance(self.horizontal_flip), "horizontal_flip is no probability"),
            (chance(self.vertical_flip), "vertical_flip is no probability"),
            (chance(self.transpose), "transpose is no probability"),
            (range(self.zoom, 0.25, 4.0), "zoom is no range in 0.25…4"),
            (mirrors || is_one(&self.zoom), "zoom takes fill = \"mirror\""),
            (range(self.stretch, 0.01, 100.0), "stretch is no range in 0.01…100"),
            (range(self.brightness, 0.1, 10.0), "brightness is no range in 0.1…10"),
            ((0.0..=1.0).contains(&self.colour), "colour is not in 0…1"),
            (range(self.blur, 0.0, 8.0), "blur is no range in 0…8"),
            (range(self.noise, 0.0, 0.5), "noise is no range in 0…0.5"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err((*what).into()),
            None => Ok(()),
        }
    }
}

/// What happens to one image: every random number, drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draws {
    /// Side of the central square that is turned, in pixels.
    pub side: usize,
    /// What is where the image ends.
    pub fill: Fill,
    /// Degrees, counter-clockwise.
    pub angle: f64,
    /// What is kept of the central square.
    pub window: Window,
    /// Left to right.
    pub horizontal_flip: bool,
    /// Top to bottom.
    pub vertical_flip: bool,
    /// Rows and columns change places, after the flips.
    pub transpose: bool,
    /// What happens to the light.
    pub light: Light,
}

impl Draws {
    /// What happens to the image `id` when it is shown in `epoch` for the
    /// `repeat`th time (from 0: weighted sampling shows an image more than
    /// once, and each time it is another).
    pub fn new(recipe: &Augmentation, seed: u64, epoch: u32, id: &str, repeat: u32) -> Self {
        let parts: [&[u8]; 3] = [&epoch.to_le_bytes(), id.as_bytes(), &repeat.to_le_bytes()];
        let mut stream = Stream::new("augment", seed, &parts);
        // Of their own, so that they change nothing in a recipe without them.
        let mut more = Stream::new("augment light", seed, &parts);
        let zoom = light::log_uniform(&mut more, recipe.zoom);
        let side = ((recipe.crop as f64 / zoom).round() as usize).max(1);
        Self {
            side,
            fill: recipe.fill,
            angle: stream.uniform(-recipe.rotation, recipe.rotation),
            window: crop::random_window(side, recipe.scale, recipe.aspect, &mut || stream.unit()),
            horizontal_flip: stream.chance(recipe.horizontal_flip),
            vertical_flip: stream.chance(recipe.vertical_flip),
            transpose: stream.chance(recipe.transpose),
            light: Light::draw(recipe, &mut more),
        }
    }

    /// Nothing happens to the central square of `crop` pixels.
    pub fn none(crop: usize) -> Self {
        Self {
            side: crop,
            fill: Fill::Black,
            angle: 0.0,
            window: Window { left: 0, top: 0, width: crop, height: crop },
            horizontal_flip: false,
            vertical_flip: false,
            transpose: false,
            light: Light::NONE,
        }
    }
}

/// Does it, with buffers that are used again: one a worker.
#[derive(Debug, Default)]
pub struct Augmenter {
    turned: Vec<u8>,
    resize: Resize,
    lamp: Lamp,
}

impl Augmenter {
    /// One without buffers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The central `crop` × `crop` square of an image, turned, cropped,
    /// resized to `size` × `size`, mirrored.
    ///
    /// # Errors
    /// [`Reason::TooSmall`] if the image is smaller than the square. (torchvision
    /// would surround it with black, and the network would learn the frame.)
    ///
    /// # Panics
    /// If the draws' window is empty or leaves the square, or `size` is 0:
    /// [`Draws::new`] makes no such window.
    pub fn apply(
        &mut self,
        image: &RgbImage,
        crop: usize,
        draws: &Draws,
        size: usize,
    ) -> Result<RgbImage, Rejection> {
        let (left, top) = centre(image, crop)?;
        let &Draws { side, angle, window, .. } = draws;
        let Window { width, height, .. } = window;
        match draws.fill {
            Fill::Black => {
                let square = rotate::Square { image, left, top, side };
                rotate::nearest(square, angle, window, &mut self.turned);
            }
            Fill::Mirror => turn::mirrored_edges(image, side, angle, window, &mut self.turned),
        }
        let mut pixels = vec![0; size * size * 3];
        self.resize.bilinear(&self.turned, width, height, &mut pixels, size);
        flip::in_place(
            &mut pixels,
            size,
            draws.horizontal_flip,
            draws.vertical_flip,
            draws.transpose,
        );
        let mut image = RgbImage { width: size, height: size, pixels };
        self.lamp.apply(&mut image, &draws.light);
        Ok(image)
    }
}

/// Where the central square begins: left, top. Half a pixel goes to the even
/// side, as Python rounds.
fn centre(image: &RgbImage, crop: usize) -> Result<(usize, usize), Rejection> {
    let RgbImage { width, height, .. } = *image;
    if width < crop || height < crop {
        let detail = format!("{width}×{height} pixels where {crop}×{crop} are cut out");
        return Err(Rejection::new(Reason::TooSmall, detail));
    }
    let start = |room: usize| (room as f64 / 2.0).round_ties_even() as usize;
    Ok((start(width - crop), start(height - crop)))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
