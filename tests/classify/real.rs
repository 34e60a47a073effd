//! Real galaxies, where they are at hand.

use std::path::Path;

use crate::util::catalog::{column, rows};
use crate::util::command::{assert_code, hiwl};
use crate::util::real_data;

#[test]
fn one_row_an_input_for_jpegs_a_tar_and_fits() {
    let Some(data) = real_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let run = hiwl()
        .arg("classify")
        .args([data.join("jpeg424"), data.join("galaxies/val-00.tar"), data.join("fits")])
        .args([Path::new("--output"), &output])
        .output()
        .unwrap();
    assert_code(&run, 0);
    assert_code(&hiwl().arg("verify").arg(&output).output().unwrap(), 0);

    // 60 originals, 2,878 in the archive, 10 galaxies as bands and as PNG.
    assert_eq!(rows(&output).len(), 60 + 2_878 + 20);
    let sources = column(&output, "source");
    let positions = column(&output, "ra");
    let with_position: Vec<_> = sources
        .iter()
        .zip(&positions)
        .filter(|(_, ra)| *ra != "null")
        .map(|(source, _)| source)
        .collect();
    assert_eq!(with_position.len(), 10, "the FITS files and nothing else has a WCS");

    // The archive's crops are lossless crops of the originals: the central 240
    // pixels are the same, so the rows must be too.
    let ids = column(&output, "id");
    let confidence = column(&output, "confidence");
    let row = |i: usize| (ids[i].clone(), confidence[i].clone());
    let originals: Vec<_> = (0..60).map(row).collect();
    let members: Vec<_> = (60..60 + 2_878).map(row).collect();
    assert!(originals.iter().all(|original| members.contains(original)));
}
