//! A model that is held against labelled images: `hiwl model card`, `hiwl model calibrate`,
//! and what of them `hiwl evaluate` says too.

use std::fs;
use std::process::Output;

use crate::util::command::{Workplace, errors, simulate};
use crate::util::fixture;

/// Forty labelled galaxies, and one that nobody can read, in a folder with the model.
fn place() -> Workplace {
    let place = Workplace::new();
    simulate(&place.path("in"), 40, 5);
    fs::write(place.path("in/broken.jpg"), "no picture").unwrap();
    let mut table = csv::Reader::from_path(place.path("in/labels.csv")).unwrap();
    let head = table.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|own| own == name).unwrap();
    let mut labels = "id,label\n".to_owned();
    for row in table.records().map(Result::unwrap) {
        labels += &format!("{},{}\n", &row[at("id")], &row[at("label")]);
    }
    fs::write(place.path("good.csv"), &labels).unwrap();
    fs::write(place.path("all.csv"), labels + "broken,SPI\n").unwrap();
    fs::copy(fixture("models/untrained-nano.safetensors"), place.path("m")).unwrap();
    place
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn images_that_cannot_be_used_are_told_and_make_the_code_1() {
    let place = place();
    for command in ["card", "calibrate"] {
        let line = format!("model {command} m in --output {command}.out --labels");
        let flawed = said(&place.expect(1, &format!("{line} all.csv")));
        let words = "1 image was rejected and is not counted: broken: ";
        assert!(flawed.contains(words), "{command}: {flawed}");
        assert!(flawed.contains(&format!("  {command}.out\n")), "the model is written: {flawed}");
        assert!(place.path(&format!("{command}.out")).exists());
        // Nobody misses an image without a label.
        let well = said(&place.expect(0, &format!("{line} good.csv")));
        assert!(!well.contains("rejected"), "{well}");
    }
    let card = said(&place.expect(0, "model info card.out"));
    assert!(card.contains("% of 40 galaxies, mean F1"), "{card}");
    // One galaxy is one.
    let one = fs::read_to_string(place.path("good.csv")).unwrap();
    let one: Vec<&str> = one.lines().take(2).collect();
    fs::write(place.path("one.csv"), one.join("\n")).unwrap();
    let card = said(&place.expect(0, "model card m in --labels one.csv --output one.out"));
    assert!(card.contains("% of 1 galaxy, mean F1") && card.contains(", 1 galaxy\n"), "{card}");
}

