//! `hiwl explain`: maps whose means are the logits of their answers, and panels that
//! show them. That the maps are Grad-CAM's is tested with the networks.

use std::fs;
use std::path::Path;

use hiwl::model::architecture::Architecture;
use hiwl::model::model_file::{Model, StoredPrecision};

use crate::util::command::{assert_code, errors, run, simulate};
use crate::util::fixture;

/// The array of `maps.npy`: shape and values.
fn npy(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((10 + length) % 64, 0);
    let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    assert!(header.contains("'descr': '<f4', 'fortran_order': False"), "{header}");
    let shape = header.split(['(', ')']).nth(1).unwrap();
    let shape = shape.split(", ").map(|number| number.parse().unwrap()).collect();
    let values = bytes[10 + length..].as_chunks::<4>().0;
    (shape, values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

/// The lines of `maps.csv`, each as its cells.
fn lines(folder: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(folder.join("maps.csv")).unwrap();
    assert_eq!(
        reader.headers().unwrap(),
        vec!["id", "picture", "source", "label", "confidence", "answer", "network", "logit", "map"]
    );
    reader.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn a_maps_mean_and_the_bias_are_the_logit_of_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    simulate(&path("galaxies"), 40, 5);
    fs::write(path("galaxies/broken.jpg"), b"no picture").unwrap();
    let explain = |output: &str, more: &[&str]| {
        let line = ["explain", &text("galaxies"), "--output", &text(output), "--quiet"];
        assert_code(&run(line.iter().chain(more)), 1);
        let (shape, maps) = npy(&path(output).join("maps.npy"));
        assert_eq!(shape, [40, 8, 8]);
        let fits = fs::read(path(output).join("maps.fits")).unwrap();
        assert_eq!(fits.len(), 2880 + (4usize * 40 * 64).next_multiple_of(2880));
        let values = fits[2880..].as_chunks::<4>().0.iter().map(|v| f32::from_be_bytes(*v));
        assert!(maps.iter().copied().eq(values.take(maps.len())), "the same numbers");
        (lines(&path(output)), maps)
    };
    let model = Model::read(&fixture("models/untrained-nano.safetensors")).unwrap();
    let bias = |stage: usize| -> Vec<f32> {
        model.networks[stage].get("classifier.1.bias").unwrap().to_vec1().unwrap()
    };
    let answers = ["shape/CRS", "shape/IBS", "shape/SPI", "shape/CSS+EO"];
    let check = |lines: &[Vec<String>], maps: &[f32]| {
        assert_eq!(lines.len(), 40);
        for (line, map) in lines.iter().zip(maps.chunks_exact(64)) {
            let (answer, network) = (line[5].as_str(), line[6].as_str());
            let bias = match answers.iter().position(|own| *own == answer) {
                Some(place) => (network == "stage1").then(|| bias(0)[place]),
                None => (network == "stage2").then(|| {
                    bias(1)[["css-or-eo/CSS", "css-or-eo/EO"]
                        .iter()
                        .position(|own| *own == answer)
                        .unwrap()]
                }),
            };
            let mean = map.iter().map(|value| f64::from(*value)).sum::<f64>() / 64.0;
            let logit: f64 = line[7].parse().unwrap();
            let sum = mean + f64::from(bias.unwrap());
            assert!((sum - logit).abs() < 1e-4 * logit.abs().max(1.0), "{line:?}: {sum}");
            assert!(map.iter().any(|value| (f64::from(*value) - mean).abs() > 1e-3));
        }
    };
    let (own, maps) = explain("own", &[]);
    check(&own, &maps);
    // Each by its class, in both stages.
    for line in &own {
        assert_eq!(line[5].split('/').nth(1).unwrap(), line[3]);
    }
    assert!(["stage1", "stage2"].iter().all(|stage| own.iter().any(|line| line[6] == *stage)));
    let (all, of_all) = explain("all", &["--class", "EO"]);
    check(&all, &of_all);
    assert!(all.iter().all(|line| line[5] == "css-or-eo/EO"));
    let (first, of_first) = explain("first", &["--class", "CSS+EO"]);
    check(&first, &of_first);
    assert!(first.iter().all(|line| line[6] == "stage1"));
    assert_ne!(of_all, of_first);

    // Panels: the picture is that which `look` shows, and light lies where the map has
    // its peak.
    assert_code(&run(["look", &text("galaxies"), "--output", &text("looked")]), 1);
    let mut lit = 0;
    for (line, map) in own.iter().zip(maps.chunks_exact(64)).take(5) {
        let (panels, wide) = png(&path("own").join(&line[1]));
        let (looked, side) = png(&path("looked").join(format!("{}.png", line[0])));
        assert_eq!((side, wide), (240, 3 * 240 + 8));
        let pixel = |x: usize, y: usize| &panels[3 * (y * wide + x)..][..3];
        for (y, x) in [(0, 0), (120, 119), (239, 17)] {
            assert_eq!(pixel(x, y), &looked[3 * (y * side + x)..][..3]);
        }
        let (peak, value) = map.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        if *value > 0.0 {
            let (x, y) = (peak % 8 * 32, peak / 8 * 32);
            let [r, g, b] = *pixel(244 + x, y) else { panic!() };
            assert!(r > 200 && g > 200 && b < 90, "{:?}", [r, g, b]);
            lit += 1;
        }
    }
    assert!(lit > 0, "no map speaks for its answer");
}

fn png(path: &Path) -> (Vec<u8>, usize) {
    let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (pixels, info.width as usize)
}

#[test]
fn a_sheet_holds_a_row_a_cutout_and_what_is_doubtful_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    simulate(&path("galaxies"), 3, 5);
    let explain = |output: &str, more: &[&str]| {
        run(["explain", &text("galaxies"), "--output", &text(output)].iter().chain(more))
    };
    let found = explain("a", &["--sheet", &text("sheet.png")]);
    assert_code(&found, 0);
    let (pixels, wide) = png(&path("sheet.png"));
    assert_eq!((wide, pixels.len()), (728, 3 * 728 * (3 * 240 + 8)));
    let again = explain("a", &[]);
    assert_code(&again, 64);
    // Pictures that are inputs are no place for it, nor are those that are written.
    let input = fs::read_dir(path("galaxies")).unwrap().map(|entry| entry.unwrap().path());
    let input = input.filter(|path| path.extension().is_some_and(|e| e == "jpg")).min().unwrap();
    let before = fs::read(&input).unwrap();
    let as_png = path("galaxies/own.png");
    fs::copy(&input, &as_png).unwrap();
    for (sheet, words) in [
        (text("galaxies/own.png"), "whose pictures are inputs"),
        (input.to_str().unwrap().to_owned(), "another format's ending"),
        (text("d/maps.png"), "put the sheet beside it"),
    ] {
        let refused = explain("d", &["--sheet", &sheet]);
        assert_code(&refused, 64);
        assert!(errors(&refused).contains(words), "{}", errors(&refused));
    }
    assert!(fs::read(&input).unwrap() == before && fs::read(&as_png).unwrap() == before);
    fs::remove_file(as_png).unwrap();
    let unknown = explain("b", &["--class", "spiral"]);
    assert_code(&unknown, 64);
    assert!(errors(&unknown).contains("shape/SPI"), "{}", errors(&unknown));
    assert!(!path("b").exists());
    simulate(&path("more"), 65, 7);
    let many = ["explain", &text("more"), "--output", &text("c"), "--sheet", &text("many.png")];
    let many = run(many);
    assert_code(&many, 64);
    assert!(errors(&many).contains("holds 64"), "{}", errors(&many));
}

#[test]
fn other_backbones_are_explained_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    simulate(&path("galaxies"), 3, 5);
    for (backbone, side, kind) in [
        ("vgg16-nano", 3, "grad-cam"),
        ("vit-b16-nano", 6, "grad-cam"),
        ("resnet34-nano", 3, "cam"),
    ] {
        let architecture = Architecture::named(backbone).unwrap().for_images(96);
        let model = Model::seeded(architecture, 96, 5).unwrap();
        model.write(&path(backbone), StoredPrecision::F32).unwrap();
        let output = format!("of-{backbone}");
        let line = ["explain", &text("galaxies"), "--model", &text(backbone), "--wide", "crop"];
        let found = run(line.iter().chain(&["--output", &text(&output), "--quiet"]));
        assert_code(&found, 0);
        let (shape, maps) = npy(&path(&output).join("maps.npy"));
        assert_eq!(shape, [3, side, side], "{backbone}");
        assert!(maps.iter().all(|value| value.is_finite()));
        assert!(maps.iter().any(|value| *value != maps[0]), "{backbone}");
        for line in lines(&path(&output)) {
            assert_eq!(line[8], kind, "{backbone}");
            let (_, wide) = png(&path(&output).join(&line[1]));
            assert_eq!(wide, 3 * 96 + 8);
        }
    }
    let model = Model::seeded(Architecture::named("dieleman-nano").unwrap(), 96, 5).unwrap();
    model.write(&path("dieleman"), StoredPrecision::F32).unwrap();
    let line = ["explain", &text("galaxies"), "--model", &text("dieleman"), "--wide", "crop"];
    let refused = run(line.iter().chain(&["--output", &text("none"), "--quiet"]));
    assert_ne!(refused.status.code(), Some(0));
    assert!(errors(&refused).contains("turned and mirrored views"), "{}", errors(&refused));
    assert!(!path("none").exists());
}

