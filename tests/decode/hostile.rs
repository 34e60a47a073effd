//! Damaged files: thousands of them, from a seed, and none may panic, hang,
//! allocate what its size does not warrant, or pass truncation off as data.

use std::fs;
use std::time::{Duration, Instant};

use hiwl::cutout::decode::{DecodeOptions, decode};
use hiwl::cutout::{Payload, Reason};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cases::generated;

/// Damages bytes in one of the ways that files get damaged.
fn damage(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.random_range(0..bytes.len());
    let some = rng.random_range(1..=64);
    let end = bytes.len().min(at + some);
    match rng.random_range(0..6) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << rng.random_range(0..8),
        2 => bytes[at..end].fill(0),
        3 => bytes[at..end].fill(0xFF),
        4 => drop(bytes.drain(at..end)),
        _ => {
            let copy = bytes[at..end].to_vec();
            let to = rng.random_range(0..bytes.len());
            bytes.splice(to..to, copy);
        }
    }
}

/// The most memory this process has ever held, in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn damaged_files_are_values() {
    // HIWL_SOAK=3000 makes it a soak test of an hour, with other damage.
    let rounds = std::env::var("HIWL_SOAK").map_or(30, |rounds| rounds.parse().unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(rounds);
    let cases: Vec<_> = generated().iter().filter(|c| !c.name.contains("bomb")).collect();
    let before = peak_mib();
    let (mut runs, mut rejected) = (0, 0);
    for case in &cases {
        let (payload, options) = (case.payload(), case.options());
        for _ in 0..rounds {
            let mut payload = payload.clone();
            // Damage early in a file, where headers are, as often as late.
            let bytes = match &mut payload {
                Payload::Single(bytes) => bytes,
                Payload::Planes(_) | Payload::Bands(_) => {
                    unreachable!("no case has pixels without a file")
                }
                Payload::PerBand(files) => {
                    let which = rng.random_range(0..files.len());
                    &mut files[which].1
                }
            };
            for _ in 0..rng.random_range(1..=3) {
                if rng.random_bool(0.5) && bytes.len() > 400 {
                    let rest = bytes.split_off(400);
                    damage(bytes, &mut rng);
                    bytes.extend(rest);
                } else {
                    damage(bytes, &mut rng);
                }
            }
            let one = Instant::now();
            let answer = decode(&payload, &options);
            assert!(
                one.elapsed() < Duration::from_secs(5),
                "{} took {:?}",
                case.name,
                one.elapsed()
            );
            runs += 1;
            rejected += usize::from(answer.is_err());
        }
    }
    assert!(runs > 8_000, "{runs}");
    assert!(rejected > runs / 3, "{rejected} of {runs} rejected");
    let grown = peak_mib() - before;
    assert!(grown < 600, "{grown} MiB more than before; {runs} files");
}

#[test]
fn every_truncation_of_a_jpeg_is_truncated() {
    let mut seen = 0;
    for case in generated().iter().filter(|c| c.name.starts_with("jpeg-")) {
        let Payload::Single(bytes) = case.payload() else { continue };
        let options = DecodeOptions::default();
        if decode(&Payload::Single(bytes.clone()), &options).is_err()
            || case.name.ends_with("junk-after")
        {
            continue;
        }
        for end in
            (1..bytes.len()).step_by(bytes.len() / 60 + 1).chain(bytes.len() - 4..bytes.len())
        {
            let answer = decode(&Payload::Single(bytes[..end].to_vec()), &options);
            let reason = answer.expect_err("a part of a JPEG").reason;
            assert_eq!(reason, Reason::Truncated, "{} cut at {end} of {}", case.name, bytes.len());
            seen += 1;
        }
    }
    assert!(seen > 2_000, "{seen}");
}

#[test]
fn every_truncation_of_a_fits_file_is_truncated() {
    let mut seen = 0;
    for name in
        ["cube", "scaled-i2", "gzip", "hdus-extname", "tiled-RICE_1-i2", "tiled-HCOMPRESS_1-i2"]
    {
        let case = generated().iter().find(|c| c.name == name).unwrap();
        let Payload::Single(bytes) = case.payload() else { panic!("{name}") };
        let whole = bytes.len();
        for end in (1..whole).step_by(97).chain((2880..whole).step_by(2880)) {
            match decode(&Payload::Single(bytes[..end].to_vec()), &case.options()) {
                // Only padding is missing.
                Ok(_) => {
                    assert!(whole - end < 2880 && name != "gzip", "{name} cut at {end} of {whole}")
                }
                Err(e) => {
                    // A cut between HDUs leaves a valid file without the rest.
                    let between = end.is_multiple_of(2880)
                        && matches!(e.reason, Reason::MissingBand | Reason::Unsupported);
                    let expected = e.reason == Reason::Truncated || between;
                    assert!(expected, "{name} cut at {end} of {whole}: {e}");
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn a_jpeg_with_a_hole_is_corrupt() {
    for name in ["444-baseline", "420-baseline", "grey-baseline", "444-progressive"] {
        let name = format!("jpeg-{name}-75x100");
        let case = generated().iter().find(|c| c.name == name).unwrap();
        let Payload::Single(bytes) = case.payload() else { panic!("one file") };
        let scan = bytes.windows(2).rposition(|w| w == [0xFF, 0xDA]).unwrap() + 10;
        for keep in [0.2, 0.5, 0.9] {
            let cut = scan + ((bytes.len() - scan) as f64 * keep) as usize;
            let mended = [&bytes[..cut], &[0xFF, 0xD9]].concat();
            let answer = decode(&Payload::Single(mended), &DecodeOptions::default());
            assert!(answer.is_err(), "{name}: an end marker after {keep} of the last scan");
        }
    }
}
