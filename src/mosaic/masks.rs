//! Images beside a mosaic that say which of its pixels are undefined: masks, and maps of
//! weights.
//!
//! Each is a file that a pattern names by its mosaic's id, or an HDU of such a file or of
//! the mosaic's own. A mask says so by numbers that are not zero, or by some of their bits;
//! a map of weights by numbers that are not above zero. Invariant: where one is named,
//! every pixel is held against it, or there is no cutout; the numbers of a mask are those
//! that its file holds, to the last bit.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cutout::decode::fits::flags::Flag;
use crate::cutout::decode::fits::part::{Fetch, PartError, Raster};
use crate::cutout::{Reason, Rejection};

/// What an image beside a mosaic says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What is not zero is undefined.
    Mask,
    /// What is not above zero is.
    Weight,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mask, Self::Weight];

    /// What such an image of a band is called in a listing, where bands have their names.
    pub fn of_band(self, band: &str) -> String {
        format!("{band} {self}")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mask => "mask",
            Self::Weight => "weight",
        })
    }
}

/// Where an image beside a mosaic is; `{band}` in it stands for the mosaic's band. An HDU
/// has its EXTNAME, or `HDU` and its number, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Beside {
    /// A file in the mosaic's folder, with `{id}` in place of the mosaic's id.
    File {
        /// Its name.
        name: String,
        /// The HDU; without, the file has but one image.
        hdu: Option<String>,
    },
    /// An HDU of the mosaic's file.
    Hdu(String),
}

/// Why a text says of no image where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BesideError {
    /// No text.
    #[error("it names nothing")]
    Empty,
    /// A file in another folder.
    #[error("the file lies in its mosaic's folder, so its name has no '/'")]
    Folder,
    /// A file that would be that of all mosaics.
    #[error(
        "the name of a file must hold {{id}}, which --band-pattern takes from the mosaic's name; \
         of an HDU in the mosaic's own file, give its EXTNAME"
    )]
    NoId,
    /// A number alone.
    #[error(
        "some programs count HDUs from 0 and some from 1: write [HDU {0}] for that which \
         is number {0} where the first is 1, or give its EXTNAME"
    )]
    Number(String),
}

impl FromStr for Beside {
    type Err = BesideError;

    fn from_str(text: &str) -> Result<Self, BesideError> {
        let ends = [".fits", ".fit", ".fts", ".fz", ".gz", ".bz2"];
        let behind = text.trim().strip_suffix(']').and_then(|text| text.split_once('['));
        let (name, hdu) = match behind {
            Some((name, hdu)) => (name, Some(hdu.trim())),
            None => (text.trim(), None),
        };
        let checked = |hdu: &str| match hdu {
            "" => Err(BesideError::Empty),
            hdu if hdu.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(BesideError::Number(hdu.to_owned()))
            }
            hdu => Ok(hdu.to_owned()),
        };
        match name {
            "" => checked(hdu.unwrap_or_default()).map(Self::Hdu),
            _ if name.contains('/') => Err(BesideError::Folder),
            _ if name.contains("{id}") => {
                Ok(Self::File { name: name.to_owned(), hdu: hdu.map(checked).transpose()? })
            }
            _ if hdu.is_some()
                || ends.iter().any(|end| name.to_ascii_lowercase().ends_with(end)) =>
            {
                Err(BesideError::NoId)
            }
            _ => checked(name).map(Self::Hdu),
        }
    }
}

impl TryFrom<String> for Beside {
    type Error = BesideError;

    fn try_from(text: String) -> Result<Self, BesideError> {
        text.parse()
    }
}

impl From<Beside> for String {
    fn from(beside: Beside) -> Self {
        match beside {
            Beside::File { name, hdu: None } | Beside::Hdu(name) => name,
            Beside::File { name, hdu: Some(hdu) } => format!("{name}[{hdu}]"),
        }
    }
}

/// The images that a person names beside mosaics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masks {
    /// Masks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Beside>,
    /// The bits of masks that count; all without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// Maps of weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Beside>,
}

impl Masks {
    /// Whether none are named.
    pub fn is_empty(&self) -> bool {
        self.mask.is_none() && self.weight.is_none()
    }

