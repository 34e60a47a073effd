//! Trees that are not HIWL's, from labels to exports, by the commands of the
//! README: flat classes, three levels, and the paper's own baselines. The
//! networks are narrow and learn for seconds; that they learn well is `run`'s.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use super::run::{SHORT, Scene, done, json};
use crate::util::catalog::{column, rows};
use crate::util::command::{assert_code, errors, hiwl};
use crate::util::root;

/// The label of a simulated galaxy by its class.
type Rename = fn(&str) -> &str;

fn same(class: &str) -> &str {
    class
}

fn three(class: &str) -> &str {
    match class {
        "EO" => "edge-on",
        "SPI" => "spiral",
        _ => "smooth",
    }
}

/// What has to hold of a trained tree.
struct Tree<'a> {
    /// The recipe.
    recipe: &'a str,
    rename: Rename,
    /// Classes in the order of reports.
    classes: &'a [&'a str],
    /// The catalog's columns between confidence and status.
    columns: &'a [&'a str],
    /// A question for the catalog.
    filter: &'a str,
}

/// Labels of `in`, renamed and split by `hiwl labels`.
fn labels(scene: &Scene, rename: Rename) -> PathBuf {
    let text = fs::read_to_string(scene.path("in/labels.csv")).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let place = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let (id, label) = (place("id"), place("label"));
    let renamed = lines.map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        format!("{},{}\n", cells[id], rename(cells[label]))
    });
    let own = scene.path("own.csv");
    fs::write(&own, format!("id,label\n{}", renamed.collect::<String>())).unwrap();
    let split = scene.path("split.csv");
    let mut command = hiwl();
    command.arg("labels").arg(&own).arg("--output").arg(&split);
    done(command, 0);
    split
}

