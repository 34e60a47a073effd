//! SIGKILL at any moment of a run over mosaics: the same command goes on, and what it
//! ends with is what nobody disturbed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::util::command::{Workplace, hiwl};

/// Every file of a catalog.
fn catalog(run: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(folder) = fs::read_dir(run.join("catalog")) else { return Vec::new() };
    let mut files: Vec<(String, Vec<u8>)> = folder
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn ten_kills_at_random_moments_change_no_byte() {
    let place = Workplace::new();
    place.expect(0, "simulate sky --mosaics --count 90 --seed 12 --quiet");
    let run = |output: &str| -> Command {
        let mut hiwl = hiwl();
        let arguments = "classify --mosaics sky/frames --sources sky/sources.csv --quiet \
                         --range-size 4 --workers 2 --output";
        hiwl.current_dir(place.folder()).args(arguments.split_whitespace()).arg(output);
        hiwl.stderr(Stdio::null()).stdout(Stdio::null());
        hiwl
    };
    let began = Instant::now();
    let status = run("undisturbed").status().unwrap();
    let whole = began.elapsed();
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    let expected = catalog(&place.path("undisturbed"));
    assert_eq!(expected.len(), 23);

    let mut random = ChaCha8Rng::seed_from_u64(4);
    let (mut killed, mut halfway) = (0, 0);
    while killed < 10 {
        let mut child = run("out").spawn().unwrap();
        // From before the first byte to the end of a whole run.
        let moment = random.random_range(0..whole.as_millis() as u64);
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        if child.wait().unwrap().code().is_none() {
            killed += 1;
            halfway += u32::from(!catalog(&place.path("out")).is_empty());
        } else {
            // It was done: as it must be, and begun anew.
            assert!(catalog(&place.path("out")) == expected);
            fs::remove_dir_all(place.path("out")).unwrap();
        }
    }
    assert!(halfway > 0, "no kill came after the first part");
    let status = run("out").status().unwrap();
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    assert!(catalog(&place.path("out")) == expected);
    place.expect(0, "verify out");
}
