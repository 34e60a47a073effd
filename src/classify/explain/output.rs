//! The folder of explanations: a picture's panels under its id, the maps as numbers, and
//! a line for each.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Seen;
use crate::classify::ClassifyError;
use crate::classify::look::{Names, empty_folder, write};
use crate::cutout::RgbImage;
use crate::draw::{panels, pixels};
use crate::storage::fits::write::Header;
use crate::storage::output;

/// A line of `maps.csv`.
pub(super) struct Row<'a> {
    pub(super) id: &'a str,
    pub(super) index: u64,
    pub(super) source: &'a str,
    pub(super) label: &'a str,
    pub(super) confidence: f32,
    pub(super) answer: String,
    pub(super) network: &'a str,
}

/// The folder, and what is written at its end.
pub(super) struct Output {
    folder: PathBuf,
    names: Names,
    lines: csv::Writer<Vec<u8>>,
    maps: Vec<f32>,
    side: usize,
    written: u64,
    /// Panels for a sheet, if there is to be one.
    sheet: Option<Vec<RgbImage>>,
}

impl Output {
    /// Of maps of so many pixels a side.
    pub(super) fn new(folder: &Path, side: usize, sheet: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            names: Names::default(),
            lines: csv::Writer::from_writer(Vec::new()),
            maps: Vec::new(),
            side,
            written: 0,
            sheet: sheet.then(Vec::new),
        }
    }

    /// Makes the folder.
    pub(super) fn begin(&mut self) -> Result<(), ClassifyError> {
        empty_folder(&self.folder)?;
        let columns =
            ["id", "picture", "source", "label", "confidence", "answer", "network", "logit", "map"];
        self.lines.write_record(columns).map_err(|error| self.refused(error))
    }

    pub(super) fn add(
        &mut self,
        row: &Row<'_>,
        picture: &RgbImage,
        seen: &Seen,
    ) -> Result<(), ClassifyError> {
        let name = self.names.of(row.id, row.index);
        let path = self.folder.join(&name);
        let panels = panels::three(picture, seen.placed());
        write(&path, &panels).map_err(|source| ClassifyError::Pictures { path, source })?;
        let picture = name.to_string_lossy();
        let (confidence, logit) = (row.confidence.to_string(), seen.logit.to_string());
        let cells: [&str; 9] = [
            row.id,
            &picture,
            row.source,
            row.label,
            &confidence,
            &row.answer,
            row.network,
            &logit,
            seen.kind.name(),
        ];
        self.lines.write_record(cells).map_err(|error| self.refused(error))?;
        // One size, which was asked for before anything was computed.
        self.maps.extend(&seen.map);
        self.written += 1;
        self.sheet.iter_mut().for_each(|sheet| sheet.push(panels.clone()));
        Ok(())
    }

    /// Writes the tables and the sheet; returns how many pictures there are.
    pub(super) fn end(&mut self, sheet: Option<&Path>) -> Result<u64, ClassifyError> {
        self.lines.flush().map_err(|error| self.refused(error.into()))?;
        self.put("maps.csv", |out| out.write_all(self.lines.get_ref()))?;
        let shape = [self.written as usize, self.side, self.side];
        self.put("maps.npy", |out| npy(&self.maps, shape, out))?;
        self.put("maps.fits", |out| fits(&self.maps, shape, out))?;
        if let (Some(path), Some(panels)) = (sheet, self.sheet.as_ref().filter(|p| !p.is_empty())) {
            let mut bytes = Vec::new();
            pixels::png(&mut bytes, &panels::below(panels))
                .map_err(|source| ClassifyError::Pictures { path: path.to_owned(), source })?;
            output::write(path, &bytes, &[])?;
        }
        Ok(self.written)
    }

    /// Writes a file of the folder.
    fn put(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), ClassifyError> {
        let path = self.folder.join(name);
        let written = || {
            let mut out = BufWriter::new(File::create(&path)?);
            write(&mut out)?;
            out.flush()
        };
        written().map_err(|source| {
            // Half a file is none.
            drop(fs::remove_file(&path));
            ClassifyError::Pictures { path, source }
        })
    }

    /// Lines could not be gathered.
    fn refused(&self, error: csv::Error) -> ClassifyError {
        ClassifyError::Pictures { path: self.folder.join("maps.csv"), source: error.into() }
    }
}

/// Writes an array as a cube of a FITS file, the first axis of the shape being its third. Its
/// rows are the picture's from the top down, where most viewers begin at the bottom.
fn fits(
    values: &[f32],
    [pictures, rows, columns]: [usize; 3],
    out: &mut impl Write,
) -> io::Result<()> {
    let mut header = Header::default();
    header.logical("SIMPLE", true, "conforms to FITS standard");
    header.integer("BITPIX", -32, "32-bit floating point");
    // No picture is no data: a cube of no planes is none.
    let axes = if pictures == 0 { vec![] } else { vec![columns, rows, pictures] };
    header.integer("NAXIS", axes.len() as i64, "");
    for (place, length) in axes.into_iter().enumerate() {
        header.integer(&format!("NAXIS{}", place + 1), length as i64, "");
    }
    header.text("CONTENT", "heat maps", "a plane each, in the order of maps.csv");
    header.text("ROWORDER", "TOP-DOWN", "the first row is the picture's uppermost");
    header.text("ORIGIN", concat!("hiwl ", env!("CARGO_PKG_VERSION")), "");
    header.write_floats(values, out)
}

/// Writes an array as NumPy's files have it (NEP 1, version 1.0).
fn npy(values: &[f32], shape: [usize; 3], out: &mut impl Write) -> io::Result<()> {
    let [a, b, c] = shape;
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({a}, {b}, {c}), }}");
    // Ten bytes stand before it; a line's end closes it, at a multiple of 64.
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}
