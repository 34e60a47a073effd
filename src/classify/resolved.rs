//! What a run needs, decided: what was asked for, with the model file, the run that
//! is there already, and the machine. Whoever comes after finds every choice made.
//!
//! Invariant: it is decided once, before anything is listed.

use std::path::PathBuf;

use super::{ClassifyError, ClassifyOptions, Devices};
use crate::cutout::colour;
use crate::cutout::prepare::Preparation;
use crate::engine::{Engine, Precision};
use crate::line::Reading;
use crate::model::model_file::Model;
use crate::run::{RunFolder, Shard};
use crate::source::list::{Field, ListOptions, Mosaics};
use crate::storage::remote::is_remote;
use crate::tree::{FeatureColumn, Stage2};

/// What a run needs, every choice made.
pub(super) struct Resolved {
    /// Folders, images, archives, tables, lists.
    pub(super) inputs: Vec<PathBuf>,
    /// The run's folder.
    pub(super) output: PathBuf,
    /// The model file.
    pub(super) model: PathBuf,
    /// How inputs are listed and become pictures.
    pub(super) reading: Reading,
    /// Columns of tables to carry into the catalog.
    pub(super) carry: Vec<String>,
    /// What the catalog keeps of the features, if anything.
    pub(super) features: Option<FeatureColumn>,
    /// Whether the catalog has concentrations.
    pub(super) concentrations: bool,
    /// How pixels become what the networks see.
    pub(super) preparation: Preparation,
    /// Which rows networks after the first see.
    pub(super) stage2: Stage2,
    /// Cutouts a batch.
    pub(super) batch: usize,
    /// Where the networks run.
    pub(super) devices: Devices,
    /// What computes them, where it is not the default of the devices.
    pub(super) engine: Option<Engine>,
    /// How they hold and multiply numbers.
    pub(super) precision: Precision,
    /// Threads that decode, that prepare, and that infer.
    pub(super) workers: usize,
    /// Rows of a range, if so many are asked for.
    pub(super) range_size: Option<u64>,
    /// The share of the ranges that is this process's.
    pub(super) shard: Option<Shard>,
}

impl Resolved {
    /// For a run that keeps nothing: a run in the output is not looked at.
    ///
    /// # Errors
    /// What does not go together: [`ClassifyError::Mismatch`],
    /// [`ClassifyError::Components`], [`ClassifyError::Line`], [`ClassifyError::List`], and
    /// [`ClassifyError::Engine`] if the engine does not compute on the devices.
    pub(super) fn new(options: &ClassifyOptions, model: &Model) -> Result<Self, ClassifyError> {
        Self::with(options, model, options.engine, None)
    }

    /// For a run into the output: with the engine and the precision of the run
    /// that is there, where none is asked for.
    ///
    /// # Errors
    /// As [`Self::new`], and if the folder cannot be read.
    pub(super) fn into_run(
        options: &ClassifyOptions,
        model: &Model,
    ) -> Result<Self, ClassifyError> {
        let there = RunFolder::settings(&options.output)?;
        let engine = options.engine.or(there.as_ref().and_then(|settings| settings.engine));
        Self::with(options, model, engine, there.map(|settings| settings.precision))
    }

    fn with(
        options: &ClassifyOptions,
        model: &Model,
        engine: Option<Engine>,
        pinned: Option<Precision>,
    ) -> Result<Self, ClassifyError> {
        if options.concentrations && !model.description.scheme.tells_concentrations() {
            return Err(ClassifyError::NoConcentrations);
        }
        let reading = reading(options, model)?;
        let computed_by =
            Engine::on(options.devices.first(), engine, &model.description.architectures)?;
        let precision = options.precision.named().or(pinned);
        let precision = precision.unwrap_or_else(|| computed_by.fastest());
        let mut carry = options.carry.clone();
        // The catalog shows by what its rows were scaled.
        if let Some(column) = reading.looks.radius_column.as_ref().filter(|c| !carry.contains(c)) {
            carry.push(column.clone());
        }
        Ok(Self {
            inputs: options.inputs.clone(),
            output: options.output.clone(),
            model: options.model.clone(),
            preparation: reading.preparation(model.description.input.size),
            reading,
            carry,
            features: options.features.map(|keep| keep.column(model)).transpose()?,
            concentrations: options.concentrations,
            stage2: options.stage2,
            batch: options.batch,
            devices: options.devices.clone(),
            engine,
            precision,
            workers: options.workers,
            range_size: options.range_size,
            shard: options.shard,
        })
    }

    /// How the inputs of a run with a catalog are listed.
    pub(super) fn list_options(&self) -> ListOptions {
        ListOptions { carry: self.carry.clone(), ..self.reading.list_options() }
    }

    /// Whether an input is an object store's.
    pub(super) fn is_remote(&self) -> bool {
        self.inputs.iter().any(|input| is_remote(input))
    }
}

/// How inputs become pictures: as the model file says, and the options where they
/// say otherwise. A pipeline may repeat the model's profile, not contradict it.
fn reading(options: &ClassifyOptions, model: &Model) -> Result<Reading, ClassifyError> {
    let (input, looks) = (&model.description.input, &options.looks);
    if let Some(asked) = options.rgb_profile.as_ref().filter(|p| **p != input.rgb_profile) {
        return Err(ClassifyError::Mismatch {
            what: "the RGB profile",
            asked: asked.clone(),
            model: input.rgb_profile.clone(),
        });
    }
    // The options' bands, those of the profile that they name, or those that the
    // model was trained with.
    let of_profile = || colour::profile(looks.profile.as_ref()?).map(|p| p.bands.clone());
    let bands = options.bands.clone().or_else(of_profile).unwrap_or_else(|| input.bands.clone());
    let mut reading = Reading::of(bands.clone(), looks.profile(&input.rgb_profile, &bands)?);
    reading.band_pattern = options.band_pattern.parse()?;
    if let Some(planes) = &options.cube_bands {
        reading.cube_bands.clone_from(planes);
    }
    reading.id_column.clone_from(&options.id_column);
    reading.image_column.clone_from(&options.image_column);
    reading.join.clone_from(&options.join);
    if let Some(scale) = model.description.extras.training_scale {
        reading.scale_per_radius = scale;
    }
    reading.resample = options.resample.filter();
    reading.looks.clone_from(looks);
    reading.mosaics = options.mosaics.clone().map(|mosaics| Mosaics {
        field: Field {
            pixels: u32::try_from(input.size).unwrap_or(u32::MAX),
            scale_per_radius: reading.scale_per_radius,
            radius_column: looks.radius_column.clone(),
            north_up: false,
        },
        ..mosaics
    });
    Ok(reading)
}