/// Runs `hiwl ARGUMENTS` in the scene's folder.
fn ok(scene: &Scene, arguments: &[&str]) -> Output {
    let output = hiwl().current_dir(scene.path("")).args(arguments).output().unwrap();
    assert_code(&output, 0);
    output
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Labels, training, the model's own words, evaluation, classification, plan,
/// verification, overview, export, average, import.
fn from_labels_to_exports(scene: &Scene, tree: &Tree<'_>) {
    let _ = labels(scene, tree.rename);
    let train =
        ["train", "in", "--labels", "split.csv", "--recipe", tree.recipe, "--output", "run"];
    assert!(told(&ok(scene, &train)).contains("model.safetensors"));
    let model = "run/model.safetensors";

    let info = told(&ok(scene, &["model", "info", model]));
    assert!(info.contains(&tree.classes.join(", ")) && !info.contains("UNTRAINED"), "{info}");
    let description = json(&ok(scene, &["model", "info", "--json", model]));
    assert_eq!((&description["format"], &description["untrained"]), (&2.into(), &false.into()));

    // What the run said of its validation images is what the file says.
    let evaluate = |split: &str| {
        let inputs = ["evaluate", "in", "--labels", "split.csv", "--split", split];
        let how = ["--model", model, "--precision", "f32", "--json"];
        let mut report = json(&ok(scene, &[&inputs[..], &how].concat()));
        // Of which images it is, beside the figures; a training says that where it begins.
        let notes = report.as_object_mut().unwrap().remove("notes").unwrap();
        assert_eq!(notes[0], format!("{} images with a label", report["total"]));
        assert!(notes[1].as_str().unwrap().contains("images without a label"), "{notes}");
        report
    };
    let said: Value = serde_json::from_slice(&scene.bytes("run/evaluation.json")).unwrap();
    assert_eq!(evaluate("val"), said);
    let test = evaluate("test");
    let names: Vec<&str> =
        test["classes"].as_array().unwrap().iter().map(|c| c["class"].as_str().unwrap()).collect();
    assert_eq!(names, tree.classes);
    assert!(test["total"].as_u64().unwrap() > 10);

    let classify = ["classify", "in", "--model", model, "--stage2", "all", "--output", "night"];
    ok(scene, &[&classify[..], &["--quiet"]].concat());
    let first = rows(&scene.path("night")).remove(0);
    let columns: Vec<&str> = first.split('|').map(|cell| cell.split_once('=').unwrap().0).collect();
    let mut expected = vec!["id", "source", "ra", "dec", "label", "confidence"];
    expected.extend(tree.columns);
    expected.extend(["status", "error"]);
    assert_eq!(columns, expected);

    // Probabilities of the classes sum to 1, and every label is a class.
    let value = |name: &str| -> Vec<f32> {
        let bits = column(&scene.path("night"), name);
        bits.iter().map(|b| f32::from_bits(u32::from_str_radix(b, 16).unwrap())).collect()
    };
    let of_classes: Vec<Vec<f32>> =
        tree.columns[..tree.classes.len()].iter().map(|name| value(name)).collect();
    let found = column(&scene.path("night"), "label");
    for (row, label) in found.iter().enumerate() {
        let sum: f32 = of_classes.iter().map(|column| column[row]).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        assert!(tree.classes.contains(&label.as_str()), "{label}");
    }

    // Shared out, routed: the same labels, and what was not asked is not known.
    let plan = ["plan", "in", "--model", model, "--output", "shared", "--shards", "2", "--quiet"];
    ok(scene, &[&plan[..], &["--range-size", "50"]].concat());
    ok(scene, &["classify", "--plan", "shared", "--shard", "all", "--quiet"]);
    assert_eq!(column(&scene.path("shared"), "label"), found);
    ok(scene, &["verify", "shared"]);
    let overview = json(&ok(scene, &["catalog", "shared", "--json"]));
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    found.iter().for_each(|label| *counts.entry(label).or_default() += 1);
    assert_eq!(overview["labels"], serde_json::json!(counts));

    let export = ["export", "night", "--to", "csv", "-o", "some.csv", "--quiet"];
    ok(scene, &[&export[..], &["--columns", "id,label", "--where", tree.filter]].concat());
    let text = fs::read_to_string(scene.path("some.csv")).unwrap();
    let picked = text.lines().count() - 1;
    let column = value(tree.filter.split_whitespace().next().unwrap());
    assert_eq!(picked, column.iter().filter(|p| **p > 0.5).count());

    // The mean of a network's own weights, and the weights by themselves.
    let kept = fs::read_dir(scene.path("run/checkpoints")).unwrap().map(|e| e.unwrap().path());
    let mut kept: Vec<String> = kept
        .filter(|path| path.to_str().unwrap().contains("-epoch-"))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    kept.sort();
    ok(scene, &["model", "average", model, &kept[0], "--output", "mean.safetensors"]);
    let mean = json(&ok(scene, &["model", "info", "--json", "mean.safetensors"]));
    assert_eq!(
        (&mean["tree"], &mean["networks"]),
        (&description["tree"], &description["networks"])
    );
    let imported = ok(scene, &["model", "import", &kept[0], "--output", "own.safetensors"]);
    assert!(!told(&imported).contains("untrained"));
    let own = json(&ok(scene, &["model", "info", "--json", "own.safetensors"]));
    assert_eq!((&own["untrained"], &own["input"]), (&false.into(), &description["input"]));
}

/// A recipe of one flat model.
fn flat(scene: &Scene, name: &str, classes: &[&str]) {
    let outputs: Vec<String> = classes.iter().map(|class| format!("[\"{class}\"]")).collect();
    let models = format!(
        "[[models]]\nname = \"single\"\noutputs = [{}]\nsampling = \"weighted\"\n",
        outputs.join(", ")
    );
    recipe(scene, name, classes, &models);
}

/// The short recipe of the tests with other classes and models.
fn recipe(scene: &Scene, name: &str, classes: &[&str], models: &str) {
    let text = fs::read_to_string(root().join("tests/train/nano.toml")).unwrap();
    let (head, _) = text.split_once("[[models]]").unwrap();
    let listed = format!("classes = {classes:?}");
    let head = head.replace("classes = [\"CRS\", \"IBS\", \"CSS\", \"EO\", \"SPI\"]", &listed);
    assert!(head.contains(&listed), "{head}");
    let short = SHORT.iter().fold(head, |text, (from, to)| text.replace(from, to));
    fs::write(scene.path(name), format!("{short}{models}")).unwrap();
}

#[test]
fn three_flat_classes() {
    let scene = Scene::new(300);
    let classes = ["smooth", "edge-on", "spiral"];
    flat(&scene, "three.toml", &classes);
    let columns = ["p_smooth", "p_edge_on", "p_spiral"];
    let filter = "p_smooth > 0.5";
    let tree =
        Tree { recipe: "three.toml", rename: three, classes: &classes, columns: &columns, filter };
    from_labels_to_exports(&scene, &tree);

    // Labels of other classes are refused by name, and so is the old advice.
    let output = hiwl()
        .current_dir(scene.path(""))
        .args(["evaluate", "in", "--labels", "in/labels.csv", "--model", "run/model.safetensors"])
        .output()
        .unwrap();
    assert_code(&output, 64);
    assert!(errors(&output).contains("smooth, edge-on, spiral"), "{}", errors(&output));
}

/// A declared tree: spirals, of the others the round ones, of the rest which.
#[test]
fn a_tree_of_three_levels() {
    let scene = Scene::new(400);
    let models = r#"
        [[models]]
        name = "arms"
        question = "arms"
        sampling = "shuffle"

        [[models]]
        name = "roundness"
        question = "round"
        sampling = "shuffle"

        [[models]]
        name = "fine"
        question = "which"
        sampling = "weighted"

        [tree]
        questions = [
            { name = "arms", answers = [{ answer = "spiral", title = "a spiral" }, { answer = "none" }] },
            { name = "round", after = ["arms/none"], answers = [{ answer = "yes" }, { answer = "no" }] },
            { name = "which", after = ["round/no"], answers = [
                { answer = "IBS" }, { answer = "CSS" }, { answer = "EO" },
            ] },
        ]
        classes = [
            { class = "CRS", answer = "round/yes" },
            { class = "IBS", answer = "which/IBS" },
            { class = "CSS", answer = "which/CSS" },
            { class = "EO", answer = "which/EO" },
            { class = "SPI", answer = "arms/spiral" },
        ]
    "#;
    let classes = ["CRS", "IBS", "CSS", "EO", "SPI"];
    recipe(&scene, "deep.toml", &classes, models);
    let columns =
        ["p_yes", "p_ibs", "p_css", "p_eo", "p_spiral", "p_none", "p_no", "roundness", "fine"];
    let filter = "p_spiral > 0.5";
    let tree =
        Tree { recipe: "deep.toml", rename: same, classes: &classes, columns: &columns, filter };
    from_labels_to_exports(&scene, &tree);

    // Routed, a network that was not asked says nothing.
    let ran = column(&scene.path("shared"), "fine");
    let known = column(&scene.path("shared"), "p_css");
    assert!(ran.iter().zip(&known).all(|(ran, p)| (ran == "true") == (p != "null")));
    assert!(ran.iter().any(|ran| ran == "false"));
}

/// The paper's single-layer baselines, as their recipes have them.
#[test]
fn the_papers_single_layers() {
    let classes = ["CRS", "IBS", "CSS", "EO", "SPI"];
    let columns = ["p_crs", "p_ibs", "p_css", "p_eo", "p_spi"];
    for name in ["train-slwslm", "train-plain"] {
        let scene = Scene::new(300);
        let text = fs::read_to_string(root().join(format!("pipelines/{name}.toml"))).unwrap();
        let (_, models) = text.split_once("[[models]]").unwrap();
        recipe(&scene, "own.toml", &classes, &format!("[[models]]{models}"));
        let filter = "p_spi > 0.5";
        let tree =
            Tree { recipe: "own.toml", rename: same, classes: &classes, columns: &columns, filter };
        from_labels_to_exports(&scene, &tree);
    }
}
