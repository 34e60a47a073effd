//! Equal inputs give equal rows, however the work is divided.

use std::path::Path;

use crate::util::catalog::rows;
use crate::util::command::{assert_code, hiwl, simulate};

fn classify(input: &Path, output: &Path, more: &[&str]) {
    let run = hiwl()
        .args(["classify", "--range-size", "20", "--batch", "8", "--quiet"])
        .args(more)
        .args([input, Path::new("--output"), output])
        .output()
        .unwrap();
    assert_code(&run, 0);
}

#[test]
fn rows_are_equal_with_1_and_8_workers_and_in_four_shards() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let input = path("cutouts");
    simulate(&input, 130, 3);

    classify(&input, &path("one"), &["--workers", "1"]);
    classify(&input, &path("eight"), &["--workers", "8"]);
    for shard in ["2/4", "0/4", "3/4", "1/4"] {
        classify(&input, &path("shards"), &["--shard", shard]);
    }
    let one = rows(&path("one"));
    assert_eq!(one.len(), 130);
    assert_eq!(one, rows(&path("eight")));
    assert_eq!(one, rows(&path("shards")));
    for run in ["one", "eight", "shards"] {
        assert_code(&hiwl().arg("verify").arg(path(run)).output().unwrap(), 0);
    }
}

#[test]
fn four_shards_at_once_make_one_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let input = path("cutouts");
    simulate(&input, 90, 4);
    let shards: Vec<_> = (0..4)
        .map(|shard| {
            hiwl()
                .args(["classify", "--range-size", "10", "--quiet", "--workers", "1"])
                .args(["--shard", &format!("{shard}/4"), "--output"])
                .args([path("shards"), input.clone()])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut shard in shards {
        assert!(shard.wait().unwrap().success());
    }
    classify(&input, &path("one"), &[]);
    assert_eq!(rows(&path("one")), rows(&path("shards")));
}

#[test]
fn batches_do_not_change_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let input = path("cutouts");
    simulate(&input, 30, 5);
    for (name, batch) in [("1", "1"), ("7", "7"), ("64", "64")] {
        let run = hiwl()
            .args(["classify", "--quiet", "--batch", batch, "--output"])
            .args([path(name), input.clone()])
            .output()
            .unwrap();
        assert_code(&run, 0);
    }
    assert_eq!(rows(&path("1")), rows(&path("7")));
    assert_eq!(rows(&path("1")), rows(&path("64")));
}
