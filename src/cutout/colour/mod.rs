//! Survey bands to colours, by named profiles.
//!
//! A profile says which bands become R, G and B, in which unit and per which
//! pixel the formula takes their light, and the formula. The profiles live in
//! `schemas/colour-profiles.toml`; a network sees colours as its training
//! pictures had them or not at all. One file a formula; what the numbers of a
//! FITS file mean is told by [`units`], and brought to what a formula takes by
//! [`Calibration`].
//!
//! Invariant: a pixel's colour depends on no other pixel.

mod calibration;
mod lupton;
pub mod sky;
pub mod units;
mod viewer;
mod weighted;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::{BandImage, RgbImage, room};
pub use calibration::{Assumed, Calibration, Given};
pub(crate) use calibration::{contradicted, given_light};
pub use lupton::Lupton;
pub use viewer::Viewer;
pub use weighted::Weighted;

const SCHEMA: &str = include_str!("../../../schemas/colour-profiles.toml");

/// A named way from bands to colours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name that catalogs and model files record.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Where its numbers come from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The bands that become R, G and B.
    pub bands: [String; 3],
    /// What the formula takes.
    #[serde(default, skip_serializing_if = "Takes::is_pixels")]
    pub unit: Takes,
    /// AB magnitudes of one unit of files that say nothing of theirs, in R, G
    /// and B.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_points: Option<[f64; 3]>,
    /// Arcseconds a pixel of files that do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_scale: Option<f64>,
    /// The formula and its parameters.
    pub method: Method,
}

/// What a profile's formula takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Takes {
    /// The numbers of the file as they are.
    #[default]
    Pixel,
    /// Nanomaggies; where the file's unit is not known, as for
    /// [`Sky`](Self::Sky).
    Nanomaggy,
    /// Whatever the file has, scaled so that the noise of its sky is SDSS's.
    Sky,
}

impl Takes {
    fn is_pixels(&self) -> bool {
        *self == Self::Pixel
    }
}

/// The formulae.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Method {
    /// The asinh stretch of Lupton et al. (2004), as astropy has it.
    LuptonAsinh(Lupton),
    /// That of SDSS's image server.
    WeightedAsinh(Weighted),
    /// That of the Legacy Surveys' viewer.
    LegacyViewer(Viewer),
}

impl Method {
    /// Whether the parameters make sense.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::LuptonAsinh(lupton) => lupton.is_valid(),
            Self::WeightedAsinh(weighted) => weighted.is_valid(),
            Self::LegacyViewer(viewer) => viewer.is_valid(),
        }
    }

    /// Arcseconds of the pixels whose light the formula takes, whatever the
    /// pixels of the file are.
    pub fn pixel(&self) -> Option<f64> {
        match self {
            Self::LuptonAsinh(_) => None,
            Self::WeightedAsinh(weighted) => Some(weighted.pixel),
            Self::LegacyViewer(viewer) => Some(viewer.pixel),
        }
    }

    /// The formula for fluxes that are first multiplied by `factors`.
    pub fn stretch(&self, factors: [f64; 3]) -> Stretch {
        match self {
            Self::LuptonAsinh(lupton) => Stretch::Lupton(lupton.prepared(factors)),
            Self::WeightedAsinh(weighted) => Stretch::Weighted(weighted.prepared(factors)),
            Self::LegacyViewer(viewer) => Stretch::Viewer(viewer.prepared(factors)),
        }
    }
}

/// A formula ready to be applied.
#[derive(Debug, Clone, Copy)]
pub enum Stretch {
    /// As astropy has it.
    Lupton(lupton::Prepared),
    /// As SDSS's image server.
    Weighted(weighted::Prepared),
    /// As the Legacy Surveys' viewer.
    Viewer(viewer::Prepared),
}

impl Stretch {
    /// The colours of a line of pixels with fluxes r, g, b less `levels`.
    pub fn line(&self, fluxes: [&[f32]; 3], levels: [f32; 3], out: &mut [[u8; 3]]) {
        match self {
            Self::Lupton(stretch) => each(|pixel| stretch.colour(pixel), fluxes, levels, out),
            Self::Weighted(stretch) => weighted::line(stretch, fluxes, levels, out),
            Self::Viewer(stretch) => each(|pixel| stretch.colour(pixel), fluxes, levels, out),
        }
    }
}

/// The colours of a line, pixel by pixel.
fn each(
    colour: impl Fn([f32; 3]) -> [u8; 3],
    [r, g, b]: [&[f32]; 3],
    levels: [f32; 3],
    out: &mut [[u8; 3]],
) {
    for (((r, g), b), out) in r.iter().zip(g).zip(b).zip(out) {
        *out = colour([*r - levels[0], *g - levels[1], *b - levels[2]]);
    }
}

/// A part of an image, in pixels of the picture (row 0 on top).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: usize,
    /// First row from the top.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Every profile, in the order of the schema.
pub fn profiles() -> &'static [Profile] {
    static PROFILES: OnceLock<Vec<Profile>> = OnceLock::new();
    PROFILES.get_or_init(|| parse(SCHEMA).expect("part of the program, read by its tests"))
}

/// The profile of this name.
pub fn profile(name: &str) -> Option<&'static Profile> {
    profiles().iter().find(|p| p.name == name)
}

