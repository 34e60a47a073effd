//! RICE_1: differences of neighbours in Rice codes (FITS 4.0, section 10.4.1;
//! Rice, Yeh and Miller 1993; White and Becker, cfitsio's ricecomp.c).
//!
//! A stream is the first value as it is, then blocks of values. A block begins
//! with a code: 0 for values that all equal the one before, `fs + 1` for
//! differences with `fs` low bits each after the rest in unary, and one above
//! the largest `fs` for differences as they are. Differences are folded to
//! numbers without sign: 0, -1, 1, -2, ... as 0, 1, 2, 3, ...
//!
//! Invariant: every value comes from the stream; one that ends early, holds
//! more, or codes what the encoder never writes is damage.

use super::Damage;
use super::bits::Bits;

/// How many bytes a coded value has: BYTEPIX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Unsigned bytes.
    One,
    /// Integers of 16 bits.
    Two,
    /// Integers of 32 bits.
    Four,
}

/// Decodes as many values as `out` has; `block` is the number of values that
/// share a code, at least 1.
///
/// # Errors
/// Where the stream is damaged; `out` then holds something of it.
pub fn decode(stream: &[u8], width: Width, block: usize, out: &mut [i32]) -> Result<(), Damage> {
    match width {
        Width::One => values::<8>(stream, block, out, |value| value as i32),
        Width::Two => values::<16>(stream, block, out, |value| i32::from(value as i16)),
        Width::Four => values::<32>(stream, block, out, |value| value as i32),
    }
}

/// Decodes values of `BITS` bits; `signed` gives them their sign.
fn values<const BITS: u32>(
    stream: &[u8],
    block: usize,
    out: &mut [i32],
    signed: impl Fn(u32) -> i32,
) -> Result<(), Damage> {
    // The width of a block's code, and the code of differences as they are.
    let code_bits = BITS.trailing_zeros();
    let plain = match BITS {
        8 => 7,
        16 => 15,
        _ => 26,
    };
    let mask = u32::MAX >> (32 - BITS);
    let mut bits = Bits::new(stream);
    let mut last = bits.take(BITS)?;
    let next = |last: u32, folded: u32| {
        let difference = if folded & 1 == 0 { folded >> 1 } else { !(folded >> 1) };
        last.wrapping_add(difference) & mask
    };
    for block in out.chunks_mut(block) {
        match bits.take(code_bits)? {
            0 => block.fill(signed(last)),
            code if code < plain => {
                let low_bits = code - 1;
                for value in block {
                    let (high, low) = bits.unary(low_bits)?;
                    if high >= 1 << (BITS - low_bits) {
                        return Err(Damage("a difference beyond the type of its values"));
                    }
                    last = next(last, (high as u32) << low_bits | low);
                    *value = signed(last);
                }
            }
            code if code == plain => {
                for value in block {
                    last = next(last, bits.take(BITS)?);
                    *value = signed(last);
                }
            }
            _ => return Err(Damage("a block code that there is not")),
        }
    }
    if bits.bytes_left() > 0 {
        return Err(Damage("bytes are left over"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_values_take_a_few_bits() {
        // 240 bytes of one value: itself, and eight codes of three bits.
        let mut out = [-1; 240];
        decode(&[7, 0, 0, 0], Width::One, 32, &mut out).unwrap();
        assert_eq!(out, [7; 240]);
        let mut out = [-1; 96];
        decode(&[0xFF, 0xFE, 0, 0], Width::Two, 32, &mut out).unwrap();
        assert_eq!(out, [-2; 96]);
        assert_eq!(
            decode(&[0xFF, 0xFE, 0], Width::Two, 32, &mut out),
            Err(Damage("the stream ends early"))
        );
        assert_eq!(
            decode(&[0xFF, 0xFE, 0, 0, 0], Width::Two, 32, &mut out),
            Err(Damage("bytes are left over"))
        );
    }

    #[test]
    fn differences_are_added_up() {
        // 100; fs = 1: +1 (folded 2: 01 0), -1 (folded 1: 1 1), then, as
        // there are only two values, padding.
        let stream = [100, 0b0100_1011, 0];
        let mut out = [0; 2];
        decode(&stream[..2], Width::One, 32, &mut out).unwrap();
        assert_eq!(out, [101, 100]);
        // 0xFFFFFFFF and differences as they are: 2 folded is 1.
        let stream = [0xFF, 0xFF, 0xFF, 0xFF, 0b1101_0000, 0, 0, 0, 0b0001_0000];
        let mut out = [0];
        decode(&stream, Width::Four, 32, &mut out).unwrap();
        assert_eq!(out, [0]);
    }

    #[test]
    fn streams_that_no_encoder_writes_are_damaged() {
        let mut out = [0; 32];
        // fs = 27 where 25 is the most.
        assert!(decode(&[0, 0, 0, 0, 0b1110_0000, 0], Width::Four, 32, &mut out).is_err());
        // 300 zeros where 255 is the largest difference.
        let mut zeros = vec![0; 40];
        zeros[1] = 0b0010_0000;
        zeros.push(1);
        assert!(decode(&zeros, Width::One, 32, &mut out).is_err());
        assert!(decode(&[], Width::One, 32, &mut out).is_err());
    }
}
