//! What a header must answer for a WCS to be read from it.

use super::WcsError;

/// The value of a keyword.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An integer or a real number.
    Number(f64),
    /// A string, quotes and trailing blanks removed.
    Text(String),
    /// Anything else, or what cannot be read, as it stands.
    Other(String),
}

/// A FITS header, as far as its WCS is concerned.
pub trait Keywords {
    /// The value of a keyword; `None` where it is missing.
    fn value(&self, keyword: &str) -> Option<Value>;

    /// Whether the name of any keyword begins so.
    fn any_begins(&self, start: &str) -> bool;
}

/// A number, if the keyword is there.
///
/// # Errors
/// [`WcsError::NotUnderstood`] if it holds anything else.
pub fn number(header: &impl Keywords, keyword: &str) -> Result<Option<f64>, WcsError> {
    match header.value(keyword) {
        None => Ok(None),
        Some(Value::Number(number)) if number.is_finite() => Ok(Some(number)),
        Some(other) => Err(not_understood(keyword, &other)),
    }
}

/// A number without which there is no position.
///
/// # Errors
/// [`WcsError::Missing`] or [`WcsError::NotUnderstood`].
pub fn required(header: &impl Keywords, keyword: &str) -> Result<f64, WcsError> {
    number(header, keyword)?.ok_or_else(|| WcsError::Missing(keyword.to_owned()))
}

/// A number of a matrix or of a sum, by any of the names that are in use for
/// it: none, or the one that all of them give.
///
/// # Errors
/// [`WcsError::Contradiction`] if they differ.
pub fn one_of(header: &impl Keywords, names: &[String]) -> Result<Option<f64>, WcsError> {
    let mut found: Option<(f64, &str)> = None;
    for name in names {
        let Some(value) = number(header, name)? else { continue };
        match found {
            Some((first, by)) if first != value => {
                return Err(WcsError::Contradiction(format!("{by} and {name}")));
            }
            Some(_) => {}
            None => found = Some((value, name)),
        }
    }
    Ok(found.map(|(value, _)| value))
}

/// A string without blanks around it, if the keyword is there.
///
/// # Errors
/// [`WcsError::NotUnderstood`] if it holds anything else.
pub fn text(header: &impl Keywords, keyword: &str) -> Result<Option<String>, WcsError> {
    match header.value(keyword) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.trim().to_owned())),
        Some(other) => Err(not_understood(keyword, &other)),
    }
}

/// The error for a value that means nothing here.
pub fn not_understood(keyword: &str, value: &Value) -> WcsError {
    let value = match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("'{text}'"),
        Value::Other(other) => other.clone(),
    };
    WcsError::NotUnderstood { keyword: keyword.to_owned(), value }
}
