//! Tables of cutouts: `id`, `path`, optional `ra` and `dec`, and columns to
//! carry along; or, in Parquet, the images themselves.
//!
//! [`csv`] reads the rows of text, [`parquet`] those of typed tables, this file knows what the columns
//! mean and what becomes of a row, [`images`] lists tables that hold their
//! images, [`carried`] knows which types carried columns have. Invariant: every row of a table is an entry, readable or rejected.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::super::{Entry, Locator};
use super::names::{TableForm, not_utf8};
use super::notes::Notes;
use super::units::{self, Unit};
use super::{ListError, ListOptions, Source, absolute};
use crate::cutout::{Reason, Rejection, SkyPosition};
use crate::labels::ids::{self, ID_COLUMNS};
use crate::limits::output::QUOTED;
use crate::limits::{few, shortened};
use crate::storage::remote::join;
use crate::tables::Column;
use crate::words::{did_you_mean, suggesting};

mod carried;
mod csv;
mod images;
mod members;
mod parquet;

pub(super) use carried::{as_carried, settled, type_of_text, unify};
pub(super) use members::Members;

/// A table whose columns were found; nothing is held open.
#[derive(Debug)]
pub(super) struct Table {
    place: Place,
    kind: Kind,
    /// Types of the carried columns; `Null` where no row has a value.
    types: Vec<DataType>,
}

#[derive(Debug)]
enum Kind {
    Csv(Columns),
    Parquet(Columns),
    /// FITS, VOTable.
    Other(Columns),
    Images(images::Columns),
}

impl Table {
    /// Finds the columns of a table. A CSV file with columns to carry is read
    /// through for their types.
    pub fn open(given: &Path, options: &ListOptions) -> Result<Self, ListError> {
        let place = Place::new(given)?;
        let name = given.file_name().unwrap_or_default().to_string_lossy();
        let form = TableForm::of(&name);
        let (kind, types) = if form == Some(TableForm::Text) {
            let (columns, types) = csv::inspect(&place, options)?;
            (Kind::Csv(columns), types)
        } else if form != Some(TableForm::Parquet) {
            let (columns, types) = parquet::inspect_other(&place, options)?;
            (Kind::Other(columns), types)
        } else if let Some((columns, types)) = images::inspect(&place, options)? {
            (Kind::Images(columns), types)
        } else {
            let (columns, types) = parquet::inspect(&place, options)?;
            (Kind::Parquet(columns), types)
        };
        Ok(Self { place, kind, types })
    }

    /// Begins with the rows; `schema` is that of the carried columns of every
    /// table, and `members` what all tables found in archives.
    pub fn start(
        self,
        schema: &SchemaRef,
        options: &Arc<ListOptions>,
        members: &Arc<Mutex<Members>>,
    ) -> Result<Box<dyn Source>, ListError> {
        let rows = |place, columns| Rows {
            place,
            columns,
            types: self.types,
            schema: Arc::clone(schema),
            bands: options.bands.clone(),
            options: Arc::clone(options),
            members: Arc::clone(members),
        };
        Ok(match self.kind {
            Kind::Csv(columns) => Box::new(csv::CsvRows::open(rows(self.place, columns))?),
            Kind::Parquet(columns) => {
                Box::new(parquet::TypedRows::open(rows(self.place, columns))?)
            }
            Kind::Other(columns) => {
                Box::new(parquet::TypedRows::open_other(rows(self.place, columns))?)
            }
            Kind::Images(columns) => {
                Box::new(images::ImageRows::open(self.place, columns, Arc::clone(schema))?)
            }
        })
    }
}

/// The schema of the carried columns over every table.
pub(super) fn unified_schema<'a>(
    carry: &[String],
    tables: impl Iterator<Item = &'a Table>,
) -> Result<Schema, ListError> {
    let mut types: Option<Vec<DataType>> = None;
    for table in tables {
        types = Some(match types {
            None => table.types.clone(),
            Some(types) => types.iter().zip(&table.types).map(|(a, b)| unify(a, b)).collect(),
        });
    }
    let types = match (types, carry.first()) {
        (Some(types), _) => types,
        (None, None) => Vec::new(),
        (None, Some(column)) => return Err(ListError::NoTable { column: column.clone() }),
    };
    let fields = carry.iter().zip(types);
    let fields = fields.map(|(name, found)| Field::new(name, settled(found), true));
    Ok(Schema::new(fields.collect::<Vec<_>>()))
}

/// Where a table is, and so its paths.
#[derive(Debug, Clone)]
struct Place {
    given: PathBuf,
    /// What its paths are relative to, as the user knows it.
    folder: PathBuf,
    /// The same in absolute form.
    absolute: PathBuf,
}

