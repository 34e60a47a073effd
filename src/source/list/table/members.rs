//! Members of tar archives that a table names by a path through the archive
//! (`archive.tar/member.jpg`).
//!
//! An archive is walked when its first member is asked for, and what was found is kept:
//! some 100 bytes for each of its cutouts. Invariant: a member is what the archive as an
//! input of its own would list under that name.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::archive::Archive;
use super::super::names::without_extension;
use super::super::notes::Notes;
use super::super::{ListError, ListOptions};
use crate::cutout::{Reason, Rejection};
use crate::source::Locator;

/// The archives that were walked.
#[derive(Debug, Default)]
pub(super) struct Members {
    archives: HashMap<PathBuf, HashMap<String, Locator>>,
    /// What was wrong with one of them, by its path.
    problems: HashMap<PathBuf, String>,
}

impl Members {
    /// The member that a path leads to; `None` if no archive is on its way.
    ///
    /// # Errors
    /// [`ListError::Io`] if the system does not give an archive's bytes.
    pub fn find(
        &mut self,
        path: &Path,
        options: &Arc<ListOptions>,
    ) -> Result<Option<Locator>, ListError> {
        let is_archive = |folder: &&Path| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            without_extension(&name, "tar").is_some()
                && fs::metadata(folder).is_ok_and(|found| found.is_file())
        };
        let Some(archive) = path.ancestors().skip(1).find(is_archive) else { return Ok(None) };
        let Some(member) = path.strip_prefix(archive).ok().and_then(Path::to_str) else {
            return Ok(None);
        };
        if !self.archives.contains_key(archive) {
            self.walk(archive, options)?;
        }
        let found = self.archives.get(archive).and_then(|members| members.get(member)).cloned();
        Ok(Some(found.unwrap_or_else(|| {
            let why = self.problems.get(archive).map_or("", |why| why.as_str());
            let part = if why.is_empty() { String::new() } else { format!(" ({why})") };
            let detail = format!("{} has no picture {member}{part}", archive.display());
            Locator::Rejected(Rejection::new(Reason::Missing, detail))
        })))
    }

    fn walk(&mut self, archive: &Path, options: &Arc<ListOptions>) -> Result<(), ListError> {
        let (mut members, mut entries) = (HashMap::new(), Vec::new());
        let mut notes = Notes::default();
        let path = archive.to_owned();
        if let Some(mut open) = Archive::open(path.clone(), path.clone(), options, &mut notes)? {
            let mut more = true;
            while more {
                more = open.fill(&mut entries, &mut notes)?;
                for entry in entries.drain(..) {
                    let source = PathBuf::from(entry.source);
                    if let Some(name) = source.strip_prefix(archive).ok().and_then(Path::to_str) {
                        // The last of one name is what unpacking leaves.
                        members.insert(name.to_owned(), entry.locator);
                    }
                }
            }
        }
        if let Some(problem) = notes.problems().first() {
            self.problems.insert(path.clone(), problem.message.clone());
        }
        self.archives.insert(path, members);
        Ok(())
    }
}
