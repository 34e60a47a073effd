//! Everything that decides a training run, as a file: `pipelines/train-*.toml`.
//!
//! A recipe says how to learn, not from what: images, labels and initial
//! weights are named on the command line. With them and the same program, the
//! same recipe gives the same weights. There are no defaults for what changes
//! a result, so that a file shows all of it; unknown fields are an error, so
//! that a misspelt one does not go unnoticed.
//!
//! Invariant: a [`Recipe`] from [`Recipe::read`] has passed
//! [`Recipe::check`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::cutout::augment::Augmentation;
use crate::labels::sampler::Sampling;
use crate::limits::settings::{RECIPE_MODELS, TOML};
use crate::model::architecture::Architecture;
use crate::storage::file;
use crate::tree::{Calibration, Combined, Scheme, Tree, galaxy_zoo, hiwl};
use crate::words::{did_you_mean, suggesting};

/// The recipes that the program holds.
const BUILT_IN: [(&str, &str); 9] = [
    ("train-hiwl", include_str!("../../pipelines/train-hiwl.toml")),
    ("train-slwslm", include_str!("../../pipelines/train-slwslm.toml")),
    ("train-hmws", include_str!("../../pipelines/train-hmws.toml")),
    ("train-plain", include_str!("../../pipelines/train-plain.toml")),
    ("train-best", include_str!("../../pipelines/train-best.toml")),
    ("train-refine", include_str!("../../pipelines/train-refine.toml")),
    ("train-robust", include_str!("../../pipelines/train-robust.toml")),
    ("train-distil", include_str!("../../pipelines/train-distil.toml")),
    ("train-pair", include_str!("../../pipelines/train-pair.toml")),
];

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Neither a file nor the name of a built-in recipe.
    #[error("recipe {path}: cannot be read: {source}; built in are {built_in}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
        /// Names of the recipes that the program holds.
        built_in: String,
    },
    /// Not the TOML of a recipe.
    #[error("recipe {path}: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        source: Box<toml::de::Error>,
    },
    /// A value that makes no sense.
    #[error("recipe {path}: {what}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        what: String,
    },
}

/// Everything that decides a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// How the recipe is called.
    pub name: String,
    /// What it is for.
    pub title: String,
    /// Of everything that is random: split, order, augmentation, dropout,
    /// weights that no file initialises.
    pub seed: u64,
    /// The backbone of every model, such as `efficientnet-b1` or `resnet50`; a file
    /// may call it `backbone`.
    #[serde(alias = "backbone")]
    pub architecture: String,
    /// Dropout before the classifier.
    pub dropout: f64,
    /// How much of a batch's statistics enters the running ones of batch norm
    /// (PyTorch's `momentum`).
    pub bn_momentum: f64,
    /// The classes of the labels, in the order of reports; a recipe of votes need
    /// not repeat those of its tree.
    #[serde(default)]
    pub classes: Vec<String>,
    /// The decision tree that leads to them, if the models' outputs are not to
    /// say: each model then names its question. A file may name one of the
    /// program's in its place (`tree = "galaxy-zoo-decals-5"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Tree>,
    /// What the networks are fed.
    pub input: Input,
    /// What happens to training images.
    pub augmentation: Augmentation,
    /// How every model learns, unless it says otherwise.
    pub training: Training,
    /// One model that tells all classes apart, or several, each of which tells
    /// apart what one output of an earlier one combines.
    pub models: Vec<Model>,
}

/// What the networks are fed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Side of the central square that validation and use see, in pixels.
    pub crop: usize,
    /// Subtracted from R, G, B scaled to 0…1.
    pub mean: [f32; 3],
    /// Then divided by.
    pub std: [f32; 3],
}

/// One network of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Such as `stage1`, or `single`.
    pub name: String,
    /// A list of classes for each output, in the order of the outputs: more
    /// than one where the model combines them. It learns from the images of
    /// these classes only. Where the recipe declares a tree they follow from
    /// the question.
    #[serde(default)]
    pub outputs: Vec<Vec<String>>,
    /// The question of the recipe's tree that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Whether it learns votes in place of classes, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<Votes>,
    /// The questions of the tree whose votes it learns; all without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<String>,
    /// How an epoch draws its images.
    pub sampling: Sampling,
    /// An earlier model of the recipe, the weights of whose best epoch this
    /// one starts from, in place of what the run starts from. Its classifier
    /// is made anew where the outputs differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_from: Option<String>,
    /// How this model learns, in place of the recipe's `training` as a whole.
    pub training: Option<Training>,
}

