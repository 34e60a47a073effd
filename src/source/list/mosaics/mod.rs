//! Sources in mosaics: a table says where on the sky they are, and the mosaics'
//! coordinates in which of them.
//!
//! [`table`] reads the table and [`files`] the mosaics' headers; here each source gets the mosaic of each band in which it lies
//! deepest, and the size of its cutout. Sources are put in the order of their first
//! bands' mosaics, and of the rows in those, so that whoever cuts them out in the order
//! of the listing reads each part of a mosaic about once; those that are in none follow.
//!
//! Memory: the table's columns that are needed, and its carried ones, which is more than
//! other listings hold; a row takes some hundred bytes. Invariant: every row of the table
//! is an entry, once, and the order depends on the table and the mosaics alone.

mod files;
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use self::files::Files;
use self::table::{Given, Row, Table};
use super::{CHUNK, Chunk, Entry, ListError, ListOptions, Source, notes::Notes};
use crate::cutout::{Reason, Rejection};
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
        let more: BTreeSet<PathBuf> =
            table.rows.iter().flat_map(|row| row.files.iter().cloned()).collect();
        let files = Files::open(&mosaics.files, more, &options, notes)?;
        let mut placed: Vec<(Key, usize, Entry)> = Vec::with_capacity(table.rows.len());
        for (index, row) in table.rows.iter().enumerate() {
            let (key, locator) = match place(row, &files, &options, &mosaics) {
                Ok((key, locator)) => (Some(key), locator),
                Err(rejection) => (None, Locator::Rejected(rejection)),
            };
            let source = match (&locator, key) {
                (Locator::Mosaic { .. }, Some(key)) => files.given(key.0),
                _ => format!("{} row {}", table.given.display(), index + 1),
            };
            let entry = Entry { id: row.id.clone(), source, locator, position: row.position };
            placed.push((key.unwrap_or((usize::MAX, 0, 0)), index, entry));
        }
        placed.sort_by_key(|(key, index, _)| (*key, *index));
        let order: Vec<u64> = placed.iter().map(|(_, index, _)| *index as u64).collect();
        let carried = (table.carried.num_columns() > 0)
            .then(|| take_record_batch(&table.carried, &UInt64Array::from(order)))
            .transpose()?;
        let entries: Vec<Entry> = placed.into_iter().map(|(_, _, entry)| entry).collect();
        Ok(Box::new(Ordered { entries: entries.into_iter(), carried, done: 0 }))
    }
}

/// A mosaic, a row of it and a column.
type Key = (usize, i64, i64);

/// Where a source is cut out, or why it is not.
fn place(
    row: &Row,
    files: &Files,
    options: &ListOptions,
    mosaics: &Mosaics,
) -> Result<(Key, Locator), Rejection> {
    let at = |e: Rejection| e.at(format_args!("row {}", row.number));
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
    let mut bands: Vec<&String> = Vec::new();
    for band in &options.bands {
        if !bands.contains(&band) {
            bands.push(band);
        }
    }
    let found: Vec<_> = bands.iter().map(|band| files.deepest(band, position, among)).collect();
    let Some(first) = found.iter().flatten().next() else {
        // Where its own mosaics cannot be read, that is why.
        let broken = row.files.iter().find_map(|path| files.problem(path));
        let detail = format!("ra {}, dec {} lie in none of the mosaics", position.ra, position.dec);
        return Err(broken.unwrap_or_else(|| Rejection::new(Reason::Outside, detail)));
    };
    if let Some(missing) = bands.iter().zip(&found).find(|(_, found)| found.is_none()) {
        let detail = format!("it lies in no mosaic of band {}", missing.0);
        return Err(at(Rejection::new(Reason::MissingBand, detail)));
    }
    let pixels = mosaics.field.pixels;
    let none = |detail: String| at(Rejection::new(Reason::NoScale, detail));
    let native = first.3;
    let scale = match row.size {
        Given::Native if mosaics.field.north_up => {
            Some(native.ok_or_else(|| none("the size of a pixel is not known".into()))?)
        }
        Given::Native => None,
        Given::Arcsec(scale) => Some(scale),
        Given::Radius(radius) => Some(radius * mosaics.field.scale_per_radius),
        Given::Diameter(arcsec) => Some(arcsec / f64::from(pixels)),
        Given::Pixels(diameter) => {
            let native = native.ok_or_else(|| none("the size of a pixel is not known".into()))?;
            Some(diameter * native / f64::from(pixels))
        }
    };
    let scale = match scale {
        None => 0,
        // Beyond a degree a pixel, or finer than a millionth of an arcsecond, no
        // cutout makes sense.
        Some(scale) if (1e-6..=3600.0).contains(&scale) => (scale * NANO).round() as u64,
        Some(_) => return Err(none(format!("the table gives no size ({})", row.size))),
    };
    let key = (first.0, first.2.floor() as i64, first.1.floor() as i64);
    let bands = bands
        .iter()
        .zip(&found)
        .filter_map(|(band, found)| Some(((*band).clone(), files.path(found.as_ref()?.0))));
    Ok((key, Locator::Mosaic { bands: bands.collect(), position, pixels, scale }))
}

/// Sources in their order.
struct Ordered {
    entries: std::vec::IntoIter<Entry>,
    carried: Option<RecordBatch>,
    done: usize,
}

impl Source for Ordered {
    fn next_chunk(&mut self, _: &mut Notes) -> Result<Chunk, ListError> {
        let entries: Vec<Entry> = self.entries.by_ref().take(CHUNK).collect();
        let carried = self.carried.as_ref().map(|all| all.slice(self.done, entries.len()));
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
