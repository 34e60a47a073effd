//! One range's rows on their way into one Parquet file.
//!
//! Rows come in the order of the listing and leave in batches of a fixed
//! number, whatever the rhythm in which they came: the same rows give the same
//! bytes. What the file says of itself is in [`footer`].
//!
//! Memory: a row takes some 200 bytes before compression (identifier, source,
//! two f64, seven f32, three short texts) and the carried columns; a row group
//! of 65,536 rows is 13 MB at most, of which compressed pages take a third.
//! Twenty carried numbers add 10 MB. Where features are kept, a row takes as much
//! more (5 kB of 1,280), and a row group has so many fewer rows ([`row_group`]).
//!
//! Invariant: the final name appears only with every row of the range in it;
//! anything else leaves no file.

use std::collections::HashMap;
use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter, encode_arrow_schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::row::RowBuffer;
use super::votable::{self, Description};
use super::{CatalogError, Row, schema};
use crate::run::names::CATALOG;
use crate::run::{Claim, Manifest, ModelIdentity, RowRange, RunFolder};
use crate::storage::StorageError;
use crate::storage::file::TempFile;
use crate::storage::json::json;
use crate::storage::seal::{self, CREATED_BY, SealingWriter};

/// Keys in the footer.
pub(crate) const RUN: &str = "hiwl.run";
pub(crate) const RANGE: &str = "hiwl.range";
pub(super) const FORMAT: &str = "hiwl.format";
const MODEL: &str = "hiwl.model";
const VERSION: &str = "hiwl.version";
const SETTINGS: &str = "hiwl.settings";

/// Rows a row group: see the arithmetic above.
const ROW_GROUP: usize = 65_536;
/// Rows a batch on its way to the encoder.
const BATCH: usize = 4_096;

/// Writes the part of one range. Dropped before [`commit`](Self::commit), it
/// leaves nothing.
pub struct PartWriter {
    // Before the claim, so that on a drop the file goes while the range is
    // still held.
    writer: ArrowWriter<SealingWriter>,
    temp: TempFile,
    claim: Claim,
    schema: SchemaRef,
    footer: Vec<KeyValue>,
    model: ModelIdentity,
    carried: Option<RecordBatch>,
    buffer: RowBuffer,
    /// Rows handed to the encoder.
    written: u64,
    /// Longest text of each column in characters.
    lengths: Vec<usize>,
}

impl PartWriter {
    /// A writer for the range of `claim`, in the run's folder. `carried` is
    /// what [`InputsReader::range`](crate::run::InputsReader::range) gave for
    /// it: the carried columns of the range's rows, if the run has any.
    ///
    /// # Errors
    /// [`CatalogError::Rows`] if the carried rows are not the range's, and
    /// what the system says.
    pub fn create(
        run: &RunFolder,
        claim: Claim,
        carried: Option<RecordBatch>,
    ) -> Result<Self, CatalogError> {
        let range = claim.range();
        let rows = carried.as_ref().map(|batch| batch.num_rows() as u64);
        if rows.is_some_and(|rows| rows != range.count) {
            let what = format!("{} carried rows for {}", rows.unwrap_or(0), range.count);
            return Err(CatalogError::Rows { range: range.index, what });
        }
        let temp = TempFile::create(&run.dir().join(CATALOG), range.part_stem())?;
        let file = temp.file().try_clone().map_err(StorageError::io("open", temp.path()))?;
        let schema = schema::of(run)?;
        let footer = footer(run.manifest(), run.digest(), &range);
        let options = ArrowWriterOptions::new()
            .with_properties(properties(&schema, footer.clone()))
            // Written at the end, by `schema_pairs`.
            .with_skip_arrow_metadata(true);
        let sealing = SealingWriter::new(file);
        let writer = ArrowWriter::try_new_with_options(sealing, schema.clone(), options)
            .map_err(StorageError::parquet("write", temp.path()))?;
        Ok(Self {
            writer,
            temp,
            claim,
            lengths: vec![0; schema.fields().len()],
            schema,
            footer,
            model: run.manifest().settings.model.clone(),
            carried,
            buffer: RowBuffer::new(&run.manifest().settings.model.scheme())?,
            written: 0,
        })
    }

    /// The range that is written.
    pub fn range(&self) -> RowRange {
        self.claim.range()
    }

