//! Frame and scan headers, and the tables that scans are decoded with
//! (ITU-T T.81, annex B).

use std::ops::Range;

use super::markers::{Colour, corrupt, unsupported};
use crate::cutout::Rejection;

/// Most blocks in an MCU of several components (T.81, B.2.3).
const MAX_MCU_BLOCKS: usize = 10;

/// A component of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// Its name.
    pub id: u8,
    /// Horizontal sampling factor.
    pub h: usize,
    /// Vertical sampling factor.
    pub v: usize,
    /// Its quantisation table.
    pub quantisation: u8,
}

/// The frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether coefficients come in parts.
    pub progressive: bool,
    /// Pixels a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// One, three or four.
    pub components: Vec<Component>,
}

/// A component in a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its index in the frame.
    pub component: usize,
    /// Its DC table, as an index into the tables of the scan.
    pub dc: usize,
    /// Its AC table, likewise.
    pub ac: usize,
}

/// A scan: its header, and what was in force where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan<'a> {
    /// Its components, in their order.
    pub parts: Vec<Part>,
    /// First and last coefficient in zigzag order.
    pub band: (usize, usize),
    /// Bits of precision that are still missing before it, and after it.
    pub missing: (u8, u8),
    /// MCUs between restart markers, 0 for none.
    pub restart_interval: usize,
    /// Huffman tables.
    pub tables: Tables<'a>,
    /// Where its entropy-coded data lie in the file.
    pub data: Range<usize>,
}

/// Bodies of DHT tables: sixteen counts, then the symbols. First the four for
/// DC coefficients, then those for AC.
pub type Tables<'a> = [Option<&'a [u8]>; 8];

