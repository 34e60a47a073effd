//! The binary table of a FITS file (FITS 4.0, section 7.3), as a stream.
//!
//! The first binary table is read, unless another follows: which is meant is
//! then not said. Rows are read one after the other; columns of lists, bits and
//! complex numbers, and those whose values lie in the heap, are passed over.
//! Whole numbers that TZERO shifts are whole numbers still.
//!
//! Invariant: widths of columns add up to NAXIS1, and a row is within
//! [`FITS_ROW`].

use std::io::Read;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use super::cells::{Cell, Filling, Number, fixed_text};
use super::opened::Bytes;
use super::{BATCH, BATCH_BYTES, Column, TableError, batch};
use crate::limits;
use crate::limits::table::{COLUMNS, FITS_HDUS, FITS_ROW};
use crate::storage::fits::{BLOCK, CARD, Header, Unclear};

/// Most bytes of a header: as many records as [`Header`] takes.
const MAX_HEADER: usize = limits::fits::CARDS * CARD + BLOCK;

/// What bytes of a row hold.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    Logical,
    Text,
    /// Numbers, with what marks a missing one, and what they are multiplied by
    /// and shifted by.
    Plain(Number, Option<i64>),
    Shifted(Number, Option<i64>, i128),
    Scaled(Number, Option<i64>, f64, f64),
    /// Nothing that is one value.
    Other,
}

#[derive(Debug, Clone)]
struct Place {
    form: Form,
    start: usize,
    bytes: usize,
}

/// The rows of a binary table.
pub(super) struct Rows {
    path: PathBuf,
    source: Bytes,
    columns: Vec<Column>,
    places: Vec<Place>,
    selected: Vec<usize>,
    hdu: usize,
    row: Vec<u8>,
    /// Rows read, and rows in all.
    done: u64,
    count: u64,
    /// Bytes behind the rows: the heap and what fills the block.
    behind: u64,
    /// Whether what follows the table was looked at.
    ended: bool,
}

impl Rows {
    /// Finds the table.
    pub fn open(path: &Path, mut source: Bytes) -> Result<Self, TableError> {
        for hdu in 1..=FITS_HDUS {
            let Some(bytes) = header_bytes(path, &mut source, hdu)? else {
                let words = "a FITS file without a binary table";
                return Err(TableError::corrupt(path, words));
            };
            let wrong = |what: String| TableError::corrupt(path, format!("HDU {hdu}: {what}"));
            let header = parsed(&bytes).map_err(wrong)?;
            if is_table(&header).map_err(wrong)? {
                return Self::of(path, source, hdu, &header).map_err(wrong);
            }
            let data = data_bytes(&header).map_err(wrong)?;
            skip(&mut source, padded(data))
                .map_err(|e| TableError::io(path, e, &format!("in the data of HDU {hdu}")))?;
        }
        Err(TableError::corrupt(path, format!("no binary table among the first {FITS_HDUS} HDUs")))
    }

    /// The table behind a primary HDU without an image; `None` for any other file.
    pub fn at_once(path: &Path, mut source: Bytes) -> Option<Self> {
        let bytes = header_bytes(path, &mut source, 1).ok()??;
        let header = parsed(&bytes).ok()?;
        // One axis: VOTable text, as STILTS puts it in front.
        if axis(&header, "NAXIS").ok()? > 1 {
            return None;
        }
        skip(&mut source, padded(data_bytes(&header).ok()?)).ok()?;
        let bytes = header_bytes(path, &mut source, 2).ok()??;
        let header = parsed(&bytes).ok()?;
        let is_table = is_table(&header).ok()?;
        Self::of(path, source, 2, &header).ok().filter(|_| is_table)
    }

