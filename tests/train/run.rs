//! `hiwl train` from its command line: it learns, it resumes to the bit, it
//! refuses; and what it made is judged the same by everyone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use hiwl::engine;
use hiwl::engine::fused::Backend;
use hiwl::model::architecture::Architecture;
use hiwl::model::model_file::{Model, StoredPrecision};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::util::catalog::column;
use crate::util::command::{assert_code, errors, hiwl, run};
use crate::util::root;

/// Simulated galaxies and a recipe for them.
pub struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    pub fn new(count: usize) -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        scene.simulate("in", count, 3);
        scene.recipe("nano.toml", &[]);
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn simulate(&self, name: &str, count: usize, seed: u64) {
        self.simulate_as(name, &[("--size", 72), ("--count", count), ("--seed", seed as usize)]);
    }

    /// Galaxies of `size` pixels a side.
    pub fn simulate_at(&self, name: &str, count: usize, size: usize) {
        self.simulate_as(name, &[("--size", size), ("--count", count), ("--seed", 3)]);
    }

    fn simulate_as(&self, name: &str, numbers: &[(&str, usize)]) {
        let mut command = hiwl();
        command.arg("simulate").arg(self.path(name)).arg("--quiet");
        for (flag, number) in numbers {
            command.args([*flag, &number.to_string()]);
        }
        assert_code(&command.output().unwrap(), 0);
    }

    /// The recipe of the tests with some of its text replaced.
    pub fn recipe(&self, name: &str, changes: &[(&str, &str)]) {
        let mut text = fs::read_to_string(root().join("tests/train/nano.toml")).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        fs::write(self.path(name), text).unwrap();
    }

    /// `hiwl train` into `output` by `recipe`.
    pub fn train(&self, output: &str, recipe: &str, more: &[&str]) -> Command {
        let mut command = hiwl();
        command.arg("train").arg(self.path("in"));
        command.arg("--labels").arg(self.path("in/labels.csv"));
        command.arg("--recipe").arg(self.path(recipe));
        command.arg("--output").arg(self.path(output)).args(more);
        command
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The lines of `metrics.csv` without the columns that tell the time.
    pub(super) fn curve(&self, run: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(run).join("metrics.csv")).unwrap();
        let timeless = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            [&cells[..8], &cells[10..]].concat().join(",")
        };
        text.lines().map(timeless).collect()
    }
}

/// A few epochs only, for tests of everything but learning.
pub const SHORT: [(&str, &str); 3] = [
    ("{ epochs = 4, size = 48 }", "{ epochs = 1, size = 48 }"),
    ("{ epochs = 8, size = 64 }", "{ epochs = 2, size = 64 }"),
    ("epochs = 12\n", "epochs = 3\n"),
];

