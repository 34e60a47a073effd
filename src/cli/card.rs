//! `hiwl model card`: a model that says what it was measured to do.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use super::evaluate::rejections;
use super::labelled::Labelled;
use super::terminal::{format, shown};
use super::{CliError, Exit, usage};
use crate::limits;
use crate::metrics::ClassificationReport;
use crate::model::card::{Card, Measured, OfClass};
use crate::storage::file;

/// Measure a model on labelled galaxies, and write what was found into it.
///
/// The card holds accuracy, recall and precision of each class, and the calibration
/// error, and a text of your own: what the model was made of and how, what it does not
/// know, its licence and whom to credit. `hiwl model info` prints it. No label changes.
/// `hiwl model average` and `calibrate` take it off again, as it is of the model as it
/// was measured: let it be the last step.
///
/// Exit code 1 if an image could not be used.
#[derive(Debug, Args)]
#[command(name = "card")]
pub struct MakeCard {
    #[command(flatten)]
    labelled: Labelled,

    /// The card's text, Markdown.  [default: the present card's, if there is one]
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
}

impl MakeCard {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let text = self.text.as_deref().map(read).transpose()?;
        let also: Vec<&Path> = self.text.iter().map(PathBuf::as_path).collect();
        let mut held = match self.labelled.hold(&also, |_| Ok(()))? {
            ControlFlow::Continue(held) => held,
            ControlFlow::Break(exit) => return Ok(exit),
        };
        if held.found.report.total == 0 {
            let why = rejections(&held.found.rejected).join("; ");
            return Err(usage(anyhow!("no galaxy was measured: no card ({why})")));
        }
        let card = &mut held.model.description.provenance.card;
        let text = text.or_else(|| card.take().map(|card| card.text)).unwrap_or_default();
        let card = card.insert(Card { measured: measured(&held.found.report), text });
        let said = lines(card);
        held.write(&said)
    }
}

/// The text of a card, which is kept as it is.
fn read(path: &Path) -> Result<String, CliError> {
    file::read_text(path, limits::model::CARD)
        .with_context(|| shown::line(path.display()))
        .map_err(usage)
}

/// What a report says, in a card's words.
fn measured(report: &ClassificationReport) -> Measured {
    let classes = report.classes.iter().map(|class| OfClass {
        class: class.class.clone(),
        galaxies: class.support,
        recall: class.recall,
        precision: class.precision,
    });
    Measured {
        program: format!("hiwl {}", env!("CARGO_PKG_VERSION")),
        galaxies: report.total,
        accuracy: report.accuracy,
        f1_macro: report.macro_average.f1,
        expected_calibration_error: report.expected_calibration_error,
        classes: classes.collect(),
    }
}

/// What was measured, as lines of `hiwl model info`.
pub(super) fn lines(card: &Card) -> String {
    let Card { measured, text } = card;
    let error = measured.expected_calibration_error;
    let error =
        error.map_or_else(String::new, |e| format!(", calibration error {:.1} %", 100.0 * e));
    let mut out = format!(
        "  {:<20}accuracy {:.2} ± {:.2} % of {}, mean F1 {:.3}{error}\n",
        "measured",
        100.0 * measured.accuracy,
        100.0 * measured.accuracy_error(),
        galaxies(measured.galaxies),
        measured.f1_macro
    );
    for class in &measured.classes {
        let name = shown::line(&class.class).to_string();
        out += &format!(
            "  {:<20}{name:<8} recall {:.3} ± {:.3}, precision {:.3}, {}\n",
            "",
            class.recall,
            class.recall_error(),
            class.precision,
            galaxies(class.galaxies)
        );
    }
    if !text.is_empty() {
        out += &format!("  {:<20}`--card` prints it\n", "card");
    }
    out
}

fn galaxies(n: u64) -> String {
    format::counted(n, "galaxy", "galaxies")
}

/// A card as Markdown: its text, and a table of what was measured. The text is the file's
/// own, whose lines `print` shows with nothing in them that acts; a name that stands within
/// a line ends none.
pub(super) fn page(card: &Card) -> String {
    let Card { measured, text } = card;
    let mut out = String::new();
    if !text.is_empty() {
        out += text.trim_end();
        out += "\n\n";
    }
    let error = measured.expected_calibration_error;
    let error = error
        .map_or_else(String::new, |e| format!(", expected calibration error {:.1} %", 100.0 * e));
    let within = |name: &str| name.replace(['\n', '\r'], " ");
    out += &format!(
        "Measured by {} on {}: accuracy {:.2} ± {:.2} %, mean F1 of the classes {:.3}{error}.\n\n\
         | class | recall | precision | galaxies |\n| --- | --- | --- | --- |\n",
        within(&measured.program),
        galaxies(measured.galaxies),
        100.0 * measured.accuracy,
        100.0 * measured.accuracy_error(),
        measured.f1_macro
    );
    for class in &measured.classes {
        out += &format!(
            "| {} | {:.3} ± {:.3} | {:.3} | {} |\n",
            within(&class.class).replace('|', "\\|"),
            class.recall,
            class.recall_error(),
            class.precision,
            format::count(class.galaxies)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(galaxies: u64, class: &str, text: &str) -> Card {
        let class = OfClass { class: class.to_owned(), galaxies, recall: 1.0, precision: 0.5 };
        let measured = Measured {
            program: "hiwl 0".into(),
            galaxies,
            accuracy: 1.0,
            f1_macro: 0.75,
            expected_calibration_error: Some(0.031),
            classes: vec![class],
        };
        Card { measured, text: text.to_owned() }
    }

    #[test]
    fn one_galaxy_is_one() {
        let of = |galaxies| lines(&card(galaxies, "SPI", ""));
        assert!(of(1).contains("% of 1 galaxy, mean") && of(1).ends_with("0.500, 1 galaxy\n"));
        assert!(of(2000).contains("2,000 galaxies, mean"), "{}", of(2000));
        assert!(page(&card(1, "SPI", "")).starts_with("Measured by hiwl 0 on 1 galaxy: "));
    }

    #[test]
    fn a_page_is_the_text_and_a_table_that_no_name_breaks() {
        // What acts is left to whoever prints, who spells it out once.
        let text = "# \u{1b}[31mRed\n\n\tof `\\u{1b}`\n";
        let page = page(&card(3, "a|b\nc", text));
        assert!(page.starts_with("# \u{1b}[31mRed\n\n\tof `\\u{1b}`\n\nMeasured by"), "{page}");
        assert!(page.ends_with("\n| a\\|b c | 1.000 ± 0.000 | 0.500 | 3 |\n"), "{page}");
        let shown = shown::text(&page);
        assert!(shown.starts_with("# \\u{1b}[31mRed\n\n\tof `\\u{1b}`\n\n"), "{shown}");
    }
}
