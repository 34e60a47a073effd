//! Lists of paths: too many files for a command line.
//!
//! One path a line, relative to the list's folder (standard input: to the
//! working folder); empty lines and lines that begin with `#` say nothing. The
//! text is read twice, so that band files find one another wherever they
//! stand. Invariant: a line that says something is an entry, or part of one.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::{Entry, Locator};
use super::bands::{BandGroups, Role};
use super::names::{FileKind, file_entry};
use super::notes::Notes;
use super::{CHUNK, Chunk, ListError, ListOptions, Source, absolute};
use crate::cutout::{Reason, Rejection};
use crate::limits::table::{LINE, STANDARD_INPUT};
use crate::storage::lock::SILENCE;
use crate::storage::remote::{is_remote, join};
use crate::storage::{Wait, file};

/// A list that is being read.
pub(super) struct PathList {
    given: PathBuf,
    /// What its lines are relative to, as the user knows it.
    folder: PathBuf,
    text: Box<dyn Text>,
    line: u64,
    groups: BandGroups,
}

/// Lines that can be read twice.
trait Text: BufRead + Seek + Send {}
impl<T: BufRead + Seek + Send> Text for T {}

impl PathList {
    /// Opens a list and notes its band files. Standard input (`-`) is kept in
    /// memory, as it cannot be read twice.
    pub fn open(given: PathBuf, options: &ListOptions, wait: &dyn Wait) -> Result<Self, ListError> {
        let failed = |source| ListError::Io { path: given.clone(), source };
        let (folder, text): (_, Box<dyn Text>) = if given == Path::new("-") {
            (PathBuf::new(), Box::new(Cursor::new(standard_input(wait).map_err(failed)?)))
        } else {
            let folder = given.parent().unwrap_or(Path::new("")).to_owned();
            (folder, Box::new(BufReader::new(file::open(&given).map_err(failed)?)))
        };
        let groups = BandGroups::new(&options.band_pattern, &options.bands);
        let mut list = Self { given, folder, text, line: 0, groups };
        while let Some(path) = list.next_path()? {
            note(&mut list.groups, &path)?;
        }
        list.text.rewind().map_err(|source| ListError::Io { path: list.given.clone(), source })?;
        list.line = 0;
        Ok(list)
    }

    /// The next line that says something, as a path for a person.
    fn next_path(&mut self) -> Result<Option<PathBuf>, ListError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut text = (&mut self.text).take(LINE);
            let read = text
                .read_until(b'\n', &mut line)
                .map_err(|source| ListError::Io { path: self.given.clone(), source })?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            let ended = line.ends_with(b"\n");
            if !ended && read as u64 == LINE {
                let (path, line) = (self.given.clone(), self.line);
                return Err(ListError::LongLine { path, line, limit: LINE });
            }
            if ended {
                line.pop();
            }
            if line.ends_with(b"\r") {
                line.pop();
            }
            let mut path = &line[..];
            if self.line == 1 {
                path = path.strip_prefix("\u{feff}".as_bytes()).unwrap_or(path);
            }
            if !path.is_empty() && path[0] != b'#' {
                return Ok(Some(join(&self.folder, Path::new(OsStr::from_bytes(path)))));
            }
        }
    }
}

/// All of standard input. Whoever writes into it may take an hour, and a read
/// that waits sees no signal: a thread of its own reads.
fn standard_input(wait: &dyn Wait) -> io::Result<Vec<u8>> {
    const TURN: Duration = Duration::from_millis(50);
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new().name("standard input".to_owned()).spawn(move || {
        let mut bytes = Vec::new();
        let mut input = io::stdin().lock().take(STANDARD_INPUT + 1);
        let read = input.read_to_end(&mut bytes).map(|_| bytes);
        // Nobody waits any more if the run was stopped.
        let _ = sender.send(read);
    })?;
    let (begun, mut told) = (Instant::now(), false);
    loop {
        match receiver.recv_timeout(TURN) {
            Ok(Ok(bytes)) if bytes.len() as u64 > STANDARD_INPUT => {
                let words = format!("more than {STANDARD_INPUT} bytes: write the list into a file");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
            }
            Ok(read) => return read,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("its reader has ended"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if wait.stopped() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"));
        }
        if !told && begun.elapsed() > SILENCE {
            wait.waits("the inputs are listed on standard input (-): waiting for its end");
            told = true;
        }
    }
}

impl Source for PathList {
    fn next_chunk(&mut self, notes: &mut Notes) -> Result<Chunk, ListError> {
        let mut entries = Vec::new();
        while entries.len() < CHUNK {
            let Some(path) = self.next_path()? else { break };
            let entry = entry(&mut self.groups, &path, notes)?;
            entries.extend(entry.map(refuse_archive));
        }
        Ok(Chunk::of(entries))
    }
}

/// Archives are inputs of their own and not lines of a list.
fn refuse_archive(mut entry: Entry) -> Entry {
    let name = entry.source.rsplit('/').next().unwrap_or_default();
    if let FileKind::Archive | FileKind::CompressedArchive = FileKind::of(name).0 {
        entry.locator = Locator::Rejected(Rejection::new(
            Reason::Unsupported,
            "an archive in a list of cutouts: name it as an input",
        ));
    }
    entry
}

/// Notes a file that was named on its own, if it is one band.
pub(super) fn note(groups: &mut BandGroups, given: &Path) -> Result<(), ListError> {
    if let Some((_, folder, name)) = fits_place(given)? {
        groups.note(&folder, name);
    }
    Ok(())
}

/// The entry of a file that was named on its own; `None` if its group has one.
pub(super) fn entry(
    groups: &mut BandGroups,
    given: &Path,
    notes: &mut Notes,
) -> Result<Option<Entry>, ListError> {
    if let Some((parent, folder, name)) = fits_place(given)? {
        match groups.role(parent, &folder, name) {
            Role::Alone => {}
            Role::Leader(entry) => return Ok(Some(entry)),
            Role::Member => return Ok(None),
            Role::Companion => {
                notes.skip(given);
                return Ok(None);
            }
        }
    }
    Ok(Some(file_entry(given, absolute(given)?)))
}

/// Parent as given, parent in absolute form, and name of a FITS file. Objects
/// of a store are not put together: a band of a galaxy may be a page away.
fn fits_place(given: &Path) -> Result<Option<(&Path, PathBuf, &str)>, ListError> {
    let Some(name) = given.file_name().and_then(OsStr::to_str) else { return Ok(None) };
    if is_remote(given) {
        return Ok(None);
    }
    if FileKind::of(name).0 != FileKind::Fits {
        return Ok(None);
    }
    let mut folder = absolute(given)?;
    folder.pop();
    Ok(Some((given.parent().unwrap_or(Path::new("")), folder, name)))
}
