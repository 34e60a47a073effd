//! `hiwl report`: a run as one page, a file that needs nothing else.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `gather` | one look at every row of a catalog |
//! | `labelled` | the same rows held against known labels |
//! | `galaxies` | the pictures of those that are shown |
//! | `heat` | where the model saw its worst mistakes |
//! | `catalog` | the page of a catalog |
//! | `truth` | its part against known labels |
//! | `training` | the page of a training run |
//! | `augmentation` | what happens to its pictures |
//! | `html` | what both pages are made of |
//!
//! Invariants: the page asks nothing of any place, and forbids itself to
//! (Content-Security-Policy); without scripts it says the same. Whatever comes from
//! ids, paths, columns and classes is text (maud escapes it) in which nothing acts
//! (`storage/shown.rs`).

mod augmentation;
mod catalog;
mod galaxies;
mod gather;
mod heat;
mod html;
mod labelled;
mod training;
mod truth;

use std::path::{Path, PathBuf};

use crate::labels::{LabelColumns, LabelTable, Split};
use crate::page::PageError;
use crate::run::RunFolder;
use crate::storage::output;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct ReportOptions {
    /// The folder of a run, of classifying or of training.
    pub run: PathBuf,
    /// A table of known labels that a catalog is held against.
    pub labels: Option<PathBuf>,
    /// Its column of ids, if it is called otherwise than usual.
    pub id_column: Option<String>,
    /// Only labels of this split.
    pub split: Option<Split>,
    /// The model file of the run, of which the page then tells what it says of itself
    /// and, with known labels, where it saw its worst mistakes.
    pub model: Option<PathBuf>,
    /// A picture on which a training run's augmentation is shown.
    pub example: Option<PathBuf>,
    /// The page.
    pub output: PathBuf,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Bytes of the page.
    pub bytes: u64,
    /// Rows of the catalog, or epochs of the training run.
    pub rows: u64,
    /// Pictures on the page, and rows that are shown without one.
    pub pictures: u64,
    /// Rows that are shown without a picture.
    pub without: u64,
}

/// Writes the page.
///
/// # Errors
/// [`PageError`]; then there is no page, and one that was there is as it was.
pub fn write(options: &ReportOptions) -> Result<Reported, PageError> {
    let inputs = [&options.labels, &options.model, &options.example];
    let inputs: Vec<&Path> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
    output::refuse_all(&[(Some(&options.output), output::HTML)], &inputs)?;
    let (page, mut reported) = if gather::is_training(&options.run)? {
        let of_catalogs = [("--labels", &options.labels), ("--model", &options.model)];
        if let Some((flag, _)) = of_catalogs.iter().find(|(_, asked)| asked.is_some()) {
            return Err(PageError::NotOfThisRun { what: flag, kind: "a training run" });
        }
        training::page(options)?
    } else {
        if options.example.is_some() {
            return Err(PageError::NotOfThisRun { what: "--example", kind: "a catalog" });
        }
        let run = RunFolder::open(&options.run)?;
        let known = options.labels.as_ref().map(|path| known(&run, path, options));
        catalog::page(&run, options, known.transpose()?)?
    };
    reported.bytes = page.len() as u64;
    output::write(&options.output, page.as_bytes(), &inputs)?;
    Ok(reported)
}

/// The known labels of the classes of a run's model.
fn known(
    run: &RunFolder,
    path: &Path,
    options: &ReportOptions,
) -> Result<labelled::Labelled, PageError> {
    let classes = run.manifest().settings.model.scheme().tree().class_names();
    let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
    let split = options.split;
    let columns = LabelColumns {
        id: options.id_column.as_deref(),
        split: split.map(|_| "split"),
        foreign_splits: split.is_none(),
    };
    let of = ("the run's model", &classes[..]);
    let (table, left) = LabelTable::read_within(path, of, columns)?;
    Ok(labelled::Labelled::new(&table, split, left.note()))
}
