//! A table's rows beside the paper's figures, as Markdown and as CSV.

use std::fmt::Write as _;
use std::path::Path;

use super::Score;
use super::paper::{Row, Table};
use crate::cli::terminal::{format, shown};

/// What a reader has to know of the figures.
pub struct About<'a> {
    /// Of the budgets.
    pub budget: &'static str,
    /// Whether networks were narrow.
    pub narrow: bool,
    /// What was scored.
    pub split: &'static str,
    /// What the networks started from.
    pub initial: Option<&'a Path>,
}

/// A mean of runs and their standard deviation (0 of one).
struct Mean {
    mean: f64,
    deviation: f64,
    runs: usize,
}

impl Mean {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let runs = values.clone().count();
        let mean = values.clone().sum::<f64>() / runs.max(1) as f64;
        let squares: f64 = values.map(|v| (v - mean).powi(2)).sum();
        let deviation = (squares / runs.saturating_sub(1).max(1) as f64).sqrt();
        Self { mean, deviation, runs }
    }

    fn text(&self) -> String {
        match self.runs {
            1 => format!("{:.4}", self.mean),
            _ => format!("{:.4} ± {:.4}", self.mean, self.deviation),
        }
    }
}

/// A figure of a row: ours and the paper's.
struct Figure {
    row: &'static str,
    recipe: &'static str,
    backbone: &'static str,
    what: String,
    ours: Mean,
    paper: Option<f64>,
}

/// A table with its figures.
pub struct Report {
    table: Table,
    figures: Vec<Figure>,
    images: u64,
    seconds: f64,
}

impl Report {
    /// Of the rows' scores, one for each run.
    pub fn new(table: Table, rows: &[Row], scores: &[Vec<Score>]) -> Self {
        let mut figures = Vec::new();
        for (row, scores) in rows.iter().zip(scores) {
            let mut add = |what: String, ours: Mean, paper| {
                let Row { name, recipe, backbone, .. } = *row;
                figures.push(Figure { row: name, recipe, backbone, what, ours, paper });
            };
            let accuracy = Mean::of(scores.iter().map(|score| score.accuracy));
            add("accuracy".into(), accuracy, Some(row.accuracy));
            let Some(first) = scores.first() else { continue };
            for (place, (class, _)) in first.recall.iter().enumerate() {
                let ours = scores.iter().filter_map(|s| s.recall.get(place)).map(|found| found.1);
                let paper = row.recall.and_then(|recall| recall.get(place).copied());
                add(format!("recall {class}"), Mean::of(ours), paper);
            }
        }
        let all = scores.iter().flatten();
        Self {
            table,
            figures,
            images: all.clone().map(|score| score.images).max().unwrap_or(0),
            seconds: all.map(|score| score.seconds).sum(),
        }
    }

    /// For people.
    pub fn markdown(&self, about: &About<'_>) -> String {
        let mut text = String::new();
        let initial = match about.initial {
            Some(path) => shown::line(path.display()),
            None => "random weights".to_owned(),
        };
        let _ = writeln!(
            text,
            "## {}, beside the paper's\n\nBudget {}, from {initial}; {} of the split {}; the paper's are of its test split. {:.0} s of training and scoring.{}\n",
            self.table.name(),
            about.budget,
            format::counted(self.images, "image", "images"),
            about.split,
            self.seconds,
            if about.narrow {
                " Narrow networks that hardly learned: the figures mean nothing."
            } else {
                ""
            },
        );
        match self.table {
            Table::Table7 => self.pairs(&mut text),
            Table::Table5 | Table::Table6 => self.columns(&mut text),
        }
        text
    }

