//! Waiting: whoever does says for what within seconds, and ends on a signal.
//! Signals and limits of the shell have exit codes that are documented.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::failing_calls::{Scene, signal, stopped};
use crate::util::catalog::{column, parts};
use crate::util::command::{assert_code, errors, hiwl, simulate};

/// Reads what a process says until it says `words`.
#[track_caller]
fn says(child: &mut Child, words: &str) {
    let begun = Instant::now();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    let told = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(words)));
    assert!(told.is_some(), "it never says `{words}`");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[track_caller]
fn ends(mut child: Child, which: &str, code: i32) {
    signal(&child, which);
    let begun = Instant::now();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(code), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn a_list_that_does_not_come_is_waited_for_aloud_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let begin = || {
        let mut command = hiwl();
        command.args(["classify", "-", "--output"]).arg(&output);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    for (which, code) in [("-TERM", 143), ("-HUP", 129)] {
        let mut child = begin();
        let held = child.stdin.take();
        says(&mut child, "standard input");
        ends(child, which, code);
        drop(held);
        assert!(!output.exists(), "nothing was begun");
    }
    let labels = folder.path().join("labels.csv");
    fs::write(&labels, "id,label\nx,CRS\n").unwrap();
    let mut evaluate = hiwl();
    evaluate.args(["evaluate", "-", "--labels"]).arg(&labels);
    evaluate.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = evaluate.spawn().unwrap();
    let held = child.stdin.take();
    says(&mut child, "standard input");
    ends(child, "-TERM", 143);
    drop(held);
    // One that comes late is read.
    simulate(&folder.path().join("in"), 3, 1);
    let mut child = begin();
    says(&mut child, "standard input");
    let names = fs::read_dir(folder.path().join("in")).unwrap();
    let names = names.map(|entry| entry.unwrap().path().display().to_string());
    let names: Vec<String> = names.filter(|name| name.ends_with(".jpg")).collect();
    let mut input = child.stdin.take().unwrap();
    input.write_all(names.join("\n").as_bytes()).unwrap();
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(column(&output, "status"), ["ok"; 3]);
}

#[test]
fn ranges_of_other_processes_are_waited_for_aloud() {
    let scene = Scene::new(120, 66, false);
    let output = scene.path("out");
    let first = stopped(&mut scene.command("out"), &output);
    let mut second = scene.command("out");
    let mut second = second.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    says(&mut second, "other processes work on the rest");
    ends(second, "-TERM", 143);
    signal(&first, "-CONT");
    assert_code(&first.wait_with_output().unwrap(), 0);
    scene.completes("out");
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    simulate(&folder.path().join("in"), 60, 2);
    let output = folder.path().join("out");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(env!("CARGO_BIN_EXE_hiwl"));
    command.args(["classify", "--quiet", "--range-size", "4"]).arg(folder.path().join("in"));
    command.arg("--output").arg(&output);
    command.arg("--model").arg(crate::util::fixture("models/untrained-nano.safetensors"));
    let child = stopped(&mut command, &output);
    signal(&child, "-HUP");
    signal(&child, "-CONT");
    assert_code(&child.wait_with_output().unwrap(), 0);
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_with_a_code_and_words() {
    let scene = Scene::new(60, 67, false);
    let run = |blocks: u32| {
        let whole = scene.command("out");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -f {blocks}; exec \"$@\""), "sh"]);
        command.arg(whole.get_program()).args(whole.get_args());
        command.env("HIWL_MODEL", crate::util::fixture("models/untrained-nano.safetensors"));
        command.output().unwrap()
    };
    // Blocks of 512 bytes.
    let run = run(4);
    assert_code(&run, 2);
    assert!(errors(&run).contains("ulimit -f"), "{}", errors(&run));
    assert!(parts(&scene.path("out")).is_empty());
    scene.completes("out");
}

#[test]
fn what_is_a_pipe_where_a_file_should_be_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    simulate(&at("in"), 2, 3);
    let pipe = |path: &Path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let refused = |command: &mut Command| {
        let begun = Instant::now();
        let told = command.current_dir(folder.path()).output().unwrap();
        assert!(!told.status.success() && told.status.code().is_some(), "{told:?}");
        let words = errors(&told) + &String::from_utf8_lossy(&told.stdout);
        assert!(words.contains("pipe"), "{words}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    };
    for name in ["model.safetensors", "list.txt", "table.csv", "table.parquet"] {
        pipe(&at(name));
    }
    refused(hiwl().args(["classify", "in", "--output", "a", "--model", "model.safetensors"]));
    refused(hiwl().args(["classify", "list.txt", "--output", "a"]));
    refused(hiwl().args(["classify", "table.csv", "--output", "a"]));
    refused(hiwl().args(["classify", "table.parquet", "--output", "a"]));
    // Files of a run.
    assert_code(
        &hiwl()
            .args(["classify", "--quiet"])
            .arg(at("in"))
            .arg("--output")
            .arg(at("run"))
            .output()
            .unwrap(),
        0,
    );
    let part = parts(&at("run")).remove(0);
    let kept = fs::read(&part).unwrap();
    fs::remove_file(&part).unwrap();
    pipe(&part);
    let begun = Instant::now();
    let found = hiwl().arg("verify").arg(at("run")).output().unwrap();
    assert_code(&found, 2);
    fs::remove_file(&part).unwrap();
    fs::write(&part, kept).unwrap();
    pipe(&at("run/.range-0.lock"));
    fs::rename(&part, at("part")).unwrap();
    refused(hiwl().args(["classify", "in", "--output", "run"]));
    fs::remove_file(at("run/.range-0.lock")).unwrap();
    for name in ["run.json", "inputs.parquet"] {
        let file = at("run").join(name);
        fs::rename(&file, at("kept")).unwrap();
        pipe(&file);
        refused(hiwl().args(["verify", "run"]));
        fs::remove_file(&file).unwrap();
        fs::rename(at("kept"), &file).unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}
