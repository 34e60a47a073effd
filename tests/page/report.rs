//! `hiwl report`: what the page says is what the catalog says.

use std::fs;
use std::path::{Path, PathBuf};

use hiwl::catalog::{PartWriter, Row};
use hiwl::cutout::{Reason, Rejection, SkyPosition};
use hiwl::run::{Claimed, InputsWriter, RunError, RunFolder};
use hiwl::source::{Entry, Locator};
use hiwl::tree::Prediction;
use serde_json::Value;

use crate::catalog::{complete, entry, label, row, settings};
use crate::util::command::{assert_code, errors, run};
use crate::util::python::oracle_of;
use crate::util::{fixture, root};

/// Makes a page; what Python's parser finds in it.
fn page(run_folder: &Path, more: &[&str]) -> (PathBuf, Value) {
    let path = run_folder.with_extension("html");
    let (folder, name) = (run_folder.to_str().unwrap(), path.to_str().unwrap());
    assert_code(&run(["report", folder, "-o", name].iter().chain(more)), 0);
    // Of the standard library alone.
    let found = oracle_of(Path::new("python3"), "page.py", &[name]);
    let found: Value = serde_json::from_str(&found).unwrap();
    // Whatever is on it.
    assert_eq!(found["unknown"], serde_json::json!([]), "elements");
    assert_eq!(found["elsewhere"], serde_json::json!([]), "addresses");
    assert_eq!(found["scripts"], 1);
    assert!(found["policy"].as_str().unwrap().starts_with("default-src 'none';"));
    let ids: Vec<&str> =
        found["ids"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let distinct: std::collections::HashSet<&&str> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "an id is given once");
    for anchor in found["anchors"].as_array().unwrap() {
        assert!(ids.contains(&anchor.as_str().unwrap()), "{anchor} leads nowhere");
    }
    (path, found)
}

/// The cells of the tables of a section.
fn table<'a>(found: &'a Value, section: &str) -> Vec<Vec<&'a str>> {
    let rows = found["tables"][section].as_array().unwrap();
    let cells = |row: &'a Value| row.as_array().unwrap().iter().map(|c| c.as_str().unwrap());
    rows.iter().map(|row| cells(row).collect()).collect()
}

fn text<'a>(found: &'a Value, section: &str) -> &'a str {
    found["sections"][section].as_str().unwrap()
}

#[test]
fn a_page_says_what_the_catalog_says() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = complete(&folder.path().join("night1"), 1000, 300);
    let (_, found) = page(catalog.dir(), &[]);
    let rows: Vec<Row> = (0..1000).map(|index| row(index, &entry(index))).collect();
    let labelled = rows.iter().filter(|row| row.outcome.is_ok()).count();
    assert_eq!(found["title"], "night1");
    let top = text(&found, "top");
    assert!(top.contains("1,000rows") && top.contains(&format!("{labelled}with a label")), "{top}");
    assert!(top.contains("untrained"), "{top}");
    let counts = text(&found, "labels");
    for class in ["CRS", "IBS", "CSS", "EO", "SPI"] {
        let of_class = rows.iter().filter(|row| label(row) == class).count();
        assert!(counts.contains(&format!("{class}: {of_class} (")), "{class} {of_class}: {counts}");
    }
    // Confidences in twentieths, in the words that a chart says on hovering.
    let confidence = text(&found, "confidence");
    let of_class = |class: &str| -> Vec<f32> {
        let rows = rows.iter().filter(|row| label(row) == class);
        rows.filter_map(|row| Some(row.outcome.as_ref().ok()?.confidence)).collect()
    };
    let sure = of_class("SPI").iter().filter(|c| **c >= 0.95).count();
    assert!(confidence.contains(&format!("0.950 – 1.000: {sure}")), "{sure}: {confidence}");

    // Every status with its count and the first of its rows.
    let statuses = table(&found, "rejected");
    for reason in Reason::ALL {
        let of: Vec<&Row> =
            rows.iter().filter(|r| r.outcome.as_ref().is_err_and(|e| e.reason == reason)).collect();
        let said = statuses.iter().find(|cells| cells[0] == reason.code());
        match (said, of.first()) {
            (Some(cells), Some(first)) => {
                assert_eq!(cells[1], of.len().to_string(), "{}", reason.code());
                assert!(cells[3].starts_with(&first.id), "{cells:?}");
            }
            (None, None) => {}
            other => panic!("{}: {other:?}", reason.code()),
        }
    }

    // The rows: their cells are the catalog's values, to the last digit.
    let shown = table(&found, "rows");
    let column = |name: &str| shown[0].iter().position(|head| *head == name).unwrap();
    for cells in &shown[1..] {
        let index: u64 = cells[0].parse().unwrap();
        let truth = row(index, &entry(index));
        assert_eq!(cells[column("id")], truth.id);
        assert_eq!(cells[column("label")], label(&truth));
        let confidence = truth.outcome.as_ref().ok().map(|said| said.confidence);
        assert_eq!(cells[column("confidence")].parse::<f32>().ok(), confidence, "row {index}");
        let dec = truth.position.map(|at| at.dec);
        assert_eq!(cells[column("dec")].parse::<f64>().ok(), dec, "row {index}");
    }
    // The surest spiral and the least sure one are among them.
    let spirals = rows.iter().filter(|row| label(row) == "SPI");
    let by = |row: &&Row| row.outcome.as_ref().map_or(0.0, |said| said.confidence);
    let surest = spirals.clone().max_by(|a, b| by(a).total_cmp(&by(b))).unwrap();
    let least = spirals.min_by(|a, b| by(a).total_cmp(&by(b))).unwrap();
    for wanted in [surest, least] {
        let told = by(&wanted);
        let with = |cells: &&Vec<&str>| {
            cells[column("label")] == "SPI" && cells[column("confidence")] == told.to_string()
        };
        assert!(shown.iter().any(|cells| with(&cells)), "{told}");
    }
    // 8 surest, least sure and random ones of each class; none is odd.
    assert_eq!(found["figures"]["galaxies"], 5 * 3 * 8);
}

