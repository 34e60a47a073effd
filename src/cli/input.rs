//! The flags that say what inputs hold and how they are read: the same for every
//! command that reads images.

use anyhow::anyhow;
use clap::Args;

use super::{CliError, bands, usage};
use crate::classify::recipe::{Recipe, ResampleChoice};
use crate::cutout::colour;
use crate::cutout::prepare::Resample;
use crate::line::Reading;

/// What inputs hold.
#[derive(Debug, Args)]
pub(super) struct InputFlags {
    /// A pipeline that comes with the program (sdss, any-size) or a file of
    /// your own; the flags below override it.
    #[arg(short, long, value_name = "NAME|FILE", default_value = "sdss")]
    pipeline: String,

    /// The column of ids in tables.  [default: found by its usual names: id,
    /// GalaxyID, objid, dr7objid, iauname, …]
    #[arg(long = "id", value_name = "COLUMN")]
    pub(super) id_column: Option<String>,

    /// The column of Parquet tables that holds images.  [default: found, where
    /// no column is called path]
    #[arg(long, value_name = "COLUMN")]
    pub(super) image_column: Option<String>,

    /// Bands that become red, green and blue.
    #[arg(long, value_name = "R,G,B", value_parser = bands::parse)]
    bands: Option<[String; 3]>,

    /// Names of files that hold one band each, such as {id}_{band}.fits.
    #[arg(long, value_name = "PATTERN")]
    band_pattern: Option<String>,

    /// Planes or HDUs, in file order, of FITS files that do not name them.
    /// [default: the bands from the shortest wavelength to the longest]
    #[arg(long, value_name = "BAND,...", value_delimiter = ',', num_args = 1)]
    cube_bands: Option<Vec<String>>,

    /// What happens to cutouts smaller than the network's input: rejected
    /// (none), or enlarged.
    #[arg(long, value_enum)]
    resample: Option<ResampleChoice>,
}

impl InputFlags {
    /// The pipeline, with these flags over it and the default one below.
    pub(super) fn recipe(&self) -> Result<Recipe, CliError> {
        let sdss = Recipe::find("sdss").map_err(usage)?;
        let mut recipe = Recipe::find(&self.pipeline).map_err(usage)?.over(sdss);
        let input = &mut recipe.input;
        if self.bands.is_some() {
            input.bands.clone_from(&self.bands);
        }
        if self.band_pattern.is_some() {
            input.band_pattern.clone_from(&self.band_pattern);
        }
        if self.cube_bands.is_some() {
            input.cube_bands.clone_from(&self.cube_bands);
        }
        recipe.prepare.resample = self.resample.or(recipe.prepare.resample);
        Ok(recipe)
    }

    /// How inputs are read where no model says what it was trained on.
    pub(super) fn reading(&self) -> Result<Reading, CliError> {
        let Recipe { input, prepare, .. } = self.recipe()?;
        let mut reading = Reading {
            id_column: self.id_column.clone(),
            image_column: self.image_column.clone(),
            resample: resample(prepare.resample.unwrap_or_default()),
            ..Reading::default()
        };
        if let Some(bands) = input.bands {
            // Unnamed planes run from the shortest wavelength to the longest.
            reading.cube_bands = bands.iter().rev().cloned().collect();
            reading.bands = bands;
        }
        if let Some(planes) = input.cube_bands {
            reading.cube_bands = planes;
        }
        if let Some(pattern) = input.band_pattern {
            reading.band_pattern = pattern.parse().map_err(usage)?;
        }
        if let Some(name) = prepare.rgb_profile {
            let profile = colour::profile(&name)
                .ok_or_else(|| usage(anyhow!("there is no RGB profile `{name}`")))?;
            reading.profile = profile.clone();
        }
        Ok(reading)
    }
}

fn resample(choice: ResampleChoice) -> Option<Resample> {
    match choice {
        ResampleChoice::None => None,
        ResampleChoice::Bilinear => Some(Resample::Bilinear),
        ResampleChoice::Lanczos3 => Some(Resample::Lanczos3),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        input: InputFlags,
    }

    fn reading(arguments: &[&str]) -> Reading {
        let arguments = ["hiwl"].iter().chain(arguments);
        Command::try_parse_from(arguments).unwrap().input.reading().unwrap()
    }

    #[test]
    fn without_flags_inputs_are_read_as_ever() {
        // Runs that began before there were flags go on.
        assert_eq!(reading(&[]), Reading::default());
    }

    #[test]
    fn flags_go_before_the_pipeline() {
        let found = reading(&["--bands", "z,r,g", "--id", "name", "--pipeline", "any-size"]);
        assert_eq!(found.bands, ["z", "r", "g"]);
        assert_eq!(found.cube_bands, ["g", "r", "z"]);
        assert_eq!(found.id_column.as_deref(), Some("name"));
        assert!(found.resample.is_some());
        let found =
            reading(&["--cube-bands", "u,g,r,i", "--pipeline", "any-size", "--resample", "none"]);
        assert_eq!(found.cube_bands, ["u", "g", "r", "i"]);
        assert_eq!(found.resample, None);
    }
}
