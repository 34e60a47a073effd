//! Rows that say how odd they are: of a small network, from the model to the
//! catalog, and of the model that ships on real galaxies and what is none.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::util::catalog::column;
use crate::util::command::{assert_code, errors, hiwl, run};
use crate::util::{fixture, real_data, root};

const SIDE: usize = 256;

/// Numbers that look drawn, 0 to 1.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }

    /// About normal, of a deviation of 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

fn png(path: &Path, mut colour: impl FnMut(f64, f64) -> [f64; 3]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), SIDE as u32, SIDE as u32);
    encoder.set_color(png::ColorType::Rgb);
    let middle = (SIDE as f64 - 1.0) / 2.0;
    let at = |k: usize| ((k % SIDE) as f64 - middle, (k / SIDE) as f64 - middle);
    let pixels: Vec<u8> = (0..SIDE * SIDE)
        .flat_map(|k| {
            let (x, y) = at(k);
            colour(x, y).map(|value| value.clamp(0.0, 255.0) as u8)
        })
        .collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

/// Pictures that are no galaxies, by their kinds: `KIND-N.png`.
fn no_galaxies(folder: &Path, each: u64) {
    fs::create_dir_all(folder).unwrap();
    for n in 0..each {
        let path = |kind: &str| folder.join(format!("{kind}-{n}.png"));
        let mut draw = Draw(99 + n);
        let (level, noise) = (30.0 + 90.0 * draw.next(), 20.0 + 50.0 * draw.next());
        png(&path("noise"), |_, _| [0; 3].map(|_| level + noise * draw.normal()));
        // As seeing and a long exposure show it, on the sky of a picture of SDSS.
        let (width, peak) = (2.5 + 3.0 * draw.next(), 150.0 + 3000.0 * draw.next());
        png(&path("star"), |x, y| {
            let light = peak * (1.0 + (x * x + y * y) / (width * width)).powi(-3);
            [0.9, 1.0, 0.8].map(|part| 9.0 + 5.0 * draw.normal() + part * light)
        });
        // Lines of strokes, light on dark and dark on light, over a grey ground so
        // that the picture is not blank.
        let (line, size) = (9 + 4 * (n as i64 % 4), 5 + 3 * (n as i64 % 3));
        let letters: Vec<bool> = (0..4000).map(|_| draw.next() < 0.5).collect();
        png(&path("text"), |x, y| {
            let (column, row) = ((x as i64 + 128) / size, (y as i64 + 128) / line);
            let within = (y as i64 + 128) % line < size && (x as i64 + 128) % size < size - 2;
            let ink = within && letters[((row * 61 + column) % 4000) as usize];
            let ground = 40.0 + 20.0 * (x / 128.0);
            if ink { [250.0; 3] } else { [ground; 3] }
        });
        let (a, b) = (draw.normal(), draw.normal());
        png(&path("gradient"), |x, y| {
            let value = 110.0 + 60.0 * (a * x + b * y) / a.hypot(b) / 128.0;
            [value, 0.9 * value, 0.8 * value]
        });
    }
}

/// How odd the rows of a run are, by their ids; rejected ones say nothing.
fn told(output: &Path) -> Vec<(String, f32)> {
    let (ids, oddness) = (column(output, "id"), column(output, "oddness"));
    let number = |cell: &str| f32::from_bits(u32::from_str_radix(cell, 16).unwrap());
    let rows = ids.into_iter().zip(oddness).filter(|(_, cell)| cell != "null");
    rows.map(|(id, cell)| (id, number(&cell))).collect()
}

