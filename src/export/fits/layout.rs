//! Where a row's values are in a FITS table, and how they are written there:
//! big-endian, one after another.
//!
//! A missing number is NaN, a missing truth value a zero byte, a missing
//! integer the least of its type, which the header names (`TNULLn`); integers
//! that miss values get a wider type, so that this value is nobody's. The one
//! exception are 64-bit integers, which have no wider type.
//!
//! Every row is as wide as the widest, so texts are cut at [`CELL`] bytes: one
//! id of a megabyte would make a gigabyte of a thousand rows. How many were cut
//! the header says (`HWCUT`), and the export.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Schema,
};

use super::super::rows::Measured;
use crate::export::ExportError;
use crate::limits::output::CELL;

/// A column of the table.
pub(super) struct TableColumn {
    /// `TTYPEn`, `TFORMn`, `TUNITn`, `TUCDn`, `TCOMMn`, in ASCII.
    pub(super) name: String,
    pub(super) form: String,
    pub(super) unit: String,
    pub(super) ucd: String,
    pub(super) description: String,
    /// `TNULLn`.
    pub(super) null: Option<i64>,
    kind: Kind,
    /// Bytes a value.
    width: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Logical,
    Integer(usize),
    Float,
    Double,
    Text,
}

/// The columns of the table.
pub(super) struct Layout {
    pub(super) columns: Vec<TableColumn>,
    /// Bytes a row.
    row: usize,
}

impl Layout {
    /// For rows that were measured.
    pub(super) fn new(schema: &Schema, measured: &Measured) -> Self {
        let mut columns: Vec<TableColumn> = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let missing = measured.nulls[index] > 0;
            let kind = match field.data_type() {
                DataType::Boolean => Kind::Logical,
                DataType::Float32 => Kind::Float,
                DataType::Float64 => Kind::Double,
                DataType::Int8 | DataType::UInt8 => Kind::Integer(2),
                DataType::Int16 => Kind::Integer(if missing { 4 } else { 2 }),
                DataType::UInt16 => Kind::Integer(4),
                DataType::Int32 => Kind::Integer(if missing { 8 } else { 4 }),
                DataType::UInt32 | DataType::Int64 => Kind::Integer(8),
                // Dates too: as ISO 8601 text.
                _ => Kind::Text,
            };
            let (width, letter) = match kind {
                Kind::Logical => (1, "L"),
                Kind::Float => (4, "E"),
                Kind::Double => (8, "D"),
                Kind::Integer(2) => (2, "I"),
                Kind::Integer(4) => (4, "J"),
                Kind::Integer(_) => (8, "K"),
                Kind::Text if field.data_type() == &DataType::Utf8 => {
                    (measured.bytes[index].clamp(1, CELL), "A")
                }
                Kind::Text => (LONGEST_TIME, "A"),
            };
            let count = if kind == Kind::Text { width } else { 1 };
            let null = match kind {
                Kind::Integer(2) => i64::from(i16::MIN),
                Kind::Integer(4) => i64::from(i32::MIN),
                _ => i64::MIN,
            };
            let text = |key: &str| ascii(field.metadata().get(key).map_or("", String::as_str));
            let name = unused(ascii(field.name()), &columns);
            columns.push(TableColumn {
                name,
                form: format!("{count}{letter}"),
                unit: text("unit"),
                ucd: text("ucd"),
                description: text("description"),
                null: (matches!(kind, Kind::Integer(_)) && missing).then_some(null),
                kind,
                width,
            });
        }
        let row = columns.iter().map(|column| column.width).sum();
        Self { columns, row }
    }

    /// The rows of a batch as the table's bytes, after what is in `out`.
    pub(super) fn encode(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let start = out.len();
        out.resize(start + batch.num_rows() * self.row, 0);
        let mut offset = 0;
        for (column, array) in self.columns.iter().zip(batch.columns()) {
            let cells = out[start..].chunks_exact_mut(self.row);
            let cells = cells.map(|row| &mut row[offset..offset + column.width]);
            column.encode(array, cells)?;
            offset += column.width;
        }
        Ok(())
    }
}

/// Bytes of the longest time as text: `2020-12-31T23:59:59.999999999+00:00`.
const LONGEST_TIME: usize = 36;

