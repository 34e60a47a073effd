//! The marker structure of a JPEG, walked before any pixel is decoded
//! (ITU-T T.81, annex B).
//!
//! The decoders behind [`super`] take a stream that ends early for a picture
//! whose lower part is grey, at least when the cut lies in the last rows.
//! This walk settles it: a JPEG whose scans are not followed by EOI is
//! truncated. It also finds the size before anything is allocated, what kind
//! of JPEG it is, how its colours are to be read, and where its scans lie.
//! Headers are read in [`frame`](super::frame); entropy-coded data are
//! skipped here, and checked in [`verify`](super::verify).

use super::frame::{Frame, Scan, Tables, read_huffman, read_quantisation};
use crate::cutout::{Reason, Rejection};
use crate::limits::image::JPEG_SCANS;

const TEM: u8 = 0x01;
const RST0: u8 = 0xD0;
const RST7: u8 = 0xD7;
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const DHT: u8 = 0xC4;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;
const APP0: u8 = 0xE0;
const APP14: u8 = 0xEE;

/// How the components are to be read, decided as libjpeg does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// One component.
    Grey,
    /// Three components, luma and chroma: nearly every JPEG.
    YCbCr,
    /// Three components that are R, G and B already.
    Rgb,
    /// Four components, CMYK or YCCK.
    Ink,
}

/// What the markers say of a whole JPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline<'a> {
    /// The frame header.
    pub frame: Frame,
    /// How the components are to be read.
    pub colour: Colour,
    /// Where the Adobe marker keeps its colour transform, if there is one.
    pub adobe_transform_at: Option<usize>,
    /// Its scans: at least one.
    pub scans: Vec<Scan<'a>>,
    /// Where the picture ends: the byte after EOI. What follows is not part
    /// of it (thumbnails and junk are common there).
    pub end: usize,
}

/// What is in force while the segments pass.
#[derive(Default)]
struct State<'a> {
    frame: Option<Frame>,
    jfif: bool,
    adobe_transform_at: Option<usize>,
    tables: Tables<'a>,
    /// Quantisation tables that are there, as bits.
    quantisation: u8,
    restart_interval: usize,
    scans: Vec<Scan<'a>>,
}

/// Walks from SOI to EOI.
///
/// # Errors
/// [`Reason::Truncated`] if the bytes end before EOI, [`Reason::Unsupported`]
/// for JPEGs that are not 8-bit Huffman-coded baseline or progressive,
/// [`Reason::Corrupt`] if the structure is broken.
pub fn walk(bytes: &[u8]) -> Result<Outline<'_>, Rejection> {
    let mut state = State::default();
    let mut at = 2; // after SOI
    loop {
        let marker = marker_at(bytes, &mut at)?;
        match marker {
            EOI => break,
            SOI | RST0..=RST7 | TEM => {
                return Err(corrupt(format!("marker FF{marker:02X} at byte {at}")));
            }
            _ => {}
        }
        let body = segment(bytes, &mut at)?;
        state.read(marker, body, at)?;
        if marker == SOS {
            let start = at;
            skip_entropy_coded(bytes, &mut at)?;
            if let Some(scan) = state.scans.last_mut() {
                scan.data = start..at;
            }
        }
    }
    let State { frame, jfif, adobe_transform_at, scans, .. } = state;
    let frame = frame
        .filter(|_| !scans.is_empty())
        .ok_or_else(|| corrupt("no picture before the end marker"))?;
    // A block of 8×8 samples costs at least a bit. A header that claims more
    // blocks than the scans have bits would otherwise allocate for nothing.
    let blocks = usize::from(frame.width).div_ceil(8) * usize::from(frame.height).div_ceil(8);
    let entropy_bytes: usize = scans.iter().map(|scan| scan.data.len()).sum();
    if blocks > entropy_bytes * 8 {
        let detail = format!(
            "{entropy_bytes} bytes of scans cannot hold {}×{} pixels",
            frame.width, frame.height
        );
        return Err(corrupt(detail));
    }
    let colour = frame.colour(jfif, adobe_transform_at.map(|i| bytes[i]))?;
    Ok(Outline { frame, colour, adobe_transform_at, scans, end: at })
}

