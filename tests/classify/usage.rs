//! What cannot be done is refused with what to do instead, exit code 64.

use std::fs;
use std::path::Path;

use crate::util::catalog::rows;
use crate::util::command::{assert_code, errors, hiwl, run, simulate};
use crate::util::fixture;

/// Asserts that a command is refused with these words; `a|b` is one of them.
#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let output = run(arguments);
    assert_code(&output, 64);
    let errors = errors(&output);
    for word in words {
        let found = word.split('|').any(|either| errors.contains(either));
        assert!(found, "`{word}` is not in: {errors}");
    }
}

#[test]
fn a_machine_is_measured() {
    let arguments = ["--device", "cpu", "--seconds", "0", "--batches", "1,3", "--workers", "1"];
    let output = run(["bench"].iter().chain(&arguments));
    assert_code(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for words in ["efficientnet-nano, 240 × 240 pixels", "f32", "batch 1 ", "batch 3 ", "depthwise"]
    {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
}

#[test]
fn the_reference_is_measured_too_and_engines_compute_where_they_can() {
    let plainly = ["--device", "cpu", "--engine", "candle", "--seconds", "0", "--batches", "1"];
    let output = run(["bench"].iter().chain(&plainly));
    assert_code(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("candle on cpu, f32") && text.contains("batch 1 "), "{text}");
    refused(&["bench", "--engine", "tensorrt"], &["fused, cuda, candle"]);
    refused(&["bench", "--device", "cpu", "--engine", "cuda"], &["cuda engine", "on cpu"]);
    refused(
        &["bench", "--device", "cpu", "--engine", "candle", "--precision", "bf16"],
        &["candle engine does not compute in bf16"],
    );
}

#[test]
fn wrong_usage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(Path::new(&path("in")), 2, 1);
    fs::create_dir(path("empty")).unwrap();
    let (input, out) = (path("in"), path("out"));

    refused(&["classify", "--output", &out], &["INPUT"]);
    refused(&["classify", &input], &["--output"]);
    refused(&["classify", &path("gone"), "--output", &out], &["gone"]);
    refused(&["classify", &path("empty"), "--output", &out], &["no cutout"]);
    for (flag, number, limit) in [
        ("--batch", "0", "from 1 to 4096"),
        ("--batch", "1000000000", "from 1 to 4096"),
        ("--workers", "1000000", "from 1 to 1024"),
    ] {
        refused(&["classify", &input, "--output", &out, flag, number], &[limit]);
        refused(&["evaluate", &input, "--labels", "l.csv", flag, number], &[limit]);
    }
    fs::write(path("many.toml"), "[run]\nbatch = 1000000000\n").unwrap();
    let many = path("many.toml");
    refused(&["classify", &input, "--output", &out, "--pipeline", &many], &["from 1 to 4096"]);
    refused(&["classify", "--bands", "i", &input, "--output", &out], &["i,r,g"]);
    refused(&["classify", &input, "--output", &out, "--shard", "4/4"], &["3/4"]);
    refused(&["classify", &input, "--output", &out, "--pipeline", "sdds"], &["sdds", "any-size"]);
    refused(&["classify", &input, "--output", &out, "--carry", "z"], &["z"]);
    // A plan has said what its columns are.
    for flag in ["--features", "--concentrations", "--carry=z"] {
        refused(&["classify", "--plan", &out, flag], &["cannot be used with"]);
    }
    // What mosaics say of their pixels, nobody else does.
    for flag in ["--pixel-scale=0.4", "--flux-pixel=0.4"] {
        let sources = ["classify", "--sources", "s.csv", "--mosaics", "m.fits", "--output", &out];
        refused(&[&sources[..], &[flag]].concat(), &["leave --pixel-scale and --flux-pixel out"]);
    }
    // No machine has a hundred GPUs; what is missing differs.
    refused(
        &["classify", &input, "--output", &out, "--device", "cuda:0,cuda:99"],
        &["CUDA|driver|cuda:99"],
    );
    refused(&["classify", &input, "--output", &out, "--device", "cuda:1,cuda:1"], &["twice"]);
    refused(&["bench", "--device", "cuda:99"], &["CUDA|driver|cuda:99"]);
    assert!(!Path::new(&out).join("run.json").exists(), "nothing was begun");
}

#[test]
fn decisions_are_told_to_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(Path::new(&path("in")), 2, 1);
    let told = |flags: &[&str], name: &str| {
        let output = run([&["classify", &path("in"), "-q", "-o", &path(name)], flags].concat());
        assert_code(&output, 0);
        errors(&output)
    };
    assert_eq!(told(&[], "silent"), "");
    let once = told(&["-v", "--precision", "f32"], "once");
    assert!(once.contains("precision=\"f32\"") && once.contains("left=2"), "{once}");
    assert!(!once.contains("a part is in its place"), "{once}");
    let twice = told(&["-vv"], "twice");
    for words in ["a part is in its place", "labels.csv", "rows=2"] {
        assert!(twice.contains(words), "`{words}` is not in {twice}");
    }
}