    fn of(path: &Path, source: Bytes, hdu: usize, header: &Header<'_>) -> Result<Self, String> {
        let (width, count) = (axis(header, "NAXIS1")?, axis(header, "NAXIS2")?);
        if width > FITS_ROW {
            return Err(format!("rows of {width} bytes; at most {FITS_ROW} are read"));
        }
        let fields = axis(header, "TFIELDS")?;
        if fields > COLUMNS as u64 {
            return Err(format!("{fields} columns; at most {COLUMNS} are read"));
        }
        let (mut columns, mut places, mut start) = (Vec::new(), Vec::new(), 0_usize);
        for number in 1..=fields {
            let (column, form, bytes) = column(header, number)?;
            columns.push(column);
            places.push(Place { form, start, bytes });
            start = start.checked_add(bytes).ok_or("columns of more bytes than there are")?;
        }
        if start as u64 != width {
            return Err(format!("its columns have {start} bytes, its rows {width}"));
        }
        let all = data_bytes(header)?;
        let rows = width.checked_mul(count).ok_or("more rows than there can be")?;
        let behind = padded(all).checked_sub(rows).ok_or("more rows than data")?;
        Ok(Self {
            path: path.to_owned(),
            source,
            columns,
            places,
            selected: Vec::new(),
            hdu,
            row: vec![0; start],
            done: 0,
            count,
            behind,
            ended: false,
        })
    }

    pub fn columns(&self) -> Vec<Column> {
        self.columns.clone()
    }

    pub fn select(mut self, selected: Vec<usize>) -> Self {
        self.selected = selected;
        self
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, TableError> {
        let mut filling = Filling::of_columns(&self.columns, &self.selected);
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH && bytes < BATCH_BYTES && self.done < self.count {
            self.source.read_exact(&mut self.row).map_err(|e| {
                let at = format!("in row {} of HDU {}", self.done + 1, self.hdu);
                TableError::io(&self.path, e, &at)
            })?;
            for (column, &place) in filling.iter_mut().zip(&self.selected) {
                let Place { form, start, bytes } = &self.places[place];
                column.push(&form.cell(&self.row[*start..start + bytes]));
            }
            self.done += 1;
            rows += 1;
            bytes += self.row.len();
        }
        if rows == 0 {
            self.end()?;
            return Ok(None);
        }
        let arrays = filling.iter_mut().map(Filling::finish).collect();
        let names = self.selected.iter().map(|&place| &*self.columns[place].name);
        batch(names, arrays, rows).map(Some).map_err(|e| TableError::corrupt(&self.path, e))
    }

    /// Looks for a second table, which would make it unclear what was asked.
    fn end(&mut self) -> Result<(), TableError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let mut left = self.behind;
        for hdu in self.hdu + 1..self.hdu + FITS_HDUS {
            // What is cut short behind the rows takes none of them.
            if skip(&mut self.source, left).is_err() {
                return Ok(());
            }
            let Ok(Some(bytes)) = header_bytes(&self.path, &mut self.source, hdu) else {
                return Ok(());
            };
            let Ok(header) = parsed(&bytes) else { return Ok(()) };
            let (Ok(table), Ok(data)) = (is_table(&header), data_bytes(&header)) else {
                return Ok(());
            };
            if table {
                let words = format!(
                    "HDU {} is a table, and so is HDU {hdu}: leave one of them in the file",
                    self.hdu
                );
                return Err(TableError::corrupt(&self.path, words));
            }
            left = padded(data);
        }
        Ok(())
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch().transpose();
        if matches!(next, Some(Err(_))) {
            self.done = self.count;
            self.ended = true;
        }
        next
    }
}

impl Form {
    fn cell<'a>(&self, bytes: &'a [u8]) -> Cell<'a> {
        match *self {
            Self::Logical => match bytes.first() {
                Some(b'T') => Cell::Boolean(true),
                Some(b'F') => Cell::Boolean(false),
                _ => Cell::Null,
            },
            Self::Text => Cell::Text(fixed_text(bytes)),
            Self::Plain(number, null) => match number.cell(bytes) {
                Cell::Integer(value) if Some(value) == null => Cell::Null,
                cell => cell,
            },
            Self::Shifted(number, null, zero) => match number.integer(bytes) {
                Some(value) if Some(value) != null => {
                    let value = i128::from(value) + zero;
                    let signed = i64::try_from(value).map(Cell::Integer);
                    let unsigned = || u64::try_from(value).map(Cell::Unsigned);
                    if number == Number::I64 {
                        unsigned().unwrap_or(Cell::Null)
                    } else {
                        signed.unwrap_or(Cell::Null)
                    }
                }
                _ => Cell::Null,
            },
            Self::Scaled(number, null, scale, zero) => {
                let value = match number.cell(bytes) {
                    Cell::Integer(value) if Some(value) != null => value as f64,
                    Cell::Single(value) => f64::from(value),
                    Cell::Float(value) => value,
                    _ => return Cell::Null,
                };
                Cell::Float(value * scale + zero)
            }
            Self::Other => Cell::Null,
        }
    }
}