pub fn done(mut command: Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_code(&output, code);
    output
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn it_learns_to_tell_unseen_galaxies_apart() {
    let scene = Scene::new(2000);
    let began = Instant::now();
    let output = done(scene.train("run", "nano.toml", &[]), 0);
    eprintln!("trained in {:.1} s", began.elapsed().as_secs_f64());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    for word in ["macro avg", "stage1: epoch", "model.safetensors"] {
        assert!(told.contains(word), "`{word}` is not in {told}");
    }
    let log = errors(&output);
    for word in ["stage1 epoch 12/12 64 px", "stage2 epoch 12/12", "images/s", "CSS+EO"] {
        assert!(log.contains(word), "`{word}` is not in {log}");
    }
    assert_eq!(scene.curve("run").len(), 1 + 24);
    assert!(scene.bytes("run/curves.svg").starts_with(b"<svg"));

    // Of the validation images the model file is as good as it was said, which was in f32.
    let evaluate = |input: &str, labels: &str, more: &[&str]| {
        let mut command = hiwl();
        command.args(["evaluate", "--json", "--precision", "f32"]);
        command.arg(scene.path(input)).args(more);
        command.arg("--labels").arg(scene.path(labels));
        command.arg("--model").arg(scene.path("run/model.safetensors"));
        json(&done(command, 0))
    };
    let said: Value = serde_json::from_slice(&scene.bytes("run/evaluation.json")).unwrap();
    let mut labels = hiwl();
    labels.arg("labels").arg(scene.path("in/labels.csv"));
    labels.arg("--output").arg(scene.path("split.csv"));
    done(labels, 0);
    let mut found = evaluate("in", "split.csv", &["--split", "val"]);
    // Beside the figures stands what they leave out: here the galaxies of other splits.
    let notes = found.as_object_mut().unwrap().remove("notes").unwrap();
    assert!(notes.to_string().contains("1,800 images without a label"), "{notes}");
    assert_eq!(found, said);

    scene.simulate("unseen", 400, 99);
    let unseen = evaluate("unseen", "unseen/labels.csv", &[]);
    let accuracy = unseen["accuracy"].as_f64().unwrap();
    eprintln!("accuracy on unseen galaxies {accuracy:.3}");
    assert!(accuracy > 0.6, "{accuracy}: chance is 0.2");

    // And `hiwl classify` with it gives the labels that the metrics count.
    let mut classify = hiwl();
    classify.args(["classify", "--quiet", "--precision", "f32"]).arg(scene.path("unseen"));
    classify.arg("--output").arg(scene.path("catalog"));
    classify.arg("--model").arg(scene.path("run/model.safetensors"));
    done(classify, 0);
    let truth: std::collections::HashMap<String, String> =
        fs::read_to_string(scene.path("unseen/labels.csv"))
            .unwrap()
            .lines()
            .skip(1)
            .map(|line| {
                let cells: Vec<&str> = line.split(',').collect();
                (cells[0].to_owned(), cells[1].to_owned())
            })
            .collect();
    let classes = ["CRS", "IBS", "CSS", "EO", "SPI"];
    let place = |label: &str| classes.iter().position(|c| *c == label).unwrap();
    let mut confusion = vec![vec![0u64; 5]; 5];
    let catalog = scene.path("catalog");
    for (id, label) in column(&catalog, "id").iter().zip(column(&catalog, "label")) {
        confusion[place(&truth[id])][place(&label)] += 1;
    }
    assert_eq!(unseen["confusion"], serde_json::to_value(confusion).unwrap());

    // It was calibrated at its end; on galaxies that it never saw it can be again.
    let mut calibrate = hiwl();
    calibrate.args(["model", "calibrate"]).arg(scene.path("run/model.safetensors"));
    calibrate.arg(scene.path("unseen")).arg("--labels").arg(scene.path("unseen/labels.csv"));
    calibrate.args(["--operating-point", "accurate", "--output"]);
    calibrate.arg(scene.path("calibrated.safetensors"));
    let told = String::from_utf8(done(calibrate, 0).stdout).unwrap();
    let metrics = |name: &str| {
        let model = Model::read(&scene.path(name)).unwrap();
        model.description.provenance.metrics.len()
    };
    // What was measured is of the labels that were.
    assert!(metrics("run/model.safetensors") > 3);
    assert_eq!(metrics("calibrated.safetensors"), 0);
    assert!(told.contains("log-likelihood"), "{told}");
    for (model, point) in
        [("run/model.safetensors", "balanced"), ("calibrated.safetensors", "accurate")]
    {
        let mut info = hiwl();
        info.args(["model", "info"]).arg(scene.path(model));
        let told = String::from_utf8(done(info, 0).stdout).unwrap();
        assert!(told.contains("temperature") && told.contains(point), "{told}");
    }
    let mut command = hiwl();
    command.args(["evaluate", "--json", "--precision", "f32"]).arg(scene.path("unseen"));
    command.arg("--labels").arg(scene.path("unseen/labels.csv"));
    command.arg("--model").arg(scene.path("calibrated.safetensors"));
    let again = json(&done(command, 0));
    let error = |report: &Value| report["expected_calibration_error"].as_f64().unwrap();
    eprintln!("calibration error {:.4}, calibrated on these {:.4}", error(&unseen), error(&again));
    // 400 galaxies in 15 bins are some hundredths off by chance.
    assert!(error(&again) < 0.08 && error(&again) < error(&unseen) + 0.02);
    assert_eq!(again["reliability"].as_array().unwrap().len(), 5);
    assert_eq!(again["cuts"].as_array().unwrap().len(), 30);
    a_card_says_what_evaluate_says(&scene, &again);
}

/// Of `calibrated.safetensors` on `unseen`, of which `report` is known.
fn a_card_says_what_evaluate_says(scene: &Scene, report: &Value) {
    fs::write(scene.path("card.md"), "# Small\n\nKnows **nothing**.\n").unwrap();
    let card = |arguments: &[&str]| {
        let mut command = hiwl();
        command.args(["model", arguments[0]]).arg(scene.path(arguments[1]));
        command.args(&arguments[2..]).current_dir(scene.path("."));
        command
    };
    let of_unseen = ["unseen", "--labels", "unseen/labels.csv", "--output", "carded.safetensors"];
    let mut write = card(&["card", "calibrated.safetensors"]);
    write.args(of_unseen).args(["--text", "card.md"]);
    done(write, 0);
    let info = json(&done(card(&["info", "carded.safetensors", "--json"]), 0));
    let measured = &info["provenance"]["card"]["measured"];
    assert_eq!(measured["galaxies"], 400);
    let near = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 0.01;
    assert!(near(&measured["accuracy"], &report["accuracy"]), "{measured}");
    for (said, class) in
        measured["classes"].as_array().unwrap().iter().zip(report["classes"].as_array().unwrap())
    {
        assert_eq!((&said["class"], &said["galaxies"]), (&class["class"], &class["support"]));
        assert!(near(&said["recall"], &class["recall"]), "{said} {class}");
        assert!(near(&said["precision"], &class["precision"]), "{said} {class}");
    }
    let page = |file: &str| card(&["info", file, "--card"]);
    let shown = String::from_utf8(done(page("carded.safetensors"), 0).stdout).unwrap();
    assert!(shown.starts_with("# Small\n\nKnows **nothing**.\n\nMeasured by hiwl"), "{shown}");

    // Weights and labels are those of before; what is done to them takes the card off.
    let labels = |model: &str| {
        let mut command = hiwl();
        command.args(["evaluate", "--json", "--precision", "f32"]).arg(scene.path("unseen"));
        command.arg("--labels").arg(scene.path("unseen/labels.csv"));
        command.arg("--model").arg(scene.path(model));
        json(&done(command, 0))["confusion"].clone()
    };
    assert_eq!(labels("carded.safetensors"), labels("calibrated.safetensors"));
    let mut again = card(&["calibrate", "carded.safetensors", "unseen", "--labels"]);
    again.args(["unseen/labels.csv", "--output", "bare.safetensors"]);
    done(again, 0);
    let refused = done(page("bare.safetensors"), 64);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no card"));

    fs::write(scene.path("long.md"), "x".repeat((64 << 10) + 1)).unwrap();
    let mut long = card(&["card", "calibrated.safetensors"]);
    long.args(of_unseen).args(["--text", "long.md"]);
    assert!(String::from_utf8_lossy(&done(long, 64).stderr).contains("at most 65536"));
}

/// Rounding to bfloat16 is one more noise among those of the batches; what is
/// learned is as good.
#[test]
fn it_learns_as_well_in_bfloat16() {
    if !engine::Precision::Bf16.is_available_on(Backend::detect()) {
        eprintln!("not tested: this processor does not multiply bfloat16");
        return;
    }
    let scene = Scene::new(1200);
    scene.simulate("unseen", 600, 99);
    let accuracy = |precision: &str| {
        done(scene.train(precision, "nano.toml", &["--quiet", "--precision", precision]), 0);
        let recorded: Value =
            serde_json::from_slice(&scene.bytes(&format!("{precision}/run.json"))).unwrap();
        assert_eq!(recorded["precision"], precision);
        let mut command = hiwl();
        command.args(["evaluate", "--json", "--precision", "f32"]).arg(scene.path("unseen"));
        command.arg("--labels").arg(scene.path("unseen/labels.csv"));
        command.arg("--model").arg(scene.path(precision).join("model.safetensors"));
        json(&done(command, 0))["accuracy"].as_f64().unwrap()
    };
    let (half, wide) = (accuracy("bf16"), accuracy("f32"));
    eprintln!("accuracy on unseen galaxies: bf16 {half:.3}, f32 {wide:.3}");
    // Two thirds of 600 right are ± 0.02, and other noise is another run.
    assert!(wide > 0.6 && (half - wide).abs() < 0.06, "bf16 {half}, f32 {wide}");
}

#[test]
fn nothing_learns_in_bytes() {
    let scene = Scene::new(20);
    let refused = done(scene.train("run", "nano.toml", &["--precision", "int8"]), 64);
    let told = errors(&refused);
    assert!(told.contains("networks do not learn in int8: --precision f32, or bf16"), "{told}");
}

/// A run that is taken up again keeps its precision, also one of before it was
/// recorded; another one is another run.
#[test]
fn a_run_goes_on_in_its_own_precision() {
    let scene = Scene::new(100);
    scene.recipe("short.toml", &SHORT);
    done(scene.train("run", "short.toml", &["--precision", "f32"]), 0);
    let model = scene.bytes("run/model.safetensors");
    done(scene.train("run", "short.toml", &[]), 0);
    assert_eq!(scene.bytes("run/model.safetensors"), model);
    if engine::Precision::Bf16.is_available_on(Backend::detect()) {
        let other = done(scene.train("run", "short.toml", &["--precision", "bf16"]), 64);
        assert!(errors(&other).contains("precision: f32 → bf16"), "{}", errors(&other));
    }

    // As such a run's `run.json` was.
    let text = String::from_utf8(scene.bytes("run/run.json")).unwrap();
    let old: Vec<&str> = text.lines().filter(|line| !line.contains("\"precision\"")).collect();
    assert_eq!(old.len() + 1, text.lines().count());
    fs::create_dir(scene.path("old")).unwrap();
    fs::write(scene.path("old/run.json"), old.join("\n")).unwrap();
    done(scene.train("old", "short.toml", &[]), 0);
    assert_eq!(scene.curve("old"), scene.curve("run"));
}

#[test]
fn the_same_seed_gives_the_same_model_with_1_and_4_workers() {
    let scene = Scene::new(200);
    scene.recipe("short.toml", &SHORT);
    done(scene.train("one", "short.toml", &["--workers", "1"]), 0);
    done(scene.train("four", "short.toml", &["--workers", "4"]), 0);
    done(scene.train("other", "short.toml", &["--seed", "7"]), 0);
    assert_eq!(scene.bytes("one/model.safetensors"), scene.bytes("four/model.safetensors"));
    assert_eq!(scene.curve("one"), scene.curve("four"));
    assert_ne!(scene.curve("one"), scene.curve("other"));
    // What is finished is only scored again.
    let again = done(scene.train("one", "short.toml", &[]), 0);
    assert!(!errors(&again).contains("epoch 1/3"), "{}", errors(&again));
    assert_eq!(scene.bytes("one/model.safetensors"), scene.bytes("four/model.safetensors"));
}

/// Disturbs a run at random moments until it was cut short `times` times, then
/// lets it finish: nothing may tell it from one that was left alone.
fn disturb(signal: &str, code: Option<i32>, times: usize, seed: u64) {
    let scene = Scene::new(300);
    scene.recipe("short.toml", &SHORT);
    let began = Instant::now();
    done(scene.train("whole", "short.toml", &[]), 0);
    let whole = began.elapsed();
    // A checkpoint after every step: a kill is likely to meet one.
    let more = ["--checkpoint-minutes", "0", "--quiet"];
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut disturbed = 0;
    while disturbed < times {
        let mut child = scene
            .train("cut", "short.toml", &more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole.mul_f64(random.random_range(0.05..0.7)));
        // Not yet waited for, so the process is there, if only as a zombie.
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let status = child.wait().unwrap();
        match status.code() {
            Some(0) => fs::remove_dir_all(scene.path("cut")).unwrap(),
            found => {
                assert_eq!(found, code, "{status}");
                disturbed += 1;
            }
        }
    }
    done(scene.train("cut", "short.toml", &[]), 0);
    assert_eq!(scene.bytes("cut/model.safetensors"), scene.bytes("whole/model.safetensors"));
    assert_eq!(scene.curve("cut"), scene.curve("whole"));
    let tensors = |run: &str| {
        let bytes = scene.bytes(&format!("{run}/checkpoints/stage2-last.safetensors"));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut all: Vec<(String, Vec<u8>)> =
            file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
        all.sort();
        all
    };
    assert!(tensors("cut") == tensors("whole"), "weights, velocities, averages");
    let left: Vec<_> = fs::read_dir(scene.path("cut/checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, [""; 0], "what a killed process was writing is cleaned up");
}

#[test]
fn eight_sigkills_at_random_moments_change_no_bit() {
    disturb("-KILL", None, 8, 21);
}

#[test]
fn sigterm_saves_and_a_resume_changes_no_bit() {
    disturb("-TERM", Some(143), 3, 22);
}

#[test]
fn sigint_says_130() {
    disturb("-INT", Some(130), 1, 23);
}

#[test]
fn a_loss_that_is_not_finite_stops_with_the_step_and_the_last_good_checkpoint() {
    let scene = Scene::new(100);
    scene.recipe(
        "hot.toml",
        &[
            ("learning_rate = 0.05", "learning_rate = 100.0"),
            ("ema = 0.99\n", ""),
            ("warmup_steps = 10", "warmup_steps = 0"),
            ("\nmomentum = 0.9", "\nmomentum = 0.99"),
        ],
    );
    let output = done(scene.train("run", "hot.toml", &["--checkpoint-minutes", "0"]), 2);
    let errors = errors(&output);
    for word in ["not finite", "at step", "stage1-last.safetensors"] {
        assert!(errors.contains(word), "`{word}` is not in {errors}");
    }
    let good = scene.bytes("run/checkpoints/stage1-last.safetensors");
    let file = SafeTensors::deserialize(&good).unwrap();
    for (name, view) in file.iter().filter(|(name, _)| name.starts_with("weights/")) {
        let (values, _) = view.data().as_chunks::<4>();
        assert!(values.iter().all(|v| f32::from_le_bytes(*v).is_finite()), "{name}");
    }

    // In the very first step there is none yet.
    let mut model = Model::seeded(Architecture::nano(), 64, 1).unwrap();
    let head = model.networks[0].get("classifier.1.weight").unwrap();
    let huge = head.affine(0.0, 3e38).unwrap();
    model.networks[0].insert("classifier.1.weight", huge);
    model.write(&scene.path("huge.safetensors"), StoredPrecision::F32).unwrap();
    let mut command = scene.train("first", "nano.toml", &[]);
    command.arg("--init").arg(scene.path("huge.safetensors"));
    let errors = self::errors(&done(command, 2));
    assert!(errors.contains("step 1 of epoch 1"), "{errors}");
    assert!(errors.contains("no checkpoint yet"), "{errors}");
}

#[test]
fn a_finished_run_stays_as_it_is() {
    let scene = Scene::new(200);
    scene.recipe("short.toml", &SHORT);
    let end = || {
        let output = done(scene.train("run", "short.toml", &["--json"]), 0);
        let told = String::from_utf8(output.stdout).unwrap();
        let end: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert_eq!(end["event"], "end");
        end
    };
    // A file that is written anew is another.
    let file = || fs::metadata(scene.path("run/model.safetensors")).unwrap().ino();
    let first = end();
    let (model, mut made) = (scene.bytes("run/model.safetensors"), file());
    let evaluation = scene.bytes("run/evaluation.json");
    assert_eq!(end(), first);
    assert_eq!(file(), made);
    // Whatever is missing or is damaged is made again, the same.
    for damage in [None, Some("{}")] {
        match damage {
            None => fs::remove_file(scene.path("run/evaluation.json")).unwrap(),
            Some(text) => fs::write(scene.path("run/evaluation.json"), text).unwrap(),
        }
        assert_eq!(end(), first);
        assert_ne!(file(), made);
        made = file();
        assert_eq!(scene.bytes("run/evaluation.json"), evaluation);
        assert!(scene.bytes("run/model.safetensors") == model);
    }
}

/// To read all images may take an hour.
#[test]
fn other_settings_are_refused_before_images_are_read() {
    let scene = Scene::new(100);
    scene.recipe("short.toml", &SHORT);
    done(scene.train("run", "short.toml", &[]), 0);
    let other = done(scene.train("run", "short.toml", &["--seed", "99"]), 64);
    let told = errors(&other);
    assert!(told.contains("holds another run"), "{told}");
    assert!(!told.contains("looking at every image"), "{told}");
}

#[test]
fn a_second_run_into_the_folder_is_refused_and_so_is_another() {
    let scene = Scene::new(400);
    let long = ("{ epochs = 8, size = 64 }", "{ epochs = 800, size = 64 }");
    scene.recipe("long.toml", &[long]);
    let mut first = scene
        .train("run", "long.toml", &["--quiet"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !scene.path("run/run.json").exists() {
        assert!(first.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let second = done(scene.train("run", "long.toml", &[]), 64);
    assert!(errors(&second).contains("another process"), "{}", errors(&second));
    first.kill().unwrap();
    first.wait().unwrap();

    let other = done(scene.train("run", "long.toml", &["--seed", "2"]), 64);
    let errors = errors(&other);
    assert!(errors.contains("another run") && errors.contains("recipe seed: 1 → 2"), "{errors}");
    // Other images are another run too.
    let image = fs::read_dir(scene.path("in")).unwrap().map(|entry| entry.unwrap().path());
    let image = find_jpeg(image);
    fs::remove_file(image).unwrap();
    let other = done(scene.train("run", "long.toml", &[]), 64);
    assert!(self::errors(&other).contains("data"), "{}", self::errors(&other));
    let occupied = done(scene.train("in", "long.toml", &[]), 64);
    assert!(self::errors(&occupied).contains("no training run"), "{}", self::errors(&occupied));
}

/// A JPEG among these paths, or in the folders among them.
fn find_jpeg(paths: impl Iterator<Item = PathBuf>) -> PathBuf {
    let mut folders = Vec::new();
    for path in paths {
        if path.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|e| e == "jpg" || e == "jpeg") {
            return path;
        }
    }
    let inside = folders.iter().flat_map(|f| fs::read_dir(f).unwrap()).map(|e| e.unwrap().path());
    find_jpeg(inside.collect::<Vec<_>>().into_iter())
}

#[test]
fn bad_images_are_told_and_left_out() {
    let scene = Scene::new(100);
    scene.recipe("short.toml", &SHORT);
    let image = find_jpeg(std::iter::once(scene.path("in")));
    fs::write(&image, "not a galaxy").unwrap();
    let output = done(scene.train("run", "short.toml", &[]), 0);
    let errors = errors(&output);
    let id = image.file_stem().unwrap().to_str().unwrap();
    assert!(errors.contains("1 image cannot be used") && errors.contains(id), "{errors}");
}

/// What `hiwl classify` rejects is not learned from. A run of before that was so goes on
/// with it.
#[test]
fn pictures_that_show_nothing_are_told_and_left_out() {
    let scene = Scene::new(100);
    scene.recipe("short.toml", &SHORT);
    let number = |run: &str| {
        serde_json::from_slice::<Value>(&scene.bytes(&format!("{run}/run.json"))).unwrap()
    };
    done(scene.train("ordinary", "short.toml", &[]), 0);
    assert_eq!(number("ordinary")["blank_left_out"], true, "had there been any");
    // Enough that some are not of the test split.
    for level in [3, 200, 255, 30, 255, 0, 90, 255] {
        let image = find_jpeg(std::iter::once(scene.path("in")));
        fs::remove_file(&image).unwrap();
        let file = fs::File::create(image.with_extension("png")).unwrap();
        let mut encoder = png::Encoder::new(file, 72, 72);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&vec![level; 3 * 72 * 72]).unwrap();
    }
    let output = done(scene.train("run", "short.toml", &[]), 0);
    let told = errors(&output);
    assert!(told.contains("images cannot be used: ") && told.contains("blank"), "{told}");
    let settings = number("run");
    assert_eq!(settings["blank_left_out"], true);
    let images = |settings: &Value| {
        ["train_images", "val_images"].map(|n| settings[n].as_u64().unwrap()).iter().sum::<u64>()
    };
    let all = images(&number("ordinary"));
    assert!((all - 8..all).contains(&images(&settings)), "{all} {settings}");
    // The run goes on as it began.
    done(scene.train("run", "short.toml", &[]), 0);
    let mut before = settings;
    before.as_object_mut().unwrap().remove("blank_left_out");
    fs::create_dir(scene.path("before")).unwrap();
    fs::write(scene.path("before/run.json"), before.to_string()).unwrap();
    let other = done(scene.train("before", "short.toml", &[]), 64);
    assert!(errors(&other).contains("holds another run"), "{}", errors(&other));
    assert!(!errors(&other).contains("cannot be used"), "{}", errors(&other));
}

#[test]
fn a_frozen_backbone_stays_and_a_head_for_other_outputs_is_new() {
    let scene = Scene::new(200);
    scene.recipe("short.toml", &SHORT);
    let model = Model::seeded(Architecture::nano(), 64, 5).unwrap();
    let init = scene.path("model.safetensors");
    model.write(&init, StoredPrecision::F32).unwrap();
    let mut command = scene.train("run", "short.toml", &["--freeze"]);
    command.arg("--init").arg(&init);
    done(command, 0);
    let bytes = scene.bytes("run/checkpoints/stage1-last.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let before = scene.bytes("model.safetensors");
    let before = SafeTensors::deserialize(&before).unwrap();
    let mut backbone = 0;
    for (name, view) in before.iter() {
        let Some(name) = name.strip_prefix("stage1.") else { continue };
        let after = file.tensor(&format!("weights/{name}")).unwrap();
        let same = after.data() == view.data();
        assert_eq!(same, !name.starts_with("classifier."), "{name}");
        backbone += usize::from(same);
    }
    assert!(backbone > 50, "{backbone}");

    // A model that starts from an earlier one has its backbone, not the file's own.
    let inherits = [
        SHORT[0],
        SHORT[1],
        SHORT[2],
        ("sampling = \"weighted\"\n", "sampling = \"weighted\"\nstarts_from = \"stage1\"\n"),
    ];
    scene.recipe("inherits.toml", &inherits);
    let mut command = scene.train("inherits", "inherits.toml", &["--freeze"]);
    command.arg("--init").arg(&init);
    done(command, 0);
    let bytes = scene.bytes("inherits/checkpoints/stage2-last.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let same = |stage: &str, name: &str| {
        let after = file.tensor(&format!("weights/{name}")).unwrap();
        after.data() == before.tensor(&format!("{stage}.{name}")).unwrap().data()
    };
    assert!(same("stage1", "features.0.0.weight") && !same("stage2", "features.0.0.weight"));

    // The mean of one file is that file, and of two lies between them.
    let of_run = |run: &str, stage: &str| {
        let files = fs::read_dir(scene.path(&format!("{run}/checkpoints"))).unwrap();
        let files = files.map(|e| e.unwrap().path());
        let prefix = format!("{stage}-epoch");
        files.filter(|p| p.to_str().unwrap().contains(&prefix)).min().unwrap()
    };
    // Of more galaxies than it takes to tell oddness.
    let whole = "odd.safetensors";
    let more = ["--quiet", "--size", "72", "--count", "400", "--seed", "4"];
    let mut simulate = hiwl();
    simulate.arg("simulate").arg(scene.path("more")).args(more);
    done(simulate, 0);
    let mut oddness = hiwl();
    oddness.args(["model", "oddness"]).arg(scene.path("run/model.safetensors"));
    oddness.arg(scene.path("more")).arg("--output").arg(scene.path(whole));
    done(oddness, 0);
    let average = |output: &str, files: &[PathBuf], code: i32| {
        let mut command = hiwl();
        command.args(["model", "average", "--precision", "f32"]);
        command.arg(scene.path(whole)).args(files);
        command.arg("--output").arg(scene.path(output));
        done(command, code)
    };
    let (one, two) = (of_run("run", "stage1"), of_run("inherits", "stage1"));
    average("same.safetensors", &[one.clone(), one.clone()], 0);
    average("between.safetensors", &[one.clone(), two.clone()], 0);
    let bias = |name: &str, tensor: &str| {
        let bytes = scene.bytes(name);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let data = file.tensor(tensor).unwrap().data().to_vec();
        data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<f32>>()
    };
    let kept = |path: &Path| {
        let name = path.strip_prefix(scene.path("")).unwrap().to_str().unwrap();
        bias(name, "classifier.1.bias")
    };
    let mean: Vec<f32> = kept(&one).iter().zip(kept(&two)).map(|(a, b)| (a + b) / 2.0).collect();
    assert_eq!(bias("same.safetensors", "stage1.classifier.1.bias"), kept(&one));
    for (found, expected) in
        bias("between.safetensors", "stage1.classifier.1.bias").iter().zip(mean)
    {
        assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
    }
    average("wrong.safetensors", &[scene.path("model.safetensors")], 64);

    // What was fitted to weights that change is forgotten, the rest stays.
    let told = average("second.safetensors", &[of_run("run", "stage2")], 0);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("taken off, as they were of the old weights: calibration"), "{told}");
    // Weights that learned from other pictures than the model is fed are none of its own.
    let mut otherwise = Model::read(&scene.path(whole)).unwrap();
    otherwise.description.input.mean[0] += 0.1;
    otherwise.write(&scene.path("otherwise.safetensors"), StoredPrecision::F32).unwrap();
    let mut command = hiwl();
    command.args(["model", "average"]).arg(scene.path("otherwise.safetensors")).arg(&one);
    command.arg("--output").arg(scene.path("mixed.safetensors"));
    let refused = done(command, 64);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("fed otherwise"), "{refused:?}");
    let says = |name: &str, what: &str| {
        let told = hiwl().args(["model", "info"]).arg(scene.path(name)).output().unwrap();
        String::from_utf8(told.stdout).unwrap().contains(what)
    };
    for (fitted, changed, kept) in [
        ("shape: temperature", "same.safetensors", "second.safetensors"),
        ("features of stage1, of 200 galaxies", "same.safetensors", "second.safetensors"),
        ("css-or-eo: temperature", "second.safetensors", "same.safetensors"),
    ] {
        assert!(says(whole, fitted) && !says(changed, fitted) && says(kept, fitted), "{fitted}");
    }

    // Kept weights start another run, here of a single network.
    let single = [
        SHORT[0],
        SHORT[1],
        SHORT[2],
        (
            "[[models]]\nname = \"stage1\"\noutputs = [[\"CRS\"], [\"IBS\"], [\"SPI\"], [\"CSS\", \"EO\"]]",
            "[[models]]\nname = \"single\"\noutputs = [[\"CRS\"], [\"IBS\"], [\"CSS\"], [\"EO\"], [\"SPI\"]]",
        ),
        (
            "[[models]]\nname = \"stage2\"\noutputs = [[\"CSS\"], [\"EO\"]]\nsampling = \"weighted\"\n",
            "",
        ),
    ];
    scene.recipe("single.toml", &single);
    let kept = fs::read_dir(scene.path("run/checkpoints")).unwrap().map(|e| e.unwrap().path());
    let kept = kept.filter(|p| p.to_str().unwrap().contains("stage1-epoch")).min().unwrap();
    let mut command = scene.train("single", "single.toml", &[]);
    command.arg("--init").arg(kept);
    let output = done(command, 0);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("macro avg") && told.contains("single: epoch"), "{told}");
    let model = Model::read(&scene.path("single/model.safetensors")).unwrap();
    assert_eq!(model.description.scheme.tree().name(), "hiwl-flat");

    // Weights of another network are refused by name.
    let mut command = scene.train("b1", "b1.toml", &[]);
    scene.recipe("b1.toml", &[("efficientnet-nano", "efficientnet-b1")]);
    command.arg("--init").arg(&init);
    let refused = done(command, 64);
    assert!(errors(&refused).contains("efficientnet-nano"), "{}", errors(&refused));
}

#[test]
fn labels_are_counted_split_and_held_against_images() {
    let scene = Scene::new(50);
    let table = scene.path("in/labels.csv");
    let image = find_jpeg(std::iter::once(scene.path("in")));
    fs::remove_file(image).unwrap();
    let mut command = hiwl();
    command.arg("labels").arg(&table).args(["--split", "3:1:1", "--output"]);
    command.arg(scene.path("out.csv")).arg("--images").arg(scene.path("in"));
    let told = String::from_utf8(done(command, 0).stdout).unwrap();
    for word in ["train", "CSS", "1 label without an image"] {
        assert!(told.contains(word), "`{word}` is not in {told}");
    }
    let text = fs::read_to_string(scene.path("out.csv")).unwrap();
    let of = |split: &str| text.lines().filter(|line| line.ends_with(split)).count();
    assert_eq!((of(",train"), of(",val"), of(",test")), (30, 10, 10));
}

#[test]
fn votes_become_the_clean_sample() {
    let Some(data) = crate::util::real_data() else { return };
    let output = run([Path::new("labels"), &data.join("votes/training_solutions_rev1-sample.csv")]);
    assert_code(&output, 0);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("41 of 70 galaxies are clean") && told.contains("cumulative"), "{told}");
}

#[test]
fn wrong_usage_is_named() {
    let scene = Scene::new(20);
    let refused = |command: Command, words: &[&str]| {
        let errors = errors(&done(command, 64));
        assert!(words.iter().all(|word| errors.contains(word)), "{words:?}: {errors}");
    };
    refused(scene.train("run", "gone.toml", &[]), &["gone.toml", "train-best"]);
    refused(scene.train("run", "nano.toml", &["--freeze"]), &["--init"]);
    scene.recipe("wide.toml", &[("batch = 16", "batch = 0")]);
    refused(scene.train("run", "wide.toml", &[]), &["batch"]);
    scene.recipe("other.toml", &[("\"EO\"", "\"RING\"")]);
    assert!(!scene.path("run").exists(), "nothing was begun");
    // Classes that the labels do not have.
    refused(scene.train("other", "other.toml", &[]), &["labels are of no class here", "EO"]);
    let mut evaluate = hiwl();
    evaluate.arg("evaluate").arg(scene.path("in"));
    evaluate.arg("--labels").arg(scene.path("in/labels.csv")).args(["--split", "val"]);
    refused(evaluate, &["no column split"]);
}

#[test]
fn an_image_that_ends_the_process_is_named_by_the_next() {
    let scene = Scene::new(40);
    let phases = "phases = [{ epochs = 4, size = 48 }, { epochs = 8, size = 64 }]";
    scene.recipe("short.toml", &[(phases, "phases = [{ epochs = 1, size = 64 }]")]);
    let entries = fs::read_dir(scene.path("in")).unwrap().map(|entry| entry.unwrap().path());
    let poison = entries.filter(|path| path.extension().is_some_and(|e| e == "jpg")).max().unwrap();
    let poison = poison.file_name().unwrap().to_str().unwrap();
    let said = |number: usize| {
        let run = scene
            .train("run", "short.toml", &["--workers", "2"])
            .env("LD_PRELOAD", crate::classify::failing_calls::library())
            .envs([
                ("HIWL_FAIL_CALL", "read"),
                ("HIWL_FAIL_PATH", poison),
                ("HIWL_FAIL_SIGNAL", "11"),
            ])
            .output()
            .unwrap();
        assert_eq!(run.status.signal(), Some(11), "{number}: {}", errors(&run));
        errors(&run)
    };
    assert!(!said(1).contains("the process before"));
    for number in [2, 3] {
        let said = said(number);
        assert!(said.contains("the process before this one ended"), "{said}");
        assert!(said.contains(poison), "{said}");
    }
    // It was alone by now: nobody else is named.
    let alone = said(4);
    assert!(alone.contains(&format!("{poison}; if this one ends too, leave it out")), "{alone}");
    // Nothing is kept of it once all were looked at.
    assert_code(&scene.train("run", "short.toml", &[]).output().unwrap(), 0);
    let left = fs::read_dir(scene.path("run")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.as_encoded_bytes().starts_with(b".looking")), "{left:?}");
}
