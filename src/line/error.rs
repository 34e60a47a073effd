//! Why a line could not begin, or a part of it not be kept.

use std::path::PathBuf;

/// What is wrong with the inputs as a whole, or with what is asked of their
/// colours. What is wrong with a single cutout is that cutout's value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// What was asked of colours and scale makes no sense.
    #[error("{0}")]
    Looks(String),
    /// The model names an RGB profile that this program does not have.
    #[error(
        "the model needs the RGB profile `{name}`, which this program does not know: update it"
    )]
    UnknownProfile {
        /// Its name.
        name: String,
    },
    /// A folder or an archive that was listed is not there any more.
    #[error("{} was listed and is gone ({source}): is its disk mounted? Once it is back, the run goes on", path.display())]
    SourceGone {
        /// The input.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// An archive is not the one that was listed.
    #[error("{} is not as it was when it was listed ({what}): put it back, or plan another run", path.display())]
    SourceChanged {
        /// The archive.
        path: PathBuf,
        /// In what.
        what: String,
    },
}

impl LineError {
    /// Whether something else must be asked for: trying again will not help.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Looks(_) | Self::UnknownProfile { .. } => true,
            Self::SourceGone { .. } | Self::SourceChanged { .. } => false,
        }
    }
}
