//! Tile-compressed images (FITS 4.0, section 10): each row of a binary table
//! holds one tile.
//!
//! [`table`] finds the tiles' bytes, [`parameters`] says how they are
//! compressed, one file each unpacks an algorithm, and [`values`] makes
//! physical values of the numbers. All of it is safe Rust: a tile that is cut
//! short, flipped or invented is a [`Rejection`], and the same one each time.
//! astropy and cfitsio are the oracles of the tests; where they disagree on
//! what a file holds, it is rejected too.
//!
//! Invariant: nothing is allocated before the limits allow a plane or a tile
//! of that size, and no pixel is written that its tile does not hold.

mod bits;
mod dither;
mod gzip;
mod hcompress;
mod parameters;
mod plio;
mod quantised;
mod rice;
mod table;
mod tiling;
mod values;

use std::num::Wrapping;
use std::ops::Range;

use super::flags::Flag;
use super::layout::{Hdu, Pixels};
use super::scaling::Scaling;
use crate::cutout::decode::Limits;
use crate::cutout::{Reason, Rejection};
use gzip::Inflater;
use parameters::Algorithm;
use quantised::Quantisation;
use table::{Column, Table};
pub use tiling::Tile;
use tiling::Tiling;
use values::{Meaning, Numbers};

/// What is wrong with a tile's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damage(pub &'static str);

/// A plane that is wanted: its index, and room for its pixels.
pub type Wanted<'o> = (usize, &'o mut [f32]);

