//! Every block of code of the README and of the pages that no other test runs whole is
//! run here, each in a folder that holds what it names, or stands in a list with the test
//! that runs it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::export::page::{blocks, run_block};
use crate::util::command::{assert_code, hiwl};
use crate::util::{fixture, root};

/// Blocks by how they begin, and what runs them instead: a file of the repository.
const ELSEWHERE: [(&str, &str); 13] = [
    ("pip install", "tests/python/wheel.py"),
    ("tar xf hiwl-", ".ci/dist"),
    ("cargo run --release -- classify", ".ci/run"),
    ("cargo test --release", ".ci/run"),
    (".ci/wheel && pip install", "tests/python/wheel.py"),
    ("import hiwl", "tests/python/wheel.py"),
    ("hiwl plan cutouts/*.tar --model", "tests/cluster/slurm.sh"),
    // Hours of training; the same commands with small recipes are docs/training.md's.
    ("hiwl labels votes.csv", "tests/train/page.rs"),
    ("hiwl train cutouts/*.tar --labels labels.csv --recipe train-hiwl", "tests/train/run.rs"),
    ("hiwl evaluate galaxies/val-00.tar", "tests/classify/shipped.rs"),
    // No container tools are needed to build hiwl, and none are tested with.
    (".ci/dist\napptainer build", ".ci/container/hiwl.def"),
    // The server's address, which nothing here reaches.
    ("https://skyserver.sdss.org/", "tests/pages/mod.rs"),
    ("  id      ra  dec  label", "tests/classify/shipped.rs"),
];

/// The model that ships.
fn shipped() -> PathBuf {
    root().join("models/hiwl-b1.safetensors")
}

/// What blocks name: the galaxies of the fixtures in every form, runs, tables, mosaics.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        let galaxies = fixture("galaxies");
        symlink(root().join("fixtures"), scene.path("fixtures")).unwrap();
        symlink(&galaxies, scene.path("cutouts")).unwrap();
        fs::copy(galaxies.join("labels.csv"), scene.path("labels.csv")).unwrap();
        fs::copy(galaxies.join("172278.jpg"), scene.path("galaxy.jpg")).unwrap();
        let mut pictures: Vec<String> = fs::read_dir(&galaxies)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".jpg"))
            .collect();
        pictures.sort();
        for archive in ["archive.tar", "dr17-1.tar"] {
            let mut tar = Command::new("tar");
            tar.arg("-cf").arg(scene.path(archive)).arg("-C").arg(&galaxies).args(&pictures);
            assert!(tar.status().unwrap().success());
        }
        let (mut sample, mut join) = ("id,path,petroR90_r,z\n".to_owned(), String::new());
        join += "id,ra,dec,petroR90_r,z\n";
        for (place, name) in pictures.iter().enumerate() {
            let id = name.trim_end_matches(".jpg");
            sample += &format!("{id},cutouts/{name},9.{place:02},0.0{place}\n");
            join += &format!("{id},{place},-1.5,9.{place:02},0.0{place}\n");
        }
        fs::write(scene.path("sample.csv"), sample).unwrap();
        fs::write(scene.path("dr17.csv"), join).unwrap();
        scene.hiwl("classify archive.tar --output night1");
        scene.hiwl("classify fixtures/galaxies --output out/galaxies");
        scene.hiwl("simulate sky --mosaics --count 12");
        let sources = "import pandas as pd\nresult = pd.read_csv('sky/sources.csv')\n\
                       result.to_parquet('galaxies.parquet')\n";
        let place = ("the scene", 0, scene.0.path(), &*shipped());
        run_block(place, "python", sources, "result");
        fs::rename(scene.path("sky/frames"), scene.path("frames")).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn hiwl(&self, arguments: &str) {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let mut hiwl = hiwl();
        hiwl.env("HIWL_MODEL", shipped());
        let output = hiwl.current_dir(self.0.path()).args(&arguments).output().unwrap();
        assert_code(&output, 0);
    }

    /// A copy, without the runs that a block makes itself.
    fn copy_for(&self, code: &str) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        let whole = format!("{}/.", self.0.path().display());
        let copied = Command::new("cp").args(["-a", &whole]).arg(copy.path()).status().unwrap();
        assert!(copied.success());
        for run in ["night1", "night2"] {
            if code.contains(&format!("--output {run}\n")) {
                let _ = fs::remove_dir_all(copy.path().join(run));
            }
        }
        copy
    }
}

fn run_all(page: &str, scene: &Scene, edit: impl Fn(&str) -> String) {
    let mut run = 0;
    for (language, line, code) in blocks(page) {
        let elsewhere = ELSEWHERE.iter().find(|(begins, _)| code.starts_with(begins));
        if let Some((_, who)) = elsewhere {
            assert!(root().join(who).is_file(), "{page}:{line}: {who} is gone");
            continue;
        }
        match language.as_str() {
            // A recipe is data, and what names files names those that are there.
            "toml" => drop(toml::from_str::<toml::Table>(&code).unwrap()),
            "text" => {
                for name in code.lines().filter_map(|line| line.split_whitespace().next()) {
                    assert!(scene.path(name).exists(), "{page}:{line}: no {name}");
                }
            }
            _ => {
                let code = edit(&code);
                let folder = scene.copy_for(&code);
                let language = if language.is_empty() { "sh" } else { &language };
                let place = (page, line, folder.path(), &*shipped());
                run_block(place, language, &code, "catalog");
            }
        }
        run += 1;
    }
    assert!(run > 0, "{page}");
}

#[test]
fn every_block_of_the_readme_runs() {
    let scene = Scene::new();
    // A training run is the training page's.
    run_all("README.md", &scene, |code| {
        let lines = code.lines().filter(|line| !line.starts_with("hiwl report run1"));
        // 25 galaxies have few neighbours.
        let few = |line: &str| line.replace("hiwl map night1 ", "hiwl map night1 --perplexity 5 ");
        lines.map(|line| few(line) + "\n").collect()
    });
}

#[test]
fn every_block_of_the_pages_on_cutouts_reports_and_clusters_runs() {
    let scene = Scene::new();
    for page in ["docs/cutouts.md", "docs/report.md", "docs/cluster.md"] {
        let blocks_here = blocks(page).len();
        assert!(blocks_here > 0, "{page}");
        if page == "docs/cluster.md" {
            // All of them are container tools'.
            assert!(blocks(page).iter().all(|(_, _, code)| code.contains("apptainer")));
            continue;
        }
        run_all(page, &scene, |code| {
            let lines = code.lines().filter(|line| !line.contains("report run1"));
            // The split and the model file of the example are not the scene's.
            let own = |line: &str| {
                let line = line.replace(" --split val --model model.safetensors", "");
                // Pictures say nothing of their pixels.
                line.replace(
                    "--radius-column petroR90_r",
                    "--radius-column petroR90_r --pixel-scale 0.18",
                )
            };
            lines.map(|line| own(line) + "\n").collect()
        });
    }
}

/// Recipes of containers unpack the tarball of this version.
#[test]
fn containers_hold_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    assert!(read(".ci/container/Dockerfile").contains(&format!("ARG version={version}\n")));
    assert!(read(".ci/container/hiwl.def").contains(&format!("version={version}\n")));
    assert!(read("CITATION.cff").contains(&format!("\nversion: {version}\n")));
    assert!(Path::new(&root().join("docs/notebook.ipynb")).is_file());
}
