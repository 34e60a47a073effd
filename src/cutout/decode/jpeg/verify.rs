//! Whether the scans of a JPEG hold exactly the blocks that they should.
//!
//! Decoders go on where entropy-coded data are damaged: they resynchronise,
//! fill up with zeros, and pass over what is left. This walk decodes nothing
//! but counts: each restart interval must end with its last block, in the
//! last byte before the marker, and that marker must be the next of its
//! eight. It costs two fifths of what decoding does; see
//! [`tail`](super::tail) for how most files are spared it.

use super::block::{ac, ac_first, ac_refine, dc};
use super::frame::{Component, Frame, Scan};
use super::huffman::{Bits, Broken, Table};
use super::markers::{Outline, corrupt};
use crate::cutout::{Reason, Rejection};

/// The largest category of a DC coefficient, as libjpeg has it.
const LARGEST_DC: u8 = 15;

/// Walks every scan.
///
/// # Errors
/// [`Reason::Corrupt`] or [`Reason::Truncated`], with the scan in words;
/// [`Reason::Unsupported`] if coefficients are left out.
pub fn verify(file: &[u8], outline: &Outline<'_>) -> Result<(), Rejection> {
    let mut state = State::new(&outline.frame);
    for (number, scan) in (1..).zip(&outline.scans) {
        state.announce(scan)?;
        scan_is_whole(file, &outline.frame, scan, &mut state)
            .map_err(|e| e.at(format_args!("scan {number} of {}", outline.scans.len())))?;
    }
    state.is_complete()
}

/// The tables that a scan needs, ready to use.
pub struct Codes {
    tables: [Option<Box<Table>>; 8],
}

impl Codes {
    /// # Errors
    /// [`Reason::Corrupt`] if one is missing or broken.
    pub fn of(scan: &Scan<'_>) -> Result<Self, Rejection> {
        let mut tables: [Option<Box<Table>>; 8] = Default::default();
        for part in &scan.parts {
            let needs_dc = scan.band.0 == 0 && scan.missing.0 == 0;
            let needs_ac = scan.band.1 > 0;
            for (needed, slot) in [(needs_dc, part.dc), (needs_ac, part.ac)] {
                if !needed || tables[slot].is_some() {
                    continue;
                }
                let body = scan.tables[slot].ok_or_else(|| corrupt("a missing Huffman table"))?;
                let table = Table::new(body).filter(|t| slot > 3 || t.is_within(LARGEST_DC));
                let table = table.ok_or_else(|| corrupt("a Huffman table that is no code"))?;
                tables[slot] = Some(Box::new(table));
            }
        }
        Ok(Self { tables })
    }

    /// A table that the scan needs.
    fn get(&self, slot: usize) -> Result<&Table, Broken> {
        self.tables[slot].as_deref().ok_or(Broken::Code)
    }

    /// Walks over an MCU of a sequential scan of several components, or over
    /// a block of a scan of one.
    pub fn sequential_mcu(
        &self,
        bits: &mut Bits,
        frame: &Frame,
        scan: &Scan<'_>,
    ) -> Result<(), Broken> {
        for part in &scan.parts {
            let (dc_table, ac_table) = (self.get(part.dc)?, self.get(part.ac)?);
            let component = &frame.components[part.component];
            let blocks = if scan.parts.len() > 1 { component.h * component.v } else { 1 };
            for _ in 0..blocks {
                dc(bits, dc_table)?;
                ac(bits, ac_table)?;
            }
        }
        Ok(())
    }
}

/// What earlier scans have said, for those that refine it.
struct State {
    components: Vec<Known>,
    progressive: bool,
}

struct Known {
    /// Blocks a row, those included that only fill up the last MCU.
    stride: usize,
    /// Which coefficients of each block are not zero.
    nonzero: Vec<u64>,
    /// Bits that are missing of each coefficient; `None` before its first scan.
    missing: [Option<u8>; 64],
}

impl State {
    fn new(frame: &Frame) -> Self {
        let (across, down) = frame.mcus();
        let known = |c: &Component| {
            let blocks = if frame.progressive { across * c.h * down * c.v } else { 0 };
            Known { stride: across * c.h, nonzero: vec![0; blocks], missing: [None; 64] }
        };
        Self {
            components: frame.components.iter().map(known).collect(),
            progressive: frame.progressive,
        }
    }

    /// Notes what a scan brings.
    fn announce(&mut self, scan: &Scan<'_>) -> Result<(), Rejection> {
        let (before, after) = scan.missing;
        for part in &scan.parts {
            let missing = &mut self.components[part.component].missing;
            let expected = (before > 0).then_some(before);
            let band = &mut missing[scan.band.0..=scan.band.1];
            if band.iter().any(|m| *m != expected) {
                return Err(corrupt("a scan that does not follow from those before it"));
            }
            band.fill(Some(after));
            if scan.band.0 > 0 && missing[0].is_none() {
                return Err(corrupt("AC coefficients before the DC coefficient"));
            }
        }
        Ok(())
    }

