//! What a listing has to say besides its entries: problems and counts.
//!
//! Invariant: memory is bounded however many problems there are; the count
//! stays exact.

use std::path::PathBuf;

/// Problems kept with their words; the rest are counted.
const KEPT: usize = 1000;

/// Something that could not be listed. The run goes on, and its exit code
/// tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What could not be listed, as the user gave it.
    pub path: PathBuf,
    /// Why, and what to do.
    pub message: String,
}

/// Collects problems and counts over a whole listing.
#[derive(Debug, Default)]
pub(super) struct Notes {
    problems: Vec<Problem>,
    problem_count: u64,
    skipped: u64,
}

impl Notes {
    /// Notes that `path` could not be listed.
    pub fn problem(&mut self, path: impl Into<PathBuf>, message: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < KEPT {
            self.problems.push(Problem { path: path.into(), message: message.into() });
        }
    }

    /// Counts a file that is no cutout.
    pub fn skip(&mut self) {
        self.skipped += 1;
    }

    /// The first problems, in the order in which they were met.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// All problems.
    pub fn problem_count(&self) -> u64 {
        self.problem_count
    }

    /// Files that are no cutouts.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_beyond_the_limit_are_counted_and_not_kept() {
        let mut notes = Notes::default();
        for _ in 0..KEPT + 5 {
            notes.problem("x", "y");
        }
        assert_eq!(notes.problems().len(), KEPT);
        assert_eq!(notes.problem_count(), KEPT as u64 + 5);
    }
}
