//! Comma-separated values with a line of names (RFC 4180).
//!
//! Numbers are written with the fewest digits that read back as the same
//! number of their type. A missing value is an empty cell; so is an empty text.

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;

use super::{ExportError, ExportReport, OnRows, RowSource};
use crate::storage::output::NewFile;

pub(super) fn write(
    source: &RowSource<'_>,
    file: &NewFile,
    progress: OnRows<'_>,
) -> Result<ExportReport, ExportError> {
    let mut report = ExportReport::default();
    let mut bytes = Vec::new();
    // Names, even if no row follows.
    lines(&RecordBatch::new_empty(source.selection.schema().clone()), true, &mut bytes)?;
    for selected in source.rows() {
        let selected = selected?;
        lines(&selected.batch, false, &mut bytes)?;
        // Written by hand, so that a full disk is known as one.
        file.append(&bytes)?;
        bytes.clear();
        progress(report.add(&selected))?;
    }
    file.append(&bytes)?;
    Ok(report)
}

fn lines(batch: &RecordBatch, names: bool, out: &mut Vec<u8>) -> Result<(), ExportError> {
    let mut writer = WriterBuilder::new().with_header(names).build(out);
    writer.write(batch).map_err(ExportError::arrow("writing lines of text"))
}
