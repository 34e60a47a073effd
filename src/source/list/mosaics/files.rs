//! The mosaics of a listing: which bands they hold, and where on the sky.
//!
//! Invariant: what cannot be read is a problem of the listing, or the rejection of the
//! sources that name it; it ends nothing.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::super::bands::FILTERS;
use super::super::names::{FileKind, fits_stem, is_hidden};
use super::super::notes::Notes;
use super::super::{ListError, ListOptions, absolute};
use crate::cutout::decode::DecodeOptions;
use crate::cutout::{Reason, Rejection, SkyPosition};
use crate::mosaic::{self, Footprint, Footprints};
use crate::source::Pin;
use crate::storage::patience::patiently;
use crate::storage::remote::is_remote;

/// Mosaics by their numbers, in their order.
pub(super) struct Files {
    /// As the user gave them, and absolute.
    paths: Vec<(PathBuf, PathBuf)>,
    numbers: HashMap<PathBuf, usize>,
    /// How many were named as mosaics; the others were by rows of the table.
    named: usize,
    /// What is wrong with those that cannot be read.
    problems: HashMap<usize, Rejection>,
    bands: HashMap<String, Footprints>,
}

impl Files {
    /// Reads the headers of the mosaics that were named, and of those that rows name.
    pub fn open(
        given: &[PathBuf],
        more: BTreeSet<PathBuf>,
        options: &ListOptions,
        notes: &mut Notes,
    ) -> Result<Self, ListError> {
        let mut paths = Vec::new();
        for path in given {
            if !is_remote(path) && path.is_dir() {
                paths.extend(in_folder(path)?);
            } else {
                paths.push(path.clone());
            }
        }
        let mut files = Self {
            paths: Vec::new(),
            numbers: HashMap::new(),
            named: 0,
            problems: HashMap::new(),
            bands: HashMap::new(),
        };
        for path in paths {
            let whole = absolute(&path)?;
            files.add(path, whole);
        }
        files.named = files.paths.len();
        for path in more {
            files.add(path.clone(), path);
        }
        files.read(options, notes);
        Ok(files)
    }

    fn add(&mut self, given: PathBuf, absolute: PathBuf) {
        let number = self.paths.len();
        if let std::collections::hash_map::Entry::Vacant(place) = self.numbers.entry(absolute) {
            self.paths.push((given, place.key().clone()));
            place.insert(number);
        }
    }

    fn read(&mut self, options: &ListOptions, notes: &mut Notes) {
        let mut found: HashMap<String, Vec<(usize, Footprint)>> = HashMap::new();
        let mut decode = DecodeOptions::default();
        if let [r, g, b] = options.bands.as_slice() {
            decode = DecodeOptions::for_bands([r, g, b].map(String::clone));
        }
        if let Some(planes) = &options.cube_bands {
            decode.cube_bands.clone_from(planes);
        }
        for (number, (given, path)) in self.paths.iter().enumerate() {
            let name = given.file_name().unwrap_or_default().to_string_lossy();
            let stem = fits_stem(&name).unwrap_or(&name);
            let split = options.band_pattern.split(stem, &options.bands).map(|(_, band)| band);
            let named = split.filter(|band| decode.bands.iter().any(|own| own == band));
            if let (None, Some(other)) = (named, split.filter(|band| FILTERS.contains(band))) {
                notes.skip();
                let detail = format!("{} is of band {other}, by its name", path.display());
                self.problems.insert(number, Rejection::new(Reason::MissingBand, detail));
                continue;
            }
            match mosaic::images(path, named, &decode) {
                Ok(images) => {
                    for (band, footprint) in images {
                        found.entry(band).or_default().push((number, footprint));
                    }
                    if let Ok(pin) = Pin::of(path).and_then(|pin| pin.with_index(path)) {
                        notes.pin(path.clone(), pin);
                    }
                }
                // Of a band that nobody asks for.
                Err(rejection) if rejection.reason == Reason::MissingBand => {
                    notes.skip();
                    self.problems.insert(number, rejection);
                }
                Err(rejection) => {
                    if number < self.named {
                        notes.problem(given.clone(), rejection.to_string());
                    }
                    self.problems.insert(number, rejection);
                }
            }
        }
        let bands = found.into_iter().map(|(band, images)| (band, Footprints::new(images)));
        self.bands = bands.collect();
    }

    /// The number of a mosaic.
    pub fn number(&self, path: &Path) -> Option<usize> {
        self.numbers.get(path).copied()
    }

    /// Whether it was named as a mosaic of all sources.
    pub fn is_named(&self, number: usize) -> bool {
        number < self.named
    }

    /// As the user gave it.
    pub fn given(&self, number: usize) -> String {
        self.paths[number].0.to_string_lossy().into_owned()
    }

    /// Where it is.
    pub fn path(&self, number: usize) -> PathBuf {
        self.paths[number].1.clone()
    }

    /// Why a mosaic is not used.
    pub fn problem(&self, path: &Path) -> Option<Rejection> {
        self.problems.get(&self.number(path)?).cloned()
    }

    /// The mosaic of a band in which a position lies deepest, the pixel, and the size of
    /// a pixel there.
    pub fn deepest(
        &self,
        band: &str,
        position: SkyPosition,
        among: impl Fn(usize) -> bool,
    ) -> Option<(usize, f64, f64, Option<f64>)> {
        self.bands.get(band)?.deepest(position, among)
    }
}

/// The FITS files of a folder, in the order of their names.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, ListError> {
    let failed = |source| ListError::Io { path: folder.to_owned(), source };
    let entries = patiently(|| fs::read_dir(folder)).map_err(failed)?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let is_fits = FileKind::of(&name.to_string_lossy()).0 == FileKind::Fits;
        if is_fits && !is_hidden(name.as_encoded_bytes()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