/// Two networks whose maps have different sizes: what fits into no array is refused before
/// anything is computed, and an answer of one network is explained.
#[test]
fn maps_of_two_sizes_are_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    simulate(&path("galaxies"), 3, 5);
    let [mut first, second] = ["vgg16-nano", "vit-b16-nano"].map(|backbone| {
        let architecture = Architecture::named(backbone).unwrap().for_images(96);
        Model::seeded(architecture, 96, 5).unwrap()
    });
    first.description.architectures[1] = second.description.architectures[1].clone();
    first.networks[1] = second.networks[1].clone();
    first.write(&path("both"), StoredPrecision::F32).unwrap();
    let line =
        ["explain", &text("galaxies"), "--model", &text("both"), "--wide", "crop", "--quiet"];
    let explain = |output: &str, more: &[&str]| {
        run(line.iter().chain(&["--output", &text(output)]).chain(more))
    };
    let refused = explain("none", &[]);
    assert_code(&refused, 64);
    let words = "maps of 3 (stage1) and 6 (stage2) pixels a side fit into no array";
    assert!(errors(&refused).contains(words), "{}", errors(&refused));
    assert!(!path("none").exists());
    for (class, side) in [("shape/SPI", 3), ("css-or-eo/CSS", 6)] {
        let output = format!("of-{side}");
        assert_code(&explain(&output, &["--class", class]), 0);
        assert_eq!(npy(&path(&output).join("maps.npy")).0, [3, side, side]);
    }
}

