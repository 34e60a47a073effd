//! What `hiwl classify` did.

use std::{collections::BTreeMap, fmt::Write, iter};

use serde_json::{Value, json};

use super::{by_label, count, counted, tally, verification};
use crate::{
    classify::{RunReport, tally::Tally},
    cli::terminal::{format, shown, summary},
    run::Listing,
};

/// Images a second, over the time that the line ran.
fn rate(report: &RunReport) -> f64 {
    let seconds = report.elapsed.as_secs_f64();
    if seconds > 0.0 { report.written.rows as f64 / seconds } else { 0.0 }
}

/// The summary for a person.
pub fn text(report: &RunReport, verbose: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = lines(&mut out, report, verbose);
    out
}

/// Why a process had no rows to make.
fn nothing_to_do(report: &RunReport) -> String {
    match report.shard {
        Some(shard) if shard.index() >= report.ranges => {
            let ranges = counted(report.ranges, "range", "ranges");
            let shards = match report.ranges.saturating_sub(1) {
                0 => "shard 0".to_owned(),
                last => format!("shards 0 to {last}"),
            };
            format!(
                "there is nothing for shard {shard}: the run has {ranges} of {} at most, for \
                 {shards} (--range-size cuts another run smaller)",
                counted(report.range_size, "row", "rows")
            )
        }
        Some(shard) => format!("every part of shard {shard} is there: nothing to do"),
        None => {
            "every part is there: nothing to do (inputs are listed when a run begins: what was \
                 added since needs another --output)"
                .to_owned()
        }
    }
}

/// How many files were passed over, if any were.
pub fn passed_over(listing: &Listing) -> Option<String> {
    let files = counted(listing.skipped, "file was", "files were");
    (listing.skipped > 0).then(|| format!("{files} passed over: not cutouts"))
}

fn lines(out: &mut String, report: &RunReport, verbose: bool) -> std::fmt::Result {
    let listing = &report.listing;
    let total = report.tally();
    out.push_str(&tally(&report.classes(), &total.labels, &total.rejected));
    if let Some((source, why)) = &total.example {
        let example = format!("such as {source}: {why}");
        writeln!(out, "{}", example.replace(char::is_control, " "))?;
    }
    out.push_str(&notes(&total));
    let memory = report.peak_memory.map_or("unknown".to_owned(), format::bytes);
    if report.planned == 0 {
        writeln!(out, "{}", nothing_to_do(report))?;
    } else {
        writeln!(
            out,
            "{} in {}: {:.0} images/s, peak memory {memory}",
            counted(report.written.rows, "row", "rows"),
            format::duration(report.elapsed),
            rate(report),
        )?;
    }
    if verbose && !report.stages.is_empty() {
        out.push_str(&summary::stages(&report.stages));
    }
    let catalog = report.output.join("catalog");
    match &report.catalog {
        Some(whole) => {
            if !whole.is_complete() {
                verification::problems(out, whole)?;
            }
            let (found, of) = (count(total.rows), counted(listing.rows, "row", "rows"));
            writeln!(out, "{}: {found} of {of}", shown::line(catalog.display()))?;
        }
        None => writeln!(
            out,
            "{}: {} written by this process, of {} in all",
            shown::line(catalog.display()),
            counted(total.rows, "row", "rows"),
            count(listing.rows)
        )?,
    }
    if let Some(line) = repeated_ids(listing) {
        writeln!(out, "{line}")?;
    }
    if let Some(line) = passed_over(listing) {
        writeln!(out, "{line}")?;
    }
    if let Some(line) = &listing.joined {
        writeln!(out, "{}", shown::line(line))?;
    }
    for (place, line) in problems(listing).iter().enumerate() {
        writeln!(out, "{}{line}", if place == 0 { "" } else { "  " })?;
    }
    for note in &report.notes {
        writeln!(out, "{}", shown::line(note))?;
    }
    if report.model.untrained {
        writeln!(
            out,
            "The model {} is untrained: its labels mean nothing. It is for trying the program out.",
            shown::line(&report.model.name)
        )?;
    }
    if let Some(line) = left(report) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Why the run is not finished, if it is not.
fn left(report: &RunReport) -> Option<String> {
    let why = if report.stopped { "stopped" } else { "another process works on the rest" };
    let parts = counted(report.left, "part is", "parts are");
    (report.left > 0).then(|| format!("{why}: {parts} left; the same command goes on from here"))
}

/// What is missing or damaged of a catalog that is not whole; nothing if it is.
pub fn incomplete(report: &RunReport) -> Vec<String> {
    let mut out = String::new();
    if let Some(whole) = report.catalog.as_ref().filter(|whole| !whole.is_complete()) {
        // Writing to a string cannot fail.
        let _ = verification::problems(&mut out, whole);
    }
    out.lines().map(str::to_owned).chain(left(report)).collect()
}

/// That rows share identifiers, if they do.
pub fn repeated_ids(listing: &Listing) -> Option<String> {
    let ids = listing.repeated_ids;
    let told =
        counted(ids, "id belongs to more than one row", "ids belong to more than one row each");
    (ids > 0).then_some(told)
}

/// Rows that have a label and a note, by what it says.
fn notes(total: &Tally) -> String {
    if total.notes.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = total.notes.iter().map(|(note, n)| [note.clone(), count(*n)]).collect();
    format!("labelled, with a note in `error`:\n{}", format::table(&rows))
}

/// How many rows were rejected, for what, and one of them, in a line; nothing
/// if none was.
pub fn rejected(report: &RunReport) -> Option<String> {
    let total = report.tally();
    let (source, why) = total.example?;
    let rows = total.rejected.values().sum();
    let reasons: Vec<String> = total
        .rejected
        .iter()
        .map(|(reason, n)| format!("{} {}", count(*n), reason.code()))
        .collect();
    let line = format!(
        "{} of {} rejected ({}), such as {source}: {why}",
        count(rows),
        counted(total.rows, "row was", "rows were"),
        reasons.join(", "),
    );
    // Names of files and what was found in them may hold anything.
    Some(line.replace(char::is_control, " "))
}

/// What could not be listed, under a heading; nothing if all could.
pub fn problems(listing: &Listing) -> Vec<String> {
    let problems = &listing.problems;
    if problems.is_empty() {
        return Vec::new();
    }
    let inputs = counted(problems.len() as u64, "input", "inputs");
    let heading = format!("{inputs} had problems (see run.json):");
    iter::once(heading).chain(problems.iter().take(10).map(shown::line)).collect()
}

/// The last event for a program.
pub fn json(report: &RunReport) -> Value {
    let total = report.tally();
    json!({
        "event": "end",
        "rows": report.written.rows,
        "rows_total": report.listing.rows,
        "ranges_left": report.left,
        "damaged": report.catalog.as_ref().map(|whole| whole.damaged.len()),
        "complete": report.catalog.as_ref().map(crate::catalog::Verification::is_complete),
        "seconds": report.elapsed.as_secs_f64(),
        "images_per_second": rate(report),
        "peak_memory_bytes": report.peak_memory,
        "labels": by_label(&report.classes(), &total.labels),
        "rejected": total.rejected.iter().map(|(r, n)| (r.code(), *n)).collect::<BTreeMap<_, _>>(),
        "notes_of_rows": total.notes,
        "repeated_ids": report.listing.repeated_ids,
        "skipped": report.listing.skipped,
        "problems": report.listing.problems,
        "notes": report.notes,
        "model": report.model,
        "stages": summary::stages_json(&report.stages),
    })
}
