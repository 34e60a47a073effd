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
            (Some(asked), _) => of_name(asked)?,
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

    /// The profile that a model is to be trained on, with these bands, and the
    /// name by which its file will ask for it: what was asked for, or `named`.
    /// Whoever uses the model is shown the same colours.
    ///
    /// # Errors
    /// [`LineError::Looks`] for what no model file can name.
    pub fn to_learn(
        &self,
        named: &str,
        bands: &[String; 3],
    ) -> Result<(String, Profile), LineError> {
        self.given.check().map_err(LineError::Looks)?;
        if self.lupton.is_some() {
            return Err(LineError::Looks(
                "a model file names its colours and has no room for parameters of the profile \
                 lupton: train on a profile as it is"
                    .to_owned(),
            ));
        }
        let name = self.profile.as_deref().unwrap_or(named);
        let asked = of_name(name)?;
        let shown = colour::for_model(name, bands).unwrap_or(asked);
        if self.profile.is_some() && shown.name != name {
            return Err(LineError::Looks(format!(
                "a model that names the profile {name} is shown {} where its bands are {}: ask \
                 for that",
                shown.name,
                bands.join(",")
            )));
        }
        Ok((name.to_owned(), shown.clone()))
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

fn of_name(name: &str) -> Result<&'static Profile, LineError> {
    colour::profile(name).ok_or_else(|| {
        let names: Vec<&str> = colour::profiles().iter().map(|p| p.name.as_str()).collect();
        let names = names.join(", ");
        LineError::Looks(format!("no colour profile `{name}`: there are {names}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_learns_what_its_users_will_be_shown() {
        let bands = |names: [&str; 3]| names.map(String::from);
        let (irg, zrg) = (bands(["i", "r", "g"]), bands(["z", "r", "g"]));
        let asked = |name: &str| Looks { profile: Some(name.to_owned()), ..Looks::default() };
        let learned = |looks: &Looks, bands| {
            looks.to_learn("lupton", bands).map(|(name, profile)| (name, profile.name))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        // The first model files say `lupton` and mean SDSS's own pictures.
        assert_eq!(learned(&Looks::default(), &irg).unwrap(), pair("lupton", "sdss"));
        assert_eq!(learned(&Looks::default(), &zrg).unwrap(), pair("lupton", "sdss-zrg"));
        assert_eq!(learned(&asked("des"), &irg).unwrap(), pair("des", "des"));
        let (name, profile) = learned(&asked("legacy-grz"), &zrg).unwrap();
        assert_eq!(Looks::default().profile(&name, &zrg).unwrap().name, profile);
        // What a file cannot say, nobody is to learn.
        for refused in [asked("lupton"), asked("no-such")] {
            assert!(learned(&refused, &irg).is_err(), "{refused:?}");
        }
        assert!(learned(&asked("sdss"), &zrg).unwrap_err().to_string().contains("sdss-zrg"));
        let lupton = Lupton { stretch: 1.0, q: 8.0, minimum: [0.0; 3] };
        let parameters = Looks { lupton: Some(lupton), ..Looks::default() };
        assert!(learned(&parameters, &irg).is_err());
    }
}
