//! The flags of every command that runs the networks over inputs, and what they
//! come to with the pipeline and the machine.
//!
//! Where the networks run, with how many threads and cutouts at once, is each
//! command's to say.

use std::path::PathBuf;

use clap::Args;

use super::input::InputFlags;
use super::{CliError, numbers};
use crate::classify::recipe::PrecisionChoice;
use crate::classify::{ClassifyOptions, KeepFeatures};
use crate::engine::{Devices, Engine};
use crate::source::list::BandPattern;
use crate::tree::Stage2;

/// What decides what is said of a cutout.
#[derive(Debug, Args)]
pub(super) struct NetworkFlags {
    /// The model file.  [default: the environment's HIWL_MODEL, or the one
    /// that comes with the program]
    #[arg(short, long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,

    #[command(flatten)]
    input: InputFlags,

    /// Which rows networks after the first see: those of which their question
    /// is asked, or all.  [default: routed]
    #[arg(long, value_enum)]
    stage2: Option<Stage2>,

    /// What computes the networks: fused (the default on a processor), cuda (on
    /// GPUs), or candle (layer by layer, a hundred times slower: to compare
    /// with).  [default: as the run that is resumed; else by the device]
    #[arg(long, value_name = "ENGINE")]
    engine: Option<Engine>,

    /// How the networks hold and multiply numbers: single precision, bfloat16
    /// where the processor multiplies it, or the faster of the two.  [default:
    /// auto]
    #[arg(long, value_enum)]
    precision: Option<PrecisionChoice>,
}

/// What decides the catalog, besides what is said of each cutout.
#[derive(Debug, Default, Args)]
pub(super) struct CatalogFlags {
    /// Columns of input tables, or of the table of --join, to carry into the catalog.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    carry: Option<Vec<String>>,

    /// Keep what the first network's classifier sees of each cutout, in a column
    /// `feature` of vectors (see `hiwl embed`).
    #[arg(long)]
    features: bool,

    /// With features: only so many principal components of them, along the
    /// directions that the model file holds.
    #[arg(long, value_name = "N")]
    components: Option<usize>,

    /// With features: in half precision, which takes half the space.
    #[arg(long)]
    half: bool,
    /// Of a model that learned numbers of votes, also the Dirichlet concentrations that
    /// its expected fractions are the shares of (QUESTION_ANSWER_concentration).
    #[arg(long)]
    concentrations: bool,

    /// Rows in a part of the catalog, which is a unit of work.  [default: by the
    /// number of cutouts, from 128 to 16384]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    range_size: Option<u64>,
}

impl CatalogFlags {
    /// The same with features.
    pub(super) fn with_features(self) -> Self {
        Self { features: true, ..self }
    }

    /// What to keep of the features. Whoever says how asks for them.
    fn kept(&self) -> Option<KeepFeatures> {
        let Self { features, components, half, .. } = *self;
        (features || half || components.is_some()).then_some(KeepFeatures { components, half })
    }
}

impl NetworkFlags {
    /// This model, with every network on every row, in f32.
    pub(super) fn of_model(model: PathBuf, input: InputFlags) -> Self {
        let (stage2, precision) = (Some(Stage2::All), Some(PrecisionChoice::F32));
        Self { model: Some(model), input, stage2, engine: None, precision }
    }

    /// What a run over `inputs` into `output` on `devices` needs, all of it in one
    /// shard.
    pub(super) fn resolve(
        self,
        inputs: Vec<PathBuf>,
        output: PathBuf,
        catalog: CatalogFlags,
        devices: Devices,
    ) -> Result<ClassifyOptions, CliError> {
        let recipe = self.input.recipe()?;
        let looks = self.input.looks(&recipe);
        let model = super::model::chosen(self.model.or(recipe.model.file))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let features = catalog.kept();
        Ok(ClassifyOptions {
            inputs,
            output,
            model,
            bands: recipe.input.bands,
            band_pattern: recipe
                .input
                .band_pattern
                .unwrap_or_else(|| BandPattern::default().to_string()),
            cube_bands: recipe.input.cube_bands,
            id_column: self.input.id_column,
            image_column: self.input.image_column,
            carry: catalog.carry.or(recipe.input.carry).unwrap_or_default(),
            join: self.input.join,
            features,
            concentrations: catalog.concentrations,
            looks,
            mosaics: None,
            rgb_profile: recipe.prepare.rgb_profile,
            resample: recipe.prepare.resample.unwrap_or_default(),
            stage2: self.stage2.or(recipe.run.stage2).unwrap_or_default(),
            batch: numbers::checked_batch(recipe.run.batch.unwrap_or(devices.batch()))?,
            devices,
            engine: self.engine,
            precision: self.precision.or(recipe.run.precision).unwrap_or_default(),
            workers: numbers::checked_workers(recipe.run.workers.unwrap_or(cores))?,
            range_size: catalog.range_size.or(recipe.run.range_size),
            shard: None,
            copied: false,
            alone: None,
        })
    }
}
