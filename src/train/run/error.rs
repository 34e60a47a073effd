//! Why a training run could not begin or go on.

use std::path::PathBuf;

use crate::cutout::Rejection;
use crate::engine::{EngineError, InferenceError, LearnError};
use crate::labels::LabelError;
use crate::model::import::ImportError;
use crate::model::model_file::ModelError;
use crate::model::saved_weights::SavedWeightsError;
use crate::model::weights::WeightsError;
use crate::pipeline::threads::{NoThreads, REFUSED};
use crate::source::list::ListError;
use crate::storage::json::Sentences;
use crate::storage::{Difference, StorageError};

/// Why a training run could not begin or go on. What is on disk stays, and
/// the same command goes on from it once the reason is gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The inputs cannot be listed.
    #[error(transparent)]
    List(#[from] ListError),
    /// The labels cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// The images and labels do not make a training set for the recipe.
    #[error("{0}")]
    Data(String),
    /// The recipe asks for what cannot be done.
    #[error("recipe: {0}")]
    Recipe(String),
    /// The run folder cannot be used, or written into.
    #[error(transparent)]
    Folder(#[from] StorageError),
    /// The run folder is a URL.
    #[error("{}: training writes into a folder on this machine", path.display())]
    Remote {
        /// The URL.
        path: PathBuf,
    },
    /// `run.json` is there and says something else than a run does.
    #[error("{} is not a run's description: {source}", path.display())]
    BadManifest {
        /// The file.
        path: PathBuf,
        /// Where it fails to parse.
        source: serde_json::Error,
    },
    /// A later version of the program began the run.
    #[error("{}: format {found}, while this program reads up to {known}: update it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The last that this program reads.
        known: u64,
    },
    /// The folder holds a run with other settings.
    #[error("{} holds another run: name another output, or repeat the command that began this one; \
        {}", path.display(), Sentences(differences))]
    OtherRun {
        /// The folder.
        path: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// The folder holds a run with the same settings, of a network that has changed since.
    #[error(
        "{} holds a run that another version of hiwl began: the layers of {architecture} are \
         others there (run.json says which version). Name another output, or go on with that \
         version",
        path.display()
    )]
    OtherNetwork {
        /// The folder.
        path: PathBuf,
        /// The network.
        architecture: String,
    },
    /// The folder holds something that is no training run.
    #[error("{} holds {name} and no training run: name another output", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// One of its files.
        name: String,
    },
    /// Another process trains into the folder.
    #[error("{}: another process is training into it", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The initial weights cannot be read.
    #[error("initial weights: {0}")]
    InitialModel(#[from] ModelError),
    /// The same, where they are somebody else's.
    #[error("initial weights: {0}")]
    InitialWeights(#[from] ImportError),
    /// The initial weights are of another network than the recipe's.
    #[error("initial weights: {}: {what}", path.display())]
    Initial {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Weights that a run kept cannot be read or written.
    #[error(transparent)]
    SavedWeights(SavedWeightsError),
    /// A checkpoint is damaged, or of another run.
    #[error("{}: {what}; without this file the run goes on from before it", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Weights and architecture do not agree.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// No engine trains what is asked for where it is asked for.
    #[error(transparent)]
    Engine(EngineError),
    /// The network could not learn: the GPU is gone.
    #[error(transparent)]
    Learn(LearnError),
    /// A network could not be run.
    #[error(transparent)]
    Network(#[from] InferenceError),
    /// The model could not be written.
    #[error(transparent)]
    Model(ModelError),
    /// An image that could be read when the run began.
    #[error("image {id} cannot be read any more: {rejection}")]
    Image {
        /// Its id.
        id: String,
        /// What is wrong with it now.
        rejection: Rejection,
    },
    /// The loss or the weights are not finite any more.
    #[error(
        "{model}: {what} not finite at step {step} of epoch {epoch} (both from 1); {}. A smaller \
         learning rate or a longer warm-up may help",
        last_good(checkpoint.as_ref())
    )]
    Diverged {
        /// Which model of the run.
        model: String,
        /// `the loss is` or `the weights are`.
        what: &'static str,
        /// The epoch, from 1.
        epoch: u32,
        /// The step within the epoch, from 1.
        step: u64,
        /// The last checkpoint before it.
        checkpoint: Option<PathBuf>,
    },
    /// The run learns in what this processor does not multiply.
    #[error(
        "this run learns in {name}, which this processor does not multiply: go on with it where one \
         does (AVX-512 BF16), or begin another with --precision f32"
    )]
    NoPrecision {
        /// Its name.
        name: &'static str,
    },
    /// Nothing learns in it anywhere.
    #[error("networks do not learn in {name}: --precision f32, or bf16")]
    NoLearning {
        /// Its name.
        name: &'static str,
    },
    /// The threads could not be started.
    #[error("{0}: {REFUSED}")]
    Threads(#[from] NoThreads),
    /// A stage's thread could not be started.
    #[error("{0}: {REFUSED}")]
    NoThread(String),
    /// A worker panicked.
    #[error("{0}: this is a defect of hiwl; please report it")]
    Panic(String),
}

impl From<SavedWeightsError> for TrainError {
    fn from(error: SavedWeightsError) -> Self {
        match error {
            SavedWeightsError::Damaged { path, what } => Self::Checkpoint { path, what },
            error => Self::SavedWeights(error),
        }
    }
}

impl From<EngineError> for TrainError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Weights(error) => Self::Weights(error),
            error => Self::Engine(error),
        }
    }
}

impl From<LearnError> for TrainError {
    fn from(error: LearnError) -> Self {
        match error {
            LearnError::Weights(error) => Self::Weights(error),
            error => Self::Learn(error),
        }
    }
}

fn last_good(checkpoint: Option<&PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("the last good checkpoint is {}", path.display()),
        None => "there is no checkpoint yet".into(),
    }
}

impl TrainError {
    /// Whether something else must be asked for: trying again will not help.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::List(_)
            | Self::Labels(_)
            | Self::Data(_)
            | Self::Recipe(_)
            | Self::NotEmpty { .. }
            | Self::Remote { .. }
            | Self::OtherRun { .. }
            | Self::OtherNetwork { .. }
            | Self::Newer { .. }
            | Self::Busy { .. }
            | Self::InitialModel(_)
            | Self::InitialWeights(_)
            | Self::NoPrecision { .. }
            | Self::NoLearning { .. }
            | Self::Initial { .. } => true,
            Self::Folder(error) => error.is_usage(),
            Self::SavedWeights(_) => true,
            Self::Engine(error) => error.is_usage(),
            Self::Learn(LearnError::Gpu(error)) => error.is_usage(),
            _ => false,
        }
    }
}
