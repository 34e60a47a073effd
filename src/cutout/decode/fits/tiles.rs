//! Tile-compressed images, checked before cfitsio unpacks them.
//!
//! In a compressed image (FITS 4.0, section 10.1) each row of a binary table
//! points at the bytes of one tile in the table's heap. cfitsio believes the
//! pointers, the tile sizes, and the sizes inside the HCOMPRESS and gzip
//! streams; broken ones make it divide by zero, allocate without bound or
//! write past its buffers. What it believes is therefore checked here.
//!
//! What cannot be checked without unpacking is the inside of RICE and
//! HCOMPRESS streams, where cfitsio may read (not write) past the end of a
//! damaged tile. The DATASUM keyword, which fpack writes, catches such
//! damage; it is checked where it is present.

use std::io::Read;
use std::ops::Range;

use flate2::bufread::GzDecoder;

use super::layout::Hdu;
use crate::cutout::decode::Limits;
use crate::cutout::{Reason, Rejection};

/// Bytes before the coded bits of an HCOMPRESS stream: magic, nx, ny, scale,
/// sum, three numbers of bit planes.
const HCOMPRESS_HEADER: usize = 2 + 4 + 4 + 4 + 8 + 3;

/// The compressions that are read. PLIO_1 is for masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Rice,
    Gzip,
    Hcompress,
}

/// A variable-length column: where its descriptor lies in a row, and whether
/// the descriptor has two 32-bit or two 64-bit numbers.
#[derive(Debug, Clone, Copy)]
struct Column {
    at: usize,
    wide: bool,
}

/// Checks the compressed image in `hdu`.
///
/// # Errors
/// [`Reason::Unsupported`] for compressions that are not read,
/// [`Reason::TooLarge`] for tiles past the limits, [`Reason::Corrupt`] where
/// the structure contradicts itself.
pub fn check(hdu: &Hdu<'_>, file: &[u8], limits: &Limits) -> Result<(), Rejection> {
    let header = &hdu.header;
    let compression = match header.text("ZCMPTYPE").as_deref() {
        Some("RICE_1" | "RICE_ONE") => Compression::Rice,
        Some("GZIP_1" | "GZIP_2") => Compression::Gzip,
        Some("HCOMPRESS_1") => Compression::Hcompress,
        other => {
            let detail = format!("compression {}", other.unwrap_or("without a name"));
            return Err(Rejection::new(Reason::Unsupported, detail));
        }
    };
    let bitpix = match header.int("ZBITPIX") {
        Some(bits @ (8 | 16 | 32 | -32 | -64)) => bits,
        Some(64) => return Err(Rejection::new(Reason::Unsupported, "compressed 64-bit integers")),
        _ => return Err(corrupt("ZBITPIX is missing or wrong")),
    };
    if compression == Compression::Rice {
        let block = header.int("ZVAL1").is_some_and(|v| (1..=65_536).contains(&v));
        let bytes = matches!(header.int("ZVAL2"), None | Some(1 | 2 | 4));
        if !block || !bytes {
            return Err(corrupt("RICE parameters ZVAL1, ZVAL2 are missing or wrong"));
        }
    }
    let data = &file[hdu.data.clone()];
    if !datasum_holds(header.text("DATASUM").as_deref(), data) {
        return Err(corrupt("the data do not match their DATASUM"));
    }

    let tiling = Tiling::read(hdu, limits)?;
    let table = Table::read(hdu, tiling.count)?;
    for tile in 0..tiling.count {
        let pixels = tiling.pixels(tile);
        let stream = table.bytes(data, &table.compressed, tile)?;
        let held = if stream.is_empty() { None } else { Some(stream) };
        let verdict = match (held, &table.gzip, compression) {
            (Some(stream), _, Compression::Rice) => stream.len() > 4,
            (Some(stream), _, Compression::Hcompress) => hcompress_fits(stream, pixels),
            (Some(stream), _, Compression::Gzip) => {
                [1, 2, 4, 8].into_iter().any(|size| inflates_to(stream, pixels * size))
            }
            // Tiles of floats that quantised badly are kept whole.
            (None, Some(gzip), _) if bitpix < 0 => {
                let size = (bitpix.unsigned_abs() / 8) as usize;
                inflates_to(table.bytes(data, gzip, tile)?, pixels * size)
            }
            (None, _, _) => false,
        };
        if !verdict {
            return Err(corrupt(&format!("tile {tile} does not hold its {pixels} pixels")));
        }
    }
    Ok(())
}

/// How the image is cut into tiles.
struct Tiling {
    axes: Vec<u64>,
    tile: Vec<u64>,
    count: usize,
}

