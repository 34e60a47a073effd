//! The colours of a survey's JPEG, for cutouts that are written as such.
//!
//! They are those of the profile `sdss`, by the same code with which catalogs are
//! made: a galaxy has one look, whether it is written as a JPEG or as bands.

use crate::cutout::RgbImage;
use crate::cutout::colour::{self, Method, Profile, Stretch};

/// The profile of the pictures.
fn profile() -> &'static Profile {
    colour::profile("sdss").expect("the profile is part of the program")
}

/// The stretch for pixels of `pixel` arcseconds.
fn stretch(method: &Method, pixel: f64) -> Stretch {
    // The formula takes the light of the survey's pixels, which a smaller one
    // has only a part of.
    let area = method.pixel().map_or(1.0, |survey| (survey / pixel).powi(2));
    method.stretch([area; 3])
}

/// The picture, row 0 in the north, of bands g, r and i in nanomaggies a pixel
/// of `pixel` arcseconds, row 0 in the south.
pub(super) fn picture(bands: &[Vec<f32>; 3], size: usize, pixel: f64) -> RgbImage {
    let stretch = stretch(&profile().method, pixel);
    let [g, r, i] = bands;
    let mut pixels = vec![0; size * size * 3];
    for (row, out) in (0..size).rev().zip(pixels.chunks_exact_mut((3 * size).max(1))) {
        let line = row * size..(row + 1) * size;
        let fluxes = [&i[line.clone()], &r[line.clone()], &g[line]];
        stretch.line(fluxes, [0.0; 3], out.as_chunks_mut().0);
    }
    RgbImage { width: size, height: size, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutout::BandImage;
    use crate::cutout::colour::Calibration;

    /// The survey's own.
    const PIXEL: f64 = 0.396;

    #[test]
    fn north_is_up_and_bands_are_colours() {
        let mut bands = [vec![0.0; 4], vec![0.0; 4], vec![0.0; 4]];
        bands[2][0] = 0.4; // i, south-east
        bands[0][3] = 0.4; // g, north-west
        let picture = picture(&bands, 2, PIXEL);
        let pixel = |k: usize| &picture.pixels[3 * k..3 * k + 3];
        let black = pixel(0);
        assert!(pixel(2)[0] > 40 && pixel(2)[2] == black[2], "bottom left is red");
        assert!(pixel(1)[2] > 40 && pixel(1)[0] == black[0], "top right is blue");
        assert!(black.iter().all(|b| *b < 8), "{black:?}");
    }

    #[test]
    fn light_of_an_area_looks_the_same_in_pixels_of_any_size() {
        let bands = |flux: f32| [vec![0.4 * flux], vec![flux], vec![1.4 * flux]];
        let survey = picture(&bands(1.0), 1, PIXEL);
        let finer = picture(&bands(0.25), 1, PIXEL / 2.0);
        assert_eq!(survey, finer);
        assert!(survey.pixels[1] > 100);
    }

    #[test]
    fn pictures_are_what_a_catalog_makes_of_the_bands() {
        let bands = [0, 1, 2].map(|band| -> Vec<f32> {
            (0..64).map(|k| ((k * (band + 2)) % 17) as f32 * 0.3 - 0.1).collect()
        });
        let planes = [2, 1, 0].map(|band: usize| bands[band].clone()).concat();
        let image = BandImage::plain(8, 8, planes);
        assert_eq!(picture(&bands, 8, PIXEL), profile().compose(&image, &Calibration::NONE));
    }
}
