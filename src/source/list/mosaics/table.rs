//! A table of sources: which columns say where they are and how large, and what they
//! say.
//!
//! Any format that [`crate::tables`] reads. Invariant: a column is taken by a name that
//! is known, or that was given, and where two could be meant neither is.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_empty_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};

use super::super::table::{
    as_carried, check_numbers, find_carried, find_column, find_id, find_position, optional,
    position, settled, type_of_text, unify,
};
use super::super::units::{self, Unit};
use super::super::{ListError, ListOptions, absolute};
use super::{Mosaics, Scale};
use crate::cutout::SkyPosition;
use crate::labels::ids::is_float;
use crate::limits::mosaic::SOURCES;
use crate::limits::output::QUOTED;
use crate::limits::shortened;
use crate::storage::parquet::texts;
use crate::storage::remote::join;
use crate::tables;

/// Names of sizes that say what they are, and what they are.
const SIZES: [(&str, Size); 5] = [
    ("petroR90_r", Size::Radius),
    ("petroR90", Size::Radius),
    ("petro_r90", Size::Radius),
    ("diameter_arcsec", Size::Diameter),
    ("diameter_pixel", Size::Pixels),
];

/// Names of sizes of which nothing says how much of the object they hold.
const UNSAID: [&str; 6] =
    ["semimajor_axis", "semi_major_axis", "semimajor", "a_image", "kron_radius", "radius"];

/// The column of each source's mosaics.
const FILES: &str = "fits_file_paths";

/// What a column of sizes gives.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    /// The radius of about 90 % of the light, arcseconds.
    Radius,
    /// The side of the cutout, arcseconds.
    Diameter,
    /// The same in pixels of the mosaic.
    Pixels,
}

/// The size of a source, as its table gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Given {
    /// None: the mosaic's own pixels.
    Native,
    /// Arcseconds a pixel.
    Arcsec(f64),
    /// A radius in arcseconds.
    Radius(f64),
    /// The side of the cutout in arcseconds.
    Diameter(f64),
    /// The same in the mosaic's pixels.
    Pixels(f64),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("the mosaic's own pixels"),
            Self::Arcsec(scale) => write!(f, "{scale} arcsec a pixel"),
            Self::Radius(radius) => write!(f, "a radius of {radius} arcsec"),
            Self::Diameter(diameter) => write!(f, "a diameter of {diameter} arcsec"),
            Self::Pixels(diameter) => write!(f, "a diameter of {diameter} pixels"),
        }
    }
}

/// A source.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub id: String,
    pub position: Option<SkyPosition>,
    pub size: Given,
    /// Its own mosaics, if the table names them; rows with the same share them.
    pub files: Arc<[PathBuf]>,
}

/// A table of sources, read.
pub(super) struct Table {
    /// As the user gave it.
    pub given: PathBuf,
    pub rows: Vec<Row>,
    /// The carried columns of the same rows.
    pub carried: RecordBatch,
    /// Which columns were taken for what.
    pub told: String,
}

/// Which columns hold what.
struct Columns {
    id: usize,
    position: (usize, usize),
    size: Option<(usize, Size)>,
    files: Option<usize>,
    carried: Vec<usize>,
}

impl Columns {
    fn find(
        all: &[tables::Column],
        table: &Path,
        mosaics: &Mosaics,
        options: &ListOptions,
    ) -> Result<Self, ListError> {
        let names: Vec<&str> = all.iter().map(|column| column.name.as_str()).collect();
        let names = &names[..];
        let position = match find_position(all, table)? {
            Some(position) => position,
            // The words name what is looked for first.
            None => (find_column(names, "ra", table)?, find_column(names, "dec", table)?),
        };
        let size = size(names, table, mosaics)?;
        if let Some((column, size)) = size {
            let unit = if size == Size::Pixels { Unit::Pixels } else { Unit::Arcseconds };
            units::check(table, &all[column], unit)?;
        }
        Ok(Self {
            id: find_id(names, options.id_column.as_deref(), table)?,
            position,
            size,
            files: optional(names, FILES, table)?,
            carried: find_carried(all, options, table)?,
        })
    }