impl Place {
    fn new(given: &Path) -> Result<Self, ListError> {
        let mut absolute = absolute(given)?;
        absolute.pop();
        let folder = given.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { given: given.to_owned(), folder, absolute })
    }

    /// The table itself in absolute form.
    fn absolute_table(&self) -> PathBuf {
        self.absolute.join(self.given.file_name().unwrap_or_default())
    }

    fn io(&self, source: std::io::Error) -> ListError {
        ListError::Io { path: self.given.clone(), source }
    }
}

/// Which columns hold what, by index.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Columns {
    id: usize,
    path: usize,
    /// Right ascension and declination, if both are there.
    position: Option<(usize, usize)>,
    carried: Vec<usize>,
}

impl Columns {
    /// Finds columns by name.
    fn find(all: &[Column], options: &ListOptions, table: &Path) -> Result<Self, ListError> {
        let names = names(all);
        let need = |wanted: &str| find_column(&names, wanted, table);
        Ok(Self {
            id: find_id(&names, options.id_column.as_deref(), table)?,
            path: need("path")?,
            position: find_position(all, table)?,
            carried: find_carried(all, options, table)?,
        })
    }
}

fn names(columns: &[Column]) -> Vec<&str> {
    columns.iter().map(|column| &*column.name).collect()
}

/// Names of right ascension and declination, ICRS, in degrees.
const POSITIONS: [(&str, &str); 3] =
    [("ra", "dec"), ("right_ascension", "declination"), ("raj2000", "dej2000")];

/// The columns of positions, by index, if both are there.
///
/// # Errors
/// [`ListError::TwoColumns`], [`ListError::Unit`].
pub(super) fn find_position(
    columns: &[Column],
    table: &Path,
) -> Result<Option<(usize, usize)>, ListError> {
    let names = names(columns);
    for (ra, dec) in POSITIONS {
        if let Some((ra, dec)) = optional(&names, ra, table)?.zip(optional(&names, dec, table)?) {
            units::check(table, &columns[ra], Unit::Degrees)?;
            units::check(table, &columns[dec], Unit::Degrees)?;
            return Ok(Some((ra, dec)));
        }
    }
    Ok(None)
}

/// The columns to carry, by index, in the order in which they were asked for.
///
/// # Errors
/// [`ListError::NoColumn`], [`ListError::TwoColumns`]; [`ListError::Unit`] of radii.
pub(super) fn find_carried(
    columns: &[Column],
    options: &ListOptions,
    table: &Path,
) -> Result<Vec<usize>, ListError> {
    let names = names(columns);
    let of = |name: &String| {
        let column = find_column(&names, name, table)?;
        if options.radius_column.as_ref() == Some(name) {
            units::check(table, &columns[column], Unit::Arcseconds)?;
        }
        Ok(column)
    };
    options.carry.iter().map(of).collect()
}

/// Refuses columns of positions that hold no numbers.
///
/// # Errors
/// [`ListError::ColumnType`].
pub(super) fn check_numbers(
    columns: &[Column],
    position: (usize, usize),
    table: &Path,
) -> Result<(), ListError> {
    for column in [position.0, position.1].map(|place| &columns[place]) {
        if !column.cells.as_ref().is_ok_and(DataType::is_numeric) {
            return Err(ListError::ColumnType {
                table: table.to_owned(),
                column: column.name.clone(),
                found: match &column.cells {
                    Ok(cells) => cells.to_string(),
                    Err(words) => words.clone(),
                },
                expected: "numbers, in degrees",
            });
        }
    }
    Ok(())
}

/// The column of this name, by index. A name that agrees to the letter goes
/// before one that differs in case.
///
/// # Errors
/// [`ListError::NoColumn`], [`ListError::TwoColumns`].
pub(super) fn find_column(names: &[&str], wanted: &str, table: &Path) -> Result<usize, ListError> {
    let found = |same: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..names.len()).filter(|place| same(names[*place])).collect()
    };
    let exact = found(&|name| name == wanted);
    let any = if exact.is_empty() { found(&|n| n.eq_ignore_ascii_case(wanted)) } else { exact };
    match any[..] {
        [only] => Ok(only),
        [] => Err(ListError::NoColumn {
            table: table.to_owned(),
            column: wanted.to_owned(),
            available: suggesting(
                few(names),
                did_you_mean(wanted, names.iter().copied()).as_deref(),
            ),
        }),
        [first, ..] => {
            Err(ListError::TwoColumns { table: table.to_owned(), column: names[first].to_owned() })
        }
    }
}

