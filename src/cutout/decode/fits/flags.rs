//! Numbers of masks, which are bits and no measures: read exactly, whatever their type.
//!
//! An `f32` holds whole numbers up to 2^24 and no further, so what masks say never passes
//! through one. Invariant: bits that are given out are those that the file holds, BZERO
//! and BSCALE applied; where the last of them may be lost the number is no bits.

use super::layout::Pixels;
use super::scaling::Scaling;
use crate::cutout::Rejection;

/// Bits in which an `f32`, and an `f64`, holds every whole number.
const SINGLE: i32 = f32::MANTISSA_DIGITS as i32;
const DOUBLE: i32 = f64::MANTISSA_DIGITS as i32;

/// What a mask says of a pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flag {
    /// A whole number, in two's complement.
    Bits(u64),
    /// A number that is not whole, or so large that its last bits may be lost.
    Real(f64),
    /// None: BLANK, NaN or infinite.
    Undefined,
}

impl Flag {
    /// Of a stored integer.
    pub fn of_integer(number: i64, scaling: &Scaling) -> Self {
        if scaling.blank == Some(number) {
            return Self::Undefined;
        }
        let Scaling { scale, zero, .. } = *scaling;
        // Unsigned integers of n bits have a BZERO of 2^(n-1).
        if scale == 1.0 && zero.fract() == 0.0 && zero.abs() <= 2_f64.powi(63) {
            return Self::Bits(number.wrapping_add(zero as i128 as i64) as u64);
        }
        match number.unsigned_abs() < 1 << DOUBLE {
            true => Self::of_value(scaling.apply(number as f64), DOUBLE),
            false => Self::Real(scaling.apply(number as f64)),
        }
    }

    /// Of a stored float of 32 bits.
    pub fn of_single(number: f32, scaling: &Scaling) -> Self {
        Self::of_value(scaling.apply(f64::from(number)), SINGLE)
    }

    /// Of a stored float of 64 bits.
    pub fn of_double(number: f64, scaling: &Scaling) -> Self {
        Self::of_value(scaling.apply(number), DOUBLE)
    }

    /// Of a value whose whole numbers are exact up to so many bits.
    fn of_value(value: f64, exact: i32) -> Self {
        if !value.is_finite() {
            Self::Undefined
        } else if value.fract() == 0.0 && value.abs() < 2_f64.powi(exact) {
            Self::Bits(value as i64 as u64)
        } else {
            Self::Real(value)
        }
    }
}

/// Gives each of some big-endian numbers to `take`.
///
/// # Errors
/// What `take` says, of the first.
pub fn each(
    pixels: Pixels,
    scaling: &Scaling,
    numbers: &[u8],
    mut take: impl FnMut(Flag) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let mut whole = |number: i64| take(Flag::of_integer(number, scaling));
    let (two, four, eight) = (numbers.as_chunks().0, numbers.as_chunks().0, numbers.as_chunks().0);
    match pixels {
        Pixels::U8 => numbers.iter().try_for_each(|byte| whole(i64::from(*byte))),
        Pixels::I16 => two.iter().try_for_each(|b| whole(i16::from_be_bytes(*b).into())),
        Pixels::I32 => four.iter().try_for_each(|b| whole(i32::from_be_bytes(*b).into())),
        Pixels::I64 => eight.iter().try_for_each(|b| whole(i64::from_be_bytes(*b))),
        Pixels::F32 => {
            four.iter().try_for_each(|b| take(Flag::of_single(f32::from_be_bytes(*b), scaling)))
        }
        Pixels::F64 => {
            eight.iter().try_for_each(|b| take(Flag::of_double(f64::from_be_bytes(*b), scaling)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(pixels: Pixels, scaling: Scaling, numbers: &[u8]) -> Vec<Flag> {
        let mut found = Vec::new();
        let take = |flag| {
            found.push(flag);
            Ok(())
        };
        each(pixels, &scaling, numbers, take).unwrap();
        found
    }

    #[test]
    fn bits_are_those_that_were_stored() {
        let zero = |zero: f64| Scaling { zero, ..Scaling::NONE };
        let all = 0xffff_ffff_u32;
        for (pixels, scaling, stored, bits) in [
            (Pixels::U8, Scaling::NONE, vec![0x81], 0x81),
            (Pixels::I16, Scaling::NONE, (-2_i16).to_be_bytes().to_vec(), (-2_i64) as u64),
            (Pixels::I16, zero(32_768.0), 1_i16.to_be_bytes().to_vec(), 0x8001),
            (Pixels::I32, Scaling::NONE, 0x4000_0001_i32.to_be_bytes().to_vec(), 0x4000_0001),
            (Pixels::I32, zero(2_f64.powi(31)), i32::MAX.to_be_bytes().to_vec(), all.into()),
            (
                Pixels::I64,
                Scaling::NONE,
                (i64::MAX - 6).to_be_bytes().to_vec(),
                0x7fff_ffff_ffff_fff9,
            ),
            (Pixels::I64, zero(2_f64.powi(63)), i64::MIN.to_be_bytes().to_vec(), 0),
            (Pixels::I64, zero(2_f64.powi(63)), i64::MAX.to_be_bytes().to_vec(), u64::MAX),
            (Pixels::U8, Scaling { scale: 2.0, ..zero(-4.0) }, vec![3], 2),
            (Pixels::F32, Scaling::NONE, 16_777_215_f32.to_be_bytes().to_vec(), 0xff_ffff),
            (Pixels::F64, Scaling::NONE, 4_294_967_297_f64.to_be_bytes().to_vec(), 0x1_0000_0001),
            (Pixels::F32, Scaling::NONE, (-0.0_f32).to_be_bytes().to_vec(), 0),
        ] {
            let found = flags(pixels, scaling, &stored);
            assert_eq!(found, [Flag::Bits(bits)], "{pixels:?} {scaling:?}");
        }
    }

    #[test]
    fn what_has_no_bits_is_told_from_them() {
        let of = |number: f32| Flag::of_single(number, &Scaling::NONE);
        assert_eq!(of(16_777_216.0), Flag::Real(16_777_216.0));
        assert_eq!((of(0.5), of(1e-40)), (Flag::Real(0.5), Flag::Real(f64::from(1e-40_f32))));
        assert_eq!((of(f32::NAN), of(f32::INFINITY)), (Flag::Undefined, Flag::Undefined));
        let halved = Scaling { scale: 0.5, zero: 0.0, blank: Some(7) };
        assert_eq!(Flag::of_integer(6, &halved), Flag::Bits(3));
        assert_eq!(Flag::of_integer(5, &halved), Flag::Real(2.5));
        assert_eq!(Flag::of_integer(7, &halved), Flag::Undefined);
        assert!(matches!(Flag::of_integer(i64::MAX, &halved), Flag::Real(_)));
    }
}
