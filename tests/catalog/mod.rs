//! The run folder: what it promises to whoever reads, kills, fills up, damages
//! or shares it.
#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failure of its test")]

use std::path::{Path, PathBuf};

use hiwl::catalog::{CatalogError, PartWriter, Row};
use hiwl::cutout::{Reason, Rejection, SkyPosition};
use hiwl::engine::Precision;
use hiwl::run::{Claimed, InputsWriter, ModelIdentity, RowRange, RunError, RunFolder, Settings};
use hiwl::source::{Entry, Locator};
use hiwl::tree::{Naming, Prediction, Stage2, hiwl};
use serde_json::json;

mod damage;
mod folder;
mod formats;
mod killed;
mod readers;

/// Settings of a run over `rows` made-up cutouts.
pub(crate) fn settings(range_size: u64) -> Settings {
    Settings {
        inputs: vec!["/data/galaxies".into()],
        band_pattern: None,
        bands: vec!["i".into(), "r".into(), "g".into()],
        id_column: None,
        image_column: None,
        mosaics: None,
        carry: Vec::new(),
        join: None,
        model: ModelIdentity {
            digest: "ab".repeat(32),
            name: "narrow".into(),
            untrained: true,
            scheme: None,
            oddness: false,
            features: None,
            naming: Naming::default(),
        },
        preparation: json!({"size": 240, "rgb": {"name": "lupton", "stretch": 0.1}}),
        colours: None,
        colours_asked: false,
        stage2: Stage2::Routed,
        engine: None,
        precision: Precision::F32,
        range_size,
        usual_ranges: false,
    }
}

/// Cutout `index`: every seventh is rejected, some ids are Greek and Chinese.
pub(crate) fn entry(index: u64) -> Entry {
    let id = match index % 5 {
        0 => format!("γαλαξίας {index}"),
        1 => format!("星系-{index}🌌"),
        _ => format!("J{index:09}"),
    };
    let position =
        SkyPosition { ra: index as f64 * 0.37 % 360.0, dec: (index % 180) as f64 - 89.5 };
    Entry {
        source: format!("/data/galaxies/{index}.jpg"),
        locator: Locator::File(format!("/data/galaxies/{index}.jpg").into()),
        position: (!index.is_multiple_of(3)).then_some(position),
        id,
    }
}

/// The row of an entry: values that follow from its index alone.
pub(crate) fn row(index: u64, entry: &Entry) -> Row {
    let p = |k: u64| ((index * 7 + k * 13) % 100) as f32 / 100.0;
    let class = (index % 5) as usize;
    let label = hiwl().classes()[class].name.as_str();
    let outcome = if index.is_multiple_of(7) {
        let reason = Reason::ALL[(index / 7) as usize % Reason::ALL.len()];
        Err(Rejection::new(reason, format!("made up: {index} “é”")))
    } else {
        // CRS, IBS, SPI, CSS+EO; CSS, EO.
        let fine = |k| matches!(label, "CSS" | "EO").then_some(p(k));
        let probabilities =
            [Some(p(1)), Some(p(2)), Some(p(3)), Some(p(4)), fine(5), fine(6)].into();
        Ok(Prediction {
            class,
            confidence: p(0),
            probabilities,
            concentrations: Box::default(),
            oddness: None,
            feature: Vec::new(),
        })
    };
    Row {
        index,
        id: entry.id.clone(),
        source: entry.source.clone(),
        position: entry.position,
        note: None,
        outcome,
    }
}

/// The label of a row, "" for a rejected one.
pub(crate) fn label(row: &Row) -> &'static str {
    row.outcome.as_ref().map_or("", |p| hiwl().classes()[p.class].name.as_str())
}

/// The probability of an answer, such as `shape/CRS`.
pub(crate) fn probability(row: &Row, answer: &str) -> Option<f32> {
    row.outcome.as_ref().ok()?.probabilities[hiwl().answer(answer)?]
}

pub(crate) fn list(rows: u64) -> impl Fn(&mut InputsWriter) -> Result<(), RunError> {
    move |writer| (0..rows).try_for_each(|index| writer.push(&entry(index)))
}

pub(crate) fn plan(dir: &Path, rows: u64, range_size: u64) -> RunFolder {
    RunFolder::open_or_create(dir, &settings(range_size), &(), list(rows)).expect("a plan")
}

/// Writes one range, if it is free.
pub(crate) fn write_range(
    run: &RunFolder,
    range: RowRange,
) -> Result<Option<PathBuf>, CatalogError> {
    let Claimed::Ours(claim) = run.claim(range.index)? else { return Ok(None) };
    let (entries, carried) = run.inputs().range(range.index)?;
    let mut part = PartWriter::create(run, claim, carried)?;
    for (index, entry) in (range.first..).zip(&entries) {
        part.push(&row(index, entry))?;
    }
    part.commit().map(Some)
}

pub(crate) fn write_missing(run: &RunFolder) -> Result<(), CatalogError> {
    run.missing_ranges(None)?.into_iter().try_for_each(|range| write_range(run, range).map(drop))
}

/// A complete run.
pub(crate) fn complete(dir: &Path, rows: u64, range_size: u64) -> RunFolder {
    let run = plan(dir, rows, range_size);
    write_missing(&run).expect("every part");
    run
}

/// The names and bytes of the files in a folder, sorted.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a file"))
        })
        .collect();
    files.sort();
    files
}