/// The same, of a column that need not be there.
pub(super) fn optional(
    names: &[&str],
    wanted: &str,
    table: &Path,
) -> Result<Option<usize>, ListError> {
    match find_column(names, wanted, table) {
        Err(ListError::NoColumn { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// The column of ids, by index: the one that is `named`, or the first of the
/// usual ones.
pub(super) fn find_id(
    names: &[&str],
    named: Option<&str>,
    table: &Path,
) -> Result<usize, ListError> {
    if let Some(name) = named {
        return find_column(names, name, table);
    }
    for name in ID_COLUMNS {
        if let Some(place) = optional(names, name, table)? {
            return Ok(place);
        }
    }
    Err(ListError::NoIds {
        table: table.to_owned(),
        usual: ID_COLUMNS.join(", "),
        available: few(names),
    })
}

/// What the readers of both formats need to turn rows into entries.
#[derive(Debug)]
struct Rows {
    place: Place,
    columns: Columns,
    types: Vec<DataType>,
    schema: SchemaRef,
    bands: Vec<String>,
    options: Arc<ListOptions>,
    members: Arc<Mutex<Members>>,
}

impl Rows {
    /// The entry of a row; `row` names it within the table ("line 7").
    ///
    /// # Errors
    /// [`ListError::Io`] of an archive that it leads into.
    fn entry(
        &self,
        row: &str,
        id: &str,
        path: &str,
        position: Option<SkyPosition>,
        notes: &mut Notes,
    ) -> Result<Entry, ListError> {
        let reject = |reason, words: &str| {
            let rejection = Rejection::new(reason, format!("{words} ({row})"));
            Ok(self.rejected(row, id, position, rejection))
        };
        if id.is_empty() {
            return reject(Reason::Corrupt, "the table gives no id");
        }
        if path.is_empty() {
            return reject(Reason::Missing, "the table gives no path");
        }
        let absolute = join(&self.place.absolute, Path::new(path));
        let locator = if let Some(rejection) = not_utf8(&absolute) {
            Locator::Rejected(rejection)
        } else if !path.contains("{band}") {
            let member = match path.to_ascii_lowercase().contains(".tar/") {
                true => {
                    let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
                    members.find(&absolute, &self.options, notes)?
                }
                false => None,
            };
            member.unwrap_or(Locator::File(absolute))
        } else if self.bands.is_empty() {
            return reject(Reason::Unsupported, "the path names {band}, and this run has no bands");
        } else {
            let file = |band: &String| {
                let file = path.replace("{band}", band);
                (band.clone(), join(&self.place.absolute, Path::new(&file)))
            };
            Locator::Bands(self.bands.iter().map(file).collect())
        };
        Ok(Entry {
            id: id.to_owned(),
            source: join(&self.place.folder, Path::new(path)).to_string_lossy().into_owned(),
            locator,
            position,
        })
    }

    /// An error of arrow's at a row.
    fn arrow_error(&self, row: u64, source: ArrowError) -> ListError {
        ListError::Rows { table: self.place.given.clone(), row, source }
    }

    /// The entry of a row that leads to no file; its source is the row.
    fn rejected(
        &self,
        row: &str,
        id: &str,
        position: Option<SkyPosition>,
        rejection: Rejection,
    ) -> Entry {
        Entry {
            id: id.to_owned(),
            source: format!("{} {row}", self.place.given.display()),
            locator: Locator::Rejected(rejection),
            position,
        }
    }
}

/// Refuses an id that is a floating-point number; `row` names its row.
fn check_id(place: &Place, row: impl FnOnce() -> String, id: &str) -> Result<(), ListError> {
    if !ids::is_float(id) {
        return Ok(());
    }
    let table = place.given.clone();
    Err(ListError::FloatId { table, row: row(), id: shortened(id, QUOTED).into_owned() })
}

/// A position from degrees; `None` if they are on no sky, which is how tables
/// say that there is none (NaN, -999). Right ascensions from -180 are the same
/// circle counted the other way.
pub(super) fn position(ra: Option<f64>, dec: Option<f64>) -> Option<SkyPosition> {
    let (ra, dec) = ra.zip(dec)?;
    let on_sky = (-180.0..=360.0).contains(&ra) && (-90.0..=90.0).contains(&dec);
    on_sky.then_some(SkyPosition { ra: if ra < 0.0 { ra + 360.0 } else { ra }, dec })
}

/// What becomes of rows whose position is none.
pub(super) const NO_PLACE: &str =
    "the table gives rows like this one no position (an image's own header may)";

/// What to tell of a position that is on no sky and does not say either that there
/// is none; `row` names its row.
pub(super) fn odd_place(
    row: impl std::fmt::Display,
    ra: Option<f64>,
    dec: Option<f64>,
) -> Option<String> {
    // As catalogs mark what they have not.
    let marked = |degrees: f64| {
        degrees.is_nan()
            || degrees.abs() >= 1e9
            || [-99.0, -999.0, -9999.0, -99_999.0].contains(&degrees)
    };
    let (ra, dec) = ra.zip(dec)?;
    let odd = !marked(ra) && !marked(dec) && position(Some(ra), Some(dec)).is_none();
    odd.then(|| format!("ra {ra}, dec {dec} ({row}) are on no sky: {NO_PLACE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_of(names: &[&str]) -> Vec<Column> {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            cells: Ok(DataType::Utf8),
            unit: None,
        };
        names.iter().map(column).collect()
    }

    #[test]
    fn columns_are_found_whatever_their_case() {
        let table = Path::new("t.csv");
        let find =
            |names: &[&str], options: &ListOptions| Columns::find(&all_of(names), options, table);
        let usual = ListOptions::default();
        let columns = find(&["Path", "ID", "id", "RA", "Dec"], &usual).unwrap();
        let expected = Columns { id: 2, path: 0, position: Some((3, 4)), carried: vec![] };
        assert_eq!(columns, expected);
        let carrying = ListOptions { carry: vec!["z".into()], ..ListOptions::default() };
        let error = find(&["id", "path"], &carrying).unwrap_err();
        assert_eq!(error.to_string(), "t.csv: no column 'z'; it has: id, path");
        let misspelt = ListOptions { carry: vec!["petroR90".into()], ..ListOptions::default() };
        let error = find(&["id", "path", "petroR90_r"], &misspelt).unwrap_err().to_string();
        assert!(error.ends_with("; did you mean `petroR90_r`?"), "{error}");
        assert_eq!(find(&["id", "path", "ra"], &usual).unwrap().position, None);
        // Usual names of ids, in their order, unless one is named.
        let names = ["name", "iauname", "DR7OBJID", "path"];
        assert_eq!(find(&names, &usual).unwrap().id, 2);
        let named = ListOptions { id_column: Some("name".into()), ..ListOptions::default() };
        assert_eq!(find(&names, &named).unwrap().id, 0);
        let error = find(&["id", "path"], &named).unwrap_err();
        assert_eq!(error.to_string(), "t.csv: no column 'name'; it has: id, path");
        let error = find(&["galaxy", "path"], &usual).unwrap_err().to_string();
        assert!(error.contains("no column of ids (id, GalaxyID, "), "{error}");
    }

    #[test]
    fn two_columns_of_one_name_are_refused_where_they_are_needed() {
        let table = Path::new("t.csv");
        let find = |names: &[&str]| Columns::find(&all_of(names), &ListOptions::default(), table);
        for (names, twice) in [
            (&["id", "path", "ra", "ra", "dec"][..], "ra"),
            (&["id", "id", "path"], "id"),
            (&["objid", "path", "path"], "path"),
            (&["id", "path", "RA", "Ra", "dec"], "RA"),
            (&["dr7objid", "dr7objid", "path"], "dr7objid"),
        ] {
            let error = find(names).unwrap_err().to_string();
            assert_eq!(error, format!("t.csv: column '{twice}' is there twice"), "{names:?}");
        }
        assert!(find(&["id", "path", "z", "z"]).is_ok(), "nobody asks for it");
    }

    #[test]
    fn positions_off_the_sky_are_none() {
        let at = |ra, dec| position(Some(ra), Some(dec)).map(|p| (p.ra, p.dec));
        assert_eq!(at(10.0, -90.0), Some((10.0, -90.0)));
        assert_eq!(at(-10.0, 1.0), Some((350.0, 1.0)));
        assert_eq!(at(360.0, 1.0), Some((360.0, 1.0)));
        for (ra, dec) in [(f64::NAN, 0.0), (-999.0, -999.0), (1.0, 91.0), (361.0, 0.0)] {
            assert_eq!(at(ra, dec), None, "{ra} {dec}");
        }
        assert_eq!(position(None, Some(1.0)), None);
        let told = |ra, dec| odd_place("line 2", Some(ra), Some(dec)).is_some();
        assert!(told(361.0, 0.0) && told(1.0, 91.0) && told(10.0 * 3600.0, 1.0));
        for (ra, dec) in [(f64::NAN, 0.0), (-999.0, -999.0), (1.0, -9999.0), (-10.0, 1.0)] {
            assert!(!told(ra, dec), "{ra} {dec}");
        }
    }
}