    /// The next row of the range.
    ///
    /// # Errors
    /// [`CatalogError::Rows`] if it is another row than the next, and what the
    /// system says of writing.
    pub fn push(&mut self, row: &Row) -> Result<(), CatalogError> {
        let range = self.range();
        let next = range.first + self.written + self.buffer.len() as u64;
        if row.index != next || next > range.last() {
            let what = format!("row {} came where row {next} was due", row.index);
            return Err(CatalogError::Rows { range: range.index, what });
        }
        self.buffer.push(row);
        if self.buffer.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Puts the part in place under its final name, on disk; returns its path.
    ///
    /// # Errors
    /// [`CatalogError::Rows`] if rows of the range are missing, and what the
    /// system says of writing. Then there is no part.
    pub fn commit(mut self) -> Result<PathBuf, CatalogError> {
        self.flush()?;
        let range = self.range();
        if self.written != range.count {
            let what = format!("only {} of its {} rows came", self.written, range.count);
            return Err(CatalogError::Rows { range: range.index, what });
        }
        let pairs = schema_pairs(&self.schema, &self.lengths, &self.footer, &self.model);
        for pair in pairs {
            self.writer.append_key_value_metadata(pair);
        }
        seal::close(self.writer, self.temp.path())?;
        Ok(self.temp.commit(range.part_name())?)
    }

    fn flush(&mut self) -> Result<(), CatalogError> {
        let rows = self.buffer.len();
        if rows == 0 {
            return Ok(());
        }
        let carried = self.carried.as_ref().map(|all| all.slice(self.written as usize, rows));
        let path = self.temp.path();
        let batch = self
            .buffer
            .take(&self.schema, carried.as_ref())
            .map_err(StorageError::parquet("write", path))?;
        for (longest, column) in self.lengths.iter_mut().zip(batch.columns()) {
            *longest = (*longest).max(longest_text(column));
        }
        self.writer.write(&batch).map_err(StorageError::parquet("write", path))?;
        self.written += rows as u64;
        Ok(())
    }
}

/// In characters; 0 for a column of numbers.
pub(crate) fn longest_text(column: &dyn Array) -> usize {
    let texts = column.as_string_opt::<i32>().into_iter().flatten().flatten();
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// What is known only once the rows are: the lengths of texts, from which
/// astropy takes the width of a string column (`table::len::<column>`), and
/// the Arrow schema with the columns' units and descriptions, and the same for
/// the Virtual Observatory.
///
/// pyarrow, and so pandas and astropy, take a schema's metadata from the Arrow
/// schema alone and do not look at the file's key-values, where every other
/// reader looks; so lengths and provenance are in both. The VOTable is not: it
/// would outlive the columns that it describes when a part of them is written
/// anew.
pub(crate) fn schema_pairs(
    schema: &Schema,
    lengths: &[usize],
    footer: &[KeyValue],
    model: &ModelIdentity,
) -> Vec<KeyValue> {
    let texts = schema.fields().iter().zip(lengths);
    let texts = texts.filter(|(field, _)| field.data_type() == &DataType::Utf8);
    let mut pairs: Vec<KeyValue> = texts
        .map(|(field, longest)| {
            let key = format!("table::len::{}", field.name());
            KeyValue::new(key, longest.max(&1).to_string())
        })
        .collect();
    let metadata = footer.iter().chain(&pairs);
    let metadata = metadata.map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default()));
    let arrow = schema.clone().with_metadata(metadata.collect::<HashMap<_, _>>());
    pairs.push(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&arrow)));
    let description = Description { schema, lengths: Some(lengths), model, infos: footer };
    pairs.extend(votable::pairs(&description));
    pairs
}

/// What a part says of itself before its rows are known; [`schema_pairs`] has
/// the rest.
fn footer(manifest: &Manifest, run: &str, range: &RowRange) -> Vec<KeyValue> {
    let mut pairs = provenance(manifest, run);
    pairs.push(KeyValue::new(RANGE.to_owned(), range_key(range)));
    pairs
}

/// Where rows of a run come from.
pub(crate) fn provenance(manifest: &Manifest, run: &str) -> Vec<KeyValue> {
    let pairs = [
        (RUN, run.to_owned()),
        (MODEL, json(&manifest.settings.model).to_string()),
        (VERSION, manifest.program.clone()),
        (SETTINGS, manifest.footer_settings()),
    ];
    // The first format had no number, and a run of it ends as it began.
    let format = (manifest.format > 1).then(|| (FORMAT, manifest.format.to_string()));
    pairs
        .into_iter()
        .chain(format)
        .map(|(key, value)| KeyValue::new(key.to_owned(), value))
        .collect()
}

/// First and last row, as in the part's name.
pub(crate) fn range_key(range: &RowRange) -> String {
    format!("{}-{}", range.first, range.last())
}

/// Rows a row group of these columns: such that vectors take 32 MiB of one at most.
fn row_group(schema: &Schema) -> usize {
    const VECTORS: usize = 32 << 20;
    let wide = schema.fields().iter().map(|field| match field.data_type() {
        DataType::FixedSizeList(of, length) => {
            of.data_type().primitive_width().unwrap_or(8) * usize::try_from(*length).unwrap_or(0)
        }
        _ => 0,
    });
    match wide.sum::<usize>() {
        0 => ROW_GROUP,
        width => (VECTORS / width).clamp(1, ROW_GROUP),
    }
}

/// How rows are encoded, whoever writes them.
pub(crate) fn properties(schema: &Schema, footer: Vec<KeyValue>) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("zstd has a level 3")))
        // Down to pages, so that a query by probability or position reads
        // only the pages that can answer it.
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(row_group(schema)))
        .set_key_value_metadata(Some(footer));
    for field in schema.fields() {
        // The catalog's own columns are those that say what they mean.
        let Some(ucd) = field.metadata().get("ucd") else { continue };
        if let DataType::FixedSizeList(of, _) = field.data_type() {
            // Bounds of single values would answer no query.
            let path = [field.name(), "list", of.name()].map(str::to_owned);
            let column = || ColumnPath::new(path.to_vec());
            builder = builder
                .set_column_dictionary_enabled(column(), false)
                .set_column_statistics_enabled(column(), EnabledStatistics::None);
            continue;
        }
        // Not from dots, which would make a path of the name.
        let column = || ColumnPath::new(vec![field.name().clone()]);
        let names = field.data_type() == &DataType::Utf8 && ucd.starts_with("meta.id");
        // Values that hardly repeat: a dictionary would be filled, given up
        // and stored all the same.
        if names || field.data_type().is_floating() {
            builder = builder.set_column_dictionary_enabled(column(), false);
        }
        if names {
            builder = builder.set_column_encoding(column(), Encoding::DELTA_BYTE_ARRAY);
        }
    }
    builder.build()
}
