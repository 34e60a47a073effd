//! One keyword record: its name, how it is written, and its value (FITS 4.0,
//! sections 4.1 and 4.2).
//!
//! Which of several records counts is up to the header. Invariant: a value is
//! what the standard says that these bytes are, or [`Value::Unclear`]; nothing
//! is mended. Lower-case exponents are read, as every reader does.

use std::borrow::Cow;

/// Bytes of a record.
pub const CARD: usize = 80;

/// How a keyword is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the standard has it: `NAME    = value`; or `HIERARCH` with a name
    /// that no standard keyword can have (`HIERARCH FPA.ZP = 25.0`).
    Standard,
    /// A standard keyword in lower case, indented, after `HIERARCH`, or
    /// without the value indicator in columns 9 and 10: some readers see it,
    /// others do not.
    Odd,
}

/// The value of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No value before the comment: defined as undefined.
    Undefined,
    /// `T` or `F`.
    Logical(bool),
    /// A number of 64 bits without point and exponent.
    Integer(i64),
    /// Any other finite number.
    Real(f64),
    /// A string, without trailing blanks.
    Text(Cow<'a, str>),
    /// None of these: a complex number, two values, an open quote, a number
    /// beyond all bounds.
    Unclear,
}

/// A record that has a keyword, unlike comments.
#[derive(Debug, Clone, Copy)]
pub struct Card<'a> {
    /// The keyword without padding, as it is written.
    pub name: &'a [u8],
    /// How it is written.
    pub form: Form,
    /// What follows the value indicator, with the comment.
    field: &'a [u8],
}

impl<'a> Card<'a> {
    /// Reads a record; `None` for those that are comments: `COMMENT`,
    /// `HISTORY`, blank ones, `CONTINUE`, and any without a value indicator.
    pub fn parse(card: &'a [u8]) -> Option<Self> {
        let (name, rest) = card.split_at_checked(8)?;
        let indented = name.starts_with(b" ");
        let name = name.trim_ascii();
        let is = |keyword: &str| name.eq_ignore_ascii_case(keyword.as_bytes());
        if ["", "COMMENT", "HISTORY", "CONTINUE"].iter().any(|keyword| is(keyword)) {
            return None;
        }
        if is("HIERARCH") {
            let equals = rest.iter().position(|b| *b == b'=')?;
            let name = rest[..equals].trim_ascii();
            let form = if is_standard(name) { Form::Odd } else { Form::Standard };
            return Some(Self { name, form, field: &rest[equals + 1..] });
        }
        if let Some(field) = rest.strip_prefix(b"= ") {
            let odd = indented || name.iter().any(u8::is_ascii_lowercase);
            let form = if odd { Form::Odd } else { Form::Standard };
            return Some(Self { name, form, field });
        }
        // `NAXIS1  =3`, `NAXIS1 = 3`: no values by the standard.
        let equals = card.iter().position(|b| *b == b'=')?;
        let name = card[..equals].trim_ascii();
        is_standard(name).then_some(Self { name, form: Form::Odd, field: &card[equals + 1..] })
    }

    /// What stands in the record, with the comment.
    pub fn as_written(&self) -> String {
        self.field.trim_ascii().escape_ascii().to_string()
    }

    /// The value, without its comment.
    pub fn value(&self) -> Value<'a> {
        value(self.field)
    }
}

/// The value that bytes begin with, up to a comment.
pub fn value(bytes: &[u8]) -> Value<'_> {
    let field = bytes.trim_ascii_start();
    if let Some(text) = field.strip_prefix(b"'") {
        return string(text);
    }
    let end = field.iter().position(|b| *b == b'/').unwrap_or(field.len());
    match field[..end].trim_ascii() {
        b"" => Value::Undefined,
        b"T" => Value::Logical(true),
        b"F" => Value::Logical(false),
        token => number(token),
    }
}

/// Whether a standard keyword can have this name, in upper case.
fn is_standard(name: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=8).contains(&name.len()) && name.iter().all(allowed)
}

