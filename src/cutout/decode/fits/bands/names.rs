//! What an HDU says that it holds: a band, something that is no band, or
//! nothing.

use crate::cutout::decode::DecodeOptions;
use crate::cutout::decode::fits::layout::Hdu;
use crate::storage::fits::{Header, Unclear};

/// EXTNAMEs that say nothing of the band.
const TELL_NOTHING: [&str; 9] =
    ["", "PRIMARY", "IMAGE", "SCI", "SCIENCE", "COMPRESSED_IMAGE", "DATA", "FLUX", "CUTOUT"];

/// Those of them that say at least that pixels are of the sky.
const SCIENCE: [&str; 5] = ["IMAGE", "SCI", "SCIENCE", "DATA", "FLUX"];

/// Keywords that name a band, or say that there is none.
const NAMES: [&str; 3] = ["EXTNAME", "FILTER", "BAND"];

/// Keywords of surveys that say what kind of an image an HDU is.
const KINDS: [&str; 5] = ["EXTNAME", "IMAGETYP", "EXTTYPE", "HDUCLAS2", "DES_EXT"];

/// Words in them by which an image is no measure of light in a band.
const AUXILIARY: [&str; 61] = [
    "mask",
    "masks",
    "maskbits",
    "msk",
    "badpix",
    "bpm",
    "flag",
    "flags",
    "dq",
    "quality",
    "qual",
    "weight",
    "weights",
    "weightmap",
    "wgt",
    "wht",
    "wt",
    "invvar",
    "ivar",
    "inverr",
    "var",
    "variance",
    "err",
    "error",
    "errors",
    "sigma",
    "std",
    "stdev",
    "stddev",
    "rms",
    "noise",
    "unc",
    "uncert",
    "uncertainty",
    "exp",
    "expmap",
    "exptime",
    "exposure",
    "nexp",
    "nobs",
    "depth",
    "galdepth",
    "psfdepth",
    "coverage",
    "cov",
    "ctx",
    "psf",
    "kernel",
    "model",
    "blobmodel",
    "resid",
    "residual",
    "residuals",
    "chi2",
    "sky",
    "bkg",
    "background",
    "seg",
    "segm",
    "segmentation",
    "segmap",
];

/// Filters that so many surveys share that one is never taken for another.
const LETTERS: [&str; 6] = ["u", "g", "r", "i", "z", "y"];

/// An HDU with what it is called.
#[derive(Debug)]
pub struct Named<'l, 'a> {
    /// The HDU.
    pub hdu: &'l Hdu<'a>,
    /// All that it is called, blank names left out.
    pub names: Vec<String>,
    /// The one name among them that is that of a band.
    pub band: Option<String>,
    /// The word by which it is a mask, a weight or the like, if it is one.
    pub auxiliary: Option<&'static str>,
}

impl<'l, 'a> Named<'l, 'a> {
    /// Reads what an HDU is called.
    ///
    /// # Errors
    /// Where that is not clear, or two bands.
    pub fn read(hdu: &'l Hdu<'a>, options: &DecodeOptions) -> Result<Self, Unclear> {
        let mut names = Vec::new();
        for keyword in NAMES {
            let name = name(&hdu.header, keyword)?;
            names.extend(name.filter(|name| !name.is_empty()));
        }
        let mut auxiliary = None;
        for keyword in KINDS {
            let said = name(&hdu.header, keyword)?;
            auxiliary = auxiliary.or(said.and_then(|name| tells_auxiliary(&name)));
        }
        let mut band: Option<String> = None;
        for name in names.iter().filter(|name| is_band(name, options)) {
            match &band {
                Some(other) if !other.eq_ignore_ascii_case(name) => {
                    return Err(Unclear::new(
                        &NAMES.join(", "),
                        format!("name {other} and {name}"),
                    ));
                }
                _ => band = Some(name.clone()),
            }
        }
        Ok(Self { hdu, names, band, auxiliary })
    }

    /// Whether nothing says which band this is, or that it is none.
    pub fn tells_nothing(&self) -> bool {
        self.names.iter().all(|name| is_one_of(name, &TELL_NOTHING))
    }

    /// Whether its name is that of the image among others.
    pub fn is_called_science(&self) -> bool {
        self.names.iter().any(|name| is_one_of(name, &SCIENCE))
    }
}

/// Where a band is among names: an exact match before one that ignores case,
/// as Y and y are different filters and writers upper-case names.
pub fn position(names: &[String], band: &str) -> Option<usize> {
    names
        .iter()
        .position(|n| n == band)
        .or_else(|| names.iter().position(|n| n.eq_ignore_ascii_case(band)))
}

/// Whether this is the name of a band: one that is asked for, or of those that
/// everyone knows.
pub fn is_band(name: &str, options: &DecodeOptions) -> bool {
    let asked = options.bands.iter().chain(&options.cube_bands);
    asked.map(String::as_str).chain(LETTERS).any(|band| name.eq_ignore_ascii_case(band))
}

/// A keyword that is a name, or a number, which is none. Compressed images may
/// have two EXTNAMEs, that of the table and that of the image; only the latter
/// says something.
fn name(header: &Header<'_>, keyword: &str) -> Result<Option<String>, Unclear> {
    if keyword != "EXTNAME" {
        return match header.description(keyword) {
            Err(_) if header.number(keyword).is_ok() => Ok(None),
            text => Ok(text?.map(|name| name.trim().to_owned())),
        };
    }
    let mut names: Vec<String> =
        header.texts(keyword)?.iter().map(|name| name.trim().to_owned()).collect();
    names.dedup();
    if names.len() > 1 {
        names.retain(|name| name != "COMPRESSED_IMAGE");
    }
    match names.as_slice() {
        [] | [_] => Ok(names.pop()),
        _ => Err(Unclear::new(keyword, "is there twice, and differs")),
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The word of a name that is that of something beside an image.
fn tells_auxiliary(name: &str) -> Option<&'static str> {
    let word_of = |name: &str| AUXILIARY.into_iter().find(|word| name.eq_ignore_ascii_case(word));
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .find_map(|word| word_of(word.trim_end_matches(|c: char| c.is_ascii_digit())))
        .or_else(|| word_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_weights_are_told_by_words() {
        for name in ["INVVAR", "invvar_g", "MASKBITS", "g-mask", "ERR2", "chi2", "VAR_POISSON"] {
            assert!(tells_auxiliary(name).is_some(), "{name}");
        }
        assert_eq!(tells_auxiliary("INVVAR_r"), Some("invvar"));
        for name in ["", "g", "SCI", "IMAGE", "object", "r.00000", "expanse", "SDSS_r", "variety"] {
            assert_eq!(tells_auxiliary(name), None, "{name}");
        }
    }
}