/// A run over rows with names and words of one's own.
fn named(dir: &Path, rows: &[(String, String, Result<Prediction, Rejection>)]) -> RunFolder {
    let list = |writer: &mut InputsWriter| -> Result<(), RunError> {
        rows.iter().try_for_each(|(id, source, _)| {
            let (id, source) = (id.clone(), source.clone());
            let locator = Locator::File(source.as_str().into());
            let position = Some(SkyPosition { ra: 10.0, dec: 1.0 });
            writer.push(&Entry { id, source, locator, position })
        })
    };
    let run = RunFolder::open_or_create(dir, &settings(100), &(), list).unwrap();
    for range in run.ranges() {
        let Claimed::Ours(claim) = run.claim(range.index).unwrap() else { panic!("it is free") };
        let (entries, carried) = run.inputs().range(range.index).unwrap();
        let mut part = PartWriter::create(&run, claim, carried).unwrap();
        for (index, Entry { id, source, position, .. }) in (range.first..).zip(entries) {
            let outcome = rows[index as usize].2.clone();
            part.push(&Row { index, id, source, position, note: None, outcome }).unwrap();
        }
        part.commit().unwrap();
    }
    run
}

fn said(class: usize, confidence: f32) -> Result<Prediction, Rejection> {
    let probabilities = [Some(0.25), Some(0.25), Some(0.25), Some(0.25), None, None].into();
    Ok(Prediction {
        class,
        confidence,
        probabilities,
        concentrations: Box::default(),
        oddness: None,
        feature: Vec::new(),
    })
}

