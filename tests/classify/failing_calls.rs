//! Calls of the system that fail: a disk that is full when a part is flushed
//! or put in place, files that cannot be read for a moment or end early, a
//! clock that jumps. After each the same command completes the catalog, and
//! its rows are those of an undisturbed run.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::util::catalog::{column, parts, rows};
use crate::util::command::{assert_code, errors, hiwl, simulate};
use crate::util::root;

const ENOSPC: &str = "28";
const EIO: &str = "5";
const ESTALE: &str = "116";

/// The library that makes calls fail, built once.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join("failing_calls.so");
        let source = root().join("tests/util/failing_calls.c");
        let gcc = Command::new("gcc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(gcc.unwrap().success());
        library
    })
}

pub(super) struct Scene {
    folder: tempfile::TempDir,
    pub(super) input: PathBuf,
    pub(super) expected: Vec<String>,
}

impl Scene {
    /// `count` cutouts as files or in a tar archive, and the rows of an
    /// undisturbed run.
    pub(super) fn new(count: usize, seed: u64, archive: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut input = folder.path().join("cutouts");
        if archive {
            let made = hiwl()
                .args(["simulate", "--format", "tar", "--size", "240", "--quiet"])
                .args(["--count", &count.to_string(), "--seed", &seed.to_string()])
                .arg(&input)
                .status();
            assert!(made.unwrap().success());
            let tar = fs::read_dir(&input).unwrap().map(|e| e.unwrap().path());
            input = tar.into_iter().find(|p| p.extension().is_some_and(|e| e == "tar")).unwrap();
        } else {
            simulate(&input, count, seed);
        }
        let mut scene = Self { folder, input, expected: Vec::new() };
        assert_code(&scene.command("undisturbed").output().unwrap(), 0);
        scene.expected = rows(&scene.path("undisturbed"));
        assert_eq!(scene.expected.len(), count);
        scene
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn command(&self, output: &str) -> Command {
        let mut command = hiwl();
        command.args(["classify", "--range-size", "12", "--workers", "2", "--batch", "4"]);
        command.arg(&self.input).arg("--output").arg(self.path(output));
        command
    }

    /// A run in which calls fail.
    fn failing(&self, output: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(output);
        command.env("LD_PRELOAD", library());
        command.envs(variables.iter().map(|(name, value)| (format!("HIWL_FAIL_{name}"), value)));
        command.output().unwrap()
    }

    /// The same command without failures completes the catalog.
    #[track_caller]
    pub(super) fn completes(&self, output: &str) {
        assert_code(&self.command(output).output().unwrap(), 0);
        assert_eq!(rows(&self.path(output)), self.expected);
        assert_code(&hiwl().arg("verify").arg(self.path(output)).output().unwrap(), 0);
        let left = fs::read_dir(self.path(output).join("catalog")).unwrap();
        let left = left.filter(|e| e.as_ref().unwrap().file_name().as_encoded_bytes()[0] == b'.');
        assert_eq!(left.count(), 0, "temporaries are left");
    }
}

#[test]
fn a_disk_that_is_full_at_the_last_moment_loses_no_part() {
    let scene = Scene::new(60, 51, false);
    for (case, (call, path, from, said)) in [
        ("rename", "catalog/part-", "3", "no space left"),
        ("fsync", "catalog/.part-", "2", "no space left"),
        ("write", "catalog/.part-", "4", "no space left"),
        ("rename", "run.json", "1", "no space left"),
        ("fsync", ".inputs.parquet", "1", "no space left"),
        ("write", ".run.json", "1", "no space left"),
        // After the rename: the part is there, and not safe from a power cut.
        ("fsync", "/catalog", "2", "no space left"),
    ]
    .into_iter()
    .enumerate()
    {
        let output = format!("out-{case}");
        let variables = [("CALL", call), ("PATH", path), ("FROM", from), ("ERRNO", ENOSPC)];
        let run = scene.failing(&output, &variables);
        assert_code(&run, 2);
        assert!(errors(&run).contains(said), "{call} {path}: {}", errors(&run));
        // What is there under its final name is right.
        let so_far = rows(&scene.path(&output));
        assert_eq!(so_far, scene.expected[..so_far.len()], "{call} {path}");
        assert!(so_far.len() < scene.expected.len(), "{call} {path}: nothing failed");
        scene.completes(&output);
    }
}

#[test]
fn a_disk_that_fails_to_flush_says_so() {
    let scene = Scene::new(24, 52, false);
    let variables = [("CALL", "fsync"), ("PATH", "catalog/.part-"), ("ERRNO", EIO)];
    let run = scene.failing("out", &variables);
    assert_code(&run, 2);
    assert!(errors(&run).contains("flush"), "{}", errors(&run));
    assert!(parts(&scene.path("out")).is_empty());
    scene.completes("out");
}

#[test]
fn reads_that_fail_for_a_moment_are_tried_again() {
    for archive in [false, true] {
        let scene = Scene::new(40, 53, archive);
        let call = if archive { "pread" } else { "read" };
        let path = if archive { ".tar" } else { ".jpg" };
        // In an archive first while it is listed, then while members are read.
        let from = if archive { ["9", "60", "75"] } else { ["9", "21", "30"] };
        for (errno, from, count) in
            [(EIO, from[0], "2"), (ESTALE, from[1], "1"), ("11", from[2], "2")]
        {
            let output = format!("out-{errno}");
            let variables = [
                ("CALL", call),
                ("PATH", path),
                ("FROM", from),
                ("COUNT", count),
                ("ERRNO", errno),
            ];
            assert_code(&scene.failing(&output, &variables), 0);
            scene.completes(&output);
        }
    }
}

#[test]
fn a_file_that_stays_unreadable_is_a_row_and_no_end() {
    let scene = Scene::new(30, 54, false);
    let name = fs::read_dir(&scene.input).unwrap().map(|e| e.unwrap().file_name());
    let name = name.into_iter().find(|n| n.to_str().unwrap().ends_with(".jpg")).unwrap();
    let variables = [("CALL", "read"), ("PATH", name.to_str().unwrap()), ("ERRNO", EIO)];
    assert_code(&scene.failing("out", &variables), 1);
    let statuses = column(&scene.path("out"), "status");
    assert_eq!(statuses.iter().filter(|s| *s == "unreadable").count(), 1);
    assert_eq!(statuses.iter().filter(|s| *s == "ok").count(), 29);
}

#[test]
fn an_archive_that_cannot_be_listed_to_its_end_is_no_plan() {
    let scene = Scene::new(40, 59, true);
    let variables = [("CALL", "pread"), ("PATH", ".tar"), ("FROM", "20"), ("ERRNO", EIO)];
    let run = scene.failing("out", &variables);
    assert_code(&run, 2);
    assert!(errors(&run).contains("Input/output error"), "{}", errors(&run));
    assert!(!scene.path("out/run.json").exists());
    scene.completes("out");
}

/// A part whose rows say that they could not be read can be made anew: without
/// its file the range is missing.
#[test]
fn an_archive_that_ends_early_costs_the_rows_that_it_cuts() {
    let scene = Scene::new(40, 55, true);
    let variables =
        [("CALL", "pread"), ("PATH", ".tar"), ("FROM", "60"), ("COUNT", "3"), ("ERRNO", "0")];
    let run = scene.failing("out", &variables);
    let code = run.status.code().unwrap();
    if code == 1 {
        let output = scene.path("out");
        let cut: Vec<_> = parts(&output)
            .into_iter()
            .filter(|part| {
                let statuses = crate::util::catalog::batches(part);
                let text = format!("{statuses:?}");
                text.contains("truncated")
            })
            .collect();
        assert!(!cut.is_empty());
        cut.iter().for_each(|part| fs::remove_file(part).unwrap());
    }
    scene.completes("out");
}

/// Of every kind of call one of the first and one further on; all of them fail in
/// turn in `benches/faults.py`.
#[test]
fn whatever_call_fails_once_nothing_is_lost() {
    let scene = Scene::new(24, 68, false);
    let tally = scene.path("tally");
    let mut random = ChaCha8Rng::seed_from_u64(68);
    for (kind, errno) in [
        ("open", EIO),
        ("read", EIO),
        ("write", ENOSPC),
        ("pwrite", ENOSPC),
        ("fsync", EIO),
        ("rename", ENOSPC),
        ("unlink", EIO),
        ("mkdir", ENOSPC),
        ("flock", EIO),
        ("ftruncate", ENOSPC),
        ("fstat", EIO),
        ("readdir", EIO),
        ("mmap", "12"),
        ("malloc", "12"),
        ("thread", "11"),
    ] {
        let never = [("CALL", kind), ("FROM", "1000000000"), ("TALLY", tally.to_str().unwrap())];
        assert_code(&scene.failing("counted", &never), 0);
        fs::remove_dir_all(scene.path("counted")).unwrap();
        let counted = fs::read_to_string(&tally).unwrap();
        let count: u64 = counted.trim().rsplit(' ').next().unwrap().parse().unwrap();
        assert!(count > 0, "no call is a {kind}");
        for number in [random.random_range(1..=count.min(10)), random.random_range(1..=count)] {
            let output = format!("{kind}-{number}");
            let from = number.to_string();
            let once = [("CALL", kind), ("FROM", &from), ("COUNT", "1"), ("ERRNO", errno)];
            let failed = scene.failing(&output, &once);
            let aborted = failed.status.signal() == Some(6) && ["mmap", "malloc"].contains(&kind);
            let documented = matches!(failed.status.code(), Some(0 | 2));
            assert!(documented || aborted, "{output}: {failed:?}");
            scene.completes(&output);
        }
        fs::remove_file(&tally).unwrap();
    }
}

#[test]
fn a_clock_that_jumps_changes_no_row() {
    let scene = Scene::new(30, 56, false);
    assert_code(&scene.failing("out", &[("CALL", "clock")]), 0);
    scene.completes("out");
    let status = hiwl()
        .args(["status", "--json"])
        .arg(scene.path("out"))
        .env("LD_PRELOAD", library())
        .env("HIWL_FAIL_CALL", "clock")
        .output()
        .unwrap();
    assert_code(&status, 0);
}

/// Stops a run once its first part is there.
pub(super) fn stopped(command: &mut Command, output: &Path) -> std::process::Child {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while parts(output).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "no part comes");
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&child, "-STOP");
    // The signal is sent, and its threads stop in their own time.
    let state = format!("/proc/{}/stat", child.id());
    let is_stopped = || {
        let stat = fs::read_to_string(&state).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    };
    while !is_stopped() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

