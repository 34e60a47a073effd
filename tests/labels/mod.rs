//! Labels from the real vote tables, against the paper and against pandas.

use std::collections::BTreeMap;
use std::path::Path;

use hiwl::labels::clean::{CleanSample, Rules};
use hiwl::labels::grammar::Wanted;
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

/// A table, or why it is none.
fn open(path: &Path, id: Option<&str>) -> Result<VoteTable, LabelError> {
    VoteTable::open(path, None, id, &Wanted::default())
}

/// Every published table: rows, what is known of every answer, and the galaxies of
/// each class, against pandas and astropy, which read them by themselves.
#[test]
fn every_published_table_is_as_pandas_and_astropy_read_it() {
    let Some(data) = real_data() else { return };
    let theirs = oracle("vote_tables.py", &[data.to_str().unwrap()]);
    let theirs: BTreeMap<String, serde_json::Value> = serde_json::from_str(&theirs).unwrap();
    assert_eq!(theirs.len(), 14);
    let folder = tempfile::tempdir().unwrap();
    for (file, theirs) in theirs {
        let id = file.contains("debiased15089").then_some("row_in_merged");
        let mut path = data.join(&file);
        if file.contains("gz1/") {
            // Galaxies that stand there twice are refused; here the first counts.
            let text = std::fs::read_to_string(&path).unwrap();
            let mut seen = std::collections::BTreeSet::new();
            let lines =
                text.lines().filter(|l| seen.insert(l.split(',').next().unwrap().to_owned()));
            path = folder.path().join("gz1.csv");
            std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
        }
        let votes = open(&path, id).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(votes.ids.len(), theirs["rows"].as_u64().unwrap() as usize, "{file}");
        if let Some(theirs) = theirs.get("votes") {
            let counts = votes.counts.as_ref().unwrap();
            for (place, answer) in votes.schema.answers().iter().enumerate() {
                let sum: f32 = counts.iter().skip(place).step_by(votes.answers()).sum();
                assert_eq!(f64::from(sum), theirs[answer].as_f64().unwrap(), "{file}: {answer}");
            }
            continue;
        }
        for (place, column) in votes.schema.columns.iter().enumerate() {
            let of = || votes.fractions.iter().skip(place).step_by(votes.answers());
            let known = of().filter(|v| !v.is_nan()).count();
            let sum: f64 = of().filter(|v| !v.is_nan()).sum();
            let expected = theirs["answers"].get(column);
            let expected = expected.unwrap_or_else(|| panic!("{file}: {column} is not theirs"));
            assert_eq!(known as u64, expected[0].as_u64().unwrap(), "{file}: {column}");
            let difference = (sum - expected[1].as_f64().unwrap()).abs();
            assert!(difference < 1e-3 + 1e-6 * sum, "{file}: {column}: {sum} {}", expected[1]);
        }
        if let Some(classes) = theirs["classes"].as_object() {
            let sample = Rules::paper().unwrap().apply(&votes).unwrap();
            for (label, of) in sample.table.classes.iter().zip(counts(&sample)) {
                assert_eq!(of as u64, classes[label].as_u64().unwrap(), "{file}: {label}");
            }
        }
    }
}

#[test]
fn the_671_galaxies_of_kaggle_keep_336_with_their_labels() {
    let Some(data) = real_data() else { return };
    let sample = clean(&data.join("votes/training_solutions_rev1-671.csv"));
    assert_eq!(sample.table.rows.len(), 336);
    let labels = data.join("galaxies/labels.csv");
    let labels = LabelTable::read(&labels, None, LabelColumns::default()).unwrap();
    let known: BTreeMap<&str, &str> =
        labels.rows.iter().map(|r| (&*r.id, &*labels.classes[r.class])).collect();
    for row in &sample.table.rows {
        assert_eq!(known[&*row.id], sample.table.classes[row.class], "{}", row.id);
    }
}

/// Tables without votes, or without enough of them, are refused for what they are.
#[test]
fn what_holds_no_votes_is_refused_for_its_own_reason() {
    let Some(data) = real_data() else { return };
    let labels = data.join("labels");
    let cases = [
        ("gz_candels/gz_candels_table_5_smooth_disks.fits", Some("ID"), "one answer, smooth"),
        ("gz_hubble/column_descriptions_main.tsv", None, "neither a column `label`"),
        ("gz2_hart16/gz2_filename_mapping.csv", None, "neither a column `label`"),
        ("panoptes_classification_export/cat-project-subjects.csv", None, "neither a column"),
        ("panoptes_classification_export/wf_export.csv", None, "neither a column"),
        (
            "panoptes_classification_export/cat-project-classifications.csv",
            None,
            "no task has two answers",
        ),
        // Galaxies that stand there twice, with different votes.
        ("gz1/zooNoSpec_edge_2067.csv", None, "row 600: id 1237652598486270456 was there"),
        ("gz1/zooNoSpec_combined_10k.csv", None, "row 5189: id 1237661418210197774 was there"),
    ];
    for (file, id, words) in cases {
        match open(&labels.join(file), id) {
            Ok(votes) => panic!("{file}: {} rows", votes.ids.len()),
            Err(error) => {
                assert!(error.to_string().contains(words), "{error}")
            }
        }
    }
}
