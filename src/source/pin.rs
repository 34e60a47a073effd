//! By what an archive or a table that was listed is known again.
//!
//! Size and time are looked at before and after every range: a call of the
//! system. A file that was written anew has another time, whatever its names
//! and sizes. One that was only copied may have, too; then the digest of its
//! index says whether it still holds what was listed, as far as an index does:
//! of a tar archive the headers of its members (names, sizes, their files'
//! times) and where they are, of a Parquet file the footer, of a mosaic the headers.
//!
//! Invariant: a pin is the same for the same file on every machine.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::list::tar_index;
use crate::mosaic::header_digest;
use crate::storage::digest::sha256;
use crate::storage::read_at::{Looked, Positional};
use crate::storage::remote::is_remote;

/// What is known of an archive or a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Text", into = "Text")]
pub struct Pin {
    /// Its size.
    pub bytes: u64,
    /// When it was written last, in nanoseconds since 1970; runs of before
    /// format 3 do not say, nor do stores.
    pub modified: Option<i64>,
    /// The store's word for this version of it.
    pub version: Option<String>,
    /// Digest of its index, in hexadecimal.
    pub index: Option<String>,
}

/// As `run.json` has it: before format 3 the size alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Bytes(u64),
    Whole(Whole),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified_ns: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<String>,
}

impl From<Text> for Pin {
    fn from(text: Text) -> Self {
        match text {
            Text::Bytes(bytes) => Self { bytes, modified: None, version: None, index: None },
            Text::Whole(Whole { bytes, modified_ns, version, index }) => {
                Self { bytes, modified: modified_ns, version, index }
            }
        }
    }
}

impl From<Pin> for Text {
    fn from(Pin { bytes, modified, version, index }: Pin) -> Self {
        if modified.is_none() && version.is_none() && index.is_none() {
            return Self::Bytes(bytes);
        }
        Self::Whole(Whole { bytes, modified_ns: modified, version, index })
    }
}

impl Pin {
    /// Of a file or an object as it is now, without its index.
    ///
    /// # Errors
    /// The system's, or the store's.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        // A handle would not be needed, of a file; nor would it of a pipe.
        let looked = match is_remote(path) {
            true => Positional::open(path)?.0.metadata()?,
            false => Looked::File(fs::metadata(path)?),
        };
        Ok(Self::new(&looked))
    }

    /// Of what is open.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn of_open(file: &Positional) -> io::Result<Self> {
        Ok(Self::new(&file.metadata()?))
    }

    fn new(looked: &Looked) -> Self {
        let (bytes, modified, version) = match looked {
            Looked::File(found) => {
                // In 2262 they no longer fit, and are then all the same.
                let seconds = found.mtime().saturating_mul(1_000_000_000);
                (found.len(), Some(seconds.saturating_add(found.mtime_nsec())), None)
            }
            Looked::Object { bytes, version } => (*bytes, None, version.clone()),
        };
        Self { bytes, modified, version, index: None }
    }

    /// With the digest of the index of the file, which is a tar archive, a Parquet
    /// table, or a mosaic, whose index is its headers (of a packed one, its first
    /// bytes).
    ///
    /// # Errors
    /// The system's, or the store's.
    pub(crate) fn with_index(mut self, path: &Path) -> io::Result<Self> {
        let (file, bytes) = Positional::open(path)?;
        self.index = Some(match parquet_footer(&file, bytes)? {
            Some(footer) => sha256(&footer),
            None => match header_digest(path)? {
                Some(headers) => headers,
                None => tar_index(file, bytes)?,
            },
        });
        Ok(self)
    }

    /// Whether another pin is of the same bytes, time and version, as far as
    /// both say.
    pub(crate) fn is_untouched(&self, now: &Self) -> bool {
        fn agree<T: PartialEq>(was: Option<&T>, now: Option<&T>) -> bool {
            was.zip(now).is_none_or(|(was, now)| was == now)
        }
        self.bytes == now.bytes
            && agree(self.modified.as_ref(), now.modified.as_ref())
            && agree(self.version.as_ref(), now.version.as_ref())
    }
}

/// The footer of a Parquet file with its length and mark; none of any other.
fn parquet_footer(file: &Positional, bytes: u64) -> io::Result<Option<Vec<u8>>> {
    const MARK: &[u8; 4] = b"PAR1";
    /// Longest footer that is read.
    const LONGEST: u64 = 256 << 20;
    let mut end = [0; 8];
    let Some(at) = bytes.checked_sub(8) else { return Ok(None) };
    file.read_exact_at(&mut end, at)?;
    let length = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]])) + 8;
    if &end[4..] != MARK || length > bytes || length > LONGEST {
        return Ok(None);
    }
    let mut footer = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut footer, bytes - length)?;
    Ok(Some(footer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_before_know_the_size_alone_and_keep_their_bytes() {
        let old: Pin = serde_json::from_str("10240").unwrap();
        assert_eq!(old, Pin { bytes: 10240, modified: None, version: None, index: None });
        assert_eq!(serde_json::to_string(&old).unwrap(), "10240");
        let text = r#"{"bytes":1,"modified_ns":-5,"index":"ab"}"#;
        let pin: Pin = serde_json::from_str(text).unwrap();
        assert_eq!((pin.modified, pin.index.as_deref()), (Some(-5), Some("ab")));
        assert_eq!(serde_json::to_string(&pin).unwrap(), text);
        assert!(serde_json::from_str::<Pin>(r#"{"bytes":1,"colour":2}"#).is_err());
        // What one of them does not say is no difference.
        assert!(old.is_untouched(&Pin { bytes: 10240, ..pin.clone() }));
        assert!(!old.is_untouched(&pin));
        assert!(!pin.is_untouched(&Pin { modified: Some(-4), ..pin.clone() }));
    }

    #[test]
    fn an_index_is_of_names_sizes_and_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let index = |members: &[(&str, &[u8], u64)]| {
            let mut tar = tar::Builder::new(Vec::new());
            for (name, bytes, time) in members {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mtime(*time);
                tar.append_data(&mut header, name, *bytes).unwrap();
            }
            fs::write(&path, tar.into_inner().unwrap()).unwrap();
            Pin::of(&path).unwrap().with_index(&path).unwrap().index.unwrap()
        };
        let long = "x".repeat(150);
        let first = index(&[("1.jpg", b"abc", 7), (&long, b"de", 7)]);
        assert_eq!(first, index(&[("1.jpg", b"abc", 7), (&long, b"de", 7)]));
        // What is in the members is not read.
        assert_eq!(first, index(&[("1.jpg", b"xyz", 7), (&long, b"de", 7)]));
        let other = "y".repeat(150);
        for changed in [
            index(&[("2.jpg", b"abc", 7), (&long, b"de", 7)]),
            index(&[("1.jpg", b"abcd", 7), (&long, b"de", 7)]),
            index(&[("1.jpg", b"abc", 8), (&long, b"de", 7)]),
            index(&[("1.jpg", b"abc", 7), (&other, b"de", 7)]),
            index(&[("1.jpg", b"abc", 7)]),
        ] {
            assert_ne!(first, changed);
        }
    }
}