impl TableColumn {
    fn encode<'a>(
        &self,
        array: &dyn Array,
        cells: impl Iterator<Item = &'a mut [u8]>,
    ) -> Result<(), ExportError> {
        let wrap = || ExportError::arrow("laying out a FITS table");
        /// Big-endian values, and what stands for none.
        macro_rules! numbers {
            ($kind:ty, $to:expr, $missing:expr) => {{
                let array = cast(array, &$to).map_err(wrap())?;
                for (cell, value) in cells.zip(array.as_primitive::<$kind>().iter()) {
                    cell.copy_from_slice(&value.unwrap_or($missing).to_be_bytes());
                }
            }};
        }
        match self.kind {
            Kind::Float => numbers!(Float32Type, DataType::Float32, f32::NAN),
            Kind::Double => numbers!(Float64Type, DataType::Float64, f64::NAN),
            Kind::Integer(2) => numbers!(Int16Type, DataType::Int16, i16::MIN),
            Kind::Integer(4) => numbers!(Int32Type, DataType::Int32, i32::MIN),
            Kind::Integer(_) => numbers!(Int64Type, DataType::Int64, i64::MIN),
            Kind::Logical => {
                for (cell, value) in cells.zip(array.as_boolean()) {
                    cell[0] = value.map_or(0, |value| if value { b'T' } else { b'F' });
                }
            }
            Kind::Text => {
                let array = cast(array, &DataType::Utf8).map_err(wrap())?;
                for (cell, value) in cells.zip(array.as_string::<i32>()) {
                    // Measured, and so it fits unless it is long; the rest of
                    // the cell stays zero, which ends it.
                    let text = value.unwrap_or_default();
                    let fits = text.floor_char_boundary(cell.len());
                    cell[..fits].copy_from_slice(&text.as_bytes()[..fits]);
                }
            }
        }
        Ok(())
    }
}

/// What FITS headers can hold: printable ASCII.
pub(super) fn ascii(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '_' }).collect()
}

/// A name that no column has: names in other scripts may have become one.
fn unused(name: String, columns: &[TableColumn]) -> String {
    let taken = |name: &str| columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
    if !taken(&name) && !name.is_empty() {
        return name;
    }
    let numbered = (2..).map(|n| format!("{name}_{n}"));
    numbered.into_iter().find(|candidate| !taken(candidate)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Float32Array, Int8Array, Int16Array, StringArray};
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn values_are_big_endian_and_missing_ones_are_marked() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(StringArray::from(vec!["é", "abc"]))),
            ("x", Arc::new(Float32Array::from(vec![Some(1.0), None]))),
            ("n", Arc::new(Int16Array::from(vec![Some(i16::MIN), None]))),
            ("s", Arc::new(Int8Array::from(vec![-1, 5]))),
            ("b", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(n, c)| (n, c, true)),
        )
        .unwrap();
        let mut measured = Measured::new(5);
        measured.add(&batch);
        let layout = Layout::new(batch.schema_ref(), &measured);
        let forms: Vec<&str> = layout.columns.iter().map(|c| c.form.as_str()).collect();
        assert_eq!(forms, ["3A", "1E", "1J", "1I", "1L"]);
        assert_eq!(layout.columns[2].null, Some(i64::from(i32::MIN)));
        assert_eq!(layout.columns[3].null, None);
        let mut bytes = Vec::new();
        layout.encode(&batch, &mut bytes).unwrap();
        let nan = f32::NAN.to_be_bytes();
        let first = [
            &b"\xc3\xa9\0"[..],
            &1f32.to_be_bytes(),
            &(-32768i32).to_be_bytes(),
            &[255, 255],
            b"T",
        ];
        let second = [&b"abc"[..], &nan, &i32::MIN.to_be_bytes(), &[0, 5], b"\0"];
        assert_eq!(bytes, [first.concat(), second.concat()].concat());
    }

    #[test]
    fn one_long_text_does_not_widen_every_row() {
        let long = "é".repeat(CELL);
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", long.as_str()]));
        let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let mut measured = Measured::new(1);
        measured.add(&batch);
        assert_eq!((measured.long, measured.bytes[0]), (1, 2 * CELL));
        let layout = Layout::new(batch.schema_ref(), &measured);
        assert_eq!(layout.columns[0].form, "1024A");
        let mut bytes = Vec::new();
        layout.encode(&batch, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 2 * CELL);
        // Cut between characters, never within one.
        assert_eq!(std::str::from_utf8(&bytes[CELL..]).unwrap(), "é".repeat(CELL / 2));
    }

    #[test]
    fn names_stay_apart_in_ascii() {
        let schema = Schema::new(vec![
            Field::new("星", DataType::Int8, false),
            Field::new("系", DataType::Int8, false),
            Field::new("a b", DataType::Int8, false),
        ]);
        let layout = Layout::new(&schema, &Measured::new(3));
        let names: Vec<&str> = layout.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["_", "__2", "a b"]);
    }
}
