//! What `hiwl export` wrote, and what it left out.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::counted;
use crate::cli::terminal::{format, shown};
use crate::export::ExportReport;

/// For a person.
pub fn text(output: &Path, report: &ExportReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = lines(&mut out, output, report);
    out
}

fn lines(out: &mut String, output: &Path, report: &ExportReport) -> std::fmt::Result {
    let bytes = format::bytes(report.bytes);
    let rows = counted(report.rows, "row", "rows");
    write!(out, "{}: {rows}, {bytes}", shown::line(output.display()))?;
    if report.partitions > 0 {
        write!(out, " in {}", counted(report.partitions, "partition", "partitions"))?;
    }
    writeln!(out)?;
    let left_out = [
        (report.rejected, "rejected (--rejected takes these too)"),
        (report.filtered, "by the condition"),
        (report.unplaced, "without a position"),
        (report.missing, "not in the catalog yet"),
    ];
    for (rows, why) in left_out.into_iter().filter(|(rows, _)| *rows > 0) {
        writeln!(out, "  {} left out: {why}", counted(rows, "row", "rows"))?;
    }
    for column in &report.left_out {
        let column = shown::line(column);
        writeln!(out, "  column `{column}` left out: vectors go into parquet and hats alone")?;
    }
    if report.cut > 0 {
        let texts = counted(report.cut, "text", "texts");
        writeln!(
            out,
            "  {texts} of more than 1,024 bytes cut to that; the other formats keep all"
        )?;
    }
    Ok(())
}

/// For a program.
pub fn json(output: &Path, report: &ExportReport) -> Value {
    json!({
        "output": output.display().to_string(),
        "rows": report.rows,
        "bytes": report.bytes,
        "rejected": report.rejected,
        "filtered": report.filtered,
        "unplaced": report.unplaced,
        "missing": report.missing,
        "cut": report.cut,
        "partitions": report.partitions,
        "columns_left_out": report.left_out,
        "peak_memory_bytes": crate::pipeline::memory::peak_resident(),
    })
}
