//! VOTable (IVOA Recommendation 1.5): TABLEDATA, BINARY and BINARY2, as a stream.
//!
//! The first table with data is read, unless another follows: which is meant is
//! then not said. Data that are elsewhere (`href`) or FITS are refused. A value
//! that a FIELD names for missing ones is none.
//!
//! Invariant: an element, a cell and a row are within [`XML_PIECE`]; entities
//! are those of XML itself, so that none grows.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::base64::Decoder;
use super::cells::{Cell, Filling, Number, fixed_text};
use super::opened::Bytes;
use super::{BATCH, BATCH_BYTES, Column, TableError, batch};
use crate::limits::output::QUOTED;
use crate::limits::shortened;
use crate::limits::table::{COLUMNS, XML_PIECE};

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Bit,
    Char,
    UnicodeChar,
    Number(Number),
    /// Pairs of numbers of so many bytes.
    Complex(usize),
}

#[derive(Debug, Clone)]
struct Field {
    kind: Kind,
    /// How many values a cell has; `None` where each cell says.
    count: Option<usize>,
    /// Whether a cell is a list, though its length may be 1.
    is_list: bool,
    /// What stands for a missing whole number.
    null: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Text,
    Binary,
    Binary2,
}

/// The rows of a table.
pub(super) struct Rows {
    path: PathBuf,
    reader: Reader<Budget>,
    buffer: Vec<u8>,
    columns: Vec<Column>,
    fields: Vec<Field>,
    encoding: Encoding,
    decoder: Decoder,
    selected: Vec<usize>,
    done: u64,
    ended: bool,
    /// Whether what follows the table was looked at.
    checked: bool,
}

/// What comes next in the document, as far as tables are concerned.
enum Piece {
    Begins(String, BytesStart<'static>, bool),
    Ends(String),
    Text(String),
    Nothing,
    End,
}

impl Rows {
    /// Reads up to the first row.
    pub fn open(path: &Path, source: Bytes) -> Result<Self, TableError> {
        let mut reader = Reader::from_reader(Budget { source, left: XML_PIECE });
        reader.config_mut().check_end_names = true;
        let mut rows = Self {
            path: path.to_owned(),
            reader,
            buffer: Vec::new(),
            columns: Vec::new(),
            fields: Vec::new(),
            encoding: Encoding::Text,
            decoder: Decoder::default(),
            selected: Vec::new(),
            done: 0,
            ended: false,
            checked: false,
        };
        rows.find()?;
        Ok(rows)
    }

    /// Finds the first table with data, and its fields.
    fn find(&mut self) -> Result<(), TableError> {
        let mut is_votable = false;
        loop {
            match self.next()? {
                Piece::Begins(name, element, empty) => match &*name {
                    "VOTABLE" => is_votable = true,
                    "TABLE" => {
                        self.columns.clear();
                        self.fields.clear();
                    }
                    "FIELD" => self.field(&element)?,
                    "VALUES" => {
                        if let (Some(field), Some(null)) =
                            (self.fields.last_mut(), attribute(&element, "null"))
                        {
                            field.null = Some(null.trim().to_owned());
                        }
                    }
                    "TABLEDATA" => {
                        self.ended = empty;
                        return Ok(());
                    }
                    "BINARY" => self.encoding = Encoding::Binary,
                    "BINARY2" => self.encoding = Encoding::Binary2,
                    "STREAM" => return self.stream(&element, empty),
                    "FITS" => return Err(self.wrong("its data are FITS inside of the XML")),
                    _ => {}
                },
                Piece::End if is_votable => return Err(self.wrong("a VOTable without a table")),
                Piece::End => return Err(self.wrong("XML that is no VOTable")),
                _ => {}
            }
        }
    }

