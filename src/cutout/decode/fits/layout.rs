//! Where the HDUs of a FITS file lie, from its headers alone.
//!
//! Headers claim anything, so the layout is worked out before a pixel is read.
//! Invariant: every image in a layout fits the limits, and its data lie inside
//! the file's bytes. What the pixels mean belongs to [`super::plane`] and
//! [`super::tiles`].

use std::ops::Range;

use crate::cutout::decode::Limits;
use crate::cutout::{Reason, Rejection};
use crate::limits;
use crate::storage::fits::{BLOCK, Header, Unclear};

/// How the header of every HDU after the first begins.
pub const EXTENSION: &[u8] = b"XTENSION";

/// What an HDU holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An image as plain numbers.
    Image,
    /// An image as compressed tiles in a binary table.
    Compressed,
    /// Neither, or no pixels at all.
    Other,
}

/// The type of numbers, as BITPIX names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// Unsigned bytes (8).
    U8,
    /// Integers of 16 bits.
    I16,
    /// Integers of 32 bits.
    I32,
    /// Integers of 64 bits.
    I64,
    /// Floats of 32 bits (-32).
    F32,
    /// Floats of 64 bits (-64).
    F64,
}

impl Pixels {
    fn of(bitpix: i64) -> Option<Self> {
        Some(match bitpix {
            8 => Self::U8,
            16 => Self::I16,
            32 => Self::I32,
            64 => Self::I64,
            -32 => Self::F32,
            -64 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// Whether they are integers, which BLANK can mark as undefined.
    pub fn are_integers(self) -> bool {
        !matches!(self, Self::F32 | Self::F64)
    }
}

/// One header and data unit.
#[derive(Debug, Clone)]
pub struct Hdu<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// Its keywords.
    pub header: Header<'a>,
    /// What it holds.
    pub kind: Kind,
    /// The type of the image's pixels, also of a compressed one.
    pub pixels: Pixels,
    /// Axes of the image, fastest first, without trailing axes of length 1
    /// past the second; empty for [`Kind::Other`].
    pub axes: Vec<u64>,
    /// Where its data lie in the file, padding excluded.
    pub data: Range<usize>,
}

/// The HDUs of a file, as far as they are whole.
#[derive(Debug)]
pub struct Layout<'a> {
    /// HDUs whose header and data are inside the file.
    pub hdus: Vec<Hdu<'a>>,
    /// Where the file was cut, if it was.
    pub cut: Option<String>,
}

impl<'a> Layout<'a> {
    /// Walks the headers of a FITS file.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] if an image exceeds the limits,
    /// [`Reason::Corrupt`] if a header lacks what the standard demands.
    /// A file that ends early is no error here, as the images wanted may be
    /// whole: see [`cut`](Self::cut).
    pub fn of(file: &'a [u8], limits: &Limits) -> Result<Self, Rejection> {
        let mut layout = Self { hdus: Vec::new(), cut: None };
        let mut at = 0;
        while at < file.len() && layout.hdus.len() < limits::fits::HDUS {
            let number = layout.hdus.len() + 1;
            let rest = &file[at..];
            // The standard allows other records after the last HDU.
            if number > 1 && !rest.starts_with(EXTENSION) && !EXTENSION.starts_with(rest) {
                break;
            }
            let here = |e: Rejection| e.at(format_args!("HDU {number}"));
            let whole = Header::parse(rest).map_err(|e| here(e.into()))?;
            let Some((header, length)) = whole.filter(|(_, length)| *length <= rest.len()) else {
                layout.cut = Some(format!("the header of HDU {number} is not whole"));
                break;
            };
            if number == 1 && !header.logical("SIMPLE").map_err(|e| here(e.into()))? {
                return Err(here(Rejection::new(Reason::Unsupported, "SIMPLE is F")));
            }
            let (kind, pixels, axes) = image(&header, limits).map_err(here)?;
            let bytes = data_bytes(&header).map_err(here)?;
            let start = at + length;
            let held = (file.len() - start) as u64;
            if bytes > held {
                layout.cut = Some(format!(
                    "the data of HDU {number} are {bytes} bytes, the file holds {held}"
                ));
                break;
            }
            // Lossless: at most the length of the file.
            let data = start..start + bytes as usize;
            at = data.end.next_multiple_of(BLOCK);
            layout.hdus.push(Hdu { number, header, kind, pixels, axes, data });
            if at > file.len() {
                layout.cut = Some(format!("the padding of HDU {number} is not whole"));
            }
        }
        Ok(layout)
    }

