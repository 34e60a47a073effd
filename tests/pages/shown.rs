//! What the pages show, in pictures, tables and numbers, is what the program makes.
//! Times are no test's: their tables are held against the recorded runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use hiwl::cutout::decode::{DecodeOptions, decode};
use hiwl::cutout::{Decoded, Payload, Reason, RgbImage};
use serde_json::Value;

use super::shipped;
use crate::util::catalog::column;
use crate::util::command::{Workplace, assert_code, hiwl};
use crate::util::python::interpreter;
use crate::util::{real_data, root};

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The pixels of a JPEG or PNG.
fn picture(path: &Path) -> RgbImage {
    match decode(&Payload::Single(fs::read(path).unwrap()), &DecodeOptions::default()) {
        Ok(Decoded::Rgb(image)) => image,
        other => panic!("{}: {other:?}", path.display()),
    }
}

/// How far two pictures differ where they differ most, by the mean over each tile of so
/// many pixels a side.
fn worst_tile(a: &RgbImage, b: &RgbImage, tile: usize) -> f64 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let mut tiles = BTreeMap::<(usize, usize), (f64, f64)>::new();
    for row in 0..a.height {
        for column in 0..3 * a.width {
            let at = 3 * a.width * row + column;
            let sum = tiles.entry((row / tile, column / 3 / tile)).or_default();
            sum.0 += f64::from(a.pixels[at].abs_diff(b.pixels[at]));
            sum.1 += 1.0;
        }
    }
    tiles.values().map(|(sum, count)| sum / count).fold(0.0, f64::max)
}

/// `hiwl ARGUMENTS` by the model that ships.
fn run(place: &Workplace, arguments: &str) -> String {
    let mut hiwl = hiwl();
    hiwl.env("HIWL_MODEL", shipped()).current_dir(place.folder());
    let output = hiwl.args(arguments.split(' ')).output().unwrap();
    assert_code(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

/// A copy of a picture in JPEG, as the pages have theirs.
fn as_jpeg(from: &Path, to: &Path) {
    let code = "import sys; from PIL import Image\n\
                Image.open(sys.argv[1]).save(sys.argv[2], quality=88, optimize=True)";
    let saved = Command::new(interpreter()).args(["-c", code]).args([from, to]).status().unwrap();
    assert!(saved.success());
}

#[test]
fn the_readmes_galaxies_have_the_labels_that_they_are_shown_with() {
    let place = Workplace::new();
    let galaxies = root().join("fixtures/galaxies");
    run(&place, &format!("classify {} --precision f32 --output run --quiet", galaxies.display()));
    // The picture has no galaxy that the volunteers label otherwise.
    let known = fs::read_to_string(galaxies.join("labels.csv")).unwrap();
    let known: BTreeMap<&str, &str> = known
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|cells| (cells[0], cells[1]))
        .collect();
    let labels = column(&place.path("run"), "label");
    let found: BTreeMap<String, String> =
        column(&place.path("run"), "id").into_iter().zip(labels).collect();
    assert_eq!(found.len(), 25);
    assert!(found.iter().all(|(id, label)| known[id.as_str()] == label), "{found:?}, {known:?}");
    let sheet = place.path("sheet.jpg");
    let drawn = Command::new(interpreter())
        .args([&root().join("docs/galaxies.py"), &galaxies, &place.path("run"), &sheet])
        .status()
        .unwrap();
    assert!(drawn.success());
    // In f32, as bfloat16 has other digits and not every processor. The last digit of a
    // confidence is the processor's all the same; a galaxy, or its place, is not.
    let worst = worst_tile(&picture(&sheet), &picture(&root().join("docs/galaxies.jpg")), 24);
    assert!(worst < 12.0, "{worst}");
}

#[test]
fn the_maps_that_are_shown_are_those_of_explain() {
    let place = Workplace::new();
    let page = page("docs/looking.md");
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, command) = words.split_once("by `hiwl explain fixtures/galaxies/{").unwrap();
    let (ids, rest) = command.split_once("}.jpg --output why --sheet figure7.png`").unwrap();
    assert!(rest.starts_with(". CSS and EO"), "{rest:.40}");
    let galaxies = root().join("fixtures/galaxies");
    let pictures: Vec<String> =
        ids.split(',').map(|id| format!("{}/{id}.jpg", galaxies.display())).collect();
    run(&place, &format!("explain {} --output why --sheet figure7.png -q", pictures.join(" ")));
    let table = fs::read_to_string(place.path("why/maps.csv")).unwrap();
    let classes: Vec<&str> =
        table.lines().skip(1).map(|line| line.split(',').nth(3).unwrap()).collect();
    assert_eq!(classes, ["CRS", "IBS", "CSS", "EO", "SPI"], "one of each, in the page's order");
    let (png, jpeg) = (place.path("figure7.png"), place.path("figure7.jpg"));
    as_jpeg(&png, &jpeg);
    let worst = worst_tile(&picture(&jpeg), &picture(&root().join("docs/explain.jpg")), 61);
    assert!(worst < 3.0, "{worst}");
}

