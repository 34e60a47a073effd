//! Parquet files, read in pieces: those of a file system and those of a store.
//!
//! Arrow makes text of what the system says when a file is read. So the last
//! failure is kept, for whoever must tell a disk or a store that is away from a
//! table that is damaged.
//!
//! Headers of pages are looked at on their way to the reader (`pages`).
//!
//! Invariant: threads may share one; no file position is moved.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::pages::{self, Watch};
use super::read_at::Positional;

/// Bytes at the end of a file that say how long its footer is.
const TAIL: u64 = 8;

/// A file, or an object of a store, of a known size.
#[derive(Debug, Clone)]
pub(crate) struct Chunks {
    file: Arc<Positional>,
    size: u64,
    failed: Arc<Mutex<Option<io::Error>>>,
    watch: Option<Arc<Watch>>,
}

impl Chunks {
    /// Opens a path or a URL.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (file, size) = Positional::open(path)?;
        Ok(Self { file: Arc::new(file), size, failed: Arc::default(), watch: None })
    }

    /// Of an open file.
    pub(crate) fn of(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let file = Arc::new(Positional::File(file));
        Ok(Self { file, size, failed: Arc::default(), watch: None })
    }

    /// Counts the values of those of the `leaves` that are within lists, whose
    /// rows may be of any size.
    pub(crate) fn watching(self, metadata: &ParquetMetaData, leaves: &[usize]) -> Self {
        Self { watch: Some(Arc::new(Watch::of(metadata, leaves))), ..self }
    }

    /// Why what was asked for last was not given, if it was not.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.failed.lock().unwrap_or_else(|e| e.into_inner()).take()
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let read = self.file.read_exact_at(buffer, at);
        match &read {
            // What a damaged footer asks for.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => {
                let kept = io::Error::new(error.kind(), error.to_string());
                *self.failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(kept);
            }
            Ok(()) => {}
        }
        read
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<Rest>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        // The end of a file, where its footer's size is, is the one place that is
        // read in this way and holds no page.
        let is_page = start + TAIL != self.size;
        Ok(BufReader::new(Rest { of: self.clone(), at: start, is_page }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // The footer says how many, and may be damaged.
        if start.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// The rest of a file from some byte.
#[derive(Debug)]
pub(crate) struct Rest {
    of: Chunks,
    at: u64,
    /// Whether what is read first is the header of a page.
    is_page: bool,
}

impl Read for Rest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.of.size.saturating_sub(self.at);
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..length];
        self.of.read_exact_at(buffer, self.at)?;
        if std::mem::take(&mut self.is_page) {
            let watched = || self.of.watch.as_ref().map_or(Ok(()), |w| w.count(self.at, buffer));
            let refused = |words| io::Error::new(io::ErrorKind::InvalidData, words);
            pages::check(buffer).and_then(|()| watched()).map_err(refused)?;
        }
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn pieces_end_with_the_file_and_the_position_stays() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        file.seek(io::SeekFrom::Start(3)).unwrap();
        let mut same = file.try_clone().unwrap();
        let chunks = Chunks::of(file).unwrap();
        assert_eq!(chunks.len(), 10);
        assert_eq!(&chunks.get_bytes(7, 3).unwrap()[..], b"789");
        assert!(chunks.get_bytes(7, 4).is_err() && chunks.get_bytes(u64::MAX, 1).is_err());
        let mut rest = String::new();
        chunks.get_read(8).unwrap().read_to_string(&mut rest).unwrap();
        chunks.get_read(11).unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "89");
        assert_eq!(same.stream_position().unwrap(), 3);
    }
}