impl Tiling {
    fn read(hdu: &Hdu<'_>, limits: &Limits) -> Result<Self, Rejection> {
        // `hdu.axes` lacks trailing ones, which add no tiles.
        let axes = hdu.axes.clone();
        let tile = (1..)
            .zip(&axes)
            .map(|(n, axis)| {
                let default = if n == 1 { *axis } else { 1 };
                let keyword = format!("ZTILE{n}");
                match hdu.header.int(&keyword) {
                    None => Ok(default),
                    Some(length) => u64::try_from(length)
                        .ok()
                        .filter(|length| *length > 0)
                        .ok_or_else(|| corrupt(&format!("{keyword} is {length}"))),
                }
            })
            .collect::<Result<Vec<u64>, _>>()?;
        let pixels = tile.iter().try_fold(1_u64, |n, t| n.checked_mul(*t));
        if pixels.is_none_or(|n| n > limits.max_pixels as u64) {
            return Err(Rejection::new(Reason::TooLarge, format!("tiles of {tile:?} pixels")));
        }
        let count = axes
            .iter()
            .zip(&tile)
            .try_fold(1_u64, |n, (axis, tile)| n.checked_mul(axis.div_ceil(*tile)))
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| corrupt("more tiles than a table can hold"))?;
        Ok(Self { axes, tile, count })
    }

    /// Pixels of a tile, smaller at the far edges of the image.
    fn pixels(&self, index: usize) -> usize {
        let mut rest = index as u64;
        let mut pixels = 1;
        for (axis, tile) in self.axes.iter().zip(&self.tile) {
            let along = axis.div_ceil(*tile);
            let start = (rest % along) * tile;
            rest /= along;
            pixels *= (axis - start).min(*tile);
        }
        // Bounded by max_pixels, see read.
        pixels as usize
    }
}

/// The binary table that holds the tiles.
struct Table {
    row: usize,
    heap: Range<usize>,
    compressed: Column,
    gzip: Option<Column>,
}

impl Table {
    fn read(hdu: &Hdu<'_>, tiles: usize) -> Result<Self, Rejection> {
        let header = &hdu.header;
        let size = |keyword: &str| {
            header
                .int(keyword)
                .and_then(|v| usize::try_from(v).ok())
                .ok_or_else(|| corrupt(&format!("{keyword} is missing or wrong")))
        };
        let (row, rows) = (size("NAXIS1")?, size("NAXIS2")?);
        if header.int("NAXIS") != Some(2) || header.int("BITPIX") != Some(8) || rows != tiles {
            return Err(corrupt(&format!("a table of {rows} rows for {tiles} tiles")));
        }
        let mut at = 0_usize;
        let (mut compressed, mut gzip) = (None, None);
        // The standard allows 999 columns.
        for n in 1..=size("TFIELDS")?.min(999) {
            let form = header.text(&format!("TFORM{n}")).unwrap_or_default();
            let (width, pointer) =
                form_width(&form).ok_or_else(|| corrupt(&format!("TFORM{n} is '{form}'")))?;
            let column = match pointer {
                Some((wide, b'B')) => Some(Column { at, wide }),
                _ => None,
            };
            match header
                .text(&format!("TTYPE{n}"))
                .unwrap_or_default()
                .to_ascii_uppercase()
                .as_str()
            {
                "COMPRESSED_DATA" => compressed = column,
                "GZIP_COMPRESSED_DATA" => gzip = column,
                "UNCOMPRESSED_DATA" => {
                    return Err(Rejection::new(
                        Reason::Unsupported,
                        "uncompressed tiles (before 2011)",
                    ));
                }
                _ => {}
            }
            at = at.checked_add(width).ok_or_else(|| corrupt("columns past all bounds"))?;
        }
        if at != row {
            return Err(corrupt(&format!("columns of {at} bytes in rows of {row}")));
        }
        let compressed = compressed.ok_or_else(|| corrupt("no column COMPRESSED_DATA of bytes"))?;
        // Inside the data unit, as the layout has checked.
        let end = row * rows;
        let heap = match header.int("THEAP") {
            None => end,
            Some(v) => usize::try_from(v).unwrap_or(usize::MAX),
        };
        if heap < end || heap > hdu.data.len() {
            return Err(corrupt("THEAP points outside the data"));
        }
        Ok(Self { row, heap: heap..hdu.data.len(), compressed, gzip })
    }

