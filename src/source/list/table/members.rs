//! Members of tar archives that a table names by a path through the archive
//! (`archive.tar/member.jpg`), on disk or in a store.
//!
//! An archive is walked when its first member is asked for, and what was found is kept for
//! all tables of a listing: some 100 bytes for each of its cutouts. Invariant: a member is
//! what the archive as an input of its own would list under that name, and the archive is
//! pinned as one would be.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::archive::Archive;
use super::super::names::without_extension;
use super::super::notes::Notes;
use super::super::{ListError, ListOptions};
use crate::cutout::{Reason, Rejection};
use crate::source::Locator;
use crate::storage::patience::patiently;
use crate::storage::read_at::Positional;
use crate::storage::remote::is_remote;

/// What was found under the names of archives.
#[derive(Debug, Default)]
pub(in crate::source::list) struct Members {
    /// `None` for what is called like an archive and is none.
    archives: HashMap<PathBuf, Option<Walked>>,
}

/// An archive that was walked.
#[derive(Debug)]
struct Walked {
    members: HashMap<String, Locator>,
    /// What was wrong with it.
    problem: Option<String>,
}

impl Members {
    /// The member that a path leads to; `None` if no archive is on its way.
    ///
    /// # Errors
    /// [`ListError::Io`] if the system, or a store, does not give an archive's bytes.
    pub fn find(
        &mut self,
        path: &Path,
        options: &Arc<ListOptions>,
        notes: &mut Notes,
    ) -> Result<Option<Locator>, ListError> {
        let is_called_so = |folder: &&Path| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            without_extension(&name, "tar").is_some()
        };
        for archive in path.ancestors().skip(1).filter(is_called_so) {
            if !self.archives.contains_key(archive) {
                let found = match is_archive(archive)? {
                    true => Some(Walked::of(archive, options, notes)?),
                    false => None,
                };
                self.archives.insert(archive.to_owned(), found);
            }
            if let Some(Some(walked)) = self.archives.get(archive) {
                let member = path.strip_prefix(archive).ok().and_then(Path::to_str);
                return Ok(member.map(|member| walked.member(archive, member)));
            }
        }
        Ok(None)
    }
}

/// Whether something with an archive's name is one. What cannot be asked for is none: the
/// row that names it says why.
fn is_archive(path: &Path) -> Result<bool, ListError> {
    if !is_remote(path) {
        return Ok(fs::metadata(path).is_ok_and(|found| found.is_file()));
    }
    match patiently(|| Positional::open(path)) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
            | ErrorKind::InvalidInput => Ok(false),
            _ => Err(ListError::Io { path: path.to_owned(), source: error }),
        },
    }
}

impl Walked {
    fn of(
        archive: &Path,
        options: &Arc<ListOptions>,
        notes: &mut Notes,
    ) -> Result<Self, ListError> {
        let (mut members, mut entries) = (HashMap::new(), Vec::new());
        // What is beside the members that are asked for is nothing to the listing.
        let mut own = Notes::default();
        let path = archive.to_owned();
        if let Some(mut open) = Archive::open(path.clone(), path, options, &mut own)? {
            let mut more = true;
            while more {
                more = open.fill(&mut entries, &mut own)?;
                for entry in entries.drain(..) {
                    let source = PathBuf::from(entry.source);
                    if let Some(name) = source.strip_prefix(archive).ok().and_then(Path::to_str) {
                        // The last of one name is what unpacking leaves.
                        members.insert(name.to_owned(), entry.locator);
                    }
                }
            }
        }
        for (path, pin) in own.pins() {
            notes.pin(path.clone(), pin.clone());
        }
        let problem = own.problems().first().map(|problem| problem.message.clone());
        Ok(Self { members, problem })
    }

    fn member(&self, archive: &Path, name: &str) -> Locator {
        if let Some(found) = self.members.get(name) {
            return found.clone();
        }
        let part = self.problem.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        let detail = format!("{} has no picture {name}{part}", archive.display());
        Locator::Rejected(Rejection::new(Reason::Missing, detail))
    }
}