    fn told(&self, names: &[&str], mosaics: &Mosaics) -> String {
        let size = match (self.size, mosaics.scale) {
            (Some((column, Size::Radius)), _) => {
                format!("{} is the radius of 90 % of the light in arcsec", names[column])
            }
            (Some((column, Size::Diameter)), _) => {
                format!("{} is the side of the cutout in arcsec", names[column])
            }
            (Some((column, Size::Pixels)), _) => {
                format!("{} is the side of the cutout in pixels of its mosaic", names[column])
            }
            (None, Some(Scale::Arcsec(scale))) => format!("pixels have {scale} arcsec"),
            (None, _) => "no size: pixels are those of the mosaics".to_owned(),
        };
        let (ra, dec) = self.position;
        let mut told = format!(
            "sources: ids from {}, positions from {} and {}; {size}",
            names[self.id], names[ra], names[dec]
        );
        if let Some(files) = self.files {
            told.push_str(&format!("; mosaics from {}", names[files]));
        }
        told
    }
}

/// The column of sizes, if there is to be one.
fn size(
    names: &[&str],
    table: &Path,
    mosaics: &Mosaics,
) -> Result<Option<(usize, Size)>, ListError> {
    let refused = |why: String| ListError::Sources { path: table.to_owned(), why };
    match (&mosaics.field.radius_column, mosaics.scale) {
        (Some(column), Some(_)) => {
            let why = format!("both a column of radii ({column}) and a scale were given");
            return Err(refused(why));
        }
        (Some(column), None) => {
            return Ok(Some((find_column(names, column, table)?, Size::Radius)));
        }
        (None, Some(_)) => return Ok(None),
        (None, None) => {}
    }
    let mut found: Vec<(usize, Size)> = Vec::new();
    for (name, size) in SIZES {
        let column = optional(names, name, table)?.map(|column| (column, size));
        found.extend(column.filter(|(column, _)| !found.iter().any(|(known, _)| known == column)));
    }
    match found[..] {
        [] => {}
        [only] => return Ok(Some(only)),
        [first, second, ..] => {
            let why = format!(
                "{} and {} both say how large a source is: name the radius with \
                 --radius-column, or give --scale",
                names[first.0], names[second.0]
            );
            return Err(refused(why));
        }
    }
    for name in UNSAID {
        if let Some(column) = optional(names, name, table)? {
            let why = format!(
                "{} may say how large a source is, and nothing says of how much of its light or \
                 in which unit: if it is the radius of about 90 % in arcsec, name it with \
                 --radius-column; otherwise give --scale ARCSEC, or --scale native",
                names[column]
            );
            return Err(refused(why));
        }
    }
    Ok(None)
}

