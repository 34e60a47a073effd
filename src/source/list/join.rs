//! A table that gives positions and columns to cutouts by their ids: what files and
//! archives do not say of their members.
//!
//! Any format that [`crate::tables`] reads. It is held in memory, unlike listings.
//! Invariant: a cutout has the values of the one row with its id, or none and is
//! counted; where two rows could be meant, neither is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};

use super::mosaics::carried;
use super::notes::Notes;
use super::table::{
    NO_PLACE, check_numbers, find_carried, find_id, find_position, odd_place, position,
};
use super::{Chunk, ListError, ListOptions};
use crate::cutout::SkyPosition;
use crate::labels::ids::is_float;
use crate::limits::mosaic::SOURCES;
use crate::limits::output::QUOTED;
use crate::limits::shortened;
use crate::storage::parquet::texts;
use crate::tables;
use crate::words::{counted, part_of};

/// A row that an id leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Row(u32),
    Twice,
}

/// The table, and what became of its rows.
pub(super) struct Join {
    /// As the user gave it.
    given: PathBuf,
    rows: HashMap<String, Found>,
    positions: Vec<Option<SkyPosition>>,
    carried: RecordBatch,
    used: Vec<bool>,
    /// Cutouts so far, those without a row, and the first of them.
    cutouts: u64,
    without: u64,
    example: Option<String>,
}

impl Join {
    /// Reads a table: ids, positions where it has them, and the columns to carry.
    ///
    /// # Errors
    /// [`ListError`] if it has no ids, ids that lost their digits, a column less than
    /// is asked for, or nothing to give.
    pub fn read(given: &Path, options: &ListOptions, notes: &mut Notes) -> Result<Self, ListError> {
        let table = tables::Table::open(given)?;
        let typed = table.is_typed();
        let all: Vec<tables::Column> = table.columns().to_vec();
        let names: Vec<&str> = all.iter().map(|column| column.name.as_str()).collect();
        let id = find_id(&names, options.id_column.as_deref(), given)?;
        let place = find_position(&all, given)?;
        if let (Some(place), true) = (place, typed) {
            check_numbers(&all, place, given)?;
        }
        let wanted = find_carried(&all, options, given)?;
        if place.is_none() && wanted.is_empty() {
            let why = "it has no columns ra and dec, and no others are asked for (--carry, \
                       --radius-column): nothing to join";
            return Err(ListError::Join { path: given.to_owned(), why: why.to_owned() });
        }
        let mut read = vec![id];
        read.extend(place.iter().flat_map(|(ra, dec)| [*ra, *dec]));
        read.extend(&wanted);
        read.sort_unstable();
        read.dedup();
        let at = |column: usize| read.iter().position(|own| *own == column).unwrap_or_default();
        let (mut rows, mut positions) = (HashMap::new(), Vec::new());
        // Whether a position that is no number, or on no sky, was told.
        let mut odd = false;
        let mut kept: Vec<Vec<ArrayRef>> = Vec::new();
        for batch in table.rows(&read)? {
            let batch = batch?;
            let column = |column: usize| batch.column(at(column));
            let ids = texts(column(id))?;
            let degrees = |column: usize| cast(batch.column(at(column)), &DataType::Float64);
            let written = place.filter(|_| !typed);
            let written = written.map(|(ra, dec)| [texts(column(ra)), texts(column(dec))]);
            let written = match written {
                Some([ra, dec]) => Some([ra?, dec?]),
                None => None,
            };
            let place = place.map(|(ra, dec)| Ok::<_, ListError>((degrees(ra)?, degrees(dec)?)));
            let place = place.transpose()?;
            for row in 0..batch.num_rows() {
                let number = positions.len();
                let name = if ids.is_null(row) { "" } else { ids.value(row).trim() };
                if is_float(name) || column(id).data_type().is_floating() {
                    return Err(ListError::FloatId {
                        table: given.to_owned(),
                        row: format!("row {}", number + 1),
                        id: shortened(name, QUOTED).into_owned(),
                    });
                }
                if number >= SOURCES {
                    let why = format!("more than {SOURCES} rows: join the part that is needed");
                    return Err(ListError::Join { path: given.to_owned(), why });
                }
                positions.push(place.as_ref().and_then(|(ra, dec)| {
                    let value = |array: &ArrayRef| {
                        let array = array.as_primitive::<Float64Type>();
                        array.is_valid(row).then(|| array.value(row))
                    };
                    let (ra, dec) = (value(ra), value(dec));
                    if !odd {
                        let words = written
                            .as_ref()
                            .and_then(|texts| no_degrees(number, texts, row, [ra, dec]))
                            .or_else(|| odd_place(format!("row {}", number + 1), ra, dec));
                        odd = words.is_some();
                        words.into_iter().for_each(|words| notes.problem(given, words));
                    }
                    position(ra, dec)
                }));
                if name.is_empty() {
                    continue;
                }
                let found = Found::Row(u32::try_from(number).unwrap_or(u32::MAX));
                let twice = |there: &mut Found| *there = Found::Twice;
                rows.entry(name.to_owned()).and_modify(twice).or_insert(found);
            }
            kept.push(wanted.iter().map(|own| batch.column(at(*own)).clone()).collect());
        }
        let carried = carried(&wanted, &all, &kept, positions.len(), (given, typed))?;
        Ok(Self {
            given: given.to_owned(),
            rows,
            used: vec![false; positions.len()],
            positions,
            carried,
            cutouts: 0,
            without: 0,
            example: None,
        })
    }

