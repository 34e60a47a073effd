//! A catalog's labels held against known ones, row by row.
//!
//! Memory: the known labels, and counts. Invariant: each known label is used once,
//! for the first row with its id, as `hiwl evaluate` does.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::export::Best;
use crate::labels::{LabelTable, Split};
use crate::metrics::{Calibration, Confusion};

/// Mistakes that have a picture.
const MISTAKES: usize = 24;

/// Classes up to which each kind of mistake has an example.
const EXAMPLES: usize = 12;

/// Cuts on confidence, in hundredths, from 0.20 on, and the last at 0.99.
const CUTS: usize = 80;

/// Of a mistake: its confidence, the greatest first; the known class; the one that was
/// said.
pub(super) type MistakeKey = (Reverse<u32>, usize, usize);

/// Known labels, and what became of them.
pub(super) struct Labelled {
    classes: Vec<String>,
    /// What is left to be found.
    left: HashMap<String, usize>,
    /// Labels in all.
    pub(super) labels: u64,
    /// Rows with a label and a known one.
    pub(super) rows: u64,
    /// Rows with a known label that were rejected.
    pub(super) rejected: u64,
    pub(super) confusion: Confusion,
    pub(super) calibration: Calibration,
    /// Class by class, of those that are labelled so.
    pub(super) by_class: Vec<Calibration>,
    /// By predicted class and cut: rows, and those that are right.
    kept: Vec<[(u64, u64); CUTS]>,
    /// The surest of them, and what they are.
    pub(super) mistakes: Best<MistakeKey>,
    /// The surest of each kind of mistake.
    examples: HashMap<(usize, usize), Best<Reverse<u32>>>,
    /// Of which split they are, if not of all.
    pub(super) split: Option<Split>,
    /// What should be known of the table.
    pub(super) notes: Vec<String>,
}

/// The cut at a place.
fn cut(place: usize) -> f64 {
    (20 + place) as f64 / 100.0
}

impl Labelled {
    /// Labels of the classes of the run's model, or those of a split.
    pub(super) fn new(table: &LabelTable, split: Option<Split>, note: Option<String>) -> Self {
        let classes = table.classes.clone();
        let rows = table.rows.iter().filter(|row| split.is_none_or(|of| row.split == Some(of)));
        let left: HashMap<String, usize> = rows.map(|row| (row.id.clone(), row.class)).collect();
        let mut notes: Vec<String> = note.into_iter().collect();
        if split.is_none() && table.rows.iter().any(|row| row.split == Some(Split::Train)) {
            notes.push(
                "Labels of the split train are among them: what a model learned from it knows \
                 better than anything else (--split val holds those alone that it did not learn \
                 from)"
                    .to_owned(),
            );
        }
        Self {
            labels: left.len() as u64,
            left,
            rows: 0,
            rejected: 0,
            confusion: Confusion::new(&classes),
            calibration: Calibration::new(),
            by_class: vec![Calibration::new(); classes.len()],
            kept: vec![[(0, 0); CUTS]; classes.len()],
            mistakes: Best::new(MISTAKES),
            examples: HashMap::new(),
            classes,
            split,
            notes,
        }
    }

    /// A row with its id, and its class and confidence if it has a label.
    pub(super) fn add(&mut self, id: &str, place: u64, said: Option<(usize, f32)>) {
        let Some(truth) = self.left.remove(id) else { return };
        let Some((class, confidence)) = said else {
            self.rejected += 1;
            return;
        };
        self.rows += 1;
        let right = truth == class;
        self.confusion.add(truth, class);
        self.calibration.add(f64::from(confidence), right);
        self.by_class[class].add(f64::from(confidence), right);
        let passed = (0..CUTS).take_while(|at| f64::from(confidence) >= cut(*at));
        for at in passed {
            let (rows, correct) = &mut self.kept[class][at];
            *rows += 1;
            *correct += u64::from(right);
        }
        if !right {
            let key = Reverse(confidence.max(0.0).to_bits());
            self.mistakes.add((key, truth, class), place);
            if self.classes.len() <= EXAMPLES {
                let example = self.examples.entry((truth, class));
                example.or_insert_with(|| Best::new(1)).add(key, place);
            }
        }
    }

