//! Labels from the real vote tables, against the paper and against pandas.

use std::collections::BTreeMap;
use std::path::Path;

use hiwl::labels::clean::{CleanSample, Rules};
use hiwl::labels::schema::VoteSchema;
use hiwl::labels::votes::VoteTable;
use hiwl::labels::{LabelColumns, LabelError, LabelTable, Split};

use crate::util::{python::oracle, real_data};

fn counts(sample: &CleanSample) -> [usize; 5] {
    let counts = sample.table.counts();
    [0, 1, 2, 3, 4].map(|class| counts.of_class(class))
}

fn clean(path: &Path) -> CleanSample {
    let schema = VoteTable::known_schema(path, None).unwrap();
    let votes = VoteTable::read(path, schema).unwrap();
    Rules::paper().unwrap().apply(&votes).unwrap()
}

#[test]
fn the_papers_rules_on_kaggles_votes() {
    let Some(data) = real_data() else { return };
    let sample = clean(&data.join("votes/training_solutions_rev1-sample.csv"));
    assert_eq!(counts(&sample), [14, 12, 1, 2, 12]);
    assert_eq!((sample.table.rows.len(), sample.unclear, sample.ambiguous.len()), (41, 29, 0));
}

/// Galaxy Zoo 2's conditional fractions, multiplied down by pandas.
#[test]
fn the_papers_rules_on_galaxy_zoo_2s_votes() {
    let Some(data) = real_data() else { return };
    let path = data.join("votes/gz2_willett2013_stripe82coadd_table5.csv.gz");
    let sample = clean(&path);
    let ours: BTreeMap<String, String> = sample
        .table
        .rows
        .iter()
        .map(|row| (row.id.clone(), sample.table.classes[row.class].clone()))
        .collect();
    let theirs = oracle("clean_gz2.py", &[path.to_str().unwrap()]);
    let theirs: BTreeMap<String, String> = serde_json::from_str(&theirs).unwrap();
    assert!(ours.len() > 1000, "{}", ours.len());
    assert_eq!(ours, theirs);
    assert_eq!(ours.len() + sample.unclear + sample.ambiguous.len(), 19_761);
}

/// The trap: the same thresholds on fractions of the other kind.
#[test]
fn the_wrong_semantics_are_found_out() {
    let Some(data) = real_data() else { return };
    let cases = [
        ("votes-kaggle", "training_solutions_rev1-sample.csv"),
        ("votes-gz2", "gz2_willett2013_stripe82coadd_table5.csv.gz"),
    ];
    for (name, file) in cases {
        let mut schema = VoteSchema::read(Path::new(name)).unwrap();
        use hiwl::labels::schema::Semantics::{Conditional, Cumulative};
        schema.semantics = if schema.semantics == Cumulative { Conditional } else { Cumulative };
        let error = VoteTable::read(&data.join("votes").join(file), schema).unwrap_err();
        assert!(matches!(error, LabelError::Semantics { .. }), "{error}");
    }
}

#[test]
fn a_label_table_of_the_training_images() {
    let Some(data) = real_data() else { return };
    let classes = ["CRS", "IBS", "CSS", "EO", "SPI"];
    let table = LabelTable::read(
        &data.join("galaxies/labels.csv"),
        Some(&classes),
        LabelColumns::default(),
    )
    .unwrap();
    assert!(table.is_split());
    let counts = table.counts();
    let of = |split| [0, 1, 2, 3, 4].map(|class| counts.get(class, Some(split)));
    assert_eq!(of(Split::Train), [6749, 6455, 463, 3122, 6245]);
    assert_eq!(of(Split::Val), [843, 807, 58, 390, 780]);
}
