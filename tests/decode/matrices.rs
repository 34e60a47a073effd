//! JPEGs and PNGs of every kind, whole and damaged, against libjpeg-turbo and
//! Pillow: whatever is decoded is decoded to the same pixels, and whatever the
//! oracle warns of, or does not read, is rejected.

use std::fs;
use std::path::Path;

use hiwl::cutout::decode::{DecodeOptions, decode};
use hiwl::cutout::{Decoded, Payload, RgbImage};
use serde_json::Value;

use crate::util::python::oracle;

/// What became of a matrix of files.
#[derive(Default)]
struct Tally {
    read: usize,
    rejected: usize,
    failures: Vec<String>,
}

/// Runs the oracle and decodes what it wrote.
fn run(script: &str) -> Tally {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("matrix-{script}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let cases: Vec<Value> =
        serde_json::from_str(&oracle(script, &[folder.to_str().unwrap()])).unwrap();
    let mut tally = Tally::default();
    for case in &cases {
        let name = case["file"].as_str().unwrap();
        let bytes = fs::read(folder.join(name)).unwrap();
        match decode(&Payload::Single(bytes), &DecodeOptions::default()) {
            Ok(Decoded::Rgb(image)) => {
                tally.read += 1;
                if let Err(why) = check(&image, case, &folder) {
                    tally.failures.push(format!("{name}: {why}"));
                }
            }
            Ok(Decoded::Bands(_)) => tally.failures.push(format!("{name}: bands")),
            Err(_) if case["must"] == false => tally.rejected += 1,
            Err(rejection) => tally.failures.push(format!("{name}: {rejection}")),
        }
    }
    tally
}

fn check(image: &RgbImage, case: &Value, folder: &Path) -> Result<(), String> {
    if case["warned"] == true {
        return Err("decoded, of which the oracle warns".to_owned());
    }
    let expected = case["rgb"].as_str().ok_or("decoded, which the oracle does not")?;
    let expected = fs::read(folder.join(expected)).unwrap();
    let size = ["width", "height"].map(|key| case[key].as_u64().unwrap() as usize);
    if [image.width, image.height] != size || image.pixels.len() != expected.len() {
        return Err(format!("{}×{}, not {size:?}", image.width, image.height));
    }
    let apart = || image.pixels.iter().zip(&expected).map(|(a, b)| u64::from(a.abs_diff(*b)));
    let (furthest, sum) = (apart().max().unwrap_or(0), apart().sum::<u64>());
    let mean = sum as f64 / expected.len() as f64;
    let tolerance = case["tolerance"].as_u64().unwrap();
    // 255 says that pixels are not compared.
    if furthest > tolerance || (mean > 1.0 && tolerance < 255) {
        return Err(format!("differs by up to {furthest}, {mean:.3} on average"));
    }
    Ok(())
}

impl Tally {
    #[track_caller]
    fn hold(self, read: usize, rejected: usize) {
        let Self { read: r, rejected: n, failures } = self;
        let shown = &failures[..failures.len().min(60)];
        assert!(failures.is_empty(), "{} failures\n{}", failures.len(), shown.join("\n"));
        assert!(r >= read && n >= rejected, "{r} read, {n} rejected");
    }
}

#[test]
fn jpegs_are_those_of_libjpeg_turbo() {
    run("jpeg.py").hold(820, 1_500);
}

#[test]
fn pngs_are_those_of_pillow() {
    run("png.py").hold(330, 2_000);
}
