//! Numbers that are typed, or that a pipeline file holds, and their limits.
//!
//! Invariant: what would take all memory or all threads of a machine is refused
//! before anything is begun, with the limit that it passes.

use anyhow::anyhow;

use super::{CliError, usage};

/// Cutouts per batch. A run holds up to 8 batches on a processor and 10 on a GPU,
/// of 0.17 MB a cutout at 240 px: 7 GB at this limit. No device is faster with
/// more than a few hundred.
pub(super) const MOST_BATCH: usize = 4096;

/// Threads of each of the three stages that compute.
pub(super) const MOST_WORKERS: usize = 1024;

/// Rows that `hiwl catalog` shows, which it holds in memory.
const MOST_SAMPLE: u64 = 1_000_000;

/// The value of `--sample`.
pub(super) fn sample(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if number <= MOST_SAMPLE => Ok(number),
        _ => Err(format!("a whole number up to {MOST_SAMPLE}")),
    }
}

/// The value of `--batch`.
pub(super) fn batch(text: &str) -> Result<usize, String> {
    within(text, MOST_BATCH)
}

/// The value of `--workers`.
pub(super) fn workers(text: &str) -> Result<usize, String> {
    within(text, MOST_WORKERS)
}

/// The value of `--least-valid`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}

/// A batch from a pipeline file or a plan.
pub(super) fn checked_batch(batch: usize) -> Result<usize, CliError> {
    checked("batch", batch, MOST_BATCH)
}

/// Workers from a pipeline file, or as many as there are cores.
pub(super) fn checked_workers(workers: usize) -> Result<usize, CliError> {
    checked("workers", workers, MOST_WORKERS)
}

fn within(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("a whole number from 1 to {most}")),
    }
}

fn checked(what: &str, number: usize, most: usize) -> Result<usize, CliError> {
    match number {
        number if (1..=most).contains(&number) => Ok(number),
        _ => Err(usage(anyhow!("{what} is {number}: from 1 to {most} are possible"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_their_limits_are_refused_with_them() {
        assert_eq!((batch("1"), batch("4096")), (Ok(1), Ok(4096)));
        assert_eq!(workers("1024"), Ok(1024));
        for wrong in ["0", "-1", "4097", "1000000000", "99999999999999999999", "many", ""] {
            assert!(batch(wrong).unwrap_err().ends_with("from 1 to 4096"), "{wrong}");
        }
        assert!(workers("1000000").unwrap_err().ends_with("from 1 to 1024"));
        assert!(checked_batch(0).is_err() && checked_batch(5000).is_err());
        assert_eq!(checked_workers(2).ok(), Some(2));
    }
}
