//! How a run's rows are cut into ranges, named, and shared out.
//!
//! Invariant: ranges cover every row once, and the shards of one count share
//! out every range once, whatever the numbers.

use std::fmt;
use std::path::{Path, PathBuf};

use super::RunError;

/// A stretch of consecutive rows: the unit of work, of the listing's row
/// groups and of the catalog's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowRange {
    /// Its number, from 0.
    pub index: u64,
    /// Its first row, from 0.
    pub first: u64,
    /// Rows in it, at least 1.
    pub count: u64,
}

impl RowRange {
    /// The last row, included.
    pub fn last(&self) -> u64 {
        self.first + (self.count - 1)
    }

    /// The file name of its part. Twelve digits hold a million million rows;
    /// beyond that names still tell ranges apart and only cease to sort.
    pub(crate) fn part_name(&self) -> String {
        format!("{}.parquet", self.part_stem())
    }

    /// [`part_name`](Self::part_name) without its extension.
    pub(crate) fn part_stem(&self) -> String {
        format!("part-{:012}-{:012}", self.first, self.last())
    }

    /// The path of its part in the run folder `run`.
    pub(crate) fn part_path(&self, run: &Path) -> PathBuf {
        run.join(super::names::CATALOG).join(self.part_name())
    }
}

impl fmt::Display for RowRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rows {} to {})", self.index, self.first, self.last())
    }
}

/// Most rows of a range, unless a size is asked for.
pub const RANGE_SIZE: u64 = 16_384;

/// Least rows of one.
const LEAST: u64 = 128;

/// The rows of a range in a run of so many, where no size is asked for: a 64th of the
/// run and at least [`LEAST`], so that a small run that is stopped loses some seconds of
/// work, up to [`RANGE_SIZE`], so that one of millions has no more parts than it must.
/// A power of two, which divides [`RANGE_SIZE`]; by the number of rows alone, so that
/// all who list the same inputs agree.
pub(crate) fn usual_size(rows: u64) -> u64 {
    // Beyond 2^63 rows there is no power of two.
    (rows / 64).checked_next_power_of_two().unwrap_or(RANGE_SIZE).clamp(LEAST, RANGE_SIZE)
}

/// The ranges of a run of `rows` rows: an iterator, and a lookup by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ranges {
    rows: u64,
    size: u64,
}

impl Ranges {
    /// Ranges of `size` rows (at least 1); the last may be shorter.
    pub(crate) fn new(rows: u64, size: u64) -> Self {
        Self { rows, size: size.max(1) }
    }

    pub(crate) fn len(&self) -> u64 {
        self.rows.div_ceil(self.size)
    }

    pub(crate) fn get(&self, index: u64) -> Option<RowRange> {
        let first = index.checked_mul(self.size).filter(|first| *first < self.rows)?;
        Some(RowRange { index, first, count: self.size.min(self.rows - first) })
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = RowRange> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }

    /// The range whose part has this file name.
    pub(crate) fn of_part(&self, name: &str) -> Option<RowRange> {
        let first = name.strip_prefix("part-")?.split('-').next()?.parse::<u64>().ok()?;
        let range = self.get(first / self.size)?;
        (range.part_name() == name).then_some(range)
    }
}

