//! Mutations of good files through the checks of `fuzz/`, for a given time.
//!
//!     cargo bench --bench mutate --profile release -- TARGET SECONDS [SEED]
//!
//! TARGET is decode, tar, model or tiles. A mutant that decodes to something new by
//! the length of its answer is no measure of coverage, as libFuzzer has; it
//! needs no other build, though, and finds what a few hundred thousand damaged
//! files find. A failure prints the seed and the number of the mutant, and
//! leaves its bytes in `target/`.
#![allow(clippy::print_stdout, reason = "a program whose output is its result")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use fitsio::FitsFile;
use fitsio::images::{ImageDescription, ImageType};
use hiwl::pipeline::memory;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[path = "../fuzz/fuzz_targets/checks.rs"]
mod checks;

/// Longest that one file may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (Some(target), Some(seconds)) = (arguments.first(), arguments.get(1)) else {
        println!("mutate: name decode, tar, model or tiles, and a number of seconds");
        return;
    };
    let limit = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let seed = arguments.get(2).map_or(1, |seed| seed.parse().expect("a number as seed"));
    let (check, seeds): (fn(&[u8]) -> bool, _) = match target.as_str() {
        "decode" => (
            checks::decode,
            [corpus(&["cutouts/jpeg", "cutouts/fits"]), compressed().map(|c| c.file).collect()]
                .concat(),
        ),
        "tiles" => (checks::tiles, compressed().map(|c| c.stream).collect()),
        "tar" => (checks::tar, archives()),
        "model" => (checks::model, corpus(&["models"])),
        other => panic!("no target {other}: decode, tar, model or tiles"),
    };
    assert!(!seeds.is_empty(), "no files to begin with");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (began, mut tried, mut accepted, mut slowest) =
        (Instant::now(), 0u64, 0u64, Duration::ZERO);
    let mut memory_early = None;
    while began.elapsed() < limit {
        let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
        for _ in 0..random.random_range(1..=4) {
            let other = &seeds[random.random_range(0..seeds.len())];
            mutate(&mut bytes, other, &mut random);
        }
        let one = Instant::now();
        let answer = catch_unwind(|| check(&bytes));
        let took = one.elapsed();
        tried += 1;
        if answer.is_err() || took > PATIENCE {
            let path = Path::new("target").join(format!("mutant-{target}-{seed}-{tried}"));
            fs::write(&path, &bytes).expect("room for a mutant");
            panic!("seed {seed}, mutant {tried} ({}): {answer:?} after {took:?}", path.display());
        }
        accepted += u64::from(answer.is_ok_and(|accepted| accepted));
        slowest = slowest.max(took);
        if tried == 2_000 {
            memory_early = memory::peak_resident();
        }
    }
    let mib = |bytes: Option<u64>| bytes.map_or(0, |bytes| bytes >> 20);
    println!(
        "{target}: {tried} mutants in {:.0} s, {accepted} accepted, slowest {slowest:?}, \
         peak memory {} MiB after 2,000 and {} MiB at the end, seed {seed}",
        began.elapsed().as_secs_f64(),
        mib(memory_early),
        mib(memory::peak_resident()),
    );
}

/// The files of some folders of the fixtures.
fn corpus(folders: &[&str]) -> Vec<Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut files: Vec<_> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(fixtures.join(folder)).expect("fixtures"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_none_or(|e| e != "csv"))
        .collect();
    files.sort();
    let read = files.iter().map(|path| fs::read(path).expect("a fixture"));
    read.flat_map(
        |bytes| if bytes.starts_with(&[0x1F, 0x8B]) { unpacked(bytes) } else { vec![bytes] },
    )
    .collect()
}

/// A compressed image, and its one tile as `checks::tiles` takes it.
struct Compressed {
    file: Vec<u8>,
    stream: Vec<u8>,
}