impl Table {
    /// Reads a table of sources.
    pub fn read(given: &Path, mosaics: &Mosaics, options: &ListOptions) -> Result<Self, ListError> {
        let table = tables::Table::open(given)?;
        let typed = table.is_typed();
        let all: Vec<tables::Column> = table.columns().to_vec();
        let names: Vec<&str> = all.iter().map(|column| column.name.as_str()).collect();
        let columns = Columns::find(&all, given, mosaics, options)?;
        if typed {
            check_numbers(&all, columns.position, given)?;
        }
        let told = columns.told(&names, mosaics);
        let mut read = vec![columns.id, columns.position.0, columns.position.1];
        read.extend(columns.size.map(|(column, _)| column));
        read.extend(columns.files);
        read.extend(&columns.carried);
        read.sort_unstable();
        read.dedup();
        let place = |column: usize| read.iter().position(|own| *own == column).unwrap_or_default();
        let folder = absolute(given)?.parent().map(Path::to_owned).unwrap_or_default();
        let (mut rows, mut kept): (Vec<Row>, Vec<Vec<ArrayRef>>) = (Vec::new(), Vec::new());
        let mut lists: HashMap<String, Arc<[PathBuf]>> = HashMap::new();
        for batch in table.rows(&read)? {
            let batch = batch?;
            let column = |column: usize| batch.column(place(column));
            let number = |at: usize| cast(column(at), &DataType::Float64);
            let ids = texts(column(columns.id))?;
            let (ra, dec) = (number(columns.position.0)?, number(columns.position.1)?);
            let sizes = columns.size.map(|(at, size)| Ok::<_, ListError>((number(at)?, size)));
            let sizes = sizes.transpose()?;
            let files = columns.files.map(|at| files_text(column(at))).transpose()?;
            let value = |array: &ArrayRef, row: usize| {
                let array = array.as_primitive::<Float64Type>();
                array.is_valid(row).then(|| array.value(row))
            };
            for row in 0..batch.num_rows() {
                let number = rows.len() as u64 + 1;
                let id = if ids.is_null(row) { "" } else { ids.value(row) };
                if is_float(id) || column(columns.id).data_type().is_floating() {
                    return Err(ListError::FloatId {
                        table: given.to_owned(),
                        row: format!("row {number}"),
                        id: shortened(id, QUOTED).into_owned(),
                    });
                }
                let size = match (&sizes, mosaics.scale) {
                    (Some((array, size)), _) => {
                        let value = value(array, row).unwrap_or(f64::NAN);
                        match size {
                            Size::Radius => Given::Radius(value),
                            Size::Diameter => Given::Diameter(value),
                            Size::Pixels => Given::Pixels(value),
                        }
                    }
                    (None, Some(Scale::Arcsec(scale))) => Given::Arcsec(scale),
                    (None, _) => Given::Native,
                };
                let own = files
                    .as_ref()
                    .map_or("", |files| if files.is_null(row) { "" } else { files.value(row) });
                let files = match lists.get(own) {
                    Some(files) => Arc::clone(files),
                    None => {
                        let paths = paths(own).map_err(|why| ListError::Sources {
                            path: given.to_owned(),
                            why: format!("row {number}: {FILES}: {why}"),
                        })?;
                        let paths = paths.iter().map(|path| join(&folder, Path::new(path)));
                        let files: Arc<[PathBuf]> = paths.collect();
                        lists.insert(own.to_owned(), Arc::clone(&files));
                        files
                    }
                };
                rows.push(Row {
                    id: id.to_owned(),
                    position: position(value(&ra, row), value(&dec, row)),
                    size,
                    files,
                });
                if rows.len() > SOURCES {
                    return Err(ListError::Sources {
                        path: given.to_owned(),
                        why: format!("more than {SOURCES} rows: make several tables of it"),
                    });
                }
            }
            kept.push(columns.carried.iter().map(|at| Arc::clone(column(*at))).collect());
        }
        let carried = carried(&columns.carried, &all, &kept, rows.len(), (given, typed))?;
        Ok(Self { given: given.to_owned(), rows, carried, told })
    }
}

