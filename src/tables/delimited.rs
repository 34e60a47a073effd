//! Tables of text: comma-separated (CSV), with tabs (TSV), and as astropy
//! writes them (ECSV, APE 6), in UTF-8 with a line of names.
//!
//! What separates columns is seen in the line of names: tabs, if it has any and
//! no comma; ECSV says it. Lines before it that begin with `#` are comments
//! (SkyServer's `#Table1`), also where a spreadsheet quoted them and filled them
//! up with empty fields; unless the last of them is the line of names itself, as
//! numpy writes it: as many fields as the first row, which alone has numbers.
//!
//! Read with the `csv` crate and not arrow's reader, which ends at the first
//! line with a wrong number of fields: what becomes of such a line is left to
//! who reads. Invariant: fields are text as written, without blanks around
//! them; a record takes a bounded amount of memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use arrow::datatypes::DataType;
use csv::{ByteRecord, ReaderBuilder};

use super::opened::{Bytes, Opened, open};
use super::{Column, TableError};
use crate::limits::table::{COLUMNS, COMMENTS, RECORD};

/// Records of a file, one at a time.
pub struct Records {
    path: PathBuf,
    reader: csv::Reader<Budget>,
    header: Vec<String>,
    /// What an ECSV header says.
    declared: Ecsv,
    record: ByteRecord,
    /// Whether the record was read with the header, and is yet to be given.
    waits: bool,
    line: u64,
    /// Lines before the first that the reader was given.
    before: u64,
}

impl Records {
    /// Opens a table of text.
    ///
    /// # Errors
    /// [`TableError`], also if the file is of another format.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        match open(path)? {
            Opened::Text(source) => Self::new(path, source),
            _ => Err(TableError::corrupt(path, "it is no text, though its name says so")),
        }
    }

    pub(super) fn new(path: &Path, mut source: Bytes) -> Result<Self, TableError> {
        let unreadable = |e| TableError::io(path, e, "where it begins");
        let start = source.fill_buf().map_err(unreadable)?;
        let mark = "\u{feff}".as_bytes();
        if start.starts_with(mark) {
            source.consume(mark.len());
        }
        // Lines that begin with # up to the first that does not.
        let (mut comments, mut ecsv, mut before) = (Vec::new(), None, 0);
        while source.fill_buf().map_err(unreadable)?.first() == Some(&b'#') {
            let line = line(&mut source).map_err(unreadable)?;
            before += 1;
            if before > COMMENTS {
                return Err(TableError::corrupt(path, "it begins with comments without end"));
            }
            if before == 1 && line.contains("%ECSV") {
                ecsv = Some(Ecsv::default());
            }
            if let Some(ecsv) = &mut ecsv {
                ecsv.take(&line);
            } else {
                comments = vec![line];
            }
        }
        let names = line(&mut source).map_err(unreadable)?;
        let delimiter = match &ecsv {
            Some(ecsv) => ecsv.delimiter,
            None if names.contains('\t') && !names.contains(',') => b'\t',
            None => b',',
        };
        let rest: Bytes = Box::new(io::BufReader::new(io::Cursor::new(names).chain(source)));
        let reader = ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .delimiter(delimiter)
            .buffer_capacity(64 << 10)
            .from_reader(Budget { source: rest, left: RECORD });
        let declared = ecsv.unwrap_or_default();
        let mut records = Self {
            path: path.to_owned(),
            reader,
            header: Vec::new(),
            declared,
            record: ByteRecord::new(),
            waits: false,
            line: 1,
            before,
        };
        records.find_names(comments.pop(), delimiter)?;
        Ok(records)
    }

    /// Takes the line of names.
    fn find_names(&mut self, comment: Option<String>, delimiter: u8) -> Result<(), TableError> {
        loop {
            if !self.step()? {
                return Ok(());
            }
            let number = self.record.len();
            if number > COLUMNS {
                let what = format!("{number} columns; at most {COLUMNS}");
                return Err(TableError::corrupt(&self.path, what));
            }
            let fields: Vec<String> =
                (0..number).map(|field| self.text(field).into_owned()).collect();
            // A comment that a spreadsheet quoted.
            let alone = fields[1..].iter().all(String::is_empty);
            if fields[0].starts_with('#') && alone {
                continue;
            }
            let above = comment.map(|line| split(line.trim_start_matches(['#', ' ']), delimiter));
            let is_names = |names: &Vec<String>| {
                let numbers = |fields: &[String]| fields.iter().any(|f| f.parse::<f64>().is_ok());
                names.len() == fields.len()
                    && names.len() > 1
                    && names.iter().all(|name| !name.is_empty())
                    && numbers(&fields)
                    && !numbers(names)
            };
            match above.filter(is_names) {
                Some(names) => {
                    self.header = names;
                    self.waits = true;
                }
                None => self.header = fields,
            }
            return Ok(());
        }
    }

    /// The columns, as the line of names and a header of ECSV have them.
    pub fn columns(&self) -> Vec<Column> {
        let floats = ["float16", "float32", "float64", "float128"];
        let column = |name: &String| {
            // Text is read; that it was meant as a float decides about ids.
            let declared = self.declared.types.get(name).map(String::as_str);
            let cells = match declared.is_some_and(|found| floats.contains(&found)) {
                true => DataType::Float64,
                false => DataType::Utf8,
            };
            let unit = self.declared.unit(name).map(str::to_owned);
            Column { name: name.clone(), cells: Ok(cells), unit }
        };
        self.header.iter().map(column).collect()
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Whether the file says that a column holds text.
    pub fn is_text(&self, column: usize) -> bool {
        let declared = self.header.get(column).and_then(|name| self.declared.types.get(name));
        declared.is_some_and(|found| found == "string")
    }

    /// Reads the next record; `false` at the end.
    ///
    /// # Errors
    /// [`TableError::Line`].
    pub fn step(&mut self) -> Result<bool, TableError> {
        if std::mem::take(&mut self.waits) {
            return Ok(true);
        }
        self.reader.get_mut().left = RECORD;
        let here = self.before + self.reader.position().line();
        let more = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|source| TableError::Line { path: self.path.clone(), line: here, source })?;
        self.line = self.record.position().map_or(here, |at| self.before + at.line());
        Ok(more)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the record begins, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// How many fields the record has.
    pub fn fields(&self) -> usize {
        self.record.len()
    }

    /// Whether that is not the number of names.
    pub fn is_malformed(&self) -> bool {
        self.record.len() != self.header.len()
    }

    /// The error of a malformed record.
    pub(super) fn malformed(&self) -> TableError {
        let (found, wanted) = (self.record.len(), self.header.len());
        let words = format!("line {}: {found} fields where the header has {wanted}", self.line);
        TableError::corrupt(&self.path, words)
    }

    /// The bytes of a field as they stand; none if it is not there.
    pub fn bytes(&self, column: usize) -> &[u8] {
        self.record.get(column).unwrap_or_default()
    }

    /// A field of the record; empty if it is not there.
    pub fn text(&self, column: usize) -> Cow<'_, str> {
        match std::str::from_utf8(self.bytes(column)) {
            Ok(text) => bare(text),
            Err(_) => {
                let text = String::from_utf8_lossy(self.bytes(column));
                Cow::Owned(bare(&text).into_owned())
            }
        }
    }
}