impl Frame {
    /// Reads the body of SOF0, SOF1 or SOF2.
    pub fn read(progressive: bool, body: &[u8]) -> Result<Self, Rejection> {
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = body else {
            return Err(corrupt("a frame header that is too short"));
        };
        if precision != 8 {
            return Err(unsupported(format!("{precision}-bit JPEG")));
        }
        let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
        if height == 0 {
            return Err(unsupported("JPEG whose height follows the scan (DNL)"));
        }
        if width == 0 {
            return Err(corrupt("a width of zero"));
        }
        if rest.len() != usize::from(count) * 3 {
            return Err(corrupt("a frame header whose length does not fit its components"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(unsupported(format!("JPEG of {count} components")));
        }
        let components: Vec<Component> = rest
            .as_chunks()
            .0
            .iter()
            .map(|&[id, sampling, quantisation]| Component {
                id,
                h: usize::from(sampling >> 4),
                v: usize::from(sampling & 15),
                quantisation,
            })
            .collect();
        let sound = |c: &Component| (1..=4).contains(&c.h) && (1..=4).contains(&c.v);
        if !components.iter().all(sound) {
            return Err(corrupt("a sampling factor outside of 1 to 4"));
        }
        if (1..components.len()).any(|i| components[..i].iter().any(|c| c.id == components[i].id)) {
            return Err(corrupt("two components of one name"));
        }
        Ok(Self { progressive, width, height, components })
    }

    /// The largest sampling factors.
    pub fn largest(&self) -> (usize, usize) {
        let h = self.components.iter().map(|c| c.h).max().unwrap_or(1);
        let v = self.components.iter().map(|c| c.v).max().unwrap_or(1);
        (h, v)
    }

    /// MCUs of a scan of several components: across and down.
    pub fn mcus(&self) -> (usize, usize) {
        let (h, v) = self.largest();
        (usize::from(self.width).div_ceil(8 * h), usize::from(self.height).div_ceil(8 * v))
    }

    /// Blocks of a component that hold pixels: across and down. They are the
    /// MCUs of a scan of that component alone.
    pub fn blocks(&self, component: &Component) -> (usize, usize) {
        let (h, v) = self.largest();
        let samples = |pixels: u16, factor: usize, largest: usize| {
            (usize::from(pixels) * factor).div_ceil(largest).div_ceil(8)
        };
        (samples(self.width, component.h, h), samples(self.height, component.v, v))
    }

    /// How the components are to be read, by the rules of libjpeg's
    /// `default_decompress_parms` (jdapimin.c), which every viewer follows.
    pub fn colour(&self, jfif: bool, adobe_transform: Option<u8>) -> Result<Colour, Rejection> {
        let ids: Vec<u8> = self.components.iter().map(|c| c.id).collect();
        match (ids.as_slice(), jfif, adobe_transform) {
            ([_], ..) => Ok(Colour::Grey),
            ([_, _, _], true, _) => Ok(Colour::YCbCr),
            ([_, _, _], false, Some(0)) => Ok(Colour::Rgb),
            ([_, _, _], false, Some(1)) => Ok(Colour::YCbCr),
            ([_, _, _], false, None) if ids == b"RGB" => Ok(Colour::Rgb),
            ([_, _, _], false, None) => Ok(Colour::YCbCr),
            ([_, _, _, _], _, Some(0 | 2)) => Ok(Colour::Ink),
            // Adobe writes them inverted; others, if there are any, may not.
            ([_, _, _, _], _, None) => Err(unsupported("CMYK JPEG without Adobe's marker")),
            (_, _, Some(code)) => Err(corrupt(format!("Adobe's colour transform {code}"))),
            _ => Err(unsupported(format!("JPEG of {} components", ids.len()))),
        }
    }
}

impl<'a> Scan<'a> {
    /// Reads the body of SOS.
    pub fn read(
        body: &[u8],
        frame: &Frame,
        tables: Tables<'a>,
        restart_interval: usize,
    ) -> Result<Self, Rejection> {
        let broken = || corrupt("a scan header that makes no sense");
        let (&count, rest) = body.split_first().ok_or_else(broken)?;
        let count = usize::from(count);
        if !(1..=4).contains(&count) || rest.len() != 2 * count + 3 {
            return Err(broken());
        }
        let (named, last) = rest.split_at(2 * count);
        let mut parts: Vec<Part> = Vec::with_capacity(count);
        for &[id, tables] in named.as_chunks().0 {
            let component = frame.components.iter().position(|c| c.id == id).ok_or_else(broken)?;
            let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
            if dc > 3 || ac > 3 || parts.iter().any(|p| p.component == component) {
                return Err(broken());
            }
            parts.push(Part { component, dc, ac: 4 + ac });
        }
        let blocks = parts.iter().map(|p| frame.components[p.component]).map(|c| c.h * c.v);
        if count > 1 && blocks.sum::<usize>() > MAX_MCU_BLOCKS {
            return Err(corrupt(format!("more than {MAX_MCU_BLOCKS} blocks in an MCU")));
        }
        let scan = Self {
            parts,
            band: (usize::from(last[0]), usize::from(last[1])),
            missing: (last[2] >> 4, last[2] & 15),
            restart_interval,
            tables,
            data: 0..0,
        };
        scan.check_band(frame)?;
        Ok(scan)
    }

    /// Spectral selection and successive approximation (T.81, B.2.3, G.1.1.1).
    fn check_band(&self, frame: &Frame) -> Result<(), Rejection> {
        let ((start, end), (before, after)) = (self.band, self.missing);
        let sound = if !frame.progressive {
            (start, end, before, after) == (0, 63, 0, 0)
        } else if start == 0 {
            end == 0
        } else {
            start <= end && end <= 63 && self.parts.len() == 1
        };
        let approximation = after <= 13 && (before == 0 || before == after + 1);
        if sound && approximation {
            Ok(())
        } else {
            Err(corrupt(format!(
                "a scan of coefficients {start} to {end}, bits {before} to {after}"
            )))
        }
    }
}

/// Reads the body of DHT into the tables.
pub fn read_huffman<'a>(mut body: &'a [u8], tables: &mut Tables<'a>) -> Result<(), Rejection> {
    let broken = || corrupt("a Huffman table that makes no sense");
    while let Some((&kind, rest)) = body.split_first() {
        let (class, slot) = (usize::from(kind >> 4), usize::from(kind & 15));
        let counts = rest.get(..16).ok_or_else(broken)?;
        let symbols: usize = counts.iter().map(|n| usize::from(*n)).sum();
        if class > 1 || slot > 3 || symbols > 256 {
            return Err(broken());
        }
        tables[4 * class + slot] = Some(rest.get(..16 + symbols).ok_or_else(broken)?);
        body = &rest[16 + symbols..];
    }
    Ok(())
}

/// The numbers of the tables in the body of DQT, as bits.
pub fn read_quantisation(mut body: &[u8]) -> Result<u8, Rejection> {
    let broken = || corrupt("a quantisation table that makes no sense");
    let mut found = 0;
    while let Some((&kind, rest)) = body.split_first() {
        let (wide, slot) = (kind >> 4, kind & 15);
        if wide > 1 || slot > 3 {
            return Err(broken());
        }
        body = rest.get(64 * (1 + usize::from(wide))..).ok_or_else(broken)?;
        found |= 1 << slot;
    }
    Ok(found)
}
