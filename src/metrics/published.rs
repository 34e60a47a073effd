//! The paper's published figures (`schemas/published.toml`) beside a report of ours, as
//! the paper's tables 3, 4 and 8 to 11, in Markdown.
//!
//! Tables 5 to 7 compare networks that are trained for it, which is not done here.
//! Invariant: a figure of another split is never put into a column without its split
//! being told.

use std::fmt::Write as _;

use serde::Deserialize;

use super::report::{Averages, ClassReport, ClassificationReport};
use crate::words::counted;

const PUBLISHED: &str = include_str!("../../schemas/published.toml");

/// What was published.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Whose figures these are.
    pub source: String,
    /// In the order of all figures by class.
    pub classes: Vec<String>,
    /// Table 3, of the test split: rows true, columns predicted.
    pub confusion: Vec<Vec<u64>>,
    /// Table 4, of the test split.
    pub metrics: Metrics,
    /// Table 8.
    pub works: Vec<Work>,
    /// Table 9, of the validation split, as the next two.
    pub recall: Vec<ByClass>,
    /// Table 10.
    pub precision: Vec<ByClass>,
    /// Table 11.
    pub f1: Vec<ByClass>,
}

/// Metrics by class, and behind them their means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Completeness.
    pub recall: Vec<f64>,
    /// Purity.
    pub precision: Vec<f64>,
    /// Their harmonic mean.
    pub f1: Vec<f64>,
}

/// A work's accuracy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// What and whose.
    pub name: String,
    /// On its validation split.
    pub val: Option<f64>,
    /// On its test split.
    pub test: Option<f64>,
    /// That it tells apart.
    pub classes: u32,
}

/// A work's figure for each class.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByClass {
    /// What and whose.
    pub name: String,
    /// In the order of the classes.
    pub values: Vec<f64>,
}

impl Published {
    /// The paper's.
    pub fn paper() -> Self {
        toml::from_str(PUBLISHED).expect("it is compiled in, and a test reads it")
    }

    /// The same classes, in the order of the figures.
    fn ours<'a>(&self, report: &'a ClassificationReport) -> Option<Vec<(usize, &'a ClassReport)>> {
        let place = |class: &String| report.classes.iter().position(|own| own.class == *class);
        let places: Option<Vec<usize>> = self.classes.iter().map(place).collect();
        let places = places.filter(|places| places.len() == report.classes.len())?;
        Some(places.into_iter().map(|place| (place, &report.classes[place])).collect())
    }

    /// Whether figures of these classes can stand beside the published ones.
    pub fn fits(&self, classes: &[&str]) -> bool {
        let has = |class: &String| classes.contains(&class.as_str());
        classes.len() == self.classes.len() && self.classes.iter().all(has)
    }

    /// The tables with what `report` says of `split`; `None` where its classes are others.
    pub fn beside(&self, report: &ClassificationReport, split: &str) -> Option<String> {
        let ours = self.ours(report)?;
        let mut text = format!(
            "Beside the published figures ({}). Here: split {split}, {}. Published tables 3 and 4 \
             are of the paper's test split, 9 to 11 of its validation split.\n",
            self.source,
            counted(report.total, "image", "images")
        );
        self.confusion(report, &ours, &mut text);
        self.metrics(report, &ours, &mut text);
        self.works(report, split, &mut text);
        let mut by_class =
            |number: u32, what: &str, rows: &[ByClass], of: fn(&ClassReport) -> f64| {
                let own = ours.iter().map(|(_, class)| of(class)).collect();
                let own = ByClass { name: format!("this model ({split})"), values: own };
                let mut head = vec![what.to_owned()];
                head.extend(self.classes.iter().cloned());
                let rows = rows.iter().chain([&own]).map(|row| {
                    let values = row.values.iter().map(|value| format!("{value:.4}"));
                    [row.name.clone()].into_iter().chain(values).collect()
                });
                table(&mut text, &format!("Table {number}: {what}"), &head, rows);
            };
        by_class(9, "recall", &self.recall, |class| class.recall);
        by_class(10, "precision", &self.precision, |class| class.precision);
        by_class(11, "F1", &self.f1, |class| class.f1);
        Some(text)
    }

    /// Fractions of the rows: the splits differ in size.
    fn confusion(
        &self,
        report: &ClassificationReport,
        ours: &[(usize, &ClassReport)],
        text: &mut String,
    ) {
        let mut head = vec!["true \\ predicted".to_owned()];
        for class in &self.classes {
            head.extend([class.clone(), format!("paper's {class}")]);
        }
        let rows = ours.iter().zip(&self.confusion).map(|((truth, class), theirs)| {
            let all: u64 = theirs.iter().sum();
            let mut row = vec![class.class.clone()];
            for ((predicted, _), theirs) in ours.iter().zip(theirs) {
                let own = report.confusion_fractions[*truth][*predicted];
                row.push(format!("{own:.4}"));
                row.push(format!("{:.4}", *theirs as f64 / all.max(1) as f64));
            }
            row
        });
        table(text, "Table 3: confusion, as fractions of each true class", &head, rows);
    }

    fn metrics(
        &self,
        report: &ClassificationReport,
        ours: &[(usize, &ClassReport)],
        text: &mut String,
    ) {
        let head = ["class", "recall", "paper's", "precision", "paper's", "F1", "paper's"];
        let Averages { recall, precision, f1 } = report.macro_average;
        let own = ours.iter().map(|(_, c)| (c.class.as_str(), [c.recall, c.precision, c.f1]));
        let own = own.chain([("mean", [recall, precision, f1])]);
        let rows = own.enumerate().map(|(place, (name, values))| {
            let theirs = [&self.metrics.recall, &self.metrics.precision, &self.metrics.f1];
            let mut row = vec![name.to_owned()];
            for (own, theirs) in values.iter().zip(theirs) {
                row.extend([format!("{own:.4}"), format!("{:.4}", theirs[place])]);
            }
            row
        });
        table(text, "Table 4: metrics by class", &head.map(str::to_owned), rows);
    }

    fn works(&self, report: &ClassificationReport, split: &str, text: &mut String) {
        let own = |name: &str| (split == name).then_some(report.accuracy);
        let own = Work {
            name: format!("this model ({split})"),
            val: own("val"),
            test: own("test"),
            classes: report.classes.len() as u32,
        };
        let told = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
        let rows = self.works.iter().chain([&own]).map(|work| {
            vec![work.name.clone(), told(work.val), told(work.test), work.classes.to_string()]
        });
        let head = ["method", "accuracy (val)", "accuracy (test)", "classes"].map(str::to_owned);
        table(text, "Table 8: accuracy", &head, rows);
    }
}

