//! Whatever is wrong with a catalog, `verify` says what and where.

use std::collections::BTreeMap;
use std::fs;

use hiwl::catalog::{Damage, PartWriter, Verification, verify};

use super::*;

const ROWS: u64 = 95;
const SIZE: u64 = 20;

fn part(run: &RunFolder, index: usize) -> PathBuf {
    let range = run.ranges().nth(index).expect("a range");
    run.catalog().join(format!("part-{:012}-{:012}.parquet", range.first, range.last()))
}

/// Verifies a catalog in which part 2 alone is damaged.
fn damage(run: &RunFolder) -> Damage {
    let found = verify(run.dir()).unwrap();
    assert!(!found.is_complete());
    assert_eq!(found.rows_found, ROWS - SIZE);
    let [damaged] = &found.damaged[..] else { panic!("{found:?}") };
    assert_eq!((damaged.range.index, &damaged.path), (2, &part(run, 2)));
    damaged.damage.clone()
}

#[test]
fn a_whole_catalog_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), ROWS, SIZE);
    let found = verify(folder.path()).unwrap();
    let rows: Vec<Row> = (0..ROWS).map(|index| row(index, &entry(index))).collect();
    let (mut labels, mut rejected) = (BTreeMap::new(), BTreeMap::new());
    let mut by_range: BTreeMap<u64, BTreeMap<_, u64>> = BTreeMap::new();
    for row in &rows {
        match &row.outcome {
            Ok(prediction) => *labels.entry(prediction.class).or_default() += 1,
            Err(rejection) => {
                *rejected.entry(rejection.reason).or_default() += 1;
                let of_range = by_range.entry(row.index / SIZE).or_default();
                *of_range.entry(rejection.reason).or_default() += 1;
            }
        }
    }
    let ranges: Vec<_> = run.ranges().collect();
    let with_rejected = by_range.into_iter().map(|(index, rows)| (ranges[index as usize], rows));
    let expected = Verification {
        rows_expected: ROWS,
        rows_found: ROWS,
        ranges: 5,
        classes: ["CRS", "IBS", "CSS", "EO", "SPI"].map(String::from).to_vec(),
        labels,
        rejected,
        with_rejected: with_rejected.collect(),
        example: rows.iter().find_map(|row| Some((row.source.clone(), row.outcome.clone().err()?))),
        ..Verification::default()
    };
    assert_eq!(found, expected);
    assert!(found.is_complete());

    // What readers pass over does not matter; what they read does.
    fs::write(run.catalog().join("_metadata"), "x").unwrap();
    fs::write(run.catalog().join(".part-0-1.0123456789ab-1-00000001.tmp"), "x").unwrap();
    let found = verify(folder.path()).unwrap();
    assert!(found.is_complete() && found.unfinished.len() == 1);
    for name in ["copy of part.parquet", "part-000000000000-000000000018.parquet", "notes.txt"] {
        let stray = run.catalog().join(name);
        fs::copy(part(&run, 0), &stray).unwrap();
        let found = verify(folder.path()).unwrap();
        assert!(!found.is_complete() && found.stray == [stray.clone()], "{name}");
        fs::remove_file(stray).unwrap();
    }
}

#[test]
fn truncations_and_flipped_bits_are_found_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), ROWS, SIZE);
    let path = part(&run, 2);
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 60).chain(whole.len() - 12..whole.len()) {
        fs::write(&path, &whole[..at]).unwrap();
        damage(&run);
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, &flipped).unwrap();
        damage(&run);
    }
    fs::write(&path, &whole).unwrap();
    assert!(verify(folder.path()).unwrap().is_complete());
}

#[test]
fn a_deleted_part_is_missing_and_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), ROWS, SIZE);
    let before = contents(&run.catalog());
    fs::remove_file(part(&run, 2)).unwrap();
    let found = verify(folder.path()).unwrap();
    assert_eq!(found.missing, run.missing_ranges(None).unwrap());
    assert_eq!(found.missing.iter().map(|range| range.index).collect::<Vec<_>>(), [2]);
    assert!(!found.is_complete() && found.damaged.is_empty());
    write_missing(&plan(folder.path(), ROWS, SIZE)).unwrap();
    assert_eq!(contents(&run.catalog()), before);
}

