//! `hiwl export` and `hiwl catalog`: what other tools see of a catalog.
#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failure of its test")]

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int16Array, Int64Array, RecordBatch, StringArray};
use hiwl::catalog::{PartWriter, Row};
use hiwl::cutout::SkyPosition;
use hiwl::run::{Claimed, InputsWriter, RunError, RunFolder, Settings};
use hiwl::source::{Entry, Locator};
use hiwl::tree::Scheme;

use crate::catalog::{entry, row, settings, write_missing};
use crate::util::command::run;

mod formats;
mod hats;
mod options;
mod outputs;
mod overview;
pub mod page;
mod pick;

/// Runs `hiwl export`.
fn export(run_folder: &Path, to: &str, output: &Path, more: &[&str]) -> Output {
    let (folder, output) = (run_folder.to_str().unwrap(), output.to_str().unwrap());
    run(["export", folder, "--to", to, "-o", output, "--quiet"].iter().chain(more))
}

/// A catalog of made-up rows with carried columns of several types, missing
/// values among them; the last has this name.
fn with_carried(dir: &Path, rows: usize, flag_name: &str) -> RunFolder {
    let settings = Settings {
        carry: ["redshift", "note", "objid", flag_name].map(str::to_owned).to_vec(),
        ..settings(300)
    };
    let run = RunFolder::open_or_create(dir, &settings, &(), |writer: &mut InputsWriter| {
        let entries: Vec<Entry> = (0..rows as u64).map(entry).collect();
        let some = |every: usize| move |i: usize| (!i.is_multiple_of(every)).then_some(i);
        let redshift = (0..rows).map(|i| some(4)(i).map(|i| i as f64 / 7.0));
        let note = (0..rows).map(|i| some(2)(i).map(|_| "é, \"x\"\n\ty<&"));
        let objid = (0..rows).map(|i| Some(1_237_668_296_598_749_301 + i as i64));
        let flag = (0..rows).map(|i| some(5)(i).map(|i| i as i16 - 300));
        let columns: [(&str, ArrayRef); 4] = [
            ("redshift", Arc::new(Float64Array::from_iter(redshift))),
            ("note", Arc::new(StringArray::from_iter(note))),
            ("objid", Arc::new(Int64Array::from_iter(objid))),
            (flag_name, Arc::new(Int16Array::from_iter(flag))),
        ];
        let table = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        writer.carry(table.schema_ref(), &hiwl::catalog::schema::own(&Scheme::hiwl())?)?;
        writer.push_with(&entries, &table)
    });
    let run = run.unwrap_or_else(|error: RunError| panic!("{error}"));
    write_missing(&run).unwrap();
    run
}

/// A catalog of galaxies at these positions.
fn at_positions(dir: &Path, galaxies: &[(String, Option<SkyPosition>)]) -> RunFolder {
    let list = |writer: &mut InputsWriter| -> Result<(), RunError> {
        galaxies.iter().enumerate().try_for_each(|(index, (id, position))| {
            let source = format!("/data/{index}.jpg");
            let locator = Locator::File(source.as_str().into());
            writer.push(&Entry { id: id.clone(), source, locator, position: *position })
        })
    };
    let run = RunFolder::open_or_create(dir, &settings(4000), &(), list).unwrap();
    write_missing(&run).unwrap();
    run
}

/// Writes every part with rows that `change` has made of the usual ones.
fn write_changed(run: &RunFolder, change: impl Fn(Row) -> Row) {
    for range in run.ranges() {
        let Claimed::Ours(claim) = run.claim(range.index).unwrap() else { panic!("it is free") };
        let (entries, carried) = run.inputs().range(range.index).unwrap();
        let mut part = PartWriter::create(run, claim, carried).unwrap();
        for (index, entry) in (range.first..).zip(&entries) {
            part.push(&change(row(index, entry))).unwrap();
        }
        part.commit().unwrap();
    }
}
