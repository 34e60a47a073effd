//! Imports point down the floors of `docs/design.md`.
//!
//! The page's list is the rule and is read from there; what `src/` imports is
//! read from its text, tests left out. A room that the page does not name, and
//! one that it names and that is not there, fail too, so that page and program
//! are one.

mod licences;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates that only the command line may use.
const OF_THE_COMMAND_LINE: [&str; 4] = ["anyhow", "clap", "clap_complete", "indicatif"];

/// Units of their own, whose `crate` is not this one.
const OTHER_CRATES: [&str; 2] = ["src/engine/fused/kernels/", "src/python/"];

/// The rooms, from the ground up: the first words of the lines of the first
/// block of code below "The floors".
fn floors(page: &str) -> Vec<String> {
    let (_, below) = page.split_once("\n## The floors\n").expect("the page has the floors");
    let (_, block) = below.split_once("```text\n").expect("a block of code");
    let (block, _) = block.split_once("```").expect("its end");
    let names = block.lines().filter(|line| !line.starts_with(' '));
    names.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// The text of a file without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let end =
        text.find("#[cfg(test)]\nmod ").or_else(|| text.find("#[cfg(test)]\npub(crate) mod "));
    let lines = text[..end.unwrap_or(text.len())].lines();
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The rooms that some code names as `crate::room` or `crate::{room, …}`.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.trim_start().strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        // The first word of each item of the outermost braces.
        let (mut depth, mut begins) = (0, true);
        for (at, c) in group.char_indices() {
            if begins && !c.is_whitespace() {
                found.insert(word(&group[at..]));
                begins = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

/// The room of a file, such as `storage` of `src/storage/lock.rs`.
fn room(file: &str) -> &str {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    inside.split('/').next().map_or(inside, |first| first.trim_end_matches(".rs"))
}

/// What is wrong with what `file`, whose text is `text`, imports.
fn wrongs(floors: &[String], file: &str, text: &str) -> Vec<String> {
    let place = |name: &str| floors.iter().position(|floor| floor == name);
    let (code, here) = (code(text), room(file));
    let mut wrong: Vec<String> = imports(&code)
        .into_iter()
        .filter(|to| to != here)
        .filter(|to| match (place(here), place(to)) {
            (Some(here), Some(to)) => to >= here,
            // An item of lib.rs itself, or a room that no floor has.
            _ => true,
        })
        .map(|to| format!("{file} -> {to}"))
        .collect();
    if here != "cli" {
        let used = |name: &&&str| code.contains(&format!("{name}::"));
        let names = OF_THE_COMMAND_LINE.iter().filter(used);
        wrong.extend(names.map(|name| format!("{file} -> {name}, which only src/cli may use")));
    }
    wrong
}

fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.contains("/tests/")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is there") {
        let path = entry.expect("src is read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn page() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/design.md");
    floors(&fs::read_to_string(page).expect("docs/design.md"))
}

#[test]
fn imports_point_down_the_floors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (floors, mut files) = (page(), Vec::new());
    sources(&root.join("src"), &mut files);
    assert!(files.len() > 100, "{} files", files.len());

    let (mut wrong, mut rooms) = (Vec::new(), BTreeSet::new());
    for path in files {
        let file = path.strip_prefix(root).expect("below it").display().to_string();
        if ["src/lib.rs", "src/main.rs"].contains(&file.as_str())
            || OTHER_CRATES.iter().any(|other| file.starts_with(other))
        {
            continue;
        }
        rooms.insert(room(&file).to_owned());
        if !is_test(&file) {
            wrong.extend(wrongs(&floors, &file, &fs::read_to_string(&path).expect("a file")));
        }
    }
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
    assert_eq!(rooms, floors.into_iter().collect(), "rooms of src/, and floors of the page");
}

#[test]
fn a_forbidden_import_is_seen_however_it_is_written() {
    let floors = page();
    let seen = |file: &str, text: &str| wrongs(&floors, file, text);
    for text in [
        "use crate::cli::terminal::format;",
        "use crate::{\n    cli::{self, terminal::{format, bars}},\n    storage::lock,\n};",
        "use crate::{storage::{lock, file}, cli};",
        "fn f() { crate::cli::main() }",
    ] {
        assert_eq!(seen("src/storage/lock.rs", text), ["src/storage/lock.rs -> cli"], "{text}");
    }
    assert_eq!(seen("src/events.rs", "use crate::catalog::Row;"), ["src/events.rs -> catalog"]);
    assert_eq!(seen("src/run/folder.rs", "use crate::nowhere;"), ["src/run/folder.rs -> nowhere"]);
    assert_eq!(seen("src/nowhere/x.rs", "use crate::storage;"), ["src/nowhere/x.rs -> storage"]);
    assert!(seen("src/model/x.rs", "#[derive(clap::ValueEnum)]")[0].contains("clap"));

    for (file, text) in [
        ("src/cli/verify.rs", "use crate::{catalog::{self, Damage}, run};\nuse clap::Args;"),
        ("src/catalog/part.rs", "use crate::run::RunFolder;\nuse crate::catalog::row;"),
        ("src/storage/lock.rs", "// use crate::cli;\n/// [`crate::cli`]\nstruct Lock;"),
        ("src/storage/lock.rs", "struct A;\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}"),
        ("src/storage/lock.rs", "use other_crate::cli;"),
    ] {
        assert!(seen(file, text).is_empty(), "{file}: {text}");
    }
}