/// What a column is called, what it holds, and its bytes in a row.
fn column(header: &Header<'_>, number: u64) -> Result<(Column, Form, usize), String> {
    let key = |name: &str| format!("{name}{number}");
    let said = |unclear: Unclear| unclear.to_string();
    let name = header.description(&key("TTYPE")).map_err(said)?;
    let name = name.map_or_else(|| format!("col{number}"), |name| name.trim().to_owned());
    let tform = header.text(&key("TFORM")).map_err(said)?;
    let tform = tform.ok_or_else(|| format!("{} is not there", key("TFORM")))?;
    let wrong = || format!("{} is {tform:?}", key("TFORM"));
    let digits = tform.trim().bytes().take_while(u8::is_ascii_digit).count();
    let (repeat, kind) = tform.trim().split_at(digits);
    let repeat: usize = match repeat {
        "" => 1,
        digits => digits.parse().map_err(|_| wrong())?,
    };
    let letter = kind.chars().next().ok_or_else(wrong)?;
    let times = |bytes: usize| repeat.checked_mul(bytes).ok_or_else(wrong);
    let (number_of, bytes) = match letter {
        'L' => (None, repeat),
        'X' => (None, repeat.div_ceil(8)),
        'B' => (Some(Number::U8), repeat),
        'I' => (Some(Number::I16), times(2)?),
        'J' => (Some(Number::I32), times(4)?),
        'K' => (Some(Number::I64), times(8)?),
        'E' => (Some(Number::F32), times(4)?),
        'D' => (Some(Number::F64), times(8)?),
        'A' => (None, repeat),
        'C' | 'P' => (None, times(8)?),
        'M' | 'Q' => (None, times(16)?),
        _ => return Err(wrong()),
    };
    let (form, cells) = match (letter, number_of) {
        ('A', _) => (Form::Text, Ok(DataType::Utf8)),
        ('L', _) if repeat == 1 => (Form::Logical, Ok(DataType::Boolean)),
        ('X', _) => (Form::Other, Err("bits".to_owned())),
        ('C' | 'M', _) => (Form::Other, Err("complex numbers".to_owned())),
        ('P' | 'Q', _) => (Form::Other, Err("lists of varying length".to_owned())),
        (_, Some(number)) if repeat == 1 => numbers(header, number, &key)?,
        _ => (Form::Other, Err(format!("lists of {repeat}"))),
    };
    // What is unclear is no unit that is known: it matters to whoever needs one, and the table
    // is read all the same.
    let unit = header.description(&key("TUNIT")).unwrap_or_else(|unclear| Some(said(unclear)));
    let unit = unit.map(|unit| unit.trim().to_owned()).filter(|unit| !unit.is_empty());
    Ok((Column { name, cells, unit }, form, bytes))
}

/// A column of numbers, as its keywords scale them.
#[allow(clippy::type_complexity)]
fn numbers(
    header: &Header<'_>,
    number: Number,
    key: &dyn Fn(&str) -> String,
) -> Result<(Form, Result<DataType, String>), String> {
    let said = |unclear: Unclear| unclear.to_string();
    let null = header.integer(&key("TNULL")).map_err(said)?.filter(|_| number.is_integer());
    let scale = header.number(&key("TSCAL")).map_err(said)?.unwrap_or(1.0);
    let zero = header.number(&key("TZERO")).map_err(said)?.unwrap_or(0.0);
    let is_shift = scale == 1.0 && zero.fract() == 0.0 && zero.abs() <= 9_223_372_036_854_775_808.0;
    Ok(if scale == 1.0 && zero == 0.0 {
        (Form::Plain(number, null), Ok(number.data_type()))
    } else if number == Number::I64 && scale == 1.0 && zero == 9_223_372_036_854_775_808.0 {
        (Form::Shifted(number, null, 1 << 63), Ok(DataType::UInt64))
    } else if number.is_integer() && number != Number::I64 && is_shift {
        (Form::Shifted(number, null, zero as i128), Ok(DataType::Int64))
    } else {
        (Form::Scaled(number, null, scale, zero), Ok(DataType::Float64))
    })
}

