//! A VOTable with its rows as TABLEDATA: text that every tool of the Virtual
//! Observatory reads, and people too.
//!
//! A missing value is an empty cell (VOTable 1.3 and later).

use std::fmt::Write as _;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, Event};

use super::{ExportError, ExportReport, OnRows, RowSource};
use crate::catalog::votable::{self, Description};
use crate::storage::output::NewFile;

pub(super) fn write(
    source: &RowSource<'_>,
    file: &NewFile,
    progress: OnRows<'_>,
) -> Result<ExportReport, ExportError> {
    let mut report = ExportReport::default();
    let mut xml = Writer::new(Vec::new());
    let description = Description {
        schema: source.selection.schema(),
        lengths: None,
        model: &source.run.manifest().settings.model,
        infos: &source.origin,
    };
    let wrap = || ExportError::io("write", file.path());
    votable::begin(&mut xml, &description).map_err(wrap())?;
    for name in ["DATA", "TABLEDATA"] {
        xml.write_event(Event::Start(BytesStart::new(name))).map_err(wrap())?;
    }
    for selected in source.rows() {
        let selected = selected?;
        table_rows(&mut xml, &selected.batch)?;
        file.append(xml.get_mut())?;
        xml.get_mut().clear();
        progress(report.add(&selected))?;
    }
    for name in ["TABLEDATA", "DATA"] {
        xml.write_event(Event::End(BytesEnd::new(name))).map_err(wrap())?;
    }
    votable::end(&mut xml).map_err(wrap())?;
    file.append(xml.get_mut())?;
    Ok(report)
}

/// A TR a row. The XML is in memory: its errors would be Arrow's.
fn table_rows(xml: &mut Writer<Vec<u8>>, batch: &RecordBatch) -> Result<(), ExportError> {
    let options = FormatOptions::default();
    let formatters = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let formatters: Vec<ArrayFormatter<'_>> =
        formatters.collect::<Result<_, _>>().map_err(ExportError::arrow("writing cells"))?;
    let in_memory = "a vector takes whatever is written to it";
    let mut cell = String::new();
    for row in 0..batch.num_rows() {
        xml.get_mut().extend(b"\n<TR>");
        for (column, formatter) in batch.columns().iter().zip(&formatters) {
            cell.clear();
            if column.is_valid(row) {
                match column.data_type() {
                    DataType::Float32 => {
                        float(&mut cell, column.as_primitive::<Float32Type>().value(row));
                    }
                    DataType::Float64 => {
                        float(&mut cell, column.as_primitive::<Float64Type>().value(row));
                    }
                    _ => {
                        let written = write!(cell, "{}", formatter.value(row));
                        written.map_err(|_| {
                            ExportError::Unfit("a value has no form as text".to_owned())
                        })?;
                    }
                }
            }
            votable::text_element(xml, "TD", &cell).expect(in_memory);
        }
        xml.get_mut().extend(b"</TR>");
    }
    Ok(())
}

/// The fewest digits that read back as the same number; VOTable 1.4, section
/// 2.1, spells infinities its own way.
fn float(out: &mut String, value: impl Into<f64> + std::fmt::Debug + Copy) {
    let wide: f64 = value.into();
    if wide.is_infinite() {
        out.push_str(if wide > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        // Writing to a string cannot fail.
        let _ = write!(out, "{value:?}");
    }
}
