//! Every metric of an evaluation, for a person ([`Display`](fmt::Display)),
//! for a program (JSON) and for a table (CSV).

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::confidences::{self, Cut, Reliability};
use super::{
    Calibration, Confidences, Confusion, accuracy, f1, macro_average_of, precision, recall,
};
use crate::labels::table::quoted;

/// The metrics of an evaluation. Serialised, it is the JSON report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    /// Examples.
    pub total: u64,
    /// Those that were predicted right.
    pub correct: u64,
    /// Their fraction.
    pub accuracy: f64,
    /// A class each.
    pub classes: Vec<ClassReport>,
    /// Means over the classes.
    pub macro_average: Averages,
    /// Expected calibration error in 15 bins of equal width, if confidences
    /// are known.
    pub expected_calibration_error: Option<f64>,
    /// Rows true, columns predicted, in the order of `classes`.
    pub confusion: Vec<Vec<u64>>,
    /// The same as fractions of the row.
    pub confusion_fractions: Vec<Vec<f64>>,
    /// How far each class's confidences can be believed, if they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<Reliability>,
    /// What a cut on confidence keeps, if they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<Cut>,
}

/// The metrics of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// Its name.
    pub class: String,
    /// Examples.
    pub support: u64,
    /// Predictions.
    pub predictions: u64,
    /// Completeness; 0 without examples.
    pub recall: f64,
    /// Purity; 0 without predictions.
    pub precision: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

/// Macro averages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// Of recall.
    pub recall: f64,
    /// Of precision.
    pub precision: f64,
    /// Of F1.
    pub f1: f64,
}

impl ClassificationReport {
    /// All metrics of a matrix and, if confidences are known, of these.
    pub fn new(matrix: &Confusion, calibration: Option<&Calibration>) -> Self {
        let (recall, precision, f1) = (recall(matrix), precision(matrix), f1(matrix));
        let class = |i: usize| ClassReport {
            class: matrix.classes()[i].clone(),
            support: matrix.support(i),
            predictions: matrix.predictions(i),
            recall: recall[i],
            precision: precision[i],
            f1: f1[i],
        };
        Self {
            total: matrix.total(),
            correct: matrix.correct(),
            accuracy: accuracy(matrix),
            classes: (0..matrix.len()).map(class).collect(),
            macro_average: Averages {
                recall: macro_average_of(matrix, &recall),
                precision: macro_average_of(matrix, &precision),
                f1: macro_average_of(matrix, &f1),
            },
            expected_calibration_error: calibration.map(Calibration::expected_error),
            confusion: matrix.rows(),
            confusion_fractions: matrix.fractions(),
            reliability: Vec::new(),
            cuts: Vec::new(),
        }
    }

    /// The same with what confidences say.
    #[must_use]
    pub fn with(mut self, confidences: &Confidences) -> Self {
        let names: Vec<String> = self.classes.iter().map(|c| c.class.clone()).collect();
        self.reliability = confidences.reliability(&names);
        self.cuts = confidences.cuts(&names);
        self
    }

    /// The report as indented JSON.
    ///
    /// # Errors
    /// Never for a report that [`ClassificationReport::new`] made: every number is finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// The report as CSV, `metric,class,predicted,value`: a line a number.
    /// `class` is empty for metrics of all classes, `predicted` for all but
    /// the confusion matrix.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("metric,class,predicted,value\n");
        let mut line = |metric: &str, class: &str, predicted: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{metric},{},{},{value}", quoted(class), quoted(predicted));
        };
        line("total", "", "", self.total.to_string());
        line("correct", "", "", self.correct.to_string());
        line("accuracy", "", "", self.accuracy.to_string());
        let Averages { recall, precision, f1 } = self.macro_average;
        line("recall_macro", "", "", recall.to_string());
        line("precision_macro", "", "", precision.to_string());
        line("f1_macro", "", "", f1.to_string());
        if let Some(error) = self.expected_calibration_error {
            line("expected_calibration_error", "", "", error.to_string());
        }
        for c in &self.classes {
            line("support", &c.class, "", c.support.to_string());
            line("predictions", &c.class, "", c.predictions.to_string());
            line("recall", &c.class, "", c.recall.to_string());
            line("precision", &c.class, "", c.precision.to_string());
            line("f1", &c.class, "", c.f1.to_string());
        }
        for (truth, row) in self.classes.iter().zip(&self.confusion) {
            for (predicted, count) in self.classes.iter().zip(row) {
                line("confusion", &truth.class, &predicted.class, count.to_string());
            }
        }
        for (truth, row) in self.classes.iter().zip(&self.confusion_fractions) {
            for (predicted, part) in self.classes.iter().zip(row) {
                line("confusion_fraction", &truth.class, &predicted.class, part.to_string());
            }
        }
        text
    }
}

impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.classes.iter().map(|c| c.class.chars().count());
        let width = names.max().unwrap_or(0).max("macro avg".len());
        writeln!(f, "accuracy {:.4} ({} of {})", self.accuracy, self.correct, self.total)?;
        if let Some(error) = self.expected_calibration_error {
            writeln!(f, "expected calibration error {error:.4}")?;
        }
        writeln!(f, "\n{:width$}  recall  precision      F1  examples", "class")?;
        for c in &self.classes {
            let ClassReport { class, support, recall, precision, f1, .. } = c;
            writeln!(f, "{class:width$}  {recall:.4}     {precision:.4}  {f1:.4}  {support:>8}")?;
        }
        let Averages { recall, precision, f1 } = self.macro_average;
        writeln!(f, "{:width$}  {recall:.4}     {precision:.4}  {f1:.4}", "macro avg")?;
        for c in &self.classes {
            match (c.support, c.predictions) {
                (0, _) => writeln!(f, "{} has no examples: its recall stands as 0", c.class)?,
                (_, 0) => writeln!(f, "{} is never predicted: its precision stands as 0", c.class)?,
                _ => {}
            }
        }

        writeln!(f, "\nconfusion: rows true, columns predicted; count and fraction of the row")?;
        let cell = width.max(14);
        write!(f, "{:width$}", "")?;
        for c in &self.classes {
            write!(f, " {:>cell$}", c.class)?;
        }
        writeln!(f)?;
        for (c, (counts, parts)) in
            self.classes.iter().zip(self.confusion.iter().zip(&self.confusion_fractions))
        {
            write!(f, "{:width$}", c.class)?;
            for (count, part) in counts.iter().zip(parts) {
                write!(f, " {:>cell$}", format!("{count} {part:.4}"))?;
            }
            writeln!(f)?;
        }
        if !self.reliability.is_empty() {
            confidences::write(f, &self.reliability, &self.cuts)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::confusion::tests::table_3;

    #[test]
    fn the_table_is_the_papers_table_4() {
        let text = ClassificationReport::new(&table_3(), None).to_string();
        let expected = "\
accuracy 0.9632 (2775 of 2881)

class      recall  precision      F1  examples
CRS        0.9633     0.9679  0.9656       844
IBS        0.9628     0.9499  0.9563       807
CSS        0.7069     0.7885  0.7455        58
EO         0.9616     0.9641  0.9629       391
SPI        0.9834     0.9834  0.9834       781
macro avg  0.9156     0.9307  0.9227

confusion: rows true, columns predicted; count and fraction of the row
                     CRS            IBS            CSS             EO            SPI
CRS           813 0.9633      26 0.0308       0 0.0000       0 0.0000       5 0.0059
IBS            25 0.0310     777 0.9628       0 0.0000       0 0.0000       5 0.0062
CSS             0 0.0000       6 0.1034      41 0.7069      11 0.1897       0 0.0000
EO              0 0.0000       1 0.0026      11 0.0281     376 0.9616       3 0.0077
SPI             2 0.0026       8 0.0102       0 0.0000       3 0.0038     768 0.9834
";
        assert_eq!(text, expected);
    }

    #[test]
    fn json_and_csv_hold_the_same_numbers() {
        let mut calibration = Calibration::new();
        calibration.add(0.75, true);
        let report = ClassificationReport::new(&table_3(), Some(&calibration));
        let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(json["classes"][2]["class"], "CSS");
        assert_eq!(json["confusion"][2][3], 11);
        assert_eq!(json["expected_calibration_error"], 0.25);

        let csv = report.to_csv();
        let value = |key: &str| {
            let line = csv.lines().find(|l| l.starts_with(&format!("{key},"))).unwrap();
            line.rsplit(',').next().unwrap().parse::<f64>().unwrap()
        };
        assert_eq!(value("accuracy,,"), json["accuracy"].as_f64().unwrap());
        assert_eq!(value("recall,CSS,"), json["classes"][2]["recall"].as_f64().unwrap());
        assert_eq!(value("confusion,CSS,EO"), 11.0);
        assert_eq!(csv.lines().count(), 1 + 7 + 5 * 5 + 2 * 25);
        assert!(csv.lines().all(|l| l.split(',').count() == 4));
    }

    #[test]
    fn what_is_undefined_is_said() {
        let classes = ["a", "b", "c"].map(String::from);
        let mut matrix = Confusion::new(&classes);
        matrix.add(0, 0);
        matrix.add(1, 0);
        let text = ClassificationReport::new(&matrix, None).to_string();
        assert!(text.contains("b is never predicted"), "{text}");
        assert!(text.contains("c has no examples"), "{text}");
    }
}
