//! The cutouts in a tar archive.
//!
//! [`tar`](super::tar) finds the members, this file says what each is good
//! for. The archive is never unpacked: an entry is a stretch of it. Invariant:
//! every member with an image's name is an entry, readable or rejected, as far
//! as the archive can be followed; where it cannot be followed to its end
//! there is a problem that names it.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use super::super::{Entry, Locator, Pin};
use super::bands::BandGroups;
use super::names::{FileKind, cutout_id, is_hidden, not_utf8, passed_over};
use super::notes::Notes;
use super::tar::{Member, MemberKind, Step, Walker};
use super::{CHUNK, Chunk, ListError, ListOptions, Source};
use crate::cutout::{Reason, Rejection};
use crate::storage::file::irregular;
use crate::storage::patience::{may_pass, patiently};
use crate::storage::read_at::Positional;
use crate::storage::remote::is_remote;

/// An archive that is being listed.
pub(super) struct Archive {
    given: PathBuf,
    absolute: PathBuf,
    /// Why none of its members can be named in a catalog.
    unnameable: Option<Rejection>,
    walker: Walker,
    /// As it was when it was opened.
    pin: Pin,
    cutouts: u64,
    done: bool,
    /// Knows the names of band files; taken once one was met.
    bands: Option<BandGroups>,
}

impl Archive {
    /// Opens an archive; one that is not there or may not be read is a problem
    /// and not an end.
    ///
    /// # Errors
    /// Where the system may get over what it says: a listing that leaves out
    /// what could not be read for a while would be pinned as the whole.
    pub fn open(
        given: PathBuf,
        absolute: PathBuf,
        options: &Arc<ListOptions>,
        notes: &mut Notes,
    ) -> Result<Option<Self>, ListError> {
        let mut failed = |error: io::Error| match may_pass(&error) {
            true => Err(ListError::Io { path: given.clone(), source: error }),
            false => {
                notes.problem(given.clone(), format!("archive cannot be read: {error}"));
                Ok(None)
            }
        };
        // Opening a named pipe would wait for a writer.
        if !is_remote(&absolute) {
            let look = || fs::metadata(&absolute);
            match patiently(look).map(|metadata| irregular(metadata.file_type())) {
                Ok(None) => {}
                Ok(Some(kind)) => {
                    notes.problem(given, format!("is {kind}, and an archive must be a plain file"));
                    return Ok(None);
                }
                Err(error) => return failed(error),
            }
        }
        let open = || {
            let (file, size) = Positional::open(&absolute)?;
            let pin = Pin::of_open(&file)?;
            Ok((file, size, pin))
        };
        match patiently(open) {
            Ok((file, size, pin)) => Ok(Some(Self {
                pin,
                given,
                unnameable: not_utf8(&absolute),
                absolute,
                walker: Walker::new(file, size),
                cutouts: 0,
                done: false,
                bands: Some(BandGroups::new(&options.band_pattern, &options.bands)),
            })),
            Err(error) => failed(error),
        }
    }

    /// Adds entries until there is a chunk of them; `false` at the end.
    ///
    /// # Errors
    /// If the system does not give the archive's bytes.
    pub fn fill(&mut self, entries: &mut Vec<Entry>, notes: &mut Notes) -> Result<bool, ListError> {
        while !self.done && entries.len() < CHUNK {
            match self.walker.step() {
                Step::Member(member) => {
                    if let Some(entry) = self.entry(&member, notes) {
                        self.cutouts += 1;
                        entries.push(entry);
                    }
                }
                Step::End => self.end(notes)?,
                Step::Damage(words) => {
                    let listed = self.cutouts;
                    notes.problem(&self.given, format!("{words} (cutouts listed: {listed})"));
                    self.end(notes)?;
                }
                Step::Failed(source) => {
                    self.done = true;
                    return Err(ListError::Io { path: self.given.clone(), source });
                }
            }
        }
        Ok(!self.done)
    }

    /// Notes the archive as it was listed, if that is how it still is.
    fn end(&mut self, notes: &mut Notes) -> Result<(), ListError> {
        self.done = true;
        let failed = |source| ListError::Io { path: self.given.clone(), source };
        let now = patiently(|| Pin::of(&self.absolute)).map_err(failed)?;
        if !self.pin.is_untouched(&now) {
            let changed = io::Error::other("it was written into while it was being listed");
            return Err(failed(changed));
        }
        let pin = Pin { index: Some(self.walker.index()), ..self.pin.clone() };
        notes.pin(self.absolute.clone(), pin);
        Ok(())
    }

    fn entry(&mut self, member: &Member, notes: &mut Notes) -> Option<Entry> {
        let path = String::from_utf8_lossy(&member.name);
        // As tar itself unpacks it: an absolute name would stand in the place of
        // the archive's.
        let path = path.trim_start_matches('/');
        let path = path.strip_prefix("./").unwrap_or(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        if member.kind == MemberKind::Other {
            return None;
        }
        let (kind, _) = FileKind::of(name);
        if is_hidden(name.as_bytes()) || !kind.is_image() {
            if matches!(kind, FileKind::Archive | FileKind::CompressedArchive) {
                notes.problem(self.given.join(path), "an archive inside an archive is not read");
            }
            match passed_over(name).filter(|_| !is_hidden(name.as_bytes())) {
                Some(why) => notes.unread(self.given.join(path), why),
                None => notes.skip(&self.given.join(path)),
            }
            return None;
        }
        if kind == FileKind::Fits && self.bands.as_ref().is_some_and(|b| b.is_band(name)) {
            self.bands = None;
            notes.problem(
                self.given.join(path),
                "a FITS file of one band: bands are put together from files in folders, \
                 lists and tables, not from inside an archive; unpack it",
            );
        }
        Some(Entry {
            id: cutout_id(name).to_owned(),
            source: self.given.join(path).to_string_lossy().into_owned(),
            locator: match self.rejection(member) {
                Some(rejection) => Locator::Rejected(rejection),
                None => Locator::Member {
                    archive: self.absolute.clone(),
                    offset: member.offset,
                    length: member.length,
                },
            },
            position: None,
        })
    }

    /// Why a member with an image's name cannot be read.
    fn rejection(&self, member: &Member) -> Option<Rejection> {
        let unsupported = |words: &str| Some(Rejection::new(Reason::Unsupported, words));
        if self.unnameable.is_some() {
            return self.unnameable.clone();
        }
        match member.kind {
            MemberKind::Sparse => unsupported(
                "stored with holes (sparse); make the archive without tar's --sparse option",
            ),
            MemberKind::HardLink => unsupported(
                "a hard link to another member; make the archive with --hard-dereference",
            ),
            MemberKind::SymbolicLink => {
                unsupported("a symbolic link; make the archive with tar's --dereference option")
            }
            _ if !member.whole => Some(Rejection::new(
                Reason::Truncated,
                format!(
                    "the archive {} ends inside it: its data begins at byte {} and needs {} bytes",
                    self.given.display(),
                    member.offset,
                    member.length
                ),
            )),
            _ => None,
        }
    }
}

impl Source for Archive {
    fn next_chunk(&mut self, notes: &mut Notes) -> Result<Chunk, ListError> {
        let mut entries = Vec::new();
        self.fill(&mut entries, notes)?;
        Ok(Chunk::of(entries))
    }
}
