//! Numbers and texts of binary rows (big-endian, as FITS and VOTable have
//! them), and columns of them being filled.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Float64Builder, Int64Builder, StringBuilder,
    UInt64Builder,
};
use arrow::datatypes::DataType;

use super::Column;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    Integer(i64),
    Unsigned(u64),
    Single(f32),
    Float(f64),
    Boolean(bool),
}

/// A number of a fixed size, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Number {
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// Whether it has no fraction.
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F64)
    }

    /// The whole number in `bytes`; `None` for those with fractions and where
    /// the length is another.
    pub fn integer(self, bytes: &[u8]) -> Option<i64> {
        Some(match self {
            Self::U8 => i64::from(*bytes.first()?),
            Self::I16 => i64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
            Self::I32 => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
            Self::I64 => i64::from_be_bytes(bytes.try_into().ok()?),
            Self::F32 | Self::F64 => return None,
        })
    }

    /// The value in `bytes`.
    pub fn cell(self, bytes: &[u8]) -> Cell<'static> {
        let cell = match self {
            Self::F32 => bytes.try_into().ok().map(|b| Cell::Single(f32::from_be_bytes(b))),
            Self::F64 => bytes.try_into().ok().map(|b| Cell::Float(f64::from_be_bytes(b))),
            _ => self.integer(bytes).map(Cell::Integer),
        };
        cell.unwrap_or(Cell::Null)
    }

    /// The type of a column of them.
    pub fn data_type(self) -> DataType {
        match self {
            Self::F32 => DataType::Float32,
            Self::F64 => DataType::Float64,
            _ => DataType::Int64,
        }
    }
}

/// A column being filled.
pub(super) enum Filling {
    Text(StringBuilder),
    Integer(Int64Builder),
    Unsigned(UInt64Builder),
    Single(Float32Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
}

impl Filling {
    /// One for each selected column; text for those that hold no cells.
    pub fn of_columns(columns: &[Column], selected: &[usize]) -> Vec<Self> {
        let cells = selected.iter().map(|&place| columns[place].cells.as_ref());
        cells.map(|cells| Self::of(cells.unwrap_or(&DataType::Utf8))).collect()
    }

    /// One for cells of a type; text for any other.
    pub fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int64 => Self::Integer(Int64Builder::new()),
            DataType::UInt64 => Self::Unsigned(UInt64Builder::new()),
            DataType::Float32 => Self::Single(Float32Builder::new()),
            DataType::Float64 => Self::Float(Float64Builder::new()),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Adds a value; one of another type is none.
    pub fn push(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Self::Text(to), Cell::Text(text)) => to.append_value(text),
            (Self::Text(to), _) => to.append_null(),
            (Self::Integer(to), Cell::Integer(value)) => to.append_value(*value),
            (Self::Integer(to), _) => to.append_null(),
            (Self::Unsigned(to), Cell::Unsigned(value)) => to.append_value(*value),
            (Self::Unsigned(to), _) => to.append_null(),
            (Self::Single(to), Cell::Single(value)) => to.append_value(*value),
            (Self::Single(to), _) => to.append_null(),
            (Self::Float(to), Cell::Float(value)) => to.append_value(*value),
            (Self::Float(to), _) => to.append_null(),
            (Self::Boolean(to), Cell::Boolean(value)) => to.append_value(*value),
            (Self::Boolean(to), _) => to.append_null(),
        }
    }

    /// The values so far; then it is empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(column) => Arc::new(column.finish()),
            Self::Integer(column) => Arc::new(column.finish()),
            Self::Unsigned(column) => Arc::new(column.finish()),
            Self::Single(column) => Arc::new(column.finish()),
            Self::Float(column) => Arc::new(column.finish()),
            Self::Boolean(column) => Arc::new(column.finish()),
        }
    }
}

/// Text of a fixed width: up to the first zero, without blanks behind it.
pub(super) fn fixed_text(bytes: &[u8]) -> Cow<'_, str> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    match String::from_utf8_lossy(&bytes[..end]) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end()),
        Cow::Owned(text) => Cow::Owned(text.trim_end().to_owned()),
    }
}
