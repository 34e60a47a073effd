//! `hiwl catalog`.

use serde_json::Value;

use super::*;
use crate::catalog::{complete, label, plan, probability, write_range};
use crate::util::command::assert_code;

fn catalog(dir: &Path, more: &[&str]) -> String {
    let output = run(["catalog", dir.to_str().unwrap()].iter().chain(more));
    assert_code(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

fn json(dir: &Path, more: &[&str]) -> Value {
    let more: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&catalog(dir, &more)).unwrap()
}

#[test]
fn a_catalog_is_summed_up_in_words_and_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), 1000, 300);
    let rows: Vec<Row> = (0..1000).map(|index| row(index, &entry(index))).collect();
    let found = json(run.dir(), &[]);
    assert_eq!((&found["rows"], &found["missing_ranges"]), (&1000.into(), &0.into()));
    let ok: Vec<_> = rows.iter().filter_map(|row| row.outcome.as_ref().ok()).collect();
    for class in ["CRS", "IBS", "CSS", "EO", "SPI"] {
        let count = rows.iter().filter(|row| label(row) == class).count();
        assert_eq!(found["labels"][class], count, "{class}");
    }
    let sure = ok.iter().filter(|p| p.confidence >= 0.9).count();
    assert_eq!(found["confidence"][9], sure);
    let placed: Vec<SkyPosition> = rows.iter().filter_map(|row| row.position).collect();
    assert_eq!(found["sky"]["rows"], placed.len());
    let least = placed.iter().map(|at| at.dec).fold(f64::INFINITY, f64::min);
    assert_eq!(found["sky"]["dec"][0], least);
    // No two of these are in one pixel of 0.0525 square degrees.
    let degrees = found["sky"]["square_degrees"].as_f64().unwrap();
    assert!((degrees / placed.len() as f64 - 0.05245).abs() < 0.0005, "{degrees}");

    let text = catalog(run.dir(), &[]);
    for word in ["1,000 rows", "narrow", "untrained", "SPI", "0.9–1.0", "deg²", "rejected"] {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
}

#[test]
fn samples_are_rows_of_the_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), 1000, 300);
    let ids = |more: &[&str]| -> Vec<String> {
        let rows = json(run.dir(), more);
        rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let first: Vec<String> = (0..5).map(|index| entry(index).id).collect();
    assert_eq!(ids(&["--sample", "5"]), first);
    let some = ids(&["--sample", "50", "--random"]);
    assert_eq!((some.len(), &some), (50, &ids(&["--sample", "50", "--random", "--seed", "0"])));
    assert_ne!(some, ids(&["--sample", "50", "--random", "--seed", "1"]));
    let all: std::collections::HashSet<String> = (0..1000).map(|index| entry(index).id).collect();
    assert!(some.iter().all(|id| all.contains(id)));
    assert_eq!(ids(&["--sample", "5000", "--random"]).len(), 1000);
    let rows = json(run.dir(), &["--sample", "8"]);
    let second = &rows[1];
    let truth = row(1, &entry(1));
    assert_eq!(second["dec"], truth.position.unwrap().dec);
    assert_eq!(second["p_crs"].as_f64().unwrap() as f32, probability(&truth, "shape/CRS").unwrap());
    assert!(rows[7]["confidence"].is_null() && rows[7]["stage2"] == false);
    let text = catalog(run.dir(), &["--sample", "3"]);
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[test]
fn an_incomplete_catalog_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(folder.path(), 30, 7);
    let range = run.ranges().nth(1).unwrap();
    write_range(&run, range).unwrap();
    let text = catalog(run.dir(), &[]);
    assert!(text.contains("incomplete: 7 of 30 rows; 4 parts are missing"), "{text}");
    let rows = json(run.dir(), &["--sample", "100"]);
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["id"]), (7, &entry(7).id.into()));
}
