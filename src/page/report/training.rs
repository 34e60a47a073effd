//! The page of a training run: curves, what each epoch cost, how good the model is on
//! validation, and what augmentation makes of a picture.
//!
//! It is read from the run's folder alone: `run.json`, `metrics.csv`, and, once there
//! is a model, `evaluation.json`. A run that is going on has a page too.

use std::path::Path;

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::catalog::name_of;
use super::html::{Section, card, data_url, foreign, page as whole, panel};
use super::{ReportOptions, Reported};
use crate::cutout::augment::{Augmentation, Augmenter, Draws, Fill};
use crate::cutout::decode::{self, DecodeOptions};
use crate::cutout::{Decoded, RgbImage};
use crate::events::Epoch;
use crate::limits;
use crate::page::chart::axis::Axis;
use crate::page::chart::lines::{Line, lines};
use crate::page::chart::{count, matrix, percent};
use crate::page::{PageError, raster};
use crate::source::Locator;
use crate::source::read::Reader;
use crate::storage::{StorageError, file, shown};
use crate::train::history;

/// What `evaluation.json` says, as far as the page tells it.
#[derive(Debug, Deserialize)]
struct Evaluation {
    total: u64,
    correct: u64,
    classes: Vec<OfClass>,
    confusion: Vec<Vec<u64>>,
    expected_calibration_error: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct OfClass {
    class: String,
    support: u64,
    predictions: u64,
    recall: f64,
    precision: f64,
    f1: f64,
}

/// The page, and what is on it.
pub(super) fn page(options: &ReportOptions) -> Result<(String, Reported), PageError> {
    let dir = &options.run;
    let run: Value = read_json(&dir.join("run.json"))?;
    let metrics = dir.join("metrics.csv");
    // Before the first epoch is over there are none.
    let epochs = if metrics.exists() { history::read(&metrics)? } else { Vec::new() };
    let evaluation = dir.join("evaluation.json");
    let evaluation: Option<Evaluation> =
        evaluation.exists().then(|| read_json(&evaluation)).transpose()?;
    let mut models: Vec<&str> = Vec::new();
    for epoch in &epochs {
        if !models.contains(&epoch.model.as_str()) {
            models.push(&epoch.model);
        }
    }

    let mut sections = Vec::new();
    if !epochs.is_empty() {
        let content = curves(&models, &epochs);
        sections.push(Section { id: "curves", title: "Curves", content });
        let content = costs(&models, &epochs);
        sections.push(Section { id: "epochs", title: "What each epoch cost", content });
    }
    if let Some(evaluation) = &evaluation {
        let content = how_good(evaluation);
        sections.push(Section { id: "validation", title: "On validation", content });
    }
    let augmentation = Augmentation::deserialize(&run["recipe"]["augmentation"]).ok();
    let (mut pictures, mut without) = (0, 0);
    if let Some(augmentation) = &augmentation {
        let content = match &options.example {
            Some(path) => {
                let seed = run["recipe"]["seed"].as_u64().unwrap_or(0);
                let (content, there, gone) = augmented(augmentation, path, seed)?;
                (pictures, without) = (there, gone);
                content
            }
            None => html! { p class="note" {
                "A run does not keep its pictures: --example IMAGE shows on one what happens to them."
            } },
        };
        sections.push(Section { id: "augmentation", title: "Augmentation", content });
    }
    let content = provenance(&run);
    sections.push(Section { id: "provenance", title: "Provenance", content });

    let lead = lead(&run, &models, &epochs, evaluation.as_ref());
    let page = whole(&name_of(dir), &lead, &sections);
    let rows = epochs.len() as u64;
    Ok((page, Reported { bytes: 0, rows, pictures, without }))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, PageError> {
    let bytes = file::read(path, limits::settings::JSON).map_err(StorageError::io("read", path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| PageError::BadFile { path: path.to_owned(), what: error.to_string() })
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

fn lead(run: &Value, models: &[&str], epochs: &[Epoch], found: Option<&Evaluation>) -> Markup {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let seconds: f64 = epochs.iter().map(|epoch| epoch.seconds).filter(|s| s.is_finite()).sum();
    let images = |name: &str| run[name].as_u64().map(count);
    html! {
        p class="soft" {
            "A training run"
            @if let Some(name) = text(&run["recipe"]["name"]) { " by the recipe " (foreign(&name)) }
            "."
            @if let Some(title) = text(&run["recipe"]["title"]) { " " (foreign(&title)) }
        }
        @if found.is_none() { p class="warn" { "There is no model yet: the run is going on, or was stopped." } }
        div class="cards" {
            @if let Some(images) = images("train_images") { (card(&images, "training images")) }
            @if let Some(images) = images("val_images") { (card(&images, "validation images")) }
            (card(&models.len().to_string(), "networks that learned"))
            (card(&epochs.len().to_string(), "epochs"))
            (card(&duration(seconds), "in all epochs"))
            @if let Some(found) = found {
                (card(&percent(found.correct, found.total), "right on validation"))
            }
        }
    }
}

fn curves(models: &[&str], epochs: &[Epoch]) -> Markup {
    let last = epochs.iter().map(|epoch| epoch.epoch).max().unwrap_or(1).max(2);
    let across = || Axis::new("epoch", 1.0, f64::from(last), last.min(6)).whole();
    let curve = |train: fn(&Epoch) -> f64, val: fn(&Epoch) -> f64| -> Vec<Line> {
        let mut all = Vec::new();
        for (place, model) in models.iter().enumerate() {
            for (what, of, dashed) in [("training", train, true), ("validation", val, false)] {
                let of_model = epochs.iter().filter(|epoch| epoch.model == *model);
                let points = of_model.map(|epoch| (f64::from(epoch.epoch), of(epoch))).collect();
                let name = format!("{}, {what}", shown::line(model));
                all.push(Line { name, colour: place, dashed, points });
            }
        }
        all
    };
    let loss = curve(|epoch| epoch.train_loss, |epoch| epoch.val_loss);
    let accuracy = curve(|epoch| epoch.train_accuracy, |epoch| epoch.val_accuracy);
    let values = |of: &[Line]| -> Vec<f64> {
        let values = of.iter().flat_map(|line| &line.points).map(|point| point.1);
        // A loss that diverged would flatten every other.
        values.filter(|value| value.is_finite() && value.abs() < 1e9).collect()
    };
    let least = values(&accuracy).into_iter().fold(1.0, f64::min);
    let floor = (least * 20.0).floor() / 20.0;
    html! {
        div class="panels two" {
            (panel("Loss", &lines("Loss over epochs", &across(), &Axis::from_zero("loss", values(&loss), false), &loss)))
            (panel("Accuracy", &lines("Accuracy over epochs", &across(), &Axis::new("accuracy", floor, 1.0, 5), &accuracy)))
            @for model in models {
                @let recall = recall(model, epochs);
                @if recall.len() > 1 {
                    @let least = values(&recall).into_iter().fold(1.0, f64::min);
                    @let floor = (least * 20.0).floor() / 20.0;
                    (panel(&format!("Recall on validation: {}", shown::line(model)), &lines(
                        "Recall over epochs", &across(), &Axis::new("recall", floor, 1.0, 5), &recall,
                    )))
                }
            }
        }
        p class="note" { "Training is measured on augmented images while they are learned, validation after the epoch." }
    }
}

/// Recall of each class that a network tells apart.
fn recall(model: &str, epochs: &[Epoch]) -> Vec<Line> {
    let mut classes: Vec<&str> = Vec::new();
    let of_model = || epochs.iter().filter(|epoch| epoch.model == model);
    for (class, _) in of_model().flat_map(|epoch| &epoch.recall) {
        if !classes.contains(&class.as_str()) {
            classes.push(class);
        }
    }
    let of = |(place, class): (usize, &&str)| {
        let value = |epoch: &Epoch| {
            let found = epoch.recall.iter().find(|(name, _)| name == class);
            (f64::from(epoch.epoch), found.map_or(f64::NAN, |(_, recall)| *recall))
        };
        let points = of_model().map(value).collect();
        Line { name: shown::line(class), colour: place, dashed: place >= 8, points }
    };
    classes.iter().enumerate().map(of).collect()
}

fn costs(models: &[&str], epochs: &[Epoch]) -> Markup {
    let whole = |model: &str, of: fn(&Epoch) -> f64| -> f64 {
        epochs.iter().filter(|epoch| epoch.model == model).map(of).filter(|v| v.is_finite()).sum()
    };
    html! {
        @for model in models {
            p {
                (foreign(model)) ": "
                (epochs.iter().filter(|epoch| epoch.model == *model).count()) " epochs in "
                (duration(whole(model, |epoch| epoch.seconds)))
            }
        }
        div class="scroll" {
            table class="sorts" {
                thead { tr {
                    th { "network" } th class="number" { "epoch" } th class="number" { "size" }
                    th class="number" { "learning rate" } th class="number" { "images/s" } th class="number" { "seconds" }
                    th class="number" { "training loss" } th class="number" { "validation loss" }
                    th class="number" { "validation accuracy" }
                } }
                tbody {
                    @for epoch in epochs {
                        tr {
                            td { (foreign(&epoch.model)) }
                            td class="number" { (epoch.epoch) }
                            td class="number" { (epoch.size) }
                            td class="number" { (format!("{:.2e}", epoch.learning_rate)) }
                            td class="number" { (format!("{:.1}", epoch.images_per_s)) }
                            td class="number" { (format!("{:.1}", epoch.seconds)) }
                            td class="number" { (format!("{:.4}", epoch.train_loss)) }
                            td class="number" { (format!("{:.4}", epoch.val_loss)) }
                            td class="number" { (format!("{:.4}", epoch.val_accuracy)) }
                        }
                    }
                }
            }
        }
    }
}

fn how_good(found: &Evaluation) -> Markup {
    let names: Vec<String> = found.classes.iter().map(|class| class.class.clone()).collect();
    let is_square = found.confusion.len() == names.len()
        && found.confusion.iter().all(|row| row.len() == names.len());
    html! {
        p {
            strong { (percent(found.correct, found.total)) } " of " (count(found.total))
            " validation images are labelled as known"
            @if let Some(error) = found.expected_calibration_error {
                "; confidences are off by " (format!("{:.1} %", 100.0 * error)) " in the mean"
            }
            "."
        }
        div class="panels two" {
            @if is_square { (panel("What was taken for what", &matrix::matrix(&names, &found.confusion, &|_, _| None))) }
            div class="scroll" {
                table class="sorts" {
                    thead { tr {
                        th { "class" } th class="number" { "known" } th class="number" { "labelled" }
                        th class="number" { "completeness" } th class="number" { "purity" } th class="number" { "F1" }
                    } }
                    tbody {
                        @for class in &found.classes {
                            tr {
                                td { (foreign(&class.class)) }
                                td class="number" { (count(class.support)) }
                                td class="number" { (count(class.predictions)) }
                                td class="number" { (format!("{:.4}", class.recall)) }
                                td class="number" { (format!("{:.4}", class.precision)) }
                                td class="number" { (format!("{:.4}", class.f1)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Pictures as a training network sees one: each step by itself, and together as
/// they are drawn. Also how many there are, and how many could not be made.
fn augmented(
    recipe: &Augmentation,
    path: &Path,
    seed: u64,
) -> Result<(Markup, u64, u64), PageError> {
    /// Draws that are shown.
    const DRAWS: u32 = 8;
    let bad = |what: String| PageError::BadFile { path: path.to_owned(), what };
    let payload = Reader::new().read(&Locator::File(path.to_owned()));
    let decoded = payload
        .and_then(|payload| decode::decode(&payload, &DecodeOptions::default()))
        .map_err(|rejection| bad(rejection.to_string()))?;
    let Decoded::Rgb(image) = decoded else {
        return Err(bad("an example is a picture (JPEG, PNG), not bands".to_owned()));
    };
    let drawn = |repeat| Draws::new(recipe, seed, 1, "example", repeat);
    let first = drawn(0);
    let plain = Draws { fill: recipe.fill, ..Draws::none(recipe.crop) };
    let plain = if recipe.fill == Fill::Black { Draws::none(recipe.crop) } else { plain };
    let mut steps = vec![("the middle of it".to_owned(), plain)];
    if recipe.rotation > 0.0 {
        let angle = if first.angle.abs() < recipe.rotation / 4.0 {
            recipe.rotation / 2.0
        } else {
            first.angle
        };
        steps.push((format!("turned by {angle:.0}°"), Draws { angle, ..plain }));
    }
    if recipe.scale != [1.0, 1.0] || recipe.aspect != [1.0, 1.0] || recipe.zoom != [1.0, 1.0] {
        let Draws { window, side, .. } = first;
        let what = format!("{} × {} pixels of it", window.width, window.height);
        steps.push((what, Draws { window, side, ..plain }));
    }
    if recipe.horizontal_flip > 0.0 {
        steps.push(("mirrored left to right".to_owned(), Draws { horizontal_flip: true, ..plain }));
    }
    if recipe.vertical_flip > 0.0 {
        steps.push(("mirrored top to bottom".to_owned(), Draws { vertical_flip: true, ..plain }));
    }
    if recipe.transpose > 0.0 {
        steps.push(("transposed".to_owned(), Draws { transpose: true, ..plain }));
    }
    if first.light != plain.light {
        steps.push(("other light".to_owned(), Draws { light: first.light, ..plain }));
    }
    let together: Vec<(String, Draws)> =
        (0..DRAWS).map(|repeat| (format!("draw {}", repeat + 1), drawn(repeat))).collect();
    let mut augmenter = Augmenter::new();
    let (mut there, mut gone) = (0, 0);
    let mut figures = |list: &[(String, Draws)]| -> Result<Markup, PageError> {
        let mut made = Vec::new();
        for (what, draws) in list {
            let picture = augmenter.apply(&image, recipe.crop, draws, recipe.crop);
            let shown = match picture {
                Ok(picture) => Ok(encoded(&picture)?),
                Err(rejection) => Err(rejection.to_string()),
            };
            *(if shown.is_ok() { &mut there } else { &mut gone }) += 1;
            made.push((what, shown));
        }
        Ok(html! {
            div class="pictures" {
                @for (what, shown) in made {
                    figure {
                        @match shown {
                            Ok(url) => { img src=(url) alt=(what) width="160" height="160"; }
                            Err(why) => { span class="empty" { (foreign(&why)) } }
                        }
                        figcaption { (what) }
                    }
                }
            }
        })
    };
    let (steps, together) = (figures(&steps)?, figures(&together)?);
    let content = html! {
        p class="note" { "What may happen to a training image, here to " (foreign(&path.display().to_string())) ", step by step:" }
        (steps)
        p class="note" { "and all of it together, as epochs draw it:" }
        (together)
    };
    Ok((content, there, gone))
}

fn encoded(picture: &RgbImage) -> Result<String, PageError> {
    Ok(data_url("image/jpeg", &raster::jpeg(&raster::fitted(picture, 200), 85)?))
}

fn provenance(run: &Value) -> Markup {
    let text = |name: &str| run[name].as_str().map(str::to_owned);
    html! {
        dl {
            @if let Some(version) = text("version") { dt { "begun by" } dd { "hiwl " (foreign(&version)) } }
            @if let Some(data) = text("data") { dt { "data" } dd { code { (foreign(&data)) } } }
            @if let Some(initial) = run["initial"].as_array() {
                dt { "began from" }
                dd { @for part in initial.iter().filter_map(Value::as_str) { code { (foreign(part)) } " " } }
            }
            @if let Some(precision) = text("precision") { dt { "precision" } dd { (foreign(&precision)) } }
        }
        details {
            summary { "Everything that decided the weights (run.json)" }
            pre { (shown::text(&format!("{run:#}"))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        let texts = [0.25, 59.4, 61.0, 3725.0].map(duration);
        assert_eq!(texts, ["0.2 s", "59.4 s", "1 min 01 s", "1 h 02 min"]);
    }
}
