//! How far a run is, from the names and times of its parts alone.
//!
//! Nothing is locked, opened or written, so that looking at a run never
//! disturbs it and costs the same for one row as for a thousand million. What
//! is inside the parts is left to [`verify()`](crate::catalog::verify()).
//!
//! Invariant: a clock that jumped, here or on another machine, may cost an
//! estimate and nothing else.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::folder::{ranges, read_manifest};
use super::names::CATALOG;
use super::{Plan, RowRange, RunError};
use crate::storage::{place, sweep};

/// Parts from whose times a rate is taken: those of the last while, so that
/// it is today's rate and not the night's.
const RECENT: usize = 64;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// Whether the run is shared out.
    pub planned: bool,
    /// One of each shard, in order; one for all if the run is not shared out.
    pub shards: Vec<ShardStatus>,
    /// The shards together.
    pub total: ShardStatus,
    /// Parts that some process began and has not finished: one that works, or
    /// one that died and whose leftovers the next start removes.
    pub begun: u64,
}

/// How far a shard is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShardStatus {
    /// Rows that are the shard's.
    pub rows: u64,
    /// Of them in parts.
    pub rows_done: u64,
    /// Ranges that are the shard's.
    pub ranges: u64,
    /// Of them with a part.
    pub ranges_done: u64,
    /// Rows a second over the last parts; none before there are two of them.
    pub rate: Option<f64>,
    /// How long ago its last part came.
    pub idle: Option<Duration>,
}

impl ShardStatus {
    /// Whether every range has its part.
    pub fn is_complete(&self) -> bool {
        self.ranges_done == self.ranges
    }

    /// How long what is missing takes at its rate.
    pub fn left(&self) -> Option<Duration> {
        let rows = (self.rows - self.rows_done) as f64;
        Duration::try_from_secs_f64(rows / self.rate.filter(|rate| *rate > 0.0)?).ok()
    }
}

/// Looks at the run in `dir`.
///
/// # Errors
/// If there is no run, its plan is another run's, or its parts cannot be
/// listed.
pub fn status(dir: &Path) -> Result<Status, RunError> {
    let now = SystemTime::now();
    let (manifest, digest) = read_manifest(dir)?;
    let plan = Plan::of(dir, &digest)?;
    let count = plan.as_ref().map_or(1, |plan| plan.shards);
    let ranges = ranges(&manifest);

    let mut parts: Vec<(SystemTime, RowRange)> = Vec::new();
    let mut begun = 0;
    for found in place::list(&dir.join(CATALOG))? {
        let name = found.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        begun += u64::from(found.path.file_name().is_some_and(sweep::is_temporary));
        let Some(range) = ranges.of_part(&name) else { continue };
        // A file system without times is one without rates.
        parts.push((found.modified().unwrap_or(now), range));
    }
    parts.sort_unstable();

    let shard_of = |range: &RowRange| (range.index % count) as usize;
    let mut shards = vec![Gauge::default(); count as usize];
    let mut total = Gauge::default();
    for range in ranges.iter() {
        for gauge in [&mut shards[shard_of(&range)], &mut total] {
            gauge.status.ranges += 1;
            gauge.status.rows += range.count;
        }
    }
    for (time, range) in parts {
        shards[shard_of(&range)].add(time, range.count);
        total.add(time, range.count);
    }
    Ok(Status {
        planned: plan.is_some(),
        shards: shards.into_iter().map(|gauge| gauge.read(now)).collect(),
        total: total.read(now),
        begun,
    })
}

/// A status that is being counted.
#[derive(Clone, Default)]
struct Gauge {
    status: ShardStatus,
    /// Times and rows of the last parts.
    recent: VecDeque<(SystemTime, u64)>,
}

impl Gauge {
    /// Takes a part; they come in the order of their times.
    fn add(&mut self, time: SystemTime, rows: u64) {
        self.status.ranges_done += 1;
        self.status.rows_done += rows;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((time, rows));
    }

    fn read(self, now: SystemTime) -> ShardStatus {
        let mut status = self.status;
        let (Some((first, _)), Some((last, _))) = (self.recent.front(), self.recent.back()) else {
            return status;
        };
        // A part from the future came just now.
        status.idle = Some(now.duration_since(*last).unwrap_or_default());
        // The rows of the first part were made before it came. While parts
        // are missing time goes on, so that a run that stands still is seen
        // to slow down.
        let rows: u64 = self.recent.iter().skip(1).map(|(_, rows)| rows).sum();
        let end = if status.is_complete() { *last } else { now.max(*last) };
        let seconds = end.duration_since(*first).unwrap_or_default().as_secs_f64();
        status.rate = (rows > 0 && seconds > 0.0).then(|| rows as f64 / seconds);
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn gauge(times: &[u64], ranges: u64) -> Gauge {
        let status = ShardStatus { rows: ranges * 100, ranges, ..ShardStatus::default() };
        let mut gauge = Gauge { status, recent: VecDeque::new() };
        times.iter().for_each(|time| gauge.add(at(*time), 100));
        gauge
    }

    #[test]
    fn the_rate_is_that_of_the_last_parts_and_decays_when_none_come() {
        let busy = gauge(&[10, 20, 30], 10).read(at(30));
        assert_eq!((busy.rate, busy.idle), (Some(10.0), Some(Duration::ZERO)));
        assert_eq!(busy.left(), Some(Duration::from_secs(70)));
        let still = gauge(&[10, 20, 30], 10).read(at(1010));
        assert_eq!((still.rate, still.idle), (Some(0.2), Some(Duration::from_secs(980))));
        // A finished one keeps its rate.
        assert_eq!(gauge(&[10, 20, 30], 3).read(at(1010)).rate, Some(10.0));
        // Older parts than the last 64 do not count.
        let times: Vec<u64> = [0].into_iter().chain(1000..1000 + RECENT as u64).collect();
        assert_eq!(gauge(&times, 100).read(at(1063)).rate, Some(100.0));
    }

    #[test]
    fn one_part_or_a_clock_that_jumped_gives_no_rate_and_no_panic() {
        assert_eq!(gauge(&[], 5).read(at(9)), gauge(&[], 5).status);
        assert_eq!(gauge(&[10], 5).read(at(20)).rate, None);
        assert_eq!(gauge(&[10, 10], 2).read(at(20)).rate, None);
        let future = gauge(&[1_000_000, 1_000_010], 5).read(at(9));
        assert_eq!((future.idle, future.rate), (Some(Duration::ZERO), Some(10.0)));
    }
}
