//! Sources in mosaics: a table says where on the sky they are, and the mosaics'
//! coordinates in which of them.
//!
//! [`table`] reads the table and [`files`] the mosaics' headers; here each source gets the
//! mosaic of each band in which it lies deepest, and the size of its cutout. Sources are put
//! in the order of their first bands' mosaics, and of the rows in those, so that whoever
//! cuts them out in the order of the listing reads each part of a mosaic about once; those
//! that are in none follow.
//!
//! Memory: the table's columns that are needed, its carried ones, and the numbers of each
//! row's mosaics, which is more than other listings hold; a row takes a hundred and some
//! bytes. Invariant: every row of the table is an entry, once, and the order depends on
//! the table and the mosaics alone.

mod files;
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use self::files::Files;
pub(super) use self::table::carried;
use self::table::{Given, Table};
use super::{CHUNK, Chunk, Entry, ListError, ListOptions, Source, notes::Notes};
use crate::cutout::{Reason, Rejection, SkyPosition};
use crate::mosaic::Masks;
use crate::source::Locator;
use crate::source::read::NANO;

/// Where sources are cut out of, and how large. A plan keeps what a person says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mosaics {
    /// Images of one band each or of several, and folders of them; a table may name
    /// more.
    pub files: Vec<PathBuf>,
    /// How large a cutout's pixels are, where the table does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// What says of their pixels that they are undefined.
    #[serde(default, skip_serializing_if = "Masks::is_empty")]
    pub masks: Masks,
    /// What the network sees.
    #[serde(skip)]
    pub field: Field,
}

/// How large the pixels of a cutout are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Those of the mosaic of the first band.
    Native,
    /// Arcseconds a pixel.
    Arcsec(f64),
}

/// What the network sees of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Pixels a side.
    pub pixels: u32,
    /// Arcseconds a pixel, per arcsecond of an object's radius.
    pub scale_per_radius: f64,
    /// The column of radii, if one was named.
    pub radius_column: Option<String>,
    /// Whether north is up even where pixels are as large as the mosaic's.
    pub north_up: bool,
}

impl Default for Field {
    fn default() -> Self {
        Self { pixels: 240, scale_per_radius: 0.02, radius_column: None, north_up: false }
    }
}

/// A table of sources whose rows are known.
pub(super) struct Sources {
    table: Table,
    options: Arc<ListOptions>,
    mosaics: Mosaics,
}

impl Sources {
    /// Reads the table.
    pub fn open(
        path: &Path,
        mosaics: &Mosaics,
        options: &Arc<ListOptions>,
    ) -> Result<Self, ListError> {
        let table = Table::read(path, mosaics, options)?;
        Ok(Self { table, options: Arc::clone(options), mosaics: mosaics.clone() })
    }

    /// The carried columns.
    pub fn schema(&self) -> Schema {
        self.table.carried.schema().as_ref().clone()
    }

    /// What to tell of how the table is understood.
    pub fn told(&self) -> String {
        self.table.told.clone()
    }

    /// Looks at the mosaics, and puts the sources in order.
    pub fn start(self, notes: &mut Notes) -> Result<Box<dyn Source>, ListError> {
        let Self { table, options, mosaics } = self;
        let mut more = BTreeSet::new();
        for path in table.rows.iter().flat_map(|row| row.files.iter()) {
            if !more.contains(path) {
                more.insert(path.clone());
            }
        }
        let files = Files::open(&mosaics, more, &options, notes)?;
        let mut bands: Vec<String> = Vec::new();
        for band in &options.bands {
            if !bands.contains(band) {
                bands.push(band.clone());
            }
        }
        let rows = table.rows.len();
        let mut ordered = Ordered {
            found: Vec::with_capacity(rows * bands.len()),
            scales: Vec::with_capacity(rows),
            order: Vec::new(),
            done: 0,
            table,
            files,
            bands,
            mosaics,
        };
        let mut keys: Vec<(Key, u32)> = Vec::with_capacity(rows);
        for index in 0..rows {
            let (key, scale) = match ordered.place(index) {
                Ok(Placed { key, found, scale }) => {
                    ordered.found.extend(found);
                    (key, scale)
                }
                Err(_) => {
                    ordered.found.resize((index + 1) * ordered.bands.len(), 0);
                    ((usize::MAX, 0, 0), NOWHERE)
                }
            };
            ordered.scales.push(scale);
            keys.push((key, index as u32));
        }
        keys.sort_unstable();
        ordered.order = keys.into_iter().map(|(_, index)| index).collect();
        let carried = &ordered.table.carried;
        if carried.num_columns() > 0 {
            let order = UInt32Array::from(ordered.order.clone());
            ordered.table.carried = take_record_batch(carried, &order)?;
        }
        Ok(Box::new(ordered))
    }
}

/// A mosaic, a row of it and a column.
type Key = (usize, i64, i64);

/// In place of the size of a source's pixels where it is cut out of nothing.
const NOWHERE: u64 = u64::MAX;

/// Where a source is cut out.
struct Placed {
    key: Key,
    /// The mosaic of each band. They are fewer than 2^32.
    found: Vec<u32>,
    /// As [`Locator::Mosaic`] has it.
    scale: u64,
}

/// Sources in their order.
struct Ordered {
    /// The table; the carried columns are in order, its rows are not.
    table: Table,
    files: Files,
    /// Each once.
    bands: Vec<String>,
    mosaics: Mosaics,
    /// Of each row of the table the mosaics of its bands, and the size of its pixels: what
    /// a mosaic's coordinates say is worked out once.
    found: Vec<u32>,
    scales: Vec<u64>,
    /// Rows of the table. They are fewer than 2^32.
    order: Vec<u32>,
    done: usize,
}