/// Points of a map's picture, by the colour of their class.
type Classes = BTreeMap<String, Vec<(f64, f64)>>;

/// The points of a map's picture, and all texts.
fn points(svg: &str) -> (Classes, Vec<&str>) {
    let mut classes = Classes::new();
    for path in svg.split("<path ").skip(1) {
        let value = |name: &str| {
            let (_, rest) = path.split_once(&format!("{name}=\"")).unwrap();
            rest.split_once('"').unwrap().0
        };
        let places = value(" d").trim_start_matches('M').trim_end_matches("h0").split("h0M");
        let number = |text: &str| text.parse::<f64>().unwrap();
        let place = |text: &str| text.split_once(' ').map(|(x, y)| (number(x), number(y)));
        classes
            .entry(value("stroke").to_owned())
            .or_default()
            .extend(places.map(|text| place(text).unwrap()));
    }
    let texts = svg.split("<text").skip(1);
    (classes, texts.map(|text| text.split(['>', '<']).nth(1).unwrap()).collect())
}

/// The share of points whose nearest is of their class.
fn among_their_own(classes: &Classes) -> f64 {
    let all: Vec<(usize, (f64, f64))> = classes
        .values()
        .enumerate()
        .flat_map(|(class, places)| places.iter().map(move |place| (class, *place)))
        .collect();
    let nearest = |at: usize| {
        let (_, (x, y)) = all[at];
        let others = all.iter().enumerate().filter(|(other, _)| *other != at);
        let far = |place: (f64, f64)| (place.0 - x).powi(2) + (place.1 - y).powi(2);
        others.min_by(|a, b| far(a.1.1).total_cmp(&far(b.1.1))).unwrap().1.0
    };
    let own = (0..all.len()).filter(|at| nearest(*at) == all[*at].0).count();
    own as f64 / all.len() as f64
}

#[test]
fn the_map_that_is_shown_is_that_of_validation() {
    let Some(data) = real_data() else { return };
    let place = Workplace::new();
    let galaxies = data.join("galaxies");
    fs::copy(galaxies.join("labels.csv"), place.path("labels.csv")).unwrap();
    std::os::unix::fs::symlink(galaxies.join("val-00.tar"), place.path("val.tar")).unwrap();
    let page = page("docs/looking.md");
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for command in
        ["hiwl embed val.tar --output val", "hiwl map val --labels labels.csv --picture map.svg"]
    {
        assert!(words.contains(&format!("`{command}`")), "{command}");
        run(&place, command.trim_start_matches("hiwl "));
    }
    let (found, shown) =
        (fs::read_to_string(place.path("map.svg")).unwrap(), self::page("docs/map.svg"));
    let ((found, said), (shown, says)) = (points(&found), points(&shown));
    assert_eq!(said, says);
    assert!(said[0].contains("2,878 galaxies"), "{said:?}");
    let counts = |classes: &Classes| -> Vec<(String, usize)> {
        classes.iter().map(|(colour, places)| (colour.clone(), places.len())).collect()
    };
    assert_eq!(counts(&found), counts(&shown));
    assert_eq!(found.values().map(Vec::len).sum::<usize>(), 2_878);
    // Where a point lies is the processor's, among what it lies is not.
    let (ours, theirs) = (among_their_own(&found), among_their_own(&shown));
    assert!(ours > 0.9 && (ours - theirs).abs() < 0.03, "{ours}, and {theirs} in the picture");
}

/// The cells of the rows of a page's table, from the line that begins it on.
fn table<'a>(page: &'a str, begins: &str) -> Vec<Vec<&'a str>> {
    let rows = page.lines().skip_while(|line| !line.starts_with(begins)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let found: Vec<Vec<&str>> =
        rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert!(!found.is_empty(), "no table {begins}");
    found
}

