//! pyarrow, pandas, DuckDB and astropy read what the library writes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use hiwl::catalog::{PartWriter, Row, verify};
use hiwl::cutout::{Reason, Rejection};
use hiwl::run::{InputsWriter, RunError, RunFolder};
use hiwl::source::Entry;
use hiwl::tree::Scheme;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::util::python::oracle;

const FLOATS: [&str; 9] =
    ["ra", "dec", "confidence", "p_crs", "p_ibs", "p_css", "p_eo", "p_spi", "p_css_eo"];

fn read(run: &RunFolder) -> Value {
    let folder = run.catalog();
    let text = oracle("read_catalog.py", &[folder.to_str().expect("a UTF-8 path")]);
    serde_json::from_str(&text).expect("the oracle prints JSON")
}

fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut sha = Sha256::new();
    for text in texts {
        sha.update((text.len() as u64).to_le_bytes());
        sha.update(text);
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn values(row: &Row, name: &str) -> Option<f64> {
    let p = row.outcome.as_ref().ok();
    let f = |value: f32| f64::from(value);
    match name {
        "ra" => row.position.map(|at| at.ra),
        "dec" => row.position.map(|at| at.dec),
        "confidence" => p.map(|p| f(p.confidence)),
        "p_crs" => probability(row, "shape/CRS").map(f),
        "p_ibs" => probability(row, "shape/IBS").map(f),
        "p_css" => probability(row, "css-or-eo/CSS").map(f),
        "p_eo" => probability(row, "css-or-eo/EO").map(f),
        "p_spi" => probability(row, "shape/SPI").map(f),
        "p_css_eo" => probability(row, "shape/CSS+EO").map(f),
        other => panic!("no column {other}"),
    }
}

/// Holds what a reader saw against the rows that were written.
fn agrees(reader: &str, seen: &Value, rows: &[Row]) {
    assert_eq!(seen["rows"], rows.len(), "{reader}");
    let text = |of: &dyn Fn(&Row) -> String| {
        let texts: Vec<String> = rows.iter().map(of).collect();
        digest(texts.iter().map(String::as_str))
    };
    let rejection = |row: &Row| row.outcome.as_ref().err().cloned();
    let expected = json!({
        "id": text(&|row| row.id.clone()),
        "source": text(&|row| row.source.clone()),
        "label": text(&|row| label(row).to_owned()),
        "status": text(&|row| rejection(row).map_or("ok", |r| r.reason.code()).to_owned()),
        "error": text(&|row| rejection(row).map_or(String::new(), |r| r.detail)),
    });
    assert_eq!(seen["texts"], expected, "{reader}");
    for name in FLOATS {
        let present: Vec<f64> = rows.iter().filter_map(|row| values(row, name)).collect();
        assert_eq!(seen["missing"][name], rows.len() - present.len(), "{reader}: {name}");
        let (sum, found) =
            (present.iter().sum::<f64>(), seen["sums"][name].as_f64().expect("a sum"));
        assert!((found - sum).abs() <= 1e-9 * sum.abs().max(1.0), "{reader}: {name}");
    }
    let stage2 = rows.iter().filter(|row| values(row, "p_css").is_some()).count();
    assert_eq!(seen["stage2"], stage2, "{reader}");
}

#[test]
fn four_readers_see_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(300);
    settings.carry = vec!["redshift".into(), "note".into()];
    let run =
        RunFolder::open_or_create(folder.path(), &settings, &(), |writer: &mut InputsWriter| {
            let entries: Vec<Entry> = (0..1000).map(entry).collect();
            let redshift: ArrayRef = Arc::new(Float64Array::from_iter(
                (0..1000).map(|i| (i % 4 != 0).then_some(f64::from(i))),
            ));
            let note: ArrayRef = Arc::new(StringArray::from_iter(
                (0..1000).map(|i| (i % 2 == 0).then_some("é, \"x\"")),
            ));
            let table =
                RecordBatch::try_from_iter([("redshift", redshift), ("note", note)]).unwrap();
            writer.carry(table.schema_ref(), &hiwl::catalog::schema::own(&Scheme::hiwl())?)?;
            writer.push_with(&entries, &table)
        });
    let run = run.unwrap_or_else(|error: RunError| panic!("{error}"));
    write_missing(&run).unwrap();

    let rows: Vec<Row> = (0..1000).map(|index| row(index, &entry(index))).collect();
    let seen = read(&run);
    for reader in ["pyarrow", "pandas", "duckdb", "astropy"] {
        agrees(reader, &seen[reader], &rows);
    }
    let types = |text: &str, f64: &str, f32: &str, bool: &str| {
        let own = [text, text, f64, f64, text, f32, f32, f32, f32, f32, f32, f32, bool, text, text];
        let schema = hiwl::catalog::schema::of(&run).unwrap();
        let names = schema.fields().iter().map(|field| field.name().clone());
        Value::Object(names.zip(own.into_iter().chain([f64, text]).map(Value::from)).collect())
    };
    assert_eq!(seen["pyarrow"]["types"], types("string", "double", "float", "bool"));
    assert_eq!(seen["pandas"]["types"], types("str", "float64", "float32", "bool"));
    assert_eq!(seen["duckdb"]["types"], types("VARCHAR", "DOUBLE", "FLOAT", "BOOLEAN"));
    assert_eq!(seen["astropy"]["types"], types("str", "float64", "float32", "bool"));

    let footer = &seen["footer"];
    assert_eq!(footer["range"], "0-299");
    assert_eq!(footer["settings"], serde_json::to_value(&settings).unwrap());
    assert_eq!((&footer["compression"], &footer["units"]["ra"]), (&json!("ZSTD"), &json!("deg")));
    assert_eq!(
        (&footer["has_statistics"], &footer["has_page_index"]),
        (&json!(true), &json!(true))
    );
    for key in ["hiwl.run", "hiwl.model", "hiwl.version", "table::len::id", "table::len::note"] {
        assert!(footer["keys"].as_array().unwrap().contains(&key.into()), "{key}");
    }
}

#[test]
fn a_catalog_of_nothing_but_rejected_rows_opens_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(folder.path(), 5, 3);
    let rejected = |index: u64| Row {
        outcome: Err(Rejection::new(Reason::Empty, "")),
        position: None,
        ..row(index, &entry(index))
    };
    for range in run.ranges() {
        let Claimed::Ours(claim) = run.claim(range.index).unwrap() else { panic!("it is free") };
        let mut part = PartWriter::create(&run, claim, None).unwrap();
        (range.first..=range.last()).for_each(|index| part.push(&rejected(index)).unwrap());
        part.commit().unwrap();
    }
    let found = verify(folder.path()).unwrap();
    assert!(found.is_complete() && found.rejected.values().sum::<u64>() == 5, "{found:?}");
    let rows: Vec<Row> = (0..5).map(rejected).collect();
    let seen = read(&run);
    for reader in ["pyarrow", "pandas", "duckdb", "astropy"] {
        agrees(reader, &seen[reader], &rows);
    }
}
