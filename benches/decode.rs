//! Images a second on one thread: decoding alone, and with the preparation
//! for a 240-pixel network.
//!
//!     HIWL_DATA=FOLDER cargo bench --bench decode
//!
//! Reads the pictures and FITS files of that folder into memory, then decodes
//! them in turn, so that no disk is measured; medians of seven runs. A second
//! is one of the thread's processor time where the system tells it (Linux), so
//! that neighbours on the machine cost little. Tile-compressed files are made
//! by cfitsio from the others.
#![allow(clippy::print_stdout, reason = "a program whose output is its result")]

use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fitsio::FitsFile;
use fitsio::images::{ImageDescription, ImageType, WriteImage};
use hiwl::cutout::colour;
use hiwl::cutout::decode::{DecodeOptions, decode};
use hiwl::cutout::prepare::{Preparation, prepare};
use hiwl::cutout::{Decoded, Payload};

const RUNS: usize = 7;
const RUN: Duration = Duration::from_millis(700);

fn main() -> Result<(), Box<dyn Error>> {
    let Some(data) = std::env::var_os("HIWL_DATA").map(PathBuf::from) else {
        println!("HIWL_DATA names no folder of real images: nothing to measure");
        return Ok(());
    };
    let profile = colour::profile("lupton").ok_or("no profile lupton")?.clone();
    let preparation = Preparation::new(240, profile);
    println!(
        "{:<28} {:>6} {:>9} {:>12} {:>14}",
        "images/s, one thread", "files", "kB each", "decode", "and prepare"
    );
    let plain = bands(&data.join("fits"))?;
    let counts = |value: f32| (value * 50.0) as i16;
    let as_is = |value: f32| value;
    for (name, files) in [
        ("JPEG 424×424", pictures(&data.join("jpeg424"))?),
        ("JPEG 264×264", archived(&data.join("galaxies/val-00.tar"), 200)?),
        ("RICE_1 i16, 1 row a tile", packed(&plain, "R", ImageType::Short, counts)?),
        ("RICE_1 f32, 1 row a tile", packed(&plain, "R", ImageType::Float, as_is)?),
        ("RICE_1 f32, 85×85 tiles", packed(&plain, "R 85,85", ImageType::Float, as_is)?),
        ("GZIP_1 i16, 1 row a tile", packed(&plain, "G", ImageType::Short, counts)?),
        ("GZIP_1 f32, whole, lossless", packed(&plain, "G 255,255;q 0", ImageType::Float, as_is)?),
        ("HCOMPRESS_1 i16, whole", packed(&plain, "H 255,255", ImageType::Short, counts)?),
        ("HCOMPRESS_1 f32, 17 rows", packed(&plain, "H 255,17", ImageType::Float, as_is)?),
        ("FITS 255×255, 3 files f32", plain),
    ] {
        let bytes: usize = files.iter().map(Payload::len).sum();
        let options = DecodeOptions::default();
        let alone = rate(&files, |payload| {
            std::hint::black_box(decode(payload, &options).is_ok());
        });
        let prepared = rate(&files, |payload| {
            let crop = decode(payload, &options).and_then(|d| prepare(&d, &preparation, None));
            std::hint::black_box(crop.is_ok());
        });
        let each = bytes as f64 / files.len() as f64 / 1e3;
        println!("{name:<28} {:>6} {each:>9.1} {alone:>12.0} {prepared:>14.0}", files.len());
    }
    Ok(())
}

/// Processor time of this thread, else time on the wall.
struct Clock {
    wall: Instant,
    busy: Option<Duration>,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), busy: busy() }
    }

    fn elapsed(&self) -> Duration {
        match (self.busy, busy()) {
            (Some(then), Some(now)) => now - then,
            _ => self.wall.elapsed(),
        }
    }
}

/// What Linux counts as this thread's time on a processor.
fn busy() -> Option<Duration> {
    let counted = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    counted.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Median rate of `work` over the files in turn.
fn rate(files: &[Payload], work: impl Fn(&Payload)) -> f64 {
    let mut rates: Vec<f64> = (0..RUNS)
        .map(|_| {
            let clock = Clock::start();
            let mut done = 0;
            while clock.elapsed() < RUN {
                files.iter().for_each(&work);
                done += files.len();
            }
            done as f64 / clock.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[RUNS / 2]
}

fn pictures(folder: &Path) -> std::io::Result<Vec<Payload>> {
    let paths =
        fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    let jpegs = paths.into_iter().filter(|p| p.extension().is_some_and(|e| e == "jpg"));
    jpegs.map(|p| fs::read(p).map(Payload::Single)).collect()
}

fn archived(archive: &Path, count: usize) -> std::io::Result<Vec<Payload>> {
    let mut archive = tar::Archive::new(File::open(archive)?);
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.extension().is_some_and(|e| e == "jpg") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.push(Payload::Single(bytes));
        }
        if files.len() == count {
            break;
        }
    }
    Ok(files)
}

fn bands(folder: &Path) -> std::io::Result<Vec<Payload>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(stem) = path.to_str().and_then(|p| p.strip_suffix("_g.fits")) else { continue };
        let read = |band: &str| Ok((band.to_owned(), fs::read(format!("{stem}_{band}.fits"))?));
        let bands: std::io::Result<Vec<_>> = ["i", "r", "g"].into_iter().map(read).collect();
        files.push(Payload::PerBand(bands?));
    }
    Ok(files)
}

/// The same bands as cfitsio compresses them, by its `[compress ...]`.
fn packed<T>(
    files: &[Payload],
    how: &str,
    kind: ImageType,
    value: impl Fn(f32) -> T,
) -> Result<Vec<Payload>, Box<dyn Error>>
where
    T: WriteImage + Clone,
{
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("band.fits");
    let mut all = Vec::new();
    for file in files {
        let Decoded::Bands(image) = decode(file, &DecodeOptions::default())? else { continue };
        let pixels = image.width * image.height;
        let mut bands = Vec::new();
        for (band, plane) in ["i", "r", "g"].into_iter().zip(image.planes.chunks_exact(pixels)) {
            let name = format!("{}[compress {how}]", path.display());
            let description =
                ImageDescription { data_type: kind, dimensions: &[image.height, image.width] };
            let mut file = FitsFile::create(name).with_custom_primary(&description).open()?;
            let values: Vec<T> = plane.iter().map(|v| value(*v)).collect();
            // The first HDU is empty, as compressed images are tables.
            let hdu = file.hdu(1).or_else(|_| file.primary_hdu())?;
            hdu.write_image(&mut file, &values)?;
            drop(file);
            bands.push((band.to_owned(), fs::read(&path)?));
            fs::remove_file(&path)?;
        }
        all.push(Payload::PerBand(bands));
    }
    Ok(all)
}
