//! `THIRD-PARTY.txt`, which goes with the program, names every crate of
//! `Cargo.lock`, and none is in the program whose licence asks for more than to be
//! named. The file is made by `.ci/notices.py`.

use std::collections::BTreeSet;

/// Licences that the program may take up: they ask that they be passed on.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "IJG",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// Whether an SPDX expression can be met with the licences that are allowed.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = any(&mut words);
    assert_eq!(words.next(), None, "{expression}");
    allowed
}

type Words<'a, 'b> = &'a mut std::iter::Peekable<std::str::SplitWhitespace<'b>>;

fn any(words: Words<'_, '_>) -> bool {
    let mut allowed = all(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all(words);
    }
    allowed
}

fn all(words: Words<'_, '_>) -> bool {
    let mut allowed = one(words);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words);
    }
    allowed
}

fn one(words: Words<'_, '_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let allowed = any(words);
        assert_eq!(words.next(), Some(")"));
        return allowed;
    }
    let allowed = ALLOWED.contains(&words.next().expect("a licence"));
    // An exception permits more.
    if words.next_if_eq(&"WITH").is_some() {
        words.next().expect("an exception");
    }
    allowed
}

#[test]
fn every_crate_is_named_with_a_licence_that_is_allowed() {
    let page = include_str!("../../THIRD-PARTY.txt");
    let rule = "=".repeat(78);
    let mut blocks = page.split(&rule);
    let mut after = |title: &str| {
        blocks.by_ref().find(|block| block.trim() == title).expect("a title");
        blocks.next().expect("its list").trim().lines()
    };
    let mut named = BTreeSet::new();
    let mut wrong = Vec::new();
    for line in after("In the program") {
        let (name, licence) = line.split_once(": ").expect("a crate and its licence");
        named.insert(name);
        if !is_allowed(licence) {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(named.len() > 200, "{}", named.len());
    for line in after("Only built or tested with, or on other systems") {
        assert!(named.insert(line), "{line} is named twice");
    }

    let lock = include_str!("../../Cargo.lock");
    let packages = lock.split("[[package]]").skip(1).map(|package| {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.expect("name and version").trim_matches('"')
        };
        format!("{} {}", value("name = "), value("version = "))
    });
    let own = ["hiwl ", "hiwl-kernels ", "hiwl-python "];
    let locked: BTreeSet<String> =
        packages.filter(|package| !own.iter().any(|own| package.starts_with(own))).collect();
    let named: BTreeSet<String> = named.into_iter().map(str::to_owned).collect();
    let differ: Vec<&String> = named.symmetric_difference(&locked).collect();
    assert!(differ.is_empty(), "run .ci/notices.py: {differ:?}");
}

#[test]
fn expressions_are_understood() {
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-2.0-or-later OR MIT", true),
        ("GPL-2.0-or-later AND MIT", false),
        ("(MIT OR Apache-2.0) AND IJG", true),
        ("(GPL-3.0-only OR LGPL-3.0-only) AND MIT", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0-only", true),
    ] {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}

#[test]
fn the_program_prints_the_notices() {
    let output = crate::util::command::run(["licenses"]);
    crate::util::command::assert_code(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for words in ["Permission is hereby granted", "cfitsio", "Independent JPEG Group", "bzip2"] {
        assert!(text.contains(words), "{words}");
    }
    assert_eq!(text, include_str!("../../THIRD-PARTY.txt"));
}
