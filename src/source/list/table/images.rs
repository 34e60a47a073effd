//! Parquet tables whose rows are the images themselves: an entry a row.
//!
//! How a column holds images, and reading them, is [`rows`](crate::source::rows)'s.
//! Here the identifiers, positions and carried columns are read and the images
//! passed over; of an image's struct only the path that it once had, which
//! gives an identifier where no column does. Invariant: as for
//! [`parquet`](super::parquet), one batch of rows is in memory.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Fields, Float64Type, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;

use super::carried::{as_carried, as_unified};
use super::parquet::{failed, is_text, not_read, open};
use super::{
    Place, check_id, check_numbers, find_carried, find_column, find_position, odd_place, optional,
    position,
};
use crate::cutout::{Reason, Rejection, SkyPosition};
use crate::labels::ids::ID_COLUMNS;
use crate::source::list::names::{cutout_id, not_utf8};
use crate::source::list::notes::Notes;
use crate::source::list::{CHUNK, Chunk, ListError, ListOptions, Source};
use crate::source::rows::ImageLayout;
use crate::source::{Entry, Locator, Pin};
use crate::storage::chunks::Chunks;
use crate::storage::parquet::{Batches, texts};
use crate::tables;

/// Which columns hold what, by index.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    image: usize,
    name: String,
    /// Whether the image's struct has a text `path`.
    has_path: bool,
    id: Option<usize>,
    position: Option<(usize, usize)>,
    carried: Vec<usize>,
}

/// Finds the columns of a table with images, and the types of those to carry;
/// `None` if it has no images, or a column of paths and no column of images was
/// named.
pub(super) fn inspect(
    place: &Place,
    options: &ListOptions,
) -> Result<Option<(Columns, Vec<DataType>)>, ListError> {
    let (builder, _) = open(place)?;
    let fields = builder.schema().fields();
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let need = |wanted: &str| find_column(&names, wanted, &place.given);
    let wrong = |column: usize, expected| ListError::ColumnType {
        table: place.given.clone(),
        column: names[column].to_owned(),
        found: fields[column].data_type().to_string(),
        expected,
    };
    let image = match options.image_column.as_deref() {
        Some(name) => {
            let image = need(name)?;
            ImageLayout::of(fields[image].data_type())
                .ok_or_else(|| wrong(image, "images: bytes, or bands and planes"))?;
            image
        }
        None if names.iter().any(|name| name.eq_ignore_ascii_case("path")) => return Ok(None),
        None => match ImageLayout::find(fields) {
            Some((image, _)) => image,
            None => return Ok(None),
        },
    };
    let may_be = |name: &str, is: &dyn Fn(&DataType) -> bool| {
        let found = optional(&names, name, &place.given)?;
        Ok::<_, ListError>(found.filter(|column| is(fields[*column].data_type())))
    };
    let ids = |is: &dyn Fn(&DataType) -> bool| {
        for name in ID_COLUMNS {
            if let Some(column) = may_be(name, is)? {
                return Ok::<_, ListError>(Some(column));
            }
        }
        Ok(None)
    };
    let is_id = |t: &DataType| is_text(t) || t.is_integer();
    let id = match &options.id_column {
        Some(name) => Some(need(name)?),
        None => ids(&is_id)?,
    };
    // Without another one, ids that are floats are refused, not passed over for
    // names that the images once had.
    let id_or_float = if id.is_some() { id } else { ids(&DataType::is_floating)? };
    if let Some(column) = id_or_float
        && !is_id(fields[column].data_type())
    {
        return Err(wrong(column, "text or whole numbers"));
    }
    let all = tables::parquet_columns(builder.schema());
    let carried = find_carried(&all, options, &place.given)?;
    let position = find_position(&all, &place.given)?;
    if let Some(position) = position {
        check_numbers(&all, position, &place.given)?;
    }
    let types = carried.iter().map(|column| {
        as_carried(fields[*column].data_type())
            .ok_or_else(|| wrong(*column, "numbers, booleans or text to be carried"))
    });
    let types = types.collect::<Result<_, _>>()?;
    let columns = Columns {
        image,
        name: names[image].to_owned(),
        has_path: path_of(fields, image),
        id,
        position,
        carried,
    };
    Ok(Some((columns, types)))
}

