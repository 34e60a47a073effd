//! Cutouts against astropy's `Cutout2D` (the same grid) and `reproject` (another):
//! `tests/oracles/mosaics.py` makes the mosaics and says what they hold.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hiwl::cutout::colour::units::Light;
use hiwl::cutout::decode::DecodeOptions;
use hiwl::cutout::{BandImage, Reason, SkyPosition};
use hiwl::mosaic::{Mosaics, Place, Settings};
use serde::Deserialize;

use crate::util::near::largest;
use crate::util::python::{environment, oracle_of};

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    ra: f64,
    dec: f64,
    size: usize,
    scale: Option<f64>,
    expected: String,
    peak: f32,
}

/// Most that interpolation between the same four pixels may be off, as a part of the
/// peak: what rounding makes of it, and of where the pixels are.
const INTERPOLATED: f64 = 1e-3;

/// The same, and its root mean square, of pixels that are larger than the mosaic's:
/// means over them are taken by other weights than reproject's.
const MEANS: (f64, f64) = (0.05, 0.006);

/// Mosaics whose one image is every band.
fn grey() -> Mosaics {
    let decode = Arc::new(DecodeOptions::for_bands(["r", "r", "r"].map(String::from)));
    Mosaics::new(Settings { decode, ..Settings::default() })
}

