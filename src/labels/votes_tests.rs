use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A table of `schema` with one row a galaxy: the fractions of some answers,
/// 0 for the others.
fn table(schema: &VoteSchema, galaxies: &[&[(&str, f64)]]) -> (TempDir, PathBuf) {
    let columns: Vec<(String, String)> =
        schema.answers().into_iter().zip(schema.columns.clone()).collect();
    let names: Vec<&str> = columns.iter().map(|(_, c)| c.as_str()).collect();
    let mut text = format!("{},{}\n", schema.id[0], names.join(","));
    for (id, votes) in galaxies.iter().enumerate() {
        text.push_str(&id.to_string());
        for (answer, _) in &columns {
            let value = votes.iter().find(|(a, _)| a == answer).map_or(0.0, |(_, v)| *v);
            text.push_str(&format!(",{value}"));
        }
        text.push('\n');
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("votes.csv");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn schema(name: &str) -> VoteSchema {
    VoteSchema::read(Path::new(name)).unwrap()
}

const CUMULATIVE: &[(&str, f64)] = &[
    ("smooth-or-featured/smooth", 0.6),
    ("smooth-or-featured/featured-or-disk", 0.4),
    ("how-rounded/round", 0.15),
    ("how-rounded/cigar-shaped", 0.45),
    ("disk-edge-on/no", 0.4),
    ("bar/no", 0.4),
    ("has-spiral-arms/yes", 0.1),
    ("has-spiral-arms/no", 0.3),
];

const CONDITIONAL: &[(&str, f64)] = &[
    ("smooth-or-featured/smooth", 0.6),
    ("smooth-or-featured/featured-or-disk", 0.4),
    ("how-rounded/round", 0.25),
    ("how-rounded/cigar-shaped", 0.75),
    ("disk-edge-on/no", 1.0),
    ("bar/no", 1.0),
    ("has-spiral-arms/yes", 0.25),
    ("has-spiral-arms/no", 0.75),
];

#[test]
fn both_semantics_become_the_same_fractions() {
    let (_a, cumulative) = table(&schema("votes-kaggle"), &[CUMULATIVE]);
    let (_b, conditional) = table(&schema("votes-gz2"), &[CONDITIONAL]);
    assert_eq!(VoteTable::known_schema(&cumulative, None).unwrap().name, "votes-kaggle");
    assert_eq!(VoteTable::known_schema(&conditional, None).unwrap().name, "votes-gz2");
    let a = VoteTable::read(&cumulative, schema("votes-kaggle")).unwrap();
    let b = VoteTable::read(&conditional, schema("votes-gz2")).unwrap();
    for ((a, b), answer) in a.fractions.iter().zip(&b.fractions).zip(a.schema.answers()) {
        let same = (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan());
        assert!(same, "{answer}: {a} and {b}");
    }
}

#[test]
fn a_table_that_contradicts_its_schema_is_refused() {
    let many = |galaxy| vec![galaxy; 10];
    let (_a, path) = table(&schema("votes-kaggle"), &many(CONDITIONAL));
    let error = VoteTable::read(&path, schema("votes-kaggle")).unwrap_err();
    assert!(
        matches!(error, LabelError::Semantics { claimed: Semantics::Cumulative, .. }),
        "{error}"
    );
    let (_b, path) = table(&schema("votes-gz2"), &many(CUMULATIVE));
    let error = VoteTable::read(&path, schema("votes-gz2")).unwrap_err();
    assert!(
        matches!(error, LabelError::Semantics { claimed: Semantics::Conditional, .. }),
        "{error}"
    );
    // A handful tells nothing.
    let (_c, path) = table(&schema("votes-gz2"), &[CUMULATIVE]);
    assert!(VoteTable::read(&path, schema("votes-gz2")).is_ok());
}

/// Which way a table that names no semantics is, by many rows; between the two it
/// is refused.
#[test]
fn semantics_are_told_from_many_rows() {
    let named = schema("votes-gz2");
    let names: Vec<String> =
        named.columns.iter().map(|c| c.replace("_debiased", "_fraction")).collect();
    let read = |galaxies: &[&[(&str, f64)]]| {
        let (_folder, path) = table(&named, galaxies);
        let mut text = fs::read_to_string(&path).unwrap();
        for (old, new) in named.columns.iter().zip(&names) {
            text = text.replace(old, new);
        }
        fs::write(&path, text).unwrap();
        let schema = VoteTable::known_schema(&path, None).unwrap();
        assert!(schema.assumed && schema.title.contains("galaxy-zoo-2"), "{}", schema.title);
        VoteTable::read(&path, schema)
    };
    let found = read(&[CUMULATIVE; 10]).unwrap();
    assert_eq!(found.schema.semantics, Semantics::Cumulative);
    assert!(found.told.contains("100.0 % of"), "{}", found.told);
    let found = read(&[CONDITIONAL; 10]).unwrap();
    assert_eq!(found.schema.semantics, Semantics::Conditional);
    let few = read(&[CUMULATIVE]).unwrap();
    assert!(few.told.contains("too few"), "{}", few.told);
    let both = [[CUMULATIVE; 10], [CONDITIONAL; 10]].concat();
    let error = read(&both).unwrap_err();
    assert!(matches!(error, LabelError::Unclear { .. }), "{error}");
}

#[test]
fn what_nobody_was_asked_is_not_known() {
    let named = schema("votes-gz2");
    let disk = ("smooth-or-featured/featured-or-disk", 0.4);
    let (_folder, path) = table(&named, &[&[("smooth-or-featured/smooth", 0.6), disk]]);
    let zeros = fs::read_to_string(&path).unwrap();
    for missing in ["0", "", "NaN", "null"] {
        // All but id and the three answers of the first question.
        let (head, row) = zeros.trim_end().rsplit_once('\n').unwrap();
        let mut cells: Vec<&str> = row.split(',').collect();
        cells[4..].fill(missing);
        fs::write(&path, format!("{head}\n{}\n", cells.join(","))).unwrap();
        let table = VoteTable::read(&path, named.clone()).unwrap();
        let tree = &table.schema.tree;
        let edge_on = tree.answer("disk-edge-on/yes").unwrap();
        let spiral = tree.answer("has-spiral-arms/yes").unwrap();
        assert!(
            table.fractions[edge_on].is_nan() && table.fractions[spiral].is_nan(),
            "{missing:?}"
        );
        assert!(table.fractions(0, Semantics::Conditional)[edge_on].is_nan());
        assert_eq!(table.fractions[0], 0.6);
    }
    // Where nobody was on the way, it is 0 of everybody.
    let (_folder, path) = table(&named, &[&[("smooth-or-featured/smooth", 1.0)]]);
    let table = VoteTable::read(&path, named).unwrap();
    let spiral = table.schema.tree.answer("has-spiral-arms/yes").unwrap();
    assert_eq!(table.fractions[spiral], 0.0);
}

#[test]
fn votes_that_are_no_fractions_are_named() {
    let schema = schema("votes-kaggle");
    let (_folder, path) = table(&schema, &[CUMULATIVE, CUMULATIVE]);
    let good = fs::read_to_string(&path).unwrap();
    for bad in ["inf", "-0.6", "60", "many"] {
        let (head, last) = good.rsplit_once("\n1,0.6,").unwrap();
        fs::write(&path, format!("{head}\n1,{bad},{last}")).unwrap();
        let error = VoteTable::read(&path, schema.clone()).unwrap_err().to_string();
        let expected = format!("row 2 (id 1): Class1.1 is {bad:?}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn a_table_without_a_column_is_refused() {
    let schema = schema("votes-kaggle");
    let (_folder, path) = table(&schema, &[CUMULATIVE]);
    let text = fs::read_to_string(&path).unwrap().replace("Class7.3", "Class7.4");
    fs::write(&path, text).unwrap();
    let error = VoteTable::read(&path, schema).unwrap_err().to_string();
    assert!(error.contains("no column Class7.3"), "{error}");
    let error = VoteTable::known_schema(&path, None).unwrap_err().to_string();
    assert!(error.contains("votes-kaggle, votes-gz2"), "{error}");
}
