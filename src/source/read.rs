//! Reading the bytes of one cutout.
//!
//! Every worker has a [`Reader`] of its own, which keeps a few archives open.
//! What the bytes mean is left to [`crate::cutout::decode`]. A read that fails
//! as disks and network file systems do for a moment is tried again before it
//! becomes a row. Invariants: every failure is a [`Rejection`]; no file of more than [`BYTES`] is taken into
//! memory; nothing waits for the far end of a pipe.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use super::Locator;
use super::rows::RowImages;
use crate::cutout::{Payload, Reason, Rejection};
use crate::limits::image::BYTES;
use crate::mosaic::{Mosaics, Place};
use crate::storage::file::irregular;
use crate::storage::patience;
use crate::storage::read_at::Positional;
use crate::storage::remote::{self, Whole, is_remote};

/// How often a file is read that is written into meanwhile.
const WRITTEN_INTO: usize = 3;

/// Archives that a reader keeps open. Workers go through the entries in
/// order, so few are ever in use at once.
const OPEN_ARCHIVES: usize = 4;

/// Billionths of an arcsecond in one.
pub(super) const NANO: f64 = 1e9;

/// Reads cutouts; one a worker.
#[derive(Debug, Default)]
pub struct Reader {
    /// Open archives, the last one used in front.
    archives: Vec<OpenArchive>,
    /// Open tables, which workers share.
    rows: RowImages,
    /// Open mosaics, which workers share.
    mosaics: Mosaics,
}

#[derive(Debug)]
struct OpenArchive {
    path: PathBuf,
    file: Positional,
    /// Bytes when it was opened.
    size: u64,
}

impl Reader {
    /// A reader with nothing open.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader that shares open tables and mosaics with others: all of one line must,
    /// or each decodes every table, and every part of a mosaic, by itself.
    pub fn sharing(rows: RowImages, mosaics: Mosaics) -> Self {
        Self { rows, mosaics, ..Self::default() }
    }

    /// The bytes of a cutout.
    ///
    /// # Errors
    /// The rejection that becomes the cutout's row: `Missing`, `Unreadable`
    /// (with the system's words), `Empty`, `Truncated` (an archive that lost
    /// its end), `TooLarge` (more than [`BYTES`]), `MissingBand`, or the
    /// one that the listing found.
    pub fn read(&mut self, locator: &Locator) -> Result<Payload, Rejection> {
        match locator {
            Locator::File(path) => read_file(path, BYTES).map(Payload::Single),
            Locator::Member { archive, offset, length } => {
                self.read_member(archive, *offset, *length).map(Payload::Single)
            }
            Locator::Row { table, column, row } => self.rows.read(table, column, *row),
            Locator::Bands(files) => {
                let mut bands = Vec::with_capacity(files.len());
                let mut left = BYTES;
                for (band, path) in files {
                    let bytes =
                        read_file(path, left).map_err(|rejection| of_band(band, rejection))?;
                    left -= bytes.len() as u64;
                    bands.push((band.clone(), bytes));
                }
                Ok(Payload::PerBand(bands))
            }
            Locator::Mosaic { bands, position, pixels, scale } => {
                let place = Place {
                    position: *position,
                    pixels: *pixels as usize,
                    scale: (*scale > 0).then_some(*scale as f64 / NANO),
                };
                let image = self.mosaics.cut(bands, &place)?;
                Ok(Payload::Bands(Box::new(image)))
            }
            Locator::Rejected(rejection) => Err(rejection.clone()),
        }
    }

