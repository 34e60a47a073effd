//! What the numbers of an image mean: light, by the keywords that surveys write.
//!
//! | survey | says it by |
//! | --- | --- |
//! | SDSS, Legacy Surveys | `BUNIT`: nanomaggies |
//! | Legacy Surveys' cutouts | nothing but `SURVEY`, `IMAGETYP`, `BANDS`: nanomaggies |
//! | DES, Euclid | `MAGZERO`, the AB magnitude of a unit |
//! | Pan-STARRS | `FPA.ZP`, that of a unit a second, with `EXPTIME` |
//! | HSC | `FLUXMAG0`, the number that is magnitude 0 |
//! | HST | `PHOTFLAM`, `PHOTPLAM`, with `BUNIT` a second or `EXPTIME` |
//! | JWST | `BUNIT`: MJy/sr |
//!
//! A zero point wins over a `BUNIT` that counts (electrons, ADU): it says what one
//! of them is worth. Two keywords that give different light are refused; where
//! none does, the light is unknown, and who asked says what is assumed.
//!
//! A nanomaggy is the light of AB magnitude 22.5, 3.631 µJy.

/// Square arcseconds in a steradian.
const SQUARE_ARCSECONDS: f64 = 206_264.806_247_096_36 * 206_264.806_247_096_36;
/// Nanomaggies in a jansky.
const PER_JANSKY: f64 = 1e9 / 3631.0;
/// Most by which two keywords may differ, in magnitudes.
const ALIKE: f64 = 0.01;

/// The light of one unit of an image's numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Light {
    /// Nanomaggies a pixel.
    Pixel(f64),
    /// Nanomaggies a square arcsecond.
    Area(f64),
    /// Not known, and what was found instead.
    Unknown(String),
    /// Two keywords say different things.
    Contradiction(String),
}

impl Light {
    /// What contradicts itself, if something does.
    pub fn contradiction(&self) -> Option<&str> {
        match self {
            Self::Contradiction(what) => Some(what),
            _ => None,
        }
    }
}

/// The keywords of an image, as far as light is concerned.
pub trait Keywords {
    /// A number; `None` where the keyword is missing, or holds something else.
    fn number(&self, keyword: &str) -> Option<f64>;
    /// A text; `None` where the keyword is missing, or holds something else.
    fn text(&self, keyword: &str) -> Option<String>;
}

/// A `BUNIT` that is understood.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    /// Light: nanomaggies a pixel.
    Pixel(f64),
    /// Light: nanomaggies a square arcsecond.
    Area(f64),
    /// Counts of something.
    Counts,
    /// Counts a second.
    Rate,
}

/// The light of a unit with this name, such as `nanomaggy`, `uJy`, `MJy/sr`.
pub fn named(name: &str) -> Option<Light> {
    match unit(name)? {
        Unit::Pixel(light) => Some(Light::Pixel(light)),
        Unit::Area(light) => Some(Light::Area(light)),
        Unit::Counts | Unit::Rate => None,
    }
}

/// The light of a unit whose AB magnitude is this.
pub fn of_zero_point(magnitude: f64) -> f64 {
    10_f64.powf((22.5 - magnitude) / 2.5)
}

/// What an image's keywords say.
pub fn read(header: &impl Keywords) -> Light {
    let text = header.text("BUNIT").filter(|text| !text.trim().is_empty());
    let stated = text.as_deref().and_then(unit);
    let mut zero_points = match zero_points(header, stated) {
        Ok(found) => found,
        Err(what) => return Light::Contradiction(what),
    };
    if let Some(Unit::Pixel(light)) = stated {
        zero_points.push(("BUNIT", light));
    }
    if let (Some(Unit::Area(_)), Some((keyword, _))) = (stated, zero_points.first()) {
        let detail = format!("BUNIT is light of an area, and {keyword} that of a pixel");
        return Light::Contradiction(detail);
    }
    if let Some((first, rest)) = zero_points.split_first() {
        let apart = |(_, light): &&(&str, f64)| 2.5 * (light / first.1).log10().abs() > ALIKE;
        if let Some(other) = rest.iter().find(apart) {
            let detail = format!("{} and {} say different units of light", first.0, other.0);
            return Light::Contradiction(detail);
        }
        return Light::Pixel(first.1);
    }
    match (stated, text) {
        (Some(Unit::Area(light)), _) => Light::Area(light),
        (_, Some(text)) => Light::Unknown(format!("BUNIT is {text:?}, without a zero point")),
        (_, None) if is_legacy_cutout(header) => Light::Pixel(1.0),
        (_, None) if header.number("PHOTFLAM").is_some() => {
            Light::Unknown("PHOTFLAM without a BUNIT".to_owned())
        }
        (_, None) => Light::Unknown("no unit and no zero point".to_owned()),
    }
}

