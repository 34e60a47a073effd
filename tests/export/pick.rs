//! `hiwl catalog` with conditions, orders and columns: held against the rows that
//! were written.

use serde_json::Value;

use super::*;
use crate::catalog::{complete, plan, write_range};
use crate::util::command::{assert_code, errors};

fn catalog(dir: &Path, more: &[&str]) -> Output {
    run(["catalog", dir.to_str().unwrap()].iter().chain(more))
}

fn text(dir: &Path, more: &[&str]) -> String {
    let output = catalog(dir, more);
    assert_code(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

fn rows(dir: &Path, more: &[&str]) -> Vec<Value> {
    let more: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
    let rows: Value = serde_json::from_str(&text(dir, &more)).unwrap();
    rows.as_array().unwrap().clone()
}

fn ids_of(dir: &Path, more: &[&str]) -> Vec<String> {
    rows(dir, more).iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Indices of the rows with a label, by a key that rises; of equals the first.
fn sorted(rows: u64, key: impl Fn(f32) -> f32, take: usize) -> Vec<String> {
    let mut known: Vec<(f32, u64)> = (0..rows)
        .filter_map(|index| {
            let said = row(index, &entry(index)).outcome.ok()?;
            Some((key(said.confidence), index))
        })
        .collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    known.iter().take(take).map(|(_, index)| entry(*index).id).collect()
}

#[test]
fn rows_come_in_the_order_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(&folder.path().join("run"), 1000, 300);
    let ids = |more: &[&str]| ids_of(run.dir(), more);
    assert_eq!(ids(&["--sort", "confidence", "--top", "30"]), sorted(1000, |c| c, 30));
    assert_eq!(ids(&["--sort", "CONFIDENCE:desc", "--limit", "30"]), sorted(1000, |c| -c, 30));
    assert_eq!(ids(&["--sort", "confidence:asc"]).len(), 20, "the default");
    // All of them: those without a value are last, in either direction.
    for direction in ["confidence", "confidence:desc"] {
        let all = rows(run.dir(), &["--sort", direction, "--top", "5000"]);
        assert_eq!(all.len(), 1000);
        let first = all.iter().position(|row| row["confidence"].is_null()).unwrap();
        assert!(all[first..].iter().all(|row| row["status"] != "ok"), "{direction}");
        assert!(all[..first].iter().all(|row| row["status"] == "ok"), "{direction}");
    }
    // Two columns, and the parts' borders are nowhere to be seen.
    let all = rows(run.dir(), &["--sort", "label:desc,confidence", "--top", "1000"]);
    let keys =
        all.iter().filter_map(|row| Some((row["label"].as_str()?, row["confidence"].as_f64()?)));
    let keys: Vec<(&str, f64)> = keys.collect();
    assert!(keys.windows(2).all(|w| w[0].0 > w[1].0 || w[0].0 == w[1].0 && w[0].1 <= w[1].1));
    let other = complete(&folder.path().join("other"), 1000, 64);
    let order = ["--sort", "dec", "--top", "40"];
    assert_eq!(ids(&order), ids_of(other.dir(), &order));
    let said = text(run.dir(), &["--sort", "dec", "--top", "4"]);
    assert!(said.ends_with("4 of 1,000 rows\n"), "{said}");
}

#[test]
fn conditions_hold_for_the_rows_that_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), 1000, 300);
    let found = rows(run.dir(), &["--where", "label = 'SPI' and p_spi > 0.5", "--top", "1000"]);
    let expected: Vec<String> = (0..1000)
        .filter(|index| {
            let row = row(*index, &entry(*index));
            let spiral = crate::catalog::probability(&row, "shape/SPI");
            crate::catalog::label(&row) == "SPI" && spiral.is_some_and(|p| p > 0.5)
        })
        .map(|index| entry(index).id)
        .collect();
    let ids: Vec<&str> = found.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, expected);
    // Rejected rows may be asked for, and any of those that match.
    let rejected = rows(run.dir(), &["--where", "status <> 'ok'", "--random", "--top", "15"]);
    assert_eq!(rejected.len(), 15);
    assert!(rejected.iter().all(|row| row["status"] != "ok"));
    let again = rows(run.dir(), &["--where", "status <> 'ok'", "--random", "--top", "15"]);
    let other =
        rows(run.dir(), &["--where", "status <> 'ok'", "--random", "--top", "15", "--seed", "1"]);
    assert!(rejected == again && rejected != other);
    assert_eq!(rows(run.dir(), &["--where", "p_spi > 7"]).len(), 0);
}

#[test]
fn columns_are_those_asked_for_and_carried_ones_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = with_carried(folder.path(), 500, "flag:r");
    let more = ["--columns", "flag:r,ID,redshift", "--sort", "flag:r:desc", "--top", "3"];
    let shown = text(run.dir(), &more);
    let lines: Vec<Vec<&str>> = shown.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["flag:r", "id", "redshift"]);
    assert_eq!(lines[1][..2], ["199", entry(499).id.as_str()]);
    assert_eq!(lines[2][..2], ["198", entry(498).id.as_str()]);
    let found = rows(run.dir(), &["--sort", "redshift:desc", "--top", "2"]);
    assert_eq!(found[0]["redshift"], 499.0 / 7.0);
    assert_eq!(found[0].as_object().unwrap().len(), 15 + 4, "JSON has all of them");
}

#[test]
fn a_misspelt_column_has_a_suggestion() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), 30, 7);
    for (more, near) in [
        (["--sort", "confidance"], "confidence"),
        (["--columns", "id,lable"], "label"),
        (["--where", "p_spii > 0.8"], "p_spi"),
        (["--columns", "conf"], "confidence"),
    ] {
        let output = catalog(run.dir(), &more);
        assert_code(&output, 64);
        let said = errors(&output);
        assert!(said.contains(&format!("did you mean `{near}`?")), "{said}");
    }
    let output = catalog(run.dir(), &["--columns", "redshift"]);
    assert_code(&output, 64);
    assert!(!errors(&output).contains("did you mean"), "{}", errors(&output));
    assert_code(&catalog(run.dir(), &["--columns", "id,ID"]), 64);
    assert_code(&catalog(run.dir(), &["--sort", "id", "--random"]), 64);
}

#[test]
fn an_incomplete_catalog_is_looked_at_as_far_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(folder.path(), 100, 7);
    for index in [2, 9] {
        write_range(&run, run.range(index).unwrap()).unwrap();
    }
    let found = ids_of(run.dir(), &["--sort", "id:desc", "--top", "100"]);
    let mut expected: Vec<String> = (14..21).chain(63..70).map(|index| entry(index).id).collect();
    expected.sort_by(|a, b| b.cmp(a));
    assert_eq!(found, expected);
}
