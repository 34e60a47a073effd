//! `simulate` as its users see it: folders, tables, files that others read.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use hiwl::simulate::{Format, SimulateError, SimulateOptions, write};
use rayon::ThreadPoolBuilder;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use super::util::python::oracle;
use super::util::{fixture, root};

/// `fixtures/cutouts/`: what fixtures/README.md says that they are made of.
fn fixtures() -> [(&'static str, SimulateOptions); 3] {
    let seed = 2026;
    [
        ("jpeg", SimulateOptions { seed, count: 25, ..SimulateOptions::default() }),
        (
            "fits",
            SimulateOptions {
                seed,
                first: 28,
                count: 2,
                size: 240,
                format: Format::FitsGz,
                ..SimulateOptions::default()
            },
        ),
        (
            "tar",
            SimulateOptions {
                seed,
                first: 30,
                count: 10,
                format: Format::Tar,
                ..SimulateOptions::default()
            },
        ),
    ]
}

/// Every file of a folder by name.
fn contents(folder: &Path) -> HashMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn made(options: &SimulateOptions) -> (tempfile::TempDir, HashMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), options, |_| ()).unwrap();
    let files = contents(folder.path());
    (folder, files)
}

#[test]
fn threads_and_ranges_change_nothing() {
    for format in [Format::Jpeg, Format::Fits, Format::FitsGz] {
        let options =
            SimulateOptions { count: 40, seed: 3, size: 64, format, ..SimulateOptions::default() };
        let with_threads = |threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| made(&options).1)
        };
        let mut whole = with_threads(1);
        assert_eq!(whole, with_threads(5));

        let (_, mut pieces) = made(&SimulateOptions { count: 17, ..options.clone() });
        let (_, rest) = made(&SimulateOptions { first: 17, count: 23, ..options.clone() });
        let lines = |files: &mut HashMap<String, Vec<u8>>| {
            String::from_utf8(files.remove("labels.csv").unwrap()).unwrap()
        };
        let mut rest = rest;
        let joined = lines(&mut pieces) + lines(&mut rest).split_once('\n').unwrap().1;
        assert_eq!(lines(&mut whole), joined);
        pieces.extend(rest);
        assert_eq!(whole, pieces, "{format:?}");
    }
}

#[test]
fn the_table_names_every_file_once() {
    let (folder, files) =
        made(&SimulateOptions { count: 23, seed: 4, size: 64, ..SimulateOptions::default() });
    let table = String::from_utf8(files["labels.csv"].clone()).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("id,label,ra,dec,path"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 23);
    assert_eq!(rows.iter().map(|row| row[0]).collect::<HashSet<_>>().len(), 23);
    for (row, label) in rows.iter().zip(["CRS", "IBS", "CSS", "EO", "SPI"].into_iter().cycle()) {
        assert_eq!(row[1], label);
        assert!((120.0..240.0).contains(&row[2].parse::<f64>().unwrap()));
        assert!((0.0..60.0).contains(&row[3].parse::<f64>().unwrap()));
        assert_eq!(row[4], format!("{}.jpg", row[0]));
        assert!(folder.path().join(row[4]).is_file());
    }
    assert_eq!(files.len(), 24);
}

#[test]
fn progress_and_report_count() {
    let folder = tempfile::tempdir().unwrap();
    let mut heard = Vec::new();
    let options = SimulateOptions {
        count: 90,
        seed: 5,
        size: 32,
        format: Format::Tar,
        ..SimulateOptions::default()
    };
    let report = write(folder.path(), &options, |done| heard.push(done)).unwrap();
    assert_eq!(heard.last(), Some(&90));
    assert!(heard.is_sorted());
    assert_eq!(report.classes, [18; 5]);
    assert_eq!(report.files, 2);
    let bytes: usize = contents(folder.path()).values().map(Vec::len).sum();
    assert_eq!(report.bytes, bytes as u64);
}

#[test]
fn a_tar_holds_the_same_pictures_as_a_folder() {
    let options = SimulateOptions { count: 12, seed: 6, size: 64, ..SimulateOptions::default() };
    let (_, pictures) = made(&options);
    let (_, archives) = made(&SimulateOptions { format: Format::Tar, ..options });
    let mut archive = tar::Archive::new(&archives["cutouts-00000.tar"][..]);
    let mut count = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        assert_eq!((entry.header().mtime().unwrap(), entry.header().uid().unwrap()), (0, 0));
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, pictures[&name]);
        count += 1;
    }
    assert_eq!(count, 12);
}

#[test]
fn a_folder_that_holds_something_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "dear").unwrap();
    let options = SimulateOptions { count: 1, size: 32, ..SimulateOptions::default() };
    let refused = write(folder.path(), &options, |_| ());
    assert!(matches!(&refused, Err(SimulateError::NotEmpty { folder: f }) if f == folder.path()));
    assert_eq!(contents(folder.path()).len(), 1);
}