fn path_of(fields: &Fields, image: usize) -> bool {
    match fields[image].data_type() {
        DataType::Struct(inner) => {
            inner.iter().any(|field| field.name() == "path" && field.data_type().is_string())
        }
        _ => false,
    }
}

/// The rows of a table with images.
pub(super) struct ImageRows {
    place: Place,
    file: Chunks,
    columns: Columns,
    schema: SchemaRef,
    /// Why no row can be named in a catalog.
    unnameable: Option<Rejection>,
    reader: Batches,
    /// Columns read, by their index in the file.
    read: Vec<usize>,
    /// Rows read so far.
    done: u64,
    /// What to tell of the first position that is on no sky, and whether it was.
    odd: (OnceCell<String>, bool),
    /// The table as it was opened; none once it is noted.
    pin: Option<(PathBuf, Pin)>,
}

impl ImageRows {
    pub fn open(place: Place, columns: Columns, schema: SchemaRef) -> Result<Self, ListError> {
        let (builder, file) = open(&place)?;
        let mut read: Vec<usize> = columns.id.into_iter().collect();
        read.extend(columns.position.iter().flat_map(|(ra, dec)| [*ra, *dec]));
        read.extend(&columns.carried);
        if columns.has_path {
            read.push(columns.image);
        }
        read.sort_unstable();
        read.dedup();
        let tree = builder.parquet_schema();
        let leaves = (0..tree.num_columns()).filter(|leaf| {
            let root = tree.get_column_root_idx(*leaf);
            let is_path = || tree.column(*leaf).path().parts().get(1).is_some_and(|p| p == "path");
            read.contains(&root) && (root != columns.image || is_path())
        });
        let mask = ProjectionMask::leaves(tree, leaves);
        let reader = builder
            .with_projection(mask)
            .with_batch_size(CHUNK)
            .build()
            .map(Batches::of)
            .map_err(|source| failed(&place, source))?;
        let absolute = place.absolute_table();
        let pin = Pin::of(&absolute).and_then(|pin| pin.with_index(&absolute));
        let pin = pin.map_err(|source| ListError::Io { path: place.given.clone(), source })?;
        Ok(Self {
            pin: Some((absolute.clone(), pin)),
            file,
            unnameable: not_utf8(&absolute),
            place,
            columns,
            schema,
            reader,
            read,
            done: 0,
            odd: (OnceCell::new(), false),
        })
    }

    /// The chunk of a batch.
    fn chunk(&self, batch: &RecordBatch) -> Result<Chunk, ArrowError> {
        let column = |index: usize, to: &DataType| -> Result<ArrayRef, ArrowError> {
            let place = self.read.iter().position(|read| *read == index);
            match place.and_then(|place| batch.columns().get(place)) {
                Some(array) if *to == DataType::Utf8 => Ok(Arc::new(texts(array)?)),
                Some(array) => as_unified(array, to),
                None => Err(ArrowError::SchemaError(format!("column {index} is not there"))),
            }
        };
        let columns = &self.columns;
        let ids = columns.id.map(|id| column(id, &DataType::Utf8)).transpose()?;
        let paths = if columns.has_path { self.paths(batch)? } else { None };
        let positions = match columns.position {
            Some((ra, dec)) => {
                Some((column(ra, &DataType::Float64)?, column(dec, &DataType::Float64)?))
            }
            None => None,
        };
        let degrees = |array: &ArrayRef, row: usize| {
            let array = array.as_primitive::<Float64Type>();
            (!array.is_null(row)).then(|| array.value(row))
        };
        let entries = (0..batch.num_rows())
            .map(|row| {
                let at = positions.as_ref();
                let at = at.map(|(ra, dec)| (degrees(ra, row), degrees(dec, row)));
                let number = self.done + row as u64 + 1;
                let odd = at.and_then(|(ra, dec)| odd_place(format_args!("row {number}"), ra, dec));
                if let Some(words) = odd {
                    // The first is told.
                    let _ = self.odd.0.set(words);
                }
                let at = at.and_then(|(ra, dec)| position(ra, dec));
                let id = ids.as_ref().and_then(|ids| text(ids.as_string(), row));
                self.entry(row, id, paths.as_ref().and_then(|paths| text(paths, row)), at)
            })
            .collect();
        if columns.carried.is_empty() {
            return Ok(Chunk::of(entries));
        }
        let arrays = columns
            .carried
            .iter()
            .zip(self.schema.fields())
            .map(|(index, field)| column(*index, field.data_type()))
            .collect::<Result<_, _>>()?;
        let carried = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        Ok(Chunk { entries, carried: Some(carried) })
    }

