//! Reading a stretch of a file or of an object in a store.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::patience::patiently;
use super::remote::{Object, is_remote};

/// Something with bytes at offsets.
#[derive(Debug)]
pub(crate) enum Positional {
    File(File),
    Object(Object),
}

/// What the system, or a store, says of a file.
#[derive(Debug)]
pub(crate) enum Looked {
    /// Of a file.
    File(Metadata),
    /// Of an object: its size, and the store's word for this version of it.
    Object { bytes: u64, version: Option<String> },
}

impl Positional {
    /// Opens a path or a URL; its bytes.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, u64)> {
        if is_remote(path) {
            let object = Object::open(path)?;
            let size = object.size();
            return Ok((Self::Object(object), size));
        }
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok((Self::File(file), size))
    }

    /// The file as it was opened, without its index.
    pub(crate) fn metadata(&self) -> io::Result<Looked> {
        match self {
            Self::File(file) => file.metadata().map(Looked::File),
            Self::Object(object) => {
                Ok(Looked::Object { bytes: object.size(), version: object.version() })
            }
        }
    }

    /// Fills `buffer` from byte `offset`, with patience.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        patiently(|| self.try_read_exact_at(buffer, offset))
    }

    /// The same, and of an object no byte more is fetched.
    pub(crate) fn read_stretch_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        patiently(|| match self {
            Self::File(file) => file.read_exact_at(buffer, offset),
            Self::Object(object) => object.read_stretch_at(buffer, offset),
        })
    }

    /// As [`read_exact_at`](Self::read_exact_at), with a single attempt.
    pub(crate) fn try_read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(buffer, offset),
            Self::Object(object) => object.read_exact_at(buffer, offset),
        }
    }
}
