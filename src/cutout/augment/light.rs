//! What telescopes and picture makers do to pixels, within what surveys do:
//! another stretch, brightness and colour, another seeing, another noise.
//!
//! The random numbers are in [`Light`]; what they do, here. Order: blur,
//! stretch and gains (one table a channel), noise, as in a camera.

use super::super::RgbImage;
use super::Augmentation;
use crate::random::Stream;

/// Softening of the stretch: Lupton et al. 2004's `Q`, as in SDSS pictures.
const SOFTENING: f64 = 8.0;

/// Blurs below this many pixels change nothing that 8 bits could hold.
const LEAST_BLUR: f64 = 0.2;

/// What happens to the light of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Light {
    /// Flux is multiplied by it below an asinh stretch.
    pub stretch: f64,
    /// Pixels are multiplied by it: red, green, blue.
    pub gains: [f64; 3],
    /// Standard deviation of a Gaussian, in pixels of the result.
    pub blur: f64,
    /// Standard deviation of what is added, 1 being white.
    pub noise: f64,
    /// Of the noise.
    pub seed: u64,
}

impl Light {
    /// Nothing happens.
    pub const NONE: Self = Self { stretch: 1.0, gains: [1.0; 3], blur: 0.0, noise: 0.0, seed: 0 };

    /// Draws what the recipe allows.
    pub(super) fn draw(recipe: &Augmentation, stream: &mut Stream) -> Self {
        let stretch = log_uniform(stream, recipe.stretch);
        let brightness = log_uniform(stream, recipe.brightness);
        let colour = recipe.colour.exp();
        let gains = [0; 3].map(|_| brightness * log_uniform(stream, [1.0 / colour, colour]));
        let blur = stream.uniform(recipe.blur[0], recipe.blur[1]);
        let noise = stream.uniform(recipe.noise[0], recipe.noise[1]);
        // As large as `f64` holds whole numbers.
        let seed = (stream.unit() * (1u64 << 53) as f64) as u64;
        let light = Self { stretch, gains, blur, noise, seed };
        // What changes nothing is the same as nothing.
        if (Self { seed: 0, ..light }) == Self::NONE { Self::NONE } else { light }
    }
}

/// A number whose logarithm is uniform in a range; exactly 1 in 1…1.
pub(super) fn log_uniform(stream: &mut Stream, [low, high]: [f64; 2]) -> f64 {
    stream.uniform(low.ln(), high.ln()).exp()
}

/// Does it, with buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Lamp {
    line: Vec<f32>,
    across: Vec<f32>,
    sum: Vec<f32>,
}

impl Lamp {
    /// Changes an image.
    pub(super) fn apply(&mut self, image: &mut RgbImage, light: &Light) {
        if light.blur >= LEAST_BLUR {
            self.blur(image, light.blur);
        }
        if light.stretch != 1.0 || light.gains != [1.0; 3] {
            let tables = light.gains.map(|gain| table(light.stretch, gain));
            for pixel in image.pixels.as_chunks_mut::<3>().0 {
                for (value, table) in pixel.iter_mut().zip(&tables) {
                    *value = table[usize::from(*value)];
                }
            }
        }
        if light.noise > 0.0 {
            add_noise(&mut image.pixels, light.noise, light.seed);
        }
    }

    /// A Gaussian blur, one axis after the other, edges mirrored.
    fn blur(&mut self, image: &mut RgbImage, sigma: f64) {
        let radius = ((3.0 * sigma).ceil() as usize).min(image.width.min(image.height) - 1);
        let weights: Vec<f64> =
            (0..=radius).map(|i| (-((i * i) as f64) / (2.0 * sigma * sigma)).exp()).collect();
        let total = weights[0] + 2.0 * weights[1..].iter().sum::<f64>();
        let weights: Vec<f32> =
            (0..=2 * radius).map(|i| (weights[i.abs_diff(radius)] / total) as f32).collect();
        let (width, height) = (image.width, image.height);
        let row = 3 * width;
        self.across.clear();
        self.across.resize(height * row, 0.0);
        for (pixels, out) in image.pixels.chunks_exact(row).zip(self.across.chunks_exact_mut(row)) {
            self.line.clear();
            for x in 0..width + 2 * radius {
                let from = 3 * mirrored(x as isize - radius as isize, width);
                self.line.extend(pixels[from..from + 3].iter().map(|&v| f32::from(v)));
            }
            for (i, &weight) in weights.iter().enumerate() {
                add(out, &self.line[3 * i..3 * i + row], weight);
            }
        }
        for (y, pixels) in image.pixels.chunks_exact_mut(row).enumerate() {
            self.sum.clear();
            self.sum.resize(row, 0.5);
            for (i, &weight) in weights.iter().enumerate() {
                let from = row * mirrored((y + i) as isize - radius as isize, height);
                add(&mut self.sum, &self.across[from..from + row], weight);
            }
            for (pixel, &sum) in pixels.iter_mut().zip(&self.sum) {
                *pixel = sum as u8;
            }
        }
    }
}

/// `out += from · weight`.
fn add(out: &mut [f32], from: &[f32], weight: f32) {
    for (out, from) in out.iter_mut().zip(from) {
        *out += from * weight;
    }
}

/// Where a pixel beyond the edges of `0..size` is taken from: the edge is a
/// mirror, the pixel on it not seen twice.
#[inline]
pub(super) fn mirrored(at: isize, size: usize) -> usize {
    let last = size as isize - 1;
    if last == 0 {
        return 0;
    }
    let at = at.rem_euclid(2 * last);
    at.min(2 * last - at) as usize
}

/// What becomes of each value under an asinh stretch of another flux, then
/// times `gain`. With `v = asinh(Q·I)/Q` that of a flux `k·I` is
/// `asinh(k·sinh(Q·v))/Q`.
fn table(stretch: f64, gain: f64) -> [u8; 256] {
    std::array::from_fn(|value| {
        let value = value as f64 / 255.0;
        let stretched = match stretch {
            1.0 => value,
            _ => (stretch * (SOFTENING * value).sinh()).asinh() / SOFTENING,
        };
        (stretched * gain * 255.0).round().clamp(0.0, 255.0) as u8
    })
}

/// Adds noise that is as good as normal: the sum of four uniform numbers of 16
/// bits, which ends at 3.5 standard deviations.
fn add_noise(pixels: &mut [u8], sigma: f64, seed: u64) {
    // The variance of a uniform number of 2¹⁶ values is (2³² − 1) / 12.
    let scale = (255.0 * sigma / (4.0 * (f64::from(u32::MAX) / 12.0)).sqrt()) as f32;
    let mut state = seed;
    for pixel in pixels {
        // SplitMix64 (Steele, Lea & Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ z >> 31;
        let sum = (z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48);
        let noise = (sum as f32 - 131_070.0) * scale;
        *pixel = (f32::from(*pixel) + noise + 0.5) as u8;
    }
}

#[cfg(test)]
#[path = "light_tests.rs"]
mod tests;