/// Reads planes of the compressed image in `hdu`. Undefined and infinite
/// pixels become NaN.
///
/// # Errors
/// [`Reason::Unsupported`] for compressions that are not read and for images
/// on which readers disagree, [`Reason::TooLarge`] for tiles past the limits,
/// [`Reason::Corrupt`] where the structure contradicts itself or a tile is
/// damaged.
pub fn read(
    hdu: &Hdu<'_>,
    file: &[u8],
    limits: &Limits,
    wanted: &mut [Wanted<'_>],
) -> Result<(), Rejection> {
    let data = &file[hdu.data.clone()];
    let claimed = hdu.header.text("DATASUM").ok().flatten();
    if !datasum_holds(claimed.as_deref(), data) {
        return Err(corrupt("the data do not match their DATASUM"));
    }
    let tiling = Tiling::read(hdu, limits)?;
    let tiles = tiling.count().ok_or_else(|| corrupt("more tiles than a table can hold"))?;
    let table = Table::read(hdu, data, tiles)?;
    let mut image = Image::read(hdu, table)?;
    for row in 0..tiles {
        let tile = tiling.tile(row);
        if wanted.iter().any(|(plane, _)| tile.holds(*plane)) {
            image
                .unpack(row, &tile, tiling.width(), wanted)
                .map_err(|e| e.at(format_args!("tile {}", row + 1)))?;
        }
    }
    Ok(())
}

/// The tiles of a compressed image of which parts are read: where they are, and how
/// to unpack some.
pub struct Parts {
    tiling: Tiling,
    tiles: usize,
}

impl Parts {
    /// Of an image whose data are elsewhere.
    ///
    /// # Errors
    /// As [`read`].
    pub fn of(hdu: &Hdu<'_>, limits: &Limits) -> Result<Self, Rejection> {
        let tiling = Tiling::read(hdu, limits)?;
        let tiles = tiling.count().ok_or_else(|| corrupt("more tiles than a table can hold"))?;
        Table::shape(hdu, hdu.data.len(), tiles)?;
        Ok(Self { tiling, tiles })
    }

    /// The numbers of the tiles that hold pixels of these columns and rows of a
    /// plane, ascending.
    pub fn covering(&self, x: Range<usize>, y: Range<usize>, plane: usize) -> Vec<usize> {
        self.tiling.covering([x, y, plane..plane + 1])
    }

    /// The tile of this number.
    pub fn tile(&self, number: usize) -> Tile {
        self.tiling.tile(number)
    }

    /// Unpacks the pixels of a plane in consecutive tiles; `fetch` is asked for
    /// stretches of the HDU's data.
    ///
    /// # Errors
    /// As [`read`], and what fetching says. A checksum of the data is not looked at,
    /// as it is one of all of them.
    pub fn unpack<E: From<Rejection>>(
        &self,
        hdu: &Hdu<'_>,
        numbers: Range<usize>,
        plane: usize,
        fetch: &mut dyn FnMut(Range<usize>) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<Vec<f32>>, E> {
        let values = |image: &mut Image<'_>, row: usize, Tile { start, size }: Tile| {
            // By itself: its first pixel is that of the plane which is filled.
            let tile = Tile { start: [0, 0, start[2]], size };
            let mut values = vec![0.0; size[0] * size[1]];
            image.unpack(row, &tile, size[0], &mut [(plane, &mut values)])?;
            Ok(values)
        };
        self.each(hdu, numbers, fetch, &values)
    }

    /// What a mask of one plane says in consecutive tiles, each pixel as `says` has it.
    ///
    /// # Errors
    /// As [`unpack`](Self::unpack), and what `says` says; [`Reason::Unsupported`] where
    /// numbers were compressed such that they are others now.
    pub fn flags<T, E: From<Rejection>>(
        &self,
        hdu: &Hdu<'_>,
        numbers: Range<usize>,
        says: impl Fn(Flag) -> Result<T, Rejection>,
        fetch: &mut dyn FnMut(Range<usize>) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<Vec<T>>, E> {
        let flags = |image: &mut Image<'_>, row: usize, tile: Tile| {
            let mut flags = Vec::with_capacity(tile.pixels());
            image.flags(row, &tile, |flag| {
                flags.push(says(flag)?);
                Ok(())
            })?;
            Ok(flags)
        };
        self.each(hdu, numbers, fetch, &flags)
    }

    /// What `made` makes of consecutive tiles.
    fn each<T, E: From<Rejection>>(
        &self,
        hdu: &Hdu<'_>,
        numbers: Range<usize>,
        fetch: &mut dyn FnMut(Range<usize>) -> Result<Vec<u8>, E>,
        made: &Made<'_, T>,
    ) -> Result<Vec<Vec<T>>, E> {
        let whole = Table::shape(hdu, hdu.data.len(), self.tiles)?;
        let size = whole.row_bytes();
        let mut data = fetch(numbers.start * size..numbers.end * size)?;
        let at_tile = |e: Rejection, row: usize| e.at(format_args!("tile {}", row + 1));
        let mut stretch: Option<Range<usize>> = None;
        for (row, bytes) in numbers.clone().zip(data.chunks_exact(size.max(1))) {
            let own = whole.stretch(row, bytes).map_err(|e| at_tile(e, row))?;
            if !own.is_empty() {
                stretch = Some(match stretch {
                    None => own,
                    Some(all) => all.start.min(own.start)..all.end.max(own.end),
                });
            }
        }
        let stretch = stretch.unwrap_or(0..0);
        // Writers put tiles behind one another. Where these lie far apart, each is
        // read by itself.
        let pixels: usize = numbers.clone().map(|row| self.tiling.tile(row).pixels()).sum();
        let apart = stretch.len() > pixels.saturating_mul(16).max(1 << 20);
        if apart && numbers.len() == 1 {
            return Err(corrupt("a tile in many times the bytes of its pixels").into());
        }
        if apart {
            let mut all = Vec::with_capacity(numbers.len());
            for row in numbers {
                all.extend(self.each(hdu, row..row + 1, fetch, made)?);
            }
            return Ok(all);
        }
        let heap = whole.heap().start;
        data.extend(fetch(heap + stretch.start..heap + stretch.end)?);
        let part = whole.part(numbers.start, numbers.len(), stretch.start, &data);
        let mut image = Image::read(hdu, part)?;
        let mut unpacked = Vec::with_capacity(numbers.len());
        for row in numbers {
            let tile = self.tiling.tile(row);
            unpacked.push(made(&mut image, row, tile).map_err(|e| at_tile(e, row))?);
        }
        Ok(unpacked)
    }
}

/// What is made of the tile of a row.
type Made<'m, T> = dyn Fn(&mut Image<'_>, usize, Tile) -> Result<Vec<T>, Rejection> + 'm;

/// A compressed image, and room for a tile of it.
struct Image<'a> {
    table: Table<'a>,
    algorithm: Algorithm,
    pixels: Pixels,
    scaling: Scaling,
    quantisation: Option<Quantisation>,
    inflater: Inflater,
    integers: Vec<i32>,
    narrow: Vec<Wrapping<i32>>,
    wide: Vec<Wrapping<i64>>,
    bytes: Vec<u8>,
}

impl<'a> Image<'a> {
    fn read(hdu: &Hdu<'_>, table: Table<'a>) -> Result<Self, Rejection> {
        let algorithm = Algorithm::read(&hdu.header)?;
        let scaling = Scaling::read(&hdu.header, hdu.pixels)?;
        let (scaling, quantisation) = if hdu.pixels.are_integers() {
            (quantised::of_integers(&hdu.header, &table, scaling)?, None)
        } else {
            (scaling, Quantisation::read(&hdu.header, &table, algorithm, scaling)?)
        };
        if algorithm == Algorithm::Plio && scaling.zero != 0.0 {
            let detail = "PLIO_1 with BZERO, which astropy and cfitsio add to different numbers";
            return Err(Rejection::new(Reason::Unsupported, detail));
        }
        Ok(Self {
            table,
            algorithm,
            pixels: hdu.pixels,
            scaling,
            quantisation,
            inflater: Inflater::new(),
            integers: Vec::new(),
            narrow: Vec::new(),
            wide: Vec::new(),
            bytes: Vec::new(),
        })
    }

