//! Where an export may go: into new plain files, and never over what is none.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::catalog::complete;
use crate::util::command::assert_code;
use crate::util::python::oracle;

#[test]
fn nothing_is_exported_over_a_run_or_what_is_no_plain_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(&folder.path().join("run"), 20, 10);
    let before = fs::read(run.dir().join("run.json")).unwrap();
    let link = folder.path().join("link.csv");
    symlink(folder.path().join("elsewhere.csv"), &link).unwrap();
    let inside = ["run.json", "inputs.parquet", "new.csv", "catalog/new.csv"];
    let outputs = inside.iter().map(|name| run.dir().join(name));
    for output in outputs.chain([link.clone(), "/dev/null".into(), folder.path().to_owned()]) {
        let refused = export(run.dir(), "csv", &output, &["--overwrite"]);
        assert_code(&refused, 64);
    }
    assert_eq!(fs::read(run.dir().join("run.json")).unwrap(), before);
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(link.is_symlink() && !folder.path().join("elsewhere.csv").exists());
    assert_code(&run_command(&["verify", run.dir().to_str().unwrap()]), 0);
}

#[test]
fn labels_go_into_devices_and_to_standard_output_and_not_over_their_table() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("labels.csv");
    let text: String = (0..20).map(|id| format!("{id},CRS\n")).collect();
    fs::write(&table, format!("id,label\n{text}")).unwrap();
    let before = fs::read(&table).unwrap();
    let table = table.to_str().unwrap();
    assert_code(&run_command(&["labels", table, "--output", "/dev/null"]), 0);
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let printed = run_command(&["labels", table, "--output", "-"]);
    assert_code(&printed, 0);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.starts_with("id,label,split\n") && printed.lines().count() == 21, "{printed}");
    assert_code(&run_command(&["labels", table, "--output", table]), 64);
    assert_eq!(fs::read(table).unwrap(), before);
}

#[test]
fn what_a_killed_export_left_goes_with_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(&folder.path().join("run"), 20, 10);
    let left = folder.path().join(".x.csv.0123456789ab-1-00000001.tmp");
    let yesterday = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    fs::File::create(&left).unwrap().set_modified(yesterday).unwrap();
    assert_code(&export(run.dir(), "csv", &folder.path().join("y.csv"), &[]), 0);
    assert!(!left.exists());
}

#[test]
fn a_model_that_is_a_pipe_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("model.safetensors");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let begun = Instant::now();
    let told = run_command(&["model", "info", pipe.to_str().unwrap()]);
    assert!(!told.status.success() && begun.elapsed() < Duration::from_secs(10));
    let words = String::from_utf8_lossy(&told.stderr);
    assert!(words.contains("named pipe"), "{words}");
}

#[test]
fn one_very_long_id_does_not_widen_every_row_of_a_fits_table() {
    let folder = tempfile::tempdir().unwrap();
    let mut galaxies: Vec<(String, Option<SkyPosition>)> =
        (0..1000).map(|index| (format!("galaxy-{index}"), None)).collect();
    galaxies[500].0 = "x".repeat(900_000);
    let run = at_positions(&folder.path().join("run"), &galaxies);
    let output = folder.path().join("table.fits");
    let told = export(run.dir(), "fits", &output, &["--rejected"]);
    assert_code(&told, 0);
    let bytes = fs::metadata(&output).unwrap().len();
    assert!(bytes < 2_000_000, "{bytes}");
    // Rows, the longest id, distinct ids, texts that were cut.
    let seen = oracle("long_text.py", &[output.to_str().unwrap()]);
    assert_eq!(seen.trim(), "1000 1024 1000 1");
}

fn run_command(arguments: &[&str]) -> Output {
    run(arguments.iter().copied())
}

#[test]
fn no_command_writes_into_the_folder_of_a_run_but_the_runs_own() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(&folder.path().join("run"), 20, 10);
    let run = run.dir().to_str().unwrap();
    let before = names(Path::new(run));
    let cutouts = crate::util::fixture("cutouts/jpeg");
    let cutouts = cutouts.to_str().unwrap();
    let at = |name: &str| format!("{run}/{name}");
    for place in ["new", "catalog/new"] {
        let place = at(place);
        for command in [
            vec!["simulate", &place, "--count", "1"],
            vec!["look", cutouts, "--output", &place],
            vec!["classify", cutouts, "--output", &place],
            vec!["plan", cutouts, "--shards", "1", "--output", &place],
            vec!["man", &place],
            vec!["export", run, "--to", "csv", "-o", &place],
            vec!["export", run, "--to", "hats", "-o", &place],
            vec!["model", "new", "--output", &place, "--architecture", "efficientnet-nano"],
        ] {
            let refused = run_command(&command);
            assert_code(&refused, 64);
            let words = String::from_utf8_lossy(&refused.stderr);
            assert!(words.contains("the folder of a run"), "{command:?}: {words}");
        }
    }
    assert_code(&run_command(&["classify", cutouts, "--output", &at("catalog")]), 64);
    assert_eq!(names(Path::new(run)), before);
}

#[test]
fn names_that_are_no_utf_8_are_written_into_like_any() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
    let (output, table) = (at(b"night\xff"), at(b"night\xe9.csv"));
    let cutouts = crate::util::fixture("cutouts/jpeg");
    let mut command = crate::util::command::hiwl();
    command.args(["classify", "--range-size", "9", "--output"]).arg(&output).arg(cutouts);
    assert_code(&command.output().unwrap(), 0);
    for arguments in [&["verify"][..], &["status"], &["catalog"]] {
        let read = crate::util::command::hiwl().args(arguments).arg(&output).output().unwrap();
        assert_code(&read, 0);
    }
    let mut export = crate::util::command::hiwl();
    export.arg("export").arg(&output).args(["--to", "csv", "-o"]).arg(&table);
    assert_code(&export.output().unwrap(), 0);
    assert_eq!(fs::read_to_string(&table).unwrap().lines().count(), 26);
}

