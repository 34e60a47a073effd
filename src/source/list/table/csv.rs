//! Tables of text: CSV, TSV, ECSV.
//!
//! A line with a wrong number of fields is a rejected row.
//! Types of carried columns come from a first pass over every row, so that no
//! value far down breaks a type guessed at the top. Invariant: ids and paths
//! are text as written; a chunk takes a bounded amount of memory.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::carried::{parse_bool, settled, type_of_text, unify};
use super::{Columns, NO_PLACE, Place, Rows, check_id, odd_place, position};
use crate::cutout::{Reason, Rejection, SkyPosition};
use crate::limits::output::QUOTED;
use crate::limits::shortened;
use crate::limits::table::CHUNK as CHUNK_BYTES;
use crate::source::Entry;
use crate::source::list::notes::Notes;
use crate::source::list::{CHUNK, Chunk, ListError, ListOptions, Source};
use crate::tables::delimited::{Records, bare};

/// Finds the columns, and the types of those to carry.
pub(super) fn inspect(
    place: &Place,
    options: &ListOptions,
) -> Result<(Columns, Vec<DataType>), ListError> {
    let mut records = Records::open(&place.given)?;
    let columns = Columns::find(&records.columns(), options, &place.given)?;
    let declared =
        |&column: &usize| if records.is_text(column) { DataType::Utf8 } else { DataType::Null };
    let mut types: Vec<DataType> = columns.carried.iter().map(declared).collect();
    if types.contains(&DataType::Null) {
        while records.step()? {
            if records.is_malformed() {
                continue;
            }
            for (data_type, column) in types.iter_mut().zip(&columns.carried) {
                if *data_type != DataType::Utf8 {
                    *data_type = unify(data_type, &type_of_text(&records.text(*column)));
                }
            }
        }
    }
    Ok((columns, types))
}

/// The rows of a CSV file.
pub(super) struct CsvRows {
    rows: Rows,
    records: Records,
    /// Whether a position that is no number, or on no sky, was met.
    odd_position: bool,
}

impl CsvRows {
    pub fn open(rows: Rows) -> Result<Self, ListError> {
        let records = Records::open(&rows.place.given)?;
        Ok(Self { rows, records, odd_position: false })
    }

    /// The entry of the record just read.
    ///
    /// # Errors
    /// [`ListError::FloatId`].
    fn entry(&mut self, notes: &mut Notes) -> Result<Entry, ListError> {
        let row = format!("line {}", self.records.line());
        let id = self.records.text(self.rows.columns.id).into_owned();
        let found = self.records.fields();
        if self.records.is_malformed() {
            // Which field is whose is not known: no position.
            let wanted = self.records.header().len();
            let words = format!("{found} fields where the header has {wanted} ({row})");
            return Ok(self.rows.rejected(&row, &id, None, Rejection::new(Reason::Corrupt, words)));
        }
        check_id(&self.rows.place, || row.clone(), &id)?;
        let position = self.position(&row, notes);
        Ok(match std::str::from_utf8(self.records.bytes(self.rows.columns.path)) {
            Ok(path) => self.rows.entry(&row, &id, &bare(path), position, notes)?,
            Err(_) => {
                let words = format!("the path is not UTF-8 ({row})");
                let rejection = Rejection::new(Reason::Unsupported, words);
                self.rows.rejected(&row, &id, position, rejection)
            }
        })
    }

    fn position(&mut self, row: &str, notes: &mut Notes) -> Option<SkyPosition> {
        let (ra, dec) = self.rows.columns.position?;
        let (ra, dec) = (self.records.text(ra), self.records.text(dec));
        let degrees = |text: &str| match text {
            "" => Ok(None),
            text => text.parse::<f64>().map(Some),
        };
        match (degrees(&ra), degrees(&dec)) {
            (Ok(ra), Ok(dec)) => {
                if !self.odd_position
                    && let Some(words) = odd_place(row, ra, dec)
                {
                    self.odd_position = true;
                    notes.problem(&self.rows.place.given, words);
                }
                position(ra, dec)
            }
            _ => {
                if !self.odd_position {
                    let (ra, dec) = (shortened(&ra, QUOTED), shortened(&dec, QUOTED));
                    let words = format!(
                        "ra '{ra}', dec '{dec}' ({row}) are no numbers in degrees: {NO_PLACE}"
                    );
                    notes.problem(&self.rows.place.given, words);
                }
                self.odd_position = true;
                None
            }
        }
    }
}

