//! Why a page or a sheet could not be made.

use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::classify::ClassifyError;
use crate::export::ExportError;
use crate::labels::LabelError;
use crate::model::model_file::ModelError;
use crate::run::RunError;
use crate::storage::StorageError;
use crate::train::history::HistoryError;

/// Why a page or a sheet could not be made. Nothing is left of it then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Rows cannot be picked.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The run cannot be opened.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The system refused to write, or to read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A sheet is asked for under a name that says no format.
    #[error("{}: a contact sheet is a .png, .jpg or .jpeg", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// More pictures than a sheet holds.
    #[error("{asked} pictures on one sheet: at most {most} fit; ask for fewer rows (--top)")]
    TooMany {
        /// So many.
        asked: usize,
        /// So many fit.
        most: usize,
    },
    /// No row has a place on the sheet.
    #[error("no row is there to be shown")]
    NoRows,
    /// The labels cannot be read.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// The model file cannot be.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The epochs of a training run cannot be.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Its networks cannot be asked where they see an answer.
    #[error(transparent)]
    Explain(#[from] ClassifyError),
    /// The model file is not the one that made the catalog.
    #[error("{}: another model (SHA-256 {found}) than that of the run ({known})", path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// That of the run.
        known: String,
    },
    /// Something was asked for that the run has no place for.
    #[error("{what}: the folder is that of {kind}, whose page does not take it")]
    NotOfThisRun {
        /// The flag.
        what: &'static str,
        /// What the folder holds.
        kind: &'static str,
    },
    /// Known labels, none of a galaxy of the catalog.
    #[error(
        "none of the {labels} known labels is of a row: ids are matched as they are written (--id \
         names their column)"
    )]
    OtherGalaxies {
        /// How many labels there are.
        labels: u64,
    },
    /// A file of a training run is not what it is called.
    #[error("{}: {what}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A picture cannot be encoded: a defect of the program.
    #[error("a picture cannot be encoded: {0}; this is a defect of hiwl")]
    Encode(String),
}

impl PageError {
    /// Whether repeating the same command would fail the same way.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_usage(),
            Self::Export(error) => error.is_usage(),
            Self::Run(error) => error.is_usage(),
            Self::Explain(error) => error.is_usage(),
            Self::Storage(error) => error.is_usage(),
            Self::Labels(_)
            | Self::Model(_)
            | Self::OtherModel { .. }
            | Self::NotOfThisRun { .. }
            | Self::OtherGalaxies { .. }
            | Self::Format { .. }
            | Self::TooMany { .. }
            | Self::NoRows => true,
            Self::History(_) | Self::BadFile { .. } | Self::Encode(_) => false,
        }
    }
}
