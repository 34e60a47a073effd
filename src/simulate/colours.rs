//! The colours of a survey's JPEG, for cutouts that are written as such.
//!
//! It imitates what SDSS's image server did, with an asinh stretch after Lupton
//! et al. (2004, PASP 116, 133) whose constants were set by eye and by the
//! background, centres and noise of Galaxy Zoo 2's JPEGs. Turning real bands
//! into colours is the work of [`crate::cutout::rgb`], whose profiles this
//! neither uses nor defines.

use crate::cutout::RgbImage;

use super::render::noise::SURVEY_PIXEL;
use super::table::Table;

/// Weights of i, r and g, which become R, G and B.
const WEIGHTS: [f32; 3] = [0.86, 1.04, 1.62];
/// Brightness of a faint pixel: output (0 to 1) a nanomaggy a survey pixel.
const GAIN: f32 = 0.80;
/// Where the stretch turns from linear to logarithmic: output is
/// `asinh(SOFTENING · x) / SOFTENING`.
const SOFTENING: f32 = 6.0;
/// Output of an empty sky in R, G and B.
const BLACK: [f32; 3] = [0.014, 0.014, 0.007];

/// Makes JPEG colours of bands.
#[derive(Debug)]
pub(super) struct Stretch {
    /// `asinh(SOFTENING · x) / (SOFTENING · x)` by x.
    compression: Table,
}

impl Stretch {
    pub(super) fn new() -> Self {
        let ratio = |x: f64| {
            let x = x * f64::from(SOFTENING);
            x.asinh() / x
        };
        Self { compression: Table::new(-12, 14, ratio) }
    }

    /// The picture, row 0 in the north, of bands g, r and i in nanomaggies a
    /// pixel of `pixel` arcseconds, row 0 in the south.
    pub(super) fn picture(&self, bands: &[Vec<f32>; 3], size: usize, pixel: f32) -> RgbImage {
        let area = (SURVEY_PIXEL / pixel).powi(2);
        let scale = WEIGHTS.map(|w| w * GAIN * area);
        let [g, r, i] = bands;
        let mut pixels = Vec::with_capacity(size * size * 3);
        for row in (0..size).rev() {
            let line = row * size..(row + 1) * size;
            for ((&g, &r), &i) in g[line.clone()].iter().zip(&r[line.clone()]).zip(&i[line]) {
                let colour = [scale[0] * i, scale[1] * r, scale[2] * g];
                let intensity = (colour[0] + colour[1] + colour[2]) * (1.0 / 3.0);
                let factor = self.compression.at(intensity) * 255.0;
                // One factor for the three keeps the hue until a channel is full.
                let byte = |k: usize| (colour[k] * factor + BLACK[k] * 255.0 + 0.5) as u8;
                pixels.extend([byte(0), byte(1), byte(2)]);
            }
        }
        RgbImage { width: size, height: size, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn north_is_up_and_bands_are_colours() {
        let mut bands = [vec![0.0; 4], vec![0.0; 4], vec![0.0; 4]];
        bands[2][0] = 1.0; // i, south-east
        bands[0][3] = 1.0; // g, north-west
        let picture = Stretch::new().picture(&bands, 2, SURVEY_PIXEL);
        let pixel = |k: usize| &picture.pixels[3 * k..3 * k + 3];
        let black = BLACK.map(|b| (b * 255.0 + 0.5) as u8);
        assert!(pixel(2)[0] > 40 && pixel(2)[2] == black[2], "bottom left is red");
        assert!(pixel(1)[2] > 40 && pixel(1)[0] == black[0], "top right is blue");
        assert_eq!(pixel(0), black);
    }

    #[test]
    fn brighter_is_brighter_until_it_is_white() {
        let stretch = Stretch::new();
        let mut last = 0;
        for step in 0..40 {
            let value = 1e-3 * 1.5f32.powi(step);
            let bands = [vec![value; 1], vec![value; 1], vec![value; 1]];
            let green = stretch.picture(&bands, 1, SURVEY_PIXEL).pixels[1];
            assert!(green >= last);
            last = green;
        }
        assert_eq!(last, 255);
    }
}
