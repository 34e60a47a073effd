//! Where cutouts come from.
//!
//! [`list`] walks folders, tar archives and tables once and yields an
//! [`Entry`] a cutout, in a deterministic order; [`read`] fetches an entry's
//! bytes, those in the rows of tables through [`rows`]. Decoding them is left to [`crate::cutout`], keeping the listing
//! across runs to [`crate::run`].
//!
//! Invariant: what cannot be listed or read is an entry or a payload with a
//! [`Rejection`], so that the catalog has a row for it.

pub use pin::Pin;

use std::path::{Path, PathBuf};

use crate::cutout::{Rejection, SkyPosition};
use crate::storage::remote::is_remote;

pub mod list;
mod pin;
pub mod read;
pub mod rows;

/// One cutout of a run: its identity and where its bytes are.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The name that the catalog shows: a table's `id`, or the file's name
    /// without its extension.
    pub id: String,
    /// Where it came from, for a person: a path, or `archive.tar/member`.
    pub source: String,
    /// Where its bytes are.
    pub locator: Locator,
    /// Position from a table. FITS files without one bring their own.
    pub position: Option<SkyPosition>,
}

impl Entry {
    /// Whether its bytes are in an object store.
    pub fn is_remote(&self) -> bool {
        match &self.locator {
            Locator::File(path) | Locator::Member { archive: path, .. } => is_remote(path),
            Locator::Bands(files) | Locator::Mosaic { bands: files, .. } => {
                files.iter().any(|(_, path)| is_remote(path))
            }
            Locator::Row { .. } | Locator::Rejected(_) => false,
        }
    }

    /// The files that hold it among others, each once: an archive, a table, mosaics.
    pub fn containers(&self) -> impl Iterator<Item = &Path> {
        let (one, bands) = match &self.locator {
            Locator::Member { archive: one, .. } | Locator::Row { table: one, .. } => {
                (Some(one), &[][..])
            }
            Locator::Mosaic { bands, .. } => (None, bands.as_slice()),
            _ => (None, &[][..]),
        };
        // A handful, of which a mosaic of several bands may be the same.
        let is_first =
            |place: usize| bands[..place].iter().all(|(_, path)| *path != bands[place].1);
        let mosaics = (0..bands.len()).filter(move |place| is_first(*place));
        one.into_iter().chain(mosaics.map(|place| &bands[place].1)).map(PathBuf::as_path)
    }

    /// Whether it may hold bands, by its name: all but what is called a JPEG or a
    /// PNG. (What it is, its first bytes say, when it is read.)
    pub fn may_hold_bands(&self) -> bool {
        let ends = |end: &str| {
            let name = self.source.as_bytes();
            let tail = &name[name.len().saturating_sub(end.len())..];
            tail.eq_ignore_ascii_case(end.as_bytes())
        };
        match self.locator {
            Locator::Bands(_) | Locator::Mosaic { .. } => true,
            Locator::Rejected(_) => false,
            _ => ![".jpg", ".jpeg", ".png"].iter().any(|end| ends(end)),
        }
    }
}

/// Where the bytes of a cutout are.
#[derive(Debug, Clone, PartialEq)]
pub enum Locator {
    /// A file, or an object of a store, of its own. Here as in the other kinds
    /// a path may be a URL.
    File(PathBuf),
    /// A stretch of an uncompressed archive.
    Member {
        /// The archive.
        archive: PathBuf,
        /// First byte of the member's data.
        offset: u64,
        /// Bytes of data.
        length: u64,
    },
    /// A row of a Parquet table that holds its images.
    Row {
        /// The table.
        table: PathBuf,
        /// The column of the images.
        column: String,
        /// The row, from 0.
        row: u64,
    },
    /// One FITS file a band: the band's name and its file, in the order in
    /// which the run's bands are listed. A band without a file is absent.
    Bands(Vec<(String, PathBuf)>),
    /// A place in larger images.
    Mosaic {
        /// The bands and the mosaic of each, in the order in which the run's bands are
        /// listed; behind each the images beside it (`r mask`, `r weight`).
        bands: Vec<(String, PathBuf)>,
        /// The middle.
        position: SkyPosition,
        /// Pixels a side.
        pixels: u32,
        /// Size of a pixel in billionths of an arcsecond; 0 for that of the mosaic of
        /// the first band, on whose grid the cutout then is.
        scale: u64,
    },
    /// It was seen while listing, and cannot be read.
    Rejected(Rejection),
}
