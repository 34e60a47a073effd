//! A contact sheet: the pictures of rows side by side, each with its label, the
//! probability and the id beneath it, as one PNG or JPEG.
//!
//! A row whose picture cannot be had has an empty cell that says why.
//!
//! Memory: the sheet, some 75 MB for the largest, and one picture.

use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float32Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::pictures::Pictures;
use super::{PageError, letters, raster};
use crate::catalog::{rows_at, schema};
use crate::draw::pixels::{lay, paper};
use crate::run::RunFolder;
use crate::storage::output;
use crate::storage::shown;

/// Pictures that a sheet holds at most: one of 25 columns is 5,000 pixels wide.
pub const MOST: usize = 500;

/// Side of a picture, and room between cells and at the edges, in pixels.
const SIDE: usize = 192;
const GAP: usize = 10;

/// Lines of text beneath a picture.
const LINES: usize = 3;

/// Letters of a line beneath a picture.
const LETTERS: usize = SIDE / letters::WIDTH;

const WHITE: [u8; 3] = [255; 3];
const INK: [u8; 3] = [20; 3];
const SOFT: [u8; 3] = [110; 3];
const EMPTY: [u8; 3] = [232; 3];

/// Cells of a sheet, left to right and top to bottom.
struct Layout {
    cells: usize,
    columns: usize,
}

impl Layout {
    /// Somewhat wider than high, with as few places left over as can be.
    fn of(cells: usize) -> Self {
        let side = (cells as f64).sqrt();
        let (least, most) = (side.ceil() as usize, (1.45 * side).ceil() as usize);
        let left_over = |columns: &usize| cells.div_ceil(*columns) * columns - cells;
        let columns = (least.max(1)..=most.max(1)).min_by_key(left_over).unwrap_or(1);
        // No line of the heading is shorter than this.
        Self { cells, columns: columns.max(3) }
    }

    const CELL: [usize; 2] = [SIDE + GAP, SIDE + LINES * letters::HEIGHT + GAP];
    const HEADING: usize = GAP + 2 * letters::HEIGHT + GAP;

    fn size(&self) -> (usize, usize) {
        let rows = self.cells.div_ceil(self.columns);
        (GAP + self.columns * Self::CELL[0], Self::HEADING + rows * Self::CELL[1])
    }

    /// The upper left corner of a cell.
    fn corner(&self, cell: usize) -> (usize, usize) {
        let (column, row) = (cell % self.columns, cell / self.columns);
        (GAP + column * Self::CELL[0], Self::HEADING + row * Self::CELL[1])
    }
}

/// Refuses what [`write()`] would refuse of its output, before anything is read.
///
/// # Errors
/// [`PageError::Format`], and if the output is a place that is never replaced.
pub fn refuse(path: &Path) -> Result<(), PageError> {
    Format::of(path)?;
    Ok(output::refuse(path, &[])?)
}

/// Writes the sheet of the rows at `places` of the run in `dir`, in that order,
/// under a heading. The value of the column `extra`, if one is named, is the last
/// line beneath a picture. Returns how many cells have no picture.
///
/// # Errors
/// [`PageError`].
pub fn write(
    path: &Path,
    dir: &Path,
    places: &[u64],
    heading: &str,
    extra: Option<&str>,
) -> Result<u64, PageError> {
    let format = Format::of(path)?;
    if places.len() > MOST {
        return Err(PageError::TooMany { asked: places.len(), most: MOST });
    }
    if places.is_empty() {
        return Err(PageError::NoRows);
    }
    let run = RunFolder::open(dir)?;
    let listing = &run.manifest().listing;
    let held = listing.folders.iter().chain(&listing.places).chain(listing.archives.keys());
    let held: Vec<&Path> = held.map(Path::new).collect();
    output::refuse(path, &held)?;
    let schema = schema::of(&run)?;
    let mut columns: Vec<usize> = ["id", "label", "confidence", "status"]
        .into_iter()
        .chain(extra)
        .filter_map(|name| schema.index_of(name).ok())
        .collect();
    columns.sort_unstable();
    columns.dedup();
    let rows = rows_at(&run, places, Some(&columns))?;
    let layout = Layout::of(places.len());
    let (width, height) = layout.size();
    let mut sheet = paper(width, height, WHITE);
    let across = (width - 2 * GAP) / letters::WIDTH;
    let model = &run.manifest().settings.model;
    let untrained = if model.untrained { ", untrained: its labels mean nothing" } else { "" };
    for (line, text) in
        [heading.to_owned(), format!("model {}{untrained}", model.name)].iter().enumerate()
    {
        let text = letters::fitted(&shown::line(text), across);
        let ink = if line == 0 { INK } else { SOFT };
        letters::draw(&mut sheet, GAP, GAP + line * letters::HEIGHT, &text, ink);
    }
    let mut missing = 0;
    Pictures::of(&run).each(places, &mut |cell, picture| {
        let (left, top) = layout.corner(cell);
        match picture {
            Ok(picture) => {
                let picture = raster::fitted(&picture, SIDE);
                let (x, y) = ((SIDE - picture.width) / 2, (SIDE - picture.height) / 2);
                lay(&mut sheet, &picture, left + x, top + y);
            }
            Err(why) => {
                missing += 1;
                raster::fill(&mut sheet, [left, top, SIDE, SIDE], EMPTY);
                let lines = wrapped(&shown::line(why), LETTERS - 1);
                for (line, text) in lines.iter().take(SIDE / letters::HEIGHT - 1).enumerate() {
                    let at = top + letters::HEIGHT / 2 + line * letters::HEIGHT;
                    letters::draw(&mut sheet, left + letters::WIDTH / 2, at, text, SOFT);
                }
            }
        }
        for (line, text) in caption(&rows, cell, extra).iter().enumerate() {
            let at = top + SIDE + line * letters::HEIGHT;
            let text = letters::fitted(&shown::line(text), LETTERS);
            letters::draw(&mut sheet, left, at, &text, if line == 0 { INK } else { SOFT });
        }
        Ok(())
    })?;
    let bytes = match format {
        Format::Png => raster::png(&sheet)?,
        Format::Jpeg => raster::jpeg(&sheet, 90)?,
    };
    output::write(path, &bytes, &[])?;
    Ok(missing)
}

