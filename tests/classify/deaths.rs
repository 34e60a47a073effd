//! Cutouts that end the process which works on them: by a signal, whenever
//! their bytes are read. Their rows say so, all others are as ever, and whoever
//! was only in hand when a process died has its label.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::failing_calls::{Scene, library, signal, stopped};
use crate::util::catalog::{column, parts, rows};
use crate::util::command::{assert_code, errors, hiwl};

const SIGABRT: &str = "6";
const SIGSEGV: &str = "11";

/// Names of the cutouts, in the order of the rows.
fn names(scene: &Scene) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(&scene.input)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".jpg"))
        .collect();
    names.sort();
    names
}

/// The same command, in which every read of a file of this name is deadly.
fn deadly(mut command: Command, name: &str, signal: &str) -> Command {
    command.env("LD_PRELOAD", library());
    command.envs([
        ("HIWL_FAIL_CALL", "read"),
        ("HIWL_FAIL_PATH", name),
        ("HIWL_FAIL_SIGNAL", signal),
    ]);
    command
}

/// Hidden names in a run's folder and in its catalog.
fn hidden(scene: &Scene, output: &str) -> Vec<PathBuf> {
    let folders = [scene.path(output), scene.path(output).join("catalog")];
    let names = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let names = names.map(|entry| entry.unwrap().path());
    names.filter(|p| p.file_name().unwrap().as_encoded_bytes()[0] == b'.').collect()
}

#[track_caller]
fn died(run: &Output, signal: &str) {
    assert_eq!(run.status.signal(), signal.parse().ok(), "{:?}: {}", run.status, errors(run));
}

/// The rows as they are to be: those of an undisturbed run, but for the cutouts
/// that end processes.
#[track_caller]
fn has_crashed(scene: &Scene, output: &str, poison: &[usize], signal: &str) {
    let statuses = column(&scene.path(output), "status");
    let details = column(&scene.path(output), "error");
    let found = rows(&scene.path(output));
    assert_eq!(found.len(), scene.expected.len());
    for (row, expected) in scene.expected.iter().enumerate() {
        if poison.contains(&row) {
            assert_eq!(statuses[row], "crashed", "row {row}");
            assert!(details[row].contains(&format!("signal {signal}")), "{}", details[row]);
        } else {
            assert_eq!(&found[row], expected, "row {row}");
        }
    }
    assert_code(&hiwl().arg("verify").arg(scene.path(output)).output().unwrap(), 0);
    assert_eq!(hidden(scene, output), Vec::<PathBuf>::new());
}

#[test]
fn a_cutout_that_ends_the_process_twice_is_a_row_and_the_run_completes() {
    let scene = Scene::new(60, 61, false);
    let poison = &names(&scene)[17];
    for (output, signal) in [("segv", SIGSEGV), ("abrt", SIGABRT), ("kill", "9")] {
        let run = || deadly(scene.command(output), poison, signal).output().unwrap();
        died(&run(), signal);
        assert!(parts(&scene.path(output)).len() < 5);
        let again = run();
        assert_code(&again, 1);
        assert!(errors(&again).contains(&format!("{poison} ended the process")), "{again:?}");
        has_crashed(&scene, output, &[17], signal);
    }
    // The same row, however often it is asked for.
    let [one, other] = ["segv", "again"].map(|output| {
        if output == "again" {
            died(&deadly(scene.command(output), poison, SIGSEGV).output().unwrap(), SIGSEGV);
            assert_code(&deadly(scene.command(output), poison, SIGSEGV).output().unwrap(), 1);
        }
        rows(&scene.path(output))
    });
    assert_eq!(one, other);
}

#[test]
fn several_in_a_range_cost_one_death_of_the_run() {
    let scene = Scene::new(40, 62, false);
    let all = names(&scene);
    let with = |end: &str| (0..all.len()).filter(|row| all[*row].ends_with(end)).collect();
    // A tenth of them or more end in the same digit.
    let ends = (0..10).map(|digit| format!("{digit}.jpg"));
    let names_end = ends.max_by_key(|end| Vec::len(&with(end))).unwrap();
    let poison: Vec<usize> = with(&names_end);
    assert!(poison.len() >= 4, "{all:?}");
    let run = || {
        let mut command = hiwl();
        command.args(["classify", "--workers", "2", "--batch", "4"]).arg(&scene.input);
        command.arg("--output").arg(scene.path("out"));
        deadly(command, &names_end, SIGSEGV).output().unwrap()
    };
    died(&run(), SIGSEGV);
    assert_code(&run(), 1);
    has_crashed(&scene, "out", &poison, SIGSEGV);
}

#[test]
fn whoever_was_only_in_hand_when_a_run_was_killed_has_its_label() {
    let scene = Scene::new(200, 63, false);
    for round in 0..3 {
        let output = format!("out-{round}");
        let mut child = stopped(&mut scene.command(&output), &scene.path(&output));
        child.kill().unwrap();
        child.wait().unwrap();
        scene.completes(&output);
    }
    // Deadly once, and not when it is tried again.
    let name = &names(&scene)[40];
    died(&deadly(scene.command("once"), name, SIGABRT).output().unwrap(), SIGABRT);
    scene.completes("once");
    assert_eq!(hidden(&scene, "once"), Vec::<PathBuf>::new());
}

#[test]
fn shards_leave_the_rows_of_one_another_alone() {
    let scene = Scene::new(60, 64, false);
    let poison = &names(&scene)[17];
    // Row 17 is of range 1, that of the second shard. The first one is alive,
    // in the midst of its ranges, while the second dies and is run again.
    let shard = |which: &str| {
        let mut command = scene.command("out");
        command.args(["--shard", which]);
        command
    };
    let first = stopped(&mut shard("0/2"), &scene.path("out"));
    let held = hidden(&scene, "out");
    died(&deadly(shard("1/2"), poison, SIGSEGV).output().unwrap(), SIGSEGV);
    assert_code(&deadly(shard("1/2"), poison, SIGSEGV).output().unwrap(), 1);
    held.iter().for_each(|path| assert!(path.exists(), "{} is somebody's", path.display()));
    signal(&first, "-CONT");
    assert_code(&first.wait_with_output().unwrap(), 0);
    has_crashed(&scene, "out", &[17], SIGSEGV);
}

#[test]
fn without_a_process_to_spare_a_suspect_is_tried_in_the_runs_own() {
    let scene = Scene::new(30, 65, false);
    let poison = &names(&scene)[5];
    let run = || {
        let mut command = deadly(scene.command("out"), poison, SIGSEGV);
        command.env("HIWL_FAIL_CALL", "read").env("HIWL_FAIL_NO_CHILDREN", "1");
        command.output().unwrap()
    };
    // Once with others in hand, once alone.
    died(&run(), SIGSEGV);
    died(&run(), SIGSEGV);
    assert_code(&run(), 1);
    let statuses = column(&scene.path("out"), "status");
    assert_eq!(statuses.iter().filter(|status| *status == "crashed").count(), 1);
    assert_eq!((statuses[5].as_str(), statuses.len()), ("crashed", 30));
    assert_eq!(hidden(&scene, "out"), Vec::<PathBuf>::new());
}
