//! Parquet tables that hold their images, as pyarrow writes them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::util::catalog::{column, rows};
use crate::util::command::{assert_code, errors, hiwl, simulate};
use crate::util::python::oracle;

struct Scene {
    folder: tempfile::TempDir,
    /// Start and length of the images of the first two row groups of
    /// `huggingface.parquet`.
    stretches: Vec<(usize, usize)>,
}

const COUNT: usize = 40;

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        simulate(Path::new(&path("cutouts")), COUNT, 31);
        fs::remove_file(path("cutouts/labels.csv")).unwrap();
        let told = oracle("image_tables.py", &[&path("cutouts"), &path("tables")]);
        let numbers: Vec<usize> = told.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let stretches = numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        Self { folder, stretches }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn classify(&self, input: &str, output: &str, more: &[&str], code: i32) -> Vec<Vec<String>> {
        let run = hiwl()
            .args(["classify", "--quiet", "--range-size", "9"])
            .args(more)
            .args([self.path(input), "--output".into(), self.path(output)])
            .output()
            .unwrap();
        assert_code(&run, code);
        answers(&self.path(output))
    }
}

/// What the networks said of each row, and its id.
fn answers(run: &Path) -> Vec<Vec<String>> {
    ["id", "label", "confidence", "p_crs", "p_ibs", "p_spi", "p_css_eo", "status"]
        .map(|name| column(run, name))
        .to_vec()
}

#[test]
fn images_in_tables_give_the_rows_of_their_files() {
    let scene = Scene::new();
    let files = scene.classify("cutouts", "files", &[], 0);
    assert_eq!(files[0].len(), COUNT);
    for table in ["huggingface", "binary"] {
        let input = format!("tables/{table}.parquet");
        assert_eq!(scene.classify(&input, table, &[], 0), files, "{table}");
    }
    let run = scene.path("huggingface");
    assert!(column(&run, "source")[3].ends_with(".jpg"), "{:?}", column(&run, "source"));
    assert_eq!(column(&run, "ra")[3], format!("{:016x}", 3f64.to_bits()));
    // Named, and with what else the table has.
    let carry = ["--image-column", "image", "--carry", "votes,image_id"];
    assert_eq!(scene.classify("tables/huggingface.parquet", "carried", &carry, 0), files);
    assert_eq!(column(&scene.path("carried"), "image_id")[39], "x39");
}

#[test]
fn a_row_that_is_no_image_says_why() {
    let scene = Scene::new();
    let found = scene.classify("tables/wrong.parquet", "wrong", &[], 1);
    assert_eq!(found[0], ["ok", "null", "path", "empty", "text", "cut"]);
    let expected = ["ok", "missing", "missing", "empty", "not_an_image", "truncated"];
    assert_eq!(found[7], expected);
    let found = scene.classify("tables/wrong_planes.parquet", "planes", &[], 1);
    assert_eq!(found[7], ["missing_band", "corrupt", "empty"]);
    let why = column(&scene.path("planes"), "error");
    assert!(why[0].contains("no i among DES-G, DES-R"), "{why:?}");
    assert!(why[1].contains("249"), "{why:?}");

    let run = |more: &[&str]| {
        let mut run = hiwl();
        run.arg("classify").arg(scene.path("tables/huggingface.parquet")).args(more);
        run.arg("--output").arg(scene.path("refused")).output().unwrap()
    };
    let unknown = run(&["--image-column", "picture"]);
    assert_code(&unknown, 64);
    assert!(errors(&unknown).contains("it has: votes, image"), "{}", errors(&unknown));
    let numbers = run(&["--image-column", "votes"]);
    assert_code(&numbers, 64);
    assert!(errors(&numbers).contains("images"), "{}", errors(&numbers));
}

#[test]
fn planes_in_tables_give_the_rows_of_their_fits_cubes() {
    let scene = Scene::new();
    let cubes = scene.classify("tables/cubes", "cubes", &[], 0);
    assert_eq!(cubes[0].len(), 9);
    for table in ["planes", "structs"] {
        let input = format!("tables/{table}.parquet");
        assert_eq!(scene.classify(&input, table, &[], 0), cubes, "{table}");
    }
    // The rendered picture beside them, where it is asked for.
    let more = ["--image-column", "rgb"];
    let rgb = scene.classify("tables/planes.parquet", "rgb", &more, 0);
    assert_eq!(rgb[0], cubes[0]);
    let picture = scene.classify("cutouts", "pictures", &[], 0);
    assert!(rgb[2].iter().all(|confidence| *confidence == picture[2][0]));
}

#[test]
fn a_shard_reads_its_own_row_groups_and_a_damaged_one_costs_its_rows() {
    let scene = Scene::new();
    let table = scene.path("tables/huggingface.parquet");
    let more = ["--range-size", "10", "--quiet"];
    let hiwl = |arguments: &[&str]| {
        let run = hiwl().args(arguments).current_dir(scene.folder.path()).output().unwrap();
        run.status.code().unwrap()
    };
    let given = "tables/huggingface.parquet";
    assert_eq!(hiwl(&[&["classify", given, "--output", "whole"][..], &more].concat()), 0);
    let plan = ["plan", given, "--output", "night", "--shards", "4"];
    assert_eq!(hiwl(&[&plan[..], &more].concat()), 0);
    let whole = fs::read(&table).unwrap();
    let mut holed = whole.clone();
    for (start, length) in &scene.stretches {
        holed[*start..*start + *length].fill(0);
    }
    let time = fs::metadata(&table).unwrap().modified().unwrap();
    fs::write(&table, &holed).unwrap();
    // As it was listed, for all that the system says of it.
    fs::File::options().write(true).open(&table).unwrap().set_modified(time).unwrap();
    // Rows 20 to 29, in row groups that begin with row 14: none is damaged.
    assert_eq!(hiwl(&["classify", "--plan", "night", "--shard", "2", "--quiet"]), 0);
    assert_eq!(rows(&scene.path("night")), rows(&scene.path("whole"))[20..30]);
    // Rows 10 to 19: four of them are lost.
    assert_eq!(hiwl(&["classify", "--plan", "night", "--shard", "1", "--quiet"]), 1);
    let statuses = column(&scene.path("night"), "status");
    assert_eq!(statuses[..10], [["corrupt"; 4].as_slice(), &["ok"; 6]].concat()[..]);
}

#[test]
fn a_damaged_page_costs_its_own_rows_with_any_number_of_workers() {
    let scene = Scene::new();
    let table = scene.path("tables/binary.parquet");
    let mut bytes = fs::read(&table).unwrap();
    // Compressed pages begin with zstd's magic number.
    let middle = bytes.len() / 2;
    let magic = [0x28, 0xB5, 0x2F, 0xFD];
    let page = middle + bytes[middle..].windows(4).position(|four| four == magic).unwrap();
    bytes[page..page + 4].fill(0);
    fs::write(&table, bytes).unwrap();
    let mut first: Option<Vec<Vec<String>>> = None;
    for (run, workers) in ["1", "1", "4", "4", "8"].into_iter().enumerate() {
        let output = format!("run{run}");
        let found = scene.classify("tables/binary.parquet", &output, &["--workers", workers], 1);
        let corrupt = found[7].iter().filter(|status| *status == "corrupt").count();
        let ok = found[7].iter().filter(|status| *status == "ok").count();
        // A page holds a dozen of them.
        assert!((1..=16).contains(&corrupt) && ok + corrupt == COUNT, "{:?}", found[7]);
        assert_eq!(*first.get_or_insert_with(|| found.clone()), found, "{workers} workers");
    }
}
