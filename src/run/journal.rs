//! What a process is at, row by row, kept in the files of its claims for
//! whoever takes them over after its death.
//!
//! The file by which a range is claimed holds a line a worker, of one length,
//! which the worker overwrites in place: the row that it begins, or none. That
//! is a call of the system and no wait for a disk, and what was written stays
//! when the process dies, in whatever way; a loss of power may take it, and
//! then nothing is suspected. What to do with the rows that a dead process was
//! at is left to whoever makes the rows.
//!
//! In a store claims have no files, and nothing is kept. Where a file system
//! has no locks, a live process's rows may be taken for a dead one's: that costs
//! a try, and no row.
//!
//! Invariant: the journal never decides a row by itself; a file that holds
//! anything else is one that holds nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use super::{RowRange, RunError};
use crate::storage::StorageError;
use crate::storage::lock::PathLock;

/// Bytes of a worker's line, its end included.
const SLOT: usize = 24;

/// Of a worker that is at nothing.
const IDLE: &[u8; SLOT] = b"-                      \n";

/// Largest file that is read: a line for each row of the largest range.
const LARGEST: u64 = 1 << 28;

/// Deaths over one range, with no cutout found that brings them about, after
/// which its cutouts are worked on one at a time.
const GENTLE: u64 = 2;

/// What those who held a range before have left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Rows that ended a process when they were tried alone, and how it ended.
    pub crashed: BTreeMap<u64, String>,
    /// Rows that a process was at when it died.
    pub suspects: BTreeSet<u64>,
    /// How many processes died over the range, with rows in hand.
    pub deaths: u64,
}

impl Left {
    fn read(file: &File, range: &RowRange) -> Self {
        let mut text = Vec::new();
        // What cannot be read is nothing: the rows are made as usual.
        if file.take(LARGEST).read_to_end(&mut text).is_err() {
            return Self::default();
        }
        Self::parse(&String::from_utf8_lossy(&text), range)
    }

    fn parse(text: &str, range: &RowRange) -> Self {
        let mut left = Self::default();
        for line in text.lines() {
            let mut words = line.trim_end().splitn(3, ' ');
            let (Some(kind), Some(number)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            if kind == "died" {
                left.deaths = left.deaths.max(number);
            }
            if !(range.first..=range.last()).contains(&number) {
                continue;
            }
            match kind {
                "at" => drop(left.suspects.insert(number)),
                "crashed" => {
                    let how = words.next().unwrap_or_default().to_owned();
                    left.crashed.insert(number, how);
                }
                // Whoever tried it did not live to say how it ended.
                "alone" => {
                    drop(left.crashed.insert(number, "for a reason that is not known".into()))
                }
                _ => {}
            }
        }
        left.suspects.retain(|row| !left.crashed.contains_key(row));
        if !left.suspects.is_empty() {
            left.deaths += 1;
        }
        left
    }

    /// The lines before the workers'.
    fn lines(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        if self.deaths > 0 {
            let _ = writeln!(text, "died {}", self.deaths);
        }
        for (row, how) in &self.crashed {
            let _ = writeln!(text, "crashed {row} {}", how.replace('\n', " "));
        }
        text
    }
}

/// The file of a claim.
#[derive(Debug)]
pub(super) struct Desk {
    range: RowRange,
    part: PathBuf,
    lock: PathLock,
    /// Where the workers' lines begin; none before the range is begun.
    slots: AtomicU64,
    /// Whether cutouts are worked on one at a time.
    gentle: bool,
    /// Whether it says what whoever comes next needs.
    keep: bool,
}

impl Desk {
    /// The file of a range that was claimed, and what is in it.
    pub(super) fn open(range: RowRange, part: PathBuf, lock: PathLock) -> (Self, Left) {
        let left = lock.file().map(|file| Left::read(file, &range)).unwrap_or_default();
        let keep = left != Left::default();
        let slots = AtomicU64::new(u64::MAX);
        (Self { range, part, lock, slots, gentle: false, keep }, left)
    }

    fn write(&self, text: &[u8]) -> Result<(), RunError> {
        let Some(file) = self.lock.file() else { return Ok(()) };
        // The length last: until then what was there is behind it, and a row
        // that is named once more costs a try.
        let written = file.write_all_at(text, 0).and_then(|()| file.set_len(text.len() as u64));
        Ok(written.map_err(StorageError::io("write", self.lock.path()))?)
    }

    /// Begins the range, of which `left` is known, with lines for `workers`.
    pub(super) fn begin(&mut self, left: &Left, workers: usize) -> Result<(), RunError> {
        let mut text = left.lines().into_bytes();
        let slots = text.len() as u64;
        text.extend(IDLE.repeat(workers));
        self.write(&text)?;
        *self.slots.get_mut() = slots;
        self.gentle = left.crashed.is_empty() && left.deaths >= GENTLE;
        self.keep = left.deaths > 0 || !left.crashed.is_empty();
        Ok(())
    }

