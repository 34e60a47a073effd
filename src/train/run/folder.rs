//! The folder of a training run.
//!
//! ```text
//! DIR/run.json                           what decides the result
//! DIR/checkpoints/<model>-last.safetensors   where the run is
//! DIR/checkpoints/<model>-epoch-<n>.safetensors   weights of the best epochs
//! DIR/metrics.csv, DIR/curves.svg        an epoch a line, and drawn
//! DIR/model.safetensors                  the model, once there is one
//! DIR/evaluation.json                    how good it is on validation
//! ```
//!
//! Invariants: one process at a time; what is under its final name is whole;
//! `run.json` is written before anything else and never changes; `evaluation.json` is of
//! the model beside it, and written last.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::state::Best;
use super::{TrainError, TrainingData};
use crate::cutout::colour::{self, Given, Profile};
use crate::cutout::prepare::{Resample, Wide};
use crate::engine::Precision;
use crate::limits;
use crate::line::Reading;
use crate::model::description::Input;
use crate::storage::lock::PathLock;
use crate::storage::remote::{absolute, is_remote};
use crate::storage::{StorageError, digest, file, json, output, place};
use crate::train::curves;
use crate::train::history::{self, Epoch};
use crate::train::recipe::Recipe;

/// The format of the runs that this program begins, and the last that it goes
/// on with; those without a number have it too. It is raised when the same
/// settings would give other weights; where those of one backbone alone would, its
/// [revision](crate::model::backbone::Backbone::revision) is.
pub const FORMAT: u64 = 1;

/// What decides nothing: a run goes on after an update of the program.
const PROVENANCE: [&str; 2] = ["format", "version"];

/// What is known of a run once its data are.
const OF_DATA: [&str; 5] = ["data", "train_images", "val_images", "features", "blank_left_out"];

/// Everything that decides the result of a run.
#[derive(Debug, Serialize)]
pub struct Settings<'a> {
    /// [`FORMAT`]. It decides whether a run can go on.
    pub format: u64,
    /// The version of the program that began the run: no setting.
    pub version: &'a str,
    /// The recipe, with the seed that was asked for.
    pub recipe: &'a Recipe,
    /// SHA-256 of the data (see [`super::data::Dataset::digest`]).
    pub data: &'a str,
    /// Training images.
    pub train_images: usize,
    /// Validation images.
    pub val_images: usize,
    /// Name and SHA-256 of the file that the models start from.
    pub initial: Option<(String, String)>,
    /// Whether only classifiers learn.
    pub freeze: bool,
    /// `kept` where features of the frozen backbones are: runs of the first version
    /// did without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<&'static str>,
    /// Whether pictures that show nothing are left out, as those of the first version
    /// were not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub blank_left_out: bool,
    /// The form of the backbone's layers, where it has had more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone_revision: Option<u32>,
    /// How inputs are read, where it is not the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Read<'a>>,
    /// How numbers are held and multiplied.
    pub precision: Precision,
}

/// What a run was begun with that a run of the same settings goes on with.
#[derive(serde::Deserialize)]
pub struct Said {
    /// Its precision. One that does not say was begun when a processor learned in f32
    /// and a GPU in bfloat16.
    pub precision: Option<Precision>,
    /// Whether features are kept.
    pub features: Option<String>,
    /// Whether pictures that show nothing are left out.
    #[serde(default)]
    pub blank_left_out: bool,
}

/// How inputs are read.
#[derive(Debug, PartialEq, Serialize)]
pub struct Read<'a> {
    bands: &'a [String; 3],
    band_pattern: String,
    cube_bands: &'a [String],
    id_column: Option<&'a str>,
    image_column: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    join: Option<PathBuf>,
    /// The profile that the model file will name.
    profile: Option<&'static Profile>,
    resample: Option<Resample>,
    #[serde(skip_serializing_if = "Given::is_silent")]
    given: &'a Given,
    #[serde(skip_serializing_if = "Option::is_none")]
    radius_column: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wide: Option<Wide>,
}

