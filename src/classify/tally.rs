//! Rows counted by what became of them.

use std::collections::BTreeMap;

use crate::{
    catalog::{self, Row},
    cutout::{Reason, Rejection},
};

/// Rows by label, and rejected rows by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub rows: u64,
    /// With a label, by the class's place in the model's tree.
    pub labels: BTreeMap<usize, u64>,
    /// Without one.
    pub rejected: BTreeMap<Reason, u64>,
    /// With a label and a note, by the note's kind ([`catalog::note::kind`]).
    pub notes: BTreeMap<String, u64>,
    /// The first rejected row: its source, and why.
    pub example: Option<(String, Rejection)>,
}

impl Tally {
    /// Counts a row.
    pub fn add(&mut self, row: &Row) {
        self.rows += 1;
        match &row.outcome {
            Ok(prediction) => {
                *self.labels.entry(prediction.class).or_default() += 1;
                if let Some(note) = &row.note {
                    catalog::note::count(&mut self.notes, note, 1);
                }
            }
            Err(rejection) => {
                *self.rejected.entry(rejection.reason).or_default() += 1;
                self.example.get_or_insert_with(|| (row.source.clone(), rejection.clone()));
            }
        }
    }

    /// Adds what somebody else counted.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        for (label, count) in other.labels {
            *self.labels.entry(label).or_default() += count;
        }
        for (reason, count) in other.rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
        for (note, count) in other.notes {
            catalog::note::count(&mut self.notes, &note, count);
        }
        self.example = self.example.take().or(other.example);
    }
}
