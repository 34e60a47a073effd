//! `hiwl train` as a library: images, labels and a recipe in, a model out.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `data` | images joined with labels, looked at once |
//! | `feed` | the line from a list of images to batches |
//! | `plan` | what a model learns from, in which order |
//! | `initial` | what it starts from |
//! | `learner` | network, optimiser and average of weights |
//! | `kept` | features of frozen backbones, computed once |
//! | `session` | epochs of steps, validation, when to save |
//! | `judge` | networks on validation images |
//! | `state`, `checkpoint`, `folder` | what is on disk |
//! | `finish` | the best epochs together, and the model file |
//! | `average` | one model of the weights that runs kept |
//!
//! Invariant: the same recipe, data and initial weights give the same model
//! bit for bit on one kind of processor and in one precision, with any number of
//! workers, however often the run was stopped.

mod average;
mod checkpoint;
pub mod data;
mod error;
mod feed;
mod finish;
mod folder;
mod initial;
mod judge;
mod kept;
mod learner;
mod plan;
mod session;
mod state;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

pub use self::average::average;
pub use self::data::TrainingData;
pub use self::error::TrainError;
use self::{
    data::Dataset,
    folder::{Folder, Said},
    initial::Initial,
    plan::Plan,
};
use crate::engine::{Device, Engine, EngineError, Precision, open};
use crate::events::{Event, Listener, TrainingEvent};
use crate::metrics;
use crate::model::architecture::Architecture;
use crate::pipeline::{self, Failure, Outcome, Stop};
use crate::storage::place;
use crate::train::recipe::{Model, Recipe};
use crate::words::{count, counted};

/// What a run needs to know, every choice made.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Images and labels.
    pub data: TrainingData,
    /// How to learn, with the seed asked for.
    pub recipe: Recipe,
    /// The run's folder.
    pub output: PathBuf,
    /// What the models start from; random weights if not given.
    pub initial: Option<PathBuf>,
    /// Whether only classifiers learn.
    pub freeze: bool,
    /// Where the networks learn, and are judged.
    pub device: Device,
    /// How numbers are held and multiplied; as the run that goes on does, else
    /// the fastest, if not given.
    pub precision: Option<Precision>,
    /// Threads that decode, that augment, and that learn.
    pub workers: usize,
    /// A checkpoint within an epoch this often.
    pub checkpoint_every: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub struct TrainReport {
    /// How good the result is on validation; `None` if the run was stopped.
    pub evaluation: Option<metrics::ClassificationReport>,
    /// The model file; `None` if the run was stopped.
    pub model: Option<PathBuf>,
    /// Where the weights of the best epochs are.
    pub checkpoints: PathBuf,
    /// The epochs that were chosen, by model.
    pub epochs: Vec<(String, u32)>,
}

/// A run under way: what all its models share.
struct Run {
    recipe: Recipe,
    architecture: Architecture,
    initial: Initial,
    freeze: bool,
    /// Whether features of the frozen backbones are kept, and which are by now.
    keeps: bool,
    kept: kept::Kept,
    device: Device,
    precision: Precision,
    data: Dataset,
    /// The name of the images' profile in a model file.
    colours: String,
    folder: Folder,
    pool: Arc<rayon::ThreadPool>,
    stop: Stop,
    listener: Arc<dyn Listener>,
    checkpoint_every: Duration,
}

impl Run {
    /// Tells what a person should know.
    fn note(&self, text: &str) {
        self.listener.tell(Event::Note(text));
    }

    fn tell(&self, event: TrainingEvent<'_>) {
        self.listener.tell(Event::Training(event));
    }

