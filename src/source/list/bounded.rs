//! Entries whose texts are longer than any should be, or hold passwords.
//!
//! An identifier of 70,000 letters is no reason to end a run, and no text for a
//! catalog: its row is rejected, with the beginning of what it had. Invariant:
//! behind this file every text of an entry, and of its carried columns, is
//! within the limits, and no URL of an entry has credentials: listings and
//! catalogs are kept, and passed on.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::super::{Entry, Locator};
use super::Chunk;
use crate::cutout::{Reason, Rejection};
use crate::limits::shortened;
use crate::limits::table::{CARRIED, ID, SOURCE};
use crate::storage::remote::secrets::concealed;

/// The chunk with what is too long cut, and its rows rejected.
///
/// # Errors
/// None that can be expected: arrow's, for columns that do not fit one another.
pub(super) fn bounded(mut chunk: Chunk) -> Result<Chunk, ArrowError> {
    if let Some(batch) = &chunk.carried {
        chunk.carried = carried(batch, &mut chunk.entries)?.or(chunk.carried);
    }
    for entry in &mut chunk.entries {
        conceal(entry);
        let (id, source) = (entry.id.len(), entry.source.len());
        if source > SOURCE {
            entry.source = shortened(&entry.source, SOURCE).into_owned();
            reject(entry, format!("its path has {source} bytes: at most {SOURCE}"));
        }
        if id > ID {
            entry.id = shortened(&entry.id, ID).into_owned();
            reject(entry, format!("its id has {id} bytes: at most {ID}"));
        }
    }
    Ok(chunk)
}

/// Rejects an entry whose URL has credentials, and hides them.
fn conceal(entry: &mut Entry) {
    let Cow::Owned(source) = concealed(&entry.source) else { return };
    // An id that the URL gave has its query too.
    if entry.source.ends_with(&entry.id) {
        entry.id = source.rsplit('/').next().unwrap_or_default().to_owned();
    }
    entry.source = source;
    reject(entry, "a URL with credentials, which a run does not keep: download it first".into());
}

fn reject(entry: &mut Entry, words: String) {
    entry.locator = Locator::Rejected(Rejection::new(Reason::Unsupported, words));
}

/// The carried columns without what is too long; `None` if nothing is.
fn carried(batch: &RecordBatch, entries: &mut [Entry]) -> Result<Option<RecordBatch>, ArrowError> {
    let mut columns = batch.columns().to_vec();
    let mut any = false;
    for (column, field) in columns.iter_mut().zip(batch.schema().fields()) {
        if *column.data_type() != DataType::Utf8 {
            continue;
        }
        let texts = column.as_string::<i32>();
        let is_long = |text: &&str| text.len() > CARRIED;
        if !texts.iter().flatten().any(|text| is_long(&text)) {
            continue;
        }
        any = true;
        for (text, entry) in texts.iter().zip(entries.iter_mut()) {
            if let Some(text) = text.filter(is_long) {
                let (name, bytes) = (shortened(field.name(), ID), text.len());
                reject(entry, format!("column {name} has {bytes} bytes: at most {CARRIED}"));
            }
        }
        let short = texts.iter().map(|text| text.filter(|text| !is_long(text)));
        let short: ArrayRef = Arc::new(short.collect::<StringArray>());
        *column = short;
    }
    if any { RecordBatch::try_new(batch.schema(), columns).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn entry(id: &str, source: &str) -> Entry {
        let (id, source) = (id.to_owned(), source.to_owned());
        Entry { id, source, locator: Locator::File("/x".into()), position: None }
    }

    fn why(entry: &Entry) -> Option<&str> {
        match &entry.locator {
            Locator::Rejected(rejection) => Some(&rejection.detail),
            _ => None,
        }
    }

    #[test]
    fn a_text_that_is_too_long_costs_its_row_and_no_other() {
        let (long, far) = ("é".repeat(35_000), "/".repeat(SOURCE + 1));
        let entries = vec![entry(&"x".repeat(ID), "a"), entry(&long, "b"), entry("c", &far)];
        let fields =
            vec![Field::new("note", DataType::Utf8, true), Field::new("n", DataType::Int64, true)];
        let notes = StringArray::from(vec![Some("n".repeat(CARRIED + 1)), None, Some("y".into())]);
        let numbers = Int64Array::from(vec![1, 2, 3]);
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            vec![Arc::new(notes), Arc::new(numbers)],
        );
        let chunk = bounded(Chunk { entries, carried: Some(batch.unwrap()) }).unwrap();
        let [first, second, third] = &chunk.entries[..] else { panic!("three") };
        assert_eq!(first.id.len(), ID);
        assert_eq!(why(first), Some("column note has 65537 bytes: at most 65536"));
        assert_eq!(second.id, format!("{}…", "é".repeat(ID / 2)));
        assert_eq!(why(second), Some("its id has 70000 bytes: at most 1024"));
        assert_eq!(third.source.len(), SOURCE + "…".len());
        assert_eq!(why(third), Some("its path has 16385 bytes: at most 16384"));
        let carried = chunk.carried.unwrap();
        let notes = carried.column(0).as_string::<i32>();
        assert_eq!(notes.iter().collect::<Vec<_>>(), [None, None, Some("y")]);
        assert_eq!(carried.column(1).len(), 3);

        let url = "https://me:word@host/a.jpg?token=t";
        let named = vec![entry("a.jpg?token=t", url), entry("7", url)];
        let chunk = bounded(Chunk::of(named)).unwrap();
        for (found, id) in chunk.entries.iter().zip(["a.jpg?token=***", "7"]) {
            assert_eq!((&*found.id, &*found.source), (id, "https://***@host/a.jpg?token=***"));
            assert!(why(found).is_some_and(|why| why.contains("credentials")));
        }

        let plain = bounded(Chunk::of(vec![entry("id", "a.jpg")])).unwrap();
        assert_eq!(plain.entries, [entry("id", "a.jpg")]);
    }
}
