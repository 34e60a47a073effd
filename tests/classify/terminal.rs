//! Names that would act on a terminal are shown, and stay in the catalog.

use std::fs;
use std::path::Path;

use crate::util::catalog::column;
use crate::util::command::{assert_code, errors, run, simulate};

/// The title of the window, red, a bell, a carriage return, C1's CSI, and a text
/// turned around.
const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{1b}[31mred\rover\u{9b}2J\u{202e}gpj";

/// Asserts that nothing that was printed acts.
#[track_caller]
fn harmless(output: &std::process::Output) {
    for printed in [&output.stdout, &output.stderr] {
        let text = String::from_utf8(printed.clone()).unwrap();
        let acts = |c: &char| {
            (c.is_control() && !matches!(c, '\n' | '\t')) || ('\u{202a}'..='\u{202e}').contains(c)
        };
        assert_eq!(text.chars().find(acts), None, "{text:?}");
    }
}

#[test]
fn hostile_names_are_shown_escaped_and_kept_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (made, input, output) =
        (at("made"), at(&format!("in{HOSTILE}")), at(&format!("o{HOSTILE}")));
    simulate(Path::new(&made), 1, 3);
    let image = fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().path());
    let image = image.filter(|path| path.extension().is_some_and(|e| e == "jpg")).min().unwrap();
    fs::create_dir(&input).unwrap();
    fs::copy(image, Path::new(&input).join(format!("{HOSTILE}.jpg"))).unwrap();
    fs::write(Path::new(&input).join(format!("bad{HOSTILE}.jpg")), "no image").unwrap();
    fs::write(Path::new(&input).join(format!("{HOSTILE}.tar")), "no archive at all").unwrap();

    for flags in [&["-vv"][..], &["--json"]] {
        let told = run([&["classify", &input, "-o", &output][..], flags].concat());
        assert_code(&told, 1);
        harmless(&told);
        let _ = fs::remove_dir_all(at("kept"));
        fs::rename(&output, at("kept")).unwrap();
    }
    fs::rename(at("kept"), &output).unwrap();
    let mut ids = column(Path::new(&output), "id");
    ids.sort();
    assert_eq!(ids, [HOSTILE.to_owned(), format!("bad{HOSTILE}")]);
    for command in [
        &["verify"][..],
        &["verify", "--json"],
        &["status"],
        &["catalog"],
        &["catalog", "--sample", "2"],
        &["catalog", "--sample", "2", "--json"],
    ] {
        harmless(&run([command, &[&output]].concat()));
    }
    let rows = run(["catalog", "--sample", "2", "--json", &output]);
    let rows: serde_json::Value = serde_json::from_slice(&rows.stdout).unwrap();
    let ids: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&HOSTILE), "JSON means what it meant: {ids:?}");

    // Errors that quote what was named: paths, columns, classes, conditions.
    let table = at("t.csv");
    fs::write(&table, format!("id,{HOSTILE}\n1,2\n")).unwrap();
    let labels = at("labels.csv");
    fs::write(&labels, format!("id,label\n1,\"{HOSTILE}\"\n")).unwrap();
    for arguments in [
        &["classify", &at(HOSTILE), "-o", &at("x")][..],
        &["classify", &table, "-o", &at("x")],
        &["classify", &input, "-o", &at("x"), "--pipeline", HOSTILE],
        &["classify", &input, "-o", &at("x"), "--batch", HOSTILE],
        &["evaluate", &input, "--labels", &labels],
        &["export", &output, "--to", "csv", "-o", &at("y"), "--where", HOSTILE],
        &["model", "info", &at(HOSTILE)],
    ] {
        let told = run(arguments);
        assert_code(&told, 64);
        harmless(&told);
        // clap leaves whole escape sequences out of the values that it quotes.
        let shows = |escape: &str| errors(&told).contains(escape);
        assert!(shows("\\u{1b}") || shows("\\u{202e}"), "{arguments:?}: {}", errors(&told));
    }
}

#[test]
fn passwords_of_urls_are_neither_kept_nor_printed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let url = "https://me:WORD@host/a.jpg";
    simulate(Path::new(&at("in")), 1, 3);
    for arguments in [
        &["classify", url, "-o", &at("x")][..],
        &["classify", "https://host/a.jpg?X-Amz-Signature=WORD", "-o", &at("x")],
        &["classify", &at("in"), "-o", "https://me:WORD@host/out"],
        &["verify", "s3://KEY:WORD@bucket/run"],
    ] {
        let told = run(arguments);
        assert_code(&told, 64);
        assert!(!errors(&told).contains("WORD"), "{}", errors(&told));
        assert!(errors(&told).contains("***"), "{}", errors(&told));
    }
    assert!(!Path::new(&at("x")).join("run.json").exists());

    let (table, output) = (at("t.csv"), at("run"));
    fs::write(&table, format!("id,path\n1,{url}\n2,https://host/b.jpg?sig=WORD\n")).unwrap();
    let told = run(["classify", &table, "-o", &output]);
    assert_code(&told, 1);
    assert!(!errors(&told).contains("WORD"));
    assert_eq!(column(Path::new(&output), "status"), ["unsupported", "unsupported"]);
    assert!(column(Path::new(&output), "error")[0].contains("credentials"));
    let mut left = vec![Path::new(&output).to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = fs::read(&path).unwrap();
            let kept = bytes.windows(4).any(|word| word == b"WORD");
            assert!(!kept, "{}", path.display());
        }
    }
}
