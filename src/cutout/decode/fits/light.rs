//! What the numbers of a FITS image mean, by its header and the file's first.
//!
//! Surveys write a zero point into the image's own header or into that of the
//! file; the image's own goes first.

use std::cell::RefCell;

use super::layout::{Hdu, Kind, Layout};
use crate::cutout::colour::sky::{self, Sky};
use crate::cutout::colour::units::{self, Keywords, Light};
use crate::cutout::{Reason, Rejection};
use crate::storage::fits::{Header, Unclear};

/// The headers that speak of an image, and the first keyword that is not clear.
struct Headers<'h, 'a>(Vec<&'h Header<'a>>, RefCell<Option<Unclear>>);

impl Headers<'_, '_> {
    /// The first header's answer.
    fn first<T>(&self, ask: impl Fn(&Header<'_>) -> Result<Option<T>, Unclear>) -> Option<T> {
        self.0.iter().find_map(|header| match ask(header) {
            Ok(answer) => answer,
            Err(unclear) => {
                self.1.borrow_mut().get_or_insert(unclear);
                None
            }
        })
    }
}

impl Keywords for Headers<'_, '_> {
    fn number(&self, keyword: &str) -> Option<f64> {
        self.first(|header| header.number(keyword))
    }

    fn text(&self, keyword: &str) -> Option<String> {
        self.first(|header| header.text(keyword))
    }
}

/// The light of an image's numbers.
pub fn of(hdu: &Hdu<'_>, layout: &Layout<'_>) -> Light {
    let mut headers = vec![&hdu.header];
    // The first HDU's, unless it is an image of something else.
    headers.extend(
        layout
            .hdus
            .first()
            .filter(|first| first.number != hdu.number && first.kind == Kind::Other)
            .map(|first| &first.header),
    );
    let headers = Headers(headers, RefCell::default());
    let light = units::read(&headers);
    match headers.1.into_inner() {
        Some(unclear) => Light::Contradiction(unclear.to_string()),
        None => light,
    }
}

/// What a header says of the sky of one of its planes, from 0 ([`sky::KEYWORDS`]).
///
/// # Errors
/// [`Reason::Corrupt`] for what is no number, or no noise.
pub fn sky(hdu: &Hdu<'_>, plane: usize) -> Result<Option<Sky>, Rejection> {
    let [level, noise] = sky::KEYWORDS.map(|keyword| format!("{keyword}{plane}"));
    let (Some(at), Some(deviation)) = (hdu.header.number(&level)?, hdu.header.number(&noise)?)
    else {
        return Ok(None);
    };
    if !(deviation > 0.0 && deviation.is_finite() && at.is_finite()) {
        let detail = format!("HDU {}: {noise} is {deviation:e}", hdu.number);
        return Err(Rejection::new(Reason::Corrupt, detail));
    }
    Ok(Some(Sky { level: at as f32, noise: deviation }))
}

/// Magnitudes of an asinh scale a natural logarithm.
const POGSON: f64 = 2.5 / std::f64::consts::LN_10;

/// Largest asinh magnitude that a flux in `f32` has.
const LARGEST: f32 = 100.0;

/// Takes a plane of Pan-STARRS' asinh magnitudes back to its counts: where
/// BSOFTEN and BOFFSET are given, `BOFFSET + 2 BSOFTEN sinh(v / 1.0857)` (Waters
/// et al. 2020, ApJS 251, 4).
///
/// # Errors
/// [`Reason::Unsupported`] where the numbers cannot be such magnitudes, as in
/// images that were taken back and kept the keywords.
pub fn linear(hdu: &Hdu<'_>, plane: &mut [f32]) -> Result<(), Rejection> {
    let (softening, offset) = (hdu.header.number("BSOFTEN")?, hdu.header.number("BOFFSET")?);
    let (Some(softening), Some(offset)) = (softening, offset) else {
        if softening.is_none() && offset.is_none() {
            return Ok(());
        }
        let detail = format!("HDU {}: BSOFTEN and BOFFSET go together", hdu.number);
        return Err(Rejection::new(Reason::Unsupported, detail));
    };
    let largest = plane.iter().filter(|v| v.is_finite()).fold(0.0_f32, |m, v| m.max(v.abs()));
    if largest > LARGEST || !(softening > 0.0 && softening.is_finite() && offset.is_finite()) {
        let detail = format!(
            "HDU {}: BSOFTEN says that the numbers are asinh magnitudes, and {largest} is none",
            hdu.number
        );
        return Err(Rejection::new(Reason::Unsupported, detail));
    }
    for value in plane {
        *value = (offset + 2.0 * softening * (f64::from(*value) / POGSON).sinh()) as f32;
    }
    Ok(())
}
