//! The folder of explanations: a picture's panels under its id, the maps as numbers, and
//! a line for each.

use std::fs;
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
    pub(super) fn new(folder: &Path, sheet: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            names: Names::default(),
            lines: csv::Writer::from_writer(Vec::new()),
            maps: Vec::new(),
            side: 0,
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
        if self.written > 0 && self.side != seen.grid.side {
            let what = format!(
                "maps of {} and of {} pixels a side fit into no array: name an answer of one network \
                 (--class)",
                self.side, seen.grid.side
            );
            let path = self.folder.join("maps.npy");
            return Err(ClassifyError::Pictures { path, source: std::io::Error::other(what) });
        }
        self.maps.extend(&seen.map);
        self.side = seen.grid.side;
        self.written += 1;
        self.sheet.iter_mut().for_each(|sheet| sheet.push(panels.clone()));
        Ok(())
    }

    /// Writes the tables and the sheet; returns how many pictures there are.
    pub(super) fn end(&mut self, sheet: Option<&Path>) -> Result<u64, ClassifyError> {
        let put = |name: &str, bytes: &[u8]| {
            let path = self.folder.join(name);
            fs::write(&path, bytes).map_err(|source| ClassifyError::Pictures { path, source })
        };
        self.lines.flush().map_err(|error| self.refused(error.into()))?;
        put("maps.csv", self.lines.get_ref())?;
        let shape = [self.written as usize, self.side, self.side];
        put("maps.npy", &npy(&self.maps, shape))?;
        put("maps.fits", &fits(&self.maps, shape))?;
        if let (Some(path), Some(panels)) = (sheet, self.sheet.as_ref().filter(|p| !p.is_empty())) {
            let mut bytes = Vec::new();
            pixels::png(&mut bytes, &panels::below(panels))
                .map_err(|source| ClassifyError::Pictures { path: path.to_owned(), source })?;
            output::write(path, &bytes, &[])?;
        }
        Ok(self.written)
    }

    /// Lines could not be gathered.
    fn refused(&self, error: csv::Error) -> ClassifyError {
        ClassifyError::Pictures { path: self.folder.join("maps.csv"), source: error.into() }
    }
}

/// An array as a cube of a FITS file, the first axis of the shape being its third. Its
/// rows are the picture's from the top down, where most viewers begin at the bottom.
fn fits(values: &[f32], [pictures, rows, columns]: [usize; 3]) -> Vec<u8> {
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
    header.with_floats(values)
}

/// An array as NumPy's files have it (NEP 1, version 1.0).
fn npy(values: &[f32], shape: [usize; 3]) -> Vec<u8> {
    let [a, b, c] = shape;
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({a}, {b}, {c}), }}");
    // Ten bytes stand before it; a line's end closes it, at a multiple of 64.
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}
