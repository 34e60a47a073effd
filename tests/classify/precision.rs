//! How numbers are held and multiplied: a choice that a run keeps.

use std::path::Path;

use hiwl::engine::Precision;
use hiwl::engine::fused::Backend;

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

/// How far probabilities may be from those in single precision.
fn assert_near(single: &Path, other: &Path, most: f32) {
    let bits = |text: &String| f32::from_bits(u32::from_str_radix(text, 16).unwrap());
    let of = |run: &Path| -> Vec<f32> { column(run, "p_crs").iter().map(bits).collect() };
    for (single, other) in of(single).into_iter().zip(of(other)) {
        assert!((single - other).abs() < most, "{single}, {other}");
    }
}

#[test]
fn precisions_agree_on_what_they_see() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    simulate(&path("cutouts"), 40, 6);
    classify(&path("cutouts"), &path("f32"), Some("f32"), 0);
    classify(&path("cutouts"), &path("auto"), None, 0);
    assert_near(&path("f32"), &path("auto"), 0.02);
}

/// Bytes are for who asks for them: nothing chooses them, a processor without them says so,
/// and a run says that it used them.
#[test]
fn bytes_are_multiplied_where_asked_for_and_there_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    simulate(&path("cutouts"), 20, 7);
    if !Precision::Int8.is_available_on(Backend::detect()) {
        let told = classify(&path("cutouts"), &path("int8"), Some("int8"), 64);
        assert!(told.contains("this processor has no int8 arithmetic"), "{told}");
        return;
    }
    assert_ne!(Precision::detect(), Precision::Int8);
    classify(&path("cutouts"), &path("f32"), Some("f32"), 0);
    classify(&path("cutouts"), &path("int8"), Some("int8"), 0);
    assert_near(&path("f32"), &path("int8"), 0.1);
    assert_ne!(column(&path("f32"), "p_crs"), column(&path("int8"), "p_crs"));
    let settings = std::fs::read_to_string(path("int8").join("run.json")).unwrap();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap();
    assert!(settings.to_string().contains(r#""precision":"int8""#), "{settings}");
    // A run that goes on keeps them unasked.
    let before = rows(&path("int8"));
    std::fs::remove_file(&crate::util::catalog::parts(&path("int8"))[1]).unwrap();
    classify(&path("cutouts"), &path("int8"), None, 0);
    assert_eq!(rows(&path("int8")), before);
}