fn table(text: &mut String, title: &str, head: &[String], rows: impl Iterator<Item = Vec<String>>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{title}\n\n| {} |", head.join(" | "));
    let _ = writeln!(text, "|{}", " --- |".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Confusion;
    use crate::metrics::confusion::tests::table_3;

    #[test]
    fn the_published_figures_follow_from_the_published_matrix_but_for_one() {
        let paper = Published::paper();
        let matrix = Confusion::from_rows(&paper.classes, &paper.confusion);
        assert_eq!(matrix, table_3());
        let report = ClassificationReport::new(&matrix, None);
        assert!((report.accuracy - 0.9632).abs() < 5e-5);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-4;
        for (place, class) in report.classes.iter().enumerate() {
            assert!(close(class.recall, paper.metrics.recall[place]), "{}", class.class);
            assert!(close(class.f1, paper.metrics.f1[place]), "{}", class.class);
            let misprinted = class.class == "CSS";
            assert_eq!(close(class.precision, paper.metrics.precision[place]), !misprinted);
        }
        for rows in [&paper.recall, &paper.precision, &paper.f1] {
            assert!(rows.iter().all(|row| row.values.len() == paper.classes.len()));
        }
        // Tables 9 to 11 are of one matrix each: F1 is what the other two give.
        for ByClass { name, values } in &paper.f1 {
            let of = |rows: &[ByClass]| rows.iter().find(|row| row.name == *name).unwrap().clone();
            let (recall, precision) = (of(&paper.recall), of(&paper.precision));
            for ((f1, r), p) in values.iter().zip(recall.values).zip(precision.values) {
                assert!((f1 - 2.0 * r * p / (r + p)).abs() < 2e-4, "{name}: {f1}");
            }
        }
    }

    #[test]
    fn ours_stand_beside_them_whatever_the_order_of_classes() {
        let paper = Published::paper();
        let classes = ["SPI", "EO", "CSS", "IBS", "CRS"].map(String::from);
        let mut matrix = Confusion::new(&classes);
        // Ten of each; two EO are taken for CSS.
        for truth in 0..5 {
            (0..8).for_each(|_| matrix.add(truth, truth));
            (0..2).for_each(|_| matrix.add(truth, if truth == 1 { 2 } else { truth }));
        }
        let report = ClassificationReport::new(&matrix, None);
        let text = paper.beside(&report, "val").unwrap();
        for line in [
            "| EO | 0.0000 | 0.0000 | 0.0000 | 0.0026 | 0.2000 | 0.0281 | 0.8000 | 0.9616 | 0.0000 | 0.0077 |",
            "| CSS | 1.0000 | 0.7069 | 0.8333 | 0.7855 | 0.9091 | 0.7455 |",
            "| this model (val) | 0.9600 |  | 5 |",
            "| ANN (Reza 2021) |  | 0.9820 | 4 |",
            "| this model (val) | 1.0000 | 1.0000 | 1.0000 | 0.8000 | 1.0000 |",
            "Here: split val, 50 images.",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(
            paper
                .beside(&report, "test")
                .unwrap()
                .contains("| this model (test) |  | 0.9600 | 5 |")
        );
        let other = ClassificationReport::new(&Confusion::new(&["a", "b"].map(String::from)), None);
        assert_eq!(paper.beside(&other, "val"), None);
        assert!(!paper.fits(&["a", "b"]) && paper.fits(&["SPI", "EO", "CSS", "IBS", "CRS"]));
    }
}