#[test]
fn a_limit_of_the_shell_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(Path::new(&path("in")), 2, 1);
    // The stacks of so many threads are more than may be addressed.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -v 600000 && exec \"$@\"", "sh"]).arg(hiwl().get_program());
    shell.args(["classify", &path("in"), "--output", &path("out"), "--workers", "1000"]);
    let output = shell.env_remove("RUST_BACKTRACE").output().unwrap();
    assert_code(&output, 2);
    let errors = errors(&output);
    assert!(errors.contains("limited to 586 MiB (ulimit -v"), "{errors}");
    assert!(errors.contains("raise it, or take fewer --workers"), "{errors}");
    assert!(!errors.contains("defect"), "{errors}");
}

#[test]
fn bands_are_typed_in_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert_code(&run(["simulate", &path("in"), "-n", "2", "--format", "fits"]), 0);
    let (input, pattern) = (path("in"), ["--bands", "g", "r", "i"]);
    let mut found = Vec::new();
    for (name, flags) in [
        ("comma", &["--bands", "g,r,i"][..]),
        ("equals", &["--bands=g,r,i"]),
        ("apart", &pattern),
        ("other", &["--bands", "i,r,g"]),
    ] {
        // Before the inputs, which must not be taken for bands.
        let (classify, out) = (["classify"], path(name));
        let arguments = classify.iter().chain(flags).copied().chain([&*input, "--output", &out]);
        assert_code(&run(arguments), 0);
        found.push(rows(Path::new(&out)));
    }
    assert_eq!(found[0].len(), 2);
    assert!(found[0] == found[1] && found[0] == found[2]);
    assert_ne!(found[0], found[3], "the order of bands decides nothing");
}

#[cfg(not(feature = "cloud"))]
#[test]
fn a_url_as_output_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in").to_str().unwrap().to_owned();
    simulate(Path::new(&input), 2, 1);
    let words = ["s3://survey/out", "built without the feature `cloud`"];
    refused(&["classify", &input, "--output", "s3://survey/out"], &words);
    refused(&["plan", &input, "--shards", "2", "--output", "s3://survey/out"], &words);
    for command in ["verify", "status", "catalog"] {
        refused(&[command, "s3://survey/out"], &words);
    }
    refused(&["classify", &input, "--output", "https://host/out"], &["object store"]);
    // What has no folders there, or is written at the end, is refused at the beginning.
    for url in ["s3://survey/looks", "https://host/looks"] {
        refused(&["look", &input, "--output", url], &["a folder of this machine"]);
    }
    let labels = folder.path().join("in/labels.csv").to_str().unwrap().to_owned();
    refused(&["labels", &labels, "--output", "https://host/rows.csv"], &["of the web"]);
    refused(&["labels", &labels, "--output", "s3://survey/rows.csv"], &["feature `cloud`"]);
    assert!(!folder.path().join("s3:").exists() && !Path::new("s3:").exists());
}

