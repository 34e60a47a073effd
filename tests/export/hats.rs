//! HATS, held against hats and LSDB: validation, all rows, a cone, a
//! cross-match.

use std::io::Read;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::util::command::{assert_code, errors};
use crate::util::python::{catalog_readers, oracle_of};
use crate::util::real_data;

/// The real positions of the Stripe 82 table, if it is at hand.
fn stripe82() -> Option<Vec<(String, Option<SkyPosition>)>> {
    let path = real_data()?.join("votes/gz2_willett2013_stripe82coadd_table5.csv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let rows = table.records().map(|record| {
        let record = record.unwrap();
        let degrees = |column: usize| record[column].parse::<f64>().unwrap();
        (record[0].to_owned(), Some(SkyPosition { ra: degrees(2), dec: degrees(3) }))
    });
    Some(rows.collect())
}

/// Galaxies over the whole sky, the poles and the meridian among them, with a
/// crowd in one place; some ids Greek, some without a position.
fn generated() -> Vec<(String, Option<SkyPosition>)> {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut galaxies: Vec<(String, Option<SkyPosition>)> = (0..4000)
        .map(|index| {
            let z: f64 = random.random_range(-1.0..1.0);
            let whole =
                SkyPosition { ra: random.random_range(0.0..360.0), dec: z.asin().to_degrees() };
            let crowd = SkyPosition {
                ra: 150.0 + random.random_range(0.0..2.0),
                dec: 2.0 + random.random_range(0.0..2.0),
            };
            let position = if index % 2 == 0 { whole } else { crowd };
            (format!("γ{index}"), (index % 11 != 0).then_some(position))
        })
        .collect();
    for (ra, dec) in [(0.0, 90.0), (10.0, -90.0), (0.0, 0.0), (359.999_999_999, 0.0), (45.0, 41.8)]
    {
        galaxies.push((format!("edge {ra} {dec}"), Some(SkyPosition { ra, dec })));
    }
    galaxies
}

fn holds(galaxies: &[(String, Option<SkyPosition>)], rows_per_pixel: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let run = at_positions(&folder.path().join("run"), galaxies);
    let out = folder.path().join("sky");
    let more = ["--rows-per-pixel", rows_per_pixel];
    assert_code(&export(run.dir(), "hats", &out, &more), 0);
    let names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 2, "no temporary folder is left: {names:?}");
    let arguments = [run.dir().to_str().unwrap(), out.to_str().unwrap(), rows_per_pixel];
    oracle_of(&catalog_readers(), "hats_catalog.py", &arguments).trim().to_owned()
}

#[test]
fn hats_and_lsdb_open_search_and_match_generated_positions() {
    let galaxies = generated();
    let placed = galaxies
        .iter()
        .enumerate()
        .filter(|(index, (_, position))| position.is_some() && index % 7 != 0)
        .count();
    let told = holds(&galaxies, "300");
    let (rows, orders) = told.split_once(' ').unwrap();
    assert_eq!(rows.parse::<usize>().unwrap(), placed);
    assert!(orders.contains(", "), "partitions of several orders: {orders}");
}

#[test]
fn hats_and_lsdb_open_search_and_match_real_positions() {
    let Some(galaxies) = stripe82() else { return };
    let told = holds(&galaxies, "2000");
    assert!(told.starts_with("16937 ") || told.starts_with("16938 "), "{told}");
}

#[test]
fn a_catalog_without_positions_is_no_hats_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere: Vec<_> = (0..10).map(|index| (index.to_string(), None)).collect();
    let run = at_positions(&folder.path().join("run"), &nowhere);
    let output = export(run.dir(), "hats", &folder.path().join("sky"), &[]);
    assert_code(&output, 64);
    assert!(errors(&output).contains("none of the 8 rows has a position"), "{}", errors(&output));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left");
}
