//! Why a classification could not begin or go on.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::words::counted;
use crate::{
    catalog::CatalogError,
    cutout::Rejection,
    engine::{Engine, EngineError, InferenceError, cuda::CudaError},
    line::LineError,
    model::{model_file::ModelError, weights::WeightsError},
    pipeline::{
        Failure,
        threads::{NoThreads, REFUSED},
    },
    run::RunError,
    source::list::ListError,
    storage::{StorageError, patience::may_pass},
};

/// Why a classification could not begin or go on. What is wrong with a single
/// cutout is never here: it is that cutout's row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassifyError {
    /// The inputs cannot be listed.
    #[error(transparent)]
    List(#[from] ListError),
    /// The model file cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network cannot be built from the model's weights.
    #[error("the model's weights: {0}")]
    Weights(#[from] WeightsError),
    /// The pipeline and the model contradict one another.
    #[error("the pipeline asks for {what} `{asked}`, the model was trained with `{model}`")]
    Mismatch {
        /// What of.
        what: &'static str,
        /// The pipeline's.
        asked: String,
        /// The model's.
        model: String,
    },
    /// The model does not hold so many principal components.
    #[error("{asked} components of the features are asked for, and the model holds {}", match held {
        0 => "none: `hiwl model oddness` fits them".to_owned(),
        held => format!("{held}"),
    })]
    Components {
        /// How many are asked for.
        asked: usize,
        /// How many there are.
        held: usize,
    },
    /// The model's tree has no such answer, or several.
    #[error("`{asked}` is not one answer of the model: name one of {known}")]
    Answer {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
    /// Heat maps that have not one size.
    #[error(
        "maps of {sides} pixels a side fit into no array: name an answer of one network (--class)"
    )]
    Maps {
        /// The sizes, each with a network.
        sides: String,
    },
    /// The model file is another than the one that was opened.
    #[error("{}: the file was changed since the model was opened: open it again", path.display())]
    ModelChanged {
        /// The file.
        path: PathBuf,
    },
    /// More pictures than fit on a sheet.
    #[error("{}: {found} pictures, and a sheet holds {most}", path.display())]
    Sheet {
        /// The sheet.
        path: PathBuf,
        /// How many there are.
        found: usize,
        /// How many it holds.
        most: usize,
    },
    /// Concentrations are asked for, of a model that has none.
    #[error(
        "the model has no concentrations: it did not learn numbers of votes (`votes = \"counts\"` \
         in a recipe)"
    )]
    NoConcentrations,
    /// Votes are about other questions than the model's.
    #[error(
        "no question is one of the model's with all its answers; the table has {found}, the model {known}"
    )]
    OtherQuestions {
        /// Those of the table.
        found: String,
        /// Those of the model.
        known: String,
    },
    /// A picture, or the folder of pictures, cannot be written.
    #[error("{}: {source}", path.display())]
    Pictures {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is asked of colours makes no sense, or inputs are not as they were
    /// listed.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The processor does not have the precision.
    #[error(
        "this processor has no {name} arithmetic: run where it has, or begin (or plan) another run \
         with --precision f32; one that began with {name} goes on with it alone"
    )]
    NoPrecision {
        /// Its name.
        name: &'static str,
    },
    /// No engine computes what is asked for where it is asked for.
    #[error(transparent)]
    Engine(EngineError),
    /// The catalog cannot be written, or verified.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The run folder cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// `plan.json` holds options that are not this program's.
    #[error("{}: plan.json: {source}; plan again with this version of the program", path.display())]
    Plan {
        /// The run's folder.
        path: PathBuf,
        /// What does not agree.
        source: serde_json::Error,
    },
    /// A stop was asked for before the inputs were listed.
    #[error("stopped while the inputs were being listed: nothing was begun")]
    Stopped,
    /// No image to evaluate on has a label.
    #[error("none of {} has one of {}: do their ids agree?",
        counted(*images as u64, "image", "images"), counted(*labels as u64, "label", "labels"))]
    NothingLabelled {
        /// Images found.
        images: usize,
        /// Labels asked for.
        labels: usize,
    },
    /// The GPU cannot be used.
    #[error("{device}: {source}")]
    Gpu {
        /// Which was asked for.
        device: super::Device,
        /// What is wrong with it.
        source: CudaError,
    },
    /// The networks could not be run.
    #[error(transparent)]
    Network(#[from] InferenceError),
    /// The threads could not be started.
    #[error("{0}: {REFUSED}")]
    Threads(#[from] NoThreads),
    /// A picture that cannot be classified, where it was the only one.
    #[error("{0}")]
    Picture(Rejection),
    /// A stage's thread could not be started.
    #[error("{0}: {REFUSED}")]
    NoThread(String),
    /// A library was refused memory.
    #[error("{0}: {REFUSED}")]
    NoMemory(String),
    /// A worker panicked.
    #[error("{0}: this is a defect of hiwl; please report it")]
    Panic(String),
}

impl From<Failure<Self>> for ClassifyError {
    fn from(failure: Failure<Self>) -> Self {
        match failure {
            Failure::Stage { error, .. } => error,
            Failure::Interrupted => Self::Stopped,
            Failure::Thread { .. } => Self::NoThread(failure.to_string()),
            // The only word that zstd has for memory which was refused.
            Failure::Panic { ref message, .. } if message.contains("zstd returned null") => {
                Self::NoMemory(failure.to_string())
            }
            Failure::Panic { .. } => Self::Panic(failure.to_string()),
        }
    }
}

impl From<EngineError> for ClassifyError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Weights(error) => Self::Weights(error),
            EngineError::Gpu { device, source } => Self::Gpu { device, source },
            EngineError::NoPrecision { engine: Engine::Fused, precision } => {
                Self::NoPrecision { name: precision.name() }
            }
            error => Self::Engine(error),
        }
    }
}