    fn field(&mut self, element: &BytesStart<'_>) -> Result<(), TableError> {
        let name = attribute(element, "name").or_else(|| attribute(element, "ID"));
        let name = name.unwrap_or_else(|| format!("col{}", self.columns.len() + 1));
        let said = attribute(element, "datatype").unwrap_or_else(|| "char".into());
        let kind = match &*said {
            "boolean" => Kind::Boolean,
            "bit" => Kind::Bit,
            "unsignedByte" => Kind::Number(Number::U8),
            "short" => Kind::Number(Number::I16),
            "int" => Kind::Number(Number::I32),
            "long" => Kind::Number(Number::I64),
            "char" => Kind::Char,
            "unicodeChar" => Kind::UnicodeChar,
            "float" => Kind::Number(Number::F32),
            "double" => Kind::Number(Number::F64),
            "floatComplex" => Kind::Complex(8),
            "doubleComplex" => Kind::Complex(16),
            _ => {
                let (name, said) = (shortened(&name, QUOTED), shortened(&said, QUOTED));
                return Err(self.wrong(format!("field {name} has the datatype {said:?}")));
            }
        };
        let size = attribute(element, "arraysize").unwrap_or_default();
        let size = size.trim();
        let axes: Vec<&str> = size.split('x').filter(|axis| !axis.is_empty()).collect();
        let count = if axes.last().is_some_and(|axis| axis.ends_with('*')) {
            None
        } else {
            let product = axes.iter().try_fold(1_usize, |n, axis| {
                axis.trim().parse().ok().and_then(|axis| n.checked_mul(axis))
            });
            let product = product.filter(|&count| count <= XML_PIECE);
            Some(product.ok_or_else(|| self.wrong(format!("field {name} has {size:?} values")))?)
        };
        let is_text = matches!(kind, Kind::Char | Kind::UnicodeChar);
        let is_list = if is_text { axes.len() > 1 } else { count != Some(1) };
        let cells = match kind {
            _ if is_list => Err(format!("lists ({size} of {said})")),
            Kind::Boolean | Kind::Bit => Ok(DataType::Boolean),
            Kind::Char | Kind::UnicodeChar => Ok(DataType::Utf8),
            Kind::Number(number) => Ok(number.data_type()),
            Kind::Complex(_) => Err("complex numbers".to_owned()),
        };
        if self.columns.len() == COLUMNS {
            return Err(self.wrong(format!("more than {COLUMNS} columns")));
        }
        let unit = attribute(element, "unit").map(|unit| unit.trim().to_owned());
        let unit = unit.filter(|unit| !unit.is_empty());
        self.columns.push(Column { name: name.trim().to_owned(), cells, unit });
        self.fields.push(Field { kind, count, is_list, null: None });
        Ok(())
    }

    fn stream(&mut self, element: &BytesStart<'_>, empty: bool) -> Result<(), TableError> {
        if let Some(href) = attribute(element, "href") {
            return Err(self.wrong(format!("its data are elsewhere, at {href:?}")));
        }
        match attribute(element, "encoding").as_deref() {
            Some("base64") => {}
            other => {
                let found = other.unwrap_or("nothing");
                return Err(self.wrong(format!("its data are encoded as {found}, not as base64")));
            }
        }
        self.ended = empty;
        Ok(())
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
        while rows < BATCH && bytes < BATCH_BYTES && !self.ended {
            let size = if self.encoding == Encoding::Text {
                self.text_row(&mut filling)?
            } else {
                self.binary_row(&mut filling)?
            };
            match size {
                Some(size) => {
                    bytes += size;
                    rows += 1;
                    self.done += 1;
                }
                None => self.ended = true,
            }
        }
        if rows == 0 {
            if !std::mem::replace(&mut self.checked, true) {
                self.end()?;
            }
            return Ok(None);
        }
        let arrays = filling.iter_mut().map(Filling::finish).collect();
        let names = self.selected.iter().map(|&place| &*self.columns[place].name);
        batch(names, arrays, rows).map(Some).map_err(|e| TableError::corrupt(&self.path, e))
    }

    /// A row of TABLEDATA; its bytes.
    fn text_row(&mut self, filling: &mut [Filling]) -> Result<Option<usize>, TableError> {
        let mut cells: Vec<String> = Vec::new();
        let (mut size, mut inside) = (0, false);
        loop {
            match self.next()? {
                Piece::Begins(name, _, empty) if name == "TD" => {
                    if cells.len() == self.fields.len() {
                        return Err(self.wrong_row("more cells than there are fields"));
                    }
                    cells.push(String::new());
                    inside = !empty;
                }
                Piece::Ends(name) if name == "TD" => inside = false,
                Piece::Ends(name) if name == "TR" => break,
                Piece::Ends(name) if name == "TABLEDATA" => return Ok(None),
                Piece::Begins(name, _, empty) if name == "TR" && empty => break,
                Piece::Text(text) if inside => {
                    size += text.len();
                    if size > XML_PIECE {
                        return Err(self.wrong_row("it is too long"));
                    }
                    if let Some(cell) = cells.last_mut() {
                        cell.push_str(&text);
                    }
                }
                Piece::End => return Err(self.wrong_row("the document ends")),
                _ => {}
            }
        }
        if cells.len() < self.fields.len() {
            return Err(self.wrong_row("fewer cells than there are fields"));
        }
        for (column, &place) in filling.iter_mut().zip(&self.selected) {
            let text = cells[place].trim();
            let cell = self.fields[place].cell_of_text(text).map_err(|()| {
                self.wrong_row(format!("{} is {text:?}", self.columns[place].name))
            })?;
            column.push(&cell);
        }
        Ok(Some(size))
    }

