//! Images beside a mosaic that say which of its pixels are undefined: masks, and maps of
//! weights.
//!
//! Each is a file that a pattern names by its mosaic's id, or an HDU of the mosaic's own
//! file. A mask says so by numbers that are not zero, or by some of their bits; a map of
//! weights by numbers that are not above zero. Invariant: where one is named, every pixel
//! is held against it, or there is no cutout.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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

/// Where an image beside a mosaic is; `{band}` in it stands for the mosaic's band.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Beside {
    /// A file in the mosaic's folder, with `{id}` in place of the mosaic's id.
    File(String),
    /// An HDU of the mosaic's file, by its EXTNAME.
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
         of an HDU, give its EXTNAME"
    )]
    NoId,
}

impl FromStr for Beside {
    type Err = BesideError;

    fn from_str(text: &str) -> Result<Self, BesideError> {
        let ends = [".fits", ".fit", ".fts", ".fz", ".gz", ".bz2"];
        match text {
            _ if text.trim().is_empty() => Err(BesideError::Empty),
            _ if text.contains('/') => Err(BesideError::Folder),
            _ if text.contains("{id}") => Ok(Self::File(text.to_owned())),
            _ if ends.iter().any(|end| text.to_ascii_lowercase().ends_with(end)) => {
                Err(BesideError::NoId)
            }
            _ => Ok(Self::Hdu(text.to_owned())),
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
            Beside::File(text) | Beside::Hdu(text) => text,
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
                Some(Beside::File(pattern)) => {
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
        match self.beside(kind) {
            Some(Beside::Hdu(name)) => Some(name.replace("{band}", band)),
            _ => None,
        }
    }

    /// Takes from `values` those that an image of a kind says to be undefined.
    ///
    /// # Errors
    /// [`Reason::Unsupported`] if bits are asked for of what has none.
    pub(super) fn apply(
        &self,
        kind: Kind,
        says: &[f32],
        values: &mut [f32],
    ) -> Result<(), Rejection> {
        /// Whole numbers are exact below it.
        const EXACT: f32 = (1_u32 << 24) as f32;
        let bits = self.bits.map(i64::from);
        for (says, value) in says.iter().zip(values) {
            let is_hidden = match (kind, bits) {
                _ if says.is_nan() => true,
                (Kind::Weight, _) => *says <= 0.0,
                (Kind::Mask, None) => *says != 0.0,
                (Kind::Mask, Some(bits)) => {
                    if says.abs() >= EXACT || says.fract() != 0.0 {
                        let detail = format!("its mask holds {says}, of which bits are not known");
                        return Err(Rejection::new(Reason::Unsupported, detail));
                    }
                    *says as i64 & bits != 0
                }
            };
            if is_hidden {
                *value = f32::NAN;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_a_file_or_an_hdu_or_is_refused() {
        let of = |text: &str| text.parse::<Beside>();
        assert_eq!(of("{id}-maskbits.fits.fz"), Ok(Beside::File("{id}-maskbits.fits.fz".into())));
        assert_eq!(of("MSK_{band}"), Ok(Beside::Hdu("MSK_{band}".into())));
        assert_eq!(of("mask.fits"), Err(BesideError::NoId));
        assert_eq!(of("masks/{id}.fits"), Err(BesideError::Folder));
        assert_eq!(of(" "), Err(BesideError::Empty));
        let masks = Masks { mask: of("{id}-{band}-m.fits").ok(), ..Masks::default() };
        let json = serde_json::to_string(&masks).unwrap();
        assert_eq!(json, r#"{"mask":"{id}-{band}-m.fits"}"#);
        assert_eq!(serde_json::from_str::<Masks>(&json).unwrap(), masks);
        assert!(serde_json::from_str::<Masks>(r#"{"mask":"m.fits"}"#).is_err());
        let files = |id| masks.files(Path::new("s3://b/x/f-r-1.fits"), id, "r");
        let expected = ("r mask".to_owned(), PathBuf::from("s3://b/x/1-r-m.fits"));
        assert_eq!(files(Some("1")).unwrap(), [expected]);
        assert_eq!(files(None).unwrap_err().reason, Reason::Unsupported);
    }

    #[test]
    fn numbers_hide_pixels_by_what_they_are() {
        let hidden = |kind, bits, says: &[f32]| -> Result<Vec<bool>, Rejection> {
            let mut values = vec![1.0; says.len()];
            Masks { bits, ..Masks::default() }.apply(kind, says, &mut values)?;
            Ok(values.into_iter().map(f32::is_nan).collect())
        };
        let says = [0.0, -0.0, 1.0, -2.0, 6.0, f32::NAN];
        let of = |kind, bits| hidden(kind, bits, &says).unwrap();
        assert_eq!(of(Kind::Mask, None), [false, false, true, true, true, true]);
        assert_eq!(of(Kind::Weight, None), [true, true, false, true, false, true]);
        assert_eq!(of(Kind::Mask, Some(1)), [false, false, true, false, false, true]);
        assert_eq!(of(Kind::Mask, Some(4)), [false, false, false, true, true, true]);
        assert!(hidden(Kind::Mask, Some(1), &[0.5]).is_err());
        assert!(hidden(Kind::Mask, Some(1), &[16_777_216.0]).is_err());
        assert!(hidden(Kind::Mask, None, &[0.5, 16_777_216.0]).unwrap().iter().all(|h| *h));
    }
}
