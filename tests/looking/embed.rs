//! `hiwl embed`: vectors as a column of a run, held against what the classifier
//! makes of them, and against the model's own directions.

use std::fs;
use std::path::Path;

use hiwl::model::model_file::Model;

use crate::export::page::run_page;
use crate::util::catalog::{column, parts, vectors};
use crate::util::command::{assert_code, errors, hiwl, run, simulate};
use crate::util::fixture;

/// 41 galaxies and a file that is none, in a folder.
fn galaxies(folder: &Path) -> String {
    let inputs = folder.join("galaxies");
    simulate(&inputs, 41, 5);
    fs::write(inputs.join("broken.jpg"), b"no picture").unwrap();
    inputs.to_str().unwrap().to_owned()
}

/// Runs a command that leaves a run in `output`, in single precision.
fn make(command: &[&str], output: &Path, more: &[&str]) {
    let output = output.to_str().unwrap();
    let flags = ["--output", output, "--quiet", "--precision", "f32", "--range-size", "16"];
    let found = run(command.iter().chain(&flags).chain(more));
    // The broken file has a row that says so.
    assert_code(&found, 1);
}

fn numbers(run: &Path, name: &str) -> Vec<Option<f32>> {
    let number = |cell: String| {
        (cell != "null").then(|| f32::from_bits(u32::from_str_radix(&cell, 16).unwrap()))
    };
    column(run, name).into_iter().map(number).collect()
}

#[test]
fn vectors_stand_beside_their_rows_and_are_what_the_classifier_sees() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = galaxies(folder.path());
    let path = |name: &str| folder.path().join(name);
    make(&["classify", &inputs], &path("plain"), &[]);
    make(&["embed", &inputs], &path("all"), &["--batch", "7"]);
    assert_code(&run(["verify", path("all").to_str().unwrap()]), 0);
    assert_eq!(parts(&path("all")).len(), 3);
    for name in ["id", "source", "label", "confidence", "p_spi", "p_css", "status", "error"] {
        assert_eq!(column(&path("plain"), name), column(&path("all"), name), "{name}");
    }
    let (rows, status) = (vectors(&path("all")), column(&path("all"), "status"));
    assert_eq!(rows.len(), 42);
    for (row, status) in rows.iter().zip(&status) {
        assert_eq!(row.as_ref().map(Vec::len), (status == "ok").then_some(256));
    }

    // The classifier's matrix makes of each vector the probabilities of its row.
    let model = Model::read(&fixture("models/untrained-nano.safetensors")).unwrap();
    let tensor = |name: &str| -> Vec<f32> {
        model.networks[0].get(name).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let (weight, bias) = (tensor("classifier.1.weight"), tensor("classifier.1.bias"));
    let columns = ["p_crs", "p_ibs", "p_spi", "p_css_eo"].map(|name| numbers(&path("all"), name));
    for (at, row) in rows.iter().enumerate() {
        let Some(row) = row else { continue };
        let logits = weight.chunks_exact(256).zip(&bias).map(|(weight, bias)| {
            f64::from(*bias)
                + weight.iter().zip(row).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>()
        });
        let powers: Vec<f64> = logits.map(f64::exp).collect();
        let sum: f64 = powers.iter().sum();
        for (column, power) in columns.iter().zip(powers) {
            let told = f64::from(column[at].unwrap());
            assert!((told - power / sum).abs() < 1e-5, "row {at}: {told} {}", power / sum);
        }
    }

    make(&["embed", &inputs], &path("half"), &["--half"]);
    let halves = vectors(&path("half"));
    for (whole, half) in rows.iter().flatten().zip(halves.iter().flatten()) {
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= a.abs() / 1024.0 + 1e-7;
        assert!(whole.iter().zip(half).all(near));
    }
    assert_eq!(halves.iter().flatten().count(), 41);
    let size = |run: &str| -> u64 {
        parts(&path(run)).iter().map(|part| fs::metadata(part).unwrap().len()).sum()
    };
    // Two bytes a value, less what compression makes of either.
    let (whole, half) = (size("all"), size("half"));
    assert!(whole - half > 41 * 256 * 3 / 2, "{whole} {half}");
}

#[test]
fn a_run_with_vectors_is_planned_shared_out_and_resumed_like_any() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = galaxies(folder.path());
    let path = |name: &str| folder.path().join(name);
    make(&["embed", &inputs], &path("whole"), &[]);
    let whole: Vec<Vec<u8>> =
        parts(&path("whole")).iter().map(|part| fs::read(part).unwrap()).collect();
    let same = |run: &str| {
        let found = parts(&path(run)).into_iter().map(|part| fs::read(part).unwrap());
        assert!(found.eq(whole.iter().cloned()), "{run}");
    };
    // A part that is lost is made again, byte for byte.
    fs::remove_file(&parts(&path("whole"))[1]).unwrap();
    make(&["embed", &inputs], &path("whole"), &[]);
    same("whole");

    let planned = path("planned").to_str().unwrap().to_owned();
    let plan = ["--precision", "f32", "--range-size", "16", "--output", &planned, "--quiet"];
    let plan = run(["plan", &inputs, "--shards", "2", "--features"].iter().chain(&plan));
    assert_code(&plan, 0);
    for shard in ["1", "0"] {
        let shard = ["embed", "--plan", &planned, "--shard", shard, "--quiet", "--allow-rejected"];
        assert_code(&run(shard), 0);
    }
    same("planned");

    // Without vectors it is another run, and with fewer too.
    let other = run(["classify", &inputs, "--output", &planned, "--precision", "f32"]);
    assert_code(&other, 64);
    assert!(errors(&other).contains("features"), "{}", errors(&other));
    let none = path("none").to_str().unwrap().to_owned();
    assert_code(&run(["plan", &inputs, "--shards", "2", "--output", &none, "--quiet"]), 0);
    let refused = run(["embed", "--plan", &none, "--shard", "0"]);
    assert_code(&refused, 64);
    assert!(errors(&refused).contains("keeps no features"), "{}", errors(&refused));
}