#[test]
fn a_folder_that_holds_another_run_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(Path::new(&path("in")), 5, 1);
    assert_code(&run(["classify", &path("in"), "--output", &path("out")]), 0);
    let before = rows(Path::new(&path("out")));
    refused(
        &["classify", &path("in"), "--output", &path("out"), "--stage2", "all"],
        &["another run", "stage 2", "routed"],
    );
    simulate(Path::new(&path("in2")), 5, 2);
    refused(&["classify", &path("in2"), "--output", &path("out")], &["another run", "in2"]);
    assert_eq!(rows(Path::new(&path("out"))), before);
}

#[test]
fn a_bad_model_is_named_and_nothing_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(Path::new(&path("in")), 2, 1);
    let good = fs::read(fixture("models/untrained-nano.safetensors")).unwrap();
    fs::write(path("cut.safetensors"), &good[..good.len() / 2]).unwrap();
    fs::write(path("text.safetensors"), "not a model").unwrap();
    let mut nan = good.clone();
    let end = nan.len();
    // The last tensors are f32 vectors or f16 matrices; all ones is NaN in both.
    nan[end - 8..].fill(0xFF);
    fs::write(path("nan.safetensors"), nan).unwrap();
    for (model, words) in [
        ("cut.safetensors", "cut short"),
        ("text.safetensors", "text.safetensors"),
        ("nan.safetensors", "not finite"),
        ("gone.safetensors", "gone.safetensors"),
    ] {
        refused(
            &["classify", &path("in"), "--output", &path("out"), "--model", &path(model)],
            &[words],
        );
    }
    assert!(!Path::new(&path("out")).exists());
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    simulate(&input, 2, 1);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let output = hiwl().arg("classify").args([&input, Path::new("--output"), &file]).output();
    let output = output.unwrap();
    assert_code(&output, 64);
    assert!(errors(&output).contains("file"), "{}", errors(&output));
    // /proc takes no folders, not even root's.
    let output = run(["classify", input.to_str().unwrap(), "--output", "/proc/hiwl"]);
    assert!(matches!(output.status.code(), Some(2 | 64)), "{}", errors(&output));
    assert!(errors(&output).contains("/proc/hiwl"), "{}", errors(&output));
}

