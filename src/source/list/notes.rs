//! What a listing has to say besides its entries: problems and counts.
//!
//! Invariant: memory is bounded however many problems there are; the count
//! stays exact.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::limits;
use crate::source::Pin;
use crate::storage::remote::secrets::concealed;

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
    /// Cutouts in a form that is not read: why, how many, and the first.
    unread: Vec<(&'static str, u64, PathBuf)>,
    pins: BTreeMap<PathBuf, Pin>,
}

impl Notes {
    /// Notes that `path` could not be listed.
    pub fn problem(&mut self, path: impl Into<PathBuf>, message: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < limits::settings::PROBLEMS {
            let path = path.into();
            let path = match concealed(&path.to_string_lossy()) {
                Cow::Owned(url) => url.into(),
                Cow::Borrowed(_) => path,
            };
            let message = concealed(&message.into()).into_owned();
            self.problems.push(Problem { path, message });
        }
    }

    /// Notes a file that is passed over and is a cutout by its name, in a form
    /// that is not read; `why` is told once, however many files there are.
    pub fn unread(&mut self, path: impl Into<PathBuf>, why: &'static str) {
        self.skip();
        match self.unread.iter_mut().find(|(known, ..)| *known == why) {
            Some((_, count, _)) => *count += 1,
            None => self.unread.push((why, 1, path.into())),
        }
    }

    /// Makes problems of what was not read, at the end of the listing.
    pub fn finish(&mut self) {
        for (why, count, first) in std::mem::take(&mut self.unread) {
            let more = match count {
                1 => String::new(),
                more => format!(" (and {} more such files)", more - 1),
            };
            self.problem(first, format!("{why}{more}"));
        }
    }

    /// Notes an archive or a table as it was when it was listed.
    pub fn pin(&mut self, path: PathBuf, pin: Pin) {
        self.pins.insert(path, pin);
    }

    /// All of them.
    pub fn pins(&self) -> &BTreeMap<PathBuf, Pin> {
        &self.pins
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
    fn what_is_not_read_is_told_once_a_kind() {
        let mut notes = Notes::default();
        for path in ["1.fits.bz2", "2.fits.bz2", "3.fits.bz2"] {
            notes.unread(path, "compressed");
        }
        notes.unread("a?b", "a URL");
        notes.finish();
        notes.finish();
        let told: Vec<String> = notes.problems().iter().map(|p| p.message.clone()).collect();
        assert_eq!(told, ["compressed (and 2 more such files)", "a URL"]);
        assert_eq!(notes.problems()[0].path, PathBuf::from("1.fits.bz2"));
        assert_eq!(notes.skipped(), 4);
    }

    #[test]
    fn problems_beyond_the_limit_are_counted_and_not_kept() {
        let mut notes = Notes::default();
        for _ in 0..limits::settings::PROBLEMS + 5 {
            notes.problem("x", "y");
        }
        assert_eq!(notes.problems().len(), limits::settings::PROBLEMS);
        assert_eq!(notes.problem_count(), limits::settings::PROBLEMS as u64 + 5);
    }
}
