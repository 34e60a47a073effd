use super::*;

/// A vote table with cumulative fractions of some answers.
fn votes(galaxies: &[(&str, &[(&str, f64)])]) -> VoteTable {
    let schema = VoteSchema::read(Path::new("votes-kaggle")).unwrap();
    let answers = schema.answers();
    let mut fractions = Vec::new();
    for (_, given) in galaxies {
        for (name, _) in *given {
            assert!(answers.iter().any(|a| a == name), "{name}");
        }
        fractions.extend(
            answers.iter().map(|a| given.iter().find(|(n, _)| n == a).map_or(0.0, |(_, v)| *v)),
        );
    }
    let ids = galaxies.iter().map(|(id, _)| (*id).into()).collect();
    VoteTable { schema, ids, fractions, counts: None, told: String::new() }
}

fn labels(sample: &CleanSample) -> Vec<(&str, &str)> {
    let label = |row: &Labelled| sample.table.classes[row.class].clone();
    sample
        .table
        .rows
        .iter()
        .map(|row| {
            let known = ["CRS", "IBS", "CSS", "EO", "SPI"];
            (row.id.as_str(), *known.iter().find(|k| **k == label(row)).unwrap())
        })
        .collect()
}

const SMOOTH: &str = "smooth-or-featured/smooth";
const DISK: &str = "smooth-or-featured/featured-or-disk";

#[test]
fn the_papers_rules_by_hand() {
    let votes = votes(&[
        ("crs", &[(SMOOTH, 0.9), ("how-rounded/round", 0.51)]),
        ("ibs", &[(SMOOTH, 0.9), ("how-rounded/in-between", 0.51)]),
        ("css", &[(SMOOTH, 0.9), ("how-rounded/cigar-shaped", 0.51)]),
        ("eo", &[(DISK, 0.9), ("disk-edge-on/yes", 0.603)]),
        ("spi", &[(DISK, 0.9), ("disk-edge-on/no", 0.716), ("has-spiral-arms/yes", 0.62)]),
        ("none", &[(DISK, 0.9), ("disk-edge-on/no", 0.716), ("has-spiral-arms/yes", 0.6)]),
    ]);
    let sample = Rules::paper().unwrap().apply(&votes).unwrap();
    let expected = [("crs", "CRS"), ("ibs", "IBS"), ("css", "CSS"), ("eo", "EO"), ("spi", "SPI")];
    assert_eq!(labels(&sample), expected);
    assert_eq!((sample.unclear, sample.ambiguous.len()), (1, 0));
}

#[test]
fn thresholds_are_strict() {
    let votes = votes(&[
        ("at", &[(SMOOTH, 0.9), ("how-rounded/round", 0.5)]),
        ("above", &[(SMOOTH, 0.9), ("how-rounded/round", 0.5000001)]),
        ("first at", &[(DISK, 0.430), ("disk-edge-on/yes", 0.7)]),
    ]);
    let sample = Rules::paper().unwrap().apply(&votes).unwrap();
    assert_eq!(labels(&sample), [("above", "CRS")]);
}

#[test]
fn a_galaxy_that_meets_two_rules_is_left_out_and_listed() {
    let text = PAPER.replace("above = 0.50", "above = 0.30");
    let rules = Rules::parse(&text, Path::new("own.toml")).unwrap();
    let both: &[(&str, f64)] =
        &[(SMOOTH, 0.8), ("how-rounded/round", 0.4), ("how-rounded/in-between", 0.4)];
    let sample = rules.apply(&votes(&[("both", both)])).unwrap();
    assert!(sample.table.rows.is_empty());
    assert_eq!(sample.ambiguous, [("both".into(), vec!["CRS".into(), "IBS".into()])]);
}

#[test]
fn rules_for_conditional_fractions_see_conditional_fractions() {
    let text = PAPER.replace("semantics = \"cumulative\"", "semantics = \"conditional\"");
    let rules = Rules::parse(&text, Path::new("own.toml")).unwrap();
    // 0.3 of everybody, 0.6 of those who were asked.
    let votes = votes(&[("round", &[(SMOOTH, 0.5), ("how-rounded/round", 0.3)])]);
    assert_eq!(labels(&rules.apply(&votes).unwrap()), [("round", "CRS")]);
    assert!(Rules::paper().unwrap().apply(&votes).unwrap().table.rows.is_empty());
}

#[test]
fn rules_are_checked() {
    let cases = [
        (PAPER.replace("above = 0.430", "above = 1.0"), "no fraction is above 1"),
        (PAPER.replace("\"IBS\"", "\"CRS\""), "CRS is there twice"),
        (PAPER.replace("above = 0.430", "over = 0.430"), "over"),
    ];
    for (text, phrase) in cases {
        let error = Rules::parse(&text, Path::new("own.toml")).unwrap_err().to_string();
        assert!(error.contains(phrase), "{error}");
    }
    let text = PAPER.replace("\"cigar-shaped\"", "\"cigar\"");
    let rules = Rules::parse(&text, Path::new("own.toml")).unwrap();
    let error = rules.apply(&votes(&[])).unwrap_err().to_string();
    assert!(error.contains("votes-kaggle has no answer how-rounded/cigar"), "{error}");
}

#[test]
fn a_least_number_of_votes_is_asked_for() {
    let text = PAPER.replace("semantics = \"cumulative\"", "semantics = \"cumulative\"\nvotes = 5");
    let text = text.replacen("above = 0.50 }", "above = 0.50, votes = 20 }", 1);
    let rules = Rules::parse(&text, Path::new("own.toml")).unwrap();
    let round: &[(&str, f64)] = &[(SMOOTH, 0.9), ("how-rounded/round", 0.6)];
    let edge_on: &[(&str, f64)] = &[(DISK, 0.9), ("disk-edge-on/yes", 0.7)];
    let mut table = votes(&[("few", round), ("many", round), ("eo", edge_on), ("few eo", edge_on)]);
    let error = rules.apply(&table).unwrap_err().to_string();
    assert!(error.contains("least number of votes"), "{error}");
    let answers = table.schema.answers();
    let mut counts = vec![0.0; 4 * answers.len()];
    for (row, given) in [
        [(SMOOTH, 40.0), ("how-rounded/round", 19.0)],
        [(SMOOTH, 40.0), ("how-rounded/round", 20.0)],
        [(DISK, 40.0), ("disk-edge-on/yes", 5.0)],
        [(DISK, 40.0), ("disk-edge-on/yes", 4.0)],
    ]
    .iter()
    .enumerate()
    {
        for (name, count) in given {
            let place = answers.iter().position(|a| a == name).unwrap();
            counts[row * answers.len() + place] = *count;
        }
    }
    table.counts = Some(counts);
    let sample = rules.apply(&table).unwrap();
    assert_eq!(labels(&sample), [("many", "CRS"), ("eo", "EO")]);
    assert_eq!((sample.unclear, sample.few), (0, 2));
    assert!(sample.to_string().contains("2 meet one, and have too few votes"));
}
