//! Tile-compressed FITS against astropy, and its damage.

use std::thread;

use fitsio::FitsFile;
use fitsio::images::{ImageDescription, ImageType, WriteImage};
use hiwl::cutout::decode::{DecodeOptions, decode};
use hiwl::cutout::{Decoded, Payload, Rejection};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cases::{self, Case, compressed};
use super::hold;

#[path = "../../fuzz/fuzz_targets/checks.rs"]
#[allow(dead_code, reason = "one of many checks")]
mod checks;

#[test]
fn tiles_hold_what_astropy_reads() {
    hold(compressed().iter().collect(), 600);
}

#[test]
fn tiles_that_cfitsio_writes_hold_what_astropy_reads() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let (width, height) = (200, 150);
    let mut paths = Vec::new();
    for (how, scale) in [
        ("R", ""),
        ("R 50,40", ""),
        ("G", ""),
        ("G 200,150", ""),
        ("H 200,50", "s 1"),
        ("H 200,150", "s 3"),
        ("HS 200,150", "s 4"),
    ] {
        for kind in [ImageType::Short, ImageType::Long, ImageType::Float, ImageType::Double] {
            for quantised in ["q 4", "qz 4", "q0 4"] {
                let floats = matches!(kind, ImageType::Float | ImageType::Double);
                if !floats && quantised != "q 4" {
                    continue;
                }
                let more = [scale, if floats { quantised } else { "" }].join(" ");
                let more = if more.trim().is_empty() { String::new() } else { format!(";{more}") };
                let path = folder.path().join(format!("{}.fits", paths.len()));
                let name = format!("{}[compress {how}{more}]", path.display());
                let mut planes = || -> Vec<f64> {
                    let sky = |_| 100.0 * random.random::<f64>();
                    (0..width * height).map(sky).collect()
                };
                let planes = [planes(), planes(), planes()];
                match kind {
                    ImageType::Short => write(&name, kind, &planes, |v| v as i16),
                    ImageType::Long => write(&name, kind, &planes, |v| 1000 * v as i32),
                    ImageType::Float => write(&name, kind, &planes, |v| v as f32),
                    _ => write(&name, kind, &planes, |v| v),
                }
                paths.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    let mut arguments = vec!["--read"];
    arguments.extend(paths.iter().map(String::as_str));
    hold(cases::run("fits_tiles.py", "fits-tiles-cfitsio", &arguments).iter().collect(), 56);

    /// Writes three images of 200 × 150.
    fn write<T: WriteImage + Clone>(
        name: &str,
        kind: ImageType,
        planes: &[Vec<f64>],
        value: impl Fn(f64) -> T,
    ) {
        let description = ImageDescription { data_type: kind, dimensions: &[150, 200] };
        let mut file = FitsFile::create(name).open().unwrap();
        for (plane, band) in planes.iter().zip(["g", "r", "i"]) {
            let values: Vec<T> = plane.iter().map(|v| value(*v)).collect();
            let hdu = file.create_image(band.to_owned(), &description).unwrap();
            hdu.write_image(&mut file, &values).unwrap();
        }
    }
}

/// An answer that compares bit by bit, NaN included.
fn bits(bytes: &[u8]) -> Result<Vec<u32>, Rejection> {
    match decode(&Payload::Single(bytes.to_vec()), &DecodeOptions::default())? {
        Decoded::Bands(image) => Ok(image.planes.iter().map(|v| v.to_bits()).collect()),
        Decoded::Rgb(_) => panic!("a picture"),
    }
}

fn single(name: &str) -> Vec<u8> {
    let case = compressed().iter().find(|c| c.name == name);
    let Payload::Single(bytes) = case.unwrap_or_else(|| panic!("{name}")).payload() else {
        panic!("{name} is one file")
    };
    bytes
}

#[test]
fn every_flipped_bit_is_the_same_answer_each_time() {
    let names = [
        "RICE_1-i2-rows-23x17",
        "RICE_1-f4-whole-23x17",
        "GZIP_1-i4-whole-23x17",
        "GZIP_2-f8-lossless",
        "HCOMPRESS_1-i2-whole-23x17",
        "HCOMPRESS_1-f4-blocks-23x17",
        "HCOMPRESS_1-i4-scale5-smooth1-23x17",
        "PLIO_1-i2-rows-23x17",
        "NOCOMPRESS-i4-whole-23x17",
        "uncompressed-f4",
        "blank-column",
    ];
    let counts = thread::scope(|scope| {
        let threads: Vec<_> =
            names.map(|name| scope.spawn(move || flip_every_bit(&single(name)))).into();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for (name, (flips, rejected)) in names.iter().zip(counts) {
        assert!(flips > 40_000, "{name}: {flips}");
        // Comments, padding and low bits are most of a file.
        assert!(rejected > flips / 50, "{name}: {rejected} of {flips} rejected");
    }
}

/// Decodes a file with each bit flipped, past its first header, twice.
fn flip_every_bit(bytes: &[u8]) -> (usize, usize) {
    let other = bits(bytes);
    let (mut flips, mut rejected) = (0, 0);
    let mut damaged = bytes.to_vec();
    for bit in 2880 * 8..bytes.len() * 8 {
        damaged[bit / 8] ^= 1 << (bit % 8);
        let answer = bits(&damaged);
        // Padding is no part of a file, and most keywords say nothing here.
        if answer != other {
            assert_eq!(answer, bits(&damaged), "bit {bit}");
        }
        rejected += usize::from(answer.is_err());
        flips += 1;
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    (flips, rejected)
}

#[test]
fn larger_files_survive_pages_of_zeros_and_random_bytes() {
    // HIWL_SOAK=300 makes it a soak test.
    let rounds = std::env::var("HIWL_SOAK").map_or(40, |rounds| rounds.parse().unwrap());
    let mut random = ChaCha8Rng::seed_from_u64(rounds);
    let files: Vec<&Case> = compressed()
        .iter()
        .filter(|c| c.name.ends_with("-large") || c.name.contains("255x131"))
        .collect();
    assert!(files.len() > 80, "{}", files.len());
    let (mut tried, mut rejected) = (0, 0);
    for case in files {
        let whole = single(&case.name);
        for _ in 0..if case.name.ends_with("-large") { rounds } else { rounds / 8 } {
            let mut damaged = whole.clone();
            for _ in 0..random.random_range(1..=3) {
                let at = random.random_range(2880..damaged.len());
                let page = damaged.len().min((at | 0xFFF) + 1);
                match random.random_range(0..5) {
                    0 => damaged[at & !0xFFF..page].fill(0),
                    1 => damaged[at] ^= 1 << random.random_range(0..8),
                    2 => random.fill(&mut damaged[at..page]),
                    3 => damaged[at] = random.random(),
                    _ => damaged.truncate(at),
                }
            }
            let answer = bits(&damaged);
            assert_eq!(answer, bits(&damaged), "{}", case.name);
            tried += 1;
            rejected += usize::from(answer.is_err());
        }
    }
    assert!(rejected > tried / 4 && rejected < tried, "{rejected} of {tried}");
}

/// Of each algorithm, kind of number, width and dither (`checks::tiles`).
#[test]
fn short_tiles_of_any_bytes_are_an_answer() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (mut tried, mut accepted) = (0, 0);
    for how in 0..6 {
        for of in 0..128_u8 {
            for length in [0, 1, 2, 3, 4, 5, 8, 14, 16, 40] {
                let mut stream = vec![how, of];
                // Small numbers, limits, and anything.
                let byte = |random: &mut ChaCha8Rng| match random.random_range(0..4) {
                    0 => random.random_range(0..8),
                    1 => [0, 0x7F, 0x80, 0xFF][random.random_range(0..4)],
                    _ => random.random(),
                };
                stream.extend((0..length).map(|_| byte(&mut random)));
                tried += 1;
                accepted += usize::from(checks::tiles(&stream));
            }
        }
    }
    assert!(tried == 7680 && accepted < tried, "{accepted} of {tried}");
}
