//! The blocks of `docs/mosaics.md`, in the page's order but for the question to SDSS's
//! database, whose answer the commands before it take. What they fetch is made by
//! `survey_files.py` under the same names; the lines that fetch are left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hiwl::cutout::{BandImage, SkyPosition};
use hiwl::mosaic::{Mosaics, Place};

use super::simulated::by_id;
use crate::export::page::{blocks, run_block};
use crate::util::catalog::column;
use crate::util::command::{Workplace, assert_code, hiwl};
use crate::util::python::{environment, oracle_of};
use crate::util::root;

const PAGE: &str = "docs/mosaics.md";

/// Galaxies of the sky.
const COUNT: usize = 12;

/// A folder with all that the page names.
struct Scene {
    place: Workplace,
    model: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let scene =
            Self { place: Workplace::new(), model: root().join("models/hiwl-b1.safetensors") };
        scene.place.expect(0, &format!("simulate sky --mosaics --count {COUNT} --quiet"));
        let python = environment("mosaics-venv", "requirements-mosaics.txt");
        let folder = scene.place.folder().to_str().unwrap();
        oracle_of(&python, "survey_files.py", &[&format!("{folder}/sky"), folder]);
        fs::rename(scene.path("sky/frames"), scene.path("frames")).unwrap();
        fs::copy(scene.path("sky/sources.csv"), scene.path("galaxies.csv")).unwrap();
        scene.sources("galaxies.csv");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    fn block(&self, language: &str, line: usize, code: &str) {
        let place = (PAGE, line, self.place.folder(), &*self.model);
        run_block(place, language, code, "table");
    }

    /// `galaxies.parquet` of a table.
    fn sources(&self, table: &str) {
        let code = format!(
            "import pandas as pd\ntable = pd.read_csv('{table}')\ntable.to_parquet('galaxies.parquet')\n"
        );
        self.block("python", 0, &code);
    }

    /// Ids of the galaxies whose radius is above this.
    fn larger_than(&self, radius: f64) -> Vec<String> {
        let table = fs::read_to_string(self.path("sky/sources.csv")).unwrap();
        let cells = table.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        cells
            .filter(|cells| cells[3].parse::<f64>().unwrap() > radius)
            .map(|cells| cells[0].to_owned())
            .collect()
    }

    /// Label, confidence and status of the rows of a run, by id.
    fn rows(&self, run: &str) -> BTreeMap<String, Vec<String>> {
        by_id(&self.path(run), &["label", "confidence", "status"])
    }
}

