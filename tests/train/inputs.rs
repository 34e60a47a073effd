//! A galaxy that `hiwl classify` can read, `hiwl train` can learn from.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use hiwl::model::model_file::Model;
use parquet::arrow::ArrowWriter;

use super::run::{SHORT, Scene, done};
use crate::util::command::{assert_code, errors, hiwl};

/// `hiwl train` on `input` with the labels of the scene's galaxies.
fn train(scene: &Scene, input: &str, output: &str, more: &[&str]) -> std::process::Command {
    let mut command = hiwl();
    command.arg("train").arg(scene.path(input));
    command.arg("--labels").arg(scene.path("in/labels.csv"));
    command.arg("--recipe").arg(scene.path("short.toml"));
    command.arg("--output").arg(scene.path(output)).args(["--quiet"]).args(more);
    command
}

/// The scene's JPEGs as a table of images.
fn as_table(folder: &Path, table: &Path) {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "jpg")).collect();
    paths.sort();
    let ids: Vec<String> =
        paths.iter().map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let images: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let columns: [(&str, ArrayRef); 2] = [
        ("object", Arc::new(StringArray::from(ids))),
        ("picture", Arc::new(BinaryArray::from_iter_values(&images))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(table).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn images_in_a_table_train_the_model_that_their_files_train() {
    let scene = Scene::new(60);
    scene.recipe("short.toml", &SHORT);
    done(train(&scene, "in", "files", &[]), 0);
    as_table(&scene.path("in"), &scene.path("t.parquet"));
    // The labels' column of ids has the table's name.
    let labels = fs::read_to_string(scene.path("in/labels.csv")).unwrap();
    fs::write(scene.path("in/labels.csv"), labels.replacen("id,", "object,", 1)).unwrap();
    let columns = ["--id", "object", "--image-column", "picture"];
    done(train(&scene, "t.parquet", "table", &columns), 0);
    let model = |run: &str| Model::read(&scene.path(run).join("model.safetensors")).unwrap();
    let (files, table) = (model("files"), model("table"));
    assert_eq!(files.digest, table.digest, "not the same model, bit for bit");
}

#[test]
fn bands_are_learned_in_the_order_that_is_asked_for() {
    let scene = Scene::new(1);
    scene.recipe("short.toml", &SHORT);
    fs::remove_dir_all(scene.path("in")).unwrap();
    let more = ["--quiet", "--size", "72", "--count", "60", "--seed", "3", "--format", "fits"];
    assert_code(&hiwl().arg("simulate").arg(scene.path("in")).args(more).output().unwrap(), 0);
    done(train(&scene, "in", "irg", &[]), 0);
    done(train(&scene, "in", "gri", &["--bands", "g,r,i"]), 0);
    let model = |run: &str| Model::read(&scene.path(run).join("model.safetensors")).unwrap();
    let (irg, gri) = (model("irg"), model("gri"));
    assert_eq!(irg.description.input.bands, ["i", "r", "g"]);
    assert_eq!(gri.description.input.bands, ["g", "r", "i"]);
    assert_ne!(scene.curve("irg"), scene.curve("gri"), "the order of bands changes nothing");
    // The bands decide the result: the folder is another run's.
    let refused = done(train(&scene, "in", "irg", &["--bands", "g,r,i"]), 64);
    assert!(errors(&refused).contains("bands"), "{}", errors(&refused));
}

#[test]
fn colours_are_learned_as_they_are_asked_for() {
    let scene = Scene::new(1);
    scene.recipe("short.toml", &SHORT);
    fs::remove_dir_all(scene.path("in")).unwrap();
    let more = ["--quiet", "--size", "72", "--count", "60", "--seed", "3", "--format", "fits"];
    assert_code(&hiwl().arg("simulate").arg(scene.path("in")).args(more).output().unwrap(), 0);
    let input = |run: &str| {
        Model::read(&scene.path(run).join("model.safetensors")).unwrap().description.input
    };
    done(train(&scene, "in", "plain", &[]), 0);
    assert_eq!(input("plain").rgb_profile, "lupton");
    done(train(&scene, "in", "des", &["--profile", "des"]), 0);
    assert_eq!(input("des").rgb_profile, "des");
    done(train(&scene, "in", "bright", &["--zero-point", "21.5"]), 0);
    // (DES's pictures are SDSS's but for the zero points, and these files say theirs.)
    assert_ne!(scene.curve("plain"), scene.curve("bright"), "the same was learned");
    // The folder says what decided, and a run of before there was a choice goes on.
    let said = |run: &str| fs::read_to_string(scene.path(run).join("run.json")).unwrap();
    assert!(!said("plain").contains("\"reading\""), "{}", said("plain"));
    assert!(said("bright").contains("21.5"), "{}", said("bright"));
    let refused = done(train(&scene, "in", "plain", &["--zero-point", "21.5"]), 64);
    assert!(errors(&refused).contains("holds another run"), "{}", errors(&refused));
    // Nobody could be shown what a model file cannot name.
    let refused = done(train(&scene, "in", "none", &["--profile", "lupton"]), 64);
    assert!(errors(&refused).contains("is shown sdss"), "{}", errors(&refused));
}

#[test]
fn radii_bring_training_images_to_a_scale_that_the_model_remembers() {
    let scene = Scene::new(60);
    scene.recipe("short.toml", &SHORT);
    done(train(&scene, "in", "files", &[]), 0);
    // At 0.1 arcsec a pixel a radius of 5 arcsec is the scale of the pictures.
    let mut table = "id,path,r90\n".to_owned();
    for entry in fs::read_dir(scene.path("in")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "jpg") {
            let id = path.file_stem().unwrap().to_str().unwrap();
            table += &format!("{id},{},5.0\n", path.display());
        }
    }
    fs::write(scene.path("table.csv"), table).unwrap();
    let scaled = ["--radius-column", "r90", "--pixel-scale", "0.1"];
    done(train(&scene, "table.csv", "scaled", &scaled), 0);
    assert_eq!(scene.curve("files"), scene.curve("scaled"));
    let scale = |run: &str| {
        let model = Model::read(&scene.path(run).join("model.safetensors")).unwrap();
        model.description.extras.training_scale
    };
    assert_eq!((scale("files"), scale("scaled")), (None, Some(0.02)));
    // Half the radius takes half the field, enlarged.
    let half = ["--radius-column", "r90", "--pixel-scale", "0.2"];
    done(train(&scene, "table.csv", "half", &half), 0);
    assert_ne!(scene.curve("files"), scene.curve("half"));
    // Of other radii the same bytes are other pictures: such a run does not go on.
    let table = fs::read_to_string(scene.path("table.csv")).unwrap();
    fs::write(scene.path("table.csv"), table.replace(",5.0\n", ",4.0\n")).unwrap();
    let refused = done(train(&scene, "table.csv", "scaled", &scaled), 64);
    assert!(errors(&refused).contains("holds another run"), "{}", errors(&refused));
    // Pictures do not say how large their pixels are.
    let told = errors(&done(train(&scene, "table.csv", "none", &scaled[..2]), 64));
    assert!(told.contains("no_scale"), "{told}");
}

#[test]
fn images_that_are_all_rejected_are_the_reason_that_is_told() {
    let scene = Scene::new(1);
    scene.recipe("short.toml", &SHORT);
    fs::remove_dir_all(scene.path("in")).unwrap();
    scene.simulate_at("in", 60, 48);
    let output = done(train(&scene, "in", "small", &[]), 64);
    let told = errors(&output);
    for words in ["images cannot be used", "too_small", "such as", "48×48 pixels where 68×68"] {
        assert!(told.contains(words), "`{words}` is not in {told}");
    }
    done(train(&scene, "in", "large", &["--resample", "bilinear"]), 0);
    // Labels of others: nothing was read.
    fs::write(scene.path("in/labels.csv"), "id,label\nx,CRS\n").unwrap();
    let told = errors(&done(train(&scene, "in", "none", &[]), 64));
    assert!(told.contains("none of 60 images has one of 1 label:"), "{told}");
}