    /// A row of BINARY or BINARY2; its bytes.
    fn binary_row(&mut self, filling: &mut [Filling]) -> Result<Option<usize>, TableError> {
        let mut missing = Vec::new();
        let mut size = 0;
        if self.encoding == Encoding::Binary2 {
            let flags = self.fields.len().div_ceil(8);
            match self.bytes(flags, size == 0)? {
                Some(bytes) => missing = bytes,
                None => return Ok(None),
            }
            size += flags;
        }
        let mut cells: Vec<Option<Vec<u8>>> = Vec::with_capacity(self.fields.len());
        for place in 0..self.fields.len() {
            let Field { kind, count, .. } = self.fields[place];
            let count = match count {
                Some(count) => count,
                None => match self.bytes(4, size == 0)? {
                    Some(bytes) => {
                        size += 4;
                        let count = bytes.try_into().map(u32::from_be_bytes).unwrap_or(u32::MAX);
                        usize::try_from(count).unwrap_or(usize::MAX)
                    }
                    None => return Ok(None),
                },
            };
            let bytes = kind.bytes(count).filter(|bytes| size + bytes <= XML_PIECE);
            let bytes = bytes.ok_or_else(|| self.wrong_row("it is too long"))?;
            let Some(found) = self.bytes(bytes, size == 0)? else { return Ok(None) };
            size += bytes;
            let flagged = missing.get(place / 8).is_some_and(|f| f & (0x80 >> (place % 8)) != 0);
            let wanted = self.selected.contains(&place) && !flagged;
            cells.push(wanted.then_some(found));
        }
        for (column, &place) in filling.iter_mut().zip(&self.selected) {
            let cell = match &cells[place] {
                Some(bytes) => self.fields[place].cell_of_bytes(bytes),
                None => Cell::Null,
            };
            column.push(&cell);
        }
        Ok(Some(size))
    }

    /// So many bytes of the stream; `None` at its end, where a row may end.
    fn bytes(&mut self, count: usize, may_end: bool) -> Result<Option<Vec<u8>>, TableError> {
        let mut bytes = vec![0; count];
        self.reader.get_mut().left = XML_PIECE;
        let mut stream = self.reader.stream();
        let read = self.decoder.read(&mut stream, &mut bytes);
        let read =
            read.map_err(|e| TableError::io(&self.path, e, &format!("in row {}", self.done + 1)))?;
        match read {
            // A table without columns has no bytes to tell its rows by.
            0 if may_end => Ok(None),
            _ if read == count => Ok(Some(bytes)),
            _ => Err(self.wrong_row("the data end within it")),
        }
    }

    /// Looks for a second table, which would make it unclear what was asked.
    fn end(&mut self) -> Result<(), TableError> {
        loop {
            match self.next()? {
                Piece::Begins(name, ..) if name == "DATA" => {
                    return Err(self.wrong("it holds several tables: leave one in the file"));
                }
                Piece::End => return Ok(()),
                _ => {}
            }
        }
    }

    /// The next piece of the document.
    fn next(&mut self) -> Result<Piece, TableError> {
        self.buffer.clear();
        self.reader.get_mut().left = XML_PIECE;
        let event = self.reader.read_event_into(&mut self.buffer);
        let event = match event {
            Ok(event) => event,
            Err(quick_xml::Error::Io(error)) => {
                let error = io::Error::new(error.kind(), error.to_string());
                return Err(TableError::io(&self.path, error, "in the XML"));
            }
            Err(error) => {
                let at = self.reader.error_position();
                return Err(TableError::corrupt(&self.path, format!("byte {at}: {error}")));
            }
        };
        Ok(match event {
            Event::Start(element) => {
                let name = element.local_name().as_ref().to_owned();
                Piece::Begins(name, element.into_owned(), false)
            }
            Event::Empty(element) => {
                let name = element.local_name().as_ref().to_owned();
                Piece::Begins(name, element.into_owned(), true)
            }
            Event::End(element) => Piece::Ends(element.local_name().as_ref().to_owned()),
            Event::Text(text) => Piece::Text(text.to_string()),
            Event::CData(text) => Piece::Text(text.to_string()),
            Event::GeneralRef(entity) => {
                let written = format!("&{};", &*entity);
                let text = quick_xml::escape::unescape(&written).map(Cow::into_owned);
                Piece::Text(text.map_err(|e| TableError::corrupt(&self.path, e.to_string()))?)
            }
            Event::Eof => Piece::End,
            _ => Piece::Nothing,
        })
    }