    /// Unpacks the tile of a row into the planes that are wanted.
    fn unpack(
        &mut self,
        row: usize,
        tile: &Tile,
        width: usize,
        wanted: &mut [Wanted<'_>],
    ) -> Result<(), Rejection> {
        let (numbers, mut meaning) = self.tile(row, tile)?;
        scatter(numbers, &mut meaning, tile, width, wanted).map_err(damaged)
    }

    /// Gives the numbers of the tile of a row, one after the other, to `take`, as a mask's.
    fn flags(
        &mut self,
        row: usize,
        tile: &Tile,
        take: impl FnMut(Flag) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        let is_hcompress = matches!(self.algorithm, Algorithm::Hcompress { .. });
        let (stream, _) = self.table.array(self.table.compressed, row)?;
        let lossy = || Rejection::new(Reason::Unsupported, "a mask that was compressed with loss");
        if is_hcompress && hcompress::is_lossy(stream) {
            return Err(lossy());
        }
        match self.tile(row, tile)? {
            (numbers, Meaning::Plain { scaling, range }) => {
                numbers.flags(tile.pixels(), (&scaling, range), take).map_err(damaged)?
            }
            (_, Meaning::Quantised { .. }) => Err(lossy()),
        }
    }

    /// The numbers of the tile of a row, and what they mean.
    fn tile(&mut self, row: usize, tile: &Tile) -> Result<(Numbers<'_>, Meaning), Rejection> {
        let (stream, of) = self.table.array(self.table.compressed, row)?;
        let scaling = self.scaling;
        let plain = |range: (i64, i64)| Meaning::Plain { scaling, range };
        if stream.is_empty() {
            // Floats that did not quantise well are kept whole.
            let meaning = plain(range(self.pixels));
            return Ok((self.whole(row, tile.pixels())?, meaning));
        }
        let meaning = match &self.quantisation {
            Some(quantisation) => quantisation.of_tile(&self.table, row)?,
            None if self.algorithm.is_lossless() => plain(range(self.pixels)),
            None => plain((i64::MIN, i64::MAX)),
        };
        Ok((self.numbers(stream, of, tile)?, meaning))
    }

    /// The numbers of a tile by the algorithm of the image.
    fn numbers(
        &mut self,
        stream: &'a [u8],
        of: Pixels,
        tile: &Tile,
    ) -> Result<Numbers<'_>, Rejection> {
        let pixels = tile.pixels();
        let words = if self.algorithm == Algorithm::Plio { Pixels::I16 } else { Pixels::U8 };
        if of != words {
            return Err(corrupt("a tile in elements of another type than its algorithm has"));
        }
        match self.algorithm {
            Algorithm::Rice { block, width } => {
                self.integers.resize(pixels, 0);
                rice::decode(stream, width, block, &mut self.integers).map_err(damaged)?;
                Ok(Numbers::Integers(&self.integers))
            }
            Algorithm::Plio => {
                self.integers.resize(pixels, 0);
                plio::decode(stream, &mut self.integers).map_err(damaged)?;
                Ok(Numbers::Integers(&self.integers))
            }
            Algorithm::Hcompress { smooth } => {
                let columns = tile.size[0];
                // Smoothing takes multiples of coefficients.
                if self.pixels.bytes() <= 2 && !smooth {
                    hcompress::decode(stream, columns, pixels, smooth, &mut self.narrow)
                        .map_err(damaged)?;
                    return Ok(Numbers::Narrow(&self.narrow));
                }
                hcompress::decode(stream, columns, pixels, smooth, &mut self.wide)
                    .map_err(damaged)?;
                Ok(Numbers::Wide(&self.wide))
            }
            Algorithm::Gzip => {
                let (bytes, size) = self.inflater.unpack(stream, pixels).map_err(damaged)?;
                let of = stored(self.pixels, size, self.quantisation.is_none())?;
                Ok(Numbers::Bytes(bytes, of))
            }
            Algorithm::ShuffledGzip => {
                let (bytes, size) = self.inflater.unpack(stream, pixels).map_err(damaged)?;
                gzip::unshuffle(bytes, size, &mut self.bytes);
                let of = stored(self.pixels, size, self.quantisation.is_none())?;
                Ok(Numbers::Bytes(&self.bytes, of))
            }
            Algorithm::Plain => {
                let size = stream.len() / pixels;
                if size * pixels != stream.len() {
                    return Err(corrupt("another number of bytes than its pixels take"));
                }
                let of = stored(self.pixels, size, self.quantisation.is_none())?;
                Ok(Numbers::Bytes(stream, of))
            }
        }
    }