/// Every zero point: its keyword, and the light of a unit; or, in words, what
/// cannot be one.
fn zero_points(
    header: &impl Keywords,
    stated: Option<Unit>,
) -> Result<Vec<(&'static str, f64)>, String> {
    let mut found = Vec::new();
    let mut add = |keyword, magnitude: f64| {
        // Beyond these no survey lies, and a light that is no number lurks.
        if !(0.0..=60.0).contains(&magnitude) {
            return Err(format!("{keyword} gives a zero point of {magnitude}"));
        }
        found.push((keyword, of_zero_point(magnitude)));
        Ok(())
    };
    let exposure = || header.number("EXPTIME").filter(|seconds| *seconds > 0.0);
    if let Some(magnitude) = header.number("MAGZERO") {
        add("MAGZERO", magnitude)?;
    }
    if let Some(flux) = header.number("FLUXMAG0").filter(|flux| *flux > 0.0) {
        add("FLUXMAG0", 2.5 * flux.log10())?;
    }
    if let Some(magnitude) = header.number("FPA.ZP")
        && let Some(seconds) = exposure()
    {
        add("FPA.ZP", magnitude + 2.5 * seconds.log10())?;
    }
    let sensitivity = header.number("PHOTFLAM").zip(header.number("PHOTPLAM"));
    if let Some((flam, plam)) = sensitivity.filter(|(flam, plam)| *flam > 0.0 && *plam > 0.0) {
        // ACS data handbook: STMAG's zero point, and from there to AB.
        let rate = -2.5 * flam.log10() - 21.10 - 5.0 * plam.log10() + 18.6921;
        match stated {
            Some(Unit::Rate) => add("PHOTFLAM", rate)?,
            Some(Unit::Counts) => {
                if let Some(seconds) = exposure() {
                    add("PHOTFLAM", rate + 2.5 * seconds.log10())?;
                }
            }
            Some(Unit::Pixel(_) | Unit::Area(_)) | None => {}
        }
    }
    Ok(found)
}

/// Whether an image is of the Legacy Surveys' cutout service, which writes no
/// `BUNIT`: `image` layers are nanomaggies there.
fn is_legacy_cutout(header: &impl Keywords) -> bool {
    let survey = header.text("SURVEY").unwrap_or_default().to_ascii_uppercase();
    let known = ["DECALS", "MZLS", "BASS", "LEGACY", "DES", "DR"];
    let image = header.text("IMAGETYP").is_some_and(|kind| kind.eq_ignore_ascii_case("image"));
    let banded = ["BANDS", "BAND", "BAND0"].iter().any(|key| header.text(key).is_some());
    image && banded && known.iter().any(|name| survey.starts_with(name))
}

