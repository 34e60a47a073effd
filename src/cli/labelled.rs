//! Labelled images, and a model that is held against them and written with what was
//! found: what `hiwl model calibrate` and `hiwl model card` share.
//!
//! Invariant: whatever may be refused is refused before the first image is read, and images
//! that could not be used are told and make the exit code 1.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::evaluate::{rejections, split_named};
use super::flags::{CatalogFlags, NetworkFlags};
use super::input::InputFlags;
use super::model_output::ModelOutput;
use super::{CliError, Exit, usage};
use crate::classify::{self, Devices, Evaluation};
use crate::cli::terminal::shown;
use crate::labels::{LabelColumns, LabelTable, Split, split};
use crate::model::model_file::Model;

/// A model, images, and what they are known to be.
#[derive(Debug, Args)]
pub(super) struct Labelled {
    /// The model file.
    model: PathBuf,

    /// Folders, images, tar archives, tables, lists.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The label table: id and label, and split if --split is given.
    #[arg(short, long, value_name = "TABLE")]
    labels: PathBuf,

    /// Only the rows of this split: train, val or test.
    #[arg(long, value_name = "SPLIT", value_parser = split_named)]
    split: Option<Split>,

    #[command(flatten)]
    input: InputFlags,

    #[command(flatten)]
    output: ModelOutput,
}

/// A model, and what it says of the images.
pub(super) struct Held {
    /// As it was read.
    pub(super) model: Model,
    /// What it says.
    pub(super) found: Evaluation,
    output: ModelOutput,
}

impl Labelled {
    /// Reads the model, and classifies the images; what ends the command where a signal
    /// stopped it. `also` are files that the command reads besides, and `fits` says what is
    /// wrong with the model for it.
    pub(super) fn hold(
        self,
        also: &[&Path],
        fits: impl FnOnce(&Model) -> Result<(), &'static str>,
    ) -> Result<ControlFlow<Exit, Held>, CliError> {
        let Self { model: path, inputs, labels, split, input, output } = self;
        let model = Model::read(&path).map_err(usage)?;
        fits(&model).map_err(|what| usage(anyhow!("{}: {what}", shown::line(path.display()))))?;
        let read: Vec<&Path> =
            inputs.iter().chain([&path, &labels]).map(PathBuf::as_path).collect();
        output.refuse(&[&read[..], also].concat())?;
        let asked = NetworkFlags::of_model(path, input);
        let options =
            asked.resolve(inputs, PathBuf::new(), CatalogFlags::default(), Devices::Cpu)?;
        let classes = model.description.scheme.tree().class_names();
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        let columns = LabelColumns {
            id: options.id_column.as_deref(),
            split: split.map(|_| "split"),
            foreign_splits: split.is_none(),
        };
        let of = ("the model", &classes[..]);
        let (table, left) = LabelTable::read_within(&labels, of, columns).map_err(usage)?;
        let (found, stop) = super::watched(false, |listener, stop| {
            classify::evaluate(&options, &table, split, listener, stop)
        })?;
        let found = found
            .map_err(|error| if error.is_usage() { usage(error) } else { CliError::from(error) })?;
        Ok(match found {
            Some(mut found) => {
                let id = options.id_column.as_deref();
                let ids = found.ids.iter();
                let learned = split.is_none().then(|| split::note_of_training(&labels, id, ids));
                found.notes.splice(0..0, left.note().into_iter().chain(learned.flatten()));
                ControlFlow::Continue(Held { model, found, output })
            }
            None => ControlFlow::Break(stop.signal().map_or(Exit::Incomplete, Exit::Signal)),
        })
    }
}

impl Held {
    /// Writes the model as it is now, and tells what was found, with `said` about it.
    pub(super) fn write(self, said: &str) -> Result<Exit, CliError> {
        let rejected = rejections(&self.found.rejected);
        let mut text = String::new();
        for line in self.found.notes.iter().chain(&rejected) {
            text += &format!("{line}\n");
        }
        self.output.write(&self.model, &(text + said))?;
        Ok(if rejected.is_empty() { Exit::Ok } else { Exit::Flawed })
    }
}
