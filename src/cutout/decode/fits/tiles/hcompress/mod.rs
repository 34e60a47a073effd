//! HCOMPRESS_1: the H-transform, a Haar transform in integers, coded as
//! quadtrees of bit planes (FITS 4.0, section 10.4.4; White 1992; White,
//! fits_hdecompress.c in cfitsio).
//!
//! [`quadtree`] reads the coefficients, [`transform`] turns them into pixels,
//! [`smooth`] takes the edges off coarse ones. Sums that no valid stream has
//! wrap around, as in the reference.
//!
//! Invariant: every coefficient comes from the stream, which says the tile's
//! size and has to end where it ends.

mod quadtree;
mod smooth;
mod transform;

use std::num::Wrapping;
use std::ops::{Add, AddAssign, BitAnd, BitOrAssign, BitXor, Mul, Neg, Shl, Shr, Sub};

use super::Damage;
use super::bits::Bits;

/// A coefficient: 32 bits for images of up to 16 bits, 64 for others.
pub trait Coefficient:
    Copy
    + Default
    + Ord
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + BitAnd<Output = Self>
    + BitXor<Output = Self>
    + BitOrAssign
    + Shl<usize, Output = Self>
    + Shr<usize, Output = Self>
{
    /// Its bits; a magnitude has one less.
    const BITS: u32;
    /// The low bits of a number.
    fn of(number: i64) -> Self;
}

impl Coefficient for Wrapping<i32> {
    const BITS: u32 = i32::BITS;
    fn of(number: i64) -> Self {
        Self(number as i32)
    }
}

impl Coefficient for Wrapping<i64> {
    const BITS: u32 = i64::BITS;
    fn of(number: i64) -> Self {
        Self(number)
    }
}

/// The pixels of a tile in the making, a row of `columns` after the other.
pub struct Grid<'g, T> {
    values: &'g mut [T],
    rows: usize,
    columns: usize,
}

/// Decodes a tile of `columns` pixels a row; `out` is made as long as the tile
/// has pixels, `pixels`, at least 1.
///
/// # Errors
/// Where the stream is damaged, or of another size.
pub fn decode<T: Coefficient>(
    stream: &[u8],
    columns: usize,
    pixels: usize,
    smooth: bool,
    out: &mut Vec<T>,
) -> Result<(), Damage> {
    let rows = pixels / columns.max(1);
    let (head, coded) = Head::read(stream).ok_or(Damage("the stream ends early"))?;
    if head.size != [rows as u64, columns as u64] || rows * columns != pixels {
        return Err(Damage("an HCOMPRESS stream of another size than its tile"));
    }
    // The smallest transform takes two pixels; the reference has none of one.
    if pixels < 2 {
        return Err(Damage("an HCOMPRESS stream of one pixel"));
    }
    if head.planes.iter().any(|planes| u32::from(*planes) >= T::BITS) {
        return Err(Damage("more bit planes than numbers have bits"));
    }
    out.clear();
    out.resize(pixels, T::default());
    let mut bits = Bits::new(coded);
    let mut grid = Grid { values: out, rows, columns };
    quadtree::read(&mut bits, &mut grid, head.planes)?;
    if bits.bytes_left() > 0 {
        return Err(Damage("bytes are left over"));
    }
    grid.values[0] = T::of(head.sum);
    if head.scale > 1 {
        let scale = T::of(i64::from(head.scale));
        for value in grid.values.iter_mut() {
            *value = *value * scale;
        }
    }
    let smoothing = if smooth { T::of(i64::from(head.scale >> 1)) } else { T::default() };
    transform::invert(&mut grid, smoothing);
    Ok(())
}

/// Whether a stream holds coefficients that were divided, so that its pixels are not those
/// that went in. One without a head holds none.
pub fn is_lossy(stream: &[u8]) -> bool {
    Head::read(stream).is_some_and(|(head, _)| head.scale > 1)
}

/// What stands in front of the coded bits.
struct Head {
    /// Rows and columns.
    size: [u64; 2],
    /// What coefficients were divided by.
    scale: i32,
    /// The first coefficient, which is the sum of all pixels.
    sum: i64,
    /// Bit planes of the quadrants: the sums, the differences along one axis,
    /// those along both.
    planes: [u8; 3],
}

impl Head {
    fn read(stream: &[u8]) -> Option<(Self, &[u8])> {
        let rest = stream.strip_prefix(&[0xDD, 0x99])?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let (scale, rest) = rest.split_first_chunk()?;
        let (sum, rest) = rest.split_first_chunk()?;
        let (planes, coded) = rest.split_first_chunk()?;
        let [rows, columns] = size.as_chunks().0 else { return None };
        let size = [rows, columns].map(|n| u64::from(u32::from_be_bytes(*n)));
        let scale = i32::from_be_bytes(*scale);
        Some((Self { size, scale, sum: i64::from_be_bytes(*sum), planes: *planes }, coded))
    }
}

/// The lengths of an axis after each halving, from one to `length`: each the
/// next one's half, rounded up.
fn halvings(length: usize, levels: u32) -> impl Iterator<Item = usize> {
    (0..=levels).rev().map(move |level| length.div_ceil(1 << level))
}

/// Halvings after which neither axis is longer than one.
fn levels(one: usize, other: usize) -> u32 {
    one.max(other).max(1).next_power_of_two().trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_halved_to_one() {
        assert_eq!(levels(23, 17), 5);
        assert_eq!(levels(1, 1), 0);
        assert_eq!(levels(0, 4), 2);
        assert_eq!(halvings(17, 5).collect::<Vec<_>>(), [1, 2, 3, 5, 9, 17]);
        assert_eq!(halvings(3, 5).collect::<Vec<_>>(), [1, 1, 1, 1, 2, 3]);
    }

    #[test]
    fn heads_are_checked() {
        let mut stream = vec![0xDD, 0x99, 0, 0, 0, 3, 0, 0, 0, 5];
        stream.resize(60, 0);
        let mut out: Vec<Wrapping<i32>> = Vec::new();
        let mut error = |stream: &[u8], columns, pixels| {
            decode(stream, columns, pixels, false, &mut out).unwrap_err().0
        };
        let size = "an HCOMPRESS stream of another size than its tile";
        assert_eq!(error(&stream, 5, 15), "bytes are left over");
        assert_eq!(error(&stream, 3, 15), size);
        assert_eq!(error(&stream, 5, 20), size);
        stream[22] = 32;
        assert_eq!(error(&stream, 5, 15), "more bit planes than numbers have bits");
        stream[2] = 0x80;
        assert_eq!(error(&stream, 5, 15), size);
        assert_eq!(error(&stream[..24], 5, 15), "the stream ends early");
    }
}
