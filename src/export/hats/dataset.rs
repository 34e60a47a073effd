//! The Parquet files of a HATS catalog, and the two that speak for all.
//!
//! Every file has the same schema and the same words about it: the lengths of
//! texts are those of the whole catalog.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
};

use super::super::RowSource;
use super::partition::Pixel;
use super::spill::{order, slices};
use crate::catalog::part::{properties, schema_pairs};
use crate::export::ExportError;
use crate::storage::StorageError;
use crate::storage::file::TempFile;
use crate::storage::output::NewFolder;

/// The dataset being written.
pub(super) struct Dataset {
    folder: PathBuf,
    schema: SchemaRef,
    pairs: Vec<KeyValue>,
    /// The footers so far: what they have in common, and their row groups with
    /// the paths of their files. Some 4 kB a row group.
    common: Option<FileMetaData>,
    groups: Vec<RowGroupMetaData>,
    bytes: u64,
}

impl Dataset {
    /// In a new folder; `lengths` are those of the longest texts.
    pub(super) fn new(
        folder: &NewFolder,
        schema: &SchemaRef,
        lengths: &[usize],
        source: &RowSource<'_>,
    ) -> Self {
        let model = &source.run.manifest().settings.model;
        let mut pairs = source.origin.clone();
        pairs.extend(schema_pairs(schema, lengths, &source.origin, model));
        Self {
            folder: folder.path().join("dataset"),
            schema: Arc::clone(schema),
            pairs,
            common: None,
            groups: Vec::new(),
            bytes: 0,
        }
    }

    /// Writes the partition of a pixel, whose rows are in no order.
    pub(super) fn write(
        &mut self,
        pixel: Pixel,
        batches: &[RecordBatch],
    ) -> Result<(), ExportError> {
        let relative = pixel.path();
        let path = self.folder.join(&relative);
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(ExportError::io("create", folder))?;
        let temp = TempFile::create(folder, &name)?;
        let footer = self.rows(temp.file(), batches, &order(batches));
        let footer = footer.map_err(StorageError::parquet("write", temp.path()))?;
        let length = temp.file().metadata().map_err(ExportError::io("look at", temp.path()))?.len();
        self.bytes += length;
        temp.commit(&name)?;
        for group in footer.row_groups() {
            let named = with_path(group, &relative);
            self.groups.push(named.map_err(StorageError::parquet("describe", &path))?);
        }
        self.common = Some(footer.file_metadata().clone());
        Ok(())
    }

    fn rows(
        &self,
        file: &File,
        batches: &[RecordBatch],
        places: &[(usize, usize)],
    ) -> Result<ParquetMetaData, ParquetError> {
        let options = ArrowWriterOptions::new()
            .with_properties(properties(&self.schema, self.pairs.clone()))
            // Among the pairs.
            .with_skip_arrow_metadata(true);
        let mut writer =
            ArrowWriter::try_new_with_options(file, Arc::clone(&self.schema), options)?;
        for batch in slices(batches, places) {
            writer.write(&batch?)?;
        }
        writer.finish()
    }

    /// Writes `_common_metadata` and `_metadata`; returns the bytes of all
    /// files.
    pub(super) fn finish(self) -> Result<u64, ExportError> {
        let mut bytes = self.bytes;
        let commit = |name: &str, write: &dyn Fn(&File) -> Result<(), ParquetError>| {
            let temp = TempFile::create(&self.folder, name)?;
            write(temp.file()).map_err(StorageError::parquet("write", temp.path()))?;
            let path = temp.commit(name)?;
            Ok::<u64, ExportError>(
                path.metadata().map_err(ExportError::io("look at", &path))?.len(),
            )
        };
        bytes += commit("_common_metadata", &|file| self.rows(file, &[], &[]).map(drop))?;
        let Some(common) = &self.common else { return Ok(bytes) };
        let rows = self.groups.iter().map(RowGroupMetaData::num_rows).sum();
        let file_metadata = FileMetaData::new(
            common.version(),
            rows,
            common.created_by().map(str::to_owned),
            common.key_value_metadata().cloned(),
            common.schema_descr_ptr(),
            common.column_orders().cloned(),
        );
        let metadata = ParquetMetaData::new(file_metadata, self.groups.clone());
        bytes += commit("_metadata", &|mut file| {
            file.write_all(b"PAR1").map_err(|error| ParquetError::External(Box::new(error)))?;
            let writer = ParquetMetaDataWriter::new(file, &metadata);
            // They are in the partitions, at places that mean nothing here.
            writer.with_preserve_page_index_locations(false).finish()
        })?;
        Ok(bytes)
    }
}

/// A row group that says which file has it.
fn with_path(group: &RowGroupMetaData, path: &str) -> Result<RowGroupMetaData, ParquetError> {
    let columns = group
        .columns()
        .iter()
        .map(|column| column.clone().into_builder().set_file_path(path.to_owned()).build());
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    group.clone().into_builder().set_column_metadata(columns).build()
}
