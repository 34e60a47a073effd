//! Every backbone through the whole program: a HIWL model of it learns from simulated
//! galaxies, and classifies others into a catalog.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::run::{Scene, done, json};
use crate::util::catalog::column;
use crate::util::command::{assert_code, errors, hiwl};

/// One epoch of few steps.
const SHORT: [(&str, &str); 3] = [
    (
        "phases = [{ epochs = 4, size = 48 }, { epochs = 8, size = 64 }]",
        "phases = [{ epochs = 1, size = 64 }]",
    ),
    ("epochs = 12\n", "epochs = 1\n"),
    ("learning_rate = 0.05", "learning_rate = 0.005"),
];

/// A run's settings.
fn read(path: &std::path::Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A narrow member of each family, and of the EfficientNets one as it was published; the
/// others are held against PyTorch in `network::backbones`.
#[test]
fn every_backbone_learns_a_hiwl_model_that_classifies() {
    let scene = Scene::new(80);
    scene.simulate("unseen", 6, 4);
    // A recipe may call its architecture `backbone`.
    let mut own = SHORT.to_vec();
    own.push(("architecture = \"efficientnet-nano\"", "backbone = \"resnet34-nano\""));
    scene.recipe("own.toml", &own);
    scene.recipe("short.toml", &SHORT);
    for backbone in [
        "resnet34",
        "resnet50",
        "vgg16",
        "googlenet",
        "vit-b16",
        "resnet26",
        "dieleman",
        "efficientnet-b0",
        "efficientnet-b2",
    ] {
        let whole = backbone.starts_with("efficientnet");
        let name = if whole { backbone.to_owned() } else { format!("{backbone}-nano") };
        let train = || {
            if backbone == "resnet34" {
                scene.train(backbone, "own.toml", &["--device", "cpu", "--quiet"])
            } else {
                let flags = ["--backbone", &name, "--device", "cpu", "--quiet"];
                scene.train(backbone, "short.toml", &flags)
            }
        };
        done(train(), 0);
        // A run of before its layers were these does not go on; others know no revision.
        let settings = scene.path(&format!("{backbone}/run.json"));
        let (mut run, revised) = (read(&settings), ["resnet26", "dieleman"].contains(&backbone));
        let fields = run.as_object_mut().unwrap();
        assert_eq!(fields.remove("backbone_revision"), revised.then(|| 2.into()), "{backbone}");
        if revised {
            let own = std::fs::read(&settings).unwrap();
            std::fs::write(&settings, run.to_string()).unwrap();
            let said = errors(&done(train(), 64));
            assert!(said.contains(&format!("the layers of {name} are others there")), "{said}");
            std::fs::write(&settings, own).unwrap();
            done(train(), 0);
        }
        let model = scene.path(&format!("{backbone}/model.safetensors"));
        let mut info = hiwl();
        info.args(["model", "info", "--json"]).arg(&model);
        let info = json(&done(info, 0));
        let told =
            info["architecture"].as_object().or(info["networks"][0]["architecture"].as_object());
        let told = told.unwrap();
        assert_eq!(
            (told["name"].as_str(), told.get("backbone").and_then(|own| own.as_str())),
            (Some(&*name), (!whole).then_some(backbone))
        );

        let catalog = scene.path(&format!("catalog-{backbone}"));
        let mut classify = hiwl();
        classify.args(["classify", "--quiet"]).arg(scene.path("unseen"));
        classify.arg("--output").arg(&catalog).arg("--model").arg(&model);
        done(classify, 0);
        let labels = column(&catalog, "label");
        assert_eq!(labels.len(), 6, "{backbone}");
        assert!(labels.iter().all(|label| ["CRS", "IBS", "CSS", "EO", "SPI"].contains(&&**label)));
        assert_eq!(column(&catalog, "status"), ["ok"; 6], "{backbone}");
    }
}

#[test]
fn what_a_backbone_cannot_is_refused_before_anything_is_read() {
    let scene = Scene::new(20);
    let refused = |backbone: &str, words: &str| {
        let output = scene.train("run", "nano.toml", &["--backbone", backbone]).output().unwrap();
        assert_code(&output, 64);
        assert!(errors(&output).contains(words), "{}", errors(&output));
        assert!(!scene.path("run").exists());
    };
    refused("resnet-34", "resnet34, resnet50");
    // Its first phase has other images than its last.
    refused("vit-b16-nano", "crops of one size");
}

/// Galaxies, and a table of their labels that splits them (`split.csv`).
fn split_scene(count: usize) -> Scene {
    let scene = Scene::new(count);
    let mut labels = hiwl();
    labels.arg("labels").arg(scene.path("in/labels.csv")).arg("--output");
    labels.arg(scene.path("split.csv"));
    done(labels, 0);
    scene
}

/// `hiwl reproduce` of a table at the smallest budget, into `tables`.
fn reproduce(scene: &Scene, table: &str, more: &[&str]) -> Command {
    let mut command = hiwl();
    command.args(["reproduce", table, "--budget", "smoke"]).arg(scene.path("in"));
    command.arg("--labels").arg(scene.path("split.csv"));
    command.arg("--output").arg(scene.path("tables")).args(more);
    command
}

/// `hiwl reproduce` at its smallest budget: rows are trained and scored, and what is
/// scored is not done again. Of table 7 five backbones; the others learn above.
#[test]
fn the_paper_s_tables_are_made_by_one_command() {
    let scene = split_scene(100);
    let make = |table: &str, more: &[&str]| done(reproduce(&scene, table, more), 0);
    let fails = |table: &str, more: &[&str]| done(reproduce(&scene, table, more), 64);
    let first = make("table5", &["--runs", "2"]);
    let csv = std::fs::read_to_string(scene.path("tables/table5.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 6, "{csv}");
    assert!(csv.contains("SLWSLM,train-slwslm,efficientnet-b1,recall CSS,"), "{csv}");
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(text.contains("figures mean nothing") && text.contains("| recall EO |"), "{text}");
    assert_eq!(errors(&first).matches("hiwl train").count(), 4);
    // What was scored is not done again, and is shared by the tables.
    assert_eq!(make("table5", &["--runs", "2"]).stdout, first.stdout);
    // Nor given out as that of other labels under the same name.
    let table = std::fs::read_to_string(scene.path("split.csv")).unwrap();
    let swapped = table.replace(",CRS,", ",IBS,");
    assert_ne!(swapped, table);
    std::fs::write(scene.path("split.csv"), swapped).unwrap();
    assert!(errors(&fails("table5", &["--runs", "2"])).contains("scored with other images"));
    std::fs::write(scene.path("split.csv"), table).unwrap();
    // What cannot be scored is not trained first.
    let unknown = fails("table7", &["--backbones", "resnet26,efficientnet_b0"]);
    assert!(errors(&unknown).contains("no efficientnet_b0 in the table"));
    let mut unsplit = hiwl();
    unsplit.args(["reproduce", "table5", "--budget", "smoke"]).arg(scene.path("in"));
    unsplit.arg("--labels").arg(scene.path("in/labels.csv"));
    unsplit.arg("--output").arg(scene.path("unsplit"));
    assert!(errors(&done(unsplit, 64)).contains("split"));
    // Nor given out as that of other images.
    let mut other = hiwl();
    other.args(["reproduce", "table5", "--budget", "smoke"]).arg(scene.path("in"));
    other.arg(scene.path("in/0")).arg("--labels").arg(scene.path("split.csv"));
    other.arg("--output").arg(scene.path("tables"));
    assert!(errors(&done(other, 64)).contains("scored with other images"));
    let again = make("table6", &[]);
    assert_eq!(errors(&again).matches("hiwl train").count(), 1);

    let some = "googlenet,resnet34,efficientnet-b0,vit-b16,resnet26";
    let all = make("table7", &["--backbones", some]);
    let text = String::from_utf8_lossy(&all.stdout).into_owned();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 2 + 5, "{text}");
    assert!(rows.iter().any(|row| row.starts_with("| Vision Transformer | ")), "{text}");

    // What was scored with other layers of the same name, or by another recipe, is not given
    // out as theirs.
    let scored =
        std::fs::read_dir(scene.path("tables")).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.contains("resnet26") && name.ends_with(".json")
    };
    let scored: Vec<_> = scored.filter(is_one).collect();
    let [path, _] = &scored[..] else { panic!("{scored:?}") };
    let right = read(path);
    assert_eq!(right["asked"]["backbone_revision"], 2);
    let recipe = right["asked"]["recipe"].as_str().unwrap();
    let slower = recipe.replace("learning_rate = 0.005", "learning_rate = 0.004");
    assert_ne!(slower, recipe);
    for (what, other) in [("backbone_revision", None), ("recipe", Some(slower))] {
        let mut before = right.clone();
        let asked = before["asked"].as_object_mut().unwrap();
        match other {
            Some(other) => asked.insert(what.to_owned(), other.into()),
            None => asked.remove(what),
        };
        std::fs::write(path, before.to_string()).unwrap();
        let mut other = hiwl();
        other.args(["reproduce", "table7", "--budget", "smoke", "--backbones", "resnet26"]);
        other.arg(scene.path("in")).arg("--labels").arg(scene.path("split.csv"));
        other.arg("--output").arg(scene.path("tables"));
        assert!(errors(&done(other, 64)).contains("recipe or layers of its network"), "{what}");
    }

    // The paper's other tables are figures of one model, beside a split of its own.
    let model = scene.path("tables/smoke-train-hiwl-efficientnet-b1-1/model.safetensors");
    let beside = |more: &[&str], code| {
        let mut command = hiwl();
        command.arg("evaluate").arg(scene.path("in")).arg("--labels").arg(scene.path("split.csv"));
        command.args(["--beside", "paper", "--model"]).arg(&model).args(more);
        done(command, code)
    };
    let told = beside(&["--split", "val"], 0);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    for part in ["| HIWL | 0.9722 | 0.9632 | 5 |", "Table 11: F1", "| this model (val) | "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(errors(&beside(&[], 64)).contains("--split"));
}

/// The training that runs is stopped with it, has saved itself when it ends, and goes on.
#[test]
fn a_table_that_is_stopped_leaves_no_training_behind() {
    let scene = split_scene(400);
    let command = || reproduce(&scene, "table5", &[]);
    let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = scene.path("tables/smoke-train-hiwl-efficientnet-b1-1");
    while !run.join("run.json").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it trained");
        std::thread::sleep(Duration::from_millis(2));
    }
    let signal = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(!run.join("model.safetensors").exists(), "it was over before the signal came");
    // Nobody trains into the folder any more.
    done(command(), 0);
    assert!(run.join("model.safetensors").exists());
}
