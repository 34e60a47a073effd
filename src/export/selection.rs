//! Which rows and columns of a catalog, and as what: made once from what was
//! asked for, then applied to every batch.
//!
//! Invariant: what it reads of a part is what it needs and no more; what it
//! gives has [`Selection::schema`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, Scalar, StringArray,
};
use arrow::compute::kernels::cmp;
use arrow::compute::{filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::filter::Filter;
use super::{ExportError, ExportOptions, Format, Ids, names};
use crate::catalog::row::OK;
use crate::words::did_you_mean;

/// What is taken of a catalog.
pub(super) struct Selection {
    /// Columns to read, by their place in the catalog, sorted.
    read: Vec<usize>,
    /// Columns to give, by their place in the catalog.
    given: Vec<usize>,
    /// The column of ids among the catalog's.
    id: Option<usize>,
    status: usize,
    filter: Option<Filter>,
    rejected: bool,
    ids: Ids,
    schema: SchemaRef,
    /// Columns that the format has no place for.
    left_out: Vec<String>,
}

/// A batch, and how many rows are not in it.
pub(super) struct Selected {
    pub(super) batch: RecordBatch,
    pub(super) rejected: u64,
    pub(super) filtered: u64,
}

impl Selection {
    /// What `options` ask of a catalog with this schema.
    pub(super) fn new(catalog: &Schema, options: &ExportOptions) -> Result<Self, ExportError> {
        let place = |name: &str| place(catalog, name);
        let mut given = match &options.columns {
            Some(columns) => columns.iter().map(|c| place(c)).collect::<Result<Vec<_>, _>>()?,
            None => (0..catalog.fields().len()).collect(),
        };
        let mut left_out = Vec::new();
        if !matches!(options.format, Format::Parquet | Format::Hats) {
            // A cell of text, or of a row that every tool sorts by, holds no vector.
            let (vectors, flat): (Vec<usize>, Vec<usize>) = given.into_iter().partition(|&at| {
                matches!(catalog.field(at).data_type(), DataType::FixedSizeList(..))
            });
            left_out = vectors.iter().map(|&at| catalog.field(at).name().clone()).collect();
            if let (Some(name), Some(_)) = (left_out.first(), &options.columns) {
                return Err(ExportError::Vector { name: name.clone() });
            }
            given = flat;
        }
        if options.format == Format::Hats {
            // Without them it would be no HATS catalog.
            for name in ["ra", "dec"] {
                let position = place(name)?;
                if !given.contains(&position) {
                    given.push(position);
                }
            }
        }
        let filter =
            options.filter.as_ref().map(|text| Filter::parse(text, catalog)).transpose()?;
        let (id, status) = (place("id")?, place("status")?);
        let mut read = given.clone();
        read.extend(filter.iter().flat_map(Filter::columns));
        read.push(status);
        read.sort_unstable();
        read.dedup();

        let fields = given.iter().map(|&column| {
            let field = Field::clone(catalog.field(column));
            let name = names::exported(field.name(), options.names).to_owned();
            let whole = column == id && options.ids == Ids::Integer;
            let data_type = if whole { DataType::Int64 } else { field.data_type().clone() };
            field.with_name(name).with_data_type(data_type)
        });
        let fields: Vec<Field> = fields.collect();
        for (index, field) in fields.iter().enumerate() {
            let name = field.name().to_lowercase();
            if fields[..index].iter().any(|other| other.name().to_lowercase() == name) {
                return Err(ExportError::TwoColumns { name: field.name().clone() });
            }
        }
        Ok(Self {
            read,
            given,
            id: (options.ids == Ids::Integer).then_some(id),
            status,
            filter,
            rejected: options.rejected,
            ids: options.ids,
            schema: Arc::new(Schema::new(fields)),
            left_out,
        })
    }

    /// What batches have: names, types, units, UCDs, descriptions.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Names of columns that the format has no place for.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The catalog's columns that [`apply`](Self::apply) needs, by place.
    pub(super) fn read(&self) -> &[usize] {
        &self.read
    }

    /// The rows and columns that are wanted, of a batch that has the columns
    /// [`read`](Self::read).
    pub(super) fn apply(&self, batch: &RecordBatch) -> Result<Selected, ExportError> {
        let total = batch.num_rows();
        let wrap = || ExportError::arrow("picking rows");
        let mut batch = batch.clone();
        if !self.rejected {
            let ok = Scalar::new(StringArray::from(vec![OK]));
            let status = batch.column(self.place_read(self.status));
            let wanted = cmp::eq(status, &ok).map_err(wrap())?;
            batch = kept(&batch, wanted).map_err(wrap())?;
        }
        let accepted = batch.num_rows();
        if let Some(filter) = &self.filter {
            let wanted = filter.wanted(&batch, |column| self.place_read(column)).map_err(wrap())?;
            batch = kept(&batch, wanted).map_err(wrap())?;
        }
        let columns = self.given.iter().map(|&column| {
            let array = batch.column(self.place_read(column));
            if self.id == Some(column) && self.ids == Ids::Integer {
                whole_ids(array)
            } else {
                Ok(Arc::clone(array))
            }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let given = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(wrap())?;
        Ok(Selected {
            rejected: (total - accepted) as u64,
            filtered: (accepted - given.num_rows()) as u64,
            batch: given,
        })
    }

    /// Where a column of the catalog is in what was read.
    fn place_read(&self, column: usize) -> usize {
        self.read.binary_search(&column).expect("`read` has every column that is looked at")
    }
}

fn kept(
    batch: &RecordBatch,
    wanted: BooleanArray,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let wanted = if wanted.null_count() > 0 { prep_null_mask_filter(&wanted) } else { wanted };
    if wanted.true_count() == batch.num_rows() {
        return Ok(batch.clone());
    }
    filter_record_batch(batch, &wanted)
}

/// The place of a column, by its name in whatever case.
pub(super) fn place(catalog: &Schema, name: &str) -> Result<usize, ExportError> {
    let fields = catalog.fields();
    let exact = fields.iter().position(|field| field.name() == name);
    let other = || fields.iter().position(|f| f.name().to_lowercase() == name.to_lowercase());
    exact.or_else(other).ok_or_else(|| ExportError::NoColumn {
        name: name.to_owned(),
        near: did_you_mean(name, fields.iter().map(|field| field.name().as_str())),
        columns: fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// Ids as integers, if each is written just as its integer is.
fn whole_ids(ids: &dyn Array) -> Result<ArrayRef, ExportError> {
    let whole = |id: &str| {
        let value = id.parse::<i64>().ok().filter(|value| value.to_string() == id);
        value.ok_or_else(|| ExportError::Id { id: id.to_owned() })
    };
    let ids = ids.as_string::<i32>().iter().map(|id| whole(id.unwrap_or_default()));
    Ok(Arc::new(ids.collect::<Result<Int64Array, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plain_form_of_an_integer_is_an_integer_id() {
        let ids = |ids: &[&str]| whole_ids(&StringArray::from(ids.to_vec()));
        let fits = ids(&["1237668296598749301", "-5", "0", "9223372036854775807"]).unwrap();
        assert_eq!(
            fits.as_ref(),
            &Int64Array::from(vec![1_237_668_296_598_749_301, -5, 0, i64::MAX])
        );
        for wrong in ["007", "+1", "", " 1", "1.0", "9223372036854775808", "-0", "J1"] {
            let error = ids(&["1", wrong]).unwrap_err();
            assert!(matches!(&error, ExportError::Id { id } if id == wrong), "{wrong}: {error}");
        }
    }
}