    /// The columns that it gives.
    pub fn schema(&self) -> SchemaRef {
        self.carried.schema()
    }

    /// Gives cutouts what the table says of them.
    ///
    /// # Errors
    /// [`ListError::Join`] for an id that two rows have.
    pub fn give(&mut self, mut chunk: Chunk) -> Result<Chunk, ListError> {
        let mut places: Vec<Option<u32>> = Vec::with_capacity(chunk.entries.len());
        for entry in &mut chunk.entries {
            self.cutouts += 1;
            match self.rows.get(&entry.id) {
                Some(Found::Row(row)) => {
                    self.used[*row as usize] = true;
                    entry.position = self.positions[*row as usize];
                    places.push(Some(*row));
                }
                Some(Found::Twice) => {
                    let why = format!("the id {} is in more than one row", entry.id);
                    return Err(ListError::Join { path: self.given.clone(), why });
                }
                None => {
                    self.without += 1;
                    self.example.get_or_insert_with(|| entry.id.clone());
                    places.push(None);
                }
            }
        }
        if self.carried.num_columns() > 0 {
            let (count, places) = (places.len(), UInt32Array::from(places));
            let columns = self.carried.columns().iter().map(|column| take(column, &places, None));
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            let columns = columns.collect::<Result<_, _>>()?;
            chunk.carried =
                Some(RecordBatch::try_new_with_options(self.schema(), columns, &options)?);
        }
        Ok(chunk)
    }

    /// What is to be told at the end, in a line: how many cutouts have no row, and how
    /// many rows no cutout. `None` if there is one for each.
    ///
    /// # Errors
    /// [`ListError::Join`] if no cutout has a row: the ids are not the same ones.
    pub fn told(&self) -> Result<Option<String>, ListError> {
        let table = self.given.display();
        let example = self.example.as_deref().map(|id| shortened(id, QUOTED).into_owned());
        let unused = self.used.iter().filter(|used| !**used).count();
        match example {
            Some(cutout) if self.without == self.cutouts => {
                let row = self.rows.keys().min();
                let row = row.map_or("none".into(), |id| shortened(id, QUOTED));
                let why = format!(
                    "none of the {} has a row: ids of cutouts are such as {cutout}, those of the table \
                     such as {row} (--id names its column)",
                    counted(self.cutouts, "cutout", "cutouts")
                );
                Err(ListError::Join { path: self.given.clone(), why })
            }
            Some(cutout) => Ok(Some(format!(
                "{table}: {} no row, such as {cutout}; rows without a cutout: {unused}",
                part_of(self.without, self.cutouts, ["cutout", "cutouts"], ["has", "have"])
            ))),
            None if unused > 0 => Ok(Some(format!(
                "{table}: every cutout has a row; rows without a cutout: {unused}"
            ))),
            None => Ok(None),
        }
    }
}

/// What to tell of a row whose position is written, and not as numbers of degrees.
fn no_degrees(
    row: usize,
    texts: &[StringArray; 2],
    at: usize,
    degrees: [Option<f64>; 2],
) -> Option<String> {
    let text = |place: usize| if texts[place].is_null(at) { "" } else { texts[place].value(at) };
    let is_odd = |place: usize| degrees[place].is_none() && !text(place).trim().is_empty();
    (is_odd(0) || is_odd(1)).then(|| {
        let (ra, dec) = (shortened(text(0), QUOTED), shortened(text(1), QUOTED));
        let row = row + 1;
        format!("ra '{ra}', dec '{dec}' (row {row}) are no numbers in degrees: {NO_PLACE}")
    })
}
