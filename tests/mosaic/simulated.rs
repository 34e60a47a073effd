//! Simulated mosaics: labels from them are those of ready-made cutouts, and what
//! `hiwl cut` writes is what `hiwl classify` sees.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::util::catalog::{column, rows};
use crate::util::command::{Workplace, assert_code, errors};
use crate::util::python::oracle;
use crate::util::root;

struct Scene {
    place: Workplace,
}

impl std::ops::Deref for Scene {
    type Target = Workplace;

    fn deref(&self) -> &Workplace {
        &self.place
    }
}

const MOSAICS: &str = "--mosaics sky/frames --sources sky/sources.csv";

impl Scene {
    /// So many galaxies in mosaics.
    fn new(count: usize, seed: u64) -> Self {
        let scene = Self { place: Workplace::new() };
        let output =
            scene.run(&format!("simulate sky --mosaics --count {count} --seed {seed} --quiet"));
        assert_code(&output, 0);
        scene
    }

    /// Replaces a card of every frame.
    fn replace_card(&self, from: &str, to: &str) {
        for entry in fs::read_dir(self.path("sky/frames")).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let mut cards = bytes.chunks_exact_mut(80).take(36);
            let card = cards.find(|card| card.starts_with(from.as_bytes())).unwrap();
            card.copy_from_slice(format!("{to:<80}").as_bytes());
            fs::write(&path, bytes).unwrap();
        }
    }

    /// Ends with 0, or with 1 for rejected rows.
    #[track_caller]
    fn done(&self, arguments: &str) {
        let output = self.run(arguments);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments}: {}", errors(&output));
    }
}

/// Columns of a run by id.
pub(super) fn by_id(run: &Path, wanted: &[&str]) -> BTreeMap<String, Vec<String>> {
    let columns: Vec<Vec<String>> = wanted.iter().map(|name| column(run, name)).collect();
    let ids = column(run, "id").into_iter().enumerate();
    ids.map(|(row, id)| (id, columns.iter().map(|column| column[row].clone()).collect())).collect()
}

#[test]
fn labels_from_mosaics_are_those_of_ready_made_cutouts() {
    let scene = Scene::new(100, 5);
    let path = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    oracle("ready_cutouts.py", &[&path("sky"), &path("ready")]);
    let model = root().join("models/hiwl-b1.safetensors");
    let model = format!("--model {} --stage2 all --quiet", model.display());
    scene.done(&format!("classify {MOSAICS} --output mosaics {model}"));
    let ready = "ready/table.csv --radius-column petroR90_r";
    scene.done(&format!("classify {ready} --output cutouts {model}"));
    let wanted = ["label", "status"];
    let (from_mosaics, from_cutouts) =
        (by_id(&scene.path("mosaics"), &wanted), by_id(&scene.path("cutouts"), &wanted));
    assert_eq!(from_mosaics.len(), 100);
    let ok = |row: &Vec<String>| row[1] == "ok";
    let both: Vec<(&Vec<String>, &Vec<String>)> = from_mosaics
        .iter()
        .filter_map(|(id, row)| Some((row, from_cutouts.get(id)?)))
        .filter(|(a, b)| ok(a) && ok(b))
        .collect();
    // Ready-made cutouts of whole pixels may put the centre of two bands too far apart to be
    // of one place.
    assert!(both.len() >= 80, "{}", both.len());
    let same = both.iter().filter(|(a, b)| a[0] == b[0]).count();
    assert!(100 * same >= 97 * both.len(), "{same} of {}", both.len());
}

