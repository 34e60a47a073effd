//! Some rows of a catalog to look at: those for which a condition holds, in the
//! order of some columns, so many of them.
//!
//! Of every row only the columns are read that decide; of those that are given
//! the others too. Nothing is verified, and a catalog that is not complete is
//! looked at as far as it is.
//!
//! Memory: a batch, and the rows that are given with what they are sorted by.
//! Invariant: the same rows in the same order, however they were divided into
//! parts.

use std::path::Path;

use arrow::array::{Array, RecordBatch};
use arrow::compute::SortOptions;
use arrow::row::{RowConverter, SortField};

use super::ExportError;
use super::best::Best;
use super::filter::{Filter, without_nan};
use super::selection::place;
use crate::catalog::{Sample, part_reader, places, present, rows_at, schema};
use crate::random::scattered;
use crate::run::RunFolder;
use crate::storage::StorageError;

/// Which rows, and what of them.
#[derive(Debug, Clone, Default)]
pub struct Pick {
    /// Rows for which this is true, in the language of [`super::filter`]; rows of
    /// rejected cutouts are among them.
    pub filter: Option<String>,
    /// In this order; the catalog's if none is said.
    pub order: Vec<Order>,
    /// Any of them, by this seed, in the catalog's order; not with an order.
    pub random: Option<u64>,
    /// At most so many.
    pub rows: u64,
    /// These columns, in this order; all if none are named.
    pub columns: Option<Vec<String>>,
}

/// A column to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub column: String,
    /// Whether the greatest comes first. Rows without a value (a null, a NaN) come
    /// last in either direction.
    pub descending: bool,
}

impl std::str::FromStr for Order {
    type Err = std::convert::Infallible;

    /// `column`, `column:asc` or `column:desc`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (column, descending) = match text.rsplit_once(':') {
            Some((column, "desc")) => (column, true),
            Some((column, "asc")) => (column, false),
            _ => (text, false),
        };
        Ok(Self { column: column.to_owned(), descending })
    }
}

/// Rows that were picked.
#[derive(Debug, Clone)]
pub struct Picked {
    /// The rows, with the columns that were asked for.
    pub rows: RecordBatch,
    /// Their places among the rows of the run, from 0.
    pub places: Vec<u64>,
    /// Rows for which the condition holds; unknown where it was not asked of all.
    pub matched: Option<u64>,
}

/// Picks rows of the catalog in the run folder `dir`.
///
/// # Errors
/// If there is no run, a part cannot be read, a column is none, or the condition is.
pub fn pick(dir: &Path, asked: &Pick) -> Result<Picked, ExportError> {
    let run = RunFolder::open(dir)?;
    let schema = schema::of(&run)?;
    let column = |name: &str| place(&schema, name);
    let given = asked.columns.as_ref();
    let given: Option<Vec<usize>> =
        given.map(|names| names.iter().map(|name| column(name)).collect()).transpose()?;
    if let Some(given) = &given {
        let twice = (1..given.len()).find(|at| given[..*at].contains(&given[*at]));
        if let Some(at) = twice {
            let name = schema.field(given[at]).name().clone();
            return Err(ExportError::TwoColumns { name });
        }
    }
    let filter = asked.filter.as_ref().map(|text| Filter::parse(text, &schema)).transpose()?;
    let order = asked.order.iter().map(|order| Ok((column(&order.column)?, order.descending)));
    let order: Vec<(usize, bool)> = order.collect::<Result<_, ExportError>>()?;
    let (places, matched) = match (&filter, asked.random, order.is_empty()) {
        (None, None, true) => (places(&run, Sample::First(asked.rows))?, None),
        (None, Some(seed), _) => (places(&run, Sample::Random { rows: asked.rows, seed })?, None),
        _ => found(&run, filter.as_ref(), &order, asked)?,
    };
    let sorted = given.as_ref().map(|given| {
        let mut sorted = given.clone();
        sorted.sort_unstable();
        sorted
    });
    let rows = rows_at(&run, &places, sorted.as_deref())?;
    let rows = match (given, sorted) {
        (Some(given), Some(sorted)) => {
            let at = |column: &usize| sorted.partition_point(|other| other < column);
            let columns: Vec<usize> = given.iter().map(at).collect();
            rows.project(&columns).map_err(ExportError::arrow("picking columns"))?
        }
        _ => rows,
    };
    Ok(Picked { rows, places, matched })
}

