//! From the numbers of an image to the light that a profile's formula takes.
//!
//! What is known of an image comes from its headers ([`super::units`], its WCS);
//! what a person says wins over it; where neither says anything, the profile's
//! own numbers are taken, and where it has none either, the sky's noise
//! ([`super::sky`]). Every assumption comes back with the factors, so that it
//! can be told.

use serde::{Deserialize, Serialize};

use super::units::{self, Light};
use super::{Profile, Takes, sky};
use crate::cutout::{BandImage, Reason, Rejection};

/// Noise of SDSS's sky in i, r and g, nanomaggies a pixel of
/// [`SURVEY_PIXEL`] arcseconds: its sky brightness and gains, as published.
pub const SKY: [f64; 3] = [0.048, 0.030, 0.019];

/// Arcseconds a pixel of SDSS.
pub const SURVEY_PIXEL: f64 = 0.396;

/// What a person says of the images, against what their headers say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// A unit by its name, or `sky` or `pixel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// AB magnitudes of one unit in R, G and B.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_points: Option<[f64; 3]>,
    /// Arcseconds a pixel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_scale: Option<f64>,
    /// Arcseconds of the pixels whose light the numbers are, where images were
    /// resampled without keeping it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flux_pixel: Option<f64>,
}

impl Given {
    /// What is wrong with it, in words.
    ///
    /// # Errors
    /// A phrase that names the setting.
    pub fn check(&self) -> Result<(), String> {
        if let Some(unit) = &self.unit
            && !["sky", "pixel"].contains(&unit.as_str())
            && units::named(unit).is_none()
        {
            return Err(format!(
                "unit {unit:?} is not known: nanomaggy, Jy, uJy, nJy, MJy/sr, sky (by its noise) \
                 or pixel (as it is); for counts, give their zero point"
            ));
        }
        if self.unit.is_some() && self.zero_points.is_some() {
            return Err("a unit and a zero point say the same thing: give one".to_owned());
        }
        let magnitudes = self.zero_points.iter().flatten();
        if let Some(bad) = magnitudes.into_iter().find(|m| !(0.0..=60.0).contains(*m)) {
            return Err(format!("a zero point of {bad} is no AB magnitude"));
        }
        let scales = [self.pixel_scale, self.flux_pixel].into_iter().flatten();
        match scales.into_iter().find(|s| !(*s > 0.0 && s.is_finite())) {
            Some(bad) => Err(format!("a pixel of {bad} arcsec is none")),
            None => Ok(()),
        }
    }

    /// Whether brightness is to be told by the noise of the sky.
    pub fn by_sky(&self) -> bool {
        self.unit.as_deref() == Some("sky")
    }

    /// Whether numbers are to be shown as they are.
    pub fn by_pixel(&self) -> bool {
        self.unit.as_deref() == Some("pixel")
    }

    /// Whether nothing was said.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }
}

/// What numbers are multiplied by, after the level of the sky is taken off.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// In R, G and B.
    pub factors: [f64; 3],
    /// The sky in R, G and B: 0 where the image is taken to be without it.
    pub levels: [f32; 3],
    /// Arcseconds a pixel, if known or assumed.
    pub pixel_scale: Option<f64>,
    /// What was taken for granted.
    pub assumed: Assumed,
}

/// What was taken for granted of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assumed {
    /// The unit was not known, and this was found instead: brightness is by the
    /// sky's noise.
    pub by_sky: Option<String>,
    /// The unit was not known: it is the profile's.
    pub zero_point: bool,
    /// The pixel scale was not known, and light depends on it.
    pub pixel_scale: bool,
}

impl Calibration {
    /// Numbers as they are.
    pub const NONE: Self = Self {
        factors: [1.0; 3],
        levels: [0.0; 3],
        pixel_scale: None,
        assumed: Assumed { by_sky: None, zero_point: false, pixel_scale: false },
    };