#[test]
fn components_are_those_of_the_models_directions() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let refused = run(["embed", &galaxies(folder.path()), "--components", "8", "-o", &text("no")]);
    assert_code(&refused, 64);
    assert!(errors(&refused).contains("hiwl model oddness"), "{}", errors(&refused));

    let made = run(["simulate", &text("many"), "--count", "400", "--seed", "3", "--size", "240"]);
    assert_code(&made, 0);
    let plain = fixture("models/untrained-nano.safetensors").to_str().unwrap().to_owned();
    let taught = run(["model", "oddness", &plain, &text("many"), "--output", &text("telling")]);
    assert_code(&taught, 0);
    let inputs = text("galaxies");
    let of = |model: &str, output: &str, more: &[&str]| {
        let model = ["--model", model];
        make(&["embed", &inputs], &path(output), &[&model[..], more].concat());
    };
    of(&text("telling"), "all", &[]);
    of(&text("telling"), "few", &["--components", "5"]);
    let oddness = Model::read(&path("telling")).unwrap().oddness.unwrap();
    let (all, few) = (vectors(&path("all")), vectors(&path("few")));
    let mut spread = [0.0_f64; 5];
    for (all, few) in all.iter().flatten().zip(few.iter().flatten()) {
        assert_eq!(few.len(), 5);
        for (k, found) in few.iter().enumerate() {
            let direction = &oddness.directions[k * 256..][..256];
            let terms = all.iter().zip(&oddness.mean).zip(direction);
            let expected: f64 =
                terms.map(|((x, m), d)| (f64::from(*x) - f64::from(*m)) * f64::from(*d)).sum();
            assert!((expected - f64::from(*found)).abs() < 1e-4, "{expected} {found}");
            spread[k] += expected * expected;
        }
    }
    assert_eq!(few.iter().flatten().count(), 41);
    assert!(spread.iter().all(|sum| *sum > 0.0), "{spread:?}");
    let many = run([
        "embed",
        &inputs,
        "--model",
        &text("telling"),
        "-o",
        &text("no"),
        "--components",
        "999",
    ]);
    assert_code(&many, 64);
    assert!(errors(&many).contains("999 components"), "{}", errors(&many));
}

#[test]
fn exports_take_vectors_where_the_format_has_a_place_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = galaxies(folder.path());
    let path = |name: &str| folder.path().join(name);
    make(&["embed", &inputs], &path("run"), &[]);
    let export = |to: &str, more: &[&str]| {
        let output = path(&format!("out.{to}"));
        let command = ["export", "--to", to, "--output", output.to_str().unwrap()];
        let source = path("run");
        hiwl().args(command).arg(source).args(more).output().unwrap()
    };
    for to in ["csv", "fits", "votable"] {
        let found = export(to, &[]);
        assert_code(&found, 0);
        let said = String::from_utf8(found.stdout).unwrap();
        assert!(said.contains("`feature` left out"), "{to}: {said}");
        let refused = export(to, &["--columns", "id,feature", "--overwrite"]);
        assert_code(&refused, 64);
        assert!(errors(&refused).contains("vectors"), "{}", errors(&refused));
    }
    let header = fs::read_to_string(path("out.csv")).unwrap();
    assert!(!header.lines().next().unwrap().contains("feature"));
    assert_code(&export("parquet", &[]), 0);
    let one = crate::util::catalog::batches(&path("out.parquet"));
    let rows: usize = one.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 41);
    assert_eq!(one[0].column_by_name("feature").unwrap().null_count(), 0);
    let refused = export("csv", &["--where", "feature > 3", "--overwrite"]);
    assert_code(&refused, 64);
    assert!(errors(&refused).contains("a vector"), "{}", errors(&refused));
}

#[test]
fn every_line_of_the_page_runs() {
    let folder = tempfile::tempdir().unwrap();
    simulate(&folder.path().join("galaxies"), 60, 1);
    // A row without a vector, which the page's lines must leave out.
    fs::write(folder.path().join("galaxies/broken.jpg"), b"no picture").unwrap();
    // The narrow model's vectors are shorter; and what meets the cutout that is none
    // ends with 1.
    let line = |line: &str| match line.strip_prefix("hiwl explain") {
        Some(rest) => format!("hiwl explain{rest} || test $? = 1\n"),
        None => line.replace("hiwl embed galaxies", "hiwl embed galaxies --allow-rejected") + "\n",
    };
    let edit = |code: &str| -> String {
        code.replace("FLOAT[1280]", "FLOAT[256]").lines().map(line).collect()
    };
    let tools = run_page("docs/looking.md", folder.path(), "vectors", edit);
    for tool in ["pandas", "polars", "duckdb", "pyarrow.dataset"] {
        assert!(tools.contains(tool), "no block reads vectors with {tool}: {tools:?}");
    }
}
