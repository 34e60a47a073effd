//! What each stage did and what it waited for.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The memory an item holds while it waits in a channel.
pub trait Weigh {
    /// Bytes, give or take the size of the struct itself.
    fn weight(&self) -> usize;
}

/// Counters of one stage, shared by its workers and read while it runs.
#[derive(Debug)]
pub struct Meter {
    name: &'static str,
    workers: usize,
    items_in: AtomicU64,
    items_out: AtomicU64,
    bytes_out: AtomicU64,
    alive_ns: AtomicU64,
    blocked_in_ns: AtomicU64,
    blocked_out_ns: AtomicU64,
}

impl Meter {
    pub(super) fn new(name: &'static str, workers: usize) -> Self {
        Self {
            name,
            workers,
            items_in: AtomicU64::new(0),
            items_out: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            alive_ns: AtomicU64::new(0),
            blocked_in_ns: AtomicU64::new(0),
            blocked_out_ns: AtomicU64::new(0),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn received(&self) {
        self.items_in.fetch_add(1, Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.items_out.fetch_add(1, Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn blocked_in(&self, time: Duration) {
        self.blocked_in_ns.fetch_add(nanoseconds(time), Relaxed);
    }

    /// Time spent waiting for what comes after: a full channel, or a full
    /// window of items in flight.
    pub(super) fn blocked_out(&self, time: Duration) {
        self.blocked_out_ns.fetch_add(nanoseconds(time), Relaxed);
    }

    pub(super) fn ended(&self, alive: Duration) {
        self.alive_ns.fetch_add(nanoseconds(alive), Relaxed);
    }

    /// Items taken so far.
    pub fn items_in(&self) -> u64 {
        self.items_in.load(Relaxed)
    }

    /// What the stage did, once its workers have ended.
    pub(super) fn report(&self) -> StageReport {
        let time = |counter: &AtomicU64| Duration::from_nanos(counter.load(Relaxed));
        let (blocked_in, blocked_out) = (time(&self.blocked_in_ns), time(&self.blocked_out_ns));
        StageReport {
            name: self.name,
            workers: self.workers,
            items_in: self.items_in(),
            items_out: self.items_out.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            busy: time(&self.alive_ns).saturating_sub(blocked_in + blocked_out),
            blocked_in,
            blocked_out,
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    // 584 years of waiting fit.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One line of the table that ends a run. Times are summed over workers.
#[derive(Debug, Clone)]
pub struct StageReport {
    /// The stage.
    pub name: &'static str,
    /// Its threads.
    pub workers: usize,
    /// Items taken.
    pub items_in: u64,
    /// Items handed on.
    pub items_out: u64,
    /// Bytes handed on.
    pub bytes_out: u64,
    /// At work.
    pub busy: Duration,
    /// Waiting for items from the stage before.
    pub blocked_in: Duration,
    /// Waiting for room in the stages after.
    pub blocked_out: Duration,
}

impl StageReport {
    /// Share of its workers' lives that the stage was at work, 0 to 1.
    pub fn utilisation(&self) -> f64 {
        let alive = self.busy + self.blocked_in + self.blocked_out;
        if alive.is_zero() { 0.0 } else { self.busy.as_secs_f64() / alive.as_secs_f64() }
    }
}

/// The stage that bounds the run: the one most at work.
pub fn bottleneck(reports: &[StageReport]) -> Option<&StageReport> {
    reports.iter().max_by(|a, b| a.utilisation().total_cmp(&b.utilisation()))
}
