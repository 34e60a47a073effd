//! An open mosaic: its bytes, and the images in it.
//!
//! A plain file or an object is read at offsets. A packed one (`.gz`, `.bz2`) cannot
//! be: it is unpacked whole, within a limit, and held. Invariant: what is wrong with a
//! file is a [`Rejection`] that names it.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::footprint::Footprint;
use super::masks::{Kind, Masks};
use crate::cutout::decode::fits::part::{self, PartError};
use crate::cutout::decode::{DecodeOptions, is_packed, unpacked};
use crate::cutout::{Reason, Rejection};
use crate::limits::mosaic::UNPACKED;
use crate::storage::digest::sha256;
use crate::storage::file::irregular;
use crate::storage::fits::BLOCK;
use crate::storage::patience::patiently;
use crate::storage::read_at::Positional;
use crate::storage::remote::is_remote;

/// Where a mosaic's bytes are.
enum Bytes {
    /// A file or an object of this size, and its beginning: a request of a store less for
    /// the headers.
    Stored(Positional, u64, Vec<u8>),
    /// Unpacked, with the digest by which the packed file is known.
    Held(Vec<u8>, String),
}

impl Bytes {
    fn size(&self) -> u64 {
        match self {
            Self::Stored(_, size, _) => *size,
            Self::Held(bytes, _) => bytes.len() as u64,
        }
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Stored(file, _, head) => {
                let from = usize::try_from(offset).ok();
                match from.and_then(|from| head.get(from..)?.get(..buffer.len())) {
                    Some(known) => buffer.copy_from_slice(known),
                    None => file.read_stretch_at(buffer, offset)?,
                }
                Ok(())
            }
            Self::Held(bytes, _) => {
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
    /// By their bands.
    images: Mutex<Vec<(String, Found<part::Image>)>>,
    /// Those that say something of another image's pixels, by what they say and the HDU.
    beside: Mutex<Vec<(Said, Found<part::Beside>)>>,
}

/// What an image beside others says, and the HDU that was named, if one was.
type Said = (Kind, Option<String>);

/// An image, or why there is none.
type Found<T> = Result<Arc<Loaded<T>>, Rejection>;

/// An image of an open mosaic.
pub(super) struct Loaded<T> {
    /// By which its parts are kept; no two open images have the same.
    pub id: u64,
    pub image: T,
    /// Who reads parts of it: two that want the same must not read it twice.
    pub turn: Mutex<()>,
}

impl Mosaic {
    /// Opens a file or an object and reads its headers.
    pub fn open(path: &Path) -> Result<Self, Rejection> {
        let bytes = bytes_of(path)?;
        let opened = part::File::open(bytes.size(), |at, buffer| bytes.fill(buffer, at));
        let file = opened.map_err(|error| of_part(path, error))?;
        Ok(Self { bytes, file, images: Mutex::default(), beside: Mutex::default() })
    }

    /// Bytes that are held of it, beside its headers.
    pub fn held(&self) -> usize {
        match &self.bytes {
            Bytes::Stored(..) => 0,
            Bytes::Held(bytes, _) => bytes.len(),
        }
    }

    /// Its image of a band; `id` is taken where it is the first to ask.
    pub fn image(
        &self,
        band: &str,
        options: &DecodeOptions,
        id: impl FnOnce() -> u64,
    ) -> Found<part::Image> {
        loaded(&self.images, band.to_owned(), id, || self.file.image(band, options))
    }

    /// Its image, that of an HDU or its only one, that says something of the pixels of
    /// `other`; `id` is taken where it is the first to ask. Who asked first is nothing to
    /// the next, whose pixels may be another mosaic's.
    pub fn beside(
        &self,
        (kind, hdu): Said,
        other: &part::Image,
        id: impl FnOnce() -> u64,
    ) -> Found<part::Beside> {
        let read = || self.file.beside(hdu.as_deref());
        let found = loaded(&self.beside, (kind, hdu.clone()), id, read)?;
        found.image.lies_on(other)?;
        Ok(found)
    }

    /// The digest by which the file is known again; see [`header_digest`].
    fn digest(&self) -> String {
        match &self.bytes {
            Bytes::Stored(..) => digest_of(&self.file),
            Bytes::Held(_, digest) => digest.clone(),
        }
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

/// The image of this name among those that are known, or the one that is read now.
fn loaded<K: PartialEq, T>(
    known: &Mutex<Vec<(K, Found<T>)>>,
    key: K,
    id: impl FnOnce() -> u64,
    read: impl FnOnce() -> Result<T, Rejection>,
) -> Found<T> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, found)) = known.iter().find(|(of, _)| *of == key) {
        return found.clone();
    }
    let loaded = |image| Arc::new(Loaded { id: id(), image, turn: Mutex::default() });
    let found = read().map(loaded);
    known.push((key, found.clone()));
    found
}

/// Bytes of a file that are read when it is opened: as many as are read of a header first.
const HEAD: usize = 8 * BLOCK;

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
    let mut head = vec![0; HEAD.min(usize::try_from(size).unwrap_or(HEAD))];
    file.read_stretch_at(&mut head, 0).map_err(failed)?;
    if !is_packed(&head) {
        return Ok(Bytes::Stored(file, size, head));
    }
    let named = |e: Rejection| e.at(path.display());
    let length = usize::try_from(size).ok().filter(|size| *size <= UNPACKED).ok_or_else(|| {
        let detail = format!("packed, and {size} bytes even so: unpack it first");
        named(Rejection::new(Reason::TooLarge, detail))
    })?;
    let mut packed = vec![0; length];
    file.read_stretch_at(&mut packed, 0).map_err(failed)?;
    let digest = sha256(&packed[..packed.len().min(PACKED)]);
    Ok(Bytes::Held(unpacked(&packed, UNPACKED).map_err(named)?, digest))
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

/// What a mosaic holds.
#[derive(Debug)]
pub enum Looked {
    /// Light.
    Bands {
        /// Its bands among those of the options, each with where it lies.
        images: Vec<(String, Footprint)>,
        /// The images beside it.
        beside: Vec<LookedBeside>,
        /// The digest by which it is known again; see [`header_digest`].
        index: String,
    },
    /// Masks, weights and the like alone, by this word of a header.
    Auxiliary(&'static str),
}

/// An image beside a mosaic.
#[derive(Debug, Clone)]
pub struct LookedBeside {
    /// What it is called in a listing.
    pub called: String,
    /// Its file.
    pub path: PathBuf,
    /// The digest by which the file is known again.
    pub index: String,
}

/// Files beside mosaics that are kept open while mosaics are looked at: those of the bands
/// of one are often one, and those of one field follow one another.
const BESIDE: usize = 4;

/// Looks at the headers of mosaics, one after the other.
pub struct Look<'a> {
    options: &'a DecodeOptions,
    masks: &'a Masks,
    /// The one that was used last in front.
    beside: Vec<(PathBuf, Mosaic)>,
}

impl<'a> Look<'a> {
    /// For these bands and these images beside.
    pub fn new(options: &'a DecodeOptions, masks: &'a Masks) -> Self {
        Self { options, masks, beside: Vec::new() }
    }