#[test]
fn the_models_figures_are_those_of_evaluate() {
    let Some(data) = real_data() else { return };
    let (place, galaxies) = (Workplace::new(), data.join("galaxies"));
    let said = run(
        &place,
        &format!(
            "evaluate {} --labels {} --precision f32 --json",
            galaxies.join("val-00.tar").display(),
            galaxies.join("labels.csv").display()
        ),
    );
    let said: Value = serde_json::from_str(&said).unwrap();
    let (readme, model) = (page("README.md"), page("models/README.md"));
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (readme, words) = (one_line(&readme), one_line(&model));

    // Which of two answers a galaxy at the boundary gets is the processor's.
    let near = |shown: &str, found: f64, by: f64| {
        let shown: f64 = shown.parse().unwrap_or_else(|_| panic!("`{shown}` is no number"));
        assert!((shown - found).abs() <= by, "{shown} is shown, {found} was found");
    };
    let between = |text: &str, before: &str, after: &str| -> String {
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no `{before}`"));
        rest.split_once(after).unwrap_or_else(|| panic!("no `{after}`")).0.to_owned()
    };
    let number = |value: &Value| value.as_f64().unwrap();
    let accuracy = 100.0 * number(&said["accuracy"]);
    assert_eq!(said["total"], 2_878);
    near(&between(&readme, "The model that ships labels ", " % of 2,878"), accuracy, 0.11);
    near(&between(&words, "accuracy ", " ± "), accuracy, 0.11);
    let error = (accuracy * (100.0 - accuracy) / 2_878.0).sqrt();
    near(&between(&words, " ± ", " % ("), error, 0.01);
    near(&between(&words, " % (", ")").replace(',', ""), number(&said["correct"]), 3.0);
    near(
        &between(&words, "mean F1 of the classes ", ","),
        number(&said["macro_average"]["f1"]),
        0.006,
    );
    let error = 100.0 * number(&said["expected_calibration_error"]);
    near(&between(&words, "expected calibration error ", " %"), error, 0.3);
    near(&between(&readme, "confidences are off by ", " % in the mean"), error, 0.3);

    let of = |list: &str, class: &str, more: &dyn Fn(&Value) -> bool| -> Value {
        let mut entries = said[list].as_array().unwrap().iter();
        entries.find(|entry| entry["class"] == class && more(entry)).unwrap().clone()
    };
    let any = |_: &Value| true;
    let rows = table(&model, "| | recall | precision | F1 |");
    assert_eq!(rows.len(), 5);
    for row in rows {
        let class = row[0];
        let figures = of("classes", class, &any);
        // A galaxy of so few, or the two that a confidence at the cut decides on.
        let one = 1.01 / number(&figures["support"]);
        near(row[1], number(&figures["recall"]), (2.0 * one).max(0.004));
        near(row[2], number(&figures["precision"]), (2.0 * one).max(0.004));
        near(row[3], number(&figures["f1"]), (2.0 * one).max(0.004));
        let reliability = of("reliability", class, &any);
        let percent = row[4].trim_end_matches(" %");
        near(percent, 100.0 * number(&reliability["expected_error"]), 200.0 * one.max(0.004));
        let percent = row[5].trim_end_matches(" %");
        near(percent, 100.0 * number(&reliability["chance_error"]), 100.0 * one.max(0.001));
        let cut = of("cuts", class, &|cut| cut["confidence"] == 0.9);
        near(row[6], number(&cut["completeness"]), (2.0 * one).max(0.011));
        near(row[7], number(&cut["purity"]), (2.0 * one).max(0.004));
        assert_eq!(row[8].parse::<u64>().unwrap(), figures["support"].as_u64().unwrap());
        assert!(readme.contains(&format!("{class} {}", row[1])), "README: recall of {class}");
    }
}

/// Every status that a row can have is in the table of them, and no other.
#[test]
fn the_catalogs_page_has_every_status() {
    let page = page("docs/catalog.md");
    let rows = table(&page, "| status | |");
    let mut shown: Vec<&str> =
        rows.iter().flat_map(|row| row[0].split(", ").map(|name| name.trim_matches('`'))).collect();
    let mut known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    known.push("ok");
    shown.sort_unstable();
    known.sort_unstable();
    assert_eq!(shown, known);
}

