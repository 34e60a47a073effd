//! How inputs are listed, and how their files become pictures.

use serde::{Serialize, Serializer};

use crate::cutout::colour::{self, Profile};
use crate::cutout::decode::{self, DecodeOptions};
use crate::cutout::prepare::{self, Preparation, Resample};
use crate::cutout::{Payload, Rejection, RgbImage};
use crate::source::list::{BandPattern, ListOptions};

/// How inputs are listed and read, every choice made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    /// Bands that become red, green and blue.
    pub bands: [String; 3],
    /// Names of files that hold a band each.
    #[serde(serialize_with = "text")]
    pub band_pattern: BandPattern,
    /// Planes or HDUs of FITS files that do not name them, in file order.
    pub cube_bands: Vec<String>,
    /// The column of tables that holds ids; a usual one if none is named.
    pub id_column: Option<String>,
    /// The column of Parquet tables that holds images; found if none is named.
    pub image_column: Option<String>,
    /// How bands become colours.
    pub profile: Profile,
    /// Enlarging of pictures that are smaller than the crop; they are rejected
    /// without.
    pub resample: Option<Resample>,
}

fn text<S: Serializer>(pattern: &BandPattern, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(pattern)
}

impl Default for Reading {
    /// Pictures, and SDSS's bands i, r and g by the profile of the paper's model.
    fn default() -> Self {
        let DecodeOptions { bands, cube_bands, .. } = DecodeOptions::default();
        Self {
            bands,
            band_pattern: BandPattern::default(),
            cube_bands,
            id_column: None,
            image_column: None,
            profile: colour::profile("lupton").expect("a profile of the program's own").clone(),
            resample: None,
        }
    }
}

impl Reading {
    /// How inputs are listed.
    pub fn list_options(&self) -> ListOptions {
        ListOptions {
            band_pattern: self.band_pattern.clone(),
            bands: self.bands.to_vec(),
            id_column: self.id_column.clone(),
            image_column: self.image_column.clone(),
            carry: Vec::new(),
        }
    }

    /// How bytes become pixels.
    pub fn decode_options(&self) -> DecodeOptions {
        let mut options = DecodeOptions::for_bands(self.bands.clone());
        options.cube_bands.clone_from(&self.cube_bands);
        options
    }

    /// How pixels become a picture of at least `size` pixels a side.
    pub fn preparation(&self, size: usize) -> Preparation {
        // The profile is a request, as in a model file.
        let profile = colour::for_model(&self.profile.name, &self.bands).unwrap_or(&self.profile);
        let mut preparation = Preparation::new(size, profile.clone());
        preparation.resample = self.resample;
        preparation
    }
}

/// The whole picture in the bytes of a cutout, in colours, at least as large as
/// the preparation's crop.
///
/// # Errors
/// The decoder's, and as [`prepare::whole`].
pub(crate) fn picture(
    payload: &Payload,
    options: &DecodeOptions,
    preparation: &Preparation,
) -> Result<RgbImage, Rejection> {
    prepare::whole(decode::decode(payload, options)?, preparation)
}
