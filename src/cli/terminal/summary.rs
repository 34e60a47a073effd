//! What a run did: the table of its stages and where its time went.

use std::{fmt::Write, time::Duration};

use serde_json::{Value, json};

use super::format::{self, table};
use crate::pipeline::{StageReport, bottleneck};

/// The table that ends a run: a line per stage, and the one that bounds it.
pub fn stages(reports: &[StageReport]) -> String {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let header = ["stage", "threads", "items", "bytes", "busy", "starved", "blocked", "use"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(reports.iter().map(|stage| {
        [
            stage.name.to_owned(),
            stage.workers.to_string(),
            format::count(stage.items_in.max(stage.items_out)),
            format::bytes(stage.bytes_out),
            format::duration(stage.busy),
            format::duration(stage.blocked_in),
            format::duration(stage.blocked_out),
            percent(stage.utilisation()),
        ]
    }));
    let mut out = table(&rows);
    if let Some(stage) = bottleneck(reports) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "  bound by `{}`: at work {} of its time",
            stage.name,
            percent(stage.utilisation())
        );
    }
    out
}

/// The same for programs.
pub fn stages_json(reports: &[StageReport]) -> Value {
    let seconds = |time: Duration| time.as_secs_f64();
    reports
        .iter()
        .map(|stage| {
            json!({
                "stage": stage.name, "workers": stage.workers,
                "items_in": stage.items_in, "items_out": stage.items_out,
                "bytes_out": stage.bytes_out, "busy_s": seconds(stage.busy),
                "starved_s": seconds(stage.blocked_in),
                "blocked_s": seconds(stage.blocked_out),
            })
        })
        .collect()
}
