//! What `hiwl status` saw.

use std::{fmt::Write, path::Path};

use serde_json::{Value, json};

use super::{count, counted, table};
use crate::cli::terminal::{format::duration, shown};
use crate::run::{ShardStatus, Status};
use crate::words::part_of;

/// Shards that are shown one by one: those that are furthest behind.
const SHOWN: usize = 20;

/// For a person: the whole, then the shards that are not done.
pub fn text(folder: &Path, found: &Status) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = lines(&mut out, folder, found);
    out
}

fn lines(out: &mut String, folder: &Path, found: &Status) -> std::fmt::Result {
    let total = &found.total;
    writeln!(
        out,
        "{}: {} of {} ({:.1} %), {} of {}",
        shown::line(folder.display()),
        count(total.rows_done),
        counted(total.rows, "row", "rows"),
        100.0 * total.rows_done as f64 / total.rows.max(1) as f64,
        count(total.ranges_done),
        counted(total.ranges, "part", "parts"),
    )?;
    if total.is_complete() {
        return writeln!(out, "every part is there; `hiwl verify` looks inside");
    }
    if let Some(rate) = total.rate {
        let left = total.left().map_or("unknown".to_owned(), duration);
        writeln!(out, "{rate:.0} images/s, {left} left at this rate")?;
    }
    let idle = total.idle.map_or("no part yet".to_owned(), |idle| {
        format!("the last part came {} ago", duration(idle))
    });
    writeln!(out, "{idle}; {} begun", counted(found.begun, "part is", "parts are"))?;
    if !found.planned {
        return Ok(());
    }

    let mut behind: Vec<(usize, &ShardStatus)> =
        found.shards.iter().enumerate().filter(|(_, shard)| !shard.is_complete()).collect();
    writeln!(
        out,
        "{} done",
        part_of(
            (found.shards.len() - behind.len()) as u64,
            found.shards.len() as u64,
            ["shard", "shards"],
            ["is", "are"]
        )
    )?;
    let share = |shard: &ShardStatus| shard.rows_done as f64 / shard.rows.max(1) as f64;
    behind.sort_by(|a, b| share(a.1).total_cmp(&share(b.1)).then(a.0.cmp(&b.0)));
    let more = behind.len().saturating_sub(SHOWN);
    behind.truncate(SHOWN);
    let header = ["shard", "rows", "of", "images/s", "left", "last part"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(behind.into_iter().map(|(index, shard)| {
        let none = || "–".to_owned();
        [
            index.to_string(),
            count(shard.rows_done),
            count(shard.rows),
            shard.rate.map_or_else(none, |rate| format!("{rate:.0}")),
            shard.left().map_or_else(none, duration),
            shard.idle.map_or_else(none, |idle| format!("{} ago", duration(idle))),
        ]
    }));
    out.push_str(&table(&rows));
    if more > 0 {
        writeln!(out, "  and {more} more, further on")?;
    }
    Ok(())
}

/// For a program.
pub fn json(found: &Status) -> Value {
    let one = |shard: &ShardStatus| {
        json!({
            "rows": shard.rows,
            "rows_done": shard.rows_done,
            "ranges": shard.ranges,
            "ranges_done": shard.ranges_done,
            "images_per_second": shard.rate,
            "seconds_left": shard.left().map(|left| left.as_secs_f64()),
            "seconds_since_last_part": shard.idle.map(|idle| idle.as_secs_f64()),
        })
    };
    let mut all = one(&found.total);
    all["complete"] = json!(found.total.is_complete());
    all["planned"] = json!(found.planned);
    all["parts_begun"] = json!(found.begun);
    all["shards"] = found.shards.iter().map(one).collect();
    all
}
