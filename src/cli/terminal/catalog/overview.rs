//! A catalog at a glance.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value, json};

use super::{by_label, count, counted, tally};
use crate::catalog::Overview;
use crate::cli::terminal::{format, shown};

/// Characters of the longest bar.
const BAR: u64 = 40;

/// For a person.
pub fn text(folder: &Path, found: &Overview) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = lines(&mut out, folder, found);
    out
}

fn lines(out: &mut String, folder: &Path, found: &Overview) -> std::fmt::Result {
    let settings = &found.manifest.settings;
    let expected = found.manifest.listing.rows;
    writeln!(
        out,
        "{}: {}, {}",
        shown::line(folder.display()),
        counted(found.rows, "row", "rows"),
        format::bytes(found.bytes)
    )?;
    if found.missing_ranges > 0 {
        writeln!(
            out,
            "incomplete: {} of {}; {} missing",
            count(found.rows),
            counted(expected, "row", "rows"),
            counted(found.missing_ranges, "part is", "parts are")
        )?;
    }
    let untrained =
        if settings.model.untrained { ", untrained: its labels mean nothing" } else { "" };
    writeln!(
        out,
        "model  {} ({}{untrained})",
        shown::line(&settings.model.name),
        short(&settings.model.digest)
    )?;
    writeln!(out, "run    {} by hiwl {}", short(&found.run), found.manifest.program)?;
    writeln!(out, "labels")?;
    out.push_str(&tally(&found.classes, &found.labels, &found.rejected));
    writeln!(out, "confidence")?;
    let most = found.confidence.iter().copied().max().unwrap_or(0).max(1);
    for (bin, rows) in found.confidence.iter().enumerate() {
        let bar = "█".repeat((rows * BAR).div_ceil(most) as usize);
        let (from, to) = (bin as f64 / 10.0, (bin + 1) as f64 / 10.0);
        let line = format!("  {from:.1}–{to:.1}  {:>12}  {bar}", count(*rows));
        writeln!(out, "{}", line.trim_end())?;
    }
    if let Some(odd) = &found.oddness
        && let Some(median) = odd.median()
    {
        writeln!(
            out,
            "oddness  median {median:.1} (about 50 where galaxies are like those learned from); {} of \
             {}, {:.1} %, above 99",
            count(odd.above_99),
            counted(odd.rows, "row", "rows"),
            100.0 * odd.above_99 as f64 / odd.rows.max(1) as f64
        )?;
    }
    let sky = &found.sky;
    match (sky.ra, sky.dec) {
        (Some(ra), Some(dec)) => writeln!(
            out,
            "sky    {} with a position over some {:.1} deg²: RA {:.4}° to {:.4}°, Dec {:+.4}° to {:+.4}°",
            counted(sky.rows, "row", "rows"),
            sky.square_degrees,
            ra.0,
            ra.1,
            dec.0,
            dec.1
        ),
        _ => writeln!(out, "sky    no row has a position"),
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// For a program.
pub fn json(found: &Overview) -> Value {
    let settings = &found.manifest.settings;
    json!({
        "rows": found.rows,
        "rows_expected": found.manifest.listing.rows,
        "missing_ranges": found.missing_ranges,
        "bytes": found.bytes,
        "run": found.run,
        "version": found.manifest.program,
        "model": settings.model,
        "labels": by_label(&found.classes, &found.labels),
        "rejected": found.rejected.iter().map(|(r, n)| (r.code(), *n)).collect::<BTreeMap<_, _>>(),
        "confidence": found.confidence,
        "oddness": found.oddness.as_ref().map(|odd| {
            json!({ "rows": odd.rows, "above_99": odd.above_99, "median": odd.median() })
        }),
        "sky": {
            "rows": found.sky.rows,
            "square_degrees": found.sky.square_degrees,
            "ra": found.sky.ra,
            "dec": found.sky.dec,
        },
    })
}

/// What is shown of rows if nothing else is asked for: which galaxy, and what it is.
pub const COLUMNS: [&str; 6] = ["id", "ra", "dec", "label", "confidence", "status"];

/// Rows as a table for a person, with their columns in their order.
pub fn rows_text(batch: &RecordBatch) -> String {
    let names = batch.schema_ref().fields().iter().map(|field| shown::line(field.name()));
    let mut rows: Vec<Vec<String>> = vec![names.collect()];
    rows.extend(
        (0..batch.num_rows()).map(|row| batch.columns().iter().map(|c| cell(c, row)).collect()),
    );
    format::table(&rows)
}

fn cell(column: &dyn Array, row: usize) -> String {
    match column.data_type() {
        _ if column.is_null(row) => String::new(),
        DataType::Float64 => decimals(column.as_primitive::<Float64Type>().value(row), 5),
        DataType::Float32 => decimals(column.as_primitive::<Float32Type>().value(row).into(), 3),
        // A line break in an id would break the table.
        _ => shown::line(plain(column, row)),
    }
}

/// A number with so many decimals, or with an exponent where these would show nothing of
/// it, or digits without end.
fn decimals(value: f64, count: usize) -> String {
    let least = 0.5 * 10_f64.powi(-(count as i32));
    if value == 0.0 || !value.is_finite() || (least..1e9).contains(&value.abs()) {
        format!("{value:.count$}")
    } else {
        format!("{value:.count$e}")
    }
}

fn plain(column: &dyn Array, row: usize) -> String {
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default());
    formatter.map_or(String::new(), |f| f.value(row).try_to_string().unwrap_or_default())
}

/// Rows as JSON with all their columns; a missing value is null.
pub fn rows_json(batch: &RecordBatch) -> Value {
    let schema = batch.schema_ref();
    let row = |row: usize| {
        let cells = schema.fields().iter().zip(batch.columns());
        let cells = cells.map(|(field, column)| (field.name().clone(), value(column, row)));
        Value::Object(cells.collect::<Map<_, _>>())
    };
    Value::Array((0..batch.num_rows()).map(row).collect())
}

fn value(column: &dyn Array, row: usize) -> Value {
    match column.data_type() {
        _ if column.is_null(row) => Value::Null,
        DataType::Boolean => column.as_boolean().value(row).into(),
        // JSON has no NaN: it becomes null.
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).into(),
        DataType::Float16 => column.as_primitive::<Float16Type>().value(row).to_f32().into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::FixedSizeList(..) => {
            let vector = column.as_fixed_size_list().value(row);
            (0..vector.len()).map(|at| value(&vector, at)).collect()
        }
        // Narrower integers, texts, times.
        t if t.is_integer() => plain(column, row).parse::<i64>().map_or(Value::Null, Value::from),
        _ => plain(column, row).into(),
    }
}