impl<'a> Read<'a> {
    /// How they are, if not as pictures: `None` for the default, of which runs of
    /// the first version say nothing.
    pub fn of(data: &'a TrainingData) -> Option<Self> {
        let plain = Reading::default();
        let default = Read::new(&plain, &Input::paper(0).rgb_profile)
            == Read::new(&data.reading, &data.colours);
        (!default).then(|| Read::new(&data.reading, &data.colours))
    }

    fn new(reading: &'a Reading, colours: &str) -> Self {
        Self {
            bands: &reading.bands,
            band_pattern: reading.band_pattern.to_string(),
            cube_bands: &reading.cube_bands,
            id_column: reading.id_column.as_deref(),
            image_column: reading.image_column.as_deref(),
            join: reading
                .join
                .as_deref()
                .map(|path| absolute(path).unwrap_or_else(|_| path.to_owned())),
            profile: colour::profile(colours),
            resample: reading.resample,
            given: &reading.looks.given,
            radius_column: reading.looks.radius_column.as_deref(),
            wide: reading.looks.wide,
        }
    }
}

/// A run's folder, locked.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    digest: String,
    _lock: PathLock,
}

impl Folder {
    /// Locks the folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`TrainError::Busy`], and what the system says.
    pub fn lock(dir: &Path) -> Result<PathLock, TrainError> {
        if is_remote(dir) {
            return Err(TrainError::Remote { path: dir.to_owned() });
        }
        if dir.exists() && !dir.is_dir() {
            return Err(StorageError::NotAFolder { path: dir.to_owned() }.into());
        }
        output::refuse_run_in_run(dir)?;
        PathLock::try_acquire(&dir.join(".lock"))?
            .ok_or_else(|| TrainError::Busy { path: dir.to_owned() })
    }