/// A unit's name as surveys write it: case and blanks tell nothing, but mega from milli.
fn unit(name: &str) -> Option<Unit> {
    let is_mega = name.trim_start().starts_with('M');
    let name: String =
        name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let (name, area) = match ["/sr", "sr-1", "sr^-1", "sr**-1", "/steradian", ".sr-1", "*sr**-1"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
    {
        Some(front) => (front.trim_end_matches(['.', '*']).to_owned(), Some(SQUARE_ARCSECONDS)),
        None => match ["/arcsec2", "/arcsec^2", "/arcsec**2", "arcsec-2", "arcsec**-2"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
        {
            Some(front) => (front.trim_end_matches(['.', '*']).to_owned(), Some(1.0)),
            None => (name, None),
        },
    };
    let name = ["/pixel", "/pix", "pixel-1", "pix-1"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(&name);
    let light = match name {
        "nanomaggy" | "nanomaggies" | "nanomaggie" | "nmgy" | "nmaggy" | "nanomgy" => 1.0,
        "maggy" | "maggies" | "mgy" => 1e9,
        "jy" | "jansky" => PER_JANSKY,
        // Milli is as good as never meant, and never written so by those who mean mega.
        "mjy" if area.is_some() && is_mega => 1e6 * PER_JANSKY,
        "njy" | "nanojansky" => 1e-9 * PER_JANSKY,
        "ujy" | "µjy" | "μjy" | "microjy" | "microjansky" => 1e-6 * PER_JANSKY,
        "adu" | "dn" | "count" | "counts" | "cts" | "ct" | "electron" | "electrons" | "e-"
        | "e" | "photon" | "photons"
            if area.is_none() =>
        {
            return Some(Unit::Counts);
        }
        "adu/s" | "dn/s" | "count/s" | "counts/s" | "cts/s" | "ct/s" | "electron/s"
        | "electrons/s" | "e-/s" | "e/s" | "electrons/sec" | "counts/sec" | "photon/s"
        | "photons/s"
            if area.is_none() =>
        {
            return Some(Unit::Rate);
        }
        _ => return None,
    };
    Some(match area {
        Some(square) => Unit::Area(light / square),
        None => Unit::Pixel(light),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keywords and their values as a header writes them.
    struct Cards<'a>(&'a [(&'a str, &'a str)]);

    impl Keywords for Cards<'_> {
        fn number(&self, keyword: &str) -> Option<f64> {
            self.0.iter().find(|(key, _)| *key == keyword)?.1.parse().ok()
        }

        fn text(&self, keyword: &str) -> Option<String> {
            let value = self.0.iter().find(|(key, _)| *key == keyword)?.1;
            Some(value.strip_prefix('\'')?.trim_end_matches('\'').to_owned())
        }
    }

    fn of(cards: &[(&str, &str)]) -> Light {
        read(&Cards(cards))
    }

    #[track_caller]
    fn is(cards: &[(&str, &str)], magnitude: f64) {
        match of(cards) {
            Light::Pixel(light) => {
                let there = 22.5 - 2.5 * light.log10();
                assert!((there - magnitude).abs() < 1e-3, "{there} for {cards:?}");
            }
            other => panic!("{other:?} for {cards:?}"),
        }
    }

    #[test]
    fn surveys_say_it_in_their_ways() {
        is(&[("BUNIT", "'nanomaggy'")], 22.5);
        is(&[("BUNIT", "'NANOMAGGIES '")], 22.5);
        is(&[("MAGZERO", "30.0"), ("BUNIT", "'electrons'"), ("EXPTIME", "450.0")], 30.0);
        is(&[("FPA.ZP", "25.0"), ("EXPTIME", "1000.0")], 32.5);
        is(&[("FLUXMAG0", "63095734448.0194")], 27.0);
        is(&[("BUNIT", "'nJy'")], 31.4);
        is(&[("BUNIT", "'uJy'")], 23.9);
        let legacy =
            [("SURVEY", "'DECaLS'"), ("IMAGETYP", "'image'"), ("BANDS", "'grz'"), ("BAND0", "'g'")];
        is(&legacy, 22.5);
        assert!(matches!(of(&legacy[1..]), Light::Unknown(_)));
    }

    #[test]
    fn hubble_counts_seconds_or_does_not() {
        // ACS/WFC F814W, by STScI's formula: −2.5 lg PHOTFLAM − 5 lg PHOTPLAM − 2.408.
        let acs = [("PHOTFLAM", "7.0331885E-20"), ("PHOTPLAM", "8045.0")];
        let with = |more: &[(&'static str, &'static str)]| [&acs[..], more].concat();
        is(&with(&[("BUNIT", "'ELECTRONS/S'")]), 25.947);
        is(&with(&[("BUNIT", "'ELECTRONS'"), ("EXPTIME", "1000.0")]), 33.447);
        assert!(matches!(of(&with(&[("BUNIT", "'ELECTRONS'")])), Light::Unknown(_)));
        assert!(matches!(of(&acs), Light::Unknown(_)));
    }

    #[test]
    fn webb_measures_areas() {
        let Light::Area(light) = of(&[("BUNIT", "'MJy/sr'"), ("PIXAR_SR", "2.29E-14")]) else {
            panic!("light of an area")
        };
        // 1 MJy/sr is 23.504 µJy a square arcsecond.
        assert!((light * 3.631 - 23.504).abs() < 1e-2, "{light}");
        assert_eq!(named("MJy / sr"), Some(Light::Area(light)));
        assert_eq!(named("MJy sr-1"), Some(Light::Area(light)));
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |cards: &[(&str, &str)]| match of(cards) {
            Light::Contradiction(what) => what,
            other => panic!("{other:?} for {cards:?}"),
        };
        let both = refused(&[("BUNIT", "'nanomaggy'"), ("MAGZERO", "30.0")]);
        assert!(both.contains("MAGZERO") && both.contains("BUNIT"), "{both}");
        refused(&[("MAGZERO", "30.0"), ("FLUXMAG0", "63095734448.0194")]);
        refused(&[("BUNIT", "'MJy/sr'"), ("MAGZERO", "25.0")]);
        refused(&[("MAGZERO", "-99.0")]);
        is(&[("BUNIT", "'nanomaggy'"), ("MAGZERO", "22.5")], 22.5);
    }

    #[test]
    fn what_is_not_said_is_not_known() {
        for (cards, words) in [
            (&[][..], "no unit"),
            (&[("BUNIT", "'ADU'")][..], "ADU"),
            (&[("BUNIT", "'Jy/beam'")][..], "Jy/beam"),
            (&[("BUNIT", "'mJy'")][..], "mJy"),
            (&[("BUNIT", "'mJy/arcsec**2'")][..], "mJy"),
            (&[("BUNIT", "'mJy sr-1'")][..], "mJy"),
            (&[("FPA.ZP", "25.0")][..], "no unit"),
        ] {
            let Light::Unknown(found) = of(cards) else { panic!("{cards:?} is known") };
            assert!(found.contains(words), "{found}");
        }
    }
}
