//! How bands become colours in a run, and at which scale: what was asked for,
//! and what it comes to for a model.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::LineError;
use crate::cutout::colour::{self, Given, Lupton, Method, Profile};
use crate::cutout::prepare::{Preparation, Wide};

/// What was asked for. Silence in all of it is the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Looks {
    /// The colour profile, if it is to be another than the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Parameters of the profile `lupton`, if they are to be others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lupton: Option<Lupton>,
    /// Unit, zero points, size of the pixels.
    #[serde(skip_serializing_if = "Given::is_silent")]
    pub given: Given,
    /// The tables' column of radii in arcseconds, by which cutouts are brought
    /// to the scale that the model knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radius_column: Option<String>,
    /// What happens to pictures much wider than the crop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wide: Option<Wide>,
}

impl Looks {
    /// Whether nothing was asked for.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// The profile for a model that was trained on the colours of `named`, and
    /// for these bands.
    ///
    /// # Errors
    /// [`LineError::Looks`] for an unknown profile and what does not go
    /// together, [`LineError::UnknownProfile`] if it is the model's.
    pub fn profile(&self, named: &str, bands: &[String; 3]) -> Result<Profile, LineError> {
        self.given.check().map_err(LineError::Looks)?;
        let mut profile = match (&self.profile, &self.lupton) {
            (Some(asked), _) => colour::profile(asked).ok_or_else(|| {
                let names: Vec<&str> = colour::profiles().iter().map(|p| p.name.as_str()).collect();
                LineError::Looks(format!(
                    "no colour profile `{asked}`: there are {}",
                    names.join(", ")
                ))
            })?,
            (None, Some(_)) => colour::profile("lupton").expect("a profile of the program"),
            (None, None) => colour::for_model(named, bands)
                .ok_or_else(|| LineError::UnknownProfile { name: named.to_owned() })?,
        }
        .clone();
        if let Some(lupton) = self.lupton {
            if profile.name != "lupton" {
                return Err(LineError::Looks(format!(
                    "stretch, q and minimum are of the profile lupton, not of {}",
                    profile.name
                )));
            }
            if !lupton.is_valid() {
                return Err(LineError::Looks(
                    "lupton: stretch must be positive, q not negative".to_owned(),
                ));
            }
            profile.method = Method::LuptonAsinh(lupton);
        }
        Ok(profile)
    }

    /// What decides colours and scale, for `run.json`.
    pub fn pinned(&self, preparation: &Preparation) -> Value {
        let mut pinned = json!({
            "profile": preparation.profile,
            "where_the_unit_is_not_known": match preparation.profile.zero_points {
                Some(_) => "the profile's zero points",
                None => "scaled so that the noise of the sky is SDSS's",
            },
        });
        if !self.given.is_silent() {
            pinned["given"] = json!(self.given);
        }
        if let Some(column) = &self.radius_column {
            pinned["scale"] = json!({
                "radius_column": column,
                "arcsec_per_pixel_per_radius": preparation.scale_per_radius,
            });
        }
        if let Some(wide) = self.wide {
            pinned["wide"] = json!(wide);
        }
        pinned
    }
}
