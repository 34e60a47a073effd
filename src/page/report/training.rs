//! The page of a training run: curves, what each epoch cost, how good the model is on
//! validation. What augmentation makes of a picture is `augmentation`'s.
//!
//! It is read from the run's folder alone: `run.json`, `metrics.csv`, and, once there
//! is a model, `evaluation.json`. A run that is going on has a page too.

use std::path::Path;

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::augmentation::augmented;
use super::catalog::name_of;
use super::html::{Section, card, foreign, page as whole, panel};
use super::{ReportOptions, Reported};
use crate::cutout::augment::Augmentation;
use crate::draw::chart::{matrix, percent};
use crate::events::Epoch;
use crate::limits;
use crate::page::PageError;
use crate::storage::{StorageError, file, shown};
use crate::train::{curves, history};
use crate::words::count;

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
    let models = curves::networks(&epochs);

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
    let [loss, accuracy] = curves::charts(epochs);
    html! {
        div class="panels two" {
            (panel("Loss", &loss.on_page()))
            (panel("Accuracy", &accuracy.on_page()))
            @for model in models {
                @if let Some(recall) = curves::recall(epochs, model) {
                    (panel(&format!("Recall on validation: {}", shown::line(model)), &recall.on_page()))
                }
            }
        }
        p class="note" { "Training is measured on augmented images while they are learned, validation after the epoch." }
    }
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
