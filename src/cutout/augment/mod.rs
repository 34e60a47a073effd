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
//! The steps are fused where that changes nothing: the centre crop is never
//! copied, and only those pixels are turned that the random crop keeps.

pub mod crop;
pub mod flip;
mod resize;
pub mod rotate;

use serde::{Deserialize, Serialize};

use self::crop::Window;
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
        }
    }

    /// Whether every value makes sense; if not, which does not.
    ///
    /// # Errors
    /// A phrase for a person.
    pub fn check(&self) -> Result<(), String> {
        let [least, most] = self.scale;
        let [narrow, wide] = self.aspect;
        let chance = |p: f64| (0.0..=1.0).contains(&p);
        let rules = [
            ((32..=4096).contains(&self.crop), "crop is not in 32…4096"),
            ((0.0..=180.0).contains(&self.rotation), "rotation is not in 0…180"),
            (0.0 < least && least <= most && most <= 1.0, "scale is no range in 0…1"),
            (0.0 < narrow && narrow <= wide && wide <= 100.0, "aspect is no range of ratios"),
            (chance(self.horizontal_flip), "horizontal_flip is no probability"),
            (chance(self.vertical_flip), "vertical_flip is no probability"),
            (chance(self.transpose), "transpose is no probability"),
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
}

impl Draws {
    /// What happens to the image `id` when it is shown in `epoch` for the
    /// `repeat`th time (from 0: weighted sampling shows an image more than
    /// once, and each time it is another).
    pub fn new(recipe: &Augmentation, seed: u64, epoch: u32, id: &str, repeat: u32) -> Self {
        let parts: [&[u8]; 3] = [&epoch.to_le_bytes(), id.as_bytes(), &repeat.to_le_bytes()];
        let mut stream = Stream::new("augment", seed, &parts);
        Self {
            angle: stream.uniform(-recipe.rotation, recipe.rotation),
            window: crop::random_window(recipe.crop, recipe.scale, recipe.aspect, &mut || {
                stream.unit()
            }),
            horizontal_flip: stream.chance(recipe.horizontal_flip),
            vertical_flip: stream.chance(recipe.vertical_flip),
            transpose: stream.chance(recipe.transpose),
        }
    }

    /// Nothing happens to the central square of `crop` pixels.
    pub fn none(crop: usize) -> Self {
        Self {
            angle: 0.0,
            window: Window { left: 0, top: 0, width: crop, height: crop },
            horizontal_flip: false,
            vertical_flip: false,
            transpose: false,
        }
    }
}

/// Does it, with buffers that are used again: one a worker.
#[derive(Debug, Default)]
pub struct Augmenter {
    turned: Vec<u8>,
    resize: Resize,
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
        let Window { width, height, .. } = draws.window;
        rotate::nearest(
            rotate::Square { image, left, top, side: crop },
            draws.angle,
            draws.window,
            &mut self.turned,
        );
        let mut pixels = vec![0; size * size * 3];
        self.resize.bilinear(&self.turned, width, height, &mut pixels, size);
        flip::in_place(
            &mut pixels,
            size,
            draws.horizontal_flip,
            draws.vertical_flip,
            draws.transpose,
        );
        Ok(RgbImage { width: size, height: size, pixels })
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
