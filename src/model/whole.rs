//! A file of weights as bytes, within limits: models, checkpoints, and what
//! others wrote.
//!
//! What the bytes mean is left to the readers. Invariant: nothing is allocated
//! for a file that is too large, or whose safetensors header is.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::limits::model::{FILE, HEADER};
use crate::storage::file;

/// The bytes of a plain file of weights.
///
/// # Errors
/// What the system says; `FileTooLarge` beyond [`FILE`] bytes, `InvalidData`
/// for a safetensors header of more than [`HEADER`] bytes.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut first = Vec::with_capacity(9);
    file::open(path)?.take(9).read_to_end(&mut first)?;
    if let Some((length, b"{")) = first.split_first_chunk() {
        let length = u64::from_le_bytes(*length);
        if length > HEADER {
            let words = format!("its header has {length} bytes, and at most {HEADER} are read");
            return Err(io::Error::new(ErrorKind::InvalidData, words));
        }
    }
    file::read(path, FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_beyond_its_limit_is_refused_before_the_file_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // A file of 3 GiB with nothing in it.
        file.as_file().set_len(3 << 30).unwrap();
        let claim = [&(HEADER + 1).to_le_bytes()[..], b"{"].concat();
        std::os::unix::fs::FileExt::write_all_at(file.as_file(), &claim, 0).unwrap();
        let error = read(file.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "its header has 16777217 bytes, and at most 16777216 are read"
        );
        let small = [&2u64.to_le_bytes()[..], b"{}"].concat();
        std::fs::write(file.path(), &small).unwrap();
        assert_eq!(read(file.path()).unwrap(), small);
        std::fs::write(file.path(), b"PK").unwrap();
        assert_eq!(read(file.path()).unwrap(), b"PK");
    }
}