    /// For an image that a profile is to show.
    ///
    /// # Errors
    /// [`Reason::Unsupported`] where its headers contradict themselves, and
    /// nobody says what is right.
    pub fn of(bands: &BandImage, profile: &Profile, given: &Given) -> Result<Self, Rejection> {
        let known = given.pixel_scale.or(bands.scale());
        let Some(pixel) = profile.method.pixel() else {
            return Ok(Self { pixel_scale: known, ..Self::NONE });
        };
        let mut assumed = Assumed::default();
        let scale = known.or(profile.pixel_scale).unwrap_or_else(|| {
            assumed.pixel_scale = true;
            pixel
        });
        if given.by_pixel() {
            return Ok(Self { pixel_scale: Some(scale), assumed, ..Self::NONE });
        }
        let mut lights = [0, 1, 2].map(|channel| match given_light(given, channel) {
            Some(light) => light,
            None => bands.light[channel].clone(),
        });
        let mut unknown = None;
        for light in &lights {
            match light {
                Light::Pixel(_) | Light::Area(_) => {}
                Light::Unknown(found) => unknown = Some(found.clone()),
                // By the sky's noise no unit is needed.
                Light::Contradiction(_) if profile.unit == Takes::Sky => {}
                Light::Contradiction(what) => return Err(contradicted(what)),
            }
        }
        if let (Some(_), Some(magnitudes)) = (&unknown, profile.zero_points) {
            assumed.zero_point = true;
            lights = magnitudes.map(|m| Light::Pixel(units::of_zero_point(m)));
        }
        let by_sky = if profile.unit == Takes::Sky || given.by_sky() {
            Some("asked for".to_owned())
        } else {
            unknown.filter(|_| !assumed.zero_point)
        };
        if let Some(why) = by_sky {
            assumed.by_sky = Some(why);
            return Ok(Self::by_sky(bands, pixel, scale, assumed));
        }
        let area = (pixel / given.flux_pixel.unwrap_or(scale)).powi(2);
        let factors = lights.map(|light| match light {
            Light::Pixel(light) => light * area,
            Light::Area(light) => light * pixel.powi(2),
            Light::Unknown(_) | Light::Contradiction(_) => 1.0,
        });
        Ok(Self { factors, levels: [0.0; 3], pixel_scale: Some(scale), assumed })
    }

    /// Brightness by the noise of the sky.
    fn by_sky(bands: &BandImage, pixel: f64, scale: f64, assumed: Assumed) -> Self {
        let plane = bands.width * bands.height;
        let measured = bands.sky.as_deref().copied().unwrap_or_else(|| {
            [0, 1, 2].map(|channel| {
                let plane = &bands.planes[channel * plane..(channel + 1) * plane];
                sky::measure(plane, bands.width, bands.height)
            })
        });
        // An area of the survey's pixel has the noise of so many pixels here.
        let pixels = SURVEY_PIXEL / scale;
        let factors = [0, 1, 2].map(|channel| {
            let noise = measured[channel].map_or(1.0, |sky| sky.noise);
            SKY[channel] * (pixel / SURVEY_PIXEL).powi(2) * pixels / noise
        });
        let levels = measured.map(|sky| sky.map_or(0.0, |sky| sky.level));
        Self { factors, levels, pixel_scale: Some(scale), assumed }
    }
}

/// Why an image whose headers say different things of its light has no colours.
pub(crate) fn contradicted(what: &str) -> Rejection {
    let detail = format!("{what}: say which is right with --unit or --zero-point");
    Rejection::new(Reason::Unsupported, detail)
}