fn cut(mosaics: &Mosaics, folder: &Path, case: &Case) -> BandImage {
    let bands = [("r".to_owned(), folder.join(&case.file))];
    let position = SkyPosition { ra: case.ra, dec: case.dec };
    let place = Place { position, pixels: case.size, scale: case.scale };
    mosaics.cut(&bands, &place).unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

fn expected(folder: &Path, case: &Case) -> Vec<f32> {
    let bytes = fs::read(folder.join(&case.expected)).unwrap();
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn cutouts_are_those_of_astropy_and_reproject() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let python = environment("mosaics-venv", "requirements-mosaics.txt");
    let cases = oracle_of(&python, "mosaics.py", &[folder.to_str().unwrap()]);
    let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
    assert!(cases.len() > 240, "{}", cases.len());
    let mosaics = grey();
    let (mut failures, mut same) = (Vec::new(), 0);
    for case in &cases {
        let image = cut(&mosaics, folder, case);
        let (found, expected) = (&image.planes[..case.size * case.size], expected(folder, case));
        assert_eq!(found.len(), expected.len(), "{}", case.name);
        // A mosaic of one band is red, green and blue; NaN is equal to nothing.
        let second = &image.planes[case.size * case.size..][..found.len()];
        assert!(found.iter().zip(second).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", case.name);
        let Some(scale) = case.scale else {
            same += 1;
            let bits = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            let other = found.iter().zip(&expected).filter(|(a, b)| !bits(**a, **b)).count();
            if other > 0 {
                failures.push(format!("{}: {other} pixels differ", case.name));
            }
            continue;
        };
        // Light of an area needs no factor; the scale is what was asked for.
        assert!(matches!(image.light[0], Light::Area(_)), "{:?}", image.light[0]);
        assert!((image.scale().unwrap() / scale - 1.0).abs() < 1e-6);
        let centre = image.centre.unwrap();
        assert!((centre.dec - case.dec).abs() < 1e-9);
        let smaller = scale <= 0.4;
        let (mut most, mut sum, mut both, mut one) = (0.0, 0.0, 0_u32, 0);
        for (a, b) in found.iter().zip(&expected) {
            match (a.is_nan(), b.is_nan()) {
                (false, false) => {
                    let off = f64::from((a - b) / case.peak);
                    most = largest([most, off]);
                    sum += off.powi(2);
                    both += 1;
                }
                (true, true) => {}
                _ => one += 1,
            }
        }
        let rms = (sum / f64::from(both.max(1))).sqrt();
        // Edges fall into other pixels by rounding; means end there otherwise.
        let edge = if smaller { case.size / 8 } else { 4 * case.size };
        let limits = if smaller { (INTERPOLATED, INTERPOLATED) } else { MEANS };
        let near = most <= limits.0 && rms <= limits.1 && one <= edge && both >= 100;
        if !near {
            failures.push(format!(
                "{}: {most:.5} of the peak, {rms:.5} on average; {both} in both, {one} in one",
                case.name
            ));
        }
    }
    assert!(same > 60, "{same}");
    assert!(failures.is_empty(), "{} of {}\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// A mosaic of one band: 32-bit floats on a tangential projection.
pub(super) fn fits(
    (width, height): (usize, usize),
    cards: &[(&str, String)],
    value: impl Fn(usize, usize) -> f32,
) -> Vec<u8> {
    let mut header = vec![
        format!("{:<8}= {:>20}", "SIMPLE", "T"),
        format!("{:<8}= {:>20}", "BITPIX", -32),
        format!("{:<8}= {:>20}", "NAXIS", 2),
        format!("{:<8}= {:>20}", "NAXIS1", width),
        format!("{:<8}= {:>20}", "NAXIS2", height),
    ];
    header.extend(cards.iter().map(|(key, value)| format!("{key:<8}= {value:>20}")));
    header.push("END".to_owned());
    let mut bytes: Vec<u8> = header.iter().flat_map(|c| format!("{c:<80}").into_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    for y in 0..height {
        bytes.extend((0..width).flat_map(|x| value(x, y).to_be_bytes()));
    }
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

/// The cards of a projection around a position whose pixels have 0.4 arcsec, turned by
/// an angle.
pub(super) fn projection(
    crpix: (f64, f64),
    at: (f64, f64),
    angle: f64,
) -> Vec<(&'static str, String)> {
    let scale = 0.4 / 3600.0;
    let (sin, cos) = angle.to_radians().sin_cos();
    let number = |value: f64| format!("{value:.12E}");
    vec![
        ("CTYPE1", "'RA---TAN'".to_owned()),
        ("CTYPE2", "'DEC--TAN'".to_owned()),
        ("CRPIX1", number(crpix.0)),
        ("CRPIX2", number(crpix.1)),
        ("CRVAL1", number(at.0)),
        ("CRVAL2", number(at.1)),
        ("CD1_1", number(-scale * cos)),
        ("CD1_2", number(scale * sin)),
        ("CD2_1", number(scale * sin)),
        ("CD2_2", number(scale * cos)),
    ]
}

/// Where one band does not say its unit, all are told by their sky.
#[test]
fn the_sky_is_measured_in_all_bands_or_in_none() {
    let folder = tempfile::tempdir().unwrap();
    let cut = |silent: &[&str]| {
        let bands = ["i", "r", "g"].map(|band| {
            let mut cards = projection((100.5, 100.5), (30.0, 12.0), 0.0);
            cards.push(("FILTER", format!("'{band}       '")));
            if !silent.contains(&band) {
                cards.push(("BUNIT", "'nanomaggy'".to_owned()));
            }
            let noise = |x: usize, y: usize| ((x * 7919 + y * 104_729) % 101) as f32 / 50.0;
            let path = folder.path().join(format!("{}-{band}.fits", silent.len()));
            fs::write(&path, fits((200, 200), &cards, noise)).unwrap();
            (band.to_owned(), path)
        });
        let position = SkyPosition { ra: 30.0, dec: 12.0 };
        [None, Some(0.3)].map(|scale| {
            Mosaics::default().cut(&bands, &Place { position, pixels: 61, scale }).unwrap().sky
        })
    };
    assert!(cut(&[]).iter().all(Option::is_none));
    for sky in [cut(&["r"]), cut(&["i", "r", "g"])].concat() {
        let noise = sky.unwrap().map(|sky| sky.unwrap().noise);
        assert!(noise.iter().all(|one| *one > 0.0 && (one / noise[0] - 1.0).abs() < 0.02));
    }
}

#[test]
fn light_of_pixels_is_kept_and_bands_with_other_grids_lie_on_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let sky = |u: f64, v: f64| 5.0 + 90.0 * (-(u * u + v * v) / 50.0).exp();
    // The same blob at the same position, on three grids.
    let mut bands = Vec::new();
    for (band, crpix, angle) in
        [("i", (350.25, 350.7), 0.0), ("r", (330.0, 361.75), 33.0), ("g", (341.4, 338.1), 180.0)]
    {
        let mut cards = projection(crpix, (30.0, 12.0), angle);
        cards.push(("BUNIT", "'nanomaggy'".to_owned()));
        cards.push(("FILTER", format!("'{band}       '")));
        let bytes = fits((700, 700), &cards, |x, y| {
            let (dx, dy) = (x as f64 + 1.0 - crpix.0, y as f64 + 1.0 - crpix.1);
            sky(dx, dy) as f32
        });
        let path = folder.path().join(format!("m-{band}.fits"));
        fs::write(&path, bytes).unwrap();
        bands.push((band.to_owned(), path));
    }
    let position = SkyPosition { ra: 30.0, dec: 12.0 };
    let mosaics = Mosaics::default();
    for scale in [None, Some(0.2), Some(0.4), Some(1.1)] {
        let image = mosaics.cut(&bands, &Place { position, pixels: 81, scale }).unwrap();
        let step = scale.unwrap_or(0.4) / 0.4;
        // By whole pixels only, where the grid is the first band's.
        let off = if scale.is_none() { (-0.25, 0.3) } else { (0.0, 0.0) };
        for (channel, plane) in image.planes.chunks_exact(81 * 81).enumerate() {
            for (k, value) in plane.iter().enumerate() {
                let (x, y) = ((k % 81) as f64 - 40.0, (k / 81) as f64 - 40.0);
                let expected = sky(x * step + off.0, y * step + off.1) * step * step;
                let error = (f64::from(*value) - expected).abs() / (step * step);
                // What the mean over a large pixel is off its middle.
                let most = if step > 1.0 { 6.0 } else { 2.0 };
                assert!(error < most, "{scale:?} channel {channel} {x} {y}: {value} {expected}");
            }
            let total: f64 = plane.iter().map(|v| f64::from(*v) - 5.0 * step * step).sum();
            let light = 90.0 * 50.0 * std::f64::consts::PI;
            assert!((total / light - 1.0).abs() < 0.01, "{scale:?} {channel}: {total} {light}");
        }
        assert_eq!(image.light, [0, 1, 2].map(|_| Light::Pixel(1.0)));
    }
}

#[test]
fn each_part_of_a_mosaic_is_read_once_and_the_rest_never() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.fits");
    let (width, height) = (2000, 3000);
    let cards = projection((1000.5, 1500.5), (100.0, -5.0), 0.0);
    fs::write(&path, fits((width, height), &cards, |x, y| (x + 7 * y) as f32)).unwrap();
    let whole = (width * height * 4) as u64;
    let mosaics = grey();
    let at = |row: usize, column: usize| {
        let degrees = 0.4 / 3600.0;
        let (x, y) = (column as f64 - 999.5, row as f64 - 1499.5);
        let dec = -5.0 + y * degrees;
        SkyPosition { ra: 100.0 - x * degrees / dec.to_radians().cos(), dec }
    };
    let bands = [("r".to_owned(), path.clone())];
    let cut = |position| mosaics.cut(&bands, &Place { position, pixels: 64, scale: None });
    // Rows 1400 to 1600: a fifteenth of the file.
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (cut, at) = (&cut, &at);
            scope.spawn(move || {
                for k in 0..40 {
                    cut(at(1440 + 3 * k, 100 + 400 * worker)).unwrap();
                }
            });
        }
    });
    let read = mosaics.bytes_read();
    assert!(read > whole / 20 && read < whole / 10, "{read} of {whole}");
    // What is damaged is said, and what is not there.
    fs::write(&path, b"SIMPLE  =                    T").unwrap();
    let cut = |path: &Path| {
        let bands = [("r".to_owned(), path.to_owned())];
        let place = Place { position: at(1500, 1000), pixels: 64, scale: Some(0.3) };
        grey().cut(&bands, &place).unwrap_err()
    };
    assert_eq!(cut(&path).reason, Reason::Truncated);
    assert_eq!(cut(&folder.path().join("none.fits")).reason, Reason::Missing);
    fs::write(&path, b"<html>").unwrap();
    assert_eq!(cut(&path).reason, Reason::NotAnImage);
    fs::write(&path, b"").unwrap();
    assert_eq!(cut(&path).reason, Reason::Empty);
}
