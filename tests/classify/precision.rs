//! How numbers are held and multiplied: a choice that a run keeps.

use std::path::Path;

use crate::util::catalog::{column, rows};
use crate::util::command::{assert_code, errors, hiwl, simulate};

fn classify(input: &Path, output: &Path, precision: Option<&str>, expected: i32) -> String {
    let mut command = hiwl();
    command.args(["classify", "--quiet", "--range-size", "10"]);
    if let Some(precision) = precision {
        command.args(["--precision", precision]);
    }
    let run = command.args([input, Path::new("--output"), output]).output().unwrap();
    assert_code(&run, expected);
    errors(&run)
}

#[test]
fn a_run_goes_on_in_the_precision_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    simulate(&path("cutouts"), 30, 5);
    classify(&path("cutouts"), &path("run"), Some("f32"), 0);
    let before = rows(&path("run"));
    std::fs::remove_file(&crate::util::catalog::parts(&path("run"))[1]).unwrap();
    let told = classify(&path("cutouts"), &path("run"), Some("bf16"), 64);
    assert!(told.contains("precision") || told.contains("bf16"), "{told}");
    classify(&path("cutouts"), &path("run"), None, 0);
    assert_eq!(rows(&path("run")), before);
}

#[test]
fn precisions_agree_on_what_they_see() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    simulate(&path("cutouts"), 40, 6);
    classify(&path("cutouts"), &path("f32"), Some("f32"), 0);
    classify(&path("cutouts"), &path("auto"), None, 0);
    let bits = |text: &String| f32::from_bits(u32::from_str_radix(text, 16).unwrap());
    let of = |run: &str| -> Vec<f32> { column(&path(run), "p_crs").iter().map(bits).collect() };
    for (single, chosen) in of("f32").into_iter().zip(of("auto")) {
        assert!((single - chosen).abs() < 0.02, "{single}, {chosen}");
    }
}