/// What stands beneath a picture.
fn caption(rows: &RecordBatch, row: usize, extra: Option<&str>) -> Vec<String> {
    let text = |name: &str| -> String {
        let column = rows.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
        column.map_or_else(String::new, |column| column.value(row).to_owned())
    };
    let confidence = rows.column_by_name("confidence");
    let confidence = confidence.and_then(|column| column.as_primitive_opt::<Float32Type>());
    let first = match confidence.filter(|column| column.is_valid(row)) {
        Some(column) => format!("{} {:.3}", text("label"), column.value(row)),
        None => text("status"),
    };
    let mut lines = vec![first, text("id")];
    let named = extra.filter(|name| !["id", "label", "confidence"].contains(name));
    lines.extend(named.and_then(|name| {
        let column = rows.column_by_name(name)?;
        let shown = ArrayFormatter::try_new(column, &FormatOptions::default()).ok()?;
        Some(format!("{name} {}", shown.value(row).try_to_string().ok()?))
    }));
    lines
}

/// A text in lines of at most so many characters, broken between words where that
/// is possible.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut letters: Vec<char> = word.chars().collect();
        let line = lines.last_mut().expect("there is a first line");
        let used = line.chars().count();
        if used > 0 && used + 1 + letters.len() <= most {
            line.push(' ');
            line.extend(letters);
            continue;
        }
        if used > 0 {
            lines.push(String::new());
        }
        while letters.len() > most {
            let rest = letters.split_off(most);
            lines.last_mut().expect("there is a line").extend(letters);
            lines.push(String::new());
            letters = rest;
        }
        lines.last_mut().expect("there is a line").extend(letters);
    }
    lines
}

/// How a sheet is written.
enum Format {
    Png,
    Jpeg,
}

impl Format {
    /// By the ending of its name.
    fn of(path: &Path) -> Result<Self, PageError> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_lowercase).as_deref() {
            Some("png") => Ok(Self::Png),
            Some("jpg" | "jpeg") => Ok(Self::Jpeg),
            _ => Err(PageError::Format { path: path.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_lie_within_the_sheet_and_apart() {
        for cells in [1, 2, 5, 20, 25, 499, 500] {
            let layout = Layout::of(cells);
            let (width, height) = layout.size();
            let corners: Vec<(usize, usize)> = (0..cells).map(|c| layout.corner(c)).collect();
            for (x, y) in &corners {
                assert!(x + SIDE + GAP <= width, "{cells}");
                assert!(y + SIDE + LINES * letters::HEIGHT <= height, "{cells}");
            }
            let mut distinct = corners.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), cells);
        }
    }

    #[test]
    fn reasons_are_broken_between_words() {
        assert_eq!(wrapped("not an image", 7), ["not an", "image"]);
        assert_eq!(
            wrapped("/data/galaxies/1.jpg: gone", 10),
            ["/data/gala", "xies/1.jpg", ": gone"]
        );
        assert_eq!(wrapped("", 5), [""]);
        assert!(wrapped(&"x".repeat(100), 7).iter().all(|line| line.len() <= 7));
    }
}
