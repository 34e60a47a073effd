//! `hiwl train --freeze` from features that are kept: what is learned is what the
//! frozen network learns from the pictures, many epochs cost little, and a run that was
//! cut off goes on.

use std::fs;
use std::process::Command;

use hiwl::model::architecture::Architecture;
use hiwl::model::model_file::{Model, StoredPrecision};
use safetensors::SafeTensors;
use serde_json::Value;

use super::run::{SHORT, Scene, done};
use crate::util::command::errors;

/// A scene with a network of random weights to start from, in f32, so that the file
/// that is made rounds the backbone.
fn scene(count: usize) -> Scene {
    let scene = Scene::new(count);
    let model = Model::seeded(Architecture::nano(), 64, 5).unwrap();
    model.write(&scene.path("init.safetensors"), StoredPrecision::F32).unwrap();
    scene
}

fn train(scene: &Scene, output: &str, recipe: &str, more: &[&str]) -> Command {
    let mut command = scene.train(output, recipe, more);
    command.args(["--freeze", "--precision", "f32", "--init"]).arg(scene.path("init.safetensors"));
    command
}

/// Values of a tensor of a model's last checkpoint.
fn tensor(scene: &Scene, run: &str, model: &str, name: &str) -> Vec<f32> {
    let bytes = scene.bytes(&format!("{run}/checkpoints/{model}-last.safetensors"));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor(name).unwrap().data().to_vec();
    data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// A folder whose run was begun before features were kept goes on without: the slow way,
/// by which the same pictures are learned from.
#[test]
fn what_is_learned_from_kept_features_is_learned_from_pictures_too() {
    let scene = scene(150);
    scene.recipe("short.toml", &SHORT);
    let quick = done(train(&scene, "quick", "short.toml", &["--views", "2"]), 0);
    let said = errors(&quick);
    assert!(said.contains("features of 2 views of"), "{said}");
    let mut settings: Value = serde_json::from_slice(&scene.bytes("quick/run.json")).unwrap();
    assert_eq!(settings["features"], "kept");
    settings.as_object_mut().unwrap().remove("features");
    fs::create_dir(scene.path("slow")).unwrap();
    fs::write(scene.path("slow/run.json"), settings.to_string()).unwrap();
    let slow = done(train(&scene, "slow", "short.toml", &["--views", "2"]), 0);
    assert!(!errors(&slow).contains("computed once"), "{}", errors(&slow));

    for model in ["stage1", "stage2"] {
        for kind in ["weights", "average", "first"] {
            let name = format!("{kind}/classifier.1.weight");
            let of = |run: &str| tensor(&scene, run, model, &name);
            let (quick, slow) = (of("quick"), of("slow"));
            let norm =
                |values: Vec<f32>| -> f32 { values.iter().map(|v| v * v).sum::<f32>().sqrt() };
            let apart: Vec<f32> = quick.iter().zip(&slow).map(|(a, b)| a - b).collect();
            let (apart, all) = (norm(apart), norm(slow));
            assert!(apart < 1e-3 * all, "{model} {name}: {apart} of {all}");
        }
        // What is frozen is in both files, to the bit.
        for kind in ["weights", "average"] {
            let name = format!("{kind}/features.0.0.weight");
            let of = |run: &str| tensor(&scene, run, model, &name);
            assert_eq!(of("quick"), of("slow"), "{name}");
        }
    }
    let losses = |run: &str| -> Vec<f64> {
        let lines = scene.curve(run);
        let cell = |line: &String| line.split(',').nth(6).unwrap().parse().unwrap();
        lines.iter().skip(1).map(cell).collect()
    };
    for (quick, slow) in losses("quick").iter().zip(losses("slow")) {
        assert!((quick - slow).abs() < 1e-3 * slow, "{quick} {slow}");
    }
    assert_eq!(losses("quick").len(), 6);
}

/// 151 epochs without augmentation: every one sees the same pictures, and nothing is asked.
const MANY: [(&str, &str); 9] = [
    SHORT[0],
    ("{ epochs = 8, size = 64 }", "{ epochs = 150, size = 64 }"),
    ("epochs = 12\n", "epochs = 151\n"),
    ("rotation = 25.0", "rotation = 0.0"),
    ("scale = [0.9, 1.0]", "scale = [1.0, 1.0]"),
    ("aspect = [0.9, 1.1111111111111112]", "aspect = [1.0, 1.0]"),
    ("horizontal_flip = 0.5", "horizontal_flip = 0.0"),
    ("vertical_flip = 0.5", "vertical_flip = 0.0"),
    ("transpose = 0.5", "transpose = 0.0"),
];

/// Hundreds of epochs, with and without checkpoints on the way, and after a death.
#[test]
fn a_run_from_kept_features_goes_on_to_the_bit() {
    let scene = scene(150);
    scene.recipe("many.toml", &MANY);
    let whole = done(train(&scene, "whole", "many.toml", &[]), 0);
    assert!(errors(&whole).contains("features of 1 views of"), "{}", errors(&whole));
    // Epochs of a moment are not told one by one; the table has them all.
    assert!(errors(&whole).lines().count() < 100, "{}", errors(&whole));
    assert_eq!(scene.curve("whole").len(), 1 + 2 * 151);

    let often = ["--checkpoint-minutes", "0"];
    let mut child = train(&scene, "cut", "many.toml", &often);
    let mut child = child.stdout(std::process::Stdio::null());
    child = child.stderr(std::process::Stdio::null());
    let mut child = child.spawn().unwrap();
    let last = scene.path("cut/checkpoints/stage1-last.safetensors");
    while !last.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended without a checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    done(train(&scene, "cut", "many.toml", &[]), 0);
    assert_eq!(scene.bytes("cut/model.safetensors"), scene.bytes("whole/model.safetensors"));
    assert_eq!(scene.curve("cut"), scene.curve("whole"));
}

/// The last checkpoint of the first model of a run that is killed as soon as it writes
/// another, until one is from before `step` of an epoch.
fn killed_before(scene: &Scene, run: &str, recipe: &str, step: i64) {
    let last = scene.path(run).join("checkpoints/stage1-last.safetensors");
    let written = || fs::metadata(&last).and_then(|file| file.modified()).ok();
    for _ in 0..100 {
        let before = written();
        let mut child = train(scene, run, recipe, &["--checkpoint-minutes", "0"]);
        let child = child.stdout(std::process::Stdio::null());
        let mut child = child.stderr(std::process::Stdio::null()).spawn().unwrap();
        while written() == before {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let bytes = fs::read(&last).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let state = header.metadata().as_ref().unwrap().values().next().unwrap();
        let state: toml::Value = toml::from_str(state).unwrap();
        if state["step"].as_integer().unwrap() == step {
            return;
        }
    }
    panic!("no checkpoint before step {step}");
}

/// Between the last step of an epoch and its validation no step is left, but features are
/// needed.
#[test]
fn a_run_from_kept_features_goes_on_after_the_last_step_of_an_epoch() {
    let scene = scene(150);
    let whole = [&MANY[..], &[("batch = 16", "batch = 200")]].concat();
    scene.recipe("steps.toml", &whole);
    done(train(&scene, "whole", "steps.toml", &[]), 0);
    killed_before(&scene, "cut", "steps.toml", 1);
    done(train(&scene, "cut", "steps.toml", &[]), 0);
    assert_eq!(scene.bytes("cut/model.safetensors"), scene.bytes("whole/model.safetensors"));
    assert_eq!(scene.curve("cut"), scene.curve("whole"));
}
