//! Settings as JSON: the same value always as the same bytes, and in what two
//! of them differ.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// A setting in which two sets of them differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting, such as `preparation.size`.
    pub field: String,
    /// Its value in the folder.
    pub there: String,
    /// The value asked for.
    pub asked: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.field, self.there, self.asked)
    }
}

/// What differs, a line each.
pub(crate) struct Sentences<'a>(pub(crate) &'a [Difference]);

impl fmt::Display for Sentences<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what differs (there → asked for):")?;
        self.0.iter().try_for_each(|difference| write!(f, "\n  {difference}"))
    }
}

/// A value as JSON with sorted keys, and its numbers as they are read back:
/// serde_json's reading of a float may differ in the last bit from what was
/// written, and two sides that are compared must both have gone that way.
pub(crate) fn json(value: &impl Serialize) -> Value {
    let written = serde_json::to_string(value)
        .expect("settings are strings, numbers and lists, which all have a JSON form");
    let read = serde_json::from_str(&written).expect("serde_json reads what it wrote");
    sorted(read)
}

/// Keys in their order, whether or not some crate has switched serde_json to
/// keeping the order of insertion.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Names of fields, and what a person calls them.
pub(crate) type Words = &'static [(&'static str, &'static str)];

/// In what two values of [`json`] differ. Fields without a name in `words` are
/// called what they are.
pub(crate) fn differences(there: &Value, asked: &Value, words: Words) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", there, asked, words, &mut found);
    found
}

fn compare(field: &str, there: &Value, asked: &Value, words: Words, found: &mut Vec<Difference>) {
    if there == asked {
        return;
    }
    if let (Value::Object(a), Value::Object(b)) = (there, asked) {
        let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let name = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            let of = |map: &'_ Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
            compare(&name, &of(a), &of(b), words, found);
        }
        return;
    }
    found.push(Difference {
        field: words
            .iter()
            .find(|(name, _)| *name == field)
            .map_or_else(|| field.replace(['_', '.'], " "), |(_, words)| (*words).to_owned()),
        there: value_in_words(there),
        asked: value_in_words(asked),
    });
}

fn value_in_words(value: &Value) -> String {
    /// Longer values are cut: two long lists are not told apart by reading.
    const LONGEST: usize = 200;
    let words = match value {
        Value::Null => "none".into(),
        Value::Array(values) if values.is_empty() => "none".into(),
        Value::Array(values) => values.iter().map(value_in_words).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        other => other.to_string(),
    };
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}