/// What the README says of speed is what the page of it says, and that is what the
/// recorded runs say, to the digits that it has.
#[test]
fn speeds_are_those_that_were_recorded() {
    let (readme, speed) = (page("README.md"), page("docs/speed.md"));
    let runs = page("benches/RESULTS.md");
    let section = |title: &str| -> &str {
        let (_, rest) = runs.split_once(&format!(" · {title}\n")).unwrap();
        rest.split("\n## ").next().unwrap()
    };
    let engines =
        table(section("forward pass against other engines, f32 and bf16"), "| images/s: median");
    let number = |cell: &str| -> f64 {
        let cell = cell.trim_matches('*');
        let plain = |c: char| !c.is_ascii_digit() && c != '.';
        cell.split(plain).next().unwrap().parse().unwrap_or_else(|_| panic!("`{cell}`"))
    };
    // What is shown is what was recorded, rounded to the digits that are shown.
    let same = |what: &str, shown: &str, recorded: f64| {
        let digits = shown.trim_matches('*').split(' ').next().unwrap();
        let places = digits.split_once('.').map_or(0, |(_, behind)| behind.len());
        // 0.05 above, for a recorded figure that was rounded before.
        let by = 0.5 * 10_f64.powi(-(places as i32)) + 0.05 * f64::from(u8::from(places == 0));
        assert!((number(shown) - recorded).abs() <= by + 1e-9, "{what}: {shown}, not {recorded}");
    };
    let shown = table(&speed, "| | hiwl | best other");
    let row = |begins: &str| -> &Vec<&str> {
        shown.iter().find(|row| row[0].starts_with(begins)).unwrap_or_else(|| panic!("{begins}"))
    };
    for precision in ["bf16", "f32"] {
        for (name, column) in [
            (format!("classify, {precision}, batch 32"), 4),
            (format!("classify, {precision}, batch 8"), 3),
            (format!("one image at a time, one caller, {precision}"), 2),
        ] {
            let cell = |begins: &str| -> f64 {
                number(engines.iter().find(|row| row[0] == begins).unwrap()[column])
            };
            let others = engines.iter().filter(|row| {
                !row[0].starts_with("hiwl") && row[0].ends_with(&format!(", {precision}"))
            });
            let best = others.map(|row| number(row[column])).fold(0.0, f64::max);
            let row = row(&name);
            same(&name, row[1], cell(&format!("hiwl, {precision}")));
            same(&name, row[2], best);
            same(&name, row[3], cell(&format!("hiwl {precision} / best {precision} peer")));
        }
    }
    for (title, header, rows) in [
        ("forward pass against other engines, on a processor with AVX2", "| AVX2 | hiwl |", 4),
        ("forward pass against other engines, a caller a thread, AVX-512", "| Zen 4 | hiwl |", 8),
        (
            "forward pass against other engines, AVX-512 without bfloat16",
            "| AVX-512, f32 | hiwl |",
            4,
        ),
        (
            "forward pass against other engines, products of bytes, AVX-512",
            "| AVX-512 VNNI | hiwl |",
            4,
        ),
        ("forward pass against other engines, products of bytes, AVX2", "| AVX-VNNI | hiwl |", 4),
    ] {
        let engines = table(section(title), "| images/s: median");
        let shown = table(&speed, header);
        assert_eq!(shown.len(), rows);
        for own in shown {
            let alone = own[0].contains("one caller");
            let of = |named: &&str| own[0].contains(*named);
            let precision = ["int8", "bf16"].into_iter().find(of).unwrap_or("f32");
            let others = if own[0].contains("other f32") { "f32" } else { precision };
            let (_, column) = [("batch 32", 4), ("batch 8", 3), ("one image at a time", 2)]
                .into_iter()
                .find(|(batch, _)| own[0].contains(batch))
                .unwrap();
            let best = |ours: bool| -> f64 {
                let served = engines.iter().filter(|row| row[0].starts_with("hiwl,") == ours);
                // Nor one that could not be held to what the others were.
                let held = served.filter(|row| !row[0].contains("with AVX-512"));
                let precision = if ours { precision } else { others };
                let served = held.filter(|row| row[0].ends_with(&format!(", {precision}")));
                let waits = |row: &&&Vec<&str>| {
                    !row[0].contains("a caller a thread") && !row[0].contains("throughput")
                };
                let served = served.filter(|row| !alone || waits(&row));
                served.map(|row| number(row[column])).fold(0.0, f64::max)
            };
            same(own[0], own[1], best(true));
            same(own[0], own[2], best(false));
            let peers = format!("hiwl {precision} / best {others} peer");
            let what = if alone { format!("{peers}, one") } else { peers };
            let ratio = engines.iter().find(|row| row[0].starts_with(&what)).unwrap();
            same(own[0], own[3], number(ratio[column]));
        }
    }
    let archive = table(section("end to end, with the model that shipped then"), "| workers |");
    let half = archive.iter().find(|row| row[2] == "bf16").unwrap();
    same("archive", row("tar archive")[1], number(half[3]));
    same("archive", row("tar archive")[3], number(half[6]));
    let training = table(section("training against PyTorch"), "| | hiwl, images/s");
    let full = training.iter().find(|row| row[0] == "240 px").unwrap();
    for (shown, recorded) in row("train, batch 24, f32")[1..].iter().zip(&full[1..]) {
        same("train", shown, number(recorded));
    }
    let training = table(section("training beside PyTorch"), "| images/s: median | hiwl |");
    let half = training.iter().find(|row| row[0] == "bf16, 240 px").unwrap();
    for (shown, recorded) in row("train, batch 24, bf16")[1..].iter().zip(&half[1..]) {
        same("train", shown, number(recorded));
    }

    // The README's rows are the page's, of the largest batch.
    for own in table(&readme, "| | hiwl | other |") {
        let name = own[0].replacen("classify, bf16", "classify, bf16, batch 32", 1);
        let name = name.replacen("classify, f32", "classify, f32, batch 32", 1);
        let theirs = row(&name.replacen("train, ", "train, batch 24, ", 1));
        assert_eq!((own[1], own[2]), (theirs[1], theirs[2]), "{}", own[0]);
    }
}
