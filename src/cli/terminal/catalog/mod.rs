//! A run and its catalog in words, and as JSON for programs.

pub mod export;
pub mod overview;
pub mod plan;
pub mod run;
pub mod status;
pub mod verification;

use std::{collections::BTreeMap, fmt::Write};

use super::format::{count, counted, table};
use crate::cutout::Reason;

/// Rows by label, for a program; a label without rows is left out.
fn by_label<'a>(classes: &'a [String], labels: &BTreeMap<usize, u64>) -> BTreeMap<&'a str, u64> {
    labels.iter().map(|(&place, &rows)| (classes[place].as_str(), rows)).collect()
}

/// Two small tables: rows by label, rejected rows by reason.
fn tally(
    classes: &[String],
    labels: &BTreeMap<usize, u64>,
    rejected: &BTreeMap<Reason, u64>,
) -> String {
    let labelled: u64 = labels.values().sum();
    let share = |n: u64| format!("{:.1} %", 100.0 * n as f64 / labelled.max(1) as f64);
    let mut out = String::new();
    let rows: Vec<_> = classes
        .iter()
        .enumerate()
        .map(|(place, class)| {
            let n = labels.get(&place).copied().unwrap_or(0);
            [class.clone(), count(n), share(n)]
        })
        .collect();
    out.push_str(&table(&rows));
    if !rejected.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "rejected (their rows say why):");
        let rows: Vec<_> =
            rejected.iter().map(|(reason, n)| [reason.code().to_owned(), count(*n)]).collect();
        out.push_str(&table(&rows));
    }
    out
}