    /// Looks at the headers of a mosaic, and at those of the images beside it. `named` is
    /// the band, and `id` the mosaic, that its name says it is of; `opens` is told of each
    /// file beside it before it is opened.
    ///
    /// # Errors
    /// What is wrong with the file, or with one beside it; [`Reason::MissingBand`] if it
    /// holds none of the bands, [`Reason::Unsupported`] if nothing says which of several it
    /// is of.
    pub fn at(
        &mut self,
        path: &Path,
        (named, id): (Option<&str>, Option<&str>),
        mut opens: impl FnMut(&Path),
    ) -> Result<Looked, Rejection> {
        let (mosaic, masks) = (Mosaic::open(path)?, self.masks);
        let at = |rejection: Rejection| rejection.at(path.display());
        if let Some(word) = mosaic.file.auxiliary() {
            return Ok(Looked::Auxiliary(word));
        }
        let images = images(&mosaic, named, self.options).map_err(at)?;
        let mut all = Vec::new();
        for (band, image) in &images {
            let files = masks.files(path, id, band).map_err(at)?;
            for (kind, (called, file)) in masks.kinds().zip(files) {
                // A mosaic without it is none of another band.
                let of = |e: Rejection| match e.reason {
                    Reason::MissingBand => {
                        at(Rejection::new(Reason::Unsupported, e.detail).at(kind))
                    }
                    _ => at(e.at(kind)),
                };
                let is_own = file == path;
                let there = |e: Rejection| of(if is_own { e } else { e.at(file.display()) });
                let other = match is_own {
                    true => &mosaic,
                    false => self.open(&file, &mut opens).map_err(of)?,
                };
                let found = other.file.beside(masks.hdu(kind, band).as_deref());
                found.and_then(|found| found.lies_on(image)).map_err(there)?;
                all.push(LookedBeside { called, path: file.clone(), index: other.digest() });
            }
        }
        let images = images.into_iter().map(|(band, image)| (band, Footprint::of(&image)));
        Ok(Looked::Bands { images: images.collect(), beside: all, index: mosaic.digest() })
    }

