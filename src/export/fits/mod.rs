//! A FITS binary table (standard 4.0, section 7.3), with units, UCDs and
//! descriptions (`TUNITn`, `TUCDn`, `TCOMMn`).
//!
//! The header must say how many rows there are and how wide texts are, so the
//! catalog is read twice: measured, then written. Rows are laid out here, in
//! `layout`; the header and the file are cfitsio's (`table`).

mod layout;
mod table;

use layout::Layout;
use table::{NewTable, TableHeader};

use super::rows::Measured;
use super::{ExportError, ExportReport, OnRows, RowSource};
use crate::storage::output::NewFile;

/// Bytes of a FITS block.
const BLOCK: usize = 2880;

pub(super) fn write(
    source: &RowSource<'_>,
    file: &NewFile,
    progress: OnRows<'_>,
) -> Result<ExportReport, ExportError> {
    let schema = source.selection.schema();
    let mut measured = Measured::new(schema.fields().len());
    for selected in source.rows() {
        let selected = selected?;
        measured.add(&selected.batch);
        progress(ExportReport::default().add(&selected))?;
    }
    let layout = Layout::new(schema, &measured);
    let mut header = TableHeader::new(measured.rows, &layout);
    for pair in &source.origin {
        header.provenance(&pair.key, pair.value.as_deref().unwrap_or_default());
    }

    if measured.long > 0 {
        header.provenance("cut", &measured.long.to_string());
    }

    file.append(&primary_header())?;
    let mut table = NewTable::append(file.path(), &header)?;
    let mut report = ExportReport { cut: measured.long, ..ExportReport::default() };
    let mut bytes = Vec::new();
    for selected in source.rows() {
        let selected = selected?;
        bytes.clear();
        layout.encode(&selected.batch, &mut bytes)?;
        table.write(&bytes)?;
        progress(report.add(&selected))?;
    }
    table.close()?;
    Ok(report)
}

/// The header that comes before every table: no image.
fn primary_header() -> Vec<u8> {
    let cards = [("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0"), ("EXTEND", "T")];
    let mut bytes: Vec<u8> = cards
        .iter()
        .flat_map(|(key, value)| format!("{:<80}", format!("{key:<8}= {value:>20}")).into_bytes())
        .collect();
    bytes.extend(format!("{:<80}", "END").bytes());
    bytes.resize(BLOCK, b' ');
    bytes
}