    /// What the run in the folder was begun with, if there is one.
    ///
    /// # Errors
    /// What the system says, and where `run.json` cannot be understood.
    pub fn said(dir: &Path) -> Result<Option<Said>, TrainError> {
        let path = dir.join("run.json");
        let bytes = match file::read(&path, limits::settings::JSON) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io("read", &path)(error).into()),
        };
        let said = serde_json::from_slice(&bytes)
            .map_err(|source| TrainError::BadManifest { path, source })?;
        Ok(Some(said))
    }

    /// Refuses a folder of other settings, as far as they are known before the data are:
    /// reading these may take long.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn refuse_other(dir: &Path, settings: &Settings<'_>) -> Result<(), TrainError> {
        same_run(dir, settings, &OF_DATA).map(drop)
    }

    /// The folder of a new run, or of the one that was begun with the same
    /// settings.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] if they differ, [`TrainError::OtherNetwork`] if it is by
    /// the backbone's revision alone, [`TrainError::NotEmpty`] if the folder holds
    /// something else.
    pub fn open(dir: &Path, lock: PathLock, settings: &Settings<'_>) -> Result<Self, TrainError> {
        let bytes = match same_run(dir, settings, &[])? {
            Some(bytes) => bytes,
            None => {
                let bytes = format!("{:#}\n", json::json(settings)).into_bytes();
                file::replace(&dir.join("run.json"), &bytes)?;
                bytes
            }
        };
        let this = Self { dir: dir.to_owned(), digest: digest::sha256(&bytes), _lock: lock };
        let checkpoints = this.checkpoints();
        fs::create_dir_all(&checkpoints).map_err(StorageError::io("create", &checkpoints))?;
        this.sweep()?;
        Ok(this)
    }

    /// SHA-256 of `run.json`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// Where a model's last checkpoint is.
    pub fn last(&self, model: &str) -> PathBuf {
        self.checkpoints().join(format!("{model}-last.safetensors"))
    }

    /// Where the weights of a model's epoch (from 1) are kept.
    pub fn kept(&self, model: &str, epoch: u32) -> PathBuf {
        self.checkpoints().join(format!("{model}-epoch-{epoch:04}.safetensors"))
    }

    /// The model.
    pub fn model(&self) -> PathBuf {
        self.dir.join("model.safetensors")
    }

    /// How near its fractions of votes are to those of validation.
    pub fn votes(&self) -> PathBuf {
        self.dir.join("votes.json")
    }

    /// How good it is.
    pub fn evaluation(&self) -> PathBuf {
        self.dir.join("evaluation.json")
    }

    /// Removes saved weights that are not among the best any more.
    ///
    /// # Errors
    /// What the system says.
    pub fn drop_others(&self, model: &str, best: &[Best]) -> Result<(), TrainError> {
        let wanted: Vec<PathBuf> = best.iter().map(|b| self.kept(model, b.epoch)).collect();
        let prefix = format!("{model}-epoch-");
        for path in self.entries()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(&prefix) && !wanted.contains(&path) {
                fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Writes `metrics.csv` and `curves.svg`.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_history(&self, epochs: &[Epoch], classes: &[String]) -> Result<(), TrainError> {
        let mut text = history::header(classes);
        for epoch in epochs {
            text.push_str(&epoch.line(classes));
        }
        for (name, text) in [("metrics.csv", text), ("curves.svg", curves::svg(epochs))] {
            self.write(&self.dir.join(name), text.as_bytes())?;
        }
        Ok(())
    }

    /// Writes a file, which appears whole or not at all.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
        Ok(file::replace(path, bytes)?)
    }

    fn entries(&self) -> Result<Vec<PathBuf>, TrainError> {
        list(&self.checkpoints())
    }

    /// Removes what a killed process was writing; the lock says that it is
    /// nobody else's.
    fn sweep(&self) -> Result<(), TrainError> {
        for path in list(&self.dir)?.into_iter().chain(self.entries()?) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') && name.ends_with(".tmp") {
                fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// The `run.json` of a run with the same settings, `but` for some; `None` if there is
/// none and nothing else.
fn same_run(
    dir: &Path,
    settings: &Settings<'_>,
    but: &[&str],
) -> Result<Option<Vec<u8>>, TrainError> {
    let asked = json::json(settings);
    let path = dir.join("run.json");
    let bytes = match file::read(&path, limits::settings::JSON) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match visible(dir)?.into_iter().next() {
                Some(name) => Err(TrainError::NotEmpty { path: dir.to_owned(), name }),
                None => Ok(None),
            };
        }
        Err(error) => return Err(StorageError::io("read", &path)(error).into()),
    };
    let mut there: Value = serde_json::from_slice(&bytes)
        .map_err(|source| TrainError::BadManifest { path: path.clone(), source })?;
    let format = there.get("format").map_or(Some(1), Value::as_u64);
    if format.is_none_or(|format| format > FORMAT) {
        let found = there["format"].to_string();
        return Err(TrainError::Newer { path, found, known: FORMAT });
    }
    // A run of before there was a choice: what `precision` found is asked for.
    if let Some(there) = there.as_object_mut() {
        there.entry("precision").or_insert_with(|| asked["precision"].clone());
    }
    let differences = json::differences(&decisive(there, but), &decisive(asked, but), &[]);
    match &differences[..] {
        [] => Ok(Some(bytes)),
        [one] if one.field == "backbone revision" => {
            let architecture = settings.recipe.architecture.clone();
            Err(TrainError::OtherNetwork { path: dir.to_owned(), architecture })
        }
        _ => Err(TrainError::OtherRun { path: dir.to_owned(), differences }),
    }
}

/// The settings that decide the result, `but` for some.
fn decisive(mut settings: Value, but: &[&str]) -> Value {
    if let Some(fields) = settings.as_object_mut() {
        PROVENANCE.iter().chain(but).for_each(|name| drop(fields.remove(*name)));
    }
    settings
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    Ok(place::entries(folder)?)
}

/// Names in a folder that do not begin with a dot.
fn visible(folder: &Path) -> Result<Vec<String>, TrainError> {
    let names = list(folder)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        (!name.starts_with('.')).then_some(name)
    });
    Ok(names.collect())
}
