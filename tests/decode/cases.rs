//! Cases that an oracle wrote, and how a decoder's answer is held against one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hiwl::cutout::decode::{DecodeOptions, decode};
use hiwl::cutout::{BandImage, Decoded, Payload, Rejection, RgbImage};
use serde_json::Value;

use crate::util::python::oracle;

/// One image and what it holds.
pub struct Case {
    pub name: String,
    folder: PathBuf,
    fields: Value,
}

/// The cases of `decode.py` without further arguments, made once.
pub fn generated() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| run("decode.py", "decode-cases", &[]))
}

/// The cases of `fits_tiles.py` without further arguments, made once.
pub fn compressed() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| run("fits_tiles.py", "fits-tiles", &[]))
}

/// Runs a script with arguments and reads its cases from `folder` under the
/// target directory.
pub fn run(script: &str, folder: &str, arguments: &[&str]) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mut all = vec![folder.to_str().unwrap()];
    all.extend(arguments);
    oracle(script, &all);
    let text = fs::read_to_string(folder.join("cases.json")).unwrap();
    let Value::Array(cases) = serde_json::from_str(&text).unwrap() else { panic!("no list") };
    let case = |fields: Value| Case {
        name: fields["name"].as_str().unwrap().to_owned(),
        folder: folder.clone(),
        fields,
    };
    cases.into_iter().map(case).collect()
}