    /// Says that `row` is tried, and nothing else is done meanwhile.
    pub(super) fn alone(&self, left: &Left, row: u64) -> Result<(), RunError> {
        let mut text = left.lines();
        let _ = writeln!(text, "alone {row}");
        for suspect in left.suspects.iter().filter(|suspect| **suspect != row) {
            let _ = writeln!(text, "at {suspect}");
        }
        self.write(text.as_bytes())
    }

    fn put(&self, worker: usize, line: &[u8; SLOT]) {
        let slots = self.slots.load(Ordering::Relaxed);
        if let (Some(file), true) = (self.lock.file(), slots != u64::MAX) {
            // A journal that cannot be written says less; the run goes on.
            let _ = file.write_all_at(line, slots + (worker * SLOT) as u64);
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if self.keep && !self.part.exists() {
            self.lock.keep();
        }
    }
}

/// The line of a worker that is at `row`.
fn line(row: u64) -> [u8; SLOT] {
    let mut line = *b"at 00000000000000000000\n";
    let mut rest = row;
    for digit in line[3..23].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    line
}

/// A journal in a file of its own, of cutouts that no claim goes with: whoever looks at
/// them next knows what a process that died was at.
#[derive(Debug)]
pub struct Looking {
    desk: Desk,
    left: Left,
}

impl Looking {
    /// In the file `path`, of the rows from 0 to `rows`; `None` where there are none, or
    /// where another process has the file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, rows: u64) -> Result<Option<Self>, RunError> {
        let range = RowRange { index: 0, first: 0, count: rows };
        let lock = if rows == 0 { None } else { PathLock::try_acquire(path)? };
        // No part ever says that the rows are done.
        Ok(lock.map(|lock| {
            let (desk, left) = Desk::open(range, PathBuf::new(), lock);
            Self { desk, left }
        }))
    }

    /// What those who looked before have left.
    pub fn left(&self) -> &Left {
        &self.left
    }

    /// Whether the cutouts are looked at one at a time, so that the next death has one
    /// suspect.
    pub fn is_gentle(&self) -> bool {
        self.left.deaths >= GENTLE
    }

    /// From here on the workers that `journal` has by now say what they are at.
    ///
    /// # Errors
    /// What the system says of writing.
    pub fn begin(mut self, journal: &Journal) -> Result<Watched, RunError> {
        self.left.suspects.clear();
        self.desk.begin(&self.left, journal.workers())?;
        let desk = Arc::new(self.desk);
        journal.watch(&desk);
        Ok(Watched(desk))
    }
}

/// A [`Looking`] that was begun.
#[derive(Debug)]
pub struct Watched(Arc<Desk>);

impl Watched {
    /// All cutouts were looked at, and nobody died: the file goes.
    pub fn done(self) {
        if let Some(mut desk) = Arc::into_inner(self.0) {
            desk.keep = false;
        }
    }
}

/// What the workers of a line are at. Without claims to watch it does nothing.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Of ranges that are under way: few.
    desks: RwLock<Vec<Weak<Desk>>>,
    workers: AtomicUsize,
    one: Mutex<()>,
}

impl Journal {
    /// The line of one more worker.
    pub fn worker(&self) -> Worker {
        let number = self.shared.workers.fetch_add(1, Ordering::Relaxed);
        Worker { number, shared: Arc::clone(&self.shared) }
    }

    /// Workers so far.
    pub(super) fn workers(&self) -> usize {
        self.shared.workers.load(Ordering::Relaxed)
    }

    /// Keeps what the workers are at in the file of a claim too.
    pub(super) fn watch(&self, desk: &Arc<Desk>) {
        let mut desks = self.shared.desks.write().unwrap_or_else(PoisonError::into_inner);
        desks.retain(|desk| desk.strong_count() > 0);
        desks.push(Arc::downgrade(desk));
    }
}

/// Of a worker: says what it is at.
#[derive(Debug)]
pub struct Worker {
    number: usize,
    shared: Arc<Shared>,
}