#[test]
fn what_would_be_lost_is_refused_before_images_are_read() {
    let place = place();
    fs::write(place.path("card.md"), "\u{1b}[31mRed\n").unwrap();
    fs::write(place.path("latin.md"), b"caf\xe9").unwrap();
    let model = fs::read(place.path("m")).unwrap();
    for (command, words) in [
        ("card m in --labels good.csv --output good.csv", "is an input"),
        ("calibrate m in --labels good.csv --output m", "is an input"),
        ("oddness m in --labels good.csv --output good.csv", "is an input"),
        ("oddness m in/broken.jpg --output in/broken.jpg", "is an input"),
        ("card m in --labels good.csv --text card.md --output card.md", "is an input"),
        ("card m in --labels good.csv --text latin.md --output x", "not UTF-8"),
        ("card m in --labels good.csv --text in --output x", "a folder, not a file"),
        ("card m in --labels good.csv --text gone.md --output x", "gone.md"),
    ] {
        let refused = place.expect(64, &format!("model {command}"));
        assert!(errors(&refused).contains(words), "{command}: {}", errors(&refused));
    }
    assert_eq!(fs::read(place.path("m")).unwrap(), model);
    assert!(!place.path("x").exists());

    // What acts in a card's text is kept in the file, and spelled out once where it is shown.
    place.expect(0, "model card m in --labels good.csv --text card.md --output told");
    let shown = said(&place.expect(0, "model info told --card"));
    assert!(shown.starts_with("\\u{1b}[31mRed\n\nMeasured by hiwl "), "{shown}");
    let json = said(&place.expect(0, "model info told --json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["provenance"]["card"]["text"], "\u{1b}[31mRed\n");
}

#[test]
fn published_figures_are_printed_or_not_asked_for() {
    let place = place();
    let labels = fs::read_to_string(place.path("good.csv")).unwrap();
    let mut lines = labels.lines();
    let head = format!("{},split\n", lines.next().unwrap());
    let rows: String = lines.map(|line| format!("{line},val\n")).collect();
    fs::write(place.path("split.csv"), head + &rows).unwrap();
    let line = "evaluate in --labels split.csv --split val --model m --beside paper";
    let told = said(&place.expect(0, line));
    assert!(
        told.contains("Beside the published figures") && told.contains(", 40 images."),
        "{told}"
    );
    for flag in ["--quiet", "--json"] {
        let refused = place.expect(64, &format!("{line} {flag}"));
        assert!(errors(&refused).contains("cannot be used with"), "{}", errors(&refused));
    }
}

/// Batches overtake one another; rows come in the order of the inputs all the same.
#[test]
fn predictions_come_in_the_order_of_the_inputs() {
    let place = place();
    let line = "evaluate in --labels good.csv --model m --batch 2 --predictions";
    for name in ["a.csv", "b.csv", "c.csv"] {
        place.expect(0, &format!("{line} {name}"));
    }
    let read = |name: &str| fs::read_to_string(place.path(name)).unwrap();
    let ids: Vec<String> =
        read("a.csv").lines().skip(1).map(|row| row.split(',').next().unwrap().into()).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!((ids.len(), &ids), (40, &sorted));
    assert!(read("a.csv") == read("b.csv") && read("a.csv") == read("c.csv"));
}

#[test]
fn galaxies_that_were_learned_from_are_told() {
    let place = place();
    let labels = fs::read_to_string(place.path("good.csv")).unwrap();
    let split = |(row, line): (usize, &str)| match row {
        0 => format!("{line},split\n"),
        1..=20 => format!("{line},val\n"),
        _ => format!("{line},train\n"),
    };
    let table: String = labels.lines().enumerate().map(split).collect();
    fs::write(place.path("split.csv"), table).unwrap();
    let words = "20 galaxies are of the split train";
    for line in [
        "evaluate in --labels split.csv --model m",
        "model calibrate m in --labels split.csv --output c.out",
    ] {
        let told = said(&place.expect(0, line));
        assert!(told.contains(words), "{told}");
        let val = said(&place.expect(0, &format!("{line} --split val")));
        assert!(!val.contains("of the split train"), "{val}");
    }
    // Those of which there is no image are not held against.
    let of_val: Vec<String> = labels.lines().skip(1).take(20).map(|row| row.into()).collect();
    fs::create_dir(place.path("some")).unwrap();
    for entry in fs::read_dir(place.path("in")).unwrap() {
        let image = entry.unwrap().path();
        let stem = image.file_stem().unwrap().to_str().unwrap().to_owned();
        if of_val.iter().any(|row| row.split(',').next() == Some(&*stem)) {
            fs::copy(&image, place.path("some").join(image.file_name().unwrap())).unwrap();
        }
    }
    let told = said(&place.expect(0, "evaluate some --labels split.csv --model m"));
    assert!(told.contains("20 images with a label") && !told.contains("split train"), "{told}");
}

/// A question of which a calibration says nothing keeps its operating point, and is named.
#[test]
fn a_question_that_is_not_calibrated_is_told_and_stays() {
    let place = place();
    let labels = fs::read_to_string(place.path("good.csv")).unwrap();
    let rows = |rare: bool| {
        let is_rare = |line: &&str| line.ends_with("CSS") || line.ends_with("EO");
        let rows = labels.lines().skip(1).filter(|line| rare || !is_rare(line));
        "id,label\n".to_owned() + &rows.collect::<Vec<_>>().join("\n")
    };
    fs::write(place.path("round.csv"), rows(false)).unwrap();
    let line = "model calibrate m in --labels";
    let told = said(&place.expect(0, &format!("{line} good.csv --operating-point 0.5 -o half")));
    assert!(told.contains("chance decides"), "{told}");
    let point = |name: &str| {
        let json = said(&place.expect(0, &format!("model info {name} --json")));
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    };
    let half = point("half");
    assert_eq!(half["operating_point"]["shares"]["css-or-eo"], 0.5, "{half}");
    let from_half = "model calibrate half in --labels round.csv";
    let told = said(&place.expect(0, &format!("{from_half} --operating-point balanced -o kept")));
    assert!(told.contains("css-or-eo: no two answers are among these galaxies"), "{told}");
    let kept = point("kept");
    assert_eq!(kept["operating_point"]["shares"]["css-or-eo"], 0.5, "{kept}");
    let told =
        said(&place.expect(0, &format!("{from_half} --operating-point accurate -o accurate")));
    assert!(told.contains("its probabilities stay"), "{told}");
    let accurate = point("accurate");
    assert_eq!(accurate["operating_point"]["shares"]["css-or-eo"], 0.0, "{accurate}");
    let decisions = |of: &serde_json::Value| of["calibration"]["css-or-eo"]["decision"].clone();
    assert_eq!(decisions(&kept), decisions(&half));
    assert!(!decisions(&half).is_null() && decisions(&accurate).is_null(), "{accurate}");
    let refused = place.expect(64, &format!("{from_half} --operating-point 1 -o no"));
    assert!(errors(&refused).contains("of the question css-or-eo"), "{}", errors(&refused));
}

#[test]
fn what_speaks_against_figures_is_said_beside_json_too() {
    let place = place();
    let json = place.expect(1, "evaluate in --labels all.csv --model m --json");
    for words in ["The model is untrained", "1 image was rejected and is not counted: broken"] {
        assert!(errors(&json).contains(words), "{}", errors(&json));
    }
    assert!(serde_json::from_str::<serde_json::Value>(&said(&json)).is_ok());
    // Of no galaxy at all there is no card.
    fs::write(place.path("none.csv"), "id,label\nbroken,SPI\n").unwrap();
    let refused = place.expect(64, "model card m in --labels none.csv --output none.out");
    assert!(errors(&refused).contains("no galaxy was measured"), "{}", errors(&refused));
    // A column of splits that nobody asks for may say what it wants.
    let labels = fs::read_to_string(place.path("good.csv")).unwrap();
    let folds = |(row, line): (usize, &str)| match row {
        0 => format!("{line},split\n"),
        row => format!("{line},{}\n", row % 2),
    };
    let table: String = labels.lines().enumerate().map(folds).collect();
    fs::write(place.path("folds.csv"), table).unwrap();
    place.expect(0, "evaluate in --labels folds.csv --model m");
    place.expect(64, "evaluate in --labels folds.csv --model m --split val");
}
