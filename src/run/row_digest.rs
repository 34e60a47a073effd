//! Digests of rows by their content, whatever file layout holds them.
//!
//! Invariant: two batches have one encoding only if they have the same names,
//! types, nulls and values; the encoding belongs to the file format and does
//! not depend on a library's version.

use arrow::array::{Array, AsArray, RecordBatch, downcast_primitive_array};
use arrow::datatypes::{DataType, TimeUnit, ToByteSlice};
use sha2::{Digest, Sha256};

use crate::storage::digest::hex;

/// A digest over a sequence of batches. Where the batches are cut counts: the
/// listing is hashed a range at a time, and the size of ranges is pinned.
#[derive(Default)]
pub(crate) struct RowDigest {
    hasher: Sha256,
    /// Encoded values of one column, kept to be used again.
    buffer: Vec<u8>,
}

impl RowDigest {
    pub(crate) fn update(&mut self, batch: &RecordBatch) {
        self.hasher.update((batch.num_rows() as u64).to_le_bytes());
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            self.buffer.clear();
            text(&mut self.buffer, field.name().as_bytes());
            text(&mut self.buffer, type_name(field.data_type()).as_bytes());
            encode(column, &mut self.buffer);
            self.hasher.update(&self.buffer);
        }
    }

    /// In hexadecimal.
    pub(crate) fn finish(self) -> String {
        hex(&self.hasher.finalize())
    }
}

/// Names of our own: the library's have changed between its versions.
fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "bool",
        DataType::Int8 => "i8",
        DataType::Int16 => "i16",
        DataType::Int32 => "i32",
        DataType::Int64 => "i64",
        DataType::UInt8 => "u8",
        DataType::UInt16 => "u16",
        DataType::UInt32 => "u32",
        DataType::Float32 => "f32",
        DataType::Float64 => "f64",
        DataType::Utf8 => "text",
        DataType::Binary => "bytes",
        DataType::Date32 => "date",
        DataType::List(item) => return format!("list of {}", type_name(item.data_type())),
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second => "s",
                TimeUnit::Millisecond => "ms",
                TimeUnit::Microsecond => "us",
                TimeUnit::Nanosecond => "ns",
            };
            return format!("time in {unit}, zone {}", zone.as_deref().unwrap_or("none"));
        }
        // No column of a listing has another type: `carried` lets none in.
        _ => "other",
    };
    name.to_owned()
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

/// Each value as a byte that says whether it is there, then the value:
/// numbers little-endian, text and lists with their length before them.
fn encode(array: &dyn Array, out: &mut Vec<u8>) {
    macro_rules! values {
        ($array:expr, $one:expr) => {{
            let array = $array;
            for row in 0..array.len() {
                out.push(u8::from(array.is_valid(row)));
                if array.is_valid(row) {
                    $one(array.value(row), out);
                }
            }
        }};
    }
    downcast_primitive_array!(
        array => values!(array, |value, out: &mut Vec<u8>| {
            out.extend_from_slice(ToByteSlice::to_byte_slice(&value));
        }),
        DataType::Boolean => values!(array.as_boolean(), |value, out: &mut Vec<u8>| {
            out.push(u8::from(value));
        }),
        DataType::Utf8 => values!(array.as_string::<i32>(), |value: &str, out: &mut Vec<u8>| {
            text(out, value.as_bytes());
        }),
        DataType::Binary => values!(array.as_binary::<i32>(), |value: &[u8], out: &mut Vec<u8>| {
            text(out, value);
        }),
        DataType::List(_) => values!(array.as_list::<i32>(), |list: arrow::array::ArrayRef, out: &mut Vec<u8>| {
            out.extend((list.len() as u64).to_le_bytes());
            encode(&list, out);
        }),
        // No column of a listing has another type: `carried` lets none in.
        _ => {}
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::*;

    fn of(columns: Vec<(&str, ArrayRef)>) -> String {
        let mut digest = RowDigest::default();
        digest.update(&RecordBatch::try_from_iter(columns).unwrap());
        digest.finish()
    }

    fn strings(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn it_changes_with_anything_that_counts() {
        let whole = of(vec![("a", strings(&["ab", "c"]))]);
        assert_eq!(whole, of(vec![("a", strings(&["ab", "c"]))]));
        assert_ne!(whole, of(vec![("a", strings(&["a", "bc"]))]));
        assert_ne!(whole, of(vec![("b", strings(&["ab", "c"]))]));
        assert_ne!(whole, of(vec![("a", strings(&["c", "ab"]))]));
        let numbers = |values: Vec<Option<f64>>| -> String {
            of(vec![("x", Arc::new(Float64Array::from(values)))])
        };
        assert_ne!(numbers(vec![None, Some(0.0)]), numbers(vec![Some(0.0), None]));
        assert_ne!(numbers(vec![Some(0.0)]), numbers(vec![Some(-0.0)]));
    }

    #[test]
    fn it_sees_values_and_not_how_they_are_kept() {
        let long = strings(&["x", "ab", "c"]);
        assert_eq!(of(vec![("a", long.slice(1, 2))]), of(vec![("a", strings(&["ab", "c"]))]));
    }
}