    /// The rejection for a band that is not in this file: truncation, where
    /// that explains it, else `otherwise`.
    pub fn missing(&self, otherwise: Rejection) -> Rejection {
        match &self.cut {
            Some(cut) => Rejection::new(Reason::Truncated, cut.clone()),
            None => otherwise,
        }
    }
}

/// Kind, pixels and image axes of the HDU with this header; no axes if it
/// holds no image.
pub fn image(header: &Header<'_>, limits: &Limits) -> Result<(Kind, Pixels, Vec<u64>), Rejection> {
    let extension = header.text("XTENSION")?;
    let plain = match extension.as_deref() {
        None => !is_random_groups(header)?,
        Some(extension) => matches!(extension, "IMAGE" | "IUEIMAGE"),
    };
    let (kind, pixels, axes) = if plain {
        (Kind::Image, pixels(header, "BITPIX")?, axes(header, "NAXIS")?)
    } else if extension.as_deref() == Some("BINTABLE") && header.logical("ZIMAGE")? {
        (Kind::Compressed, pixels(header, "ZBITPIX")?, axes(header, "ZNAXIS")?)
    } else {
        return Ok((Kind::Other, Pixels::U8, Vec::new()));
    };
    let axes = squeeze(axes);
    // No axes, or one of length zero: a header only.
    if axes.is_empty() || axes.contains(&0) {
        return Ok((Kind::Other, pixels, Vec::new()));
    }
    if let [width, height, ..] = axes.as_slice() {
        limits.check(*width, *height)?;
    }
    Ok((kind, pixels, axes))
}

/// Bytes of data of the HDU with this header, padding excluded (FITS 4.0,
/// equations 1, 2 and 4).
pub fn data_bytes(header: &Header<'_>) -> Result<u64, Rejection> {
    let pixels = pixels(header, "BITPIX")?;
    let axes = axes(header, "NAXIS")?;
    let counted = if is_random_groups(header)? { &axes[1..] } else { &axes[..] };
    let values = match counted {
        [] => Some(0),
        counted => counted.iter().try_fold(1_u64, |n, axis| n.checked_mul(*axis)),
    };
    let parameters = count(header, "PCOUNT", 0)?;
    let groups = count(header, "GCOUNT", 1)?;
    values
        .and_then(|n| n.checked_add(parameters))
        .and_then(|n| n.checked_mul(groups))
        .and_then(|n| n.checked_mul(pixels.bytes() as u64))
        .ok_or_else(|| Rejection::new(Reason::TooLarge, format!("a data unit of {axes:?} values")))
}

/// Random groups, deprecated: axis 1 has length zero and does not count.
fn is_random_groups(header: &Header<'_>) -> Result<bool, Unclear> {
    let axes = header.integer("NAXIS")? > Some(0);
    Ok(axes && header.logical("GROUPS")? && header.integer("NAXIS1")? == Some(0))
}

/// `BITPIX` or `ZBITPIX`.
fn pixels(header: &Header<'_>, keyword: &str) -> Result<Pixels, Rejection> {
    let bitpix = header.integer(keyword)?;
    bitpix.and_then(Pixels::of).ok_or_else(|| corrupt(format!("{keyword} is {}", shown(bitpix))))
}

/// `NAXIS` and `NAXISn`, or `ZNAXIS` and `ZNAXISn`.
fn axes(header: &Header<'_>, keyword: &str) -> Result<Vec<u64>, Rejection> {
    let count = header.integer(keyword)?;
    let Some(count @ 0..=limits::fits::AXES) = count else {
        return Err(match count {
            Some(count @ 10..=999) => {
                Rejection::new(Reason::Unsupported, format!("{keyword} is {count}"))
            }
            other => corrupt(format!("{keyword} is {}", shown(other))),
        });
    };
    (1..=count)
        .map(|n| {
            let keyword = format!("{keyword}{n}");
            let length = header.integer(&keyword)?;
            length
                .and_then(|v| u64::try_from(v).ok())
                .ok_or_else(|| corrupt(format!("{keyword} is {}", shown(length))))
        })
        .collect()
}

fn count(header: &Header<'_>, keyword: &str, default: u64) -> Result<u64, Rejection> {
    match header.integer(keyword)? {
        None => Ok(default),
        Some(v) => u64::try_from(v).map_err(|_| corrupt(format!("{keyword} is {v}"))),
    }
}

/// Drops trailing axes of length 1 past the second.
fn squeeze(mut axes: Vec<u64>) -> Vec<u64> {
    while axes.len() > 2 && axes.last() == Some(&1) {
        axes.pop();
    }
    axes
}

fn shown(value: Option<i64>) -> String {
    value.map_or_else(|| "missing".to_owned(), |v| v.to_string())
}

fn corrupt(detail: String) -> Rejection {
    Rejection::new(Reason::Corrupt, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(cards: &[&str], data: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            cards.iter().chain(&["END"]).flat_map(|c| format!("{c:80}").into_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(BLOCK) + data, b' ');
        bytes
    }

    fn layout(bytes: &[u8]) -> Result<Layout<'_>, Rejection> {
        Layout::of(bytes, &Limits::default())
    }

    const CUBE: [&str; 6] = [
        "SIMPLE  = T",
        "BITPIX  = -32",
        "NAXIS   = 4",
        "NAXIS1  = 5",
        "NAXIS2  = 4",
        "NAXIS3  = 3",
    ];

    #[test]
    fn axes_and_data_are_found() {
        let bytes = file(&[&CUBE[..], &["NAXIS4  = 1"]].concat(), BLOCK);
        let padded = layout(&bytes).unwrap();
        assert_eq!(padded.hdus[0].axes, [5, 4, 3]);
        assert_eq!(padded.hdus[0].data, 2880..3120);
        assert!(padded.cut.is_none());
        let unpadded = layout(&bytes[..3120]).unwrap();
        assert_eq!(unpadded.hdus[0].data, 2880..3120, "the pixels are all there");
        assert!(unpadded.cut.is_some());
    }

    #[test]
    fn a_short_data_unit_is_cut() {
        let bytes = file(&[&CUBE[..], &["NAXIS4  = 1"]].concat(), 239);
        let layout = layout(&bytes).unwrap();
        assert!(layout.hdus.is_empty());
        assert_eq!(layout.cut.unwrap(), "the data of HDU 1 are 240 bytes, the file holds 239");
    }

    #[test]
    fn absurd_headers_are_refused() {
        let with = |axis: &'static str| {
            let bytes =
                file(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2", axis, "NAXIS2  = 60000"], 0);
            layout(&bytes).unwrap_err().reason
        };
        assert_eq!(with("NAXIS1  = 60000"), Reason::TooLarge);
        assert_eq!(with("NAXIS1  = 9223372036854775807"), Reason::TooLarge);
        assert_eq!(with("NAXIS1  = 99999999999999999999"), Reason::Corrupt);
        assert_eq!(with("NAXIS1  = -1"), Reason::Corrupt);
        assert_eq!(with("NAXIS1  = 2.5"), Reason::Corrupt);
        let bytes = file(&["SIMPLE  = T", "BITPIX  = 12", "NAXIS   = 0"], 0);
        assert_eq!(layout(&bytes).unwrap_err().reason, Reason::Corrupt);
    }
}