#[test]
fn what_is_cut_out_is_what_a_run_sees() {
    let scene = Scene::new(20, 8);
    let frames = fs::read_dir(scene.path("sky/frames")).unwrap().count();
    assert_eq!(frames, 3);
    scene.done(&format!("classify {MOSAICS} --output direct --quiet"));
    let direct = by_id(&scene.path("direct"), &["label", "confidence", "status", "p_spi"]);
    assert_eq!(direct.len(), 20);
    // A folder of cubes, an archive of them, a table of images: the same rows.
    for output in ["cuts", "cuts.tar", "cuts.parquet"] {
        scene.done(&format!("cut {MOSAICS} --output {output}"));
        scene.done(&format!("classify {output} --output of-{output} --quiet"));
        let found = by_id(
            &scene.path(&format!("of-{output}")),
            &["label", "confidence", "status", "p_spi"],
        );
        assert_eq!(found.len(), 20, "{output}");
        for (id, row) in &found {
            assert_eq!(Some(row), direct.get(id), "{output} {id}");
        }
    }
    // Their headers place them where the sources are.
    let positions =
        |run: &str| -> BTreeMap<String, Vec<String>> { by_id(&scene.path(run), &["ra", "dec"]) };
    let (cut, given) = (positions("of-cuts"), positions("direct"));
    for (id, place) in &cut {
        for (a, b) in place.iter().zip(&given[id]) {
            let degrees = |bits: &str| f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
            assert!((degrees(a) - degrees(b)).abs() < 1e-7, "{id}");
        }
    }
    // Pictures, and the same again by another number of threads.
    scene.done(&format!("cut {MOSAICS} --format jpeg --output pictures --workers 1"));
    scene.done(&format!("cut {MOSAICS} --format jpeg --output again --workers 4"));
    let mut names: Vec<_> =
        fs::read_dir(scene.path("pictures")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 20);
    for name in names {
        let read = |folder: &str| fs::read(scene.path(folder).join(&name)).unwrap();
        assert!(read("pictures") == read("again"), "{name:?}");
    }
    // What is there is not written over.
    assert_code(&scene.run(&format!("cut {MOSAICS} --output pictures")), 64);
    assert!(!rows(&scene.path("direct")).is_empty());
}

/// Where brightness is told by the noise of the sky, that is the mosaics', in cubes too:
/// resampling has smoothed it there.
#[test]
fn what_is_cut_out_of_an_unknown_unit_is_what_a_run_sees() {
    let scene = Scene::new(12, 21);
    scene.replace_card("BUNIT", "BUNIT   = 'ADU     '");
    let wanted = ["label", "confidence", "status"];
    for (bands, name) in [("i,r,g", "three"), ("r,r,g", "two"), ("r,r,r", "one")] {
        scene.done(&format!("classify {MOSAICS} --bands {bands} --output {name} --quiet"));
        scene.done(&format!("cut {MOSAICS} --bands {bands} --output {name}.tar"));
        let run = format!("classify {name}.tar --bands {bands} --output of-{name} --quiet");
        scene.done(&run);
        let direct = by_id(&scene.path(name), &wanted);
        assert_eq!(by_id(&scene.path(&format!("of-{name}")), &wanted), direct, "{bands}");
        assert!(direct.values().filter(|row| row[2] == "ok").count() > 6, "{direct:?}");
    }
}

/// A run refuses them; so does what makes cubes for one.
#[test]
fn headers_that_contradict_themselves_are_not_made_good_by_cutting() {
    let scene = Scene::new(3, 22);
    scene.replace_card("ORIGIN", "MAGZERO =                 30.0");
    scene.done(&format!("classify {MOSAICS} --output direct --quiet"));
    assert!(column(&scene.path("direct"), "status").iter().all(|status| status == "unsupported"));
    let cut = scene.run(&format!("cut {MOSAICS} --output cubes"));
    assert_code(&cut, 1);
    let told = String::from_utf8_lossy(&cut.stdout).into_owned();
    assert!(told.contains("MAGZERO") && told.contains("BUNIT"), "{told}");
    assert_eq!(fs::read_dir(scene.path("cubes")).unwrap().count(), 0);
    // Who says which is right is believed.
    scene.done(&format!("cut {MOSAICS} --unit nanomaggy --output told"));
    assert_eq!(fs::read_dir(scene.path("told")).unwrap().count(), 3);
}
