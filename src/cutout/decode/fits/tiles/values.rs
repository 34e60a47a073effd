//! From decoded numbers of a tile to physical values (FITS 4.0, sections
//! 10.1.2 and 10.2).
//!
//! Integers become values by BSCALE, BZERO and BLANK, as in any image; floats
//! were stored as they are, or quantised, with a scale, a zero point and maybe
//! dithering of their own for each tile.
//!
//! Invariant: a value depends on nothing but the numbers and the header; an
//! integer outside the image's type is damage.

use std::num::Wrapping;

use super::Damage;
use super::dither::Dither;
use super::quantised::Levels;
use crate::cutout::Rejection;
use crate::cutout::decode::fits::flags::{self, Flag};
use crate::cutout::decode::fits::layout::Pixels;
use crate::cutout::decode::fits::scaling::Scaling;

/// The integer of pixels of exactly zero, where dithering leaves them alone
/// (`SUBTRACTIVE_DITHER_2`).
const ZERO: i32 = -2_147_483_646;

/// What an image's type cannot hold.
const OUTSIDE: Damage = Damage("numbers outside the image's type");

/// The numbers of a tile, as an algorithm leaves them.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'b> {
    /// Integers of up to 32 bits.
    Integers(&'b [i32]),
    /// The same, of sums that wrap around.
    Narrow(&'b [Wrapping<i32>]),
    /// Integers of 32 bits, computed with 64.
    Wide(&'b [Wrapping<i64>]),
    /// Big-endian numbers of some type.
    Bytes(&'b [u8], Pixels),
}

/// What numbers mean.
pub enum Meaning {
    /// Numbers of the image itself.
    Plain {
        /// How they become values.
        scaling: Scaling,
        /// The least and the largest integer that there can be.
        range: (i64, i64),
    },
    /// Levels of floats.
    Quantised {
        /// What the levels of this tile are.
        levels: Levels,
        /// The numbers that were added.
        dither: Option<Dither>,
    },
}

impl Meaning {
    /// Passes over pixels that nobody wants.
    pub fn skip(&mut self, pixels: usize) {
        if let Self::Quantised { dither: Some(dither), .. } = self {
            dither.skip(pixels);
        }
    }
}

impl Numbers<'_> {
    /// Gives the first `count` numbers to `take`, as a mask's. The inner result is what
    /// `take` says.
    ///
    /// # Errors
    /// Where there are fewer, or one that cannot be.
    pub fn flags(
        &self,
        count: usize,
        (scaling, range): (&Scaling, (i64, i64)),
        mut take: impl FnMut(Flag) -> Result<(), Rejection>,
    ) -> Result<Result<(), Rejection>, Damage> {
        let few = Damage("fewer numbers than pixels");
        let mut fit = true;
        let mut whole = |number: i64| {
            fit &= (range.0..=range.1).contains(&number);
            take(Flag::of_integer(number, scaling))
        };
        let taken = match *self {
            Self::Integers(all) => {
                all.get(..count).ok_or(few)?.iter().try_for_each(|n| whole((*n).into()))
            }
            Self::Narrow(all) => {
                all.get(..count).ok_or(few)?.iter().try_for_each(|n| whole(n.0.into()))
            }
            Self::Wide(all) => {
                all.get(..count).ok_or(few)?.iter().try_for_each(|n| whole((n.0 as i32).into()))
            }
            Self::Bytes(all, pixels) => {
                let bytes = all.get(..count * pixels.bytes()).ok_or(few)?;
                // Integers of a smaller type than the image's are in its range; of a larger
                // one they may not be.
                if pixels.are_integers() && range != (i64::MIN, i64::MAX) {
                    let plain = Scaling::NONE;
                    flags::each(pixels, &plain, bytes, |flag| match flag {
                        Flag::Bits(bits) => whole(bits as i64),
                        _ => Ok(()),
                    })
                } else {
                    flags::each(pixels, scaling, bytes, take)
                }
            }
        };
        if fit { Ok(taken) } else { Err(OUTSIDE) }
    }

    /// Values of as many of the numbers as `out` has, from number `at` on.
    ///
    /// # Errors
    /// Where there are fewer, or one that cannot be.
    pub fn values(&self, at: usize, meaning: &mut Meaning, out: &mut [f32]) -> Result<(), Damage> {
        let few = Damage("fewer numbers than pixels");
        let end = at + out.len();
        match *self {
            Self::Integers(all) => {
                integers(all.get(at..end).ok_or(few)?.iter().copied(), meaning, out)
            }
            Self::Narrow(all) => {
                integers(all.get(at..end).ok_or(few)?.iter().map(|value| value.0), meaning, out)
            }
            Self::Wide(all) => {
                let low = all.get(at..end).ok_or(few)?.iter().map(|value| value.0 as i32);
                integers(low, meaning, out)
            }
            Self::Bytes(all, pixels) => {
                let size = pixels.bytes();
                bytes(all.get(at * size..end * size).ok_or(few)?, pixels, meaning, out)
            }
        }
    }
}

fn bytes(
    bytes: &[u8],
    pixels: Pixels,
    meaning: &mut Meaning,
    out: &mut [f32],
) -> Result<(), Damage> {
    let four = || bytes.as_chunks().0.iter();
    let eight = || bytes.as_chunks().0.iter();
    match pixels {
        Pixels::U8 => integers(bytes.iter().map(|b| i32::from(*b)), meaning, out),
        Pixels::I16 => {
            let two = bytes.as_chunks().0.iter();
            integers(two.map(|b| i32::from(i16::from_be_bytes(*b))), meaning, out)
        }
        Pixels::I32 => integers(four().map(|b| i32::from_be_bytes(*b)), meaning, out),
        Pixels::I64 => long_integers(eight().map(|b| i64::from_be_bytes(*b)), meaning, out),
        Pixels::F32 => floats(four().map(|b| normal(f32::from_be_bytes(*b))), meaning, out),
        Pixels::F64 => {
            let normal = |v: f64| if v.is_subnormal() { 0.0 } else { v };
            floats(eight().map(|b| normal(f64::from_be_bytes(*b))), meaning, out)
        }
    }
}

fn normal(value: f32) -> f64 {
    if value.is_subnormal() { 0.0 } else { f64::from(value) }
}

fn integers(
    numbers: impl Iterator<Item = i32>,
    meaning: &mut Meaning,
    out: &mut [f32],
) -> Result<(), Damage> {
    match meaning {
        Meaning::Plain { scaling, range } => {
            let limits = |(lowest, highest): &mut (i32, i32), n: i32| {
                (*lowest, *highest) = ((*lowest).min(n), (*highest).max(n));
            };
            let mut found = (i32::MAX, i32::MIN);
            let blank = scaling.blank.and_then(|blank| i32::try_from(blank).ok());
            let pairs = numbers.zip(out);
            match (blank, scaling.is_none()) {
                (None, true) => pairs.for_each(|(n, out)| {
                    limits(&mut found, n);
                    *out = n as f32;
                }),
                (None, false) => pairs.for_each(|(n, out)| {
                    limits(&mut found, n);
                    *out = scaling.apply(f64::from(n)) as f32;
                }),
                (Some(blank), _) => pairs.for_each(|(n, out)| {
                    limits(&mut found, n);
                    let value = scaling.apply(f64::from(n)) as f32;
                    *out = if n == blank { f32::NAN } else { value };
                }),
            }
            let fit = range.0 <= i64::from(found.0) && i64::from(found.1) <= range.1;
            if fit { Ok(()) } else { Err(OUTSIDE) }
        }
        Meaning::Quantised { levels, dither } => {
            quantised(numbers, levels, dither.as_mut(), out);
            Ok(())
        }
    }
}

/// Values of levels; NaN where a level stands for none.
fn quantised(
    mut numbers: impl Iterator<Item = i32>,
    levels: &Levels,
    dither: Option<&mut Dither>,
    out: &mut [f32],
) {
    let Levels { scale, zero, blank, exact_zero } = *levels;
    let Some(dither) = dither else {
        for (n, out) in numbers.zip(out) {
            let value = (f64::from(n) * scale + zero) as f32;
            *out = if blank == Some(n) { f32::NAN } else { value };
        }
        return;
    };
    let mut rest = out;
    while !rest.is_empty() {
        let random = dither.run(rest.len());
        let (run, after) = rest.split_at_mut(random.len());
        for ((out, random), n) in run.iter_mut().zip(random).zip(&mut numbers) {
            let value = ((f64::from(n) - f64::from(*random) + 0.5) * scale + zero) as f32;
            let value = exact_zero.filter(|_| n == ZERO).unwrap_or(value);
            *out = if blank == Some(n) { f32::NAN } else { value };
        }
        rest = after;
    }
}

fn long_integers(
    numbers: impl Iterator<Item = i64>,
    meaning: &mut Meaning,
    out: &mut [f32],
) -> Result<(), Damage> {
    let Meaning::Plain { scaling, range: (low, high) } = meaning else {
        return Err(Damage("integers of 64 bits where floats are"));
    };
    for (n, out) in numbers.zip(out) {
        if !(*low..=*high).contains(&n) {
            return Err(OUTSIDE);
        }
        let blank = scaling.blank == Some(n);
        *out = if blank { f32::NAN } else { scaling.apply(n as f64) as f32 };
    }
    Ok(())
}

fn floats(
    numbers: impl Iterator<Item = f64>,
    meaning: &mut Meaning,
    out: &mut [f32],
) -> Result<(), Damage> {
    let Meaning::Plain { scaling, .. } = meaning else {
        return Err(Damage("floats where integers are"));
    };
    for (n, out) in numbers.zip(out) {
        *out = if n.is_finite() { scaling.apply(n) as f32 } else { f32::NAN };
    }
    Ok(())
}