    /// The paths that the images once had.
    fn paths(&self, batch: &RecordBatch) -> Result<Option<StringArray>, ArrowError> {
        let place = self.read.iter().position(|read| *read == self.columns.image);
        let image = place.and_then(|place| batch.columns().get(place));
        let Some(paths) = image.and_then(|image| image.as_struct_opt()?.column_by_name("path"))
        else {
            return Ok(None);
        };
        Ok(Some(texts(paths)?))
    }

    /// The entry of row `at` of the batch in hand.
    fn entry(
        &self,
        at: usize,
        id: Option<&str>,
        path: Option<&str>,
        position: Option<SkyPosition>,
    ) -> Entry {
        let row = self.done + at as u64;
        let given = self.place.given.display();
        if id.is_none() && self.columns.id.is_some() {
            // A name made up for it could be another row's.
            let words = format!("the table gives no id (row {})", row + 1);
            return Entry {
                id: String::new(),
                source: format!("{given} row {}", row + 1),
                locator: Locator::Rejected(Rejection::new(Reason::Corrupt, words)),
                position,
            };
        }
        let name = path.map(|path| path.rsplit('/').next().unwrap_or(path));
        let id = id.or_else(|| name.map(cutout_id)).map(str::to_owned);
        let stem = self.place.given.file_stem().unwrap_or_default().to_string_lossy();
        Entry {
            id: id.unwrap_or_else(|| format!("{stem}-{}", row + 1)),
            source: match path {
                Some(path) => format!("{given}/{path}"),
                None => format!("{given} row {}", row + 1),
            },
            locator: match &self.unnameable {
                Some(rejection) => Locator::Rejected(rejection.clone()),
                None => Locator::Row {
                    table: self.place.absolute_table(),
                    column: self.columns.name.clone(),
                    row,
                },
            },
            position,
        }
    }
}

/// A text that says something.
fn text(texts: &StringArray, row: usize) -> Option<&str> {
    (!texts.is_null(row)).then(|| texts.value(row)).filter(|text| !text.is_empty())
}

impl Source for ImageRows {
    fn next_chunk(&mut self, notes: &mut Notes) -> Result<Chunk, ListError> {
        if let Some((path, pin)) = self.pin.take() {
            notes.pin(path, pin);
        }
        loop {
            let Some(batch) = self.reader.next() else { return Ok(Chunk::of(Vec::new())) };
            let rows_error = |source| ListError::Rows {
                table: self.place.given.clone(),
                row: self.done,
                source,
            };
            let chunk = batch.and_then(|batch| self.chunk(&batch)).map_err(rows_error);
            let chunk = chunk.map_err(|damage| not_read(&self.place, &self.file, damage))?;
            if self.columns.id.is_some() {
                for (row, entry) in (self.done + 1..).zip(&chunk.entries) {
                    check_id(&self.place, || format!("row {row}"), &entry.id)?;
                }
            }
            self.done += chunk.entries.len() as u64;
            if let (Some(words), false) = (self.odd.0.get(), self.odd.1) {
                notes.problem(&self.place.given, words);
                self.odd.1 = true;
            }
            if !chunk.entries.is_empty() {
                return Ok(chunk);
            }
        }
    }
}
