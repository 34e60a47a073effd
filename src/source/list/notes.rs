//! What a listing has to say besides its entries: problems and counts.
//!
//! Invariant: memory is bounded however many problems there are; the count
//! stays exact.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::limits;
use crate::source::Pin;
use crate::storage::remote::secrets::concealed;
use crate::words::counted;

/// Kinds of files passed over that are counted one by one, and those that are named.
const KINDS: usize = 64;
const NAMED: usize = 4;

/// What kind of file a name stands for, to somebody who wonders why it is no cutout.
fn kind_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with('.') {
        return "hidden".to_owned();
    }
    match path.extension() {
        Some(ending) => {
            limits::shortened(&format!(".{}", ending.to_string_lossy().to_lowercase()), 16)
                .into_owned()
        }
        None => "without an ending".to_owned(),
    }
}

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
    /// What was passed over, by the ending of its name: how many, and the first.
    kinds: Vec<(String, u64, PathBuf)>,
    /// Those of kinds beyond what is kept.
    others: u64,
    /// Mosaics that are not used: why, how many, and the first.
    aside: Vec<(String, u64, PathBuf)>,
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
        let path = path.into();
        self.skip(&path);
        match self.unread.iter_mut().find(|(known, ..)| *known == why) {
            Some((_, count, _)) => *count += 1,
            None => self.unread.push((why, 1, path)),
        }
    }

    /// Makes problems of what was not read, at the end of the listing.
    pub fn finish(&mut self) {
        for (why, count, first) in std::mem::take(&mut self.unread) {
            let more = match count {
                1 => String::new(),
                more => {
                    format!(" (and {})", counted(more - 1, "more such file", "more such files"))
                }
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
    pub fn skip(&mut self, path: &Path) {
        self.skipped += 1;
        let kind = kind_of(path);
        let room = self.kinds.len() < KINDS;
        match self.kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((_, count, _)) => *count += 1,
            None if room => self.kinds.push((kind, 1, path.to_owned())),
            // Of the others it is known how many there are in all.
            None => {}
        }
    }

    /// Counts a mosaic that is not used, whatever its name says; `why` is its kind.
    pub fn set_aside(&mut self, path: &Path, why: String) {
        self.skipped += 1;
        let room = self.aside.len() < KINDS;
        match self.aside.iter_mut().find(|(known, ..)| *known == why) {
            Some((_, count, _)) => *count += 1,
            None if room => self.aside.push((why, 1, path.to_owned())),
            None => self.others += 1,
        }
    }

    /// The mosaics that are not used, a line for each kind, with an example.
    pub fn told_aside(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .aside
            .iter()
            .map(|(why, count, first)| {
                let mosaics = counted(*count, "mosaic", "mosaics");
                let such = if *count == 1 { "" } else { "such as " };
                let first = concealed(&first.to_string_lossy()).into_owned();
                format!("passed over, {why}: {mosaics} ({such}{first})")
            })
            .collect();
        if self.others > 0 {
            lines.push(format!("passed over for other reasons: {}", self.others));
        }
        lines
    }

    /// What was passed over, the most frequent kinds first, with an example of each:
    /// `2 .csv (such as labels.csv), 1 .md (README.md)`. `None` if nothing was.
    pub fn passed_over(&self) -> Option<String> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        let named = kinds.iter().take(NAMED);
        let told: u64 = named.clone().map(|(_, count, _)| count).sum();
        let aside = self.aside.iter().map(|(_, count, _)| count).sum::<u64>() + self.others;
        let mut words: Vec<String> = named
            .map(|(kind, count, first)| {
                let such = if *count == 1 { "" } else { "such as " };
                format!("{count} {kind} ({such}{})", concealed(&first.to_string_lossy()))
            })
            .collect();
        if self.skipped > told + aside {
            words.push(counted(self.skipped - told - aside, "other", "others"));
        }
        (!words.is_empty()).then(|| words.join(", "))
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
    fn what_is_passed_over_is_named_by_kind_and_example() {
        let mut notes = Notes::default();
        assert_eq!(notes.passed_over(), None);
        for path in ["a/labels.csv", "a/.hidden.jpg", "b/LIST.CSV", "README"] {
            notes.skip(Path::new(path));
        }
        let told = notes.passed_over().unwrap();
        let expected = "2 .csv (such as a/labels.csv), 1 hidden (a/.hidden.jpg), \
                        1 without an ending (README)";
        assert_eq!(told, expected);
        for number in 0..200 {
            notes.skip(&PathBuf::from(format!("x.{number}")));
        }
        assert_eq!(notes.skipped(), 204);
        assert!(
            notes.passed_over().unwrap().ends_with(", 199 others"),
            "{:?}",
            notes.passed_over()
        );
    }

    #[test]
    fn mosaics_that_are_not_used_are_told_by_what_they_are() {
        let mut notes = Notes::default();
        assert!(notes.told_aside().is_empty());
        for path in ["m/1.fits", "m/2.fits"] {
            notes.set_aside(Path::new(path), "of band r by name and mask by header".to_owned());
        }
        notes.set_aside(Path::new("z.fits"), "of another band".to_owned());
        let expected = [
            "passed over, of band r by name and mask by header: 2 mosaics (such as m/1.fits)",
            "passed over, of another band: 1 mosaic (z.fits)",
        ];
        assert_eq!(notes.told_aside(), expected);
        // They are no files that are no cutouts by their names.
        assert_eq!((notes.skipped(), notes.passed_over()), (3, None));
        notes.skip(Path::new("a.csv"));
        assert_eq!(notes.passed_over().unwrap(), "1 .csv (a.csv)");
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
