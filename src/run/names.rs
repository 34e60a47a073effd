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

/// Whether this is the name of a lock in the run folder.
pub(crate) fn is_lock(name: &str) -> bool {
    let index = name.strip_prefix(".range-").and_then(|rest| rest.strip_suffix(".lock"));
    name == PLAN_LOCK || index.is_some_and(|index| index.parse::<u64>().is_ok())
}
