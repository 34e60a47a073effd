//! Decoding, colours and crops against Pillow, astropy and numpy.
//!
//! `tests/oracles/decode.py` writes some three hundred odd images and what they hold;
//! its head comment describes a case.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails as its test does")]

mod cards;
mod cases;
mod hostile;
mod matrices;
mod real;
mod threads;
mod tiles;

use hiwl::cutout::colour::{self, Calibration, Lupton, Method};
use hiwl::cutout::decode::decode;
use hiwl::cutout::prepare::{Preparation, Resample, prepare};
use hiwl::cutout::{Decoded, RgbImage};

use self::cases::{Case, generated};

/// Holds the generated cases of one family, those whose names start with
/// `prefix`, against what the oracle expects.
fn hold_against_oracle(prefix: &str, at_least: usize) {
    hold(generated().iter().filter(|c| c.name.starts_with(prefix)).collect(), at_least);
}

fn hold(cases: Vec<&Case>, at_least: usize) {
    assert!(cases.len() >= at_least, "only {} cases", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| case.check().err().map(|why| format!("{}: {why}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn jpegs_are_close_to_pillow() {
    hold_against_oracle("jpeg-", 60);
}

#[test]
fn pngs_are_exact() {
    hold_against_oracle("png-", 30);
}

#[test]
fn tile_compressed_images_are_exact() {
    hold_against_oracle("tiled-", 40);
}

#[test]
fn centres_are_those_of_wcslib() {
    hold_against_oracle("wcs-", 90);
}

#[test]
fn fits_layouts_and_numbers_are_exact() {
    let others = ["jpeg-", "png-", "tiled-", "wcs-"];
    let cases = generated().iter().filter(|c| !others.iter().any(|p| c.name.starts_with(p)));
    hold(cases.collect(), 70);
}

#[test]
fn colours_are_those_of_astropy() {
    for case in generated() {
        let Some(composed) = case.composed() else { continue };
        let Ok(Decoded::Bands(bands)) = decode(&case.payload(), &case.options()) else {
            panic!("{} does not decode", case.name)
        };
        let mut profile = colour::profile("lupton").unwrap().clone();
        if let Some((stretch, q, minimum)) = case.lupton() {
            profile.method = Method::LuptonAsinh(Lupton { stretch, q, minimum });
        }
        let picture = profile.compose(&bands, &Calibration::NONE);
        let differ = picture.pixels.iter().zip(&composed).filter(|(a, b)| a != b).count();
        assert_eq!(picture.pixels.len(), composed.len(), "{}", case.name);
        assert_eq!(differ, 0, "{}: bytes that differ from astropy's", case.name);
    }
}

#[test]
fn enlarging_is_that_of_pillow() {
    let mut seen = 0;
    for case in generated() {
        let Some((filter, size, expected)) = case.enlarged() else { continue };
        let resample = match filter.as_str() {
            "bilinear" => Resample::Bilinear,
            "lanczos3" => Resample::Lanczos3,
            other => panic!("unknown filter {other}"),
        };
        let profile = colour::profile("lupton").unwrap().clone();
        let mut preparation = Preparation::new(size, profile);
        preparation.resample = Some(resample);
        let decoded = decode(&case.payload(), &case.options()).unwrap();
        let out = prepare(&decoded, &preparation, None).unwrap().picture;
        assert_eq!((out.width, out.height), (size, size));
        let furthest = out.pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
        // Both round to fixed point after each direction, not alike.
        assert!(furthest.unwrap() <= 2, "{}: {furthest:?}", case.name);
        seen += 1;
    }
    assert_eq!(seen, 2);
}

/// The picture in a decoded cutout, which must be one.
fn picture(decoded: Decoded) -> RgbImage {
    match decoded {
        Decoded::Rgb(image) => image,
        Decoded::Bands(_) => panic!("bands where a picture is expected"),
    }
}