/// One of several processes that share out a run: shard `index` of `count`
/// takes the ranges whose number leaves `index` when divided by `count`.
///
/// Shards count from 0, as the array index of a scheduler does: the four
/// shards of a run are `0/4`, `1/4`, `2/4` and `3/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// [`RunError::BadSetting`] unless `index < count`.
    pub fn new(index: u64, count: u64) -> Result<Self, RunError> {
        if count == 0 {
            return Err(RunError::BadSetting("a run has at least one shard".into()));
        }
        if index >= count {
            return Err(RunError::BadSetting(format!(
                "there is no shard {index}/{count}: shards count from 0, the last of {count} is {}/{count}",
                count - 1
            )));
        }
        Ok(Self { index, count })
    }

    /// Reads `"1/4"`.
    ///
    /// # Errors
    /// [`RunError::BadSetting`] for anything but `INDEX/COUNT` with
    /// `INDEX < COUNT`.
    pub fn parse(text: &str) -> Result<Self, RunError> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some((index.trim().parse().ok()?, count.trim().parse().ok()?))
        });
        let (index, count) = numbers.ok_or_else(|| {
            RunError::BadSetting(format!(
                "`{text}` is not a shard: write INDEX/COUNT, such as 0/4 for the first of four"
            ))
        })?;
        Self::new(index, count)
    }

    /// Which one, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Of how many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether the range is this shard's.
    pub fn takes(&self, range: &RowRange) -> bool {
        range.index % self.count == self.index
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn ranges_cover_every_row_once_and_shards_every_range_once() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..400 {
            let rows = random.random_range(1..5_000u64);
            let size = random.random_range(1..6_000u64);
            let shards = random.random_range(1..40u64);
            let ranges = Ranges::new(rows, size);

            let mut next = 0;
            for (index, range) in ranges.iter().enumerate() {
                assert_eq!((range.index, range.first), (index as u64, next));
                assert!(range.count >= 1 && range.count <= size);
                next = range.last() + 1;
                assert_eq!(ranges.of_part(&range.part_name()), Some(range));
            }
            assert_eq!(next, rows, "{rows} rows in ranges of {size}");
            assert_eq!(ranges.get(ranges.len()), None);

            let mut shared: Vec<RowRange> = (0..shards)
                .flat_map(|index| {
                    let shard = Shard::new(index, shards).unwrap();
                    ranges.iter().filter(move |range| shard.takes(range))
                })
                .collect();
            shared.sort();
            assert_eq!(shared, ranges.iter().collect::<Vec<_>>(), "{shards} shards");
        }
    }

    #[test]
    fn names_sort_as_rows_do_and_only_exact_names_are_parts() {
        let ranges = Ranges::new(1_000_000, 65_536);
        let names: Vec<String> = ranges.iter().map(|range| range.part_name()).collect();
        assert!(names.is_sorted());
        assert_eq!(names[1], "part-000000065536-000000131071.parquet");
        for wrong in [
            "part-000000065536-000000131070.parquet",
            "part-65536-131071.parquet",
            "part-000000065537-000000131071.parquet",
            "part-000009999999-000010065534.parquet",
            "part-000000065536-000000131071.parquet.bak",
            "part-",
            "part-18446744073709551616-1.parquet",
            "",
        ] {
            assert_eq!(ranges.of_part(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_small_run_has_parts_enough_and_a_large_one_not_too_many() {
        let parts = |rows: u64| rows.div_ceil(usual_size(rows));
        assert_eq!((usual_size(0), usual_size(25), usual_size(500)), (128, 128, 128));
        assert_eq!((parts(500), parts(5_000), parts(50_000)), (4, 40, 49));
        // A 64th of the run, to a power of two above it, without a leap.
        assert_eq!((usual_size(262_143), usual_size(262_144)), (4_096, 4_096));
        assert_eq!((usual_size(300_000), usual_size(600_000)), (8_192, RANGE_SIZE));
        let mut last = 128;
        for rows in 1..1_100_000 {
            let size = usual_size(rows);
            assert!(size == last || size == 2 * last, "{rows}: {last} {size}");
            assert!(RANGE_SIZE.is_multiple_of(size) && parts(rows) <= 68, "{rows}");
            last = size;
        }
        assert_eq!((parts(1_000_000), usual_size(100_000_000)), (62, RANGE_SIZE));
        assert_eq!(usual_size(u64::MAX), RANGE_SIZE);
    }

    #[test]
    fn shards_count_from_zero() {
        let shard = Shard::parse("1/4").unwrap();
        assert_eq!((shard.index(), shard.count(), shard.to_string()), (1, 4, "1/4".into()));
        assert_eq!(Shard::parse("0/1").unwrap(), Shard::new(0, 1).unwrap());
        let last = Shard::parse("4/4").unwrap_err().to_string();
        assert!(last.contains("3/4"), "{last}");
        for wrong in ["", "1", "1/", "/4", "-1/4", "a/b", "1/0", "1/4/2"] {
            assert!(Shard::parse(wrong).is_err(), "{wrong}");
        }
    }
}
