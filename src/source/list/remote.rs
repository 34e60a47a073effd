//! The cutouts below a prefix of an object store, and those in its archives.
//!
//! Names come in the order in which the store has them, page by page.
//! Invariant: one page of names is in memory; what is no cutout is counted.

use std::path::PathBuf;
use std::sync::Arc;

use super::archive::Archive;
use super::names::{FileKind, file_entry, is_hidden, passed_over};
use super::notes::Notes;
use super::{CHUNK, Chunk, ListError, ListOptions, Source};
use crate::storage::remote;

/// A prefix that is being listed.
pub(super) struct Prefix {
    given: PathBuf,
    names: Box<dyn Iterator<Item = std::io::Result<String>> + Send>,
    /// An archive found on the way, until it is listed.
    archive: Option<Archive>,
    options: Arc<ListOptions>,
}

impl Prefix {
    pub fn open(given: PathBuf, options: &Arc<ListOptions>) -> Result<Self, ListError> {
        let names =
            remote::list(&given).map_err(|source| ListError::Io { path: given.clone(), source })?;
        Ok(Self { given, names: Box::new(names), archive: None, options: Arc::clone(options) })
    }
}

impl Source for Prefix {
    fn next_chunk(&mut self, notes: &mut Notes) -> Result<Chunk, ListError> {
        let mut entries = Vec::new();
        while entries.len() < CHUNK {
            if let Some(archive) = &mut self.archive {
                if !archive.fill(&mut entries, notes)? {
                    self.archive = None;
                }
                continue;
            }
            let Some(url) = self.names.next() else { break };
            // A listing with a gap is no listing.
            let url = url.map_err(|source| ListError::Io { path: self.given.clone(), source })?;
            let name = url.rsplit('/').next().unwrap_or_default();
            let path = PathBuf::from(&url);
            match FileKind::of(name).0 {
                _ if is_hidden(name.as_bytes()) => notes.skip(&path),
                FileKind::Picture | FileKind::Fits => entries.push(file_entry(&path, path.clone())),
                FileKind::Archive => {
                    self.archive = Archive::open(path.clone(), path, &self.options, notes)?;
                }
                FileKind::CompressedArchive => {
                    notes.skip(&path);
                    notes.problem(path, "a compressed archive cannot be read at random: unpack it");
                }
                FileKind::Other => match passed_over(name) {
                    Some(why) => notes.unread(path, why),
                    None => notes.skip(&path),
                },
            }
        }
        Ok(Chunk::of(entries))
    }
}