    /// The numbers of a tile that the algorithm did not take.
    fn whole(&mut self, row: usize, pixels: usize) -> Result<Numbers<'_>, Rejection> {
        let array = |column: Option<Column>| match column {
            Some(column) => self.table.array(column, row).map(Some),
            None => Ok(None),
        };
        let held = |array: Option<(&'a [u8], Pixels)>| array.filter(|(b, _)| !b.is_empty());
        match (held(array(self.table.gzip)?), held(array(self.table.uncompressed)?)) {
            (Some((stream, Pixels::U8)), None) => {
                let (bytes, size) = self.inflater.unpack(stream, pixels).map_err(damaged)?;
                let of = stored(self.pixels, size, true)?;
                Ok(Numbers::Bytes(bytes, of))
            }
            (None, Some((bytes, of))) if bytes.len() == pixels * of.bytes() => {
                if of.are_integers() == self.pixels.are_integers()
                    && of.bytes() <= self.pixels.bytes()
                {
                    Ok(Numbers::Bytes(bytes, of))
                } else {
                    Err(corrupt("numbers of another type than the image's"))
                }
            }
            (None, None) => Err(corrupt("no bytes")),
            _ => Err(corrupt("several kinds of bytes, or another number of them")),
        }
    }
}

/// The type of stored numbers of `size` bytes of an image of `pixels`: the
/// image's own, or, where integers were stored in more bytes, or floats are
/// quantised (not their `own`), integers.
fn stored(pixels: Pixels, size: usize, own: bool) -> Result<Pixels, Rejection> {
    if own && !pixels.are_integers() {
        if size == pixels.bytes() {
            return Ok(pixels);
        }
        return Err(corrupt("numbers of another size than the image's"));
    }
    match size {
        1 => Ok(Pixels::U8),
        2 => Ok(Pixels::I16),
        4 => Ok(Pixels::I32),
        // As cfitsio takes these for floats, only where the image has such.
        8 if own && pixels == Pixels::I64 => Ok(Pixels::I64),
        _ => Err(corrupt("numbers of a size that there is not")),
    }
}

/// Writes the values of a tile where they belong.
fn scatter(
    numbers: Numbers<'_>,
    meaning: &mut Meaning,
    tile: &Tile,
    width: usize,
    wanted: &mut [Wanted<'_>],
) -> Result<(), Damage> {
    let [columns, rows, planes] = tile.size;
    let mut at = 0;
    for plane in tile.start[2]..tile.start[2] + planes {
        let first = wanted.iter().position(|(wanted, _)| *wanted == plane);
        let Some(first) = first else {
            meaning.skip(columns * rows);
            at += columns * rows;
            continue;
        };
        let (before, after) = wanted.split_at_mut(first + 1);
        let out = &mut *before[first].1;
        // Lines that adjoin are converted at once.
        let (columns, rows) = if columns == width { (columns * rows, 1) } else { (columns, rows) };
        for row in 0..rows {
            let start = (tile.start[1] + row) * width + tile.start[0];
            numbers.values(at, meaning, &mut out[start..start + columns])?;
            at += columns;
            for (_, other) in after.iter_mut().filter(|(wanted, _)| *wanted == plane) {
                other[start..start + columns].copy_from_slice(&out[start..start + columns]);
            }
        }
    }
    Ok(())
}

/// The integers that an image's type has.
fn range(pixels: Pixels) -> (i64, i64) {
    match pixels {
        Pixels::U8 => (0, 255),
        Pixels::I16 => (i16::MIN.into(), i16::MAX.into()),
        Pixels::I32 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

/// Whether the data have the checksum their header claims: the sum of 32-bit
/// words in ones' complement (FITS 4.0, section 4.4.2.7 and appendix J).
fn datasum_holds(claimed: Option<&str>, data: &[u8]) -> bool {
    let Some(claimed) = claimed.and_then(|c| c.trim().parse::<u32>().ok()) else { return true };
    let (words, rest) = data.as_chunks();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let mut sum: u64 = words.iter().chain([&last]).map(|w| u64::from(u32::from_be_bytes(*w))).sum();
    while sum > u64::from(u32::MAX) {
        sum = (sum & u64::from(u32::MAX)) + (sum >> 32);
    }
    sum == u64::from(claimed)
}

fn damaged(damage: Damage) -> Rejection {
    corrupt(damage.0)
}

fn corrupt(detail: &str) -> Rejection {
    Rejection::new(Reason::Corrupt, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_ones_complement() {
        let data = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1];
        assert!(datasum_holds(Some("1"), &data));
        assert!(!datasum_holds(Some("2"), &data));
        assert!(datasum_holds(None, &data));
    }
}
