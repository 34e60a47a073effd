//! The mosaics of a listing: which bands they hold, and where on the sky.
//!
//! Invariant: what cannot be read is a problem of the listing, or the rejection of the
//! sources that name it; it ends nothing.

use std::collections::{BTreeSet, HashMap, hash_map};
use std::fs;
use std::path::{Path, PathBuf};

use super::super::bands::FILTERS;
use super::super::names::{FileKind, fits_stem, is_hidden};
use super::super::notes::Notes;
use super::super::{ListError, ListOptions, absolute};
use super::Mosaics;
use crate::cutout::decode::DecodeOptions;
use crate::cutout::{Reason, Rejection, SkyPosition};
use crate::mosaic::masks::{Kind, Masks};
use crate::mosaic::{Footprint, Footprints, Look, Looked};
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
    /// The files of the images beside a mosaic of a band, with what they are called.
    beside: HashMap<(usize, String), Vec<(String, PathBuf)>>,
}

impl Files {
    /// Reads the headers of the mosaics that were named, and of those that rows name.
    pub fn open(
        mosaics: &Mosaics,
        more: BTreeSet<PathBuf>,
        options: &ListOptions,
        notes: &mut Notes,
    ) -> Result<Self, ListError> {
        let mut paths = Vec::new();
        for path in &mosaics.files {
            if !is_remote(path) && path.is_dir() {
                let found = in_folder(path)?;
                if found.is_empty() {
                    notes.problem(path, "no FITS files in it; folders in it are not searched");
                }
                paths.extend(found);
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
            beside: HashMap::new(),
        };
        for path in paths {
            let whole = absolute(&path)?;
            files.add(path, whole);
        }
        files.named = files.paths.len();
        for path in more {
            files.add(path.clone(), path);
        }
        files.read(mosaics, options, notes);
        Ok(files)
    }

    fn add(&mut self, given: PathBuf, absolute: PathBuf) {
        let number = self.paths.len();
        if let hash_map::Entry::Vacant(place) = self.numbers.entry(absolute) {
            self.paths.push((given, place.key().clone()));
            place.insert(number);
        }
    }

    fn read(&mut self, mosaics: &Mosaics, options: &ListOptions, notes: &mut Notes) {
        let mut found: HashMap<String, Vec<(usize, Footprint)>> = HashMap::new();
        // Images beside mosaics as they were before they were opened, and those that are
        // pinned: those of several mosaics may be one.
        let mut before: HashMap<PathBuf, Option<Pin>> = HashMap::new();
        let mut pinned: BTreeSet<PathBuf> = BTreeSet::new();
        let named_beside = self.named_beside(&mosaics.masks, options);
        let mut decode = DecodeOptions::default();
        if let [r, g, b] = options.bands.as_slice() {
            decode = DecodeOptions::for_bands([r, g, b].map(String::clone));
        }
        if let Some(planes) = &options.cube_bands {
            decode.cube_bands.clone_from(planes);
        }
        let mut look = Look::new(&decode, &mosaics.masks);
        for (number, (given, path)) in self.paths.iter().enumerate() {
            if named_beside.contains(path) {
                notes.set_aside(given, "named as a mask or a map of weights".to_owned());
                let detail = format!("{} is a mask or a map of weights", path.display());
                self.problems.insert(number, Rejection::new(Reason::MissingBand, detail));
                continue;
            }
            let name = given.file_name().unwrap_or_default().to_string_lossy();
            let split = options.band_pattern.split(stem_of(&name), &options.bands);
            let (id, band) = (split.map(|(id, _)| id), split.map(|(_, band)| band));
            let named = band.filter(|band| decode.bands.iter().any(|own| own == band));
            if let (None, Some(other)) = (named, band.filter(|band| FILTERS.contains(band))) {
                notes.set_aside(given, format!("of band {other} by name"));
                let detail = format!("{} is of band {other}, by its name", path.display());
                self.problems.insert(number, Rejection::new(Reason::MissingBand, detail));
                continue;
            }
            // Before it is read: what is written into it from now on is seen.
            let pin = Pin::of(path);
            let opens = |file: &Path| {
                before.entry(file.to_owned()).or_insert_with(|| Pin::of(file).ok());
            };
            match look.at(path, (named, id), opens) {
                Ok(Looked::Auxiliary(word)) => {
                    let detail =
                        format!("{} is `{word}` by its header, and no light", path.display());
                    self.problems.insert(number, Rejection::new(Reason::MissingBand, detail));
                    notes.set_aside(
                        given,
                        match named {
                            Some(band) => format!("of band {band} by name and `{word}` by header"),
                            None => format!("`{word}` by header"),
                        },
                    );
                }
                Ok(Looked::Bands { images, beside, index }) => {
                    for (band, footprint) in images {
                        let of_band = Kind::ALL.map(|kind| kind.of_band(&band));
                        let files = beside.iter().filter(|one| of_band.contains(&one.called));
                        let files = files.map(|one| (one.called.clone(), one.path.clone()));
                        self.beside.insert((number, band.clone()), files.collect());
                        found.entry(band).or_default().push((number, footprint));
                    }
                    if let Ok(pin) = pin {
                        notes.pin(path.clone(), Pin { index: Some(index), ..pin });
                    }
                    pinned.insert(path.clone());
                    for one in beside {
                        if pinned.insert(one.path.clone())
                            && let Some(Some(pin)) = before.get(&one.path)
                        {
                            let pin = Pin { index: Some(one.index), ..pin.clone() };
                            notes.pin(one.path, pin);
                        }
                    }
                }
                // Of a band that nobody asks for.
                Err(rejection) if rejection.reason == Reason::MissingBand => {
                    notes.set_aside(given, "of no band that is asked for by header".to_owned());
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

    /// The files that are masks or maps of weights of others, by the names of all.
    fn named_beside(&self, masks: &Masks, options: &ListOptions) -> BTreeSet<PathBuf> {
        let of = |path: &PathBuf| {
            let name = path.file_name()?.to_string_lossy();
            let (id, band) = options.band_pattern.split(stem_of(&name), &options.bands)?;
            let files = masks.files(path, Some(id), band).ok()?.into_iter();
            // An HDU is in the mosaic's own file.
            Some(files.map(|(_, file)| file).filter(|file| file != path).collect::<Vec<_>>())
        };
        self.paths.iter().filter_map(|(_, path)| of(path)).flatten().collect()
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

    /// The images beside a mosaic of a band: what they are called, and where they are.
    pub fn beside(&self, number: usize, band: &str) -> &[(String, PathBuf)] {
        self.beside.get(&(number, band.to_owned())).map_or(&[], Vec::as_slice)
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

/// A file's name without its FITS extension.
fn stem_of(name: &str) -> &str {
    fits_stem(name).unwrap_or(name)
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
