//! Bad input: each gets a row or a clear message, nothing ends the run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::util::catalog::column;
use crate::util::command::{assert_code, errors, hiwl, simulate};

/// `id` → `status` of every row of a run over `input`.
fn statuses(input: &Path, output: &Path, expected_code: i32) -> Vec<(String, String)> {
    let run = hiwl().arg("classify").args([input, Path::new("--output"), output]).output().unwrap();
    assert_code(&run, expected_code);
    column(output, "id").into_iter().zip(column(output, "status")).collect()
}

/// The bytes of one good 240 px JPEG.
fn jpeg(folder: &Path) -> Vec<u8> {
    let made = folder.join("made");
    simulate(&made, 1, 9);
    let file = fs::read_dir(&made)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "jpg"))
        .unwrap();
    fs::read(file).unwrap()
}

fn png(width: u32, height: u32, depth: png::BitDepth) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().unwrap();
    let size = 3 * (width * height) as usize * if depth == png::BitDepth::Sixteen { 2 } else { 1 };
    // A picture of one colour would be blank.
    let data: Vec<u8> = (0..size).map(|k| (k * 37 % 251) as u8).collect();
    writer.write_image_data(&data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A FITS file of the given cards (without `SIMPLE` and `END`) and data.
fn fits(cards: &[&str], data: &[u8]) -> Vec<u8> {
    let mut header = String::new();
    for card in ["SIMPLE  =                    T"].iter().chain(cards).chain(&["END"]) {
        header.push_str(&format!("{card:<80}"));
    }
    let mut bytes = header.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

fn cube(value: f32, more: &[&str]) -> Vec<u8> {
    let mut cards = vec![
        "BITPIX  =                  -32",
        "NAXIS   =                    3",
        "NAXIS1  =                  240",
        "NAXIS2  =                  240",
        "NAXIS3  =                    3",
    ];
    cards.extend(more);
    fits(&cards, &value.to_be_bytes().repeat(240 * 240 * 3))
}

#[test]
fn every_bad_file_has_a_row_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let good = jpeg(folder.path());
    let input = folder.path().join("in");
    fs::create_dir(&input).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(input.join(name), bytes).unwrap();

    put("good.jpg", &good);
    put("päron 梨 🐙.jpg", &good);
    put("cut.jpg", &good[..good.len() / 2]);
    put("empty.jpg", b"");
    put("text.jpg", b"<html>not found</html>");
    // The frame header says 60,000 × 60,000, which the scan cannot hold.
    let sof = good.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    let mut huge = good.clone();
    huge[sof + 5..sof + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    put("huge.jpg", &huge);
    put("deep.png", &png(240, 240, png::BitDepth::Sixteen));
    put("small.png", &png(100, 239, png::BitDepth::Eight));
    put("nan.fits", &cube(f32::NAN, &[]));
    put("negative.fits", &cube(-3.0, &[]));
    put("flat.fits", &cube(0.1, &[]));
    put("bscale.fits", &cube(1.0, &["BSCALE  =               1E+300"]));
    let one_plane: [&str; 4] = [
        "BITPIX  =                    8",
        "NAXIS   =                    2",
        "NAXIS1  =                  240",
        "NAXIS2  =                  240",
    ];
    put("plane.fits", &fits(&one_plane, &[7; 240 * 240]));
    put(
        "naxis.fits",
        &fits(&["BITPIX  =                    8", "NAXIS   =                   -3"], b""),
    );
    let whole = cube(1.0, &[]);
    put("short.fits", &whole[..whole.len() / 3]);
    put("half_g.fits", &fits(&one_plane, &[7; 240 * 240]));
    symlink("nowhere.jpg", input.join("link.jpg")).unwrap();
    fs::create_dir(input.join("folder.jpg")).unwrap();
    // In another folder: the same id again.
    fs::create_dir(input.join("z")).unwrap();
    fs::write(input.join("z/good.jpg"), &good).unwrap();

    let output = folder.path().join("out");
    let mut found = statuses(&input, &output, 1);
    found.sort();
    let mut expected = [
        ("good", "ok"),
        ("good", "ok"),
        ("päron 梨 🐙", "ok"),
        ("cut", "truncated"),
        ("empty", "empty"),
        ("text", "not_an_image"),
        ("huge", "corrupt"),
        ("deep", "ok"),
        ("small", "too_small"),
        ("nan", "no_data"),
        ("negative", "blank"),
        ("flat", "blank"),
        ("bscale", "no_data"),
        ("plane", "missing_band"),
        ("naxis", "corrupt"),
        ("short", "truncated"),
        ("half", "missing_band"),
        ("link", "missing"),
    ]
    .map(|(id, status)| (id.to_owned(), status.to_owned()))
    .to_vec();
    expected.sort();
    assert_eq!(found, expected);

    let errors: Vec<_> = column(&output, "id").into_iter().zip(column(&output, "error")).collect();
    let error = |id: &str| errors.iter().find(|(i, _)| i == id).unwrap().1.clone();
    assert!(error("small").contains("100"), "{}", error("small"));
    assert!(error("huge").contains("60000"), "{}", error("huge"));
    assert_eq!(error("good"), "");
    assert_code(&hiwl().arg("verify").arg(&output).output().unwrap(), 0);
}

#[test]
fn small_cutouts_are_enlarged_where_the_pipeline_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("small.png");
    fs::write(&input, png(100, 120, png::BitDepth::Eight)).unwrap();
    let run = hiwl()
        .args(["classify", "--pipeline", "any-size"])
        .args([&input, Path::new("--output"), &folder.path().join("out")])
        .output()
        .unwrap();
    assert_code(&run, 0);
}

#[test]
fn link_loops_end_and_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    simulate(&input, 3, 1);
    symlink(&input, input.join("again")).unwrap();
    let output = folder.path().join("out");
    assert_eq!(statuses(&input, &output, 1).len(), 3);
    let manifest = fs::read_to_string(output.join("run.json")).unwrap();
    assert!(manifest.contains("again"), "{manifest}");
}

