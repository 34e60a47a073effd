//! The binary table behind a compressed image: its columns and its heap
//! (FITS 4.0, sections 7.3 and 10.1).
//!
//! Invariant: bytes of a column or of the heap are given out only where they
//! lie inside the table's data.

use std::ops::Range;

use crate::cutout::decode::fits::layout::{Hdu, Pixels};
use crate::cutout::{Reason, Rejection};
use crate::limits;
use crate::storage::fits::{Header, Unclear};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Where it begins in a row.
    at: usize,
    form: Form,
}

/// What a column holds in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One number.
    Number(Pixels),
    /// Length and place of an array in the heap, in two numbers of 32 bits,
    /// or of 64.
    Array { of: Pixels, wide: bool },
    /// What no column of a compressed image is.
    Other,
}

/// The columns that are known, and where the data lie.
#[derive(Clone)]
pub struct Table<'a> {
    data: &'a [u8],
    row: usize,
    /// The row with which `data` begin: 0 where they are whole.
    first: usize,
    /// Where the heap, or a part of it, is in `data`.
    heap: Range<usize>,
    /// Bytes of the heap before that part.
    before: usize,
    /// `COMPRESSED_DATA`.
    pub compressed: Column,
    /// `GZIP_COMPRESSED_DATA`.
    pub gzip: Option<Column>,
    /// `UNCOMPRESSED_DATA`.
    pub uncompressed: Option<Column>,
    /// `ZSCALE`.
    pub scale: Option<Column>,
    /// `ZZERO`.
    pub zero: Option<Column>,
    /// `ZBLANK`.
    pub blank: Option<Column>,
}

impl<'a> Table<'a> {
    /// Finds the columns of a table that has a row for each of `tiles`.
    ///
    /// # Errors
    /// Where the table is not such a one.
    pub fn read(hdu: &Hdu<'_>, data: &'a [u8], tiles: usize) -> Result<Self, Rejection> {
        Ok(Self { data, ..Self::shape(hdu, data.len(), tiles)? })
    }

    /// The same for a table whose data, of `length` bytes, are elsewhere.
    ///
    /// # Errors
    /// The same.
    pub fn shape(hdu: &Hdu<'_>, length: usize, tiles: usize) -> Result<Self, Rejection> {
        let header = &hdu.header;
        let size = |keyword: &str| -> Result<usize, Rejection> {
            let value = header.integer(keyword)?.and_then(|v| usize::try_from(v).ok());
            value.ok_or_else(|| corrupt(&format!("{keyword} is missing or wrong")))
        };
        let (row, rows) = (size("NAXIS1")?, size("NAXIS2")?);
        if header.integer("NAXIS")? != Some(2)
            || header.integer("BITPIX")? != Some(8)
            || header.integer("GCOUNT")?.is_some_and(|groups| groups != 1)
            || rows != tiles
        {
            return Err(corrupt(&format!("a table of {rows} rows for {tiles} tiles")));
        }
        let mut found = [None; NAMES.len()];
        let mut at = 0_usize;
        let columns = header.integer("TFIELDS")?;
        for n in 1..=columns.filter(|n| (1..=limits::fits::COLUMNS).contains(n)).unwrap_or(0) {
            let form = header.text(&format!("TFORM{n}"))?.unwrap_or_default();
            let (width, form) =
                form_of(&form).ok_or_else(|| corrupt(&format!("TFORM{n} is '{form}'")))?;
            let name = header.description(&format!("TTYPE{n}"))?.unwrap_or_default();
            let known = NAMES.iter().position(|known| name.trim().eq_ignore_ascii_case(known));
            if let Some(known) = known {
                // cfitsio sees it all the same, astropy does not.
                if name != NAMES[known] {
                    return Err(corrupt(&format!("a column '{name}'")));
                }
                as_stored(header, n)?;
                if found[known].replace(Column { at, form }).is_some() {
                    return Err(corrupt(&format!("two columns {name}")));
                }
            }
            at = at.checked_add(width).ok_or_else(|| corrupt("columns past all bounds"))?;
        }
        if at != row {
            return Err(corrupt(&format!("columns of {at} bytes in rows of {row}")));
        }
        let [compressed, gzip, uncompressed, scale, zero, blank, mask] = found;
        if mask.is_some() || header.text("ZMASKCMP")?.is_some() {
            return Err(Rejection::new(Reason::Unsupported, "a compressed mask of null pixels"));
        }
        // Inside the data unit, as the layout has counted it.
        let end = row * rows;
        let heap = header.integer("THEAP")?.map_or(Some(end), |at| usize::try_from(at).ok());
        let heap = heap.filter(|heap| (end..=length).contains(heap));
        Ok(Self {
            data: &[],
            row,
            first: 0,
            heap: heap.ok_or_else(|| corrupt("THEAP points outside the data"))?..length,
            before: 0,
            compressed: compressed.ok_or_else(|| corrupt("no column COMPRESSED_DATA"))?,
            gzip,
            uncompressed,
            scale,
            zero,
            blank,
        })
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.row
    }