/// What a model learns of votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Votes {
    /// Fractions of those who were asked, by cross-entropy.
    Fractions,
    /// Numbers of votes, by the Dirichlet-multinomial likelihood (Walmsley et al.
    /// 2022): few volunteers say less than many.
    Counts,
}

/// How a model learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Images a step.
    pub batch: usize,
    /// Label smoothing α (paper, equation 5); 0 for none.
    pub smoothing: f32,
    /// Stops after so many epochs of the last phase without an improvement on
    /// validation.
    pub patience: u32,
    /// How many checkpoints to keep, the best by validation accuracy. All
    /// pairs of the two models' are scored at the end.
    pub keep: usize,
    /// So many pictures are drawn of every image, which epochs take in turn; without
    /// it each epoch draws others. Where only classifiers learn, the features of
    /// such pictures are computed once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<u32>,
    /// Exponential average of the weights, whose validation counts in place
    /// of the weights' own: the share it keeps of itself at every step.
    pub ema: Option<f64>,
    /// Each layer learns so many times as fast as the one behind it, down from the
    /// classifier, whose rate is the schedule's: layers near the pixels, which see
    /// what all galaxies have in common, change least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_decay: Option<f64>,
    /// What the rates of some layers are multiplied by, on top of it: by the names of
    /// layers, `features.0` (the stem) to `features.8` (the head), `features.2.1` (a
    /// block) and `classifier`. At 0 a layer's weights stay as they are; the running
    /// statistics of its batch norm follow the images as ever.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layer_rates: BTreeMap<String, f64>,
    /// How weights change.
    pub optimiser: Optimiser,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Sizes of the images, one after the other; the sum of the epochs is the
    /// most that are trained.
    pub phases: Vec<Phase>,
}

/// Epochs at one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// How many.
    pub epochs: u32,
    /// Side of the images in pixels, after augmentation; for validation, the
    /// central square resized.
    pub size: usize,
}

/// How weights change, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Optimiser {
    /// Stochastic gradient descent with momentum, as PyTorch's `SGD`.
    Sgd {
        /// At the start of the schedule.
        learning_rate: f64,
        /// Of the running gradient.
        momentum: f64,
        /// Nesterov's variant.
        nesterov: bool,
        /// Added to the gradient, times the weight.
        weight_decay: f64,
        /// Whether vectors (batch norm, biases) decay too, as PyTorch's do
        /// unless told otherwise.
        decay_vectors: bool,
    },
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019), as
    /// PyTorch's `AdamW`.
    Adamw {
        /// At the start of the schedule.
        learning_rate: f64,
        /// Of the running gradient and of its running square.
        betas: [f64; 2],
        /// Added to the root of the square.
        epsilon: f64,
        /// Times the learning rate, taken off the weight.
        weight_decay: f64,
        /// Whether vectors (batch norm, biases) decay too.
        decay_vectors: bool,
    },
}

impl Optimiser {
    /// The learning rate at the start of the schedule.
    pub fn learning_rate(&self) -> f64 {
        match *self {
            Self::Sgd { learning_rate, .. } | Self::Adamw { learning_rate, .. } => learning_rate,
        }
    }

    fn check(&self) -> Result<(), String> {
        let share = |v: f64| (0.0..1.0).contains(&v);
        let (weight_decay, rest) = match *self {
            Self::Sgd { momentum, nesterov, weight_decay, .. } => {
                (weight_decay, share(momentum) && (!nesterov || momentum > 0.0))
            }
            Self::Adamw { betas, epsilon, weight_decay, .. } => {
                (weight_decay, betas.into_iter().all(share) && epsilon > 0.0)
            }
        };
        let rate = self.learning_rate();
        if !(rate > 0.0 && rate <= 100.0) {
            return Err("optimiser.learning_rate is not in 0…100".into());
        }
        if !(0.0..=1.0).contains(&weight_decay) {
            return Err("optimiser.weight_decay is not in 0…1".into());
        }
        if rest { Ok(()) } else { Err("optimiser: a share is not in 0…1".into()) }
    }
}

impl Training {
    /// The most epochs that are trained.
    pub fn epochs(&self) -> u32 {
        self.phases.iter().fold(0, |sum, phase| sum.saturating_add(phase.epochs))
    }

    /// The phase of an epoch, counted from 0: its place and itself. `None`
    /// after the last.
    pub fn phase(&self, epoch: u32) -> Option<(usize, Phase)> {
        let mut end = 0u32;
        self.phases.iter().copied().enumerate().find(|(_, phase)| {
            end = end.saturating_add(phase.epochs);
            epoch < end
        })
    }

