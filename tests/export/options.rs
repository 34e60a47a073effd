//! What is asked for, and what is refused.

use std::fs;
use std::ops::ControlFlow;

use hiwl::export::{self, ExportError, ExportOptions, Format};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::catalog::{complete, plan, write_range};
use crate::util::command::{assert_code, errors};

fn refused(output: &Output, words: &[&str]) {
    assert_code(output, 64);
    for word in words {
        assert!(errors(output).contains(word), "`{word}` is not in: {}", errors(output));
    }
}

/// The lines of a CSV export.
fn csv(run: &Path, more: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    assert_code(&export(run, "csv", &path, more), 0);
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn columns_come_in_the_order_asked_for_under_the_names_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), 30, 7);
    let lines = csv(
        run.dir(),
        &["--columns", "p_spi,id,STAGE2", "--where", "source = '/data/galaxies/2.jpg'"],
    );
    assert_eq!(lines, ["p_spi,id,stage2", "0.53,J000000002,true"]);
    let lines = csv(run.dir(), &["--names", "galaxy-zoo", "--columns", "id,p_crs,p_eo,p_css_eo"]);
    assert_eq!(
        lines[0],
        "id_str,how-rounded_round_probability,disk-edge-on_yes_probability,p_css_eo"
    );
    assert_eq!(lines.len(), 1 + 25);
}

#[test]
fn ids_become_integers_if_all_of_them_are() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<_> =
        (1..9u64).map(|i| ((1_237_668_296_598_749_301 + i).to_string(), None)).collect();
    let run = at_positions(&folder.path().join("run"), &ids);
    let out = folder.path().join("table.parquet");
    assert_code(&export(run.dir(), "parquet", &out, &["--ids", "integer"]), 0);
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&out).unwrap()).unwrap();
    assert_eq!(reader.schema().field(0).data_type(), &arrow::datatypes::DataType::Int64);

    let text = complete(&folder.path().join("text"), 30, 7);
    let out = folder.path().join("text.parquet");
    let output = export(text.dir(), "parquet", &out, &["--ids", "integer"]);
    refused(&output, &["no 64-bit integer", "as text"]);
    assert!(!out.exists());
}

#[test]
fn mistakes_are_named_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(&folder.path().join("run"), 30, 7);
    let out = folder.path().join("table.csv");
    let export = |more: &[&str]| export(run.dir(), "csv", &out, more);
    refused(
        &export(&["--where", "p_spii > 0.8"]),
        &["no column `p_spii`", "at character 1", "p_spi"],
    );
    refused(&export(&["--where", "p_spi > 'x'"]), &["`p_spi` is a number"]);
    refused(&export(&["--columns", "id,nothing"]), &["no column `nothing`"]);
    refused(&export(&["--columns", "id,id"]), &["named `id`"]);
    refused(&super::export(folder.path(), "csv", &out, &[]), &["no run"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let gone = folder.path().join("gone/table.csv");
    assert_code(&super::export(run.dir(), "csv", &gone, &[]), 2);
}

#[test]
fn what_is_there_stays_until_it_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(&folder.path().join("run"), 30, 7);
    let out = folder.path().join("table.csv");
    fs::write(&out, "the user's").unwrap();
    refused(&export(run.dir(), "csv", &out, &[]), &["is there already"]);
    // A mistake after that does not cost the old file either.
    refused(&export(run.dir(), "csv", &out, &["--overwrite", "--ids", "integer"]), &["integer"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "the user's");
    assert_code(&export(run.dir(), "csv", &out, &["--overwrite"]), 0);
    assert!(fs::read_to_string(&out).unwrap().starts_with("id,"));
    let sky = folder.path().join("sky");
    fs::create_dir(&sky).unwrap();
    refused(&export(run.dir(), "hats", &sky, &["--overwrite"]), &["is there already"]);
}

#[test]
fn an_incomplete_catalog_is_exported_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(&folder.path().join("run"), 30, 7);
    let ranges: Vec<_> = run.ranges().collect();
    write_range(&run, ranges[0]).unwrap();
    write_range(&run, ranges[2]).unwrap();
    let out = folder.path().join("table.csv");
    let output = export(run.dir(), "csv", &out, &[]);
    assert_code(&output, 2);
    assert!(errors(&output).contains("14 of 30 rows"), "{}", errors(&output));
    assert!(!out.exists());
    assert_code(&export(run.dir(), "csv", &out, &["--partial", "--rejected"]), 1);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 1 + 14);
    // A damaged part is not exported either.
    let part = fs::read_dir(run.catalog()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&part).unwrap();
    bytes[100] ^= 1;
    fs::write(&part, bytes).unwrap();
    let more = ["--partial", "--rejected", "--overwrite"];
    assert_code(&export(run.dir(), "csv", &out, &more), 1);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 1 + 7);
}

#[test]
fn the_library_tells_how_far_it_is_and_what_it_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(&folder.path().join("run"), 100, 30);
    let mut options = ExportOptions::new(Format::Fits, folder.path().join("table.fits"));
    options.filter = Some("label = 'SPI'".into());
    let mut told = Vec::new();
    let report = export::export(run.dir(), &options, &mut |seen, total| {
        told.push((seen, total));
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    assert_eq!((report.rejected, report.rows + report.filtered), (15, 85));
    assert_eq!(report.bytes, options.output.metadata().unwrap().len());
    assert!(told.is_sorted() && told.last() == Some(&(200, 200)), "{told:?}");
}

#[test]
fn an_export_that_is_stopped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<_> = (0..9u32)
        .map(|i| (i.to_string(), Some(SkyPosition { ra: f64::from(i), dec: 0.0 })))
        .collect();
    let run = at_positions(&folder.path().join("run"), &ids);
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    for format in [Format::Parquet, Format::Csv, Format::Fits, Format::Votable, Format::Hats] {
        let options = ExportOptions::new(format, out.join("table"));
        let stopped = export::export(run.dir(), &options, &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(ExportError::Stopped)), "{stopped:?}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "{format:?}");
    }
}
