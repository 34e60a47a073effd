//! Text as pixels: Noto Sans Mono, 16 pixels high, as the crate
//! `noto-sans-mono-bitmap` holds it drawn. A letter that it does not have is a box.
//!
//! Invariant: a text of n characters is n letters wide, whatever they are; what
//! acts on text and is not seen is spelled out before.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::cutout::RgbImage;

/// Height of a line of text, in pixels.
pub(super) const HEIGHT: usize = RasterHeight::Size16.val();

/// Width of a letter, in pixels.
pub(super) const WIDTH: usize = get_raster_width(FontWeight::Regular, RasterHeight::Size16);

/// At most `most` characters of a text, the last of which says that there were more.
pub(super) fn fitted(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept = text.chars().take(most.saturating_sub(2));
    kept.collect::<String>() + ".."
}

/// Draws text with its upper left corner at (`left`, `top`); what lies outside the
/// picture is not drawn.
pub(super) fn draw(on: &mut RgbImage, left: usize, top: usize, text: &str, ink: [u8; 3]) {
    for (place, letter) in text.chars().enumerate() {
        let left = left + place * WIDTH;
        match get_raster(letter, FontWeight::Regular, RasterHeight::Size16) {
            Some(drawn) => {
                for (y, row) in drawn.rows().enumerate() {
                    for (x, strength) in row.iter().enumerate() {
                        blend(on, left + x, top + y, ink, *strength);
                    }
                }
            }
            None => {
                // A box, as wide as a letter with its gaps.
                for y in 3..HEIGHT - 3 {
                    for x in 1..WIDTH - 1 {
                        let edge = y == 3 || y == HEIGHT - 4 || x == 1 || x == WIDTH - 2;
                        blend(on, left + x, top + y, ink, if edge { 160 } else { 0 });
                    }
                }
            }
        }
    }
}

fn blend(on: &mut RgbImage, x: usize, y: usize, ink: [u8; 3], strength: u8) {
    if x >= on.width || y >= on.height {
        return;
    }
    let at = 3 * (y * on.width + x);
    for (under, ink) in on.pixels[at..at + 3].iter_mut().zip(ink) {
        let mixed =
            u32::from(*under) * u32::from(255 - strength) + u32::from(ink) * u32::from(strength);
        *under = ((mixed + 127) / 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> Vec<u8> {
        let mut paper = RgbImage { width: 60, height: 20, pixels: vec![255; 60 * 20 * 3] };
        draw(&mut paper, 2, 2, text, [0; 3]);
        paper.pixels
    }

    #[test]
    fn letters_differ_and_unknown_ones_are_boxes() {
        let texts = ["SPI", "SPl", "CRS", "é", "ş", "银"];
        for (at, text) in texts.iter().enumerate() {
            assert!(drawn(text).iter().any(|value| *value < 100), "{text}");
            assert!(texts[..at].iter().all(|other| drawn(other) != drawn(text)), "{text}");
        }
        assert_eq!(drawn("银"), drawn("河"));
        // Beyond the edge nothing is drawn, and nothing fails.
        drawn(&"W".repeat(100));
    }

    #[test]
    fn what_does_not_fit_says_so() {
        assert_eq!(fitted("587722981736120347", 10), "58772298..");
        assert_eq!(fitted("NGC 1300", 8), "NGC 1300");
        assert_eq!(fitted("äöüäöü", 4), "äö..");
    }
}
