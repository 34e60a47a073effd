//! Bands to colours, against the formulas as others publish them.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs;

use hiwl::cutout::colour::{self, Calibration, Method};
use hiwl::cutout::prepare::{Preparation, prepare};
use hiwl::cutout::{BandImage, Decoded, RgbImage};

use super::util::python::oracle;

const WIDTH: usize = 64;
const HEIGHT: usize = 48;

#[test]
fn every_profile_is_its_formula() {
    let folder = tempfile::tempdir().unwrap();
    let names = oracle("colours.py", &[folder.path().to_str().unwrap()]);
    let names: Vec<&str> = names.lines().collect();
    let known: Vec<&str> = colour::profiles().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, known);
    let planes = fs::read(folder.path().join("planes.f32")).unwrap();
    let planes: Vec<f32> = planes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let bands = BandImage::plain(WIDTH, HEIGHT, planes);
    let calibration = Calibration { factors: [1.25, 1.0, 0.75], ..Calibration::NONE };
    for profile in colour::profiles() {
        let picture = profile.compose(&bands, &calibration);
        let expected = fs::read(folder.path().join(format!("{}.rgb", profile.name))).unwrap();
        assert_eq!(picture.pixels.len(), expected.len(), "{}", profile.name);
        let off = |by: u8| {
            picture.pixels.iter().zip(&expected).filter(|(a, b)| a.abs_diff(**b) > by).count()
        };
        // astropy computes in f32 as we do; the others in f64, where a value on
        // the edge between two bytes falls to either side.
        let allowed = match profile.method {
            Method::LuptonAsinh(_) => 0,
            Method::WeightedAsinh(_) | Method::LegacyViewer(_) => expected.len() / 500,
        };
        assert!(off(0) <= allowed && off(1) == 0, "{}: {} differ", profile.name, off(0));
        let (least, most) = (picture.pixels.iter().min(), picture.pixels.iter().max());
        assert!(least < Some(&40) && most == Some(&255), "{}", profile.name);
    }
}

#[test]
fn scales_are_means_over_area_or_pillows_interpolation() {
    let folder = tempfile::tempdir().unwrap();
    let steps = oracle("colours.py", &[folder.path().to_str().unwrap(), "--scales"]);
    let pixels = fs::read(folder.path().join("picture.rgb")).unwrap();
    let picture = Decoded::Rgb(RgbImage { width: 90, height: 110, pixels });
    let mut preparation = Preparation::new(32, colour::profile("sdss").unwrap().clone());
    preparation.given.pixel_scale = Some(1.0);
    let mut seen = 0;
    for step in steps.lines() {
        let expected = fs::read(folder.path().join(format!("{step}.rgb"))).unwrap();
        let radius = step.parse::<f64>().unwrap() / preparation.scale_per_radius;
        let crop = prepare(&picture, &preparation, Some(radius)).unwrap().picture;
        let furthest = crop.pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
        // Pillow's and ours round to fixed point after each direction, not alike.
        assert!(furthest <= Some(2), "{step}: {furthest:?}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}
