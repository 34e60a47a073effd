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
use crate::limits;
use crate::storage::file;
use crate::words::{counted, part_of};

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
    /// How many must have answered the question of every threshold, unless it
    /// says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<u32>,
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
    /// How many must have answered the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<u32>,
}

/// A threshold with the places of its answer and question.
struct Resolved {
    answer: usize,
    question: usize,
    above: f64,
    votes: f32,
}

/// What the rules made of a vote table.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanSample {
    /// The galaxies that meet the rules of exactly one class.
    pub table: LabelTable,
    /// How many meet none.
    pub unclear: usize,
    /// How many meet some, and have too few votes for each of these.
    pub few: usize,
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
        let text = file::read_text(path, limits::settings::TOML)
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
        let counted = resolved.iter().flatten().any(|threshold| threshold.votes > 0.0);
        if counted && votes.counts.is_none() {
            return Err(wrong(format!(
                "it asks for a least number of votes, and {} does not say how many there are",
                votes.schema.title
            )));
        }
        let mut sample = CleanSample {
            table: LabelTable { classes, rows: Vec::new() },
            unclear: 0,
            few: 0,
            ambiguous: Vec::new(),
        };
        for (row, id) in votes.ids.iter().enumerate() {
            let fractions = votes.fractions(row, self.semantics);
            let holds = |rule: &Vec<Resolved>| rule.iter().all(|t| fractions[t.answer] > t.above);
            let asked = if counted { votes.asked(row) } else { None };
            let enough = |rule: &Vec<Resolved>| {
                let asked = asked.as_ref();
                asked.is_none_or(|asked| rule.iter().all(|t| asked[t.question] >= t.votes))
            };
            let mut met: Vec<usize> =
                (0..resolved.len()).filter(|&class| holds(&resolved[class])).collect();
            let all = met.len();
            met.retain(|&class| enough(&resolved[class]));
            match met[..] {
                [] if all > 0 => sample.few += 1,
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
    fn resolve(&self, schema: &VoteSchema) -> Result<Vec<Vec<Resolved>>, String> {
        let answers = schema.answers();
        let place = |t: &Threshold| {
            let wanted = format!("{}/{}", t.question, t.answer);
            answers
                .iter()
                .position(|a| *a == wanted)
                .map(|answer| Resolved {
                    answer,
                    question: schema.tree.answers()[answer].question,
                    above: t.above,
                    votes: t.votes.or(self.votes).unwrap_or(0) as f32,
                })
                .ok_or_else(|| format!("{} has no answer {wanted}", schema.name))
        };
        self.classes.iter().map(|rule| rule.all.iter().map(place).collect()).collect()
    }
}

impl fmt::Display for CleanSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.table.rows.len();
        let ambiguous = self.ambiguous.len();
        let all = kept + self.unclear + self.few + ambiguous;
        let clean = part_of(kept as u64, all as u64, ["galaxy", "galaxies"], ["is", "are"]);
        writeln!(f, "{clean} clean")?;
        let meet = |n: usize| counted(n as u64, "meets", "meet");
        writeln!(f, "{} no rule, {} several", meet(self.unclear), meet(ambiguous))?;
        if self.few > 0 {
            let have = counted(self.few as u64, "meets one, and has", "meet one, and have");
            writeln!(f, "{have} too few votes")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