    /// Where the heap lies in the data, of a table as a whole.
    pub fn heap(&self) -> Range<usize> {
        self.heap.clone()
    }

    /// The stretch of the heap in which the arrays of a row lie, of a table as a
    /// whole whose row this is; empty if it has none.
    ///
    /// # Errors
    /// Where they do not lie in the heap.
    pub fn stretch(&self, row: usize, bytes: &[u8]) -> Result<Range<usize>, Rejection> {
        let cells = Table { data: bytes, first: row, ..self.clone() };
        let mut all: Option<Range<usize>> = None;
        for column in [Some(self.compressed), self.gzip, self.uncompressed].into_iter().flatten() {
            let (place, _) = cells.place(column, row)?;
            if place.end > self.heap.len() {
                return Err(outside());
            }
            if !place.is_empty() {
                all = Some(match all {
                    None => place,
                    Some(all) => all.start.min(place.start)..all.end.max(place.end),
                });
            }
        }
        Ok(all.unwrap_or(0..0))
    }

    /// A part of a table: `data` are some of its rows, from row `first` on, with
    /// the bytes of the heap from `before` on behind them.
    pub fn part<'b>(&self, first: usize, rows: usize, before: usize, data: &'b [u8]) -> Table<'b> {
        Table { data, first, before, heap: rows * self.row..data.len(), ..*self }
    }

    /// The array of a column in a row, from 0, and the type of its elements.
    ///
    /// # Errors
    /// Where it does not lie in the heap.
    pub fn array(&self, column: Column, row: usize) -> Result<(&'a [u8], Pixels), Rejection> {
        let (place, of) = self.place(column, row)?;
        let start = place.start.checked_sub(self.before).ok_or_else(outside)?;
        let start = start.checked_add(self.heap.start).ok_or_else(outside)?;
        // Within `heap`, as `start` is not before it.
        let bytes = self.data.get(start..start.saturating_add(place.len()));
        bytes.map(|bytes| (bytes, of)).ok_or_else(outside)
    }

    /// Where the array of a column in a row lies in the heap.
    fn place(&self, column: Column, row: usize) -> Result<(Range<usize>, Pixels), Rejection> {
        let Form::Array { of, wide } = column.form else {
            return Err(corrupt("a column of tiles that holds no arrays"));
        };
        let cell = self.cell(column, row, if wide { 16 } else { 8 })?;
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        let (length, offset) = cell.split_at(cell.len() / 2);
        let bytes = usize::try_from(number(length)).ok().and_then(|n| n.checked_mul(of.bytes()));
        let (bytes, start) = bytes.zip(usize::try_from(number(offset)).ok()).ok_or_else(outside)?;
        let end = start.checked_add(bytes).ok_or_else(outside)?;
        Ok((start..end, of))
    }

    /// The number of a column in a row, from 0.
    ///
    /// # Errors
    /// Where the column holds no numbers.
    pub fn number(&self, column: Column, row: usize) -> Result<f64, Rejection> {
        let Form::Number(of) = column.form else {
            return Err(corrupt("a column of parameters that holds no numbers"));
        };
        let cell = self.cell(column, row, of.bytes())?;
        let integer = cell.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        Ok(match of {
            Pixels::U8 => integer as f64,
            Pixels::I16 => f64::from(integer as i16),
            Pixels::I32 => f64::from(integer as i32),
            Pixels::I64 => integer as i64 as f64,
            Pixels::F32 => f64::from(f32::from_bits(integer as u32)),
            Pixels::F64 => f64::from_bits(integer),
        })
    }

    fn cell(&self, column: Column, row: usize, width: usize) -> Result<&'a [u8], Rejection> {
        let start = (row - self.first) * self.row + column.at;
        self.data.get(start..start + width).ok_or_else(|| corrupt("outside the table"))
    }
}

