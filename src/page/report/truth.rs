//! The part of a catalog's page that holds it against known labels: how good labels and
//! confidences are, what a cut keeps, and the worst mistakes.

use maud::{Markup, html};

use super::galaxies::Galaxies;
use super::heat::Heat;
use super::html::{foreign, panel};
use super::labelled::Labelled;
use crate::draw::chart::axis::Axis;
use crate::draw::chart::lines::{self, Bin, Chart, Line};
use crate::draw::chart::{matrix, percent};
use crate::metrics::ClassificationReport;
use crate::storage::shown;
use crate::words::count;

/// What is said of known labels; `mistakes` are places of rows, the worst first.
pub(super) fn how_good(
    names: &[String],
    known: &Labelled,
    mistakes: &[u64],
    galaxies: &Galaxies,
    heat: Option<&Heat>,
) -> Markup {
    let report = ClassificationReport::new(&known.confusion, Some(&known.calibration));
    let bins: Vec<Bin> = known
        .calibration
        .bins()
        .iter()
        .filter(|bin| bin.count > 0)
        .map(|bin| Bin {
            rows: bin.count,
            right: bin.correct,
            confidence: bin.confidence / bin.count as f64,
        })
        .collect();
    let example = |truth, said| known.example(truth, said).map(|place| format!("#row-{place}"));
    let curve = |what: &str, pick: fn(&(f64, f64, f64)) -> f64| {
        let of = |(place, name): (usize, &String)| Line {
            name: shown::line(name),
            colour: place,
            dashed: place >= 8,
            points: known.cuts(place).iter().map(|cut| (cut.0, pick(cut))).collect(),
        };
        Chart {
            title: format!("The {what} of what a cut keeps"),
            across: Axis::new("least confidence that is kept", 0.2, 1.0, 5),
            up: Axis::new(what, 0.0, 1.0, 5),
            lines: names.iter().enumerate().map(of).collect(),
        }
    };
    let macros = report.macro_average;
    html! {
        p {
            (count(known.rows)) " rows have a label and a known one"
            @if let Some(split) = known.split { " of the split " (split.name()) }
            "; " strong { (percent(report.correct, report.total)) } " agree"
            @if let Some(error) = report.expected_calibration_error.filter(|_| known.rows > 0) {
                ", and confidences are off by " (format!("{:.1} %", 100.0 * error))
                " in the mean (expected calibration error, 15 bins)"
            }
            "."
        }
        p class="note" {
            (count(known.labels)) " labels are known; "
            (count(known.without_row())) " of them are of no row"
            @if known.rejected > 0 { ", " (count(known.rejected)) " of rows without a label" }
            "."
        }
        @for note in &known.notes { p class="warn" { (foreign(note)) } }
        @if known.rows > 0 {
            div class="scroll" {
                table class="sorts" {
                    thead { tr {
                        th { "class" } th class="number" { "known" } th class="number" { "labelled" }
                        th class="number" { "completeness" } th class="number" { "purity" } th class="number" { "F1" }
                        th class="number" { "mean confidence" } th class="number" { "calibration error" } th class="number" { "by chance" }
                    } }
                    tbody {
                        @for (place, class) in report.classes.iter().enumerate() {
                            @let of = &known.by_class[place];
                            @let sum: f64 = of.bins().iter().map(|bin| bin.confidence).sum();
                            tr {
                                td { (foreign(&class.class)) }
                                td class="number" { (count(class.support)) }
                                td class="number" { (count(class.predictions)) }
                                td class="number" { (defined(class.recall, class.support)) }
                                td class="number" { (defined(class.precision, class.predictions)) }
                                td class="number" { (defined(class.f1, class.support + class.predictions)) }
                                td class="number" { (defined(sum / class.predictions.max(1) as f64, class.predictions)) }
                                td class="number" { (defined(of.expected_error(), class.predictions)) }
                                td class="number" { (defined(of.chance_error(), class.predictions)) }
                            }
                        }
                    }
                    tfoot { tr {
                        th { "mean over classes" } td {} td {}
                        td class="number" { (format!("{:.4}", macros.recall)) }
                        td class="number" { (format!("{:.4}", macros.precision)) }
                        td class="number" { (format!("{:.4}", macros.f1)) } td {} td {} td {}
                    } }
                }
            }
            div class="panels two" {
                (panel("What was taken for what", &html! {
                    (matrix::matrix(names, &known.confusion.rows(), &example))
                    p class="note" { "A mistake leads to the surest of its kind." }
                }))
                (panel("How often confidences are right", &html! {
                    (lines::reliability("Fraction right by confidence", &bins))
                    p class="note" { "On the dashed line a confidence of 0.9 is right nine times in ten. Bars: one standard error." }
                }))
                (panel("Purity of what a cut keeps", &curve("purity", |c| c.1).on_page()))
                (panel("Completeness of what a cut keeps", &curve("completeness", |c| c.2).on_page()))
            }
            @if !mistakes.is_empty() {
                h3 { "The surest mistakes" }
                p class="note" {
                    "Known label → label. Some of them will be the known labels' mistakes."
                    @if heat.is_some() {
                        " Beside each picture, where the network that went wrong saw what speaks for its answer, and "
                        "for the one that would have been right: light is what does, and each map has its own scale."
                    } @else { " With --model, each would have its heat maps." }
                }
                div class=(if heat.is_some() { "pictures mistakes" } else { "pictures" }) {
                    @for place in mistakes {
                        @let truth = known.truth(*place).map(|truth| names[truth].as_str());
                        (galaxies.figure(*place, truth, heat.map_or(&[][..], |heat| heat.of_row(*place))))
                    }
                }
            }
        }
    }
}

/// A fraction, if there is anything that it is of.
fn defined(value: f64, of: u64) -> String {
    if of == 0 { "–".to_owned() } else { format!("{value:.4}") }
}