    /// Whether every bit of every coefficient has come.
    fn is_complete(&self) -> Result<(), Rejection> {
        let whole = |known: &Known| known.missing.iter().all(|m| *m == Some(0));
        if self.components.iter().all(whole) {
            return Ok(());
        }
        let detail = "JPEG: not all coefficients were sent";
        Err(Rejection::new(
            if self.progressive { Reason::Unsupported } else { Reason::Corrupt },
            detail,
        ))
    }
}

/// Walks one scan.
fn scan_is_whole(
    file: &[u8],
    frame: &Frame,
    scan: &Scan<'_>,
    state: &mut State,
) -> Result<(), Rejection> {
    let codes = Codes::of(scan)?;
    let single = match scan.parts.as_slice() {
        [part] => Some(frame.components[part.component]),
        _ => None,
    };
    let (across, down) = single.map_or_else(|| frame.mcus(), |c| frame.blocks(&c));
    let mcus = across * down;
    let interval = if scan.restart_interval == 0 { mcus } else { scan.restart_interval };
    let mut data = &file[scan.data.clone()];
    for (n, first) in (0..mcus).step_by(interval).enumerate() {
        let last = (first + interval).min(mcus);
        let segment;
        (segment, data) = next_segment(data, n, last == mcus)?;
        let mut bits = Bits::new(segment);
        let mut decoder = ScanDecoder { frame, scan, codes: &codes, eob_run: 0 };
        for mcu in first..last {
            decoder
                .mcu(&mut bits, state, mcu % across, mcu / across)
                .map_err(|e| broken(e, &bits))?;
            if bits.left() < 0 {
                return Err(broken(Broken::Short, &bits));
            }
        }
        match bits.left() {
            0..8 if decoder.eob_run == 0 => {}
            0..8 => return Err(corrupt("a run of blocks beyond the last one")),
            left => return Err(corrupt(format!("{} bytes left over after a scan", left / 8))),
        }
    }
    Ok(())
}

/// The data up to the next restart marker, or to the end for the last
/// interval, and what follows the marker.
fn next_segment(data: &[u8], number: usize, last: bool) -> Result<(&[u8], &[u8]), Rejection> {
    let mut from = 0;
    while let Some(step) = data[from..].iter().position(|b| *b == 0xFF) {
        let at = from + step;
        // Any number of FF may fill up before a marker.
        let code = at + data[at..].iter().position(|b| *b != 0xFF).unwrap_or(data.len() - at);
        match data.get(code) {
            Some(0) if code == at + 1 => from = code + 1,
            Some(0) => return Err(corrupt("FF before a stuffed zero")),
            // The fill bytes before the marker that ends the scan.
            None => return if last { Ok((&data[..at], &[])) } else { Err(missing(number)) },
            Some(marker) => {
                if last {
                    return Err(corrupt("a restart marker after the last interval"));
                }
                if usize::from(marker & 7) != number % 8 {
                    return Err(missing(number));
                }
                return Ok((&data[..at], &data[code + 1..]));
            }
        }
    }
    if last { Ok((data, &[])) } else { Err(missing(number)) }
}

fn missing(number: usize) -> Rejection {
    corrupt(format!("restart marker {} is missing", number + 1))
}

/// A scan's blocks, from one restart marker to the next, decoded and dropped.
struct ScanDecoder<'w, 'a> {
    frame: &'w Frame,
    scan: &'w Scan<'a>,
    codes: &'w Codes,
    eob_run: u32,
}

impl ScanDecoder<'_, '_> {
    fn mcu(
        &mut self,
        bits: &mut Bits,
        state: &mut State,
        x: usize,
        y: usize,
    ) -> Result<(), Broken> {
        if !self.frame.progressive {
            return self.codes.sequential_mcu(bits, self.frame, self.scan);
        }
        let refines = self.scan.missing.0 > 0;
        if self.scan.band.0 == 0 {
            for part in &self.scan.parts {
                let component = &self.frame.components[part.component];
                let blocks = if self.scan.parts.len() > 1 { component.h * component.v } else { 1 };
                for _ in 0..blocks {
                    if refines { bits.skip(1) } else { dc(bits, self.codes.get(part.dc)?)? }
                }
            }
            return Ok(());
        }
        // Bands are of one component.
        let part = self.scan.parts[0];
        let table = self.codes.get(part.ac)?;
        let known = &mut state.components[part.component];
        let known = &mut known.nonzero[y * known.stride + x];
        let read = if refines { ac_refine } else { ac_first };
        read(bits, table, self.scan.band, &mut self.eob_run, known)
    }
}

fn broken(how: Broken, bits: &Bits) -> Rejection {
    match how {
        _ if bits.left() < 0 => ends_early(),
        Broken::Short => ends_early(),
        Broken::Code => corrupt("a code that is in no Huffman table"),
        Broken::Coefficients => corrupt("a block of too many coefficients"),
    }
}

fn ends_early() -> Rejection {
    Rejection::new(Reason::Truncated, "JPEG: a scan ends before its last block")
}