/// What the header of an ECSV file says.
pub(super) struct Ecsv {
    delimiter: u8,
    /// The type of each column.
    types: HashMap<String, String>,
    /// The unit of each column that has one.
    units: HashMap<String, String>,
}

impl Default for Ecsv {
    fn default() -> Self {
        Self { delimiter: b' ', types: HashMap::new(), units: HashMap::new() }
    }
}

impl Ecsv {
    /// The same header as YAML alone.
    pub fn of_yaml(yaml: &str) -> Self {
        let mut found = Self::default();
        yaml.lines().for_each(|line| found.take(line));
        found
    }

    /// The unit of a column, if it has one.
    pub fn unit(&self, column: &str) -> Option<&str> {
        self.units.get(column).map(String::as_str)
    }

    /// A line of its YAML: `# delimiter: ','`, `# - {name: id, datatype: int64}`.
    fn take(&mut self, line: &str) {
        let line = line.trim_start_matches('#').trim();
        let delimiter = line.strip_prefix("delimiter:");
        if delimiter.is_some_and(|delimiter| delimiter.contains(',')) {
            self.delimiter = b',';
        }
        let value = |key: &str| {
            let (_, rest) = line.split_once(key)?;
            let rest = rest.trim_start();
            match rest.chars().next()? {
                quote @ ('\'' | '"') => rest[1..].split(quote).next(),
                _ => rest.split([',', '}']).next().map(str::trim),
            }
        };
        let is_column = line.starts_with("- {") || line.starts_with("- !!omap");
        if let (true, Some(name)) = (is_column, value("name:")) {
            if let Some(found) = value("datatype:") {
                self.types.insert(name.to_owned(), found.to_owned());
            }
            if let Some(unit) = value("unit:").filter(|unit| !unit.is_empty()) {
                self.units.insert(name.to_owned(), unit.to_owned());
            }
        }
    }
}

/// The fields of a line.
fn split(line: &str, delimiter: u8) -> Vec<String> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(line.as_bytes());
    let mut record = ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(true) => record.iter().map(|f| bare(&String::from_utf8_lossy(f)).into_owned()).collect(),
        _ => Vec::new(),
    }
}

/// A line with its end, and no more than a record may have.
fn line(source: &mut Bytes) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(RECORD as u64).read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A field without the blanks around it: many write `id, path` for the eye. The
/// quotation marks that follow such a blank were meant as such, though to the
/// letter of RFC 4180 they are not.
pub fn bare(field: &str) -> Cow<'_, str> {
    let trimmed = field.trim();
    let quoted = trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted.filter(|_| field.starts_with(char::is_whitespace)) {
        Some(inner) => Cow::Owned(inner.replace("\"\"", "\"")),
        None => Cow::Borrowed(trimmed),
    }
}

/// Bytes of which only so many may be read until the budget is renewed.
struct Budget {
    source: Bytes,
    left: usize,
}

impl Read for Budget {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a record longer than 1 MiB: is a quotation mark left open?",
            ));
        }
        let room = buffer.len().min(self.left);
        let read = self.source.read(&mut buffer[..room])?;
        self.left -= read;
        Ok(read)
    }
}
