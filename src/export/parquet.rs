//! One Parquet file, as a part is: VOTable metadata, lengths of texts, pages
//! with statistics, a seal over its bytes.

use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::rows::Measured;
use super::{ExportError, ExportReport, OnRows, RowSource};
use crate::catalog::part::{properties, schema_pairs};
use crate::storage::StorageError;
use crate::storage::output::NewFile;
use crate::storage::seal::{self, SealingWriter};

pub(super) fn write(
    source: &RowSource<'_>,
    file: &NewFile,
    progress: OnRows<'_>,
) -> Result<ExportReport, ExportError> {
    let schema = source.selection.schema();
    let options = ArrowWriterOptions::new()
        .with_properties(properties(schema, source.origin.clone()))
        // Written at the end, by `schema_pairs`.
        .with_skip_arrow_metadata(true);
    let sink = file.file().try_clone().map_err(StorageError::io("open", file.path()))?;
    let wrap = || StorageError::parquet("write", file.path());
    let mut writer =
        ArrowWriter::try_new_with_options(SealingWriter::new(sink), Arc::clone(schema), options)
            .map_err(wrap())?;
    let mut report = ExportReport::default();
    let mut measured = Measured::new(schema.fields().len());
    for selected in source.rows() {
        let selected = selected?;
        measured.add(&selected.batch);
        writer.write(&selected.batch).map_err(wrap())?;
        progress(report.add(&selected))?;
    }
    let model = &source.run.manifest().settings.model;
    for pair in schema_pairs(schema, &measured.characters, &source.origin, model) {
        writer.append_key_value_metadata(pair);
    }
    seal::close(writer, file.path())?;
    Ok(report)
}
