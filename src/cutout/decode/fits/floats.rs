//! Floating-point pixels of images that are not compressed, to physical values.
//!
//! Four bytes are a number as they stand, but for their order, so this is one pass
//! over them; integers, with their scales and undefined values, are
//! [`cfitsio`](super::cfitsio)'s. Invariant: values are cfitsio's to the bit, as a
//! test shows: undefined and infinite numbers become NaN, those too small for the
//! type's normal numbers zero; values beyond the range of `f32` become infinite.

use super::layout::Pixels;
use super::scaling::Scaling;

/// Converts big-endian floats to physical values.
///
/// # Panics
/// If `numbers` are not as many as `out`, or the pixels are integers.
pub fn convert(pixels: Pixels, scaling: &Scaling, numbers: &[u8], out: &mut [f32]) {
    assert_eq!(Some(numbers.len()), out.len().checked_mul(pixels.bytes()), "a value a number");
    match (pixels, scaling.is_none()) {
        (Pixels::F32, true) => {
            for (to, bytes) in out.iter_mut().zip(numbers.as_chunks().0) {
                *to = single(*bytes);
            }
        }
        (Pixels::F32, false) => {
            for (to, bytes) in out.iter_mut().zip(numbers.as_chunks().0) {
                *to = scaling.apply(f64::from(single(*bytes))) as f32;
            }
        }
        (Pixels::F64, plain) => {
            for (to, bytes) in out.iter_mut().zip(numbers.as_chunks().0) {
                let number = double(*bytes);
                *to = if plain { number } else { scaling.apply(number) } as f32;
            }
        }
        _ => panic!("integers are cfitsio's"),
    }
}

/// A normal number, zero, or NaN.
fn single(bytes: [u8; 4]) -> f32 {
    const EXPONENT: u32 = 0x7f80_0000;
    let bits = u32::from_be_bytes(bytes);
    match bits & EXPONENT {
        0 => 0.0,
        EXPONENT => f32::NAN,
        _ => f32::from_bits(bits),
    }
}

/// The same of eight bytes.
fn double(bytes: [u8; 8]) -> f64 {
    const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
    let bits = u64::from_be_bytes(bytes);
    match bits & EXPONENT {
        0 => 0.0,
        EXPONENT => f64::NAN,
        _ => f64::from_bits(bits),
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::cutout::decode::fits::cfitsio;

    #[test]
    fn any_floats_are_converted_as_cfitsio_does() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
        let scalings = [
            Scaling::NONE,
            Scaling { scale: 0.0123, zero: -4.5e-7, blank: None },
            Scaling { scale: -2e30, zero: 32768.0, blank: None },
        ];
        for round in 0..300 {
            let pixels = [Pixels::F32, Pixels::F64][round % 2];
            let count = random.random_range(0..2000);
            let mut numbers: Vec<u8> = vec![0; count * pixels.bytes()];
            random.fill(&mut numbers[..]);
            // Every kind of number that is none of the usual ones.
            for (at, number) in numbers.chunks_mut(pixels.bytes()).enumerate().take(40) {
                let first: [u8; 2] = match at % 8 {
                    0 => [0x7f, 0xf0],
                    1 => [0xff, 0xf0],
                    2 => [0x7f, 0x80],
                    3 => [0xff, 0xc0],
                    4 => [0x00, 0x01],
                    5 => [0x80, 0x00],
                    6 => [0x7f, 0x7f],
                    _ => [0x7f, 0xef],
                };
                number[..2].copy_from_slice(&first);
                if at % 3 == 0 {
                    number[2..].fill(0);
                }
            }
            for scaling in &scalings {
                let (mut own, mut theirs) = (vec![1.5; count], vec![2.5; count]);
                convert(pixels, scaling, &numbers, &mut own);
                cfitsio::convert(pixels, scaling, &numbers, &mut theirs).unwrap();
                for (at, (own, theirs)) in own.iter().zip(&theirs).enumerate() {
                    let same = own == theirs || (own.is_nan() && theirs.is_nan());
                    let number = &numbers[at * pixels.bytes()..][..pixels.bytes()];
                    assert!(same, "{pixels:?} {scaling:?} {number:02x?}: {own} {theirs}");
                }
            }
        }
    }
}