#[test]
fn help_teaches_and_the_manual_covers_every_command() {
    let help = run(["classify", "--help"]);
    assert_code(&help, 0);
    let help = String::from_utf8(help.stdout).unwrap();
    for word in ["--output", "--shard", "tar", "Examples"] {
        assert!(help.contains(word), "{word}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert_code(&run(["man", folder.path().to_str().unwrap()]), 0);
    for page in ["hiwl.1", "hiwl-classify.1", "hiwl-verify.1", "hiwl-simulate.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = run(["completions", shell]);
        assert_code(&script, 0);
        assert!(String::from_utf8(script.stdout).unwrap().contains("classify"));
    }
}

#[test]
fn an_untrained_model_is_told_and_json_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(Path::new(&path("in")), 5, 1);
    let output = run(["-v", "classify", &path("in"), "--output", &path("a")]);
    assert_code(&output, 0);
    let told = String::from_utf8(output.stdout).unwrap();
    for word in
        ["images/s", "starved", "bound by", "The model untrained-nano.safetensors is untrained"]
    {
        assert!(told.contains(word), "`{word}` is not in: {told}");
    }
    let place =
        |text: &str, word: &str| text.find(word).unwrap_or_else(|| panic!("{word}: {text}"));
    assert!(place(&told, "CRS") < place(&told, "starved"), "labels come first: {told}");
    // Without -v there are labels, the rate in a line and the warning, and no table of stages,
    // and standard error has no word of what was decided.
    let output = run(["classify", &path("in"), "--output", &path("plain")]);
    assert_code(&output, 0);
    let plain = String::from_utf8(output.stdout.clone()).unwrap();
    for word in ["starved", "blocked", "bound by"] {
        assert!(!plain.contains(word), "`{word}` is in: {plain}");
    }
    assert_eq!(plain.matches("images/s").count(), 1, "{plain}");
    assert_eq!(plain.matches("untrained: its labels mean nothing").count(), 1, "{plain}");
    for word in ["untrained", "images/s", "precision="] {
        assert!(!errors(&output).contains(word), "`{word}` is in: {}", errors(&output));
    }
    let output = run(["classify", &path("in"), "--output", &path("b"), "--json"]);
    assert_code(&output, 0);
    let events: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Notes of the listing, here of the table of labels beside the pictures, come behind.
    assert_eq!((&events[0]["event"], &events[0]["rows"]), (&"start".into(), &5.into()));
    assert_eq!(events[1]["event"], "note");
    assert!(events[1]["text"].as_str().unwrap().contains("labels.csv"), "{}", events[1]);
    assert_eq!(events.iter().filter(|event| event["event"] == "start").count(), 1);
    let end = events.last().unwrap();
    assert_eq!((end["event"].as_str(), end["rows"].as_u64()), (Some("end"), Some(5)));
    assert_eq!(end["model"]["untrained"], true);
    let quiet = run(["classify", &path("in"), "--output", &path("c"), "--quiet"]);
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{}", errors(&quiet));
    // A run that does not begin has no start, and its notes are told all the same.
    fs::create_dir(path("none")).unwrap();
    fs::write(path("none/labels.csv"), "id,label\n").unwrap();
    let output = run(["classify", &path("none"), "--output", &path("d"), "--json"]);
    assert_code(&output, 64);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("\"note\"") && told.contains("labels.csv"), "{told}");
    assert!(told.contains("none: no cutouts in it"), "{told}");
}

#[test]
fn a_program_that_waits_for_a_list_is_told_at_once_and_its_first_event_is_the_start() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(Path::new(&path("in")), 1, 1);
    let mut command = hiwl();
    command.args(["classify", "-", "--output", &path("out"), "--json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    // It says so before anything is given to it.
    let mut said = String::new();
    errors.read_line(&mut said).unwrap();
    assert!(said.contains("standard input"), "{said}");
    let picture = fs::read_dir(path("in")).unwrap().map(|entry| entry.unwrap().path());
    let picture = picture.into_iter().find(|path| path.extension().is_some_and(|e| e == "jpg"));
    writeln!(child.stdin.take().unwrap(), "{}", picture.unwrap().display()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    let first: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(first, serde_json::json!({"event": "start", "rows": 1}));
}

#[test]
fn quiet_says_in_a_line_why_rows_have_no_label() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    simulate(Path::new(&path("in")), 3, 1);
    // Six bytes are no bzip2, however they are named; neither is text an image.
    fs::write(path("in/frame.fits.bz2"), b"BZh9xx").unwrap();
    fs::write(path("in/zz.jpg"), b"<html>not found</html>").unwrap();
    let quiet = ["classify", &path("in"), "--output", &path("a"), "--quiet"];
    let line = |output: &std::process::Output| {
        assert!(output.stdout.is_empty());
        let told = errors(output);
        assert_eq!(told.lines().count(), 1, "{told}");
        told
    };
    let first = run(quiet);
    assert_code(&first, 1);
    let told = line(&first);
    for words in ["2 of 5 rows were rejected (", "1 not_an_image", "), such as "] {
        assert!(told.contains(words), "`{words}` is not in: {told}");
    }
    assert!(told.contains("frame.fits.bz2: ") || told.contains("zz.jpg: "), "{told}");
    // With nothing left to do the catalog tells it.
    let again = run(quiet);
    assert_code(&again, 1);
    assert_eq!(line(&again), told);
    // Whoever allows it is told nothing.
    let allowed = run([&quiet[..], &["--allow-rejected"]].concat());
    assert_code(&allowed, 0);
    assert!(allowed.stderr.is_empty(), "{}", errors(&allowed));
}