    fn check(&self, crop: usize) -> Result<(), String> {
        self.optimiser.check()?;
        let sizes = |range: std::ops::RangeInclusive<usize>| {
            self.phases.iter().all(|p| range.contains(&p.size))
        };
        let factor = |v: f64| (0.0..=100.0).contains(&v);
        let last = self.phases.last().map(|p| p.size);
        let Schedule { epochs, minimum, .. } = self.schedule;
        let rules = [
            ((2..=4096).contains(&self.batch), "batch is not in 2…4096".to_owned()),
            ((0.0..1.0).contains(&self.smoothing), "smoothing is not in 0…1".into()),
            (self.patience > 0, "patience is 0".into()),
            (
                self.layer_decay.is_none_or(|d| d > 0.0 && d <= 1.0),
                "layer_decay is not above 0 and up to 1".into(),
            ),
            (
                self.layer_rates.values().copied().all(factor),
                "a factor of layer_rates is not in 0…100".into(),
            ),
            (self.views != Some(0), "views is 0: leave it out for another in every epoch".into()),
            ((1..=100).contains(&self.keep), "keep is not in 1…100".into()),
            (self.ema.is_none_or(|e| (0.0..1.0).contains(&e)), "ema is not in 0…1".into()),
            (self.phases.iter().all(|p| p.epochs > 0), "a phase has no epochs".into()),
            (sizes(32..=4096), "a phase's size is not in 32…4096".into()),
            // A model file names a crop and no resizing: what the last phase
            // learned from must be what every use of the model sees.
            (last == Some(crop), format!("the last phase's size is not input.crop, {crop}")),
            (epochs > 0, "schedule.epochs is 0".into()),
            (
                (0.0..=self.optimiser.learning_rate()).contains(&minimum),
                "schedule.minimum is not between 0 and the learning rate".into(),
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(what),
            None => Ok(()),
        }
    }
}

impl Model {
    /// The output that stands for a class; `None` if the model never sees it.
    pub fn output_of(&self, class: &str) -> Option<usize> {
        self.outputs.iter().position(|classes| classes.iter().any(|c| c == class))
    }

    /// Outputs of a model of votes: the answers to its questions.
    fn ask(&mut self, tree: Option<&Tree>) -> Result<(), String> {
        let name = self.name.clone();
        let tree =
            tree.ok_or_else(|| format!("{name}: votes need a tree that says what was asked"))?;
        if self.question.is_some() {
            return Err(format!("{name}: a model of votes names its questions"));
        }
        if self.questions.is_empty() {
            self.questions = tree.questions().iter().map(|q| q.name.clone()).collect();
        }
        let mut outputs = Vec::new();
        for question in &self.questions {
            let place = tree.question(question);
            let place =
                place.ok_or_else(|| format!("{name}: the tree has no question {question:?}"))?;
            let answers = tree.questions()[place].answers.clone();
            outputs.extend(answers.map(|answer| vec![tree.path(answer)]));
        }
        if !self.outputs.is_empty() && self.outputs != outputs {
            return Err(format!("{name}: its outputs are not the answers to its questions"));
        }
        self.outputs = outputs;
        Ok(())
    }

    /// Which outputs answer each question of a model of votes.
    pub fn ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
        let mut last = None;
        for (place, output) in self.outputs.iter().enumerate() {
            let question = output.first().and_then(|path| path.split('/').next());
            match ranges.last_mut().filter(|_| last == question) {
                Some(range) => range.end = place + 1,
                None => ranges.push(place..place + 1),
            }
            last = question;
        }
        ranges
    }

    /// Names of the outputs: combined classes are joined by `+`.
    pub fn output_names(&self) -> Vec<String> {
        self.outputs.iter().map(|classes| classes.join("+")).collect()
    }
}