#[test]
fn hostile_ids_name_no_file_elsewhere_and_come_out_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    simulate(&path("galaxies"), 1, 5);
    let picture = fs::read_dir(path("galaxies")).unwrap().map(|entry| entry.unwrap().path());
    let mut pictures = picture.filter(|path| path.extension().is_some_and(|e| e == "jpg"));
    let picture = pictures.next().unwrap();
    let ids = [
        "<script>alert(1)</script>",
        "../../elsewhere",
        "/etc/passwd",
        "\"quoted\", 'twice'",
        "line\nbreak",
        "\u{202e}gpj.exe",
        "..",
    ];
    let mut table = csv::Writer::from_path(path("table.csv")).unwrap();
    table.write_record(["id", "path"]).unwrap();
    ids.iter().for_each(|id| table.write_record([id, picture.to_str().unwrap()]).unwrap());
    // One that is rejected: its id is said.
    fs::write(path("broken.jpg"), b"no picture").unwrap();
    table.write_record(["\u{202e}gpj.dneb\u{1b}[31m", &text("broken.jpg")]).unwrap();
    table.flush().unwrap();
    let before = fs::read_dir(folder.path()).unwrap().count();
    let found = run(["explain", &text("table.csv"), "--output", &text("why")]);
    assert_code(&found, 1);
    let said = String::from_utf8(found.stdout).unwrap();
    assert!(said.contains("1 cutout has none:"), "{said}");
    assert!(said.contains(r"\u{202e}gpj.dneb\u{1b}[31m: "), "{said}");
    assert!(!said.contains(['\u{202e}', '\u{1b}']), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before + 1, "nothing elsewhere");
    let rows = lines(&path("why"));
    assert_eq!(rows.iter().map(|line| line[0].as_str()).collect::<Vec<_>>(), ids);
    for line in &rows {
        assert!(!line[1].contains(['/', '\\', '<', '\n', '"']), "{line:?}");
        assert_eq!(png(&path("why").join(&line[1])).1, 728);
    }
    // The maps' files, and a picture each.
    assert_eq!(fs::read_dir(path("why")).unwrap().count(), 3 + ids.len());
}