/// The bytes of the next header; `None` where the file ends.
fn header_bytes(
    path: &Path,
    source: &mut Bytes,
    hdu: usize,
) -> Result<Option<Vec<u8>>, TableError> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let start = bytes.len();
        let read = source.by_ref().take(BLOCK as u64).read_to_end(&mut bytes);
        let at = format!("in the header of HDU {hdu}");
        read.map_err(|e| TableError::io(path, e, &at))?;
        let block = &bytes[start..];
        if start == 0 && hdu > 1 && !block.starts_with(b"XTENSION") {
            // Nothing, or what the standard allows behind the last HDU.
            return Ok(None);
        }
        if block.chunks_exact(CARD).any(|card| card.starts_with(b"END     ")) {
            return Ok(Some(bytes));
        }
        if block.len() < BLOCK || bytes.len() > MAX_HEADER {
            return Err(TableError::corrupt(path, format!("the header of HDU {hdu} does not end")));
        }
    }
}

fn parsed(bytes: &[u8]) -> Result<Header<'_>, String> {
    match Header::parse(bytes).map_err(|e| e.to_string())? {
        Some((header, _)) => Ok(header),
        None => Err("the header does not end".to_owned()),
    }
}

/// Whether an HDU is a table of rows, and no image in compressed tiles.
fn is_table(header: &Header<'_>) -> Result<bool, String> {
    let said = |unclear: Unclear| unclear.to_string();
    let extension = header.text("XTENSION").map_err(said)?;
    let is_table = matches!(extension.as_deref().map(str::trim), Some("BINTABLE" | "A3DTABLE"));
    Ok(is_table && !header.logical("ZIMAGE").map_err(said)?)
}

/// A length that a header must give.
fn axis(header: &Header<'_>, keyword: &str) -> Result<u64, String> {
    let found = header.integer(keyword).map_err(|e| e.to_string())?;
    let found = found.ok_or_else(|| format!("{keyword} is not there"))?;
    u64::try_from(found).map_err(|_| format!("{keyword} is {found}"))
}

/// Bytes of an HDU's data (FITS 4.0, equations 1 and 2).
fn data_bytes(header: &Header<'_>) -> Result<u64, String> {
    let integer = |keyword: &str, otherwise: i64| -> Result<u64, String> {
        let value = header.integer(keyword).map_err(|e| e.to_string())?.unwrap_or(otherwise);
        u64::try_from(value).map_err(|_| format!("{keyword} is {value}"))
    };
    let bitpix = header.integer("BITPIX").map_err(|e| e.to_string())?.unwrap_or(8);
    let axes = integer("NAXIS", 0)?;
    if axes > 999 {
        return Err(format!("NAXIS is {axes}"));
    }
    let mut values = u64::from(axes > 0);
    let groups = header.logical("GROUPS").unwrap_or(false);
    for number in 1..=axes {
        let axis = integer(&format!("NAXIS{number}"), 0)?;
        if !(groups && number == 1 && axis == 0) {
            values = values.checked_mul(axis).ok_or("more data than there can be")?;
        }
    }
    let values = values.checked_add(integer("PCOUNT", 0)?);
    let values = values.and_then(|v| v.checked_mul(integer("GCOUNT", 1).ok()?));
    let bytes = values.and_then(|v| v.checked_mul(bitpix.unsigned_abs() / 8));
    bytes.filter(|&bytes| bytes < 1 << 60).ok_or_else(|| "more data than there can be".to_owned())
}

fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK as u64)
}

/// Passes over bytes.
fn skip(source: &mut Bytes, bytes: u64) -> std::io::Result<()> {
    let passed = std::io::copy(&mut source.take(bytes), &mut std::io::sink())?;
    if passed == bytes { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}