#[test]
fn hostile_names_come_out_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'; alert(1); '",
        "line\nbreak\r\n<b>",
        "\u{202e}gpj.exe\u{2066}",
        "</td></tr></table><h1>",
        "&lt;already&gt; &amp; &#x3c;",
        "--> <!-- ]]>",
        "javascript:alert(1)",
        "NGC 1300 — Ωμέγα 🌌 银河",
    ];
    let rows: Vec<_> = hostile
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let outcome = match at % 2 {
                0 => said(at % 5, 0.5),
                // The first row of each status is shown.
                _ => Err(Rejection::new(Reason::ALL[at], format!("found {name}"))),
            };
            ((*name).to_owned(), format!("/data/{name}/{name}.jpg"), outcome)
        })
        .collect();
    let catalog = named(&folder.path().join("<i>night & day"), &rows);
    let (path, found) = page(catalog.dir(), &[]);
    // Python's parser gives back the names, spelled where they would act.
    let shown = table(&found, "rows");
    let ids: Vec<&str> = shown[1..].iter().map(|cells| cells[1]).collect();
    assert!(ids.contains(&"<script>alert(1)</script>") && ids.contains(&"javascript:alert(1)"));
    assert!(ids.contains(&"line\\nbreak\\r\\n<b>") && ids.contains(&"\\u{202e}gpj.exe\\u{2066}"));
    assert!(
        ids.contains(&"&lt;already&gt; &amp; &#x3c;") && ids.contains(&"NGC 1300 — Ωμέγα 🌌 银河")
    );
    assert_eq!(found["title"], "<i>night & day");
    let page = fs::read_to_string(path).unwrap();
    assert!(!page.contains('\u{202e}') && !page.contains("<img src=x"));
    assert_eq!(page.matches("<script>").count(), 1, "its own");

    // As pixels of a sheet they are letters; there is no picture of any.
    let sheet = folder.path().join("sheet.png");
    let output =
        run(["catalog", catalog.dir().to_str().unwrap(), "--sheet", sheet.to_str().unwrap()]);
    assert_code(&output, 1);
    assert!(errors(&output).contains("10 of 10 rows have no picture"), "{}", errors(&output));
    assert!(fs::read(&sheet).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn known_labels_give_what_scikit_learn_gives() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["CRS", "IBS", "CSS", "EO", "SPI"];
    // 200 rows, of which some are mistaken, some rejected, some have no known label.
    let rows: Vec<_> = (0..200usize)
        .map(|at| {
            let outcome = match at % 19 {
                0 => Err(Rejection::new(Reason::Blank, "nothing")),
                _ => said(
                    if at % 7 == 0 { (at + 1) % 5 } else { at % 5 },
                    0.5 + (at % 50) as f32 / 100.0,
                ),
            };
            (format!("g{at}"), format!("/data/g{at}.jpg"), outcome)
        })
        .collect();
    let run = named(&folder.path().join("night1"), &rows);
    let mut labels = "id,label,split\n".to_owned();
    let mut known = Vec::new();
    for (at, (id, _, outcome)) in rows.iter().enumerate().filter(|(at, _)| at % 3 != 1) {
        let split = if at % 2 == 0 { "val" } else { "train" };
        labels += &format!("{id},{},{split}\n", names[at % 5]);
        if let (Ok(said), "val") = (outcome, split) {
            known.push((at % 5, said.class));
        }
    }
    labels += "elsewhere,SPI,val\n";
    let table_path = folder.path().join("labels.csv");
    fs::write(&table_path, labels).unwrap();
    let labels = table_path.to_str().unwrap();
    let (_, found) = page(run.dir(), &["--labels", labels, "--split", "val"]);
    let right = known.iter().filter(|(truth, said)| truth == said).count();
    let truth = text(&found, "truth");
    assert!(
        truth.contains(&format!(
            "{} rows have a label and a known one of the split val",
            known.len()
        ))
    );
    assert!(
        truth.contains(&format!("{:.1} % agree", 100.0 * right as f64 / known.len() as f64)),
        "{truth}"
    );
    assert!(truth.contains("1 of them are of no row"), "{truth}");
    for (class, name) in names.iter().enumerate() {
        let of = known.iter().filter(|(truth, _)| *truth == class).count();
        let said = known.iter().filter(|(_, said)| *said == class).count();
        let both = known.iter().filter(|pair| **pair == (class, class)).count();
        let cells = table(&found, "truth").into_iter().find(|cells| cells[0] == *name).unwrap();
        assert_eq!(cells[1..3], [of.to_string(), said.to_string()], "{name}");
        assert_eq!(cells[3], format!("{:.4}", both as f64 / of as f64), "{name}");
        assert_eq!(cells[4], format!("{:.4}", both as f64 / said as f64), "{name}");
    }
    let wrong = known.len() - right;
    assert_eq!(found["figures"]["truth"], wrong.min(24));
    // Without a split the page says that the model may know some of them.
    let (_, found) = page(run.dir(), &["--labels", labels]);
    assert!(text(&found, "truth").contains("split train are among them"));
}