    /// The kinds that are named.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| self.beside(*kind).is_some())
    }

    /// Where images of a kind are.
    pub fn beside(&self, kind: Kind) -> Option<&Beside> {
        match kind {
            Kind::Mask => self.mask.as_ref(),
            Kind::Weight => self.weight.as_ref(),
        }
    }

    /// The files of the images beside a mosaic of a band, with what they are called in a
    /// listing; `id` is that in the mosaic's name.
    ///
    /// # Errors
    /// [`Reason::Unsupported`] where a file is named by an id that there is not.
    pub fn files(
        &self,
        mosaic: &Path,
        id: Option<&str>,
        band: &str,
    ) -> Result<Vec<(String, PathBuf)>, Rejection> {
        let mut files = Vec::new();
        for kind in self.kinds() {
            let path = match self.beside(kind) {
                None | Some(Beside::Hdu(_)) => mosaic.to_owned(),
                Some(Beside::File { name: pattern, .. }) => {
                    let id = id.ok_or_else(|| {
                        let detail = format!(
                            "its name does not fit --band-pattern, so which {kind} is its own is \
                             not known"
                        );
                        Rejection::new(Reason::Unsupported, detail)
                    })?;
                    mosaic.with_file_name(pattern.replace("{id}", id).replace("{band}", band))
                }
            };
            files.push((kind.of_band(band), path));
        }
        Ok(files)
    }

    /// The HDU of a kind of image of a band: without, the file has but one.
    pub(super) fn hdu(&self, kind: Kind, band: &str) -> Option<String> {
        match self.beside(kind)? {
            Beside::Hdu(hdu) | Beside::File { hdu: Some(hdu), .. } => {
                Some(hdu.replace("{band}", band))
            }
            Beside::File { hdu: None, .. } => None,
        }
    }

    /// Some blocks of an image of a kind: NaN for the pixels that it says to be undefined.
    ///
    /// # Errors
    /// What fetching says, and what is wrong with the image; [`Reason::Unsupported`] if bits
    /// are asked for of what has none.
    pub(super) fn read(
        &self,
        kind: Kind,
        raster: &Raster,
        blocks: Range<usize>,
        fetch: &mut Fetch<'_>,
    ) -> Result<Vec<Vec<f32>>, PartError> {
        match kind {
            Kind::Mask => {
                let says = |flag| Ok(if self.hides(flag)? { f32::NAN } else { 0.0 });
                raster.flags(blocks, says, fetch)
            }
            Kind::Weight => {
                let mut parts = raster.read(blocks, fetch)?;
                for weight in parts.iter_mut().flatten().filter(|weight| **weight <= 0.0) {
                    *weight = f32::NAN;
                }
                Ok(parts)
            }
        }
    }

    /// Whether a mask that says this of a pixel says it to be undefined.
    fn hides(&self, flag: Flag) -> Result<bool, Rejection> {
        match (flag, self.bits) {
            (Flag::Undefined, _) => Ok(true),
            (Flag::Bits(bits), None) => Ok(bits != 0),
            (Flag::Real(value), None) => Ok(value != 0.0),
            (Flag::Bits(bits), Some(asked)) => Ok(bits & u64::from(asked) != 0),
            (Flag::Real(value), Some(_)) => {
                let detail = format!("its mask holds {value}, of which bits are not known");
                Err(Rejection::new(Reason::Unsupported, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_a_file_or_an_hdu_or_is_refused() {
        let of = |text: &str| text.parse::<Beside>();
        let file = |name: &str, hdu: Option<&str>| {
            Ok(Beside::File { name: name.to_owned(), hdu: hdu.map(str::to_owned) })
        };
        let number = |text: &str| Err(BesideError::Number(text.to_owned()));
        assert_eq!(of("{id}-maskbits.fits.fz"), file("{id}-maskbits.fits.fz", None));
        assert_eq!(of("{id}-m.fits.fz[MASKBITS]"), file("{id}-m.fits.fz", Some("MASKBITS")));
        assert_eq!(of("{id}.fits[ HDU 2 ]"), file("{id}.fits", Some("HDU 2")));
        assert_eq!(of("MSK_{band}"), Ok(Beside::Hdu("MSK_{band}".into())));
        assert_eq!(of("[MSK]"), Ok(Beside::Hdu("MSK".into())));
        assert_eq!(
            (of("{id}.fits[2]"), of("[1]"), of("1")),
            (number("2"), number("1"), number("1"))
        );
        assert_eq!(of("mask.fits"), Err(BesideError::NoId));
        assert_eq!(of("mask.fits[MSK]"), Err(BesideError::NoId));
        assert_eq!(of("masks/{id}.fits"), Err(BesideError::Folder));
        assert_eq!(
            (of(" "), of("{id}.fits[]")),
            (Err(BesideError::Empty), Err(BesideError::Empty))
        );
        for text in ["{id}-{band}-m.fits", "{id}.fits[MSK_{band}]", "MSK"] {
            let masks = Masks { mask: of(text).ok(), ..Masks::default() };
            let json = serde_json::to_string(&masks).unwrap();
            assert_eq!(json, format!(r#"{{"mask":"{text}"}}"#));
            assert_eq!(serde_json::from_str::<Masks>(&json).unwrap(), masks);
        }
        assert!(serde_json::from_str::<Masks>(r#"{"mask":"m.fits"}"#).is_err());
        let masks = Masks { mask: of("{id}-{band}-m.fits[M{band}]").ok(), ..Masks::default() };
        let files = |id| masks.files(Path::new("s3://b/x/f-r-1.fits"), id, "r");
        let expected = ("r mask".to_owned(), PathBuf::from("s3://b/x/1-r-m.fits"));
        assert_eq!(files(Some("1")).unwrap(), [expected]);
        assert_eq!(files(None).unwrap_err().reason, Reason::Unsupported);
        assert_eq!(masks.hdu(Kind::Mask, "r").as_deref(), Some("Mr"));
    }

    #[test]
    fn numbers_hide_pixels_by_what_they_are() {
        use crate::cutout::decode::fits::scaling::Scaling;
        let hides = |bits, says: f32| {
            let flag = Flag::of_single(says, &Scaling::NONE);
            Masks { bits, ..Masks::default() }.hides(flag)
        };
        let says = [0.0, -0.0, 1.0, -2.0, 6.0, f32::NAN];
        let of = |bits| says.map(|number| hides(bits, number).unwrap());
        assert_eq!(of(None), [false, false, true, true, true, true]);
        assert_eq!(of(Some(1)), [false, false, true, false, false, true]);
        assert_eq!(of(Some(4)), [false, false, false, true, true, true]);
        assert!(hides(Some(1), 0.5).is_err());
        assert!(hides(Some(1), 16_777_216.0).is_err());
        assert!([0.5, 16_777_216.0].iter().all(|number| hides(None, *number).unwrap()));
        // As integers all bits are known.
        let masks = Masks { bits: Some(1), ..Masks::default() };
        let hidden = [0x4000_0000, 0x4000_0001]
            .map(|number| masks.hides(Flag::of_integer(number, &Scaling::NONE)).unwrap());
        assert_eq!(hidden, [false, true]);
    }
}
