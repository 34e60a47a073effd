//! `--bands i,r,g`, `--bands=i,r,g` and `--bands i r g`.
//!
//! The parser of the command line knows the first two: one value. The third is
//! rewritten to it beforehand, and only where it cannot be meant otherwise, since
//! what follows may be inputs.
//!
//! Invariant: no input is taken for a band. A word with a dot or a slash, one that
//! begins a flag, and the name of something that is there are none.

use std::ffi::{OsStr, OsString};
use std::path::Path;

const FLAG: &str = "--bands";

/// The value of the flag.
pub(super) fn parse(text: &str) -> Result<[String; 3], String> {
    let bands: Vec<String> = text.split(',').map(|band| band.trim().to_owned()).collect();
    let bands = <[String; 3]>::try_from(bands).ok();
    let bands = bands.filter(|bands| bands.iter().all(|band| !band.is_empty()));
    bands.ok_or_else(|| "three bands with commas between them, such as i,r,g".to_owned())
}

/// The same arguments, three bands in a row behind the flag made one value.
pub(super) fn joined(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut given: Vec<OsString> = arguments.into_iter().collect();
    let end = given.iter().position(|word| word == "--").unwrap_or(given.len());
    let Some(flag) = given[..end].iter().position(|word| word == FLAG) else { return given };
    let words = flag + 1..flag + 4;
    let Some(bands) = given[..end].get(words.clone()) else { return given };
    let bands: Option<Vec<&str>> = bands.iter().map(|word| band(word)).collect();
    if let Some(bands) = bands {
        let joined = OsString::from(bands.join(","));
        given.splice(words, [joined]);
    }
    given
}

/// A word that can be nothing but the name of a band.
fn band(word: &OsStr) -> Option<&str> {
    let word = word.to_str()?;
    let is_name = !word.is_empty() && !word.starts_with('-') && !word.contains(['.', '/', ',']);
    (is_name && !Path::new(word).exists()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn three_bands_in_a_row_are_one_value() {
        for (given, expected) in [
            ("hiwl classify --bands i r g in.fits", "hiwl classify --bands i,r,g in.fits"),
            (
                "hiwl classify in.fits --bands HSC-I HSC-R HSC-G",
                "hiwl classify in.fits --bands HSC-I,HSC-R,HSC-G",
            ),
            (
                "hiwl classify --bands i r g no-such-input",
                "hiwl classify --bands i,r,g no-such-input",
            ),
        ] {
            assert_eq!(joined(words(given)), words(expected));
        }
    }

    #[test]
    fn inputs_and_flags_are_no_bands() {
        for same in [
            "hiwl classify --bands i,r,g a b",
            "hiwl classify --bands=i,r,g a b",
            "hiwl classify --bands i,r,g",
            "hiwl classify --bands i a.fits b.fits",
            "hiwl classify --bands i r data/g",
            // There is a folder of this name where tests run.
            "hiwl classify --bands i r src",
            "hiwl classify --bands i r --output o",
            "hiwl classify --bands i r",
            "hiwl classify -- --bands i r g",
            "hiwl classify a b c",
        ] {
            assert_eq!(joined(words(same)), words(same));
        }
    }

    #[test]
    fn a_value_is_three_bands() {
        assert_eq!(parse("i,r,g"), Ok(["i", "r", "g"].map(String::from)));
        assert_eq!(parse("z, r, g"), Ok(["z", "r", "g"].map(String::from)));
        for wrong in ["i", "i,r", "i,r,g,u", "i,,g", "", "i r g"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
