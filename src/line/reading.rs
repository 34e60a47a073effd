//! How inputs are listed, and how their files become pictures.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cutout::colour::{self, Profile};
use crate::cutout::decode::DecodeOptions;
use crate::cutout::prepare::{GALAXY_ZOO_2, Preparation, Resample};
use crate::mosaic::Settings;
use crate::source::list::{BandPattern, ListOptions, Mosaics};

use super::Looks;

/// How inputs are listed and read, every choice made.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Bands that become red, green and blue.
    pub bands: [String; 3],
    /// Names of files that hold a band each.
    pub band_pattern: BandPattern,
    /// Planes or HDUs of FITS files that do not name them, in file order.
    pub cube_bands: Vec<String>,
    /// The column of tables that holds ids; a usual one if none is named.
    pub id_column: Option<String>,
    /// The column of Parquet tables that holds images; found if none is named.
    pub image_column: Option<String>,
    /// A table that gives positions and columns to cutouts by their ids.
    pub join: Option<PathBuf>,
    /// How bands become colours.
    pub profile: Profile,
    /// Arcseconds a pixel of what is shown, per arcsecond of an object's radius.
    pub scale_per_radius: f64,
    /// Enlarging of pictures that are smaller than the crop; they are rejected
    /// without.
    pub resample: Option<Resample>,
    /// What was asked of colours and scale; the profile above is what it came to.
    pub looks: Looks,
    /// Mosaics, out of which the sources of tables are cut.
    pub mosaics: Option<Mosaics>,
}

impl Default for Reading {
    /// Pictures, and SDSS's bands i, r and g in the colours of the paper's model.
    fn default() -> Self {
        let bands = DecodeOptions::default().bands;
        let profile = colour::for_model("lupton", &bands).expect("a profile of the program's own");
        Self::of(bands, profile.clone())
    }
}

impl Reading {
    /// Pictures, and files of these bands in the colours of a profile.
    pub fn of(bands: [String; 3], profile: Profile) -> Self {
        let DecodeOptions { bands, cube_bands, .. } = DecodeOptions::for_bands(bands);
        Self {
            bands,
            band_pattern: BandPattern::default(),
            cube_bands,
            id_column: None,
            image_column: None,
            join: None,
            profile,
            scale_per_radius: GALAXY_ZOO_2,
            resample: None,
            looks: Looks::default(),
            mosaics: None,
        }
    }

    /// How inputs are listed; nothing is carried but what scales them.
    pub fn list_options(&self) -> ListOptions {
        ListOptions {
            band_pattern: self.band_pattern.clone(),
            bands: self.bands.to_vec(),
            id_column: self.id_column.clone(),
            image_column: self.image_column.clone(),
            carry: self.looks.radius_column.iter().cloned().collect(),
            radius_column: self.looks.radius_column.clone(),
            cube_bands: self.mosaics.as_ref().map(|_| self.cube_bands.clone()),
            mosaics: self.mosaics.clone(),
            join: self.join.clone(),
        }
    }

    /// How mosaics are read.
    pub fn cutting(&self) -> Settings {
        let masks = self.mosaics.as_ref().map(|mosaics| mosaics.masks.clone());
        Settings::new(
            Arc::new(self.decode_options()),
            self.looks.given.clone(),
            &self.profile,
            masks.unwrap_or_default(),
        )
    }

    /// How bytes become pixels.
    pub fn decode_options(&self) -> DecodeOptions {
        let mut options = DecodeOptions::for_bands(self.bands.clone());
        options.cube_bands.clone_from(&self.cube_bands);
        options
    }

    /// How pixels become a picture of `size` pixels a side.
    pub fn preparation(&self, size: usize) -> Preparation {
        let mut preparation = Preparation::new(size, self.profile.clone());
        preparation.given.clone_from(&self.looks.given);
        preparation.wide = self.looks.wide.unwrap_or_default();
        preparation.scale_per_radius = self.scale_per_radius;
        preparation.resample = self.resample;
        preparation
    }
}