#[test]
fn manual_pages_are_not_written_through_links_or_over_folders() {
    let folder = tempfile::tempdir().unwrap();
    let (pages, note) = (folder.path().join("man1"), folder.path().join("notes.txt"));
    let place = pages.to_str().unwrap();
    assert_code(&run_command(&["man", place]), 0);
    let whole = names(&pages);
    assert!(whole.contains(&pages.join("hiwl-model-info.1")), "{whole:?}");
    // Again: plain files are replaced.
    assert_code(&run_command(&["man", place]), 0);
    assert_eq!(names(&pages), whole);
    let page = pages.join("hiwl-verify.1");
    fs::write(&note, "mine").unwrap();
    fs::remove_file(&page).unwrap();
    symlink(&note, &page).unwrap();
    let refused = run_command(&["man", place]);
    assert_code(&refused, 64);
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(words.contains("hiwl-verify.1") && words.contains("is a link"), "{words}");
    assert!(page.is_symlink());
    assert_eq!(fs::read_to_string(&note).unwrap(), "mine");
}

#[test]
fn metrics_are_not_written_over_what_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.csv");
    let cutouts = crate::util::fixture("cutouts/jpeg");
    fs::write(&labels, "id,label\nx,CRS\n").unwrap();
    let (table, cutouts) = (labels.to_str().unwrap(), cutouts.to_str().unwrap());
    let same = folder.path().join("same.csv");
    fs::hard_link(&labels, &same).unwrap();
    for output in [table, same.to_str().unwrap()] {
        let refused = run_command(&["evaluate", cutouts, "--labels", table, "--csv", output]);
        assert_code(&refused, 64);
        let words = String::from_utf8_lossy(&refused.stderr);
        assert!(words.contains("is an input"), "{words}");
    }
    assert_eq!(fs::read_to_string(&labels).unwrap(), "id,label\nx,CRS\n");
}

/// All names below a folder.
fn names(folder: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| if path.is_dir() { names(path) } else { Vec::new() };
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<PathBuf> =
        paths.flat_map(|path| [below(&path), vec![path]].concat()).collect();
    names.sort();
    names
}

#[test]
fn endings_say_the_format_and_a_dash_is_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(&folder.path().join("run"), 20, 10);
    let run = run.dir().to_str().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let export = |output: &str, more: &[&str]| {
        run_command(&[&["export", run, "-o", output, "--quiet"][..], more].concat())
    };
    for (name, beginning) in
        [("a.csv", "id,"), ("a.FITS", "SIMPLE"), ("a.vot", "<?xml"), ("a.parquet", "PAR1")]
    {
        assert_code(&export(&at(name), &[]), 0);
        assert!(fs::read(at(name)).unwrap().starts_with(beginning.as_bytes()), "{name}");
    }
    for name in ["a.txt", "none", "-"] {
        let refused = export(&if name == "-" { name.to_owned() } else { at(name) }, &[]);
        assert_code(&refused, 64);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--to"), "{refused:?}");
    }
    for (format, name) in [("csv", "a.csv"), ("fits", "a.FITS"), ("parquet", "a.parquet")] {
        let printed = run_command(&["export", run, "-o", "-", "--to", format]);
        assert_code(&printed, 0);
        assert_eq!(printed.stdout, fs::read(at(name)).unwrap(), "{format}");
        assert!(String::from_utf8_lossy(&printed.stderr).contains("rows"), "{printed:?}");
    }
    assert_code(&export("-", &["--to", "hats"]), 64);
    // With --json too, standard output is the table's alone; what was done is told beside it.
    let printed = run_command(&["export", run, "-o", "-", "--to", "csv", "--json"]);
    assert_code(&printed, 0);
    assert_eq!(printed.stdout, fs::read(at("a.csv")).unwrap());
    let told: serde_json::Value = serde_json::from_slice(&printed.stderr).unwrap();
    let lines = String::from_utf8(printed.stdout).unwrap().lines().count() as u64;
    assert_eq!((&told["output"], told["rows"].as_u64()), (&"-".into(), Some(lines - 1)));
}

#[test]
fn standard_output_holds_one_output() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    crate::util::command::simulate(&folder.path().join("in"), 6, 1);
    let evaluate = |more: &[&str]| {
        let labels = at("in/labels.csv");
        run_command(&[&["evaluate", &at("in"), "--labels", &labels][..], more].concat())
    };
    let both = evaluate(&["--csv", "-", "--predictions", "-"]);
    assert_code(&both, 64);
    let words = String::from_utf8_lossy(&both.stderr);
    assert!(words.contains("another output already") && both.stdout.is_empty(), "{words}");
    let one = evaluate(&["--predictions", "-", "--csv", &at("metrics.csv"), "--json"]);
    assert_code(&one, 0);
    assert!(one.stdout.starts_with(b"id,label,predicted,"), "{one:?}");
    assert_eq!(String::from_utf8(one.stdout).unwrap().lines().count(), 7);
    // Behind the bar's lines, of which there are none with --json.
    let told: serde_json::Value = serde_json::from_slice(&one.stderr).unwrap();
    assert_eq!(told["total"], 6);
    // An input is not written over, whichever output it is.
    let over = evaluate(&["--predictions", &at("in/labels.csv")]);
    assert_code(&over, 64);
    assert!(String::from_utf8_lossy(&over.stderr).contains("is an input"), "{over:?}");
}