impl Worker {
    /// Does `work` on a row, of which the journal tells meanwhile.
    pub fn at<T>(&self, row: u64, work: impl FnOnce() -> T) -> T {
        let desks = self.shared.desks.read().unwrap_or_else(PoisonError::into_inner);
        let mut desks_of_row = desks.iter().filter_map(Weak::upgrade);
        let desk = desks_of_row.find(|d| (d.range.first..=d.range.last()).contains(&row));
        drop(desks_of_row);
        drop(desks);
        let Some(desk) = desk else { return work() };
        let _one =
            desk.gentle.then(|| self.shared.one.lock().unwrap_or_else(PoisonError::into_inner));
        desk.put(self.number, &line(row));
        let done = work();
        desk.put(self.number, IDLE);
        done
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn desk(folder: &Path) -> (Desk, Left) {
        let range = RowRange { index: 2, first: 20, count: 10 };
        let lock = PathLock::try_acquire(&folder.join(".range-2.lock")).unwrap().unwrap();
        Desk::open(range, folder.join("part"), lock)
    }

    #[test]
    fn what_workers_are_at_is_in_the_file_and_read_after_their_death() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".range-2.lock");
        let (mut first, left) = desk(folder.path());
        assert_eq!(left, Left::default());
        let journal = Journal::default();
        let workers = [journal.worker(), journal.worker(), journal.worker()];
        first.begin(&left, journal.workers()).unwrap();
        let first = Arc::new(first);
        journal.watch(&first);
        let at_death = workers[0].at(20, || {
            // Of another range.
            workers[1].at(30, || workers[2].at(29, || fs::read_to_string(&file).unwrap()))
        });
        assert_eq!(at_death.len(), 3 * SLOT);
        assert_eq!(fs::read_to_string(&file).unwrap().matches("at ").count(), 0);
        drop(first);
        assert!(!file.exists(), "an orderly end leaves nothing");

        fs::write(&file, &at_death).unwrap();
        let (second, left) = desk(folder.path());
        assert_eq!((left.suspects.clone(), left.deaths), ([20, 29].into(), 1));
        // Given up before it was begun: whoever comes next knows the same.
        drop(second);
        let (mut third, mut left) = desk(folder.path());
        assert_eq!(left.deaths, 1);
        left.crashed.insert(29, "signal 11".into());
        left.suspects.clear();
        third.begin(&left, 3).unwrap();
        assert!(!third.gentle);
        drop(third);
        let (fourth, left) = desk(folder.path());
        assert_eq!(left.crashed, [(29, "signal 11".to_owned())].into());
        assert!(left.suspects.is_empty());
        fs::write(folder.path().join("part"), "").unwrap();
        drop(fourth);
        assert!(!file.exists(), "with its part the range is done");
    }

    #[test]
    fn whoever_dies_over_a_row_that_is_tried_alone_has_crashed_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = desk(folder.path());
        let suspects = [21, 22, 23].into();
        let left = Left { suspects, deaths: 1, ..Left::default() };
        first.alone(&left, 22).unwrap();
        let text = fs::read_to_string(folder.path().join(".range-2.lock")).unwrap();
        let range = first.range;
        let seen = Left::parse(&text, &range);
        assert_eq!(seen.crashed.keys().copied().collect::<Vec<_>>(), [22]);
        assert_eq!((seen.suspects, seen.deaths), ([21, 23].into(), 2));
    }

    #[test]
    fn cutouts_without_a_claim_are_named_after_a_death_and_alone_after_the_third() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".looking");
        assert!(Looking::open(&path, 0).unwrap().is_none());
        let journal = Journal::default();
        let workers = [journal.worker(), journal.worker()];
        for deaths in 0..4 {
            let looking = Looking::open(&path, 10).unwrap().unwrap();
            assert_eq!((looking.left().deaths, looking.is_gentle()), (deaths, deaths >= 2));
            let suspects: Vec<u64> = looking.left().suspects.iter().copied().collect();
            let expected: &[u64] = match deaths {
                0 => &[],
                1 | 2 => &[3, 7],
                _ => &[7],
            };
            assert_eq!(suspects, expected);
            let gentle = looking.is_gentle();
            let watched = looking.begin(&journal).unwrap();
            let at_death = workers[0].at(7, || {
                if gentle {
                    return fs::read(&path).unwrap();
                }
                workers[1].at(3, || fs::read(&path).unwrap())
            });
            if deaths == 3 {
                watched.done();
                assert!(!path.exists(), "an orderly end leaves nothing");
            } else {
                drop(watched);
                fs::write(&path, at_death).unwrap();
            }
        }
    }

    #[test]
    fn what_is_no_journal_says_nothing() {
        let range = RowRange { index: 0, first: 0, count: 100 };
        for text in
            ["", "at", "at x", "at 100", "crashed", "\u{fffd} 3", "AT 3", "at 99999999999999999999"]
        {
            assert_eq!(Left::parse(text, &range), Left::default(), "{text}");
        }
        assert_eq!(Left::parse("at 00000000000000000007\nat 3", &range).suspects, [3, 7].into());
        assert_eq!(&line(1_234_567), b"at 00000000000001234567\n");
        assert_eq!(&line(u64::MAX), b"at 18446744073709551615\n");
    }

    #[test]
    fn after_two_deaths_without_a_culprit_one_cutout_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (mut desk, _) = desk(folder.path());
        let journal = Journal::default();
        desk.begin(&Left { deaths: 2, ..Left::default() }, 2).unwrap();
        assert!(desk.gentle);
        let desk = Arc::new(desk);
        journal.watch(&desk);
        let busy = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let worker = journal.worker();
                    for row in 20..30 {
                        worker.at(row, || {
                            assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0);
                            busy.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
    }
}