impl Ordered {
    /// Where a row of the table is cut out, or why it is not.
    fn place(&self, index: usize) -> Result<Placed, Rejection> {
        let Self { table, files, bands, .. } = self;
        let row = &table.rows[index];
        let at = |e: Rejection| e.at(format_args!("row {}", index + 1));
        let Some(position) = row.position else {
            let detail = "the table gives no position on the sky";
            return Err(at(Rejection::new(Reason::Outside, detail)));
        };
        if row.id.is_empty() {
            return Err(at(Rejection::new(Reason::Corrupt, "the table gives no id")));
        }
        let own: Vec<usize> = row.files.iter().filter_map(|path| files.number(path)).collect();
        let among = |number: usize| match row.files.is_empty() {
            true => files.is_named(number),
            false => own.contains(&number),
        };
        let found: Vec<_> = bands.iter().map(|band| files.deepest(band, position, among)).collect();
        let Some(first) = found.iter().flatten().next() else {
            // Where its own mosaics cannot be read, that is why.
            let broken = row.files.iter().find_map(|path| files.problem(path));
            let SkyPosition { ra, dec } = position;
            let detail = format!("ra {ra}, dec {dec} lie in none of the mosaics");
            return Err(broken.unwrap_or_else(|| Rejection::new(Reason::Outside, detail)));
        };
        if let Some(missing) = bands.iter().zip(&found).find(|(_, found)| found.is_none()) {
            let detail = format!("it lies in no mosaic of band {}", missing.0);
            return Err(at(Rejection::new(Reason::MissingBand, detail)));
        }
        let scale = self.scale(row.size, first.3).map_err(at)?;
        let key = (first.0, first.2.floor() as i64, first.1.floor() as i64);
        let found = found.iter().flatten().map(|(number, ..)| *number as u32).collect();
        Ok(Placed { key, found, scale })
    }

    /// Where a row of the table is cut out, and the first of its mosaics; `None` if nowhere.
    fn locator(&self, index: usize) -> Option<(usize, Locator)> {
        let scale = self.scales[index];
        let position = self.table.rows[index].position.filter(|_| scale != NOWHERE)?;
        let found = &self.found[index * self.bands.len()..][..self.bands.len()];
        let mut bands = Vec::with_capacity(found.len());
        for (band, number) in self.bands.iter().zip(found) {
            let number = *number as usize;
            bands.push((band.clone(), self.files.path(number)));
            bands.extend_from_slice(self.files.beside(number, band));
        }
        let pixels = self.mosaics.field.pixels;
        let locator = Locator::Mosaic { bands, position, pixels, scale };
        Some((*found.first()? as usize, locator))
    }

    /// The size of a cutout's pixels, as [`Locator::Mosaic`] has it; `native` is that of the
    /// mosaic's, arcseconds.
    fn scale(&self, size: Given, native: Option<f64>) -> Result<u64, Rejection> {
        let field = &self.mosaics.field;
        let pixels = f64::from(field.pixels);
        let none = |detail: String| Rejection::new(Reason::NoScale, detail);
        let native = || native.ok_or_else(|| none("the size of a pixel is not known".into()));
        let scale = match size {
            Given::Native if field.north_up => native()?,
            Given::Native => return Ok(0),
            Given::Arcsec(scale) => scale,
            Given::Radius(radius) => radius * field.scale_per_radius,
            Given::Diameter(arcsec) => arcsec / pixels,
            Given::Pixels(diameter) => diameter * native()? / pixels,
        };
        // Beyond a degree a pixel, or finer than a millionth of an arcsecond, no
        // cutout makes sense.
        if (1e-6..=3600.0).contains(&scale) {
            return Ok((scale * NANO).round() as u64);
        }
        Err(none(format!("the table gives no size ({size})")))
    }

    fn entry(&self, index: usize) -> Entry {
        let row = &self.table.rows[index];
        let (source, locator) = match self.locator(index) {
            Some((first, locator)) => (self.files.given(first), locator),
            None => {
                let source = format!("{} row {}", self.table.given.display(), index + 1);
                let why = self.place(index).err().expect("it was cut out of nothing before");
                (source, Locator::Rejected(why))
            }
        };
        Entry { id: row.id.clone(), source, locator, position: row.position }
    }
}

impl Source for Ordered {
    fn next_chunk(&mut self, _: &mut Notes) -> Result<Chunk, ListError> {
        let rows = self.order[self.done..].iter().take(CHUNK);
        let entries: Vec<Entry> = rows.map(|index| self.entry(*index as usize)).collect();
        let carried = &self.table.carried;
        let carried = (carried.num_columns() > 0).then(|| carried.slice(self.done, entries.len()));
        self.done += entries.len();
        Ok(Chunk { entries, carried })
    }
}

/// The carried columns of several tables of sources, which must be alike.
pub(super) fn schema<'a>(
    mut sources: impl Iterator<Item = &'a Sources>,
) -> Result<SchemaRef, ListError> {
    let Some(first) = sources.next() else { return Ok(Arc::new(Schema::empty())) };
    let schema = first.schema();
    if let Some(other) = sources.find(|other| other.schema() != schema) {
        return Err(ListError::Sources {
            path: other.table.given.clone(),
            why: "its carried columns are of other types than those of the table before".into(),
        });
    }
    Ok(Arc::new(schema))
}
