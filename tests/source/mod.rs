//! Listing inputs and reading cutouts, on files that the tests make.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use hiwl::cutout::{Payload, Reason, Rejection};
use hiwl::source::list::{ListError, ListOptions, Lister, Problem};
use hiwl::source::read::Reader;
use hiwl::source::{Entry, Locator};

mod archives;
mod folders;
mod join;
mod lists;
mod reading;
mod real;
mod tables;

/// A whole listing.
#[derive(Debug)]
struct Listing {
    entries: Vec<Entry>,
    carried: Vec<Option<RecordBatch>>,
    schema: Schema,
    problems: Vec<Problem>,
    skipped: u64,
}

impl Listing {
    fn ids(&self) -> Vec<&str> {
        self.entries.iter().map(|e| e.id.as_str()).collect()
    }

    /// Reason of each entry's rejection, `None` for the readable ones.
    fn reasons(&self) -> Vec<Option<Reason>> {
        self.entries.iter().map(|e| rejection(e).map(|r| r.reason)).collect()
    }

    fn entry(&self, id: &str) -> &Entry {
        self.entries.iter().find(|e| e.id == id).unwrap_or_else(|| panic!("no {id} in {self:#?}"))
    }
}

fn rejection(entry: &Entry) -> Option<&Rejection> {
    match &entry.locator {
        Locator::Rejected(rejection) => Some(rejection),
        _ => None,
    }
}

/// The options of a run on i, r, g.
fn irg() -> ListOptions {
    ListOptions { bands: ["i", "r", "g"].map(String::from).into(), ..ListOptions::default() }
}

fn carrying(columns: &[&str]) -> ListOptions {
    ListOptions { carry: columns.iter().map(|c| (*c).to_owned()).collect(), ..irg() }
}

fn try_list<P: AsRef<Path>>(inputs: &[P], options: ListOptions) -> Result<Listing, ListError> {
    let inputs: Vec<PathBuf> = inputs.iter().map(|p| p.as_ref().to_owned()).collect();
    let mut lister = Lister::open(&inputs, options)?;
    let (mut entries, mut carried) = (Vec::new(), Vec::new());
    for chunk in lister.by_ref() {
        let chunk = chunk?;
        assert!(!chunk.entries.is_empty() && chunk.entries.len() <= 4096);
        if let Some(batch) = &chunk.carried {
            assert_eq!(batch.num_rows(), chunk.entries.len());
        }
        entries.extend(chunk.entries);
        carried.push(chunk.carried);
    }
    assert!(lister.next().is_none(), "a lister that ended begins again");
    assert_eq!(lister.problem_count(), lister.problems().len() as u64);
    Ok(Listing {
        entries,
        carried,
        schema: lister.carried().clone(),
        problems: lister.problems().to_vec(),
        skipped: lister.skipped(),
    })
}

fn list<P: AsRef<Path>>(inputs: &[P]) -> Listing {
    try_list(inputs, irg()).unwrap()
}

/// Writes files below a folder, with their own names as content.
fn touch(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
    }
}

fn link(target: impl AsRef<Path>, path: PathBuf) {
    symlink(target, path).unwrap();
}

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The bytes of an entry with one file.
fn bytes_of(reader: &mut Reader, entry: &Entry) -> Vec<u8> {
    match reader.read(&entry.locator) {
        Ok(Payload::Single(bytes)) => bytes,
        other => panic!("{entry:?}: {other:?}"),
    }
}

/// Whether permissions mean nothing to whoever runs the tests.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}
