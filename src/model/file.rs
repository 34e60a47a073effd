//! Whole files in and out: bounded reading, durable replacement, digests.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Largest file that is read. B7 twice in f32 is 0.5 GB.
const LIMIT: u64 = 4 << 30;

/// The bytes of a regular file of at most 4 GiB.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Error::other("not a regular file"));
    }
    let bytes = metadata.len();
    if bytes > LIMIT {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("{bytes} bytes are too many")));
    }
    let mut buffer = Vec::with_capacity(bytes as usize);
    file.take(LIMIT).read_to_end(&mut buffer)?;
    Ok(buffer)
}

/// Puts `bytes` under `path` such that the name never stands for half a file,
/// not even after a power cut.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::other("not a file name"))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);

    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if let Err(error) = written {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_sha_256() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
    }

    #[test]
    fn a_file_too_large_is_refused_before_it_is_read() {
        let sparse = tempfile::NamedTempFile::new().unwrap();
        sparse.as_file().set_len(LIMIT + 1).unwrap();
        assert_eq!(read(sparse.path()).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