impl Source for CsvRows {
    fn next_chunk(&mut self, notes: &mut Notes) -> Result<Chunk, ListError> {
        let mut entries = Vec::new();
        let mut columns: Vec<Column> =
            self.rows.columns.carried.iter().map(|_| Column::default()).collect();
        let mut left = CHUNK_BYTES;
        while entries.len() < CHUNK && left > 0 && self.records.step()? {
            let entry = self.entry(notes)?;
            left = left.saturating_sub(entry.id.len() + entry.source.len());
            entries.push(entry);
            let malformed = self.records.is_malformed();
            for (column, index) in columns.iter_mut().zip(&self.rows.columns.carried) {
                let text = if malformed { "".into() } else { self.records.text(*index) };
                left = left.saturating_sub(text.len());
                column.push(&text, self.records.line());
            }
        }
        if columns.is_empty() {
            return Ok(Chunk::of(entries));
        }
        let fields = self.rows.schema.fields();
        let arrays = columns
            .iter()
            .zip(&self.rows.types)
            .zip(fields)
            .map(|((column, from), field)| {
                column.build(from, field.data_type(), entries.len()).map_err(|(line, value)| {
                    let (table, column) = (self.rows.place.given.clone(), field.name().clone());
                    let value = shortened(&value, QUOTED).into_owned();
                    ListError::Changed { table, line, column, value }
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(entries.len()));
        let schema = Arc::clone(&self.rows.schema);
        let carried = RecordBatch::try_new_with_options(schema, arrays, &options)
            .map_err(|source| self.rows.arrow_error(self.records.line(), source))?;
        Ok(Chunk { entries, carried: Some(carried) })
    }
}

/// The values of a carried column in a chunk, as written.
#[derive(Default)]
struct Column {
    /// Every value in a row.
    text: String,
    /// Where each ends, and its line.
    ends: Vec<(usize, u64)>,
}

impl Column {
    fn push(&mut self, text: &str, line: u64) {
        self.text.push_str(text);
        self.ends.push((self.text.len(), line));
    }

    /// The values as `to`, having been found to be `from`; the line and the
    /// value that is not.
    fn build(
        &self,
        from: &DataType,
        to: &DataType,
        rows: usize,
    ) -> Result<ArrayRef, (u64, String)> {
        if *to == DataType::Utf8 {
            return Ok(Arc::new(StringArray::from_iter(self.values().map(|(v, _)| v))));
        }
        let array: ArrayRef = match from {
            DataType::Boolean => Arc::new(BooleanArray::from(self.parse(parse_bool)?)),
            whole if settled(whole.clone()) == DataType::Int64 => {
                Arc::new(Int64Array::from(self.parse(|t| t.parse().ok())?))
            }
            DataType::Float64 => Arc::new(Float64Array::from(self.parse(|t| t.parse().ok())?)),
            _ => {
                self.parse(|_| None::<bool>)?;
                return Ok(new_null_array(to, rows));
            }
        };
        // The unified type holds every value of this one's.
        cast(&array, to).map_err(|error| (0, error.to_string()))
    }

    fn parse<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<Option<T>>, (u64, String)> {
        self.values()
            .map(|(text, line)| match text {
                None => Ok(None),
                Some(text) => parse(text).map(Some).ok_or_else(|| (line, text.to_owned())),
            })
            .collect()
    }

    /// The values, none for empty ones, and their lines.
    fn values(&self) -> impl Iterator<Item = (Option<&str>, u64)> {
        let mut begin = 0;
        self.ends.iter().map(move |(end, line)| {
            let text = &self.text[begin..*end];
            begin = *end;
            ((!text.is_empty()).then_some(text), *line)
        })
    }
}