    /// Names of the outputs of all models.
    fn outputs(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let names_of = |model: &Model| match model.votes {
            None => model.output_names(),
            Some(_) => model.questions.clone(),
        };
        for name in self.recipe.models.iter().flat_map(names_of) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Trains the recipe's models, or what of them is left to train. `stop` ends
/// the run early, with a checkpoint.
///
/// # Errors
/// [`TrainError`]; what is on disk stays, and the same call goes on.
pub fn run(
    options: &TrainOptions,
    listener: &Arc<dyn Listener>,
    stop: &Stop,
) -> Result<TrainReport, TrainError> {
    let recipe = &options.recipe;
    recipe.check().map_err(TrainError::Recipe)?;
    let initial = Initial::read(options.initial.as_deref())?;
    let architecture = initial.architecture(recipe)?;
    let lock = Folder::lock(&options.output)?;
    if !options.freeze {
        // A classifier may learn from features, on the processor.
        can_learn(recipe, options.device)?;
    }
    let said = Folder::said(&options.output)?;
    let precision = precision(options, &architecture, said.as_ref())?;
    let workers = options.workers.max(1);
    let pool = pipeline::threads::pool("learn", workers)?;
    // A run of before blank pictures were left out goes on with them.
    let must_show = said.as_ref().is_none_or(|said| said.blank_left_out);
    let mut settings = folder::Settings {
        format: folder::FORMAT,
        version: env!("CARGO_PKG_VERSION"),
        recipe,
        data: "",
        train_images: 0,
        val_images: 0,
        initial: initial.identity(),
        freeze: options.freeze,
        features: None,
        blank_left_out: must_show,
        backbone_revision: architecture.backbone.revision(),
        reading: folder::Read::of(&options.data),
        precision,
    };
    Folder::refuse_other(&options.output, &settings)?;
    listener.tell(Event::Note("looking at every image"));
    let told = (&*options.output, &**listener);
    let found = Dataset::read(&options.data, recipe, must_show, workers, told, stop)?;
    let Some(data) = found else {
        let checkpoints = options.output.join("checkpoints");
        return Ok(TrainReport { evaluation: None, model: None, checkpoints, epochs: Vec::new() });
    };
    data.notes.iter().for_each(|note| listener.tell(Event::Note(note)));
    listener.tell(Event::Note(&format!(
        "{} to learn, {} to judge by",
        counted(data.train.len() as u64, "image", "images"),
        count(data.val.len() as u64)
    )));
    let keeps = keeps(options, said.as_ref(), &data, &architecture, listener.as_ref());
    settings.data = &data.digest;
    (settings.train_images, settings.val_images) = (data.train.len(), data.val.len());
    settings.features = keeps.then_some("kept");
    info!(
        device = %options.device, workers, architecture = architecture.name, data = data.digest,
        "images are read"
    );
    let folder = Folder::open(&options.output, lock, &settings)?;
    let run = Arc::new(Run {
        recipe: recipe.clone(),
        architecture,
        initial,
        freeze: options.freeze,
        keeps,
        kept: kept::Kept::default(),
        device: options.device,
        precision,
        data,
        colours: options.data.colours.clone(),
        folder,
        pool: Arc::new(pool),
        stop: stop.clone(),
        listener: Arc::clone(listener),
        checkpoint_every: options.checkpoint_every,
    });
    let mut report = TrainReport {
        evaluation: None,
        model: None,
        checkpoints: run.folder.checkpoints(),
        epochs: Vec::new(),
    };
    let plans: Vec<Arc<Plan>> =
        recipe.models.iter().map(|model| Arc::new(Plan::new(recipe, model, &run.data))).collect();
    let mut states = Vec::new();
    for (index, plan) in plans.iter().enumerate() {
        let later: f64 = plans[index + 1..].iter().map(|plan| plan.pixels_after(0, 0)).sum();
        let state = session::train(&run, plan, &states, later)?;
        if !state.finished {
            return Ok(report);
        }
        states.push(state);
    }
    if let Some(finished) = finish::finished(&run)? {
        run.note("the run was finished: its model and evaluation stay as they are");
        report.model = Some(run.folder.model());
        report.evaluation = Some(finished.report);
        report.epochs = finished.epochs.into_iter().collect();
        return Ok(report);
    }
    let history: Vec<_> = states.iter().flat_map(|state| state.history.iter().cloned()).collect();
    listener.tell(Event::Note("scoring the epochs that were kept"));
    // Of another model, until the one that is made is there.
    place::remove(&run.folder.evaluation())?;
    if let Some(finished) = finish::finish(&run, &states)? {
        let text = finished.report.to_json().map_err(|e| TrainError::Panic(e.to_string()))?;
        run.folder.write(&run.folder.evaluation(), text.as_bytes())?;
        run.folder.write_history(&history, &run.outputs())?;
        report.model = Some(run.folder.model());
        report.evaluation = Some(finished.report);
        report.epochs = finished.epochs.into_iter().collect();
    }
    Ok(report)
}

/// Whether the recipe's models are learned on a device; frozen ones may be anyway, if
/// their features are kept.
///
/// # Errors
/// [`EngineError::NoBackbone`], [`EngineError::NoVotes`], [`EngineError::NoLayerRates`].
pub fn can_learn(recipe: &Recipe, device: Device) -> Result<(), EngineError> {
    let Some(architecture) = Architecture::named(&recipe.architecture) else { return Ok(()) };
    recipe.models.iter().try_for_each(|model| {
        let rates = learner::layer_rates(recipe.training(model), &architecture);
        open::can_learn(device, architecture.backbone, &learner::loss(model), &rates)
    })
}

/// The precision that is asked for, or that of the run that goes on, or the
/// fastest.
fn precision(
    options: &TrainOptions,
    architecture: &Architecture,
    said: Option<&Said>,
) -> Result<Precision, TrainError> {
    let on_cpu = options.device == Device::Cpu;
    let unsaid = if on_cpu { Precision::F32 } else { Precision::Bf16 };
    let engine = Engine::on(options.device, None, [architecture])?;
    let precision = match options.precision {
        Some(precision) => precision,
        None => said.map_or_else(|| engine.fastest(), |said| said.precision.unwrap_or(unsaid)),
    };
    let name = precision.name();
    if !precision.is_learned_in() {
        return Err(TrainError::NoLearning { name });
    }
    if !engine.computes(precision) {
        return Err(TrainError::NoPrecision { name });
    }
    Ok(precision)
}

/// Whether features of frozen backbones are kept. A run of before they were goes on
/// without.
fn keeps(
    options: &TrainOptions,
    said: Option<&Said>,
    data: &Dataset,
    architecture: &Architecture,
    listener: &dyn Listener,
) -> bool {
    // The classifier that learns from features is the fused engine's.
    let has_fused = architecture.backbone.is_default();
    if !options.freeze || !has_fused || said.is_some_and(|said| said.features.is_none()) {
        return false;
    }
    let applies = kept::applies(&options.recipe, data, architecture.plan().features);
    if let Err(why) = &applies {
        listener.tell(Event::Note(why));
    }
    applies.is_ok()
}

/// Whether a line of stages came to its end; `false` if the run is stopped.
fn ended(outcome: Outcome<TrainError>) -> Result<bool, TrainError> {
    match outcome.result {
        Ok(()) => Ok(true),
        Err(Failure::Interrupted) => Ok(false),
        Err(Failure::Stage { error, .. }) => Err(error),
        Err(failure @ Failure::Thread { .. }) => Err(TrainError::NoThread(failure.to_string())),
        Err(failure @ Failure::Panic { .. }) => Err(TrainError::Panic(failure.to_string())),
    }
}