    /// A file beside a mosaic.
    fn open(&mut self, path: &Path, opens: &mut dyn FnMut(&Path)) -> Result<&Mosaic, Rejection> {
        let open = match self.beside.iter().position(|(known, _)| known == path) {
            Some(place) => self.beside.remove(place),
            None => {
                opens(path);
                let open = (path.to_owned(), Mosaic::open(path)?);
                // Those that are packed are held as a whole.
                self.beside.truncate(if open.1.held() > 0 { 0 } else { BESIDE - 1 });
                open
            }
        };
        self.beside.insert(0, open);
        Ok(&self.beside[0].1)
    }
}

/// The images of a mosaic by their bands.
fn images(
    mosaic: &Mosaic,
    named: Option<&str>,
    options: &DecodeOptions,
) -> Result<Vec<(String, part::Image)>, Rejection> {
    let image = |band: &str| mosaic.file.image(band, options);
    if let Some(band) = named {
        return Ok(vec![(band.to_owned(), image(band)?)]);
    }
    let mut bands = options.bands.to_vec();
    bands.sort_unstable();
    bands.dedup();
    let (mut found, mut why) = (Vec::new(), None);
    for band in &bands {
        match image(band) {
            Ok(image) => found.push((band.clone(), image)),
            Err(rejection) => why = Some(rejection),
        }
    }
    // One image that would do for every band is of an unknown one.
    let first = found.first().map(|(_, image)| image.raster.place());
    if found.len() > 1 && found.iter().all(|(_, image)| Some(image.raster.place()) == first) {
        let detail = "neither its name nor its header says of which band it is: give \
                      --band-pattern, such as frame-{band}-{id}.fits";
        return Err(Rejection::new(Reason::Unsupported, detail));
    }
    match why {
        Some(why) if found.is_empty() => Err(why),
        _ => Ok(found),
    }
}

/// Bytes of a packed file by which it is known again: to unpack it would take longer than
/// to copy it.
const PACKED: usize = 1 << 16;

fn digest_of(file: &part::File) -> String {
    sha256(&file.headers().collect::<Vec<_>>().concat())
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
    file.read_stretch_at(&mut first, 0)?;
    if is_packed(&first) {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(PACKED)];
        file.read_stretch_at(&mut bytes, 0)?;
        return Ok(Some(sha256(&bytes)));
    }
    if &first != b"SIMPLE  =" {
        return Ok(None);
    }
    match part::File::open(size, |at, buffer| file.read_stretch_at(buffer, at)) {
        Ok(file) => Ok(Some(digest_of(&file))),
        Err(PartError::Io(error)) => Err(error),
        Err(PartError::Rejected(_)) => Ok(None),
    }
}
