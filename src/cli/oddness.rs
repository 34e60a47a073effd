//! `hiwl model oddness`: a model whose rows say how odd they are.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::flags::{CatalogFlags, NetworkFlags};
use super::input::InputFlags;
use super::model_output::ModelOutput;
use super::{CliError, Exit, usage};
use crate::classify::{self, Devices};
use crate::cli::terminal::format;
use crate::labels::{LabelColumns, LabelTable};
use crate::model::model_file::Model;
use crate::train::oddness;

/// Let a model tell pictures unlike those that it learned from.
///
/// Catalogs of the model then have a column `oddness`: how far the features of a
/// cutout lie from those of training galaxies, as a percentile of galaxies that
/// were not learned from. Half of such galaxies lie below 50; stars, noise, text
/// and artefacts lie above 99. No label changes. `hiwl train` does the same at its
/// end.
///
/// Give the model's training images and its validation images, with the label
/// table that tells them apart by its column split (train, val). Without one, every
/// other image is taken for one or the other: galaxies that the model did not
/// learn from will do for both.
///
/// Exit code 1 if an image could not be used.
#[derive(Debug, Args)]
pub struct Oddness {
    /// The model file.
    model: PathBuf,

    /// Folders, images, tar archives, tables, lists.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The label table, of which id and split are used.
    #[arg(short, long, value_name = "TABLE")]
    labels: Option<PathBuf>,

    #[command(flatten)]
    input: InputFlags,

    #[command(flatten)]
    output: ModelOutput,
}

impl Oddness {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let mut model = Model::read(&self.model).map_err(usage)?;
        let read = self.inputs.iter().chain([&self.model]).chain(&self.labels);
        self.output.refuse(&read.map(PathBuf::as_path).collect::<Vec<_>>())?;
        let asked = NetworkFlags::of_model(self.model.clone(), self.input);
        let options =
            asked.resolve(self.inputs, PathBuf::new(), CatalogFlags::default(), Devices::Cpu)?;
        let id = options.id_column.as_deref();
        let columns = LabelColumns { id, ..LabelColumns::default() };
        let labels = self.labels.map(|path| LabelTable::read(&path, None, columns));
        let labels = labels.transpose().map_err(usage)?;
        let (found, stop) = super::watched(false, |listener, stop| {
            let labels = labels.as_ref();
            classify::features(&options, &model, labels, oddness::ENOUGH, listener, stop)
        })?;
        let found = found
            .map_err(|error| if error.is_usage() { usage(error) } else { CliError::from(error) })?;
        let Some(found) = found else {
            return Ok(stop.signal().map_or(Exit::Incomplete, Exit::Signal));
        };
        let (network, architecture) =
            model.description.networks().next().ok_or_else(|| anyhow!("a model has a network"))?;
        let (name, length) = (network.name.clone(), architecture.plan().features);
        let oddness = oddness::fit(&name, length, &found.learned, &found.held_out)
            .map_err(|what| usage(anyhow!("{what}")))?;
        let about = oddness.about.clone();
        model.set_oddness(Some(oddness));
        let mut text = format!(
            "oddness by {} of {}, of {}, with percentiles of {}\n",
            format::counted(about.components as u64, "direction", "directions"),
            format::counted(about.features as u64, "feature", "features"),
            format::counted(about.fitted, "galaxy", "galaxies"),
            format::counted(about.held_out, "other", "others"),
        );
        if found.rejected > 0 {
            let images = format::counted(found.rejected, "image", "images");
            text += &format!("{images} could not be used\n");
        }
        for note in &found.notes {
            text += &format!("{note}\n");
        }
        self.output.write(&model, &text)?;
        Ok(if found.rejected == 0 { Exit::Ok } else { Exit::Flawed })
    }
}
