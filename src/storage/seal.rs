//! A checksum over every byte of a Parquet file, inside that file.
//!
//! Parquet protects neither its pages (zstd frames here carry no checksum)
//! nor its footer: a flipped bit may decode to a wrong probability or hide
//! rows behind wrong statistics. So each file carries, as the last of its
//! key-values, `hiwl.sha256`: the SHA-256 of the file with the 64 digits of
//! that value set to zeros, in hexadecimal. Any reader of Parquet shows it and
//! none is disturbed by it.
//!
//! Invariant: [`check`] looks at bytes only. No damaged file gets as far as
//! the Parquet decoder.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use sha2::{Digest, Sha256};

use super::StorageError;
use super::digest::hex;

const KEY: &str = "hiwl.sha256";
const DIGITS: usize = 64;
/// Footer length (4 bytes, little-endian) and `PAR1`, at the end of the file.
const TAIL: u64 = 8;
const MAGIC: &[u8; 4] = b"PAR1";

/// Writer of the files, in the form that Parquet readers parse.
pub(crate) const CREATED_BY: &str = concat!("hiwl version ", env!("CARGO_PKG_VERSION"));

/// Why the bytes of a file are not those that were written.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The system does not give them.
    Unreadable(String),
    /// It does not end as a Parquet file does.
    Truncated {
        /// Its length in bytes.
        length: u64,
    },
    /// It has no checksum.
    Unsealed,
    /// They are others.
    Checksum,
}

/// Hashes what passes on its way into a file.
pub(crate) struct SealingWriter {
    file: File,
    hasher: Sha256,
}

impl SealingWriter {
    /// `file` must be empty and open for reading too.
    pub(crate) fn new(file: File) -> Self {
        Self { file, hasher: Sha256::new() }
    }
}

impl Write for SealingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes the footer, with the seal last among its key-values.
pub(crate) fn close(
    mut writer: ArrowWriter<SealingWriter>,
    path: &Path,
) -> Result<(), StorageError> {
    writer.append_key_value_metadata(KeyValue::new(KEY.to_owned(), "0".repeat(DIGITS)));
    // Not `into_inner`, which turns the system's answer into text: a full disk
    // must stay known as one.
    writer.finish().map_err(StorageError::parquet("write", path))?;
    let SealingWriter { file, hasher } = writer.inner();
    let unsealed = || io::Error::other("the footer that was just written has no place for a seal");
    let place = place(file)
        .and_then(|place| place.map_err(|_| unsealed()))
        .map_err(StorageError::io("read back", path))?;
    file.write_all_at(hex(&hasher.clone().finalize()).as_bytes(), place.start)
        .map_err(StorageError::io("write", path))
}

/// Holds the file's bytes against its seal; returns its length in bytes.
pub(crate) fn check(file: &File) -> Result<u64, Broken> {
    let unreadable = |error: io::Error| Broken::Unreadable(error.to_string());
    let place = place(file).map_err(unreadable)??;
    let mut found = [0; DIGITS];
    file.read_exact_at(&mut found, place.start).map_err(unreadable)?;

    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut at = 0;
    loop {
        let read = match file.read_at(&mut buffer, at) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        let bytes = &mut buffer[..read];
        let overlap =
            place.start.clamp(at, at + read as u64)..place.end.clamp(at, at + read as u64);
        bytes[(overlap.start - at) as usize..(overlap.end - at) as usize].fill(b'0');
        hasher.update(&*bytes);
        at += read as u64;
    }
    if hex(&hasher.finalize()).as_bytes() == found { Ok(at) } else { Err(Broken::Checksum) }
}

/// Where the digits of the seal are in the file.
fn place(file: &File) -> io::Result<Result<Range<u64>, Broken>> {
    let length = file.metadata()?.len();
    if length < TAIL + MAGIC.len() as u64 {
        return Ok(Err(Broken::Truncated { length }));
    }
    let mut tail = [0; TAIL as usize];
    file.read_exact_at(&mut tail, length - TAIL)?;
    let [a, b, c, d, magic @ ..] = tail;
    let footer_length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if &magic != MAGIC || footer_length > length - TAIL {
        return Ok(Err(Broken::Truncated { length }));
    }
    // Bounded by the file itself, whatever the length claims.
    let start = length - TAIL - footer_length;
    let mut footer = vec![0; footer_length as usize];
    file.read_exact_at(&mut footer, start)?;

    // As Thrift's compact protocol writes a KeyValue: the key's bytes, then
    // field 2 of type binary (0x18) and its length. The last match is the
    // seal: it is the last key-value, and a user's text comes before.
    let mut pattern = KEY.as_bytes().to_vec();
    pattern.extend([0x18, DIGITS as u8]);
    let found = footer.windows(pattern.len()).rposition(|window| window == pattern);
    Ok(found
        .map(|at| at + pattern.len())
        .filter(|at| at + DIGITS <= footer.len())
        .map(|at| start + at as u64..start + (at + DIGITS) as u64)
        .ok_or(Broken::Unsealed))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray};

    use super::*;

    fn sealed(folder: &Path, values: Vec<String>) -> std::path::PathBuf {
        let path = folder.join("sealed.parquet");
        let column: ArrayRef = Arc::new(StringArray::from(values));
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let writer = SealingWriter::new(options.open(&path).unwrap());
        let mut writer = ArrowWriter::try_new(writer, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        close(writer, &path).unwrap();
        path
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = sealed(folder.path(), vec!["a".into(), "é".into()]);
        let whole = fs::read(&path).unwrap();
        assert_eq!(check(&File::open(&path).unwrap()).unwrap(), whole.len() as u64);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            assert!(check(&File::open(&path).unwrap()).is_err(), "bit of byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(check(&File::open(&path).unwrap()).is_err(), "cut at {at}");
        }
        fs::write(&path, [&whole[..], b"\n"].concat()).unwrap();
        assert!(check(&File::open(&path).unwrap()).is_err(), "a byte more");
    }

    #[test]
    fn a_text_that_looks_like_a_seal_does_not_mislead() {
        let folder = tempfile::tempdir().unwrap();
        let forged = format!("{KEY}\x18@{}", "0".repeat(DIGITS));
        let path = sealed(folder.path(), vec![forged.clone(), forged]);
        check(&File::open(&path).unwrap()).unwrap();
    }
}
