//! Opening Parquet files that come from anywhere.
//!
//! The reader behind them takes a footer's word for where pages are, panics on
//! some of what it cannot be, and copies a dictionary's value once for every row
//! that names it: 635 bytes asked for 5.7 GiB. So footers are looked at first,
//! panics become errors, and texts and bytes come as views of the pages that
//! hold them ([`texts`] makes columns of them, within a bound).
//!
//! What pages state of themselves passes through `pages`.
//!
//! Invariant: a damaged or hostile file is an error.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::thrift;
use crate::limits::parquet::{FOOTER, RATIO, ROWS};
use crate::limits::table::{BATCH_TEXT, COLUMNS};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::ChunkReader;

/// The footer of a file, with the types that it names.
///
/// # Errors
/// If it is no footer, or describes what cannot be.
pub(crate) fn footer<F: ChunkReader>(file: &F) -> Result<ArrowReaderMetadata> {
    refuse_footer(file)?;
    let load = || ArrowReaderMetadata::load(file, ArrowReaderOptions::default());
    let metadata = guarded(load)??;
    if metadata.parquet_schema().num_columns() > COLUMNS {
        let found = metadata.parquet_schema().num_columns();
        return Err(ParquetError::General(format!("{found} columns; at most {COLUMNS}")));
    }
    let groups = metadata.metadata().row_groups().iter();
    let rows = groups.fold(0u64, |n, group| n.saturating_add(group.num_rows().unsigned_abs()));
    if rows > file.len().saturating_mul(RATIO).saturating_add(ROWS) {
        let words = format!("its footer states {rows} rows in {} bytes", file.len());
        return Err(ParquetError::General(words));
    }
    if !lies_within(metadata.metadata(), file.len()) {
        let words = "its footer places a column outside the file";
        return Err(ParquetError::General(words.to_owned()));
    }
    Ok(metadata)
}

/// Refuses a footer that is larger than any, or states more than it holds; what is none is the reader's to
/// refuse.
fn refuse_footer<F: ChunkReader>(file: &F) -> Result<()> {
    let Some(end) = file.len().checked_sub(8) else { return Ok(()) };
    let bytes = file.get_bytes(end, 4)?;
    let size = bytes.first_chunk().map_or(0, |size| u64::from(u32::from_le_bytes(*size)));
    if size > FOOTER && size <= end {
        let words = format!("a footer of {size} bytes; at most {FOOTER} are read");
        return Err(ParquetError::General(words));
    }
    let Some(start) = end.checked_sub(size) else { return Ok(()) };
    if !thrift::counts_fit(&file.get_bytes(start, size as usize)?) {
        let words = format!("a footer of {size} bytes states more values than it has bytes");
        return Err(ParquetError::General(words));
    }
    Ok(())
}

/// As [`footer`], for reading texts and bytes as views.
pub(crate) fn viewed<F: ChunkReader>(file: &F) -> Result<ArrowReaderMetadata> {
    let plain = footer(file)?;
    let fields: Vec<FieldRef> = plain.schema().fields().iter().map(view).collect();
    let options = ArrowReaderOptions::default()
        .with_schema(Arc::new(Schema::new_with_metadata(fields, plain.schema().metadata.clone())));
    guarded(|| ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options))?
}

/// A field as it is read: texts and bytes, also those inside others, as views.
fn view(field: &FieldRef) -> FieldRef {
    let seen = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(view).collect()),
        DataType::List(item) => DataType::List(view(item)),
        DataType::LargeList(item) => DataType::LargeList(view(item)),
        _ => return Arc::clone(field),
    };
    Arc::new(Field::clone(field).with_data_type(seen))
}

/// Whether every column's pages are where a file of `size` bytes has bytes.
fn lies_within(metadata: &ParquetMetaData, size: u64) -> bool {
    let groups = metadata.row_groups();
    groups.iter().all(|group| group.num_rows() >= 0)
        && groups
            .iter()
            .flat_map(|group| group.columns())
            .all(|column| column_lies_within(column, size))
}

