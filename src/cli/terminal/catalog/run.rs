//! What `hiwl classify` did.

use std::{collections::BTreeMap, fmt::Write, iter};

use serde_json::{Value, json};

use super::{by_label, count, tally, verification};
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
pub fn text(report: &RunReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = lines(&mut out, report);
    out
}

fn lines(out: &mut String, report: &RunReport) -> std::fmt::Result {
    let listing = &report.listing;
    if !report.stages.is_empty() {
        out.push_str(&summary::stages(&report.stages));
    }
    let memory = report.peak_memory.map_or("unknown".to_owned(), format::bytes);
    if report.planned == 0 {
        writeln!(out, "every part is there: nothing to do")?;
    } else {
        writeln!(
            out,
            "{} rows in {}: {:.0} images/s, peak memory {memory}",
            count(report.written.rows),
            format::duration(report.elapsed),
            rate(report),
        )?;
    }
    let total = report.tally();
    let catalog = report.output.join("catalog");
    match &report.catalog {
        Some(whole) => {
            if !whole.is_complete() {
                verification::problems(out, whole)?;
            }
            let (found, of) = (count(total.rows), count(listing.rows));
            writeln!(out, "{}: {found} of {of} rows", shown::line(catalog.display()))?;
        }
        None => writeln!(
            out,
            "{}: {} rows written by this process, of {} in all",
            shown::line(catalog.display()),
            count(total.rows),
            count(listing.rows)
        )?,
    }
    out.push_str(&tally(&report.classes(), &total.labels, &total.rejected));
    out.push_str(&notes(&total));
    if let Some(line) = repeated_ids(listing) {
        writeln!(out, "{line}")?;
    }
    if listing.skipped > 0 {
        writeln!(out, "{} files were passed over: no cutouts", count(listing.skipped))?;
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
    let parts = count(report.left);
    (report.left > 0)
        .then(|| format!("{why}: {parts} parts are left; the same command goes on from here"))
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
    match listing.repeated_ids {
        0 => None,
        1 => Some("1 id belongs to more than one row".into()),
        ids => Some(format!("{} ids belong to more than one row each", count(ids))),
    }
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
        "{} of {} rows were rejected ({}), such as {source}: {why}",
        count(rows),
        count(total.rows),
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
    let heading = format!("{} inputs had problems (see run.json):", problems.len());
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
