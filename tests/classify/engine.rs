//! Which engine computes: a choice that a run keeps, and that changes nothing
//! but the last bits.

use std::path::Path;

use crate::util::catalog::{column, parts, rows};
use crate::util::command::{assert_code, errors, hiwl, run, simulate};

fn classify(input: &Path, output: &Path, engine: &[&str], expected: i32) -> String {
    let mut command = hiwl();
    command.args(["classify", "--quiet", "--device", "cpu", "--range-size", "3"]);
    command.args(["--precision", "f32"]).args(engine);
    let run = command.args([input, Path::new("--output"), output]).output().unwrap();
    assert_code(&run, expected);
    errors(&run)
}

#[test]
fn engines_agree_and_a_run_goes_on_with_the_one_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    simulate(&path("cutouts"), 8, 9);
    classify(&path("cutouts"), &path("fused"), &[], 0);
    classify(&path("cutouts"), &path("candle"), &["--engine", "candle"], 0);
    assert_eq!(column(&path("candle"), "label"), column(&path("fused"), "label"));
    let bits = |text: &String| f32::from_bits(u32::from_str_radix(text, 16).unwrap());
    for name in ["p_crs", "p_ibs", "p_spi", "p_css_eo", "confidence"] {
        let of = |run: &str| -> Vec<f32> { column(&path(run), name).iter().map(bits).collect() };
        for (candle, fused) in of("candle").into_iter().zip(of("fused")) {
            assert!((candle - fused).abs() < 1e-4, "{name}: {candle}, {fused}");
        }
    }
    // The default is not written down, so that folders stay as they were.
    let settings = |run: &str| std::fs::read_to_string(path(run).join("run.json")).unwrap();
    assert!(settings("candle").contains("\"engine\": \"candle\""));
    assert!(!settings("fused").contains("engine"));

    let before = rows(&path("candle"));
    std::fs::remove_file(&parts(&path("candle"))[1]).unwrap();
    let told = classify(&path("cutouts"), &path("candle"), &["--engine", "fused"], 64);
    assert!(told.contains("engine"), "{told}");
    classify(&path("cutouts"), &path("candle"), &[], 0);
    assert_eq!(rows(&path("candle")), before);
}

#[test]
fn an_engine_is_named_with_its_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(Path::new(&path("in")), 2, 1);
    let arguments = ["classify", &path("in"), "--output", &path("out"), "--device", "cpu"];
    let output = run(arguments.iter().chain(&["--engine", "cuda"]));
    assert_code(&output, 64);
    assert!(errors(&output).contains("cuda engine does not compute on cpu"));
    assert!(!Path::new(&path("out")).exists());
}
