//! The clean sample: thresholds that turn votes into classes (paper, section
//! 2.3 and table 1). A galaxy on which volunteers disagree teaches the network
//! little, so it is left out.
//!
//! Invariant: every galaxy of the vote table is in the sample, among those
//! that meet no rule, or among those that meet more than one.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LabelError;
use super::schema::{Semantics, VoteSchema};
use super::table::{LabelTable, Labelled};
use super::votes::VoteTable;

/// The paper's rules, `schemas/clean-sample.toml`.
const PAPER: &str = include_str!("../../schemas/clean-sample.toml");

/// Rules of every class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// How the rules are called.
    pub name: String,
    /// What the thresholds are thresholds on.
    pub semantics: Semantics,
    /// The classes, in the order of a network's outputs.
    pub classes: Vec<Rule>,
}

/// What makes a galaxy an example of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The class.
    pub label: String,
    /// Its name in words.
    #[serde(default)]
    pub title: String,
    /// Every one of these must hold.
    pub all: Vec<Threshold>,
}

/// A fraction must be above (strictly) a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The question.
    pub question: String,
    /// The answer whose fraction counts.
    pub answer: String,
    /// What it must be above.
    pub above: f64,
}

/// What the rules made of a vote table.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanSample {
    /// The galaxies that meet the rules of exactly one class.
    pub table: LabelTable,
    /// How many meet none.
    pub unclear: usize,
    /// Ids of those that meet several, with the classes: clean examples of
    /// none, so left out.
    pub ambiguous: Vec<(String, Vec<String>)>,
}

impl Rules {
    /// The paper's rules.
    ///
    /// # Errors
    /// Never, as the tests show; the signature is [`Self::parse`]'s.
    pub fn paper() -> Result<Self, LabelError> {
        Self::parse(PAPER, Path::new("schemas/clean-sample.toml"))
    }

    /// Rules from a file.
    ///
    /// # Errors
    /// [`LabelError::Unreadable`], [`LabelError::Definition`].
    pub fn read(path: &Path) -> Result<Self, LabelError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| LabelError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Rules from their text; `path` is for errors.
    ///
    /// # Errors
    /// [`LabelError::Definition`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, LabelError> {
        let wrong = |what: String| LabelError::Definition { path: path.to_owned(), what };
        let rules: Self = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        for (i, rule) in rules.classes.iter().enumerate() {
            if rules.classes[..i].iter().any(|r| r.label == rule.label) {
                return Err(wrong(format!("class {} is there twice", rule.label)));
            }
            if rule.all.is_empty() {
                return Err(wrong(format!("class {} has no threshold", rule.label)));
            }
            if let Some(t) = rule.all.iter().find(|t| !(0.0..1.0).contains(&t.above)) {
                return Err(wrong(format!(
                    "class {}: no fraction is above {}",
                    rule.label, t.above
                )));
            }
        }
        Ok(rules)
    }

    /// Applies the rules.
    ///
    /// # Errors
    /// [`LabelError::Definition`] if a rule asks for an answer that the
    /// table's schema does not have.
    pub fn apply(&self, votes: &VoteTable) -> Result<CleanSample, LabelError> {
        let wrong = |what: String| LabelError::Definition { path: self.name.clone().into(), what };
        let resolved = self.resolve(&votes.schema).map_err(wrong)?;

        let classes: Vec<String> = self.classes.iter().map(|c| c.label.clone()).collect();
        let mut sample = CleanSample {
            table: LabelTable { classes, rows: Vec::new() },
            unclear: 0,
            ambiguous: Vec::new(),
        };
        for (row, id) in votes.ids.iter().enumerate() {
            let fractions = votes.fractions(row, self.semantics);
            let holds = |rule: &Vec<(usize, f64)>| rule.iter().all(|&(a, t)| fractions[a] > t);
            let met: Vec<usize> =
                (0..resolved.len()).filter(|&class| holds(&resolved[class])).collect();
            match met[..] {
                [] => sample.unclear += 1,
                [class] => {
                    sample.table.rows.push(Labelled { id: id.clone(), class, split: None });
                }
                _ => {
                    let labels = met.iter().map(|&c| self.classes[c].label.clone()).collect();
                    sample.ambiguous.push((id.clone(), labels));
                }
            }
        }
        Ok(sample)
    }

    /// The place of each threshold's answer, and the threshold.
    fn resolve(&self, schema: &VoteSchema) -> Result<Vec<Vec<(usize, f64)>>, String> {
        let answers = schema.answers();
        let place = |t: &Threshold| {
            let wanted = format!("{}/{}", t.question, t.answer);
            answers
                .iter()
                .position(|a| *a == wanted)
                .map(|place| (place, t.above))
                .ok_or_else(|| format!("{} has no answer {wanted}", schema.name))
        };
        self.classes.iter().map(|rule| rule.all.iter().map(place).collect()).collect()
    }
}

impl fmt::Display for CleanSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.table.rows.len();
        let ambiguous = self.ambiguous.len();
        writeln!(f, "{kept} of {} galaxies are clean", kept + self.unclear + ambiguous)?;
        writeln!(f, "{} meet no rule, {ambiguous} meet several", self.unclear)
    }
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
