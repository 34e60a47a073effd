//! Survey bands to colours, by named profiles.
//!
//! A profile says which bands become R, G and B and by which formula. The
//! profiles live in `schemas/rgb-profiles.toml`; the model file and every
//! catalog record the name, because a network sees colours as its training
//! pictures had them or not at all. One file a formula.

mod lupton;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::{BandImage, RgbImage};
pub use lupton::Lupton;

const SCHEMA: &str = include_str!("../../../schemas/rgb-profiles.toml");

/// A named way from bands to colours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name that catalogs and model files record.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The bands that become R, G and B.
    pub bands: [String; 3],
    /// The formula and its parameters.
    pub method: Method,
}

/// The formulae.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Method {
    /// The asinh stretch of Lupton et al. (2004), as astropy has it.
    LuptonAsinh(Lupton),
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
    pub fn compose(&self, bands: &BandImage) -> RgbImage {
        let (width, height) = (bands.width, bands.height);
        self.compose_window(bands, Window { left: 0, top: 0, width, height })
    }

    /// Colours of a part of an image: what cropping the whole would give, as
    /// a pixel's colour depends on no other pixel.
    ///
    /// # Panics
    /// If the window reaches outside the image.
    pub fn compose_window(&self, bands: &BandImage, window: Window) -> RgbImage {
        let Window { left, top, width, height } = window;
        assert!(
            left + width <= bands.width && top + height <= bands.height,
            "{window:?} in an image of {}×{}",
            bands.width,
            bands.height
        );
        let plane = bands.width * bands.height;
        let [r, g, b] = [0, 1, 2].map(|i| &bands.planes[i * plane..(i + 1) * plane]);
        let Method::LuptonAsinh(lupton) = &self.method;
        let stretch = lupton.prepared();
        let mut pixels = vec![0; width * height * 3];
        for (y, line) in pixels.chunks_exact_mut((width * 3).max(1)).enumerate() {
            let start = (bands.height - 1 - (top + y)) * bands.width + left;
            let row = start..start + width;
            let fluxes = r[row.clone()].iter().zip(&g[row.clone()]).zip(&b[row]);
            for (pixel, ((r, g), b)) in line.as_chunks_mut().0.iter_mut().zip(fluxes) {
                *pixel = stretch.colour([*r, *g, *b]);
            }
        }
        RgbImage { width, height, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_sound() {
        let mut names: Vec<&str> = profiles().iter().map(|p| p.name.as_str()).collect();
        assert!(names.contains(&"lupton"));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), profiles().len(), "names are unique");
        for profile in profiles() {
            let Method::LuptonAsinh(lupton) = &profile.method;
            assert!(lupton.is_valid(), "{}", profile.name);
            assert!(!profile.description.is_empty(), "{}", profile.name);
        }
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
        BandImage { width, height, planes, centre: None, pixel_scale: None, note: None }
    }

    #[test]
    fn north_is_on_top() {
        let mut bands = gradient(4, 3);
        bands.planes.fill(0.0);
        for plane in 0..3 {
            bands.planes[plane * 12 + 11] = 1.0; // last FITS row, last column
        }
        let image = profile("lupton").unwrap().compose(&bands);
        let lit: Vec<usize> = (0..12).filter(|i| image.pixels[3 * i] > 0).collect();
        assert_eq!(lit, [3]);
    }

    #[test]
    fn a_window_is_a_crop() {
        let bands = gradient(7, 5);
        let profile = profile("lupton").unwrap();
        let whole = profile.compose(&bands);
        let part = profile.compose_window(&bands, Window { left: 2, top: 1, width: 3, height: 2 });
        let rows =
            (1..3).flat_map(|y| whole.pixels[(y * 7 + 2) * 3..(y * 7 + 5) * 3].iter().copied());
        assert_eq!(part.pixels, rows.collect::<Vec<u8>>());
    }
}