#[test]
fn parts_of_another_place_run_or_hand_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), ROWS, SIZE);
    let whole = fs::read(part(&run, 2)).unwrap();

    fs::copy(part(&run, 1), part(&run, 2)).unwrap();
    assert_eq!(
        damage(&run),
        Damage::OtherRange { expected: "40-59".into(), found: "20-39".into() }
    );

    let other = tempfile::tempdir().unwrap();
    let other = complete(other.path(), ROWS + 1, SIZE);
    fs::copy(part(&other, 2), part(&run, 2)).unwrap();
    assert_eq!(damage(&run), Damage::OtherRun(other.digest().to_owned()));

    fs::write(part(&run, 2), "id,label\n").unwrap();
    assert_eq!(damage(&run), Damage::Truncated { length: 9 });
    fs::remove_file(part(&run, 2)).unwrap();
    fs::create_dir(part(&run, 2)).unwrap();
    assert!(matches!(damage(&run), Damage::Unreadable(_)));
    fs::remove_dir(part(&run, 2)).unwrap();
    fs::write(part(&run, 2), whole).unwrap();

    let (a, b) = (fs::read(part(&run, 0)).unwrap(), fs::read(part(&run, 1)).unwrap());
    fs::write(part(&run, 0), b).unwrap();
    fs::write(part(&run, 1), a).unwrap();
    let found = verify(folder.path()).unwrap();
    let damaged: Vec<u64> = found.damaged.iter().map(|part| part.range.index).collect();
    assert_eq!(damaged, [0, 1]);
}

#[test]
fn a_row_that_is_not_the_listings_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), ROWS, SIZE);
    fs::remove_file(part(&run, 2)).unwrap();
    let Claimed::Ours(claim) = run.claim(2).unwrap() else { panic!("it is free") };
    let mut writer = PartWriter::create(&run, claim, None).unwrap();
    for index in 40..60 {
        // Row 45 has the id of row 46.
        let named = if index == 45 { 46 } else { index };
        writer.push(&Row { index, ..row(index, &entry(named)) }).unwrap();
    }
    writer.commit().unwrap();
    let expected = Damage::OtherRow { row: 45, expected: entry(45).id, found: entry(46).id };
    assert_eq!(damage(&run), expected);
}

#[test]
fn a_listing_that_is_not_the_runs_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), ROWS, SIZE);
    let inputs = folder.path().join("inputs.parquet");
    let whole = fs::read(&inputs).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&inputs, &flipped).unwrap();
        let found = verify(folder.path()).unwrap();
        assert!(!found.is_complete() && found.listing.is_some(), "bit of byte {at}");
        // The parts are as sound as they were.
        assert_eq!((found.rows_found, found.damaged.len()), (ROWS, 0));
    }
    let other = tempfile::tempdir().unwrap();
    plan(other.path(), ROWS + 1, SIZE);
    fs::copy(other.path().join("inputs.parquet"), &inputs).unwrap();
    assert_eq!(verify(folder.path()).unwrap().listing, Some(Damage::OtherListing));
    assert!(matches!(RunFolder::open(folder.path()), Err(RunError::OtherListing { .. })));
    fs::remove_file(&inputs).unwrap();
    assert!(verify(folder.path()).unwrap().listing.is_some());
    fs::write(&inputs, whole).unwrap();
    assert!(verify(run.dir()).unwrap().is_complete());
}

#[test]
fn duplicate_ids_are_counted_and_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let same = |writer: &mut InputsWriter| -> Result<(), RunError> {
        [1, 2, 1, 1, 3, 2].into_iter().try_for_each(|index| writer.push(&entry(index)))
    };
    let run = RunFolder::open_or_create(folder.path(), &settings(4), &(), same).unwrap();
    write_missing(&run).unwrap();
    let found = verify(folder.path()).unwrap();
    assert!(found.is_complete() && found.duplicate_ids == 3, "{found:?}");
}
