//! Every format, read by every tool that reads it, against the parts.

use hiwl::cutout::{Reason, Rejection};

use super::*;
use crate::catalog::{complete, plan};
use crate::util::command::assert_code;
use crate::util::python::{catalog_readers, oracle_of};

/// Exports to every format of one file and lets the tools compare; returns
/// the number of rows that they agree on.
fn agree(run: &Path, more: &[&str], told: &[&str]) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    for (to, name) in [
        ("parquet", "table.parquet"),
        ("csv", "table.csv"),
        ("fits", "table.fits"),
        ("votable", "table.vot"),
    ] {
        assert_code(&export(run, to, &folder.path().join(name), more), 0);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "nothing else is left");
    let paths = [run.to_str().unwrap(), folder.path().to_str().unwrap()];
    let arguments: Vec<&str> = paths.into_iter().chain(told.iter().copied()).collect();
    let rows = oracle_of(&catalog_readers(), "exports.py", &arguments);
    rows.trim().parse().unwrap()
}

#[test]
fn every_tool_reads_every_format_as_the_parts() {
    let folder = tempfile::tempdir().unwrap();
    let run = with_carried(folder.path(), 1000, "flag");
    // Every seventh is rejected.
    assert_eq!(agree(run.dir(), &[], &[]), 857);
    assert_eq!(agree(run.dir(), &["--rejected"], &["--rejected"]), 1000);
    let some = agree(run.dir(), &["--where", "p_spi > 0.8"], &["--where", "p_spi>0.8"]);
    assert!((1..857).contains(&some), "{some}");
}

#[test]
fn a_catalog_of_nothing_but_rejected_rows_is_empty_until_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(folder.path(), 5, 3);
    let rejection = || Rejection::new(Reason::Empty, "");
    write_changed(&run, |row| Row { outcome: Err(rejection()), position: None, ..row });
    assert_eq!(agree(run.dir(), &[], &[]), 0);
    assert_eq!(agree(run.dir(), &["--rejected"], &["--rejected"]), 5);
}

#[test]
fn a_column_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = with_carried(folder.path(), 20, "flag <&\"'> é");
    assert_eq!(agree(run.dir(), &[], &["--odd-names"]), 17);
}

#[test]
fn the_same_export_is_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(&folder.path().join("run"), 500, 100);
    for to in ["parquet", "csv", "fits", "votable"] {
        let [a, b] = ["a", "b"].map(|name| {
            let path = folder.path().join(format!("{name}.{to}"));
            assert_code(&export(run.dir(), to, &path, &[]), 0);
            // Times in it would be of another second.
            std::thread::sleep(std::time::Duration::from_millis(1_100));
            std::fs::read(path).unwrap()
        });
        assert!(a == b && !a.is_empty(), "{to}");
    }
}