    fn read_member(
        &mut self,
        archive: &Path,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, Rejection> {
        if length == 0 {
            let detail = format!("a member of {} without bytes", archive.display());
            return Err(Rejection::new(Reason::Empty, detail));
        }
        check_size(archive, length, BYTES)?;
        let end = offset.saturating_add(length);
        let truncated = || {
            let detail = format!("{} ends before byte {end}", archive.display());
            Rejection::new(Reason::Truncated, detail)
        };
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| too_large(archive, length))?];
        let read = patiently(archive, || {
            let open = match self.archive(archive)? {
                Ok(open) => open,
                Err(rejection) => return Ok(Err(rejection)),
            };
            if end > open.size {
                return Ok(Err(truncated()));
            }
            // Positional: no file position that a second read could disturb.
            match open.file.try_read_exact_at(&mut bytes, offset) {
                Ok(()) => Ok(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(truncated())),
                Err(error) => {
                    // Opened anew, should it be tried again: a handle may be
                    // stale.
                    self.archives.remove(0);
                    Err(error)
                }
            }
        });
        read.map(|()| bytes)
    }

    /// The open archive, in front of the others.
    fn archive(&mut self, path: &Path) -> io::Result<Result<&OpenArchive, Rejection>> {
        let place = match self.archives.iter().position(|open| open.path == path) {
            Some(place) => place,
            None => {
                let (file, size) = if is_remote(path) {
                    Positional::open(path)?
                } else {
                    match try_open(path)? {
                        Ok((file, size)) => (Positional::File(file), size),
                        Err(rejection) => return Ok(Err(rejection)),
                    }
                };
                self.archives.truncate(OPEN_ARCHIVES - 1);
                self.archives.push(OpenArchive { path: path.to_owned(), file, size });
                self.archives.len() - 1
            }
        };
        self.archives[..=place].rotate_right(1);
        Ok(Ok(&self.archives[0]))
    }
}

/// Tries again what the system refuses, where it may not refuse the next time;
/// the inner result is about the file itself.
fn patiently<T>(
    path: &Path,
    attempt: impl FnMut() -> io::Result<Result<T, Rejection>>,
) -> Result<T, Rejection> {
    patience::patiently(attempt).unwrap_or_else(|error| Err(failed(path, &error)))
}

/// The whole of an object, or of a plain file of at most `limit` bytes, at least one.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Rejection> {
    if is_remote(path) {
        return match remote::read(path, limit) {
            Ok(Whole::Bytes(bytes)) => Ok(bytes),
            Ok(Whole::Size(0)) => {
                Err(Rejection::new(Reason::Empty, format!("{} has no bytes", path.display())))
            }
            Ok(Whole::Size(size)) => Err(Rejection::new(
                Reason::TooLarge,
                format!("{}: {size} bytes, more than a cutout may have", path.display()),
            )),
            Err(error) => Err(failed(path, &error)),
        };
    }
    patiently(path, || {
        let (file, size) = match try_open(path)? {
            Ok(opened) => opened,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if let Err(rejection) = check_size(path, size, limit) {
            return Ok(Err(rejection));
        }
        // What is written meanwhile would be a picture that never was.
        for _ in 0..WRITTEN_INTO {
            let before = file.metadata()?;
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            // A file that grows meanwhile stays within the limit.
            (&file).take(limit + 1).read_to_end(&mut bytes)?;
            let after = file.metadata()?;
            if before.modified().ok() == after.modified().ok() && before.len() == after.len() {
                return Ok(check_size(path, bytes.len() as u64, limit).map(|()| bytes));
            }
            (&file).rewind()?;
        }
        Err(io::Error::other("it was written into whenever it was read"))
    })
}

/// Opens a plain file; its size in bytes.
pub(super) fn open(path: &Path) -> Result<(File, u64), Rejection> {
    patiently(path, || try_open(path))
}

fn try_open(path: &Path) -> io::Result<Result<(File, u64), Rejection>> {
    // Before opening: to open a named pipe is to wait for a writer.
    let metadata = fs::metadata(path)?;
    if let Some(kind) = irregular(metadata.file_type()) {
        let detail = format!("{} is {kind}, not a file", path.display());
        return Ok(Err(Rejection::new(Reason::Unreadable, detail)));
    }
    Ok(Ok((File::open(path)?, metadata.len())))
}

/// Refuses no bytes and too many.
fn check_size(path: &Path, size: u64, limit: u64) -> Result<(), Rejection> {
    match size {
        0 => Err(Rejection::new(Reason::Empty, format!("{} has no bytes", path.display()))),
        size if size > limit => Err(too_large(path, size)),
        _ => Ok(()),
    }
}

fn too_large(path: &Path, size: u64) -> Rejection {
    let limit = BYTES >> 20;
    Rejection::new(
        Reason::TooLarge,
        format!("{}: {size} bytes, and a cutout may have {limit} MiB", path.display()),
    )
}

/// The rejection for what the system says.
pub(super) fn failed(path: &Path, error: &io::Error) -> Rejection {
    Rejection::of_io(path, error)
}

/// The rejection of a cutout for one of its bands.
fn of_band(band: &str, rejection: Rejection) -> Rejection {
    let reason = match rejection.reason {
        Reason::Missing => Reason::MissingBand,
        other => other,
    };
    Rejection::new(reason, format!("band {band}: {}", rejection.detail))
}