/// An image of 23 × 17 pixels by each algorithm, made by cfitsio.
fn compressed() -> impl Iterator<Item = Compressed> {
    let pixels: Vec<i16> = (0..23 * 17).map(|n| (n * n % 97 + n / 9) as i16).collect();
    let how = ["R", "G", "G2", "H", "P"];
    how.into_iter().enumerate().map(move |(n, how)| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.fits");
        let name = format!("{}[compress {how} 23,17]", path.display());
        let description = ImageDescription { data_type: ImageType::Short, dimensions: &[17, 23] };
        let mut fits = FitsFile::create(name).open().expect("a new file");
        let hdu = fits.create_image("r".to_owned(), &description).expect("a new image");
        hdu.write_image(&mut fits, &pixels).expect("room for an image");
        drop(fits);
        let file = fs::read(&path).expect("the new file");
        let head = file.windows(8).rposition(|w| w == b"XTENSION").expect("a table");
        let number = |keyword: &[u8]| -> usize {
            let at = head + file[head..].windows(10).position(|w| w == keyword).expect("a keyword");
            let value = std::str::from_utf8(&file[at + 10..at + 30]).expect("text");
            value.trim().parse().expect("a number")
        };
        let end = file.windows(8).rposition(|w| w == b"END     ").expect("an end");
        let heap = (end + 80).next_multiple_of(2880) + number(b"NAXIS1  = ");
        let stream = &file[heap..heap + number(b"PCOUNT  = ")];
        // Integers of 16 bits, and of as many in RICE codes.
        let stream = [&[n as u8, 1 + (1 << 3)], stream].concat();
        Compressed { file, stream }
    })
}

/// A gzipped file as it is and unpacked, where damage reaches the headers.
fn unpacked(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let mut inner = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut inner)
        .expect("a fixture");
    vec![bytes, inner]
}

/// The fixtures' archive, and small ones of each kind that tar writes.
fn archives() -> Vec<Vec<u8>> {
    let mut archives = corpus(&["cutouts/tar"]);
    for long in [false, true] {
        let mut builder = tar::Builder::new(Vec::new());
        for index in 0..4 {
            let mut header = tar::Header::new_gnu();
            header.set_size(40);
            let name =
                format!("{}{index}.jpg", if long { "folder/".repeat(40) } else { String::new() });
            if long {
                let records = [("path", name.as_bytes()), ("GNU.sparse.name", b"x.jpg")];
                builder.append_pax_extensions(records).expect("memory");
            }
            builder.append_data(&mut header, name, &[7u8; 40][..]).expect("memory");
        }
        archives.push(builder.into_inner().expect("memory"));
    }
    archives
}

/// One change, of the kinds that find most: bits, bytes that are limits,
/// stretches removed, repeated, cleared or taken from another file, numbers in
/// text.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.extend(other);
        return;
    }
    // Headers lie in front: half of all changes go there.
    let reach = if random.random_bool(0.5) { bytes.len().min(600) } else { bytes.len() };
    let at = random.random_range(0..reach);
    let end = bytes.len().min(at + random.random_range(1..=64));
    match random.random_range(0..9) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][random.random_range(0..6)],
        2 => bytes[at..end].fill([0, b' ', 0xFF][random.random_range(0..3)]),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        5 => bytes.truncate(at),
        6 => {
            let from = random.random_range(0..other.len());
            let stretch = &other[from..other.len().min(from + end - at)];
            bytes.splice(at..end, stretch.iter().copied());
        }
        7 => {
            for byte in &mut bytes[at..end] {
                if byte.is_ascii_digit() {
                    *byte = random.random_range(b'0'..=b'9');
                }
            }
        }
        _ => {
            let number = [0u32, 1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX][random.random_range(0..5)];
            let big = number.to_be_bytes();
            let little = number.to_le_bytes();
            let number = if random.random_bool(0.5) { big } else { little };
            let end = bytes.len().min(at + 4);
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
    }
}
