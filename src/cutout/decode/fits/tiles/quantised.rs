//! How the floats of an image were quantised: ZQUANTIZ, ZDITHER0, ZSCALE,
//! ZZERO, ZBLANK (FITS 4.0, section 10.2).

use super::dither::Dither;
use super::parameters::Algorithm;
use super::table::{Column, Table};
use super::values::Meaning;
use crate::cutout::decode::fits::scaling::Scaling;
use crate::cutout::{Reason, Rejection};
use crate::storage::fits::{Header, Unclear};

/// What the integers of a tile stand for: `n * scale + zero`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// The step from one integer to the next.
    pub scale: f64,
    /// The value of 0.
    pub zero: f64,
    /// The integer of undefined pixels.
    pub blank: Option<i32>,
    /// The value of pixels of exactly zero, for which an integer is kept.
    pub exact_zero: Option<f32>,
}

/// How the tiles of an image of floats were quantised.
#[derive(Debug, Clone, Copy)]
pub struct Quantisation {
    scale: Column,
    zero: Column,
    blank: Blank,
    /// The seed of the first tile, and whether zeros were left alone.
    dither: Option<(usize, bool)>,
    /// BSCALE and BZERO, which come on top.
    scaling: Scaling,
}

/// Where the integer of undefined pixels stands.
#[derive(Debug, Clone, Copy)]
enum Blank {
    None,
    Fixed(i32),
    Each(Column),
}

impl Quantisation {
    /// Reads how an image of floats was quantised; `None` if it was not.
    ///
    /// # Errors
    /// Where readers disagree on whether it was, or a parameter is wrong.
    pub fn read(
        header: &Header<'_>,
        table: &Table<'_>,
        algorithm: Algorithm,
        scaling: Scaling,
    ) -> Result<Option<Self>, Rejection> {
        let method = header.text("ZQUANTIZ")?;
        let (scale, zero) = match (table.scale, table.zero) {
            (Some(scale), Some(zero)) => (scale, zero),
            (None, None) => {
                let holds_floats = matches!(
                    algorithm,
                    Algorithm::Gzip | Algorithm::ShuffledGzip | Algorithm::Plain
                );
                let by_keyword =
                    header.number("ZSCALE")?.is_some() || header.number("ZZERO")?.is_some();
                let says_so = method.is_some_and(|method| method != "NONE");
                if !holds_floats || by_keyword || says_so {
                    let detail = "floats as integers, without columns ZSCALE and ZZERO";
                    return Err(Rejection::new(Reason::Unsupported, detail));
                }
                return Ok(None);
            }
            _ => return Err(Rejection::new(Reason::Corrupt, "only one of ZSCALE and ZZERO")),
        };
        let exact_zeros = match method.as_deref() {
            None | Some("NO_DITHER") => None,
            Some("SUBTRACTIVE_DITHER_1") => Some(false),
            Some("SUBTRACTIVE_DITHER_2") => Some(true),
            Some(other) => {
                let detail = format!("quantisation {other} with a column ZSCALE");
                return Err(Rejection::new(Reason::Unsupported, detail));
            }
        };
        let dither =
            exact_zeros.map(|exact| Ok::<_, Unclear>((seed(header)?, exact))).transpose()?;
        Ok(Some(Self { scale, zero, blank: blank(header, table)?, dither, scaling }))
    }

    /// What the integers of a tile mean.
    ///
    /// # Errors
    /// Where its parameters are no numbers.
    pub fn of_tile(&self, table: &Table<'_>, row: usize) -> Result<Meaning, Rejection> {
        let (scale, zero) = (table.number(self.scale, row)?, table.number(self.zero, row)?);
        if !scale.is_finite() || !zero.is_finite() || scale == 0.0 {
            let detail = format!("a quantisation by {scale:e} and {zero:e}");
            return Err(Rejection::new(Reason::Corrupt, detail));
        }
        let blank = match self.blank {
            Blank::None => None,
            Blank::Fixed(blank) => Some(blank),
            Blank::Each(column) => Some(table.number(column, row)? as i32),
        };
        let levels = Levels {
            scale: scale * self.scaling.scale,
            zero: self.scaling.apply(zero),
            blank,
            exact_zero: self
                .dither
                .filter(|(_, exact)| *exact)
                .map(|_| self.scaling.apply(0.0) as f32),
        };
        let dither = self.dither.map(|(first, _)| Dither::of_tile(row, first));
        Ok(Meaning::Quantised { levels, dither })
    }
}

/// `ZDITHER0`. Readers start elsewhere where it is missing.
fn seed(header: &Header<'_>) -> Result<usize, Unclear> {
    match header.integer("ZDITHER0")? {
        Some(seed @ 1..=10_000) => Ok(seed as usize),
        Some(other) => Err(Unclear::new("ZDITHER0", format!("is {other}"))),
        None => Err(Unclear::new("ZDITHER0", "is missing")),
    }
}

/// `ZBLANK`, a column or a keyword, else `BLANK`.
fn blank(header: &Header<'_>, table: &Table<'_>) -> Result<Blank, Unclear> {
    if let Some(column) = table.blank {
        return Ok(Blank::Each(column));
    }
    for keyword in ["ZBLANK", "BLANK"] {
        if let Some(blank) = header.integer(keyword)? {
            let blank = i32::try_from(blank);
            let blank = blank.map_err(|_| Unclear::new(keyword, "is beyond 32 bits"))?;
            return Ok(Blank::Fixed(blank));
        }
    }
    Ok(Blank::None)
}

/// How an image of integers becomes values: BLANK may also be called ZBLANK.
///
/// # Errors
/// Where both are there and differ, or ZBLANK is a column, on which readers
/// disagree.
pub fn of_integers(
    header: &Header<'_>,
    table: &Table<'_>,
    scaling: Scaling,
) -> Result<Scaling, Unclear> {
    if table.scale.is_some() || table.zero.is_some() || table.blank.is_some() {
        return Err(Unclear::new("ZSCALE, ZZERO or ZBLANK", "is a column of an image of integers"));
    }
    let blank = header.integer("ZBLANK")?;
    match (blank, scaling.blank) {
        (Some(one), Some(other)) if one != other => {
            Err(Unclear::new("ZBLANK", format!("is {one} where BLANK is {other}")))
        }
        (one, other) => Ok(Scaling { blank: one.or(other), ..scaling }),
    }
}