#[test]
fn real_galaxies_have_their_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("galaxies");
    let (inputs, name) = (fixture("galaxies"), out.to_str().unwrap());
    let inputs = inputs.to_str().unwrap();
    let model = root().join("models/hiwl-b1.safetensors");
    let with = ["--model", model.to_str().unwrap()];
    assert_code(&run(["classify", inputs, "--output", name, "--quiet"].iter().chain(&with)), 0);
    // The model is right about all of them: one is said to be another.
    let labels = folder.path().join("labels.csv");
    let known = fs::read_to_string(root().join("fixtures/galaxies/labels.csv")).unwrap();
    assert!(known.contains("101074,SPI"));
    fs::write(&labels, known.replace("101074,SPI", "101074,CRS")).unwrap();
    let plain = page(&out, &["--labels", labels.to_str().unwrap()]).1;
    let more = ["--labels", labels.to_str().unwrap(), "--model", model.to_str().unwrap()];
    let (path, found) = page(&out, &more);
    let images = |found: &Value| -> Vec<String> {
        let images = found["images"].as_array().unwrap().iter();
        images.map(|alt| alt.as_str().unwrap().to_owned()).collect()
    };
    assert!(images(&found).len() > 25);
    // With the model each mistake has two heat maps, of answers of one question.
    let heat: Vec<String> = images(&found)
        .into_iter()
        .filter_map(|alt| alt.strip_prefix("what speaks for ").map(str::to_owned))
        .collect();
    let mistakes = found["figures"]["truth"].as_u64().unwrap() as usize;
    assert_eq!(mistakes, plain["figures"]["truth"].as_u64().unwrap() as usize);
    assert!(mistakes > 0, "one label is not the model's");
    assert_eq!(
        (heat.len(), images(&found).len()),
        (2 * mistakes, images(&plain).len() + heat.len())
    );
    for pair in heat.chunks(2) {
        let first = ["CRS", "IBS", "SPI", "CSS+EO"];
        assert_ne!(pair[0], pair[1]);
        assert_eq!(
            first.contains(&pair[0].as_str()),
            first.contains(&pair[1].as_str()),
            "{pair:?}"
        );
    }
    let page = fs::read_to_string(path).unwrap();
    assert!(!page.contains("class=\"empty\""), "no picture is missing");
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    assert!(text(&found, "truth").contains("25 rows have a label and a known one"));
}

#[test]
fn a_training_run_has_its_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("run1");
    fs::create_dir(&dir).unwrap();
    let augmentation = serde_json::json!({
        "crop": 240, "rotation": 25.0, "scale": [0.9, 1.0], "aspect": [0.75, 1.3333],
        "horizontal_flip": 0.5, "vertical_flip": 0.5, "transpose": 0.0
    });
    let recipe = serde_json::json!({
        "name": "train-<b>", "title": "A title", "seed": 7, "augmentation": augmentation
    });
    let settings = serde_json::json!({
        "recipe": recipe, "data": "ab", "train_images": 1200, "val_images": 300, "precision": "f32"
    });
    fs::write(dir.join("run.json"), settings.to_string()).unwrap();
    let mut metrics =
        "model,epoch,size,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy,\
                       images_per_s,seconds,recall_CRS,recall_SPI\n"
            .to_owned();
    for epoch in 1..=5 {
        metrics += &format!(
            "single,{epoch},240,1e-2,0.{},0.9,0.2{epoch},0.9{epoch},21.5,61.2,0.9,0.8\n",
            9 - epoch
        );
    }
    fs::write(dir.join("metrics.csv"), metrics).unwrap();
    let example = fixture("galaxies/101074.jpg");
    let (_, found) = page(&dir, &["--example", example.to_str().unwrap()]);
    let epochs = table(&found, "epochs");
    assert_eq!(epochs.len(), 1 + 5);
    assert_eq!(epochs[3][..3], ["single", "3", "240"]);
    assert_eq!(epochs[5][8], "0.9500");
    assert!(
        text(&found, "epochs").contains("5 epochs in 5 min 06 s"),
        "{}",
        text(&found, "epochs")
    );
    assert!(text(&found, "top").contains("There is no model yet"));
    // The image, its middle, turned, a part of it, both mirrors; and eight draws.
    assert_eq!(found["figures"]["augmentation"], 6 + 8);
    let said = text(&found, "augmentation");
    let steps =
        ["the image", "its middle, 240", "turned by", "pixels of it", "left to right", "top to"];
    let places: Vec<usize> = steps.iter().map(|step| said.find(step).expect(step)).collect();
    assert!(places.is_sorted(), "{said}");
    // What belongs to the other kind of run is refused.
    let name = dir.to_str().unwrap();
    let out = folder.path().join("x.html");
    let out = out.to_str().unwrap();
    let output = run(["report", name, "-o", out, "--labels", "labels.csv"]);
    assert_code(&output, 64);
    assert!(errors(&output).contains("training run"), "{}", errors(&output));
    assert!(!Path::new(out).exists());
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = complete(&folder.path().join("night1"), 30, 7);
    let dir = catalog.dir().to_str().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (out, model) = (at("page.html"), fixture("models/untrained-nano.safetensors"));
    let output = run(["report", dir, "-o", &out, "--model", model.to_str().unwrap()]);
    assert_code(&output, 64);
    assert!(errors(&output).contains("another model"), "{}", errors(&output));
    for inside in [at("night1/page.html"), at("night1/catalog/page.html")] {
        assert_code(&run(["report", dir, "-o", &inside]), 64);
    }
    assert_code(&run(["report", &at("nothing"), "-o", &out]), 64);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
