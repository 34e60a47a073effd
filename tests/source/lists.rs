//! Files named one by one, and lists of paths.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

#[test]
fn a_named_file_is_a_cutout_whatever_its_name() {
    let dir = temp();
    touch(dir.path(), &["a.jpg", "b.dat", "c"]);
    let inputs = ["c", "a.jpg", "b.dat", "a.jpg"].map(|n| dir.path().join(n));
    let listing = list(&inputs);
    // The user's order, and what is given twice is there twice.
    assert_eq!(listing.ids(), ["c", "a", "b.dat", "a"]);
    assert_eq!(listing.entries[1], listing.entries[3]);
}

#[test]
fn an_input_that_is_not_there_is_refused_and_a_broken_link_is_a_row() {
    let dir = temp();
    touch(dir.path(), &["a.jpg"]);
    link("gone", dir.path().join("b.jpg"));
    let inputs = ["a.jpg", "nothing.jpg"].map(|n| dir.path().join(n));
    let error = try_list(&inputs, irg()).unwrap_err();
    assert!(matches!(&error, ListError::NotFound { path } if *path == inputs[1]), "{error}");
    let listing = list(&["a.jpg", "b.jpg"].map(|n| dir.path().join(n)));
    assert_eq!(listing.reasons(), [None, Some(Reason::Missing)]);
}

#[test]
fn named_band_files_find_one_another() {
    let dir = temp();
    touch(
        dir.path(),
        &["X_r.fits", "X_g.fits", "X_i.fits", "X_z.fits", "p/X_r.fits", "a.jpg", "d/b.jpg"],
    );
    let names = ["X_r.fits", "a.jpg", "X_g.fits", "d", "p/X_r.fits", "X_z.fits", "X_i.fits"];
    let listing = list(&names.map(|n| dir.path().join(n)));
    assert_eq!(listing.ids(), ["X", "a", "b", "X"]);
    assert!(matches!(&listing.entries[0].locator, Locator::Bands(b) if b[0].0 == "i"));
    assert_eq!(listing.reasons()[3], Some(Reason::MissingBand));
    assert_eq!(listing.skipped, 1, "X_z");
}

#[test]
fn lists_are_relative_to_their_folder() {
    let dir = temp();
    touch(dir.path(), &["in/a.jpg", "in/X_r.fits", "in/X_g.fits", "in/X_i.fits"]);
    let absolute = dir.path().join("in/a.jpg");
    let text = format!(
        "# a list\r\n\nin/a.jpg\r\nin/X_g.fits\n{}\nin/none.jpg\nin/X_r.fits\nb.tar\nin/X_i.fits",
        absolute.display()
    );
    let path = dir.path().join("list.TXT");
    fs::write(&path, text).unwrap();
    let listing = list(&[&path]);
    assert_eq!(listing.ids(), ["a", "X", "a", "none", "b.tar"]);
    assert_eq!(listing.entries[0], listing.entries[2]);
    assert!(matches!(&listing.entries[1].locator, Locator::Bands(b) if b.len() == 3));
    assert_eq!(listing.reasons()[4], Some(Reason::Unsupported));
    let missing = Reader::new().read(&listing.entries[3].locator).unwrap_err();
    assert_eq!(missing.reason, Reason::Missing);
}

#[test]
fn lists_stream_in_chunks() {
    let dir = temp();
    let lines: String = (0..10_000).map(|i| format!("{i}.jpg\n")).collect();
    let path = dir.path().join("list.txt");
    fs::write(&path, lines).unwrap();
    let listing = list(&[&path]);
    assert_eq!((listing.entries.len(), listing.carried.len()), (10_000, 3));
    assert_eq!(listing.entries[9_999].id, "9999");
}

#[test]
fn what_is_no_list_of_paths_is_refused() {
    let dir = temp();
    let path = dir.path().join("list.txt");
    fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
    let error = try_list(&[&path], irg()).unwrap_err();
    assert!(matches!(error, ListError::LongLine { line: 1, .. }), "{error}");
    fs::remove_file(&path).unwrap();
    make_pipe(&path);
    let error = try_list(&[&path], irg()).unwrap_err();
    assert!(matches!(error, ListError::NotAFile { kind: "a named pipe", .. }), "{error}");
}

/// Standard input is a process's own, so this runs the test below it again.
#[test]
fn a_list_can_come_from_standard_input() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "source::lists::standard_input", "--nocapture"])
        .env("HIWL_TEST_STANDARD_INPUT", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"X_r.fits\n# c\nd/a.jpg\nX_i.fits\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn standard_input() {
    if std::env::var_os("HIWL_TEST_STANDARD_INPUT").is_none() {
        return;
    }
    let listing = list(&["-"]);
    assert_eq!(listing.ids(), ["X", "a"]);
    assert_eq!(listing.entries[1].source, "d/a.jpg");
    let here = std::env::current_dir().unwrap();
    assert_eq!(listing.entries[1].locator, Locator::File(here.join("d/a.jpg")));
}
