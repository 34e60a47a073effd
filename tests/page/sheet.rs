//! `hiwl catalog --sheet`: every picture is that of its row.

use std::fs;
use std::path::Path;

use hiwl::cutout::RgbImage;
use serde_json::Value;

use crate::util::command::{assert_code, errors, run};
use crate::util::fixture;

/// The pixels of a PNG.
fn pixels(path: &Path) -> RgbImage {
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    RgbImage { width: info.width as usize, height: info.height as usize, pixels }
}

/// The mean of a square of 192 pixels by blocks of eight, which lettering, scaling
/// and JPEG change little.
fn blocks(of: &RgbImage, left: usize, top: usize, side: usize) -> Vec<f64> {
    let mut means = Vec::new();
    for block in 0..64 {
        let (bx, by, width) = (block % 8, block / 8, side / 8);
        let mut sum = 0u64;
        for y in 0..width {
            let at = 3 * ((top + by * width + y) * of.width + left + bx * width);
            sum += of.pixels[at..at + 3 * width].iter().map(|v| u64::from(*v)).sum::<u64>();
        }
        means.push(sum as f64 / (3 * width * width) as f64);
    }
    means
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn pictures_are_those_of_their_rows_and_what_is_gone_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (inputs, out) = (folder.path().join("in"), folder.path().join("run"));
    fs::create_dir(&inputs).unwrap();
    for entry in fs::read_dir(fixture("galaxies")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "jpg") {
            fs::copy(&path, inputs.join(path.file_name().unwrap())).unwrap();
        }
    }
    fs::write(inputs.join("broken.jpg"), "no picture").unwrap();
    let (inputs, out) = (inputs.to_str().unwrap(), out.to_str().unwrap());
    assert_code(&run(["classify", inputs, "--output", out, "--quiet"]), 1);
    // What the networks saw, by the command that writes it.
    let looked = folder.path().join("look");
    let look = looked.to_str().unwrap();
    assert_code(&run(["look", inputs, "--output", look]), 1);

    let sheet = folder.path().join("sheet.png");
    let name = sheet.to_str().unwrap();
    let more = ["--where", "status = 'ok'", "--sort", "confidence:desc", "--top", "8"];
    let output = run(["catalog", out, "--json", "--sheet", name].iter().chain(&more));
    assert_code(&output, 0);
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let drawn = pixels(&sheet);
    // The layout: 4 columns of 202 pixels, rows of 250 below a heading of 52.
    assert_eq!((drawn.width, drawn.height), (10 + 4 * 202, 52 + 2 * 250));
    let seen: Vec<(String, Vec<f64>)> = fs::read_dir(&looked)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let picture = pixels(&path);
            let id = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (id, blocks(&picture, 0, 0, picture.width))
        })
        .collect();
    for (cell, row) in rows.as_array().unwrap().iter().enumerate() {
        let here = blocks(&drawn, 10 + cell % 4 * 202, 52 + cell / 4 * 250, 192);
        let nearest =
            seen.iter().min_by(|a, b| distance(&here, &a.1).total_cmp(&distance(&here, &b.1)));
        let (id, of) = nearest.unwrap();
        assert_eq!(row["id"], **id, "cell {cell}");
        assert!(distance(&here, of) < 3.0, "cell {cell}: {}", distance(&here, of));
    }

    // A rejected row and one whose file has gone have empty cells.
    let gone = rows[0]["id"].as_str().unwrap();
    fs::remove_file(Path::new(inputs).join(format!("{gone}.jpg"))).unwrap();
    let sheet = folder.path().join("sheet.jpg");
    let name = sheet.to_str().unwrap();
    let rows = format!("id in ('broken', '{gone}', '{}')", rows[1]["id"].as_str().unwrap());
    let output = run(["catalog", out, "--sheet", name, "--where", &rows]);
    assert_code(&output, 1);
    assert!(errors(&output).contains("2 of 3 rows have no picture"), "{}", errors(&output));
    assert!(fs::read(&sheet).unwrap().starts_with(&[0xff, 0xd8]));
}

#[test]
fn a_sheet_that_cannot_be_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = crate::catalog::complete(&folder.path().join("run"), 30, 7);
    let dir = catalog.dir().to_str().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, rows, word) in [
        (at("sheet.gif"), "5", ".png"),
        (at("sheet"), "5", ".png"),
        (at("run/sheet.png"), "5", "folder of a run"),
        (at("sheet.png"), "501", "at most 500"),
    ] {
        let output = run(["catalog", dir, "--sheet", &name, "--top", rows]);
        assert_code(&output, 64);
        assert!(errors(&output).contains(word), "{}", errors(&output));
    }
    let name = at("sheet.png");
    let output = run(["catalog", dir, "--sheet", &name, "--where", "confidence > 2"]);
    assert_code(&output, 64);
    assert!(errors(&output).contains("no row"), "{}", errors(&output));
    // How these rows' pictures were made is not known: the cells say it.
    let output = run(["catalog", dir, "--sheet", &name]);
    assert_code(&output, 1);
    assert!(errors(&output).contains("20 of 20"), "{}", errors(&output));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the run, and one sheet");
}
