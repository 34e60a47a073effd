//! Real galaxies: SDSS images in three bands, and the pictures of the
//! training set.

use std::fs;
use std::io::Read;

use hiwl::cutout::Payload;
use hiwl::cutout::colour::{self, Calibration};
use hiwl::cutout::decode::{DecodeOptions, decode};
use hiwl::cutout::prepare::{Preparation, prepare};

use super::{cases, hold, picture};
use crate::util::real_data;

#[test]
fn sdss_images_and_their_colours() {
    let Some(data) = real_data() else { return };
    let cases = cases::run("decode.py", "decode-efigi", &[data.join("fits").to_str().unwrap()]);
    hold(cases.iter().collect(), 10);
    let profile = colour::profile("lupton").unwrap();
    for case in &cases {
        let decoded = decode(&case.payload(), &case.options()).unwrap();
        let hiwl::cutout::Decoded::Bands(bands) = decoded else { panic!("bands") };
        let composed = profile.compose(&bands, &Calibration::NONE);
        let expected = case.composed().unwrap();
        let differ = composed.pixels.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert_eq!((composed.pixels.len(), differ), (expected.len(), 0), "{}", case.name);
    }
}

#[test]
fn training_originals_are_close_to_pillow() {
    let Some(data) = real_data() else { return };
    let mut files: Vec<String> = fs::read_dir(data.join("jpeg424"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "jpg"))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert_eq!(files.len(), 60);
    let mut arguments = vec!["--jpeg"];
    arguments.extend(files.iter().map(String::as_str));
    hold(cases::run("decode.py", "decode-jpeg424", &arguments).iter().collect(), 60);
}

#[test]
fn crops_of_crops_are_crops_of_originals() {
    let Some(data) = real_data() else { return };
    let preparation = Preparation::new(240, colour::profile("lupton").unwrap().clone());
    let options = DecodeOptions::default();
    let crop = |bytes: Vec<u8>| {
        let decoded = decode(&Payload::Single(bytes), &options).unwrap();
        prepare(&decoded, &preparation, None).unwrap().picture
    };
    let mut archive = tar::Archive::new(fs::File::open(data.join("galaxies/val-00.tar")).unwrap());
    let (mut all, mut seen) = (0, 0);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().file_name().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        // Every one has to decode, whether its original is here or not.
        let small = crop(bytes);
        all += 1;
        let Ok(original) = fs::read(data.join("jpeg424").join(&name)) else { continue };
        assert_eq!(small, crop(original), "{}", name.display());
        seen += 1;
    }
    assert_eq!((all, seen), (2_878, 60));
}

#[test]
fn real_jpegs_cut_anywhere_are_truncated() {
    let Some(data) = real_data() else { return };
    let options = DecodeOptions::default();
    for entry in fs::read_dir(data.join("jpeg424")).unwrap().take(12) {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "jpg") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let whole = picture(decode(&Payload::Single(bytes.clone()), &options).unwrap());
        assert_eq!((whole.width, whole.height), (424, 424));
        let near_the_end = bytes.len() - 300..bytes.len();
        for end in (1..bytes.len()).step_by(bytes.len() / 50).chain(near_the_end) {
            let e = decode(&Payload::Single(bytes[..end].to_vec()), &options).unwrap_err();
            assert_eq!(e.reason.code(), "truncated", "{} cut at {end}: {e}", path.display());
        }
    }
}