    fn columns(&self, text: &mut String) {
        let rows: Vec<&str> = self.distinct(|figure| figure.row);
        let heads: Vec<String> = rows.iter().map(|row| format!("{row} | paper's {row}")).collect();
        let _ =
            writeln!(text, "| | {} |\n|{}", heads.join(" | "), " --- |".repeat(1 + 2 * rows.len()));
        for what in self.distinct(|figure| &figure.what) {
            let cells = rows.iter().map(|row| {
                let found = self.figures.iter().find(|f| f.row == *row && f.what == what);
                found.map_or(String::new(), |f| format!("{} | {}", f.ours.text(), told(f.paper)))
            });
            let _ = writeln!(text, "| {what} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }

    /// Each backbone plain and with HIWL.
    fn pairs(&self, text: &mut String) {
        let head = ["backbone", "plain", "with HIWL", "gain", "paper: plain", "with HIWL", "gain"];
        let _ = writeln!(text, "| {} |\n|{}", head.join(" | "), " --- |".repeat(head.len()));
        for row in self.distinct(|figure| figure.row) {
            let of = |recipe: &str| {
                let mut figures = self.figures.iter().filter(|f| f.row == row);
                figures.find(|f| f.recipe == recipe && f.what == "accuracy")
            };
            let (Some(plain), Some(hiwl)) = (of("train-plain"), of("train-hiwl")) else { continue };
            let gain = hiwl.ours.mean - plain.ours.mean;
            let paper = hiwl.paper.zip(plain.paper).map(|(hiwl, plain)| hiwl - plain);
            let _ = writeln!(
                text,
                "| {row} | {} | {} | {gain:+.4} | {} | {} | {} |",
                plain.ours.text(),
                hiwl.ours.text(),
                told(plain.paper),
                told(hiwl.paper),
                paper.map_or(String::new(), |gain| format!("{gain:+.4}")),
            );
        }
    }

    fn distinct<'a>(&'a self, of: impl Fn(&'a Figure) -> &'a str) -> Vec<&'a str> {
        let mut found = Vec::new();
        for value in self.figures.iter().map(of) {
            if !found.contains(&value) {
                found.push(value);
            }
        }
        found
    }

    /// For programs: a line a figure.
    pub fn csv(&self) -> String {
        let mut text = "row,recipe,backbone,metric,mean,deviation,runs,paper\n".to_owned();
        for Figure { row, recipe, backbone, what, ours, paper } in &self.figures {
            let paper = paper.map_or(String::new(), |value| value.to_string());
            let Mean { mean, deviation, runs } = ours;
            let _ = writeln!(
                text,
                "{row},{recipe},{backbone},{what},{mean},{deviation},{runs},{paper}"
            );
        }
        text
    }
}

fn told(figure: Option<f64>) -> String {
    figure.map_or(String::new(), |value| format!("{value:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_told_by_mean_and_spread() {
        let score = |accuracy, css| Score {
            accuracy,
            recall: vec![("CSS".into(), css)],
            images: 50,
            seconds: 1.5,
        };
        let rows = &Table::Table7.rows()[..2];
        let scores = [vec![score(0.9, 0.5), score(0.8, 0.7)], vec![score(0.95, 0.5)]];
        let report = Report::new(Table::Table7, rows, &scores);
        let csv = report.csv();
        let line = csv.lines().nth(1).unwrap();
        assert!(line.starts_with("Dieleman,train-plain,dieleman,accuracy,0.85"), "{csv}");
        let cells: Vec<&str> = line.split(',').collect();
        let deviation: f64 = cells[5].parse().unwrap();
        assert!((deviation - 0.005f64.sqrt()).abs() < 1e-12 && cells[6..] == ["2", "0.9337"]);
        let about = About { budget: "cpu", narrow: false, split: "val", initial: None };
        let text = report.markdown(&about);
        assert!(
            text.contains(
                "| Dieleman | 0.8500 ± 0.0707 | 0.9500 | +0.1000 | 0.9337 | 0.9400 | +0.0063 |"
            ),
            "{text}"
        );
        assert!(text.contains("50 images of the split val") && text.contains("4 s of"), "{text}");
    }

    #[test]
    fn tables_5_and_6_have_recalls() {
        let score = || Score {
            accuracy: 0.96,
            recall: vec![("CRS".into(), 0.97)],
            images: 50,
            seconds: 1.0,
        };
        let rows = Table::Table5.rows();
        let report = Report::new(Table::Table5, rows, &[vec![score()], vec![score()]]);
        let about = About { budget: "cpu", narrow: false, split: "test", initial: None };
        let text = report.markdown(&about);
        assert!(text.contains("| recall CRS | 0.9700 | 0.9633 | 0.9700 | 0.9763 |"), "{text}");
        assert!(text.contains("| accuracy | 0.9600 | 0.9632 | 0.9600 | 0.9590 |"), "{text}");
    }
}