    /// Labels for which there is no row.
    pub(super) fn without_row(&self) -> u64 {
        self.left.len() as u64
    }

    /// The place of the surest of a kind of mistake.
    pub(super) fn example(&self, truth: usize, said: usize) -> Option<u64> {
        self.examples.get(&(truth, said))?.clone().places().first().copied()
    }

    /// The mistakes that have a picture: place, class that was said, known class.
    pub(super) fn mistaken(&self) -> Vec<(u64, usize, usize)> {
        let of = |((_, truth, said), place): &(MistakeKey, u64)| (*place, *said, *truth);
        self.mistakes.entries().map(of).collect()
    }

    /// The class of one of the mistakes, by its place.
    pub(super) fn truth(&self, place: u64) -> Option<usize> {
        self.mistakes.entries().find(|(_, at)| *at == place).map(|((_, truth, _), _)| *truth)
    }

    /// The places of all examples.
    pub(super) fn examples(&self) -> Vec<u64> {
        let mut places: Vec<u64> =
            self.examples.values().flat_map(|best| best.clone().places()).collect();
        places.sort_unstable();
        places
    }

    /// Of a class, at each cut on confidence: cut, purity (not a number where nothing
    /// is kept), completeness.
    pub(super) fn cuts(&self, class: usize) -> Vec<(f64, f64, f64)> {
        let support = self.confusion.support(class) as f64;
        let of = |(at, &(rows, right)): (usize, &(u64, u64))| {
            (cut(at), right as f64 / rows as f64, right as f64 / support)
        };
        self.kept[class].iter().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;
    use crate::metrics::Confidences;

    #[test]
    fn it_counts_as_evaluate_does() {
        let classes = ["a", "b"].map(String::from).to_vec();
        let row = |id: usize, class| labels::Labelled { id: id.to_string(), class, split: None };
        let said = [(0, 0, 0.95f32), (0, 0, 0.75), (1, 0, 0.65), (1, 1, 0.9), (0, 1, 0.55)];
        let table = LabelTable {
            classes: classes.clone(),
            rows: said.iter().enumerate().map(|(id, (truth, ..))| row(id, *truth)).collect(),
        };
        let mut found = Labelled::new(&table, None, None);
        let mut expected = Confidences::new();
        for (id, (truth, class, confidence)) in said.iter().enumerate() {
            found.add(&id.to_string(), id as u64, Some((*class, *confidence)));
            // Another row of the same id is not counted again.
            found.add(&id.to_string(), 90, Some((1, 0.1)));
            expected.add(*truth, *class, f64::from(*confidence));
        }
        found.add("none", 91, None);
        assert_eq!((found.rows, found.rejected, found.without_row()), (5, 0, 0));
        assert_eq!(found.confusion.rows(), [[2, 1], [1, 1]]);
        for wanted in expected.cuts(&classes) {
            let class = classes.iter().position(|class| *class == wanted.class).unwrap();
            let near =
                found.cuts(class).into_iter().find(|c| (c.0 - wanted.confidence).abs() < 1e-9);
            let (_, purity, completeness) = near.unwrap();
            assert!((completeness - wanted.completeness).abs() < 1e-12, "{wanted:?}");
            assert!(wanted.kept == 0 || (purity - wanted.purity).abs() < 1e-12, "{wanted:?}");
        }
        for (of, wanted) in found.by_class.iter().zip(expected.reliability(&classes)) {
            assert!((of.expected_error() - wanted.expected_error).abs() < 1e-12);
        }
        assert_eq!(found.mistakes.places(), [2, 4]);
    }
}
