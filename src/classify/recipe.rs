//! Named pipelines: `pipelines/*.toml`, or a file of the user's.
//!
//! A recipe holds only what its file says; the command line lays its flags over
//! it and fills what neither says. What a value means is documented where it
//! is used, and in `pipelines/sdss.toml`.

use std::{
    io,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::cutout::colour::Lupton;
use crate::cutout::prepare::{Resample, Wide};
use crate::engine::Precision;
use crate::limits;
use crate::storage::file;
use crate::tree::Stage2;
use crate::words::{did_you_mean, suggesting};

/// The pipelines that come with the program: name and text.
const SHIPPED: [(&str, &str); 2] = [
    ("sdss", include_str!("../../pipelines/sdss.toml")),
    ("any-size", include_str!("../../pipelines/any-size.toml")),
];

/// A pipeline file, or the part of one that is given.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// What it is for.
    pub description: String,
    /// Which files are cutouts.
    pub input: Input,
    /// How pixels become crops.
    pub prepare: Prepare,
    /// The model.
    pub model: ModelFile,
    /// How the work is done.
    pub run: Run,
}

/// `[input]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// Bands in the order of red, green and blue.
    pub bands: Option<[String; 3]>,
    /// Names of files that hold one band each.
    pub band_pattern: Option<String>,
    /// Planes or HDUs of a FITS file that does not name them.
    pub cube_bands: Option<Vec<String>>,
    /// Columns of input tables to carry into the catalog.
    pub carry: Option<Vec<String>>,
    /// Unit of FITS pixels, whatever their headers say.
    pub unit: Option<String>,
    /// AB magnitude of one unit, of all bands or of red, green and blue.
    pub zero_point: Option<ZeroPoint>,
    /// Arcseconds a pixel.
    pub pixel_scale: Option<f64>,
    /// Arcseconds of the pixels whose light the numbers are.
    pub flux_pixel: Option<f64>,
    /// Column of radii in arcseconds.
    pub radius_column: Option<String>,
}

/// A zero point, or one a band.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ZeroPoint {
    /// Of all bands.
    One(f64),
    /// Of red, green and blue.
    Three([f64; 3]),
}

impl ZeroPoint {
    /// Of red, green and blue.
    pub fn bands(self) -> [f64; 3] {
        match self {
            Self::One(magnitude) => [magnitude; 3],
            Self::Three(magnitudes) => magnitudes,
        }
    }
}

impl FromStr for ZeroPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split(',').map(|number| number.trim().parse::<f64>());
        let numbers: Vec<f64> = numbers.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        match numbers[..] {
            [one] => Ok(Self::One(one)),
            [r, g, b] => Ok(Self::Three([r, g, b])),
            _ => Err("one magnitude, or one each for red, green and blue".to_owned()),
        }
    }
}

/// `[prepare]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prepare {
    /// The RGB profile for FITS bands; must be the model's.
    pub rgb_profile: Option<String>,
    /// The colour profile for FITS bands, if it is not to be the model's.
    pub profile: Option<String>,
    /// Parameters of the profile `lupton`.
    pub lupton: Option<Lupton>,
    /// What happens to cutouts smaller than the crop.
    pub resample: Option<ResampleChoice>,
    /// What happens to pictures much wider than it, of unknown scale.
    pub wide: Option<Wide>,
}

/// `[model]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelFile {
    /// Its path, relative to the pipeline file.
    pub file: Option<PathBuf>,
}

/// `[run]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Which rows networks after the first see.
    pub stage2: Option<Stage2>,
    /// Cutouts a batch.
    pub batch: Option<usize>,
    /// How numbers are held and multiplied.
    pub precision: Option<PrecisionChoice>,
    /// Threads of each stage.
    pub workers: Option<usize>,
    /// Rows a part of the catalog.
    pub range_size: Option<u64>,
}

/// What happens to cutouts smaller than the crop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResampleChoice {
    /// They are rejected with their size.
    #[default]
    None,
    /// Enlarged with a bilinear filter.
    Bilinear,
    /// Enlarged with a Lanczos filter of order 3.
    Lanczos3,
}

impl ResampleChoice {
    /// The filter, if there is to be one.
    pub fn filter(self) -> Option<Resample> {
        match self {
            Self::None => None,
            Self::Bilinear => Some(Resample::Bilinear),
            Self::Lanczos3 => Some(Resample::Lanczos3),
        }
    }
}