#[test]
fn every_block_of_the_page_runs() {
    let scene = Scene::new();
    let blocks = blocks(PAGE);
    let [direct, cut, sdss, question, legacy, rust] = &blocks[..] else {
        panic!("{} blocks, of which this test knows 6", blocks.len());
    };
    let fetched = |(language, line, code): &(String, usize, String)| {
        assert_eq!(language, "sh", "{PAGE}:{line}");
        scene.block("sh", *line, &without_fetching(code));
    };

    fetched(direct);
    let by_frames = scene.rows("night1");
    assert_eq!(by_frames.len(), COUNT);

    // Folders and tables of cutouts are inputs.
    fetched(cut);
    assert_eq!(fs::read_dir(scene.path("cutouts")).unwrap().count(), COUNT);
    for (cutouts, run) in [("cutouts", "of-cubes"), ("cutouts.parquet", "of-pictures")] {
        scene.hiwl(0, &format!("classify {cutouts} --output {run} --quiet"));
        let same = same_labels(&scene.rows(run), &by_frames);
        assert!(same >= COUNT - 1, "{run}: {same} labels are those of the mosaics");
    }

    // What the database is asked for is what a run of its files needs.
    let (language, line, code) = question;
    assert_eq!(language, "sql", "{PAGE}:{line}");
    let asked = format!(
        "import duckdb\nduckdb.sql(\"CREATE TABLE Galaxy AS SELECT * FROM 'Galaxy.csv'\")\n\
         table = duckdb.sql(\"\"\"{code}\"\"\")\ntable.write_csv('galaxies.csv')\n"
    );
    scene.block("python", *line, &asked);
    fetched(sdss);
    // The same pixels, under the survey's names and beside its other HDUs, of those that are
    // as large as was asked for.
    let large = scene.larger_than(3.0);
    assert!((COUNT - 3..COUNT).contains(&large.len()), "{large:?}");
    let mut expected = by_frames.clone();
    expected.retain(|id, _| large.contains(id));
    assert_eq!(scene.rows("sdss"), expected);

    scene.sources("sources.csv");
    fetched(legacy);
    let by_brick = scene.rows("legacy");
    assert_eq!(by_brick.len(), COUNT - 1);
    assert!(by_brick.values().all(|row| row[2] == "ok"), "{by_brick:?}");
    let same = same_labels(&by_brick, &by_frames);
    assert!(same >= COUNT - 2, "{same} labels are SDSS's: {by_brick:?}, {by_frames:?}");
    // Of the bits that the command names one hides a source; others hid none.
    scene.sources("hidden.csv");
    let (_, line, code) = legacy;
    let code = without_fetching(code).replace("--output legacy", "--output hidden || [ $? = 1 ]");
    scene.block("sh", *line, &code);
    let hidden = scene.rows("hidden");
    let other: Vec<&String> = hidden.keys().filter(|id| !by_brick.contains_key(*id)).collect();
    assert_eq!((other.len(), hidden.len()), (1, COUNT));
    assert_eq!(hidden[other[0]][2], "no_data");
    assert!(by_brick.iter().all(|(id, row)| hidden[id] == *row));

    let (language, _, code) = rust;
    assert_eq!(language, "rust");
    for band in ["i", "r", "g"] {
        let from = scene.path(&format!("frames/frame-{band}-000000.fits"));
        fs::copy(from, scene.path(&format!("frames/frame-{band}.fits"))).unwrap();
    }
    let degrees = |name: &str| {
        let bits = &column(&scene.path("night1"), name)[0];
        f64::from_bits(u64::from_str_radix(bits, 16).unwrap())
    };
    let position = SkyPosition { ra: degrees("ra"), dec: degrees("dec") };
    let image = of_the_page(&scene.path("frames"), position);
    assert_eq!((image.width, image.height, image.planes.len()), (240, 240, 3 * 240 * 240));
    assert!(image.planes.iter().any(|value| *value > 0.1));
    the_block_is(code);
}

impl Scene {
    fn hiwl(&self, code: i32, arguments: &str) {
        let mut hiwl = hiwl();
        hiwl.env("HIWL_MODEL", &self.model).current_dir(self.place.folder());
        assert_code(&hiwl.args(arguments.split(' ')).output().unwrap(), code);
    }
}

/// A block without what asks a server: a loop around `curl`.
fn without_fetching(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some((before, from)) = rest.split_once("for ") {
        let (body, after) = from.split_once("\ndone\n").unwrap();
        assert!(body.contains("curl -LO https://"), "{body}");
        kept += before;
        rest = after;
    }
    kept + rest
}

/// How many rows have the label of another run's.
fn same_labels(rows: &BTreeMap<String, Vec<String>>, of: &BTreeMap<String, Vec<String>>) -> usize {
    rows.iter().filter(|(id, row)| row[0] == of[*id][0]).count()
}

/// The lines of the page's block in Rust, but for the one that names a folder and a place.
#[allow(clippy::print_stdout, reason = "the page's lines, as they are")]
fn of_the_page(frames: &Path, position: SkyPosition) -> BandImage {
    // begin
    let mosaics = Mosaics::default();
    let file = |band: &str| (band.to_owned(), frames.join(format!("frame-{band}.fits")));
    let bands = ["i", "r", "g"].map(file);
    let place = Place { position, pixels: 240, scale: Some(0.18) };
    match mosaics.cut(&bands, &place) {
        Ok(image) => println!("{} pixels", image.planes.len()),
        Err(why) => println!("{why}"),
    }
    // end
    mosaics.cut(&bands, &place).unwrap()
}

/// That the block is what was run here.
fn the_block_is(code: &str) {
    let here = include_str!("page.rs");
    let (_, ours) = here.split_once("    // begin\n").unwrap();
    let (ours, _) = ours.split_once("    // end\n").unwrap();
    let ours: Vec<&str> = ours.lines().map(|line| &line[4..]).collect();
    let other =
        |line: &&str| line.starts_with("use ") || line.starts_with("let (frames, position)");
    let theirs: Vec<&str> = code.lines().filter(|line| !other(line) && !line.is_empty()).collect();
    assert_eq!(theirs, ours);
}