/// Names of the columns, in the order in which [`Table::read`] takes them.
const NAMES: [&str; 7] = [
    "COMPRESSED_DATA",
    "GZIP_COMPRESSED_DATA",
    "UNCOMPRESSED_DATA",
    "ZSCALE",
    "ZZERO",
    "ZBLANK",
    "NULL_PIXEL_MASK",
];

/// Makes sure that a column's numbers are not scaled: readers disagree on
/// whether that would hold for compressed images.
fn as_stored(header: &Header<'_>, n: i64) -> Result<(), Unclear> {
    for (keyword, neutral) in [(format!("TSCAL{n}"), 1.0), (format!("TZERO{n}"), 0.0)] {
        if header.number(&keyword)?.is_some_and(|value| value != neutral) {
            return Err(Unclear::new(&keyword, "scales a column of a compressed image"));
        }
    }
    Ok(())
}

/// Bytes that a column of this TFORM takes in a row, and what it holds.
fn form_of(form: &str) -> Option<(usize, Form)> {
    let digits = form.bytes().take_while(u8::is_ascii_digit).count();
    let repeat: usize = if digits == 0 { 1 } else { form[..digits].parse().ok()? };
    let mut rest = form[digits..].bytes();
    let letter = rest.next()?;
    let number = |letter| {
        Some(match letter {
            b'B' => Pixels::U8,
            b'I' => Pixels::I16,
            b'J' => Pixels::I32,
            b'K' => Pixels::I64,
            b'E' => Pixels::F32,
            b'D' => Pixels::F64,
            _ => return None,
        })
    };
    if let Some(pixels) = number(letter) {
        let form = if repeat == 1 { Form::Number(pixels) } else { Form::Other };
        return Some((repeat.checked_mul(pixels.bytes())?, form));
    }
    let size = match letter {
        b'X' => return Some((repeat.div_ceil(8), Form::Other)),
        b'L' | b'A' => 1,
        b'C' => 8,
        b'M' => 16,
        b'P' | b'Q' if repeat <= 1 => {
            let wide = letter == b'Q';
            let of = rest.next()?;
            let form = number(of).map_or(Form::Other, |of| Form::Array { of, wide });
            let form = if repeat == 0 { Form::Other } else { form };
            return Some((repeat * if wide { 16 } else { 8 }, form));
        }
        _ => return None,
    };
    Some((repeat.checked_mul(size)?, Form::Other))
}

fn outside() -> Rejection {
    corrupt("outside the heap")
}

fn corrupt(detail: &str) -> Rejection {
    Rejection::new(Reason::Corrupt, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_widths() {
        let array = |of, wide| Form::Array { of, wide };
        assert_eq!(form_of("1PB(1200)"), Some((8, array(Pixels::U8, false))));
        assert_eq!(form_of("PI(7)"), Some((8, array(Pixels::I16, false))));
        assert_eq!(form_of("QB"), Some((16, array(Pixels::U8, true))));
        assert_eq!(form_of("0PB(0)"), Some((0, Form::Other)));
        assert_eq!(form_of("1D"), Some((8, Form::Number(Pixels::F64))));
        assert_eq!(form_of("J"), Some((4, Form::Number(Pixels::I32))));
        assert_eq!(form_of("12X"), Some((2, Form::Other)));
        assert_eq!(form_of("0J"), Some((0, Form::Other)));
        assert_eq!(form_of("99999999999999999999J"), None);
        assert_eq!(form_of("2PB(3)"), None);
        assert_eq!(form_of(""), None);
    }
}