/// The places of the rows, and how many there are, if all were asked.
fn found(
    run: &RunFolder,
    filter: Option<&Filter>,
    order: &[(usize, bool)],
    asked: &Pick,
) -> Result<(Vec<u64>, Option<u64>), ExportError> {
    let wrap = || ExportError::arrow("picking rows");
    let schema = schema::of(run)?;
    let mut read: Vec<usize> = filter.map(Filter::columns).unwrap_or_default();
    read.extend(order.iter().map(|(column, _)| *column));
    // A condition may be of no column; rows are counted by one all the same.
    if read.is_empty() {
        read.push(place(&schema, "status")?);
    }
    read.sort_unstable();
    read.dedup();
    let at = |column: usize| read.partition_point(|other| *other < column);
    let fields = order.iter().map(|&(column, descending)| {
        let options = SortOptions { descending, nulls_first: false };
        SortField::new_with_options(schema.field(column).data_type().clone(), options)
    });
    let fields: Vec<SortField> = fields.collect();
    for ((column, _), field) in order.iter().zip(&fields) {
        let name = schema.field(*column).name();
        let is_vector = schema.field(*column).data_type().is_nested();
        if is_vector || !RowConverter::supports_fields(std::slice::from_ref(field)) {
            return Err(ExportError::NoOrder { name: name.clone() });
        }
    }
    let keys = RowConverter::new(fields).map_err(wrap())?;
    let most = usize::try_from(asked.rows).unwrap_or(usize::MAX);
    let (mut first, mut best) = (Vec::new(), Best::new(most));
    let (mut any, mut matched) = (Best::new(most), 0);
    let in_order = order.is_empty() && asked.random.is_none();
    for range in present(run)? {
        let path = range.part_path(run.dir());
        let mut before = range.first;
        for batch in part_reader::open(&path, read.iter().copied())? {
            let batch = batch.map_err(StorageError::parquet("read", &path))?;
            let wanted = filter.map(|filter| filter.wanted(&batch, at)).transpose();
            let wanted = wanted.map_err(wrap())?;
            let is_wanted = |row: usize| {
                wanted.as_ref().is_none_or(|wanted| wanted.is_valid(row) && wanted.value(row))
            };
            let rows = (0..batch.num_rows()).filter(|row| is_wanted(*row));
            let numbered = rows.map(|row| (row, before + row as u64));
            if in_order {
                for (_, place) in numbered {
                    if first.len() == most {
                        return Ok((first, None));
                    }
                    first.push(place);
                }
            } else if let Some(seed) = asked.random {
                for (_, place) in numbered {
                    matched += 1;
                    any.add(scattered(seed, place), place);
                }
            } else {
                let columns = order.iter().map(|(column, _)| batch.column(at(*column)).clone());
                let columns = columns.map(without_nan).collect::<Result<Vec<_>, _>>();
                let sorted = keys.convert_columns(&columns.map_err(wrap())?).map_err(wrap())?;
                for (row, place) in numbered {
                    matched += 1;
                    let key = sorted.row(row);
                    // Places rise, so an equal key comes too late.
                    if best.last().is_none_or(|last: &arrow::row::OwnedRow| key < last.row()) {
                        best.add(key.owned(), place);
                    }
                }
            }
            before += batch.num_rows() as u64;
        }
    }
    if in_order {
        let matched = first.len() as u64;
        return Ok((first, Some(matched)));
    }
    let mut places = if asked.random.is_some() { any.places() } else { best.places() };
    if asked.random.is_some() {
        places.sort_unstable();
    }
    Ok((places, Some(matched)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_is_the_end_of_a_name() {
        let order = |text: &str| text.parse::<Order>().unwrap();
        let is = |column: &str, descending| Order { column: column.to_owned(), descending };
        assert_eq!(order("confidence"), is("confidence", false));
        assert_eq!(order("confidence:desc"), is("confidence", true));
        assert_eq!(order("z:asc"), is("z", false));
        assert_eq!(order("flag:r:desc"), is("flag:r", true));
        assert_eq!(order("flag:r"), is("flag:r", false));
    }
}
