//! Fractions of votes down a tree: of everybody who looked, or of those who
//! were asked.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Question, Tree};

/// What a vote fraction is a fraction of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Semantics {
    /// Of everybody who looked at the galaxy.
    Cumulative,
    /// Of those who were asked the question.
    Conditional,
}

impl fmt::Display for Semantics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cumulative => "cumulative (of everybody who looked)",
            Self::Conditional => "conditional (of those who were asked)",
        })
    }
}

impl Question {
    /// The fraction of all volunteers who were asked the question, given the
    /// cumulative fractions of the answers before it; those that are not known
    /// (NaN) are left out, and where none is known neither is this.
    pub fn reach(&self, cumulative: &[f64]) -> f64 {
        if self.after.is_empty() {
            return 1.0;
        }
        let known = || self.after.iter().map(|&a| cumulative[a]).filter(|v| !v.is_nan());
        if known().next().is_none() { f64::NAN } else { known().sum() }
    }
}

impl Tree {
    /// Multiplies conditional fractions down the tree, in place; those of
    /// questions whose fractions are cumulative (`semantics`, one a question)
    /// stay as they are. A fraction that is not known (NaN) stays so, unless
    /// nobody was asked, which makes it 0 of everybody.
    ///
    /// # Panics
    /// Unless there is a fraction for every answer.
    pub fn make_cumulative(&self, semantics: &[Semantics], fractions: &mut [f64]) {
        assert_eq!(fractions.len(), self.answers().len(), "a fraction for every answer");
        for (question, semantics) in self.questions().iter().zip(semantics) {
            let reach = question.reach(fractions);
            for value in &mut fractions[question.answers.clone()] {
                if reach == 0.0 && value.is_nan() {
                    *value = 0.0;
                } else if *semantics == Semantics::Conditional {
                    *value *= reach;
                }
            }
        }
    }

    /// The conditional fractions that belong to cumulative ones: divided by
    /// the fraction of volunteers who were asked, 0 where nobody was and NaN where
    /// they are not known.
    pub fn conditional(&self, cumulative: &[f64]) -> Vec<f64> {
        let mut conditional = cumulative.to_vec();
        for question in self.questions() {
            let reach = question.reach(cumulative);
            for value in &mut conditional[question.answers.clone()] {
                *value = if reach == 0.0 { 0.0 } else { *value / reach };
            }
        }
        conditional
    }
}