impl<'a> State<'a> {
    /// Reads the body of a segment, which ends at `end`.
    fn read(&mut self, marker: u8, body: &'a [u8], end: usize) -> Result<(), Rejection> {
        match marker {
            DHT => read_huffman(body, &mut self.tables)?,
            DQT => {
                let found = read_quantisation(body)?;
                // Readers differ in which one they take.
                if !self.scans.is_empty() && self.quantisation & found != 0 {
                    return Err(unsupported("JPEG that changes a quantisation table"));
                }
                self.quantisation |= found;
            }
            DRI => {
                let interval = body.first_chunk().filter(|_| body.len() == 2);
                let interval = interval.ok_or_else(|| corrupt("a broken restart interval"))?;
                self.restart_interval = u16::from_be_bytes(*interval).into();
            }
            // C4, C8 and CC are DHT, JPG and DAC: not frames.
            0xC0..=0xCF if !matches!(marker, 0xC8 | 0xCC) => {
                if self.frame.is_some() {
                    return Err(corrupt("two frame headers"));
                }
                refuse_kind(marker)?;
                self.frame = Some(Frame::read(marker == 0xC2, body)?);
            }
            APP0 if body.starts_with(b"JFIF\0") && body.len() >= 14 => {
                if body[5] != 1 {
                    return Err(corrupt(format!("JFIF of version {}", body[5])));
                }
                self.jfif = true;
            }
            APP14 if body.starts_with(b"Adobe") && body.len() >= 12 => {
                self.adobe_transform_at = Some(end - body.len() + 11);
            }
            SOS => {
                let frame =
                    self.frame.as_ref().ok_or_else(|| corrupt("a scan before the frame header"))?;
                if self.scans.len() == JPEG_SCANS {
                    return Err(corrupt(format!("more than {JPEG_SCANS} scans")));
                }
                let scan = Scan::read(body, frame, self.tables, self.restart_interval)?;
                let has = |n: u8| n < 4 && self.quantisation & (1 << n) != 0;
                if !scan.parts.iter().all(|p| has(frame.components[p.component].quantisation)) {
                    return Err(corrupt("a missing quantisation table"));
                }
                self.scans.push(scan);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads a marker code and moves past it. Any number of FF may precede it.
fn marker_at(bytes: &[u8], at: &mut usize) -> Result<u8, Rejection> {
    let start = *at;
    while bytes.get(*at) == Some(&0xFF) {
        *at += 1;
    }
    match bytes.get(*at) {
        None => Err(cut(bytes)),
        Some(code) if *at > start && *code != 0 => {
            *at += 1;
            Ok(*code)
        }
        Some(_) => Err(corrupt(format!("no marker at byte {start}"))),
    }
}

/// Reads a segment's length, moves past the segment and returns its body.
fn segment<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], Rejection> {
    let length = match bytes.get(*at..).and_then(<[u8]>::first_chunk) {
        Some(length) => usize::from(u16::from_be_bytes(*length)),
        None => return Err(cut(bytes)),
    };
    if length < 2 {
        return Err(corrupt(format!("a segment of length {length} at byte {at}")));
    }
    let body = bytes.get(*at + 2..*at + length).ok_or_else(|| cut(bytes))?;
    *at += length;
    Ok(body)
}

/// Moves to the next marker that is not part of entropy-coded data: FF00 is
/// a stuffed byte, RSTn a restart.
fn skip_entropy_coded(bytes: &[u8], at: &mut usize) -> Result<(), Rejection> {
    while let Some(step) = first_ff(&bytes[*at..]) {
        let code = *at + step + 1;
        match bytes.get(code) {
            None => return Err(cut(bytes)),
            Some(0 | RST0..=RST7) => *at = code + 1,
            Some(0xFF) => *at = code,
            Some(_) => {
                *at = code - 1;
                return Ok(());
            }
        }
    }
    Err(cut(bytes))
}

/// Where the first FF is. Sixteen bytes are looked at together: among those of
/// entropy-coded data one in some two hundred is.
fn first_ff(bytes: &[u8]) -> Option<usize> {
    let among = |block: &[u8; 16]| block.iter().fold(false, |any, byte| any | (*byte == 0xFF));
    let passed = 16 * bytes.as_chunks().0.iter().take_while(|block| !among(block)).count();
    bytes[passed..].iter().position(|byte| *byte == 0xFF).map(|step| passed + step)
}

fn refuse_kind(marker: u8) -> Result<(), Rejection> {
    let kind = match marker {
        0xC0..=0xC2 => return Ok(()),
        0xC3 => "lossless",
        0xC9..=0xCB | 0xCD..=0xCF => "arithmetic-coded",
        _ => "hierarchical",
    };
    Err(unsupported(format!("{kind} JPEG")))
}

fn cut(bytes: &[u8]) -> Rejection {
    Rejection::new(
        Reason::Truncated,
        format!("the JPEG ends after {} bytes, before its end marker", bytes.len()),
    )
}

/// The rejection of a JPEG that is broken.
pub fn corrupt(detail: impl Into<String>) -> Rejection {
    Rejection::new(Reason::Corrupt, format!("JPEG: {}", detail.into()))
}

/// The rejection of a JPEG of a kind that is not read.
pub fn unsupported(detail: impl Into<String>) -> Rejection {
    Rejection::new(Reason::Unsupported, detail.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SOI, a quantisation table, a frame of `kind`, a scan of `scan` bytes,
    /// EOI.
    fn jpeg(kind: u8, width: u16, height: u16, ids: &[u8], scan: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xFF, SOI, 0xFF, DQT, 0, 67, 0];
        bytes.extend([1; 64]);
        bytes.extend([0xFF, kind, 0, 8 + 3 * ids.len() as u8, 8]);
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes.push(ids.len() as u8);
        for id in ids {
            bytes.extend([*id, 0x11, 0]);
        }
        let shown = &ids[..ids.len().min(4)];
        bytes.extend([0xFF, SOS, 0, 6 + 2 * shown.len() as u8, shown.len() as u8]);
        shown.iter().for_each(|id| bytes.extend([*id, 0]));
        bytes.extend([0, if kind == 0xC2 { 0 } else { 63 }, 0]);
        bytes.extend(scan);
        bytes.extend([0xFF, EOI]);
        bytes
    }

    fn reason(bytes: &[u8]) -> Reason {
        walk(bytes).unwrap_err().reason
    }

    #[test]
    fn the_first_ff_is_found_wherever_it_is() {
        let mut bytes = vec![7; 100];
        assert_eq!(first_ff(&bytes), None);
        assert_eq!(first_ff(&[]), None);
        for at in (0..100).rev() {
            bytes[at] = 0xFF;
            assert_eq!(first_ff(&bytes), Some(at));
            assert_eq!(first_ff(&bytes[at..]), Some(0));
        }
    }

    #[test]
    fn stuffing_restarts_and_garbage_after_the_end_are_passed() {
        let mut bytes = jpeg(0xC0, 8, 8, &[1], &[1, 0xFF, 0, 2, 0xFF, RST0, 3, 0xFF]);
        let end = bytes.len();
        bytes.extend(b"garbage \xFF\xD8\xFF");
        let outline = walk(&bytes).unwrap();
        assert_eq!((outline.end, outline.colour), (end, Colour::Grey));
    }

    #[test]
    fn every_cut_is_truncated() {
        let bytes = jpeg(0xC2, 8, 8, &[1, 2, 3], &[1, 2, 3, 4]);
        assert!(walk(&bytes).is_ok());
        for end in 2..bytes.len() {
            assert_eq!(reason(&bytes[..end]), Reason::Truncated, "{end}");
        }
    }

    #[test]
    fn a_thumbnail_in_a_segment_does_not_end_the_picture() {
        let whole = jpeg(0xC0, 8, 8, &[1], &[1, 2, 3, 4]);
        let mut bytes = vec![0xFF, SOI, 0xFF, 0xE1, 0, 2 + whole.len() as u8];
        bytes.extend(&whole);
        bytes.extend(&whole[2..whole.len() - 2]);
        assert_eq!(reason(&bytes), Reason::Truncated);
    }

    #[test]
    fn other_kinds_are_unsupported() {
        for kind in [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF] {
            assert_eq!(reason(&jpeg(kind, 8, 8, &[1], &[0; 4])), Reason::Unsupported, "{kind:X}");
        }
        assert_eq!(reason(&jpeg(0xC0, 8, 0, &[1], &[0; 4])), Reason::Unsupported);
        assert_eq!(reason(&jpeg(0xC0, 8, 8, &[1, 2], &[0; 4])), Reason::Unsupported);
        let mut twelve_bits = jpeg(0xC1, 8, 8, &[1], &[0; 4]);
        twelve_bits[75] = 12;
        assert_eq!(reason(&twelve_bits), Reason::Unsupported);
    }

    #[test]
    fn a_size_that_the_scans_cannot_hold_is_corrupt() {
        assert!(walk(&jpeg(0xC0, 32, 8, &[1], &[0])).is_ok());
        assert_eq!(reason(&jpeg(0xC0, 16_000, 1_000, &[1], &[0; 4])), Reason::Corrupt);
    }

    #[test]
    fn colours_are_read_as_libjpeg_does() {
        let colour = |ids: &[u8]| walk(&jpeg(0xC0, 8, 8, ids, &[0; 4])).unwrap().colour;
        assert_eq!(colour(&[1, 2, 3]), Colour::YCbCr);
        assert_eq!(colour(b"RGB"), Colour::Rgb);
        let four = jpeg(0xC0, 8, 8, &[1, 2, 3, 4], &[0; 4]);
        assert_eq!(reason(&four), Reason::Unsupported, "CMYK that Adobe does not vouch for");
        let adobe = b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0";
        let vouched = [&four[..2], adobe, &four[2..]].concat();
        assert_eq!(walk(&vouched).unwrap().colour, Colour::Ink);
    }
}