/// The carried columns (by place) as one batch, of types that a catalog has.
pub(in crate::source::list) fn carried(
    columns: &[usize],
    all: &[tables::Column],
    kept: &[Vec<ArrayRef>],
    rows: usize,
    (given, typed): (&Path, bool),
) -> Result<RecordBatch, ListError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (place, column) in columns.iter().enumerate() {
        let name = &all[*column].name;
        let parts: Vec<&dyn Array> = kept.iter().map(|batch| batch[place].as_ref()).collect();
        let found = parts.first().map_or(DataType::Utf8, |part| part.data_type().clone());
        let whole = if parts.is_empty() { new_empty_array(&found) } else { concat(&parts)? };
        let mut wanted = as_carried(&found).ok_or_else(|| ListError::ColumnType {
            table: given.to_owned(),
            column: name.clone(),
            found: found.to_string(),
            expected: "numbers, booleans or text to be carried",
        })?;
        // Text of a table without types says by itself what it is.
        if !typed && found == DataType::Utf8 {
            let values = whole.as_string::<i32>().iter().flatten();
            wanted = values.map(type_of_text).fold(DataType::Null, |a, b| unify(&a, &b));
        }
        let wanted = settled(wanted);
        arrays.push(cast(&whole, &wanted)?);
        fields.push(Field::new(name, wanted, true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
}

/// The column of mosaics as text; lists become theirs in JSON.
fn files_text(column: &ArrayRef) -> Result<arrow::array::StringArray, ListError> {
    let Some(lists) = column.as_list_opt::<i32>() else { return Ok(texts(column)?) };
    let all = lists.iter().map(|list| {
        let texts = texts(&list?).ok()?;
        serde_json::to_string(&texts.iter().flatten().collect::<Vec<_>>()).ok()
    });
    Ok(all.collect())
}

/// The paths in a cell: a list in JSON, or in Python's quotes, or one path.
fn paths(cell: &str) -> Result<Vec<String>, String> {
    let cell = cell.trim();
    if cell.is_empty() {
        return Ok(Vec::new());
    }
    if !cell.starts_with('[') {
        return Ok(vec![cell.to_owned()]);
    }
    let list = |text: &str| serde_json::from_str::<Vec<String>>(text);
    match list(cell) {
        Ok(paths) => Ok(paths),
        // As Python prints one, unless a path has quotes.
        Err(_) if !cell.contains('"') => {
            list(&cell.replace('\'', "\"")).map_err(|e| format!("no list of paths: {e}"))
        }
        Err(e) => Err(format!("no list of paths: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_in_one_of_three_forms() {
        let of = |cell: &str| paths(cell).unwrap();
        assert_eq!(of(r#"["a.fits", "b c.fits"]"#), ["a.fits", "b c.fits"]);
        assert_eq!(of("['a.fits','b.fits']"), ["a.fits", "b.fits"]);
        assert_eq!(of(" a.fits "), ["a.fits"]);
        assert!(of("").is_empty() && of("[]").is_empty());
        assert!(paths("[a.fits]").is_err() && paths("[1]").is_err());
    }

    #[test]
    fn text_of_a_typed_table_stays_text() {
        use arrow::array::{Float64Array, StringArray};
        let folder = tempfile::tempdir().unwrap();
        let options = ListOptions { carry: vec!["code".to_owned()], ..ListOptions::default() };
        let of = |path: &Path| {
            let table = Table::read(path, &Mosaics::default(), &options).unwrap();
            table.carried.column(0).data_type().clone()
        };
        let number = |value| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
        let text = |value| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let columns =
            [("id", text("a")), ("ra", number(1.0)), ("dec", number(2.0)), ("code", text("1.50"))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let path = folder.path().join("s.parquet");
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        assert_eq!(of(&path), DataType::Utf8);
        let path = folder.path().join("s.csv");
        std::fs::write(&path, "id,ra,dec,code\na,1,2,1.50\n").unwrap();
        assert_eq!(of(&path), DataType::Float64);
    }

    #[test]
    fn sizes_are_taken_by_name_and_refused_where_two_could_be_meant() {
        let table = Path::new("t.csv");
        let of = |names: &[&str], mosaics: &Mosaics| size(names, table, mosaics);
        let usual = Mosaics::default();
        assert_eq!(of(&["id", "PETROR90_R"], &usual).unwrap(), Some((1, Size::Radius)));
        assert_eq!(of(&["diameter_pixel"], &usual).unwrap(), Some((0, Size::Pixels)));
        assert_eq!(of(&["id"], &usual).unwrap(), None);
        for names in [&["petroR90", "diameter_arcsec"][..], &["petroR90", "petroR90_r"]] {
            let error = of(names, &usual).unwrap_err().to_string();
            assert!(error.contains("both say how large"), "{error}");
        }
        let error = of(&["semimajor_axis"], &usual).unwrap_err().to_string();
        assert!(error.contains("--radius-column"), "{error}");
        let mut named = Mosaics::default();
        named.field.radius_column = Some("semimajor_axis".to_owned());
        let found = of(&["petroR90", "semimajor_axis"], &named).unwrap();
        assert_eq!(found, Some((1, Size::Radius)));
        let fixed = Mosaics { scale: Some(Scale::Arcsec(0.2)), ..Mosaics::default() };
        assert_eq!(of(&["petroR90", "radius"], &fixed).unwrap(), None);
        named.scale = Some(Scale::Native);
        assert!(of(&["semimajor_axis"], &named).is_err());
    }
}