impl Recipe {
    /// Names of the recipes that the program holds.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A recipe file, or the built-in recipe of this name.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn read(name_or_path: &Path) -> Result<Self, RecipeError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| Path::new(name) == name_or_path) {
            return Self::parse(text, name_or_path);
        }
        let text =
            file::read_text(name_or_path, TOML).map_err(|source| RecipeError::Unreadable {
                path: name_or_path.to_owned(),
                source,
                built_in: suggesting(
                    Self::built_in().collect::<Vec<_>>().join(", "),
                    did_you_mean(&name_or_path.to_string_lossy(), Self::built_in()).as_deref(),
                ),
            })?;
        Self::parse(&text, name_or_path)
    }

    /// A recipe from its text; `path` is for errors.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let syntax =
            |source| RecipeError::Syntax { path: path.to_owned(), source: Box::new(source) };
        let mut recipe: Self = match Self::with_named_tree(text) {
            Some(named) => named
                .map_err(|what| RecipeError::Invalid { path: path.to_owned(), what })?
                .try_into()
                .map_err(syntax)?,
            None => toml::from_str(text).map_err(syntax)?,
        };
        recipe
            .follow_the_tree()
            .map_err(|what| RecipeError::Invalid { path: path.to_owned(), what })?;
        recipe.check().map_err(|what| RecipeError::Invalid { path: path.to_owned(), what })?;
        Ok(recipe)
    }

    /// The recipe's values with the tree that it names in the place of the name;
    /// `None` if it names none.
    fn with_named_tree(text: &str) -> Option<Result<toml::Table, String>> {
        let mut values: toml::Table = toml::from_str(text).ok()?;
        let name = values.get("tree")?.as_str()?.to_owned();
        let known = || galaxy_zoo().iter().chain([hiwl()]);
        let found = known().find(|tree| tree.name() == name).ok_or_else(|| {
            let names: Vec<&str> = known().map(Tree::name).collect();
            format!("there is no tree {name:?}; there are {}", names.join(", "))
        });
        let written = found.and_then(|tree| toml::Value::try_from(tree).map_err(|e| e.to_string()));
        Some(written.map(|tree| {
            values.insert("tree".to_owned(), tree);
            values
        }))
    }

    /// How a model learns.
    pub fn training<'a>(&'a self, model: &'a Model) -> &'a Training {
        model.training.as_ref().unwrap_or(&self.training)
    }

    /// The outputs of models that name a question of the tree: the classes
    /// below each of its answers.
    fn follow_the_tree(&mut self) -> Result<(), String> {
        if let (Some(tree), true) = (&self.tree, self.classes.is_empty()) {
            self.classes = tree.class_names();
        }
        for model in &mut self.models {
            if model.votes.is_some() {
                model.ask(self.tree.as_ref())?;
                continue;
            }
            match (&self.tree, &model.question) {
                (None, None) => {}
                (None, Some(question)) => {
                    return Err(format!(
                        "{}: no tree declares the question {question:?}",
                        model.name
                    ));
                }
                (Some(_), None) => {
                    return Err(format!(
                        "{}: which question of the tree it answers is not said",
                        model.name
                    ));
                }
                (Some(tree), Some(question)) => {
                    let place = tree.question(question);
                    let place = place.ok_or_else(|| {
                        format!("{}: the tree has no question {question:?}", model.name)
                    })?;
                    let below = |answer| {
                        let classes = tree.classes_below(answer).into_iter();
                        classes.map(|class| tree.classes()[class].name.clone()).collect()
                    };
                    let answers = tree.questions()[place].answers.clone();
                    let outputs: Vec<Vec<String>> = answers.map(below).collect();
                    if !model.outputs.is_empty() && model.outputs != outputs {
                        return Err(format!(
                            "{}: its outputs are not those of its question",
                            model.name
                        ));
                    }
                    model.outputs = outputs;
                }
            }
        }
        Ok(())
    }

    /// The tree and which model answers what: the recipe's own, or the one that
    /// follows from the models' outputs.
    ///
    /// # Errors
    /// A phrase for a person, if the models do not lead to every class in
    /// exactly one way.
    pub fn scheme(&self) -> Result<Scheme, String> {
        let Some(tree) = &self.tree else {
            let outputs: Vec<Combined<'_>> =
                self.models.iter().map(|m| (m.name.as_str(), m.outputs.as_slice())).collect();
            return Scheme::combined(Some(&self.classes), &outputs);
        };
        let networks = self.models.iter().map(|model| {
            if model.votes.is_some() {
                return (model.name.as_str(), model.outputs.concat());
            }
            let place = model.question.as_deref().and_then(|question| tree.question(question));
            let answers = place.map_or(0..0, |place| tree.questions()[place].answers.clone());
            (model.name.as_str(), answers.map(|answer| tree.path(answer)).collect::<Vec<_>>())
        });
        let mut scheme = Scheme::new(tree.clone(), networks.collect::<Vec<_>>())?;
        for model in self.models.iter().filter(|model| model.votes == Some(Votes::Counts)) {
            for question in &model.questions {
                let calibration = Calibration {
                    temperature: 1.0,
                    offset: Vec::new(),
                    decision: Vec::new(),
                    concentrations: true,
                };
                scheme.calibrate(question, calibration)?;
            }
        }
        Ok(scheme)
    }

    /// The model that learns votes, if one does: then it is the only one.
    pub fn of_votes(&self) -> Option<(&Model, Votes)> {
        self.models.iter().find_map(|model| Some((model, model.votes?)))
    }

    /// Whether every value makes sense; if not, which does not.
    ///
    /// # Errors
    /// A phrase for a person.
    pub fn check(&self) -> Result<(), String> {
        let Some(architecture) = Architecture::named(&self.architecture) else {
            return Err(format!(
                "architecture {:?} is not known; there are {}",
                self.architecture,
                Architecture::names()
            ));
        };
        if !(0.0..1.0).contains(&self.dropout) {
            return Err("dropout is not in 0…1".into());
        }
        if !(0.0..=1.0).contains(&self.bn_momentum) {
            return Err("bn_momentum is not in 0…1".into());
        }
        let Input { crop, mean, std } = &self.input;
        if !(32..=4096).contains(crop) {
            return Err("input.crop is not in 32…4096".into());
        }
        if !mean.iter().all(|v| v.is_finite()) || !std.iter().all(|v| v.is_finite() && *v > 0.0) {
            return Err("input.mean or input.std makes no sense".into());
        }
        if architecture.image.is_some() && !crop.is_multiple_of(16) {
            let name = &self.architecture;
            return Err(format!(
                "input.crop is not a multiple of 16, the side of {name}'s patches"
            ));
        }
        self.augmentation.check().map_err(|what| format!("augmentation: {what}"))?;
        for (place, model) in self.models.iter().enumerate() {
            self.check_layers(self.training(model)).map_err(|w| format!("{}: {w}", model.name))?;
            self.training(model).check(*crop).map_err(|what| format!("{}: {what}", model.name))?;
            model.sampling.check().map_err(|what| format!("{}: {what}", model.name))?;
            let one_size = architecture.image.is_some();
            if one_size && self.training(model).phases.iter().any(|p| p.size != *crop) {
                return Err(format!(
                    "{}: {} learns from crops of one size: a phase's is not input.crop",
                    model.name, self.architecture
                ));
            }
            if let Some(name) = &model.starts_from
                && !self.models[..place].iter().any(|earlier| earlier.name == *name)
            {
                return Err(format!("{}: starts_from {name:?} is no earlier model", model.name));
            }
        }
        if let Some((model, votes)) = self.of_votes() {
            if self.models.len() > 1 {
                return Err(format!("{} learns votes, and so is the only model", model.name));
            }
            if model.sampling != Sampling::Shuffle {
                return Err(format!("{}: votes are of no class to sample by", model.name));
            }
            if votes == Votes::Counts && self.training(model).smoothing != 0.0 {
                return Err(format!("{}: numbers of votes are not smoothed", model.name));
            }
        }
        self.check_outputs()
    }

    /// A layer whose rate is given is there.
    fn check_layers(&self, training: &Training) -> Result<(), String> {
        let Some(architecture) = Architecture::named(&self.architecture) else { return Ok(()) };
        let even = training.layer_decay.is_none() && training.layer_rates.is_empty();
        if even {
            return Ok(());
        }
        if !architecture.backbone.is_default() {
            return Err(format!(
                "layer_decay and layer_rates are of EfficientNets, not of {}",
                self.architecture
            ));
        }
        // A layer, or several by what their names begin with; nothing within one.
        let all = architecture.layers().names();
        let wrong = training.layer_rates.keys().find(|layer| {
            let begins = |name: &String| {
                let rest = name.strip_prefix(layer.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            !all.iter().any(begins)
        });
        match wrong {
            Some(layer) => Err(format!(
                "layer_rates: {} has no layer {layer:?}; such are features.0, features.2.1, \
                 classifier",
                self.architecture
            )),
            None => Ok(()),
        }
    }

    /// Together, the models must lead to every class in exactly one way.
    fn check_outputs(&self) -> Result<(), String> {
        let mut classes = self.classes.clone();
        classes.sort_unstable();
        if classes.windows(2).any(|pair| pair[0] == pair[1]) || classes.len() < 2 {
            return Err("classes are not two or more different names".into());
        }
        if !(1..=RECIPE_MODELS).contains(&self.models.len()) {
            return Err(format!("models are not 1 to {RECIPE_MODELS}"));
        }
        let scheme = self.scheme()?;
        let mut found = scheme.tree().class_names();
        found.sort_unstable();
        if found != classes {
            return Err("the classes are not those of the tree".into());
        }
        scheme.columns().map(|_| ())
    }
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