/// A string after its opening quote.
fn string(bytes: &[u8]) -> Value<'_> {
    let mut end = 0;
    let mut doubled = false;
    loop {
        match (bytes.get(end), bytes.get(end + 1)) {
            (Some(b'\''), Some(b'\'')) => {
                doubled = true;
                end += 2;
            }
            (Some(b'\''), _) => break,
            (Some(_), _) => end += 1,
            (None, _) => return Value::Unclear,
        }
    }
    let rest = bytes[end + 1..].trim_ascii_start();
    let printable = bytes[..end].iter().all(|b| (b' '..=b'~').contains(b));
    if !printable || !(rest.is_empty() || rest.starts_with(b"/")) {
        return Value::Unclear;
    }
    match std::str::from_utf8(bytes[..end].trim_ascii_end()) {
        Ok(text) if doubled => Value::Text(Cow::Owned(text.replace("''", "'"))),
        Ok(text) => Value::Text(Cow::Borrowed(text)),
        Err(_) => Value::Unclear,
    }
}

/// A number. Rust's own grammar is wider (`nan`, `inf`), and has no D.
fn number(token: &[u8]) -> Value<'_> {
    let unsigned = token.strip_prefix(b"+").or_else(|| token.strip_prefix(b"-")).unwrap_or(token);
    let Ok(text) = std::str::from_utf8(token) else { return Value::Unclear };
    if let Ok(integer) = text.parse() {
        return Value::Integer(integer);
    }
    if !unsigned.starts_with(b".") && !unsigned.first().is_some_and(u8::is_ascii_digit) {
        return Value::Unclear;
    }
    let real = text.replace(['D', 'd'], "E").parse().ok().filter(|value: &f64| value.is_finite());
    real.map_or(Value::Unclear, Value::Real)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(text: &str) -> Option<(String, Form, Value<'static>)> {
        let bytes = format!("{text:80}").into_bytes().leak();
        let card = Card::parse(bytes)?;
        Some((String::from_utf8_lossy(card.name).into_owned(), card.form, card.value()))
    }

    fn value(text: &str) -> Value<'static> {
        card(&format!("KEY     = {text}")).unwrap().2
    }

    #[test]
    fn values_have_types() {
        assert_eq!(value("                   T / conforms"), Value::Logical(true));
        assert_eq!(value("F"), Value::Logical(false));
        assert_eq!(value("-007/comment"), Value::Integer(-7));
        assert_eq!(value("1.5D-02"), Value::Real(0.015));
        assert_eq!(value("5.0d-5"), Value::Real(5e-5));
        assert_eq!(value("+.5"), Value::Real(0.5));
        assert_eq!(value("3."), Value::Real(3.0));
        // BZERO of unsigned numbers of 64 bits.
        assert_eq!(value("9223372036854775808"), Value::Real(2.0_f64.powi(63)));
        assert_eq!(value("'it''s / g  '        / name"), Value::Text("it's / g".into()));
        assert_eq!(value("''"), Value::Text("".into()));
        assert_eq!(value("   / nothing"), Value::Undefined);
        assert_eq!(value(""), Value::Undefined);
    }

    #[test]
    fn what_no_type_fits_is_unclear() {
        for text in [
            "nan",
            "inf",
            "1.5 E3",
            "25 5",
            "(1.0, 2.0)",
            "t",
            "'open",
            "'a' b",
            "1e999",
            "E5",
            "0x10",
            "1.0F",
            "--1",
            "1D",
            "'tab\there'",
            "-",
        ] {
            assert_eq!(value(text), Value::Unclear, "{text}");
        }
    }

    #[test]
    fn odd_forms_are_told_from_standard_ones() {
        let name = |text: &str| card(text).map(|(name, form, _)| (name, form));
        let odd = |name: &str| Some((name.to_owned(), Form::Odd));
        let standard = |name: &str| Some((name.to_owned(), Form::Standard));
        assert_eq!(name("BSCALE  = 2"), standard("BSCALE"));
        assert_eq!(name("bscale  = 2"), odd("bscale"));
        assert_eq!(name("BSCALE  =2"), odd("BSCALE"));
        assert_eq!(name("BSCALE = 2"), odd("BSCALE"));
        assert_eq!(name("  BSCALE= 2"), odd("BSCALE"));
        assert_eq!(name("HIERARCH BSCALE = 2"), odd("BSCALE"));
        assert_eq!(name("HIERARCH FPA.ZP = 2"), standard("FPA.ZP"));
        assert_eq!(name("HIERARCH ESO DET = 2"), standard("ESO DET"));
        assert_eq!(name("COMMENT BSCALE = 2"), None);
        assert_eq!(name("HISTORY = 2"), None);
        assert_eq!(name("COMMENT = 2"), None);
        assert_eq!(name(""), None);
        assert_eq!(name("some words, then BSCALE = 2"), None);
    }
}