fn median(rows: &[(String, f32)]) -> f32 {
    let mut values: Vec<f32> = rows.iter().map(|(_, value)| *value).collect();
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

/// Of a kind, how many are above 99, and of how many.
fn above(rows: &[(String, f32)], kind: &str) -> (usize, usize) {
    let own: Vec<f32> =
        rows.iter().filter(|(id, _)| id.starts_with(kind)).map(|(_, value)| *value).collect();
    (own.iter().filter(|value| **value > 99.0).count(), own.len())
}

#[test]
fn a_model_learns_to_tell_and_its_catalogs_have_the_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let plain = fixture("models/untrained-nano.safetensors").to_str().unwrap().to_owned();
    let made = run([
        "simulate",
        &text("galaxies"),
        "--count",
        "440",
        "--seed",
        "3",
        "--size",
        "240",
        "--format",
        "tar",
    ]);
    assert_code(&made, 0);
    let taught = run(["model", "oddness", &plain, &text("galaxies"), "--output", &text("telling")]);
    assert_code(&taught, 0);
    let told_so = String::from_utf8(taught.stdout).unwrap();
    assert!(told_so.contains("of 220 galaxies, with percentiles of 220 others"), "{told_so}");
    let info = run(["model", "info", &text("telling")]);
    let info = String::from_utf8(info.stdout).unwrap();
    assert!(info.contains("format              3") && info.contains("oddness"), "{info}");

    no_galaxies(&path("others"), 4);
    let classify = |model: &str, output: &str| {
        let found = run([
            "classify",
            &text("galaxies"),
            &text("others"),
            "--model",
            model,
            "--output",
            &text(output),
            "--quiet",
        ]);
        assert!(found.status.code() < Some(2), "{}", errors(&found));
    };
    classify(&text("telling"), "a");
    classify(&plain, "b");
    let rows = told(&path("a"));
    let galaxies: Vec<_> = rows.iter().filter(|(id, _)| !id.contains('-')).cloned().collect();
    assert_eq!(galaxies.len(), 440);
    // Every other one was held out, from the second on.
    let held_out: Vec<_> = galaxies.iter().skip(1).step_by(2).cloned().collect();
    assert!((40.0..60.0).contains(&median(&held_out)), "{}", median(&held_out));
    assert!(median(&galaxies) < 60.0, "{}", median(&galaxies));
    assert!(rows.iter().all(|(_, value)| (0.0..=100.0).contains(value)));
    assert_eq!(above(&rows, "noise"), (4, 4), "{rows:?}");
    // Nothing else of the rows differs.
    for name in ["id", "label", "confidence", "p_spi", "p_css_eo", "stage2", "status", "error"] {
        assert_eq!(column(&path("a"), name), column(&path("b"), name), "{name}");
    }
    let schema = |run: &str| {
        let part = crate::util::catalog::parts(&path(run)).remove(0);
        crate::util::catalog::batches(&part)[0].schema()
    };
    assert!(schema("b").index_of("oddness").is_err());
    assert_code(&run(["verify", &text("a")]), 0);

    // What is odd can be picked, and is summed up.
    let odd = rows.iter().filter(|(_, value)| *value > 99.0).count();
    let export = run([
        "export",
        &text("a"),
        "--to",
        "csv",
        "--output",
        &text("odd.csv"),
        "--where",
        "oddness > 99",
    ]);
    assert_code(&export, 0);
    assert_eq!(fs::read_to_string(path("odd.csv")).unwrap().lines().count(), odd + 1);
    let catalog = run(["catalog", &text("a")]);
    let catalog = String::from_utf8(catalog.stdout).unwrap();
    assert!(catalog.contains("oddness  median "), "{catalog}");
    assert!(catalog.contains(&format!("{odd} of {} rows", rows.len())), "{catalog}");
    let json = run(["catalog", &text("a"), "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["oddness"]["above_99"], odd);
    let json = run(["catalog", &text("b"), "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["oddness"], Value::Null);
}

#[test]
fn the_model_that_ships_tells_what_is_no_galaxy() {
    let Some(data) = real_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (others, output) = (folder.path().join("others"), folder.path().join("out"));
    no_galaxies(&others, 12);
    // Originals of validation galaxies: of 60, half lie below 50.
    let run = hiwl()
        .env("HIWL_MODEL", root().join("models/hiwl-b1.safetensors"))
        .args(["classify", "--quiet", "--output"])
        .args([&output, &others, &data.join("jpeg424")])
        .output()
        .unwrap();
    assert!(run.status.code() < Some(2), "{}", errors(&run));
    let rows = told(&output);
    let galaxies: Vec<_> = rows.iter().filter(|(id, _)| !id.contains('-')).cloned().collect();
    assert_eq!(galaxies.len(), 60);
    let middle = median(&galaxies);
    assert!((30.0..70.0).contains(&middle), "{middle}");
    let mut seen = 0;
    for kind in ["noise", "star", "text", "gradient"] {
        let (above, all) = above(&rows, kind);
        assert_eq!(above, all, "{kind}: {rows:?}");
        seen += all;
    }
    assert!(seen >= 24, "{seen} are not blank");
}
