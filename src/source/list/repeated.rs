//! Identifiers that more than one cutout of a listing has.
//!
//! A picture and a FITS file of one galaxy, or a table read twice, give rows that
//! share an identifier; whoever joins the catalog with others must know.
//!
//! Identifiers are told apart by 64 bits of a hash: of a thousand million
//! different ones, two agree by chance once in thirty listings.
//!
//! Memory: 32 MiB of hashes; what is beyond goes sorted into temporary files of
//! the system, 8 bytes an identifier, and is merged in the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

/// Hashes in memory.
const HELD: usize = 4 << 20;

/// Counts identifiers that come again.
pub struct RepeatedIds {
    held: Vec<u64>,
    most: usize,
    /// Sorted hashes that did not fit, a file each time.
    spilled: Vec<File>,
}

impl Default for RepeatedIds {
    fn default() -> Self {
        Self::holding(HELD)
    }
}

impl RepeatedIds {
    /// Holds so many hashes in memory, at least one.
    fn holding(most: usize) -> Self {
        Self { held: Vec::new(), most: most.max(1), spilled: Vec::new() }
    }

    /// Takes the next identifier.
    ///
    /// # Errors
    /// If hashes do not fit into memory and cannot be written either.
    pub fn add(&mut self, id: &str) -> io::Result<()> {
        // Its keys are fixed: the same in every process.
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.held.push(hasher.finish());
        if self.held.len() >= self.most { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.held.sort_unstable();
        let mut file = BufWriter::new(tempfile::tempfile()?);
        for hash in self.held.drain(..) {
            file.write_all(&hash.to_le_bytes())?;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.spilled.push(file);
        Ok(())
    }

    /// How many different identifiers came more than once.
    ///
    /// # Errors
    /// If what was written cannot be read.
    pub fn count(mut self) -> io::Result<u64> {
        self.held.sort_unstable();
        let mut runs: Vec<Run> = vec![Run::Held(self.held.into_iter())];
        runs.extend(self.spilled.into_iter().map(|file| Run::File(BufReader::new(file))));
        let mut next = BinaryHeap::new();
        for (place, run) in runs.iter_mut().enumerate() {
            next.extend(run.next()?.map(|hash| Reverse((hash, place))));
        }
        let (mut last, mut times, mut repeated) = (None, 0u64, 0);
        while let Some(Reverse((hash, place))) = next.pop() {
            times = if last == Some(hash) { times + 1 } else { 1 };
            last = Some(hash);
            repeated += u64::from(times == 2);
            next.extend(runs[place].next()?.map(|hash| Reverse((hash, place))));
        }
        Ok(repeated)
    }
}

/// Sorted hashes.
enum Run {
    Held(std::vec::IntoIter<u64>),
    File(BufReader<File>),
}

impl Run {
    fn next(&mut self) -> io::Result<Option<u64>> {
        match self {
            Self::Held(hashes) => Ok(hashes.next()),
            Self::File(file) => {
                let mut bytes = [0; 8];
                match file.read_exact(&mut bytes) {
                    Ok(()) => Ok(Some(u64::from_le_bytes(bytes))),
                    // Files hold whole hashes.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_come_again_are_counted_once_whatever_fits_into_memory() {
        let mut ids: Vec<String> = (0..1000).map(|id| id.to_string()).collect();
        ids.extend(["7", "7", "500", "999", "0"].map(String::from));
        for most in [1, 7, 100, 5000] {
            let mut repeated = RepeatedIds::holding(most);
            ids.iter().for_each(|id| repeated.add(id).unwrap());
            assert_eq!(repeated.count().unwrap(), 4, "{most}");
        }
        assert_eq!(RepeatedIds::default().count().unwrap(), 0);
    }
}
