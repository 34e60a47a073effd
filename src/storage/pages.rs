//! What the pages of a Parquet file state of themselves, before they are
//! unpacked.
//!
//! The reader takes a page's header at its word: it makes room for as many bytes
//! as the page is said to unpack to, and as many values as it is said to hold. A
//! few bytes of deflated zeros unpack to gigabytes, and run lengths make any
//! number of values in a list, which is read as a whole. So each header passes
//! here on its way to the reader.
//!
//! Headers are Thrift's compact protocol; of it only the numbers at the
//! beginning are read. What is no header is left to the reader.
//!
//! Left to the writer of a file: texts that share their beginnings
//! (`DELTA_BYTE_ARRAY`) unpack as a batch of rows is read, each to at most the
//! bytes of its page.
//!
//! Invariant: a page, and the values of a watched column of lists in a row group,
//! take at most [`UNPACKED`] bytes and [`RATIO`] for each byte in the file.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Mutex;

use parquet::basic::Type;
use parquet::file::metadata::ParquetMetaData;

use super::thrift;
use crate::limits::parquet::{PAGE_VALUES, RATIO, UNPACKED};

/// What the header of a page states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    unpacked: u64,
    packed: u64,
    values: u64,
    is_dictionary: bool,
}

/// Refuses a page that states too much of itself; `bytes` begin with its header.
///
/// # Errors
/// Words for a person.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    if !thrift::counts_fit(bytes) {
        return Err("a header of a page states more values than it has bytes".to_owned());
    }
    let Some(Header { unpacked, packed, values, .. }) = Header::read(bytes) else { return Ok(()) };
    if unpacked > UNPACKED && unpacked / RATIO > packed {
        return Err(format!("a page of {packed} bytes unpacks to {unpacked}"));
    }
    if values > PAGE_VALUES {
        return Err(format!("a page of {values} values: at most {PAGE_VALUES}"));
    }
    Ok(())
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        // 1 type, 2 unpacked size, 3 packed size, 4 checksum (not always), then
        // one struct by type, whose first field is the number of values.
        let (mut rest, mut last, mut numbers) = (bytes, 0, [None; 4]);
        loop {
            let (field, kind) = field(&mut rest, last)?;
            match (field, kind) {
                (1..=4, I32) => numbers[usize::from(field) - 1] = Some(integer(&mut rest)?),
                (5 | 7 | 8, STRUCT) => {
                    let (1, I32) = self::field(&mut rest, 0)? else { return None };
                    let values = u64::try_from(integer(&mut rest)?).ok()?;
                    let size = |n: usize| u64::try_from(numbers[n]?).ok();
                    let is_dictionary = field == 7;
                    let (unpacked, packed) = (size(1)?, size(2)?);
                    return Some(Self { unpacked, packed, values, is_dictionary });
                }
                _ => return None,
            }
            last = field;
        }
    }
}

const I32: u8 = 5;
const STRUCT: u8 = 12;

/// The number of the next field, after that of the `last`, and its type.
fn field(bytes: &mut &[u8], last: u8) -> Option<(u8, u8)> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    let (step, kind) = (first >> 4, first & 0xF);
    let number = match step {
        0 => u8::try_from(integer(bytes)?).ok()?,
        step => last.checked_add(step)?,
    };
    Some((number, kind))
}