    /// The bytes of a tile.
    fn bytes<'d>(
        &self,
        data: &'d [u8],
        column: &Column,
        tile: usize,
    ) -> Result<&'d [u8], Rejection> {
        let outside = || corrupt(&format!("tile {tile} lies outside the heap"));
        let pointer = &data[tile * self.row + column.at..];
        let pair = if column.wide {
            pointer.as_chunks().0.first_chunk().map(|p| p.map(u64::from_be_bytes))
        } else {
            pointer.as_chunks().0.first_chunk().map(|p| p.map(|b| u64::from(u32::from_be_bytes(b))))
        };
        let [length, offset] = pair.ok_or_else(outside)?;
        let length = usize::try_from(length).map_err(|_| outside())?;
        let start = usize::try_from(offset).ok().and_then(|o| o.checked_add(self.heap.start));
        let end = start.and_then(|s| s.checked_add(length)).ok_or_else(outside)?;
        data[..self.heap.end].get(end - length..end).ok_or_else(outside)
    }
}

/// Bytes that a column of this form takes in a row, and for a pointer to the
/// heap whether it is wide and what it points at.
fn form_width(form: &str) -> Option<(usize, Option<(bool, u8)>)> {
    let form = form.trim();
    let digits = form.bytes().take_while(u8::is_ascii_digit).count();
    let repeat: usize = if digits == 0 { 1 } else { form[..digits].parse().ok()? };
    let mut rest = form[digits..].bytes();
    let (size, pointer) = match rest.next()? {
        b'X' => return Some((repeat.div_ceil(8), None)),
        b'L' | b'B' | b'A' => (1, None),
        b'I' => (2, None),
        b'J' | b'E' => (4, None),
        b'K' | b'D' | b'C' => (8, None),
        b'M' => (16, None),
        b'P' if repeat == 1 => (8, Some((false, rest.next()?))),
        b'Q' if repeat == 1 => (16, Some((true, rest.next()?))),
        _ => return None,
    };
    Some((repeat.checked_mul(size)?, pointer))
}

/// Whether an HCOMPRESS stream says that it holds as many pixels as the tile.
fn hcompress_fits(stream: &[u8], pixels: usize) -> bool {
    let side = |at: usize| {
        let bytes = stream.get(at..).and_then(<[u8]>::first_chunk)?;
        u64::try_from(i32::from_be_bytes(*bytes)).ok()
    };
    let (Some(nx), Some(ny)) = (side(2), side(6)) else { return false };
    stream.len() > HCOMPRESS_HEADER && stream.starts_with(&[0xDD, 0x99]) && nx * ny == pixels as u64
}

/// Whether a gzip stream is whole and holds exactly this many bytes.
fn inflates_to(stream: &[u8], bytes: usize) -> bool {
    // The trailer says the length modulo 2^32: a cheap first look.
    if stream.last_chunk().is_none_or(|b| u32::from_le_bytes(*b) as usize != bytes) {
        return false;
    }
    let mut decoder = GzDecoder::new(stream).take(bytes as u64 + 1);
    std::io::copy(&mut decoder, &mut std::io::sink()).is_ok_and(|n| n == bytes as u64)
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

fn corrupt(detail: &str) -> Rejection {
    Rejection::new(Reason::Corrupt, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_widths() {
        assert_eq!(form_width("1PB(1200)"), Some((8, Some((false, b'B')))));
        assert_eq!(form_width("QB"), Some((16, Some((true, b'B')))));
        assert_eq!(form_width("1D"), Some((8, None)));
        assert_eq!(form_width("12X"), Some((2, None)));
        assert_eq!(form_width("0J"), Some((0, None)));
        assert_eq!(form_width("99999999999999999999J"), None);
        assert_eq!(form_width(""), None);
    }

    #[test]
    fn edge_tiles_are_smaller() {
        let tiling = Tiling { axes: vec![5, 3], tile: vec![2, 2], count: 6 };
        let pixels: Vec<usize> = (0..6).map(|i| tiling.pixels(i)).collect();
        assert_eq!(pixels, [4, 4, 2, 2, 2, 1]);
        assert_eq!(pixels.iter().sum::<usize>(), 15);
    }

    #[test]
    fn checksums_are_ones_complement() {
        let data = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1];
        assert!(datasum_holds(Some("1"), &data));
        assert!(!datasum_holds(Some("2"), &data));
        assert!(datasum_holds(None, &data));
    }

    #[test]
    fn an_hcompress_stream_of_another_size_is_refused() {
        let mut stream = vec![0xDD, 0x99, 0, 0, 0, 3, 0, 0, 0, 5];
        stream.resize(60, 0);
        assert!(hcompress_fits(&stream, 15));
        assert!(!hcompress_fits(&stream, 16));
        stream[2] = 0x80;
        assert!(!hcompress_fits(&stream, 15), "negative");
        assert!(!hcompress_fits(&stream[..8], 15));
    }
}