/// The profile for a model that names `name`, and for these bands.
///
/// What a model names is a request for the colours that it was trained on. The
/// first model files name `lupton`, which was the only profile then, and were
/// trained on SDSS's own pictures: they mean `sdss`. For surveys without i, whose
/// first band is z, there is a variant of it.
pub fn for_model(name: &str, bands: &[String; 3]) -> Option<&'static Profile> {
    let name = if name == "lupton" { "sdss" } else { name };
    let last = |band: &str| band.chars().next_back().map(|c| c.to_ascii_lowercase());
    let is_z = last(&bands[0]) == Some('z');
    profile(if name == "sdss" && is_z { "sdss-zrg" } else { name })
}

fn parse(schema: &str) -> Result<Vec<Profile>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Schema {
        profile: Vec<Profile>,
    }
    toml::from_str::<Schema>(schema).map(|s| s.profile)
}

impl Profile {
    /// Colours of a whole image. FITS stores the southernmost row first and
    /// pictures begin on top, so rows are turned over: north ends up on top.
    pub fn compose(&self, bands: &BandImage, calibration: &Calibration) -> RgbImage {
        let (width, height) = (bands.width, bands.height);
        self.compose_window(bands, calibration, Window { left: 0, top: 0, width, height })
    }

    /// Colours of a part of an image: what cropping the whole would give.
    ///
    /// # Panics
    /// If the window reaches outside the image.
    pub fn compose_window(
        &self,
        bands: &BandImage,
        calibration: &Calibration,
        window: Window,
    ) -> RgbImage {
        let Window { left, top, width, height } = window;
        assert!(
            left + width <= bands.width && top + height <= bands.height,
            "{window:?} in an image of {}×{}",
            bands.width,
            bands.height
        );
        let plane = bands.width * bands.height;
        let [r, g, b] = [0, 1, 2].map(|i| &bands.planes[i * plane..(i + 1) * plane]);
        let stretch = self.method.stretch(calibration.factors);
        // Every line is written.
        let mut pixels = room::BYTES.any(width * height * 3);
        for (y, line) in pixels.chunks_exact_mut((width * 3).max(1)).enumerate() {
            let start = (bands.height - 1 - (top + y)) * bands.width + left;
            let row = start..start + width;
            let fluxes = [&r[row.clone()], &g[row.clone()], &b[row]];
            stretch.line(fluxes, calibration.levels, line.as_chunks_mut().0);
        }
        RgbImage { width, height, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every `run.json` and footer of the first versions holds.
    #[test]
    fn the_first_profile_is_written_as_ever() {
        let written = serde_json::to_value(profile("lupton").unwrap()).unwrap();
        let keys: Vec<&String> = written.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 4, "{keys:?}");
        let method = &written["method"];
        assert_eq!(method["kind"], "lupton-asinh");
        assert_eq!(method["stretch"], 5.0);
    }

    #[test]
    fn the_schema_is_sound() {
        let mut names: Vec<&str> = profiles().iter().map(|p| p.name.as_str()).collect();
        assert!(names.contains(&"lupton"));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), profiles().len(), "names are unique");
        for profile in profiles() {
            assert!(profile.method.is_valid(), "{}", profile.name);
            assert!(!profile.description.is_empty(), "{}", profile.name);
            let sourced = profile.name == "lupton" || !profile.source.is_empty();
            assert!(sourced, "{}", profile.name);
            // What scales to a unit of light says per which pixel.
            assert_eq!(profile.unit == Takes::Pixel, profile.method.pixel().is_none());
        }
    }

    #[test]
    fn models_ask_for_the_colours_of_their_pictures() {
        let bands = |names: [&str; 3]| names.map(String::from);
        let of = |name: &str, names| for_model(name, &bands(names)).map(|p| p.name.as_str());
        assert_eq!(of("lupton", ["i", "r", "g"]), Some("sdss"));
        assert_eq!(of("sdss", ["z", "r", "g"]), Some("sdss-zrg"));
        assert_eq!(of("lupton", ["DES-Z", "DES-R", "DES-G"]), Some("sdss-zrg"));
        assert_eq!(of("legacy-grz", ["z", "r", "g"]), Some("legacy-grz"));
        assert_eq!(of("another", ["i", "r", "g"]), None);
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(parse(&SCHEMA.replace("stretch =", "strech =")).is_err());
        assert!(parse(&SCHEMA.replace("lupton-asinh", "lupton-sinh")).is_err());
        assert!(parse(&SCHEMA.replace("description =", "descripton =")).is_err());
    }

    /// A gradient that tells every pixel from every other.
    fn gradient(width: usize, height: usize) -> BandImage {
        let planes = (0..3 * width * height).map(|i| i as f32 * 0.01).collect();
        BandImage::plain(width, height, planes)
    }

    #[test]
    fn north_is_on_top() {
        let mut bands = gradient(4, 3);
        bands.planes.fill(0.0);
        for plane in 0..3 {
            bands.planes[plane * 12 + 11] = 1.0; // last FITS row, last column
        }
        let image = profile("lupton").unwrap().compose(&bands, &Calibration::NONE);
        let lit: Vec<usize> = (0..12).filter(|i| image.pixels[3 * i] > 0).collect();
        assert_eq!(lit, [3]);
    }

    #[test]
    fn a_window_is_a_crop() {
        let bands = gradient(7, 5);
        let profile = profile("lupton").unwrap();
        let whole = profile.compose(&bands, &Calibration::NONE);
        let part = profile.compose_window(
            &bands,
            &Calibration::NONE,
            Window { left: 2, top: 1, width: 3, height: 2 },
        );
        let rows =
            (1..3).flat_map(|y| whole.pixels[(y * 7 + 2) * 3..(y * 7 + 5) * 3].iter().copied());
        assert_eq!(part.pixels, rows.collect::<Vec<u8>>());
    }
}