/// A number of up to 32 bits, in sevens, its sign in the lowest.
fn integer(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

/// Columns of lists whose values are counted page by page.
#[derive(Debug)]
pub(super) struct Watch(Vec<Chunk>);

/// A column of a row group.
#[derive(Debug)]
struct Chunk {
    bytes: Range<u64>,
    /// Bytes of a value.
    width: u64,
    seen: Mutex<Seen>,
}

/// Pages of a chunk so far, each once however often it is read.
#[derive(Debug, Default)]
struct Seen {
    pages: HashSet<u64>,
    values: u64,
    packed: u64,
}

impl Watch {
    /// Watches the `leaves` of a file that are within lists.
    pub(super) fn of(metadata: &ParquetMetaData, leaves: &[usize]) -> Self {
        let schema = metadata.file_metadata().schema_descr();
        let lists = || leaves.iter().filter(|&&leaf| schema.column(leaf).max_rep_level() > 0);
        let chunks = metadata.row_groups().iter().flat_map(|group| {
            lists().map(|leaf| {
                let column = group.column(*leaf);
                let (start, length) = column.byte_range();
                let width = match column.column_type() {
                    Type::BOOLEAN => 1,
                    Type::INT32 | Type::FLOAT => 4,
                    Type::INT64 | Type::DOUBLE => 8,
                    Type::INT96 | Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => 16,
                };
                let bytes = start..start.saturating_add(length);
                Chunk { bytes, width, seen: Mutex::default() }
            })
        });
        let mut chunks: Vec<Chunk> = chunks.collect();
        chunks.sort_by_key(|chunk| chunk.bytes.start);
        Self(chunks)
    }

    /// Counts the page at a byte of the file; `bytes` begin with its header.
    ///
    /// # Errors
    /// Words for a person, where the values of its column are too many for its
    /// bytes.
    pub(super) fn count(&self, at: u64, bytes: &[u8]) -> Result<(), String> {
        let after = self.0.partition_point(|chunk| chunk.bytes.start <= at);
        let Some(chunk) = after.checked_sub(1).map(|place| &self.0[place]) else { return Ok(()) };
        let Some(header) = Header::read(bytes).filter(|_| chunk.bytes.contains(&at)) else {
            return Ok(());
        };
        let mut seen = chunk.seen.lock().unwrap_or_else(|e| e.into_inner());
        if !seen.pages.insert(at) {
            return Ok(());
        }
        seen.packed += header.packed;
        if !header.is_dictionary {
            seen.values += header.values;
        }
        let (unpacked, packed) = (seen.values.saturating_mul(chunk.width), seen.packed);
        if unpacked > UNPACKED && unpacked / RATIO > packed {
            // Whoever reads it again must be told again.
            seen.pages.remove(&at);
            seen.packed -= header.packed;
            seen.values -= header.values;
            let words =
                format!("a column of lists of {packed} bytes unpacks to {unpacked} or more");
            return Err(words);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with a data page's struct, as Thrift writes it.
    fn header(unpacked: u32, packed: u32, values: u32) -> Vec<u8> {
        let varint = |n: u32| {
            let mut n = u64::from(n) << 1;
            let mut bytes = Vec::new();
            while n > 0x7F {
                bytes.push(n as u8 | 0x80);
                n >>= 7;
            }
            bytes.push(n as u8);
            bytes
        };
        let mut bytes = vec![0x15, 0x00, 0x15];
        bytes.extend(varint(unpacked));
        bytes.push(0x15);
        bytes.extend(varint(packed));
        bytes.extend([0x2C, 0x15]);
        bytes.extend(varint(values));
        bytes.extend([0x15, 0x00, 0, 0]);
        bytes
    }

    #[test]
    fn what_a_page_states_is_held_against_its_bytes() {
        let read = Header::read(&header(1 << 30, 77, 5)).unwrap();
        assert_eq!((read.unpacked, read.packed, read.values), (1 << 30, 77, 5));
        let (whole, many) = (UNPACKED as u32, PAGE_VALUES as u32);
        for (unpacked, packed, values) in [(whole, 1, 1), (1 << 30, 17 << 20, 1), (9, 9, many)] {
            assert_eq!(check(&header(unpacked, packed, values)), Ok(()), "{unpacked} {packed}");
        }
        let error = check(&header(1 << 30, 1 << 20, 1)).unwrap_err();
        assert_eq!(error, "a page of 1048576 bytes unpacks to 1073741824");
        assert!(check(&header(whole + 64, 1, 1)).is_err());
        assert!(check(&header(9, 9, many + 1)).unwrap_err().contains("67108865 values"));
        // Whatever is no header is the reader's to refuse.
        for at in 0..20 {
            let cut = header(1 << 30, 1, 1);
            assert_eq!(check(&cut[..at.min(cut.len() - 8)]), Ok(()));
        }
        assert_eq!(check(b"PAR1"), Ok(()));
        assert_eq!(check(&[0xFF; 40]), Ok(()));
    }

    #[test]
    fn values_of_lists_are_counted_once_a_page() {
        let chunk = Chunk { bytes: 100..1000, width: 4, seen: Mutex::default() };
        let watch = Watch(vec![chunk]);
        let page = header(100, 100, 30 << 20);
        for _ in 0..5 {
            watch.count(100, &page).unwrap();
        }
        watch.count(200, &page).unwrap();
        for _ in 0..2 {
            let error = watch.count(300, &page).unwrap_err();
            assert!(error.contains("of 300 bytes unpacks to 377487360"), "{error}");
        }
        // Of another column.
        watch.count(1000, &page).unwrap();
        watch.count(99, &page).unwrap();
    }
}