    fn wrong(&self, what: impl Into<String>) -> TableError {
        TableError::corrupt(&self.path, what)
    }

    fn wrong_row(&self, what: impl std::fmt::Display) -> TableError {
        TableError::corrupt(&self.path, format!("row {}: {what}", self.done + 1))
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch().transpose();
        let failed = matches!(next, Some(Err(_)));
        self.ended |= failed;
        self.checked |= failed;
        next
    }
}

impl Kind {
    /// Bytes of so many values.
    fn bytes(self, count: usize) -> Option<usize> {
        match self {
            Self::Boolean | Self::Char => Some(count),
            Self::Bit => Some(count.div_ceil(8)),
            Self::UnicodeChar => count.checked_mul(2),
            Self::Number(number) => count.checked_mul(number.bytes()),
            Self::Complex(bytes) => count.checked_mul(bytes),
        }
    }
}

impl Field {
    /// The value of a cell as text.
    ///
    /// # Errors
    /// Where it is none of the field's type.
    fn cell_of_text<'a>(&self, text: &'a str) -> Result<Cell<'a>, ()> {
        let is_null = self.null.as_deref() == Some(text);
        Ok(match self.kind {
            _ if self.is_list => Cell::Null,
            Kind::Char | Kind::UnicodeChar => Cell::Text(text.into()),
            _ if text.is_empty() || is_null => Cell::Null,
            Kind::Boolean | Kind::Bit => match text {
                "T" | "t" | "1" | "true" | "TRUE" | "True" => Cell::Boolean(true),
                "F" | "f" | "0" | "false" | "FALSE" | "False" => Cell::Boolean(false),
                "?" => Cell::Null,
                _ => return Err(()),
            },
            Kind::Number(number) if number.is_integer() => {
                let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
                let value = match hexadecimal {
                    Some(digits) => i64::from_str_radix(digits, 16),
                    None => text.parse(),
                };
                Cell::Integer(value.map_err(|_| ())?)
            }
            Kind::Number(Number::F32) => Cell::Single(text.parse().map_err(|_| ())?),
            Kind::Number(_) => Cell::Float(text.parse().map_err(|_| ())?),
            Kind::Complex(_) => Cell::Null,
        })
    }

    /// The value of a cell as bytes.
    fn cell_of_bytes<'a>(&self, bytes: &'a [u8]) -> Cell<'a> {
        match self.kind {
            _ if self.is_list => Cell::Null,
            Kind::Char => Cell::Text(fixed_text(bytes)),
            Kind::UnicodeChar => {
                let units = bytes.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]]));
                let text: String = char::decode_utf16(units.take_while(|&unit| unit != 0))
                    .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect();
                Cell::Text(text.trim_end().to_owned().into())
            }
            Kind::Boolean => match bytes.first() {
                Some(b'T' | b't' | b'1') => Cell::Boolean(true),
                Some(b'F' | b'f' | b'0') => Cell::Boolean(false),
                _ => Cell::Null,
            },
            Kind::Number(number) => match number.cell(bytes) {
                Cell::Integer(value)
                    if self.null.as_ref().and_then(|null| null.parse().ok()) == Some(value) =>
                {
                    Cell::Null
                }
                cell => cell,
            },
            // One bit of a byte: the highest by the standard, astropy's is another.
            Kind::Bit => Cell::Boolean(bytes.iter().any(|&byte| byte != 0)),
            Kind::Complex(_) => Cell::Null,
        }
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok()??;
    quick_xml::escape::unescape(&found.value).ok().map(Cow::into_owned)
}

/// Bytes of which only so many may be read until the budget is renewed.
struct Budget {
    source: Bytes,
    left: usize,
}

impl Budget {
    fn spent() -> io::Error {
        let words = format!("an element longer than {} MiB", XML_PIECE >> 20);
        io::Error::new(io::ErrorKind::InvalidData, words)
    }
}

impl Read for Budget {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = {
            let bytes = self.fill_buf()?;
            let count = bytes.len().min(out.len());
            out[..count].copy_from_slice(&bytes[..count]);
            count
        };
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Budget {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(Self::spent());
        }
        let bytes = self.source.fill_buf()?;
        Ok(&bytes[..bytes.len().min(self.left)])
    }

    fn consume(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        self.source.consume(count);
    }
}
