//! The flags that say what inputs hold and how they are read: the same for every
//! command that reads images.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, bands, looks, usage};
use crate::classify::recipe::{Recipe, ResampleChoice};
use crate::cutout::colour;
use crate::line::{Looks, Reading};
use crate::model::description::Input;

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

    /// A table (CSV, ECSV, FITS, VOTable, Parquet) that gives ra, dec and the columns that
    /// are asked for to members of archives and files of folders, by their ids.
    #[arg(long, value_name = "TABLE")]
    pub(super) join: Option<PathBuf>,

    /// Bands that become red, green and blue.  [default: those of the colours: the
    /// model's, or --profile's]
    #[arg(long, value_name = "R,G,B", value_parser = bands::parse)]
    bands: Option<[String; 3]>,

    /// Names of files that hold one band each.  [default: {id}_{band}.fits]
    #[arg(long, value_name = "PATTERN")]
    band_pattern: Option<String>,

    /// Planes or HDUs, in file order, of FITS files that do not name them.
    /// [default: the bands from the shortest wavelength to the longest]
    #[arg(long, value_name = "BAND,...", value_delimiter = ',', num_args = 1)]
    cube_bands: Option<Vec<String>>,

    /// What happens to cutouts smaller than the network's input: rejected
    /// (none), or enlarged.  [default: none]
    #[arg(long, value_enum)]
    resample: Option<ResampleChoice>,

    #[command(flatten)]
    looks: looks::Arguments,
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

    /// What is asked of colours and scale, by these flags and then the pipeline.
    pub(super) fn looks(&self, recipe: &Recipe) -> Looks {
        self.looks.resolve(recipe)
    }

    /// How inputs are read that a model is to be trained on, and the colours that
    /// its file will name.
    pub(super) fn to_learn(&self) -> Result<(Reading, String), CliError> {
        let recipe = self.recipe()?;
        let looks = self.looks(&recipe);
        let Recipe { input, prepare, .. } = recipe;
        let of_profile = || colour::profile(looks.profile.as_ref()?).map(|p| p.bands.clone());
        let bands = input.bands.or_else(of_profile).unwrap_or(Reading::default().bands);
        let named = prepare.rgb_profile.unwrap_or_else(|| Input::paper(0).rgb_profile);
        let (colours, profile) = looks.to_learn(&named, &bands).map_err(usage)?;
        let mut reading = Reading::of(bands, profile);
        reading.id_column.clone_from(&self.id_column);
        reading.image_column.clone_from(&self.image_column);
        reading.join.clone_from(&self.join);
        reading.resample = prepare.resample.unwrap_or_default().filter();
        if let Some(planes) = input.cube_bands {
            reading.cube_bands = planes;
        }
        if let Some(pattern) = input.band_pattern {
            reading.band_pattern = pattern.parse().map_err(usage)?;
        }
        reading.looks = looks;
        Ok((reading, colours))
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
        Command::try_parse_from(arguments).unwrap().input.to_learn().unwrap().0
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

    #[test]
    fn a_profile_brings_its_bands() {
        let found = reading(&["--profile", "legacy-grz", "--radius-column", "r"]);
        assert_eq!(found.bands, ["z", "r", "g"]);
        assert_eq!(found.profile.name, "legacy-grz");
        assert_eq!(found.list_options().carry, ["r"]);
    }
}