pub(super) fn signal(child: &std::process::Child, signal: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

#[test]
fn a_folder_that_vanishes_under_a_run_ends_it_and_comes_back() {
    let scene = Scene::new(400, 57, false);
    let output = scene.path("out");
    let child = stopped(&mut scene.command("out"), &output);
    let away = scene.path("away");
    fs::rename(&scene.input, &away).unwrap();
    signal(&child, "-CONT");
    let run = child.wait_with_output().unwrap();
    fs::rename(&away, &scene.input).unwrap();
    assert_code(&run, 2);
    assert!(errors(&run).contains("mounted"), "{}", errors(&run));
    assert!(column(&output, "status").iter().all(|status| status == "ok"));
    scene.completes("out");
}

#[test]
fn two_processes_with_other_settings_make_one_run() {
    let scene = Scene::new(60, 58, false);
    for round in 0..4 {
        let output = format!("out-{round}");
        let begin = |more: &[&str]| {
            let mut command = scene.command(&output);
            command.args(more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children = [begin(&[]), begin(&["--stage2", "all"]), begin(&[])];
        let mut codes = children.map(|child| child.wait_with_output().unwrap());
        codes.rotate_left(1);
        let [other, .., same] = &codes;
        let (other, same) = (other.status.code().unwrap(), same.status.code().unwrap());
        assert!(matches!((other, same), (64, 0 | 2) | (0, 64)), "{codes:?}");
        let found = rows(&scene.path(&output));
        if other == 64 {
            scene.completes(&output);
        } else {
            assert_eq!(found.len(), scene.expected.len());
            assert_code(&hiwl().arg("verify").arg(scene.path(&output)).output().unwrap(), 0);
        }
    }
}
