//! Real data, where `HIWL_DATA` names it.

use std::time::Instant;

use super::*;
use crate::util::real_data;

#[test]
fn a_real_archive_has_the_members_that_python_finds() {
    let Some(data) = real_data() else { return };
    assert_eq!(archives::agrees_with_python(&data.join("galaxies/val-00.tar")), 2878);
}

#[test]
fn real_bands_are_put_together() {
    let Some(data) = real_data() else { return };
    let listing = list(&[data.join("fits")]);
    let is_bands = |e: &&Entry| matches!(&e.locator, Locator::Bands(b) if b.len() == 3);
    assert_eq!(listing.entries.iter().filter(is_bands).count(), 10);
    assert_eq!(listing.entries.len(), 20);
    assert_eq!((listing.problems.len(), listing.skipped), (0, 0));
    let mut reader = Reader::new();
    for entry in &listing.entries {
        assert!(!reader.read(&entry.locator).unwrap().is_empty());
    }
}

#[test]
fn a_real_folder_lists_its_images() {
    let Some(data) = real_data() else { return };
    let listing = list(&[data.join("jpeg424")]);
    assert_eq!((listing.entries.len(), listing.skipped), (60, 1));
}

/// Figures for the notes: `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout, reason = "its output is what it is for")]
fn rates() {
    let dir = temp();
    for i in 0..20_000 {
        fs::write(dir.path().join(format!("{i:05}.jpg")), [0; 6000]).unwrap();
    }
    let rate = |label: &str, path: PathBuf| {
        let begin = Instant::now();
        let listing = list(&[path]);
        let seconds = begin.elapsed().as_secs_f64();
        let count = listing.entries.len() as f64;
        println!("{label}: {count} listed in {seconds:.4} s, {:.0}/s", count / seconds);
        let (begin, mut reader, mut bytes) = (Instant::now(), Reader::new(), 0);
        for entry in &listing.entries {
            bytes += reader.read(&entry.locator).map_or(0, |p| p.len());
        }
        let seconds = begin.elapsed().as_secs_f64();
        let mb = bytes as f64 / 1e6;
        println!("{label}: read at {:.0}/s, {:.0} MB/s", count / seconds, mb / seconds);
    };
    rate("folder", dir.path().to_owned());
    let table = dir.path().join("table.csv");
    let rows: String = (0..20_000).map(|i| format!("{i},{i:05}.jpg,{}.5,1\n", i % 360)).collect();
    fs::write(&table, format!("id,path,ra,dec\n{rows}")).unwrap();
    rate("csv", table);
    if let Some(data) = real_data() {
        rate("tar", data.join("galaxies/train-00.tar"));
    }
}
