//! The names of the files in a run's folder.

/// The run's description.
pub(crate) const MANIFEST: &str = "run.json";
/// How the run is shared out.
pub(crate) const PLAN: &str = "plan.json";
/// The listing.
pub(crate) const INPUTS: &str = "inputs.parquet";
/// The folder of the parts.
pub(crate) const CATALOG: &str = "catalog";
/// Held by who plans.
pub(crate) const PLAN_LOCK: &str = ".lock";

/// The listing in a store, where it is named by its content: whoever plans at
/// the same time and is not first would otherwise replace the first one's.
pub(crate) fn inputs_in_store(digest: &str) -> String {
    format!("inputs-{digest}.parquet")
}

/// The lock of a range, in the run folder.
pub(crate) fn range_lock(index: u64) -> String {
    format!(".range-{index}.lock")
}

/// Whose lock has this name in the run folder.
pub(crate) fn lock(name: &str) -> Option<Lock> {
    if name == PLAN_LOCK {
        return Some(Lock::Plan);
    }
    let index = name.strip_prefix(".range-").and_then(|rest| rest.strip_suffix(".lock"))?;
    index.parse().ok().map(Lock::Range)
}

/// What a lock is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Planning.
    Plan,
    /// A range.
    Range(u64),
}