/// What a person says of a channel's light.
pub(crate) fn given_light(given: &Given, channel: usize) -> Option<Light> {
    match (&given.zero_points, &given.unit) {
        (Some(magnitudes), _) => Some(Light::Pixel(units::of_zero_point(magnitudes[channel]))),
        (None, Some(unit)) => units::named(unit),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile;
    use super::*;
    use crate::cutout::wcs::PixelScale;

    /// An image of three pixels a side whose unit is `light`.
    fn image(light: Light, pixel_scale: Option<f64>) -> BandImage {
        let planes = (0..27).map(|k| (k % 9) as f32).collect();
        BandImage {
            light: [0, 1, 2].map(|_| light.clone()),
            pixel_scale: pixel_scale.map(|side| PixelScale { x: side, y: side }),
            ..BandImage::plain(3, 3, planes)
        }
    }

    fn of(image: &BandImage, name: &str, given: &Given) -> Calibration {
        Calibration::of(image, profile(name).unwrap(), given).unwrap()
    }

    fn unknown() -> Light {
        Light::Unknown("nothing".into())
    }

    #[test]
    fn light_is_taken_to_the_pixels_of_the_formula() {
        let silent = Given::default();
        let sdss = of(&image(Light::Pixel(1.0), Some(0.396)), "sdss", &silent);
        assert_eq!((sdss.factors, sdss.assumed), ([1.0; 3], Assumed::default()));
        // A quarter of the area has a quarter of the light.
        let fine = of(&image(Light::Pixel(1.0), Some(0.198)), "sdss", &silent);
        assert_eq!(fine.factors, [4.0; 3]);
        let des = of(&image(Light::Pixel(1e-3), Some(0.263)), "sdss", &silent);
        assert!((des.factors[0] - 1e-3 * (0.396_f64 / 0.263).powi(2)).abs() < 1e-12);
        // Light of an area does not depend on the pixels.
        let webb = of(&image(Light::Area(2.0), Some(0.03)), "sdss", &silent);
        assert!((webb.factors[2] - 2.0 * 0.396 * 0.396).abs() < 1e-12);
        // Numbers that a resampling left alone are of the first pixels.
        let given = Given { flux_pixel: Some(0.396), ..Given::default() };
        assert_eq!(of(&image(Light::Pixel(1.0), Some(0.7)), "sdss", &given).factors, [1.0; 3]);
    }

    #[test]
    fn what_is_said_wins_and_what_is_assumed_is_told() {
        let image = image(unknown(), None);
        let given = Given { zero_points: Some([25.0, 22.5, 20.0]), ..Given::default() };
        let said = of(&image, "sdss", &given);
        assert!((said.factors[0] - 0.1).abs() < 1e-12 && (said.factors[2] - 10.0).abs() < 1e-9);
        assert!(said.assumed.pixel_scale && said.assumed.by_sky.is_none());
        let des = of(&image, "des", &Given::default());
        assert!(des.assumed.zero_point && !des.assumed.pixel_scale);
        assert_eq!(des.pixel_scale, Some(0.263));
        let scale = Given { pixel_scale: Some(0.198), unit: Some("nanomaggy".into()), ..given };
        assert!(scale.check().is_err(), "a unit and a zero point");
        let scale = Given { zero_points: None, ..scale };
        assert_eq!(of(&image, "sdss", &scale).factors, [4.0; 3]);
        let pixel = Given { unit: Some("pixel".into()), ..Given::default() };
        assert_eq!(of(&image, "sdss", &pixel).factors, [1.0; 3]);
    }

    #[test]
    fn an_unknown_unit_is_scaled_by_the_sky() {
        let image = image(unknown(), Some(0.396));
        let sky = of(&image, "sdss", &Given::default());
        assert_eq!(sky.assumed.by_sky.as_deref(), Some("nothing"));
        for (channel, noise) in SKY.into_iter().enumerate() {
            let plane = &image.planes[channel * 9..(channel + 1) * 9];
            let measured = sky::measure(plane, 3, 3).unwrap();
            assert!((sky.factors[channel] * measured.noise - noise).abs() < 1e-12);
            assert_eq!(sky.levels[channel], measured.level);
        }
        let asked = of(&image, "auto", &Given::default());
        assert_eq!((asked.factors, asked.levels), (sky.factors, sky.levels));
        // Numbers as they are need no unit.
        assert_eq!(of(&image, "lupton", &Given::default()).factors, [1.0; 3]);
    }

    #[test]
    fn contradictions_need_a_word() {
        let image = image(Light::Contradiction("A and B".into()), None);
        let of = |given: &Given| Calibration::of(&image, profile("sdss").unwrap(), given);
        let error = of(&Given::default()).unwrap_err();
        assert!(error.reason == Reason::Unsupported && error.detail.contains("A and B"));
        let said = Given { unit: Some("nanomaggy".into()), ..Given::default() };
        assert_eq!(of(&said).unwrap().factors, [1.0; 3]);
    }

    #[test]
    fn nonsense_is_refused() {
        let unit = |unit: &str| Given { unit: Some(unit.into()), ..Given::default() }.check();
        assert!(unit("uJy").is_ok() && unit("sky").is_ok());
        assert!(unit("parsec").unwrap_err().contains("parsec"));
        assert!(unit("counts").unwrap_err().contains("zero point"));
        let scale = |s: f64| Given { pixel_scale: Some(s), ..Given::default() }.check();
        assert!(scale(0.2).is_ok() && scale(0.0).is_err() && scale(f64::NAN).is_err());
        let zero = Given { zero_points: Some([25.0, 1e3, 25.0]), ..Given::default() };
        assert!(zero.check().is_err());
    }
}