/// How the networks hold and multiply numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionChoice {
    /// As the run that is resumed does; else bfloat16 where the processor
    /// multiplies it faster, and single precision elsewhere.
    #[default]
    Auto,
    /// Single precision.
    F32,
    /// bfloat16, sums in single precision.
    Bf16,
    /// Rounded to eight bits where they are multiplied.
    Int8,
}

impl PrecisionChoice {
    /// The precision that is asked for by name; none where the choice is the program's.
    pub fn named(self) -> Option<Precision> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(Precision::F32),
            Self::Bf16 => Some(Precision::Bf16),
            Self::Int8 => Some(Precision::Int8),
        }
    }
}

/// Why a pipeline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Neither a shipped name nor a file.
    #[error(
        "no pipeline `{name}`: give a file, or one of {}",
        suggesting(shipped_names(), did_you_mean(name, SHIPPED.map(|(name, _)| name)).as_deref())
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("{}: cannot read this pipeline: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a pipeline.
    #[error("pipeline {name}: {source}")]
    Malformed {
        /// Its name or path.
        name: String,
        /// What is wrong, with line and column.
        source: Box<toml::de::Error>,
    },
}

/// Names of the pipelines that come with the program, for messages.
pub fn shipped_names() -> String {
    SHIPPED.map(|(name, _)| name).join(", ")
}

impl Recipe {
    /// The shipped pipeline of this name, or the file at this path.
    ///
    /// # Errors
    /// [`RecipeError`], naming the pipeline and the line.
    pub fn find(name: &str) -> Result<Self, RecipeError> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(name, text);
        }
        let path = Path::new(name);
        match file::read_text(path, limits::settings::TOML) {
            Ok(text) => {
                let mut recipe = Self::parse(name, &text)?;
                if let (Some(file), Some(folder)) = (&mut recipe.model.file, path.parent()) {
                    *file = folder.join(&file);
                }
                Ok(recipe)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(RecipeError::Unknown { name: name.to_owned() })
            }
            Err(source) => Err(RecipeError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// What this recipe says, and where it is silent what `base` says.
    pub fn over(self, base: Self) -> Self {
        Self {
            description: self.description,
            input: Input {
                bands: self.input.bands.or(base.input.bands),
                band_pattern: self.input.band_pattern.or(base.input.band_pattern),
                cube_bands: self.input.cube_bands.or(base.input.cube_bands),
                carry: self.input.carry.or(base.input.carry),
                unit: self.input.unit.or(base.input.unit),
                zero_point: self.input.zero_point.or(base.input.zero_point),
                pixel_scale: self.input.pixel_scale.or(base.input.pixel_scale),
                flux_pixel: self.input.flux_pixel.or(base.input.flux_pixel),
                radius_column: self.input.radius_column.or(base.input.radius_column),
            },
            prepare: Prepare {
                rgb_profile: self.prepare.rgb_profile.or(base.prepare.rgb_profile),
                profile: self.prepare.profile.or(base.prepare.profile),
                lupton: self.prepare.lupton.or(base.prepare.lupton),
                resample: self.prepare.resample.or(base.prepare.resample),
                wide: self.prepare.wide.or(base.prepare.wide),
            },
            model: ModelFile { file: self.model.file.or(base.model.file) },
            run: Run {
                stage2: self.run.stage2.or(base.run.stage2),
                batch: self.run.batch.or(base.run.batch),
                precision: self.run.precision.or(base.run.precision),
                workers: self.run.workers.or(base.run.workers),
                range_size: self.run.range_size.or(base.run.range_size),
            },
        }
    }

    fn parse(name: &str, text: &str) -> Result<Self, RecipeError> {
        toml::from_str(text).map_err(|source| RecipeError::Malformed {
            name: name.to_owned(),
            source: Box::new(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_pipeline_parses_and_says_what_it_is_for() {
        for (name, _) in SHIPPED {
            assert!(!Recipe::find(name).unwrap().description.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_default_pipeline_states_the_defaults() {
        let sdss = Recipe::find("sdss").unwrap();
        assert_eq!(sdss.run.stage2, Some(Stage2::default()));
        assert_eq!(sdss.prepare.resample, Some(ResampleChoice::default()));
    }

    #[test]
    fn a_misspelt_key_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "[run]\nbatches = 3\n").unwrap();
        let error = Recipe::find(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("batches") && error.contains("mine.toml"), "{error}");
        let error = Recipe::find("sdsss").unwrap_err().to_string();
        assert!(error.ends_with("sdss, any-size; did you mean `sdss`?"), "{error}");
    }
}
