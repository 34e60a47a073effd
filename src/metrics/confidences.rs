//! What a cut on confidence keeps, class by class, and how far each class's
//! confidences can be believed.
//!
//! Invariant: nothing depends on the order in which predictions were added.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::{Calibration, ratio};

/// Cuts on confidence that are tabulated.
pub const CUTS: [f64; 6] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

/// Predictions with their truth and confidence.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Confidences(Vec<(usize, usize, f64)>);

/// How far the confidences of those that are labelled a class can be believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// The class.
    pub class: String,
    /// Its predictions.
    pub predictions: u64,
    /// Their mean confidence.
    pub mean_confidence: f64,
    /// The fraction of them that is right.
    pub accuracy: f64,
    /// Expected calibration error in 15 bins of equal width.
    pub expected_error: f64,
    /// What that error would be on average were every confidence exact.
    pub chance_error: f64,
}

/// What is left of a class where only confidences from the cut on are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// The least confidence that is kept.
    pub confidence: f64,
    /// The class.
    pub class: String,
    /// Its predictions that are kept.
    pub kept: u64,
    /// The fraction of them that is right; 0 if none is kept.
    pub purity: f64,
    /// Those of them that are right, of all galaxies of the class.
    pub completeness: f64,
}

impl Confidences {
    /// Of no predictions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a prediction.
    pub fn add(&mut self, truth: usize, predicted: usize, confidence: f64) {
        self.0.push((truth, predicted, confidence));
    }

    /// In an order of their own, so that sums are the same bits.
    fn sorted(&self) -> Vec<(usize, usize, f64)> {
        let mut rows = self.0.clone();
        rows.sort_by(|a, b| (a.1, a.0).cmp(&(b.1, b.0)).then(a.2.total_cmp(&b.2)));
        rows
    }

    /// Class by class.
    pub fn reliability(&self, classes: &[String]) -> Vec<Reliability> {
        let rows = self.sorted();
        let of = |(class, name): (usize, &String)| {
            let mut bins = Calibration::new();
            let (mut predictions, mut correct, mut sum) = (0, 0, 0.0);
            for &(truth, predicted, confidence) in rows.iter().filter(|row| row.1 == class) {
                bins.add(confidence, truth == predicted);
                predictions += 1;
                correct += u64::from(truth == predicted);
                sum += confidence;
            }
            Reliability {
                class: name.clone(),
                predictions,
                mean_confidence: if predictions == 0 { 0.0 } else { sum / predictions as f64 },
                accuracy: ratio(correct, predictions),
                expected_error: bins.expected_error(),
                chance_error: bins.chance_error(),
            }
        };
        classes.iter().enumerate().map(of).collect()
    }

    /// Every cut, class by class.
    pub fn cuts(&self, classes: &[String]) -> Vec<Cut> {
        let mut cuts = Vec::new();
        for confidence in CUTS {
            for (class, name) in classes.iter().enumerate() {
                let of_class = self.0.iter().filter(|row| row.0 == class).count() as u64;
                let kept = || self.0.iter().filter(|row| row.1 == class && row.2 >= confidence);
                let correct = kept().filter(|row| row.0 == class).count() as u64;
                let kept = kept().count() as u64;
                cuts.push(Cut {
                    confidence,
                    class: name.clone(),
                    kept,
                    purity: ratio(correct, kept),
                    completeness: ratio(correct, of_class),
                });
            }
        }
        cuts
    }
}

/// Both tables for a person.
pub(super) fn write(
    f: &mut fmt::Formatter<'_>,
    reliability: &[Reliability],
    cuts: &[Cut],
) -> fmt::Result {
    let names = reliability.iter().map(|r| r.class.chars().count());
    let width = names.max().unwrap_or(0).max("class".len());
    writeln!(f, "\nreliability of those that are labelled so")?;
    writeln!(
        f,
        "{:width$}  labelled  mean confidence   right  calibration error  by chance",
        "class"
    )?;
    for r in reliability {
        let Reliability { class, predictions, mean_confidence, accuracy, .. } = r;
        let (error, chance) = (r.expected_error, r.chance_error);
        writeln!(
            f,
            "{class:width$}  {predictions:>8}           {mean_confidence:.4}  {accuracy:.4}             \
             {error:.4}     {chance:.4}"
        )?;
    }
    writeln!(f, "\npurity and completeness of what a cut on confidence keeps")?;
    let mut line = format!("{:width$}", "class");
    for cut in CUTS {
        write!(line, "  {:>15}", format!("≥ {cut}"))?;
    }
    writeln!(f, "{line}")?;
    for r in reliability {
        let mut line = format!("{:width$}", r.class);
        for cut in cuts.iter().filter(|cut| cut.class == r.class) {
            // Of none nothing is pure or not.
            let purity = if cut.kept > 0 { format!("{:.4}", cut.purity) } else { "-".to_owned() };
            write!(line, "  {:>15}", format!("{purity} {:.4}", cut.completeness))?;
        }
        writeln!(f, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let classes = ["a", "b"].map(String::from);
        let mut found = Confidences::new();
        for (truth, predicted, confidence) in
            [(0, 0, 0.95), (0, 0, 0.75), (1, 0, 0.65), (1, 1, 0.9), (0, 1, 0.55)]
        {
            found.add(truth, predicted, confidence);
        }
        let reliability = found.reliability(&classes);
        assert_eq!(reliability[0].predictions, 3);
        assert!((reliability[0].mean_confidence - 2.35 / 3.0).abs() < 1e-12);
        assert!((reliability[0].accuracy - 2.0 / 3.0).abs() < 1e-12);
        // Three bins of one each: 0.05, 0.25 and 0.65 off.
        assert!((reliability[0].expected_error - 0.95 / 3.0).abs() < 1e-12);
        // Of single predictions E|X − p| = 2p(1 − p).
        let chance = 2.0 * (0.95 * 0.05 + 0.75 * 0.25 + 0.65 * 0.35) / 3.0;
        assert!((reliability[0].chance_error - chance).abs() < 1e-12);
        let cuts = found.cuts(&classes);
        let cut = |confidence: f64, class: &str| {
            cuts.iter().find(|c| c.confidence == confidence && c.class == class).unwrap()
        };
        assert_eq!((cut(0.5, "a").purity, cut(0.5, "a").completeness), (2.0 / 3.0, 2.0 / 3.0));
        assert_eq!((cut(0.7, "a").kept, cut(0.7, "a").purity), (2, 1.0));
        assert_eq!(cut(0.9, "a").completeness, 1.0 / 3.0);
        assert_eq!((cut(0.9, "b").kept, cut(0.9, "b").completeness), (1, 0.5));
        assert_eq!((cut(0.95, "b").kept, cut(0.95, "b").purity), (0, 0.0));
        // Another order gives the same bits.
        let turned = Confidences(found.0.iter().rev().copied().collect());
        assert_eq!(turned.reliability(&classes), reliability);
    }
}
