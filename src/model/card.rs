//! A model card: what a model was measured to do, and a text for people who choose
//! whether to use it (Mitchell et al. 2019, "Model Cards for Model Reporting").
//!
//! It stands in the provenance of the model file, which programs that do not know it
//! keep. Whoever changes weights or probabilities takes it off: what it says is of the
//! model as it was measured.

use serde::{Deserialize, Serialize};

use crate::limits;

/// A model card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// What the model was measured to do, by `hiwl model card`.
    pub measured: Measured,
    /// What it is made of, what for, and what it does not know; Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// How good a model was on labelled galaxies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Program and version that measured.
    pub program: String,
    /// Galaxies.
    pub galaxies: u64,
    /// The share that was labelled rightly.
    pub accuracy: f64,
    /// Mean of the classes' F1.
    pub f1_macro: f64,
    /// In 15 bins of equal width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_calibration_error: Option<f64>,
    /// In the order of the model's.
    pub classes: Vec<OfClass>,
}

/// How good it was on the galaxies of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfClass {
    /// Its name.
    pub class: String,
    /// Galaxies of it.
    pub galaxies: u64,
    /// The share of them that was labelled so.
    pub recall: f64,
    /// The share of those labelled so that are of it.
    pub precision: f64,
}

impl Card {
    /// Whether it may be kept.
    ///
    /// # Errors
    /// A phrase for a person.
    pub fn check(&self) -> Result<(), String> {
        let (bytes, most) = (self.text.len() as u64, limits::model::CARD);
        if bytes > most {
            return Err(format!("card: a text of {bytes} bytes; at most {most} are kept"));
        }
        Ok(())
    }
}

impl Measured {
    /// Standard error of the accuracy: that of a share of so many galaxies.
    pub fn accuracy_error(&self) -> f64 {
        share_error(self.accuracy, self.galaxies)
    }
}

impl OfClass {
    /// Standard error of the recall.
    pub fn recall_error(&self) -> f64 {
        share_error(self.recall, self.galaxies)
    }
}

/// `√(p(1 − p)/n)`; 0 of nothing.
fn share_error(share: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { (share * (1.0 - share) / count as f64).max(0.0).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_shares() {
        assert!((share_error(0.75, 58) - 0.05686).abs() < 1e-5);
        assert_eq!(share_error(1.0, 10), 0.0);
        assert_eq!(share_error(0.0, 0), 0.0);
    }
}
