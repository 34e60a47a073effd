//! What `hiwl verify` found.

use std::{fmt::Write, path::Path};

use serde_json::{Value, json};

use super::{by_label, count, counted, tally};
use crate::catalog::Verification;
use crate::cli::terminal::{format::intervals, shown};

/// For a person: whole or not, what is wrong, and what to do.
pub fn text(folder: &Path, found: &Verification) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = problems(&mut out, found);
    let _ = writeln!(
        out,
        "{}: {} of {} in {}{}",
        shown::line(folder.display()),
        count(found.rows_found),
        counted(found.rows_expected, "row", "rows"),
        counted(found.ranges - (found.missing.len() + found.damaged.len()) as u64, "part", "parts"),
        if found.is_complete() { ", complete and undamaged" } else { "" },
    );
    out.push_str(&tally(&found.classes, &found.labels, &found.rejected));
    if found.duplicate_ids > 0 {
        let _ =
            writeln!(out, "{} an id", counted(found.duplicate_ids, "row repeats", "rows repeat"));
    }
    out
}

pub(super) fn problems(out: &mut String, found: &Verification) -> std::fmt::Result {
    if let Some(damage) = &found.listing {
        writeln!(out, "damaged listing: {}", shown::line(damage))?;
    }
    for part in &found.damaged {
        writeln!(
            out,
            "damaged: {}: {}",
            shown::line(part.path.display()),
            shown::line(&part.damage)
        )?;
    }
    for stretch in stretches(found) {
        writeln!(out, "missing: {stretch}")?;
    }
    for path in &found.stray {
        writeln!(out, "not part of the run: {}", shown::line(path.display()))?;
    }
    for path in &found.unfinished {
        writeln!(out, "unfinished: {}", shown::line(path.display()))?;
    }
    for problem in &found.problems {
        writeln!(out, "not listed: {}", shown::line(problem))?;
    }
    if !found.damaged.is_empty() {
        let one = found.damaged.len() == 1;
        writeln!(
            out,
            "`hiwl verify --remove-damaged` removes {}, and the command that began the run makes {} \
             again.",
            if one { "this part" } else { "these parts" },
            if one { "it" } else { "them" },
        )?;
    } else if !found.missing.is_empty() {
        writeln!(out, "The command that began the run goes on with what is missing.")?;
    }
    if let Some(array) = array(found) {
        writeln!(out, "Shards to run again: {array}")?;
    }
    Ok(())
}

/// The missing ranges, those that follow one another together.
fn stretches(found: &Verification) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = &found.missing[..];
    while let Some(first) = rest.first() {
        let run = rest.iter().zip(first.index..).take_while(|(r, next)| r.index == *next).count();
        out.push(match run {
            1 => format!("range {first}"),
            _ => {
                let last = &rest[run - 1];
                let (from, to) = (first.index, last.index);
                format!("ranges {from} to {to} (rows {} to {})", first.first, last.last())
            }
        });
        rest = &rest[run..];
    }
    out
}

/// The shards to run again as `sbatch` takes them; `None` if there are none,
/// or the run is not shared out.
pub fn array(found: &Verification) -> Option<String> {
    let shards = found.shards_to_redo().filter(|shards| !shards.is_empty())?;
    Some(format!("--array={}", intervals(&shards)))
}

/// For a program.
pub fn json(found: &Verification) -> Value {
    let ranges = |ranges: &mut dyn Iterator<Item = (u64, u64, u64)>| -> Vec<Value> {
        ranges
            .map(|(index, first, last)| json!({"range": index, "first": first, "last": last}))
            .collect()
    };
    json!({
        "complete": found.is_complete(),
        "rows_expected": found.rows_expected,
        "rows_found": found.rows_found,
        "ranges": found.ranges,
        "shards": found.shards,
        "shards_to_redo": found.shards_to_redo(),
        "missing": ranges(&mut found.missing.iter().map(|r| (r.index, r.first, r.last()))),
        "damaged": found.damaged.iter().map(|part| json!({
            "range": part.range.index,
            "path": part.path.display().to_string(),
            "damage": part.damage.to_string(),
        })).collect::<Vec<_>>(),
        "listing": found.listing.as_ref().map(ToString::to_string),
        "stray": found.stray.iter().map(|p| p.display().to_string()).collect::<Vec<_>>(),
        "unfinished": found.unfinished.iter().map(|p| p.display().to_string()).collect::<Vec<_>>(),
        "problems": found.problems,
        "labels": by_label(&found.classes, &found.labels),
        "rejected": found.rejected.iter().map(|(r, n)| (r.code(), *n)).collect::<std::collections::BTreeMap<_, _>>(),
        "duplicate_ids": found.duplicate_ids,
    })
}
