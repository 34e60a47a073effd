//! Types of carried columns: which are carried, and what holds the values of
//! several tables.
//!
//! Invariant: unifying loses no integer, no truth value and no text; integers
//! beside floats become floats, where these hold them. It does not depend on the
//! order of the tables, as far as their types go.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use arrow::error::ArrowError;

/// Whole numbers in text of which some are beyond what floats hold ([`EXACT`]); only
/// until types are unified.
const LONG: DataType = DataType::Decimal128(19, 0);

/// The largest whole number of those that doubles hold all: 2⁵³.
const EXACT: u64 = 1 << 53;

/// The type as which a column is carried; `None` if it is not (dates, lists,
/// structs, bytes: ask for a text or number column in their place).
pub(in crate::source::list) fn as_carried(found: &DataType) -> Option<DataType> {
    Some(match found {
        DataType::Null | DataType::Boolean | DataType::Float32 | DataType::Float64 => found.clone(),
        integer if integer.is_integer() => integer.clone(),
        DataType::Float16 => DataType::Float32,
        text if text.is_string() => DataType::Utf8,
        DataType::Dictionary(_, values) if values.is_string() => DataType::Utf8,
        _ => return None,
    })
}

/// The type that holds the values of both: the narrowest integer, `Float64`
/// for integers beside floats, text for anything else that differs, also for long
/// integers beside floats.
pub(in crate::source::list) fn unify(a: &DataType, b: &DataType) -> DataType {
    match (a, b) {
        _ if a == b => a.clone(),
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        (&LONG, other) | (other, &LONG) => match other.is_integer() {
            true if *other != DataType::UInt64 => LONG,
            _ => DataType::Utf8,
        },
        _ if a.is_integer() && b.is_integer() => unify_integers(a, b),
        _ if a.is_numeric() && b.is_numeric() => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// The type of a column once all are unified.
pub(in crate::source::list) fn settled(unified: DataType) -> DataType {
    match unified {
        // No value in any table: text will do.
        DataType::Null => DataType::Utf8,
        LONG => DataType::Int64,
        other => other,
    }
}

/// Values as the unified type.
///
/// # Errors
/// [`ArrowError::CastError`] for a whole number that would lose digits among floats.
pub(super) fn as_unified(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type().is_integer() && to.is_floating() {
        let too_long = match array.data_type() {
            DataType::UInt64 => {
                array.as_primitive::<UInt64Type>().iter().flatten().find(|value| *value > EXACT)
            }
            DataType::Int64 => {
                let values = array.as_primitive::<Int64Type>().iter().flatten();
                values.map(i64::unsigned_abs).find(|value| *value > EXACT)
            }
            _ => None,
        };
        if let Some(value) = too_long {
            return Err(ArrowError::CastError(format!(
                "{value} is in a column that holds floating-point numbers in another table, \
                 where it would lose digits: write the column as text, or as whole numbers in both"
            )));
        }
    }
    cast(array, to)
}

fn unify_integers(a: &DataType, b: &DataType) -> DataType {
    let bits = |t: &DataType| t.primitive_width().map_or(64, |bytes| 8 * bytes);
    let signed = |t: &DataType| t.is_signed_integer();
    let width = match (signed(a), signed(b)) {
        (false, false) if bits(a) >= bits(b) => return a.clone(),
        (false, false) => return b.clone(),
        (true, true) => bits(a).max(bits(b)),
        // Unsigned values need one bit more.
        (true, false) => bits(a).max(2 * bits(b)),
        (false, true) => bits(b).max(2 * bits(a)),
    };
    match width {
        8 => DataType::Int8,
        16 => DataType::Int16,
        32 => DataType::Int32,
        64 => DataType::Int64,
        _ => DataType::Utf8,
    }
}

/// The type of a value written as text. Integers are those that come back as
/// they were written: `007` and numbers beyond 64 bits stay text.
pub(in crate::source::list) fn type_of_text(text: &str) -> DataType {
    if text.is_empty() {
        return DataType::Null;
    }
    if parse_bool(text).is_some() {
        return DataType::Boolean;
    }
    if let Some(value) = text.parse::<i64>().ok().filter(|value| value.to_string() == text) {
        return if value.unsigned_abs() > EXACT { LONG } else { DataType::Int64 };
    }
    let digits = text.trim_start_matches(['+', '-']);
    let looks_like_an_id = digits.bytes().all(|b| b.is_ascii_digit())
        || (digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit()));
    if !looks_like_an_id && text.parse::<f64>().is_ok() {
        return DataType::Float64;
    }
    DataType::Utf8
}

/// `true` and `false` in the spellings of Python, SQL and TOPCAT.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_unify_to_the_narrowest_that_holds_both() {
        use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, Null, UInt8, UInt32, UInt64};
        for (a, b, expected) in [
            (Int8, Int32, Int32),
            (UInt8, UInt32, UInt32),
            (UInt8, Int8, Int16),
            (UInt32, Int32, Int64),
            (UInt64, Int8, DataType::Utf8),
            (Int32, Float32, Float64),
            (Float32, Float64, Float64),
            (Null, Int8, Int8),
            (DataType::Boolean, Int8, DataType::Utf8),
            (DataType::Utf8, Float64, DataType::Utf8),
            (LONG, Int64, LONG),
            (LONG, Float64, DataType::Utf8),
            (LONG, UInt64, DataType::Utf8),
        ] {
            assert_eq!(unify(&a, &b), expected, "{a} {b}");
            assert_eq!(unify(&b, &a), expected, "{b} {a}");
        }
    }

    #[test]
    fn text_tells_its_type() {
        for (text, expected) in [
            ("", DataType::Null),
            ("True", DataType::Boolean),
            ("-12", DataType::Int64),
            ("0", DataType::Int64),
            ("9007199254740992", DataType::Int64),
            ("-9007199254740993", LONG),
            ("1237668296598749301", LONG),
            ("1.5e-3", DataType::Float64),
            ("nan", DataType::Float64),
            ("-0.5", DataType::Float64),
            ("007", DataType::Utf8),
            ("+7", DataType::Utf8),
            ("00.5", DataType::Utf8),
            ("99999999999999999999", DataType::Utf8),
            ("12:30:00", DataType::Utf8),
            ("-", DataType::Utf8),
            ("é", DataType::Utf8),
        ] {
            assert_eq!(type_of_text(text), expected, "{text}");
        }
    }

    #[test]
    fn whole_numbers_become_floats_or_nothing() {
        let array = |values: Vec<i64>| -> ArrayRef {
            std::sync::Arc::new(arrow::array::Int64Array::from(values))
        };
        assert!(as_unified(&array(vec![-3, 1 << 53]), &DataType::Float64).is_ok());
        let error = as_unified(&array(vec![1, -(1 << 53) - 1]), &DataType::Float64).unwrap_err();
        assert!(error.to_string().contains("9007199254740993"), "{error}");
        assert!(as_unified(&array(vec![1 << 60]), &DataType::Int64).is_ok());
    }

    #[test]
    fn other_types_are_not_carried() {
        let texts = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        assert_eq!(as_carried(&texts), Some(DataType::Utf8));
        assert_eq!(as_carried(&DataType::LargeUtf8), Some(DataType::Utf8));
        for other in [DataType::Date32, DataType::Binary, DataType::Decimal128(9, 2)] {
            assert_eq!(as_carried(&other), None, "{other}");
        }
    }
}
