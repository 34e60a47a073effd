//! A corpus of bad input, some six hundred files of it: one row each, no
//! crash, no hang, memory flat.
//!
//! It is made here, from a good file of each format and the formats'
//! structure, so that what each file is about stands in its name. What the
//! decoders answer to each is their tests' business (`tests/decode`); here the
//! whole program is run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::util::catalog::{column, rows};
use crate::util::command::{assert_code, hiwl, simulate};

mod fits;
mod jpeg;
mod png;
mod tars;

/// A file of the corpus.
pub struct File {
    name: String,
    bytes: Vec<u8>,
    /// The status of its row, where it must be this one.
    expected: Option<&'static str>,
}

impl File {
    fn new(name: String, bytes: Vec<u8>) -> Self {
        Self { name, bytes, expected: None }
    }

    /// The id that its name gives.
    fn id(&self) -> &str {
        let endings = [".fits.gz", ".fits", ".jpg", ".png"];
        endings.iter().find_map(|ending| self.name.strip_suffix(ending)).unwrap()
    }
}

/// Bytes of a good JPEG of 240 × 240 pixels.
fn good_jpeg(folder: &Path) -> Vec<u8> {
    let made = folder.join("made");
    simulate(&made, 1, 41);
    let file = fs::read_dir(&made)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "jpg"))
        .unwrap();
    fs::read(file).unwrap()
}

/// Waits for a process, and kills it when it hangs.
fn wait(mut child: Child, limit: Duration) -> std::process::Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > limit {
            child.kill().unwrap();
            panic!("still at work after {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// Most memory that a run over the corpus may take. The largest images that
/// are accepted hold 16.8 million pixels: as 16-bit RGBA samples 134 MB, as RGB
/// 50 MB, and two workers decode at once; a gzipped FITS file may unpack to
/// 256 MiB.
const MEMORY: u64 = 1 << 30;

#[test]
fn every_file_of_the_corpus_has_one_row_and_ends_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let good = good_jpeg(folder.path());
    let mut files: Vec<File> = [
        jpeg::damaged(&good),
        jpeg::odd(&good),
        png::kinds(),
        png::damaged(),
        fits::damaged(),
        fits::odd(),
    ]
    .into_iter()
    .flatten()
    .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.dedup_by(|a, b| a.name == b.name);
    eprintln!("{} files, beside archives", files.len());
    assert!(files.len() >= 300);
    let input = folder.path().join("corpus");
    fs::create_dir(&input).unwrap();
    for file in &files {
        fs::write(input.join(&file.name), &file.bytes).unwrap();
    }
    let members = tars::write(&input, &good);

    let output = folder.path().join("out");
    let run = hiwl()
        .args(["classify", "--json", "--workers", "2", "--range-size", "50"])
        .arg(&input)
        .arg("--output")
        .arg(&output)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let run = wait(run, Duration::from_secs(300));
    assert_code(&run, 1);
    let told = String::from_utf8(run.stdout).unwrap();
    let end: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let peak = end["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak < MEMORY, "{} MiB", peak >> 20);

    let mut expected: BTreeMap<&str, Option<&str>> =
        files.iter().map(|file| (file.id(), file.expected)).collect();
    expected.extend(members.iter().map(|(id, status)| (*id, Some(*status))));
    assert_eq!(expected.len(), files.len() + members.len(), "an id twice");
    let found: Vec<(String, String)> =
        column(&output, "id").into_iter().zip(column(&output, "status")).collect();
    assert_eq!(found.len(), expected.len());
    let errors: BTreeMap<_, _> =
        column(&output, "id").into_iter().zip(column(&output, "error")).collect();
    let mut wrong = Vec::new();
    for (id, status) in &found {
        let expected = expected.get(id.as_str()).unwrap_or_else(|| panic!("no file {id}"));
        let error = &errors[id];
        // A label stands although the header's position does not.
        let is_plain = error.is_empty() || error.starts_with("no position: ");
        if expected.is_some_and(|e| e != status) || (status == "ok") != is_plain {
            wrong.push(format!("{id}: {status} {error}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_code(&hiwl().arg("verify").arg(&output).output().unwrap(), 0);

    // With other threads and batches the rows are the same, error by error.
    let again = folder.path().join("again");
    let run = hiwl()
        .args(["classify", "--quiet", "--workers", "7", "--batch", "3", "--range-size", "50"])
        .arg(&input)
        .arg("--output")
        .arg(&again)
        .output()
        .unwrap();
    assert_code(&run, 1);
    assert_eq!(rows(&again), rows(&output));
}