#[test]
fn folders_that_cannot_be_written_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    File::create(&file).unwrap();
    let options = SimulateOptions { count: 1, size: 32, ..SimulateOptions::default() };
    for path in [file.clone(), file.join("below")] {
        let failed = write(&path, &options, |_| ());
        assert!(matches!(&failed, Err(SimulateError::Io { path: p, .. }) if *p == path));
    }
    let url = write(Path::new("s3://bucket/galaxies"), &options, |_| ()).unwrap_err();
    assert!(url.is_usage() && url.to_string().contains("is a URL"), "{url}");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let mut permissions = fs::metadata(&closed).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&closed, permissions).unwrap();
    let failed = write(&closed, &options, |_| ());
    // Permissions do not bind root, who has succeeded.
    let refused = matches!(failed, Err(SimulateError::Storage(_)));
    assert!(refused || failed.is_ok(), "{failed:?}");
    if failed.is_ok() {
        assert!(closed.join("labels.csv").is_file());
    }
}

#[test]
fn counts_that_make_no_sense_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let none = write(&path, &SimulateOptions { count: 0, ..SimulateOptions::default() }, |_| ());
    assert!(matches!(none, Err(SimulateError::NoGalaxies)));
    let options = SimulateOptions { count: 2, first: u64::MAX, ..SimulateOptions::default() };
    assert!(matches!(write(&path, &options, |_| ()), Err(SimulateError::Indices { .. })));
    assert!(!path.exists());
}

#[test]
fn astropy_and_pillow_read_what_is_written() {
    let parent = tempfile::tempdir().unwrap();
    let options = SimulateOptions { count: 10, seed: 7, size: 128, ..SimulateOptions::default() };
    let mut folders = Vec::new();
    for (name, format) in
        [("jpeg", Format::Jpeg), ("fits [1]", Format::Fits), ("gz", Format::FitsGz)]
    {
        let folder = parent.path().join(name);
        write(&folder, &SimulateOptions { format, ..options.clone() }, |_| ()).unwrap();
        folders.push(folder.to_str().unwrap().to_owned());
    }
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let read = oracle("simulated.py", &folders);
    assert_eq!(read.trim(), "10 pictures, 60 bands");
}

#[test]
fn fixtures_are_what_the_generator_makes() {
    for (name, options) in fixtures() {
        let stored = fixture("cutouts").join(name);
        if std::env::var_os("HIWL_WRITE_FIXTURES").is_some() {
            let _ = fs::remove_dir_all(&stored);
            write(&stored, &options, |_| ()).unwrap();
            continue;
        }
        let (_, fresh) = made(&options);
        let stored = contents(&stored);
        let names =
            |files: &HashMap<String, Vec<u8>>| files.keys().cloned().collect::<HashSet<_>>();
        assert_eq!(names(&stored), names(&fresh), "{name}: see fixtures/README.md");
        for (file, bytes) in &stored {
            same(file, bytes, &fresh[file]);
        }
    }
    assert!(root().join("fixtures/README.md").is_file());
}

/// Mathematical functions differ in the last bit from platform to platform, so
/// pixels are compared, and only tables to the byte.
fn same(name: &str, stored: &[u8], fresh: &[u8]) {
    if stored == fresh {
        return;
    }
    if name.ends_with(".jpg") {
        same_pixels(name, &decode(stored), &decode(fresh));
    } else if name.ends_with(".tar") {
        let members = |bytes: &[u8]| -> Vec<(String, Vec<u8>)> {
            let mut archive = tar::Archive::new(bytes);
            let read = archive.entries().unwrap().map(|entry| {
                let mut entry = entry.unwrap();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
            });
            read.collect()
        };
        let (stored, fresh) = (members(stored), members(fresh));
        assert_eq!(stored.len(), fresh.len());
        for ((name, stored), (other, fresh)) in stored.iter().zip(&fresh) {
            assert_eq!(name, other);
            same_pixels(name, &decode(stored), &decode(fresh));
        }
    } else if name.ends_with(".fits.gz") {
        let (stored, fresh) = (gunzip(stored), gunzip(fresh));
        assert_eq!(stored.len(), fresh.len(), "{name}");
        assert_eq!(stored[..2880], fresh[..2880], "{name}");
        for (a, b) in stored[2880..].chunks_exact(4).zip(fresh[2880..].chunks_exact(4)) {
            let value = |c: &[u8]| f32::from_be_bytes([c[0], c[1], c[2], c[3]]);
            let (a, b) = (value(a), value(b));
            assert!((a - b).abs() <= 1e-5 + 1e-4 * a.abs(), "{name}: {a} {b}");
        }
    } else {
        panic!("{name} differs");
    }
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    JpegDecoder::new(ZCursor::new(bytes)).decode().unwrap()
}

/// A value on the edge of a step of the JPEG's quantisation moves an 8×8 block
/// by that step: few may, and not far.
fn same_pixels(name: &str, stored: &[u8], fresh: &[u8]) {
    assert_eq!(stored.len(), fresh.len(), "{name}");
    let far = stored.iter().zip(fresh).filter(|&(&a, &b)| a.abs_diff(b) > 2).count();
    assert!(far * 1000 < stored.len(), "{name}: {far} values differ by more than 2");
}