fn column_lies_within(column: &ColumnChunkMetaData, size: u64) -> bool {
    let first = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let end = first.checked_add(column.compressed_size());
    let is_negative = first < 0
        || column.data_page_offset() < 0
        || column.compressed_size() < 0
        || column.uncompressed_size() < 0
        || column.num_values() < 0;
    !is_negative && end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end <= size)
}

/// What the reader makes of a file, or an error if it panics.
pub(crate) fn guarded<T>(read: impl FnOnce() -> T) -> Result<T> {
    // Unwind safety: whoever gets the error drops what it read from.
    catch_unwind(AssertUnwindSafe(read))
        .map_err(|_| ParquetError::General("the Parquet reader gave up on it".to_owned()))
}

/// The batches of a file; after an error there are none.
pub(crate) struct Batches(Option<ParquetRecordBatchReader>);

impl Batches {
    pub(crate) fn of(reader: ParquetRecordBatchReader) -> Self {
        Self(Some(reader))
    }
}

impl Iterator for Batches {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = self.0.take()?;
        match guarded(|| (reader.next(), reader)) {
            Ok((Some(Ok(batch)), reader)) => {
                self.0 = Some(reader);
                Some(Ok(batch))
            }
            Ok((other, _)) => other,
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// A column as text, unless it would be more than a batch may be.
///
/// # Errors
/// Where the column is no text, or more than 64 MiB of it.
pub(crate) fn texts(column: &ArrayRef) -> std::result::Result<StringArray, ArrowError> {
    let bytes: usize = match column.data_type() {
        DataType::Utf8View => column.as_string_view().lengths().map(|n| n as usize).sum(),
        DataType::BinaryView => column.as_binary_view().lengths().map(|n| n as usize).sum(),
        // Held once a row already.
        _ => 0,
    };
    if bytes > BATCH_TEXT {
        let words = format!("{bytes} bytes of text in {} rows", column.len());
        return Err(ArrowError::ParseError(format!("{words}; at most {BATCH_TEXT}")));
    }
    let text = match column.data_type() {
        // There is no way from bytes as views to text but by their own type.
        DataType::BinaryView => cast(&cast(column, &DataType::Binary)?, &DataType::Utf8)?,
        _ => cast(column, &DataType::Utf8)?,
    };
    Ok(text.as_string::<i32>().clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{DictionaryArray, Int32Array};
    use arrow::datatypes::Int32Type;
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn written(batch: &RecordBatch) -> Bytes {
        let mut file = Vec::new();
        let whole = WriterProperties::builder().set_dictionary_page_size_limit(8 << 20).build();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(whole)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        file.into()
    }

    fn read(file: &Bytes) -> std::result::Result<Vec<RecordBatch>, ArrowError> {
        let metadata = viewed(file)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata);
        Batches::of(builder.with_batch_size(4096).build()?).collect()
    }

    /// A dictionary of one long text that thousands of rows name.
    #[test]
    fn a_text_that_many_rows_name_is_held_once() {
        let long = "x".repeat(1 << 20);
        let keys = Int32Array::from(vec![0; 4096]);
        let column =
            DictionaryArray::<Int32Type>::new(keys, Arc::new(StringArray::from(vec![long])));
        let plain = Field::new(
            "id",
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            false,
        );
        let batch =
            RecordBatch::try_new(Arc::new(Schema::new(vec![plain])), vec![Arc::new(column)])
                .unwrap();
        let file = written(&batch);
        assert!(file.len() < 1 << 21, "{}", file.len());
        // As a file has it whose writer did not say how it held the text.
        let metadata = ArrowReaderMetadata::load(
            &file,
            ArrowReaderOptions::default().with_skip_arrow_metadata(true),
        )
        .unwrap();
        assert_eq!(metadata.schema().field(0).data_type(), &DataType::Utf8);
        let fields: Vec<FieldRef> = metadata.schema().fields().iter().map(view).collect();
        let options = ArrowReaderOptions::default().with_schema(Arc::new(Schema::new(fields)));
        let metadata =
            ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let mut batches = Batches::of(builder.with_batch_size(4096).build().unwrap());
        let batch = batches.next().unwrap().unwrap();
        let held: BTreeMap<_, _> = batch
            .column(0)
            .as_string_view()
            .data_buffers()
            .iter()
            .map(|buffer| (buffer.as_ptr(), buffer.len()))
            .collect();
        assert!(held.values().sum::<usize>() < 8 << 20, "{held:?}");
        let error = texts(batch.column(0)).unwrap_err().to_string();
        assert!(error.contains("4294967296 bytes of text in 4096 rows"), "{error}");
    }

    #[test]
    fn texts_of_every_kind_are_read_as_text() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("text", Arc::new(StringArray::from(vec![Some("a"), None]))),
            ("bytes", Arc::new(arrow::array::BinaryArray::from(vec![&b"b"[..], b"c"]))),
            (
                "number",
                Arc::new(arrow::array::Int64Array::from(vec![-1, 1_237_648_720_142_400_100])),
            ),
        ];
        let batches = read(&written(&RecordBatch::try_from_iter(columns).unwrap())).unwrap();
        let text = |column: usize| {
            let texts = texts(batches[0].column(column)).unwrap();
            texts.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(text(0), [Some("a".to_owned()), None]);
        assert_eq!(text(1), [Some("b".to_owned()), Some("c".to_owned())]);
        assert_eq!(text(2)[1].as_deref(), Some("1237648720142400100"));
    }

    /// What a footer of some kilobytes says of rows that no column is read for.
    #[test]
    fn more_rows_than_a_file_can_hold_are_refused() {
        let rows = |count: usize| {
            let column: ArrayRef = Arc::new(Int32Array::from(vec![7; count]));
            let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
            // A page a row group.
            let large = WriterProperties::builder().set_data_page_row_count_limit(1 << 30).build();
            let mut file = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(large)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            Bytes::from(file)
        };
        let (few, many) = (rows(1_000_000), rows(2_000_000));
        assert!(many.len() < 8_000, "{}", many.len());
        assert!(footer(&few).is_ok());
        let error = footer(&many).unwrap_err().to_string();
        assert!(error.contains("states 2000000 rows in"), "{error}");
    }

    #[test]
    fn a_footer_that_states_more_than_it_holds_is_refused_at_once() {
        let columns: Vec<(&str, ArrayRef)> = vec![("x", Arc::new(Int32Array::from(vec![1])))];
        let file = written(&RecordBatch::try_from_iter(columns).unwrap());
        // A field that no reader knows, a thousand times: 2³¹ − 1 truth values.
        let many = [0x09, 0xD0, 0x0F, 0xF1, 0xFF, 0xFF, 0xFF, 0xFF, 0x07].repeat(1000);
        let end = file.len() - 8;
        let size = u32::from_le_bytes(file[end..end + 4].try_into().unwrap()) as usize;
        let size_now = (many.len() + size) as u32;
        let (pages, footer_now) = (&file[..end - size], &file[end - size..end]);
        let hostile = [pages, &many, footer_now, &size_now.to_le_bytes(), b"PAR1"].concat();
        let error = footer(&Bytes::from(hostile)).unwrap_err().to_string();
        assert!(error.contains("more values than it has bytes"), "{error}");
        assert!(footer(&file).is_ok());
    }

    /// Every byte of a small table changed, one after the other.
    #[test]
    fn a_damaged_table_is_an_answer_and_never_a_panic() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(StringArray::from(vec!["one", "two", "one"]))),
            ("x", Arc::new(Int32Array::from(vec![1, 2, 3]))),
        ];
        let file = written(&RecordBatch::try_from_iter(columns).unwrap());
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let mut errors = 0;
        for at in 0..file.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut damaged = file.to_vec();
                damaged[at] ^= flip;
                errors += usize::from(read(&damaged.into()).is_err());
            }
        }
        std::panic::set_hook(hook);
        assert!(errors > file.len(), "{errors}");
    }
}
