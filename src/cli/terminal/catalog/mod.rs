//! A run and its catalog in words, and as JSON for programs.

pub mod export;
pub mod overview;
pub mod plan;
pub mod run;
pub mod status;
pub mod verification;

use std::{collections::BTreeMap, fmt::Write};

use super::format::{count, table};
use crate::{cutout::Reason, model::hierarchy::Class};

/// Two small tables: rows by label, rejected rows by reason.
fn tally(labels: &BTreeMap<Class, u64>, rejected: &BTreeMap<Reason, u64>) -> String {
    let labelled: u64 = labels.values().sum();
    let share = |n: u64| format!("{:.1} %", 100.0 * n as f64 / labelled.max(1) as f64);
    let mut out = String::new();
    let rows: Vec<_> = Class::ALL
        .into_iter()
        .map(|class| {
            let n = labels.get(&class).copied().unwrap_or(0);
            [class.label().to_owned(), count(n), share(n)]
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