#[test]
fn ids_that_repeat_are_counted_and_quiet_is_not_silent_about_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    simulate(&input, 3, 1);
    fs::create_dir(input.join("again")).unwrap();
    let first = fs::read_dir(&input).unwrap().map(|entry| entry.unwrap().path());
    let first = first.filter(|path| path.extension().is_some_and(|e| e == "jpg")).min().unwrap();
    fs::copy(&first, input.join("again").join(first.file_name().unwrap())).unwrap();
    fs::write(input.join("frame.fits.xz"), "xz").unwrap();
    let run =
        hiwl().arg("classify").args([&input, Path::new("--output"), &output]).output().unwrap();
    assert_code(&run, 1);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(said.contains("1 id belongs to more than one row"), "{said}");
    let quiet = folder.path().join("quiet");
    let arguments = [&input, Path::new("-q"), Path::new("-o"), &quiet];
    let run = hiwl().arg("classify").args(arguments).output().unwrap();
    assert_code(&run, 1);
    assert!(run.stdout.is_empty());
    assert!(errors(&run).contains("unxz"), "{}", errors(&run));
}

#[test]
fn quiet_is_not_silent_about_a_part_that_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    simulate(&input, 3, 1);
    let run = || {
        let command = ["classify", "--quiet", "--output"];
        hiwl().args(command).arg(&output).arg(&input).output().unwrap()
    };
    assert_code(&run(), 0);
    let part = fs::read_dir(output.join("catalog")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    let again = run();
    assert_code(&again, 2);
    assert!(again.stdout.is_empty());
    let said = errors(&again);
    assert!(said.contains("damaged: ") && said.contains("--remove-damaged"), "{said}");
}

#[test]
fn a_tar_cut_in_the_middle_keeps_its_rows_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = jpeg(folder.path());
    let mut archive = tar::Builder::new(Vec::new());
    for i in 0..5 {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, format!("deep/er/{i}.jpg"), &bytes[..]).unwrap();
    }
    let whole = archive.into_inner().unwrap();
    let member = 512 + bytes.len().next_multiple_of(512);
    let input = folder.path().join("night.tar");
    fs::write(&input, &whole[..3 * member + 1000]).unwrap();
    let output = folder.path().join("out");
    let run =
        hiwl().arg("classify").args([&input, Path::new("--output"), &output]).output().unwrap();
    assert_code(&run, 1);
    assert!(errors(&run).contains("night.tar"), "{}", errors(&run));
    let statuses = column(&output, "status");
    assert_eq!(statuses, ["ok", "ok", "ok", "truncated"]);
}

#[test]
fn files_that_vanish_after_the_listing_have_rows() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    simulate(&input, 4, 1);
    let table = folder.path().join("table.csv");
    let mut text = "id,path,ra,dec,z\n".to_owned();
    for (i, entry) in fs::read_dir(&input).unwrap().enumerate() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "jpg") {
            text.push_str(&format!("00{i},{},10.5,-3.25,0.0{i}\n", path.display()));
        }
    }
    text.push_str("00gone,never/was.jpg,,,0.5\n");
    fs::write(&table, text).unwrap();
    let output = folder.path().join("out");
    let run = hiwl()
        .args(["classify", "--carry", "z"])
        .args([&table, Path::new("--output"), &output])
        .output()
        .unwrap();
    assert_code(&run, 1);
    let ids = column(&output, "id");
    assert!(ids.iter().all(|id| id.starts_with("00")), "leading zeros are kept: {ids:?}");
    let statuses = column(&output, "status");
    assert_eq!(statuses.iter().filter(|s| *s == "missing").count(), 1);
    assert_eq!(statuses.iter().filter(|s| *s == "ok").count(), 4);
    assert_eq!(column(&output, "z").len(), 5);
    assert_eq!(column(&output, "ra")[0], format!("{:016x}", 10.5f64.to_bits()));
}

#[test]
fn a_file_without_permission_has_a_row() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    simulate(&input, 2, 1);
    let file = fs::read_dir(&input)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "jpg"))
        .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything, so the program runs as nobody then.
    let output = folder.path().join("out");
    fs::create_dir(&output).unwrap();
    for folder in [folder.path(), &output] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let readable = fs::read(&file).is_ok();
    let mut run = if readable {
        let program = folder.path().join("hiwl");
        fs::copy(env!("CARGO_BIN_EXE_hiwl"), &program).unwrap();
        let model = folder.path().join("model.safetensors");
        fs::copy(crate::util::fixture("models/untrained-nano.safetensors"), &model).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(&program).env("HIWL_MODEL", model);
        command
    } else {
        hiwl()
    };
    let run = run.arg("classify").args([&input, Path::new("--output"), &output]).output().unwrap();
    assert_code(&run, 1);
    let mut statuses = column(&output, "status");
    statuses.sort();
    assert_eq!(statuses, ["ok", "unreadable"]);
}
