//! What `hiwl plan` made.

use std::{fmt::Write, path::Path};

use serde_json::{Value, json};

use super::{count, counted};
use crate::classify::Planned;
use crate::cli::terminal::shown;

/// For a person: what there is to do, and who does it.
pub fn text(folder: &Path, planned: &Planned) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = lines(&mut out, folder, planned);
    out
}

fn lines(out: &mut String, folder: &Path, planned: &Planned) -> std::fmt::Result {
    let folder = shown::line(folder.display());
    writeln!(
        out,
        "{folder}: {} in {} for {}",
        counted(planned.listing.rows, "cutout", "cutouts"),
        counted(planned.ranges, "range", "ranges"),
        counted(planned.shards, "shard", "shards")
    )?;
    if planned.ranges < planned.shards {
        let smaller = match (planned.listing.rows / planned.shards).max(1) {
            1 => "1".to_owned(),
            rows => format!("{rows} or less"),
        };
        let have = if planned.ranges == 1 { "has" } else { "have" };
        writeln!(
            out,
            "only {} of the shards {have} something to do: a range is {} \
             (to share out more evenly, plan another folder with --range-size {smaller})",
            count(planned.ranges),
            counted(planned.range_size, "row", "rows"),
        )?;
    }
    if let Some(line) = super::run::repeated_ids(&planned.listing) {
        writeln!(out, "{line}")?;
    }
    if let Some(line) = super::run::passed_over(&planned.listing) {
        writeln!(out, "{line}")?;
    }
    if !planned.listing.problems.is_empty() {
        let inputs = counted(planned.listing.problems.len() as u64, "input", "inputs");
        writeln!(out, "{inputs} had problems (see run.json)")?;
    }
    let name = planned.precision.name();
    writeln!(out, "precision: {name}, for every task (another with --precision)")?;
    let last = planned.shards - 1;
    let array = if last == 0 { "0".to_owned() } else { format!("0-{last}") };
    writeln!(out, "each task: hiwl classify --plan {folder}   (--array={array})")?;
    writeln!(out, "then:      hiwl verify {folder}")
}

/// For a program.
pub fn json(planned: &Planned) -> Value {
    json!({
        "rows": planned.listing.rows,
        "ranges": planned.ranges,
        "range_size": planned.range_size,
        "shards": planned.shards,
        "skipped": planned.listing.skipped,
        "problems": planned.listing.problems,
        "model": planned.model,
        "precision": planned.precision.name(),
    })
}