impl ClassifyError {
    /// Whether something else must be asked for: trying again will not help.
    pub fn is_usage(&self) -> bool {
        match self {
            // What a disk refuses today it may give tomorrow.
            Self::List(ListError::Io { source, .. }) => {
                use std::io::ErrorKind::{
                    InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
                    Unsupported,
                };
                let asked = [
                    InvalidInput,
                    IsADirectory,
                    NotADirectory,
                    NotFound,
                    PermissionDenied,
                    Unsupported,
                ];
                asked.contains(&source.kind())
            }
            Self::Model(ModelError::Unreadable { source, .. }) => !may_pass(source),
            Self::List(_)
            | Self::Model(_)
            | Self::Weights(_)
            | Self::Mismatch { .. }
            | Self::Components { .. }
            | Self::Answer { .. }
            | Self::Maps { .. }
            | Self::ModelChanged { .. }
            | Self::Sheet { .. }
            | Self::NoConcentrations
            | Self::OtherQuestions { .. }
            | Self::NoPrecision { .. }
            | Self::Plan { .. }
            | Self::NothingLabelled { .. } => true,
            // A place that cannot be written to, or is in use; a full disk is nobody's mistake.
            Self::Pictures { source, .. } => matches!(
                source.kind(),
                ErrorKind::AlreadyExists
                    | ErrorKind::DirectoryNotEmpty
                    | ErrorKind::NotADirectory
                    | ErrorKind::NotFound
                    | ErrorKind::PermissionDenied
                    | ErrorKind::ReadOnlyFilesystem
            ),
            Self::Line(error) => error.is_usage(),
            Self::Catalog(error) => error.is_usage(),
            Self::Run(error) => error.is_usage(),
            Self::Storage(error) => error.is_usage(),
            Self::Engine(error) => error.is_usage(),
            Self::Gpu { source, .. } => source.is_usage(),
            Self::Network(_)
            | Self::Threads(_)
            | Self::NoThread(_)
            | Self::NoMemory(_)
            | Self::Picture(_)
            | Self::Stopped
            | Self::Panic(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_refused_is_no_defect() {
        let panicked = |message: &str| {
            let failure = Failure::Panic { stage: "catalog", message: message.to_owned() };
            ClassifyError::from(failure)
        };
        let refused = panicked("zstd returned null pointer when creating new context");
        assert!(refused.to_string().contains("memory"), "{refused}");
        assert!(!refused.to_string().contains("defect"), "{refused}");
        assert!(panicked("index out of bounds").to_string().contains("defect"));
    }
}
