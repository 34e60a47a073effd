//! An open mosaic: its bytes, and the images in it.
//!
//! A plain file or an object is read at offsets. A packed one (`.gz`, `.bz2`) cannot
//! be: it is unpacked whole, within a limit, and held. Invariant: what is wrong with a
//! file is a [`Rejection`] that names it.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::footprint::Footprint;
use crate::cutout::decode::fits::part::{self, PartError};
use crate::cutout::decode::{DecodeOptions, is_packed, unpacked};
use crate::cutout::{Reason, Rejection};
use crate::limits::mosaic::UNPACKED;
use crate::storage::digest::sha256;
use crate::storage::file::irregular;
use crate::storage::patience::patiently;
use crate::storage::read_at::Positional;
use crate::storage::remote::is_remote;

/// Where a mosaic's bytes are.
enum Bytes {
    Stored(Positional, u64),
    Held(Vec<u8>),
}

impl Bytes {
    fn size(&self) -> u64 {
        match self {
            Self::Stored(_, size) => *size,
            Self::Held(bytes) => bytes.len() as u64,
        }
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Stored(file, _) => file.read_exact_at(buffer, offset),
            Self::Held(bytes) => {
                let from = usize::try_from(offset).ok();
                let held = from.and_then(|from| bytes.get(from..)?.get(..buffer.len()));
                buffer.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

/// A mosaic that is open.
pub(super) struct Mosaic {
    bytes: Bytes,
    file: part::File,
    /// By the names of their bands.
    images: Mutex<Vec<(String, Found)>>,
}

/// An image, or why there is none.
type Found = Result<Arc<Loaded>, Rejection>;

/// An image of an open mosaic.
pub(super) struct Loaded {
    /// By which its parts are kept; no two open images have the same.
    pub id: u64,
    pub image: part::Image,
    /// Who reads parts of it: two that want the same must not read it twice.
    pub turn: Mutex<()>,
}

impl Mosaic {
    /// Opens a file or an object and reads its headers.
    pub fn open(path: &Path) -> Result<Self, Rejection> {
        let bytes = bytes_of(path)?;
        let opened = part::File::open(bytes.size(), |at, buffer| bytes.fill(buffer, at));
        let file = opened.map_err(|error| of_part(path, error))?;
        Ok(Self { bytes, file, images: Mutex::default() })
    }

    /// Bytes that are held of it, beside its headers.
    pub fn held(&self) -> usize {
        match &self.bytes {
            Bytes::Stored(..) => 0,
            Bytes::Held(bytes) => bytes.len(),
        }
    }

    /// Its image of a band; `id` is taken where it is the first to ask.
    pub fn image(
        &self,
        band: &str,
        options: &DecodeOptions,
        id: impl FnOnce() -> u64,
    ) -> Result<Arc<Loaded>, Rejection> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = images.iter().find(|(known, _)| known == band) {
            return found.clone();
        }
        let found = self.file.image(band, options);
        let found = found.map(|image| Arc::new(Loaded { id: id(), image, turn: Mutex::default() }));
        images.push((band.to_owned(), found.clone()));
        found
    }

    /// A stretch of its bytes.
    pub fn fetch(&self, stretch: Range<u64>) -> io::Result<Vec<u8>> {
        if stretch.end > self.bytes.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = usize::try_from(stretch.end - stretch.start);
        let mut bytes = vec![0; length.map_err(|_| io::ErrorKind::OutOfMemory)?];
        self.bytes.fill(&mut bytes, stretch.start)?;
        Ok(bytes)
    }
}

fn bytes_of(path: &Path) -> Result<Bytes, Rejection> {
    let failed = |error: io::Error| Rejection::of_io(path, &error);
    if !is_remote(path) {
        // Before opening: to open a named pipe is to wait for a writer.
        let metadata = patiently(|| fs::metadata(path)).map_err(failed)?;
        if let Some(kind) = irregular(metadata.file_type()) {
            let detail = format!("{} is {kind}, not a file", path.display());
            return Err(Rejection::new(Reason::Unreadable, detail));
        }
    }
    let (file, size) = patiently(|| Positional::open(path)).map_err(failed)?;
    if size == 0 {
        let detail = format!("{} has no bytes", path.display());
        return Err(Rejection::new(Reason::Empty, detail));
    }
    let mut first = [0; 4];
    let few = first.len().min(usize::try_from(size).unwrap_or(first.len()));
    file.read_exact_at(&mut first[..few], 0).map_err(failed)?;
    if !is_packed(&first) {
        return Ok(Bytes::Stored(file, size));
    }
    let named = |e: Rejection| e.at(path.display());
    let length = usize::try_from(size).ok().filter(|size| *size <= UNPACKED).ok_or_else(|| {
        let detail = format!("packed, and {size} bytes even so: unpack it first");
        named(Rejection::new(Reason::TooLarge, detail))
    })?;
    let mut packed = vec![0; length];
    file.read_exact_at(&mut packed, 0).map_err(failed)?;
    Ok(Bytes::Held(unpacked(&packed, UNPACKED).map_err(named)?))
}

/// What is wrong with a file of which a part was asked for.
pub(super) fn of_part(path: &Path, error: PartError) -> Rejection {
    match error {
        PartError::Rejected(rejection) => rejection.at(path.display()),
        PartError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let detail = format!("{} ends before its data do", path.display());
            Rejection::new(Reason::Truncated, detail)
        }
        PartError::Io(error) => Rejection::of_io(path, &error),
    }
}

/// The bands of a mosaic among those of the options, each with where it lies;
/// `named` is the band that its name says it is of.
///
/// # Errors
/// What is wrong with the file; [`Reason::MissingBand`] if it holds none of the bands,
/// [`Reason::Unsupported`] if nothing says which of several it is of.
pub fn images(
    path: &Path,
    named: Option<&str>,
    options: &DecodeOptions,
) -> Result<Vec<(String, Footprint)>, Rejection> {
    let mosaic = Mosaic::open(path)?;
    let at = |rejection: Rejection| rejection.at(path.display());
    let image = |band: &str| -> Result<Footprint, Rejection> {
        Ok(Footprint::of(&mosaic.file.image(band, options)?))
    };
    if let Some(band) = named {
        return Ok(vec![(band.to_owned(), image(band).map_err(at)?)]);
    }
    let mut bands = options.bands.to_vec();
    bands.sort_unstable();
    bands.dedup();
    let (mut found, mut why) = (Vec::new(), None);
    for band in &bands {
        match image(band) {
            Ok(footprint) => found.push((band.clone(), footprint)),
            Err(rejection) => why = Some(rejection),
        }
    }
    // One image that would do for every band is of an unknown one.
    let first = found.first().map(|(_, footprint)| footprint.image);
    if found.len() > 1 && found.iter().all(|(_, footprint)| Some(footprint.image) == first) {
        let detail = "neither its name nor its header says of which band it is: give \
                      --band-pattern, such as frame-{band}-{id}.fits";
        return Err(at(Rejection::new(Reason::Unsupported, detail)));
    }
    match why {
        Some(why) if found.is_empty() => Err(at(why)),
        _ => Ok(found),
    }
}

/// The digest of the headers of a FITS file, by which it is known again; `None` for a
/// file of another kind, or one whose headers cannot be read.
///
/// # Errors
/// The system's, or the store's.
pub fn header_digest(path: &Path) -> io::Result<Option<String>> {
    let (file, size) = Positional::open(path)?;
    let mut first = [0; 9];
    if size < first.len() as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut first, 0)?;
    if is_packed(&first) {
        // Its first bytes: to unpack it would take longer than to copy it.
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(1 << 16)];
        file.read_exact_at(&mut bytes, 0)?;
        return Ok(Some(sha256(&bytes)));
    }
    if &first != b"SIMPLE  =" {
        return Ok(None);
    }
    match part::File::open(size, |at, buffer| file.read_exact_at(buffer, at)) {
        Ok(file) => Ok(Some(sha256(&file.headers().collect::<Vec<_>>().concat()))),
        Err(PartError::Io(error)) => Err(error),
        Err(PartError::Rejected(_)) => Ok(None),
    }
}
