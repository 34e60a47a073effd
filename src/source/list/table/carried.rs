//! Types of carried columns: which are carried, and what holds the values of
//! several tables.
//!
//! Invariant: unifying loses no integer, no truth value and no text; integers
//! beside floats become floats. It does not depend on the order of the tables,
//! as far as their types go.

use arrow::datatypes::DataType;

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
/// for integers beside floats, text for anything else that differs.
pub(in crate::source::list) fn unify(a: &DataType, b: &DataType) -> DataType {
    match (a, b) {
        _ if a == b => a.clone(),
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        _ if a.is_integer() && b.is_integer() => unify_integers(a, b),
        _ if a.is_numeric() && b.is_numeric() => DataType::Float64,
        _ => DataType::Utf8,
    }
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
    if text.parse::<i64>().is_ok_and(|value| value.to_string() == text) {
        return DataType::Int64;
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
    fn other_types_are_not_carried() {
        let texts = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        assert_eq!(as_carried(&texts), Some(DataType::Utf8));
        assert_eq!(as_carried(&DataType::LargeUtf8), Some(DataType::Utf8));
        for other in [DataType::Date32, DataType::Binary, DataType::Decimal128(9, 2)] {
            assert_eq!(as_carried(&other), None, "{other}");
        }
    }
}