impl Case {
    fn read(&self, file: &Value) -> Vec<u8> {
        let path = self.folder.join(file.as_str().expect("the name of a file"));
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub fn payload(&self) -> Payload {
        match self.fields.get("per_band") {
            Some(files) => {
                let files = files.as_object().unwrap();
                Payload::PerBand(files.iter().map(|(b, f)| (b.clone(), self.read(f))).collect())
            }
            None => Payload::Single(self.read(&self.fields["single"])),
        }
    }

    pub fn options(&self) -> DecodeOptions {
        let names = |key: &str| -> Option<Vec<String>> {
            let list = self.fields.get("options")?.get(key)?.as_array()?;
            Some(list.iter().map(|n| n.as_str().unwrap().to_owned()).collect())
        };
        let mut options = match names("bands") {
            Some(bands) => DecodeOptions::for_bands(bands.try_into().unwrap()),
            None => DecodeOptions::default(),
        };
        if let Some(order) = names("cube_bands") {
            options.cube_bands = order;
        }
        options
    }

    /// The picture that astropy composes from the bands.
    pub fn composed(&self) -> Option<Vec<u8>> {
        self.fields.get("composed").map(|f| self.read(f))
    }

    /// Stretch, Q and minimum, where they are not the defaults.
    pub fn lupton(&self) -> Option<(f64, f64, [f64; 3])> {
        let how = self.fields.get("lupton")?;
        let minimum = [0, 1, 2].map(|i| how["minimum"][i].as_f64().unwrap());
        Some((how["stretch"].as_f64().unwrap(), how["Q"].as_f64().unwrap(), minimum))
    }

    /// Filter, size and pixels of the enlarged crop.
    pub fn enlarged(&self) -> Option<(String, usize, Vec<u8>)> {
        let how = self.fields.get("enlarged")?;
        let size = how["size"].as_u64().unwrap() as usize;
        Some((how["filter"].as_str().unwrap().to_owned(), size, self.read(&how["rgb"])))
    }

    /// Whether the case is not rejected.
    pub fn decodes(&self) -> bool {
        decode(&self.payload(), &self.options()).is_ok()
    }

    /// Decodes the case and holds the answer against what is expected.
    pub fn check(&self) -> Result<(), String> {
        let answer = decode(&self.payload(), &self.options());
        if self.fields.get("may_reject").is_some() && answer.is_err() {
            return Ok(());
        }
        if let Some(reasons) = self.fields.get("reason") {
            return check_rejection(reasons, answer);
        }
        let answer = answer.map_err(|e| format!("rejected: {e}"))?;
        if self.fields.get("bands").is_none() && self.fields.get("rgb").is_none() {
            return Err("decoded, where the oracle does not".to_owned());
        }
        let size = ["width", "height"].map(|k| self.fields[k].as_u64().unwrap() as usize);
        match answer {
            Decoded::Rgb(image) => self.check_picture(&image, size),
            Decoded::Bands(image) => self.check_bands(&image, size),
        }
    }

    fn check_picture(&self, image: &RgbImage, size: [usize; 2]) -> Result<(), String> {
        if [image.width, image.height] != size {
            return Err(format!("{}×{}, not {size:?}", image.width, image.height));
        }
        let expected = self.read(&self.fields["rgb"]);
        if image.pixels.len() != expected.len() {
            return Err(format!("{} bytes, not {}", image.pixels.len(), expected.len()));
        }
        let tolerance = self.fields.get("tolerance").map_or(0, |t| t.as_u64().unwrap());
        let differences =
            || image.pixels.iter().zip(&expected).map(|(a, b)| u64::from(a.abs_diff(*b)));
        let furthest = differences().max().unwrap_or(0);
        let mean = differences().sum::<u64>() as f64 / expected.len() as f64;
        if furthest > tolerance || mean > 0.75 {
            return Err(format!("differs by up to {furthest}, {mean:.3} on average"));
        }
        Ok(())
    }

    fn check_bands(&self, image: &BandImage, size: [usize; 2]) -> Result<(), String> {
        if [image.width, image.height] != size {
            return Err(format!("{}×{}, not {size:?}", image.width, image.height));
        }
        let bytes = self.read(&self.fields["bands"]);
        let expected: Vec<f32> =
            bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        if image.planes.len() != expected.len() {
            return Err(format!("{} values, not {}", image.planes.len(), expected.len()));
        }
        let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
        if let Some(at) = image.planes.iter().zip(&expected).position(|pair| !same(pair)) {
            return Err(format!("value {at} is {}, not {}", image.planes[at], expected[at]));
        }
        let told = image.note.as_deref().unwrap_or_default();
        let note = self.fields.get("note").map_or("", |note| note.as_str().unwrap());
        if !told.contains(note) || (note.is_empty() && !told.is_empty()) {
            return Err(format!("the note is \"{told}\", not \"{note}\""));
        }
        let Some(centre) = self.fields.get("centre") else { return Ok(()) };
        match (image.centre, centre.as_array()) {
            (None, None) => Ok(()),
            (Some(found), Some(wanted)) => {
                let (ra, dec) = (wanted[0].as_f64().unwrap(), wanted[1].as_f64().unwrap());
                let along = (found.ra - ra + 540.0).rem_euclid(360.0) - 180.0;
                let off = (along * dec.to_radians().cos()).hypot(found.dec - dec);
                // Close to a pole RA itself means little; what counts is the
                // distance on the sky.
                let straight = along.abs() <= 1e-9 || dec.abs() >= 89.0;
                // Astropy derives FK4 numerically, to some microarcseconds.
                let near = off <= 1e-8 && straight && (0.0..360.0).contains(&found.ra);
                if !near {
                    return Err(format!("centre {found:?}, not {ra} {dec}: {off:e} degrees off"));
                }
                Ok(())
            }
            (found, wanted) => Err(format!("centre {found:?}, not {wanted:?}")),
        }
    }
}

fn check_rejection(reasons: &Value, answer: Result<Decoded, Rejection>) -> Result<(), String> {
    let allowed: Vec<&str> = match reasons {
        Value::Array(list) => list.iter().map(|r| r.as_str().unwrap()).collect(),
        one => vec![one.as_str().unwrap()],
    };
    match answer {
        Ok(_) => Err(format!("decoded, should be {allowed:?}")),
        Err(e) if allowed.contains(&e.reason.code()) && !e.detail.is_empty() => Ok(()),
        Err(e) => Err(format!("rejected as {e}, should be {allowed:?}")),
    }
}
