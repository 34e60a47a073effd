//! A file from its first bytes, unpacked where it is gzipped.
//!
//! Unpacking is a stream, so that a bomb takes time and no memory; Parquet is
//! read at offsets, and a gzipped one goes through a file without a name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::TableError;
use crate::limits::table::UNPACKED;
use crate::storage::chunks::Chunks;
use crate::storage::remote::is_remote;

/// Bytes of a table.
pub(super) type Bytes = Box<dyn BufRead + Send>;

/// What a file is.
pub(super) enum Opened {
    Parquet(Chunks),
    Fits(Bytes),
    Xml(Bytes),
    Text(Bytes),
}

/// Longest beginning that is looked at: blanks before `<` of an XML document.
const LOOK: usize = 64;

pub(super) fn open(path: &Path) -> Result<Opened, TableError> {
    let unreadable = |source| TableError::Unreadable { path: path.to_owned(), source };
    if is_remote(path) {
        return Chunks::open(path).map(Opened::Parquet).map_err(unreadable);
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = Vec::with_capacity(4);
    (&mut file).take(4).read_to_end(&mut magic).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let plain = BufReader::with_capacity(64 << 10, file);
    let mut bytes: Bytes = match magic.as_slice() {
        b"PAR1" => return Chunks::of(plain.into_inner()).map(Opened::Parquet).map_err(unreadable),
        [0x1f, 0x8b, ..] => {
            Box::new(BufReader::with_capacity(64 << 10, MultiGzDecoder::new(plain)))
        }
        _ => Box::new(plain),
    };
    let beginning = bytes.fill_buf().map_err(|e| TableError::io(path, e, "where it begins"))?;
    if beginning.starts_with(b"PAR1") {
        let mut unpacked = tempfile::tempfile().map_err(unreadable)?;
        let copied = io::copy(&mut bytes.take(UNPACKED + 1), &mut unpacked);
        if copied.map_err(|e| TableError::io(path, e, "in the gzip"))? > UNPACKED {
            let words = format!("it unpacks to more than {} GiB", UNPACKED >> 30);
            return Err(TableError::corrupt(path, words));
        }
        return Chunks::of(unpacked).map(Opened::Parquet).map_err(unreadable);
    }
    if beginning.starts_with(b"SIMPLE  =") {
        return Ok(Opened::Fits(bytes));
    }
    let text = beginning.strip_prefix("\u{feff}".as_bytes()).unwrap_or(beginning);
    let first = text.iter().take(LOOK).find(|byte| !byte.is_ascii_whitespace());
    Ok(if first == Some(&b'<') { Opened::Xml(bytes) } else { Opened::Text(bytes) })
}
