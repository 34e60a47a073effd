//! The user's own columns on their way from a table into the catalog.
//!
//! Types that some reader chokes on become one that all read: dictionaries
//! their values, null text "", unsigned 64-bit integers signed ones.
//!
//! Invariant: a value is carried as it was, or the run is refused with the
//! column's name; none is changed on the way.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StringArray,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::RunError;

/// The schema under which columns of the types of `tables` are carried beside
/// those of `scheme`.
///
/// # Errors
/// [`RunError::Carried`] for a type that catalogs do not have, or a name
/// that is taken.
pub(crate) fn carried_schema(tables: &Schema, own: &Schema) -> Result<SchemaRef, RunError> {
    let fields = tables.fields().iter().map(|field| {
        let data_type = carried_type(field.data_type()).ok_or_else(|| RunError::Carried {
            column: field.name().clone(),
            why: format!(
                "its type {} does not fit a flat table; leave it out or make it a number or text",
                field.data_type()
            ),
        })?;
        let nullable = data_type != DataType::Utf8;
        Ok(Field::new(field.name(), data_type, nullable))
    });
    let carried = Schema::new(fields.collect::<Result<Vec<_>, RunError>>()?);
    joined(own, Some(&carried))?;
    Ok(Arc::new(carried))
}

/// The catalog's `own` columns, then those that are carried.
///
/// # Errors
/// [`RunError::Carried`] if a carried column has the name of another column,
/// in whatever case: SQL, FITS and VOTable do not tell `RA` from `ra`.
pub(crate) fn joined(own: &Schema, carried: Option<&Schema>) -> Result<SchemaRef, RunError> {
    let mut fields = own.fields().to_vec();
    for field in carried.iter().flat_map(|schema| schema.fields()) {
        let name = field.name();
        if let Some(other) = fields.iter().find(|other| same_name(other.name(), name)) {
            return Err(RunError::Carried {
                column: name.clone(),
                why: format!(
                    "the catalog has a column `{}` already (case does not count); rename yours in the table",
                    other.name()
                ),
            });
        }
        fields.push(Arc::clone(field));
    }
    Ok(Arc::new(Schema::new(fields)))
}

pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn carried_type(data_type: &DataType) -> Option<DataType> {
    use DataType::*;
    match data_type {
        Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Float32 | Float64
        | Date32 | Timestamp(..) => Some(data_type.clone()),
        UInt64 => Some(Int64),
        Float16 => Some(Float32),
        // An empty CSV column is read as all null.
        Utf8 | LargeUtf8 | Utf8View | Null => Some(Utf8),
        Dictionary(_, values) => carried_type(values),
        _ => None,
    }
}

/// The rows of a table's batch under the carried schema: its columns by name,
/// cast where the types differ. A column that the table lacks has no values.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, RunError> {
    let columns = schema.fields().iter().map(|field| {
        let column = match batch.column_by_name(field.name()) {
            Some(column) => lossless_cast(column, field)?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        };
        Ok(without_null_text(column))
    });
    batch_of(schema, columns.collect::<Result<_, RunError>>()?, batch.num_rows())
}

/// Rows that come from no table.
pub(crate) fn blank(schema: &SchemaRef, rows: usize) -> Result<RecordBatch, RunError> {
    let columns = schema.fields().iter();
    let columns = columns.map(|f| without_null_text(new_null_array(f.data_type(), rows)));
    batch_of(schema, columns.collect(), rows)
}

/// One batch of several under one schema.
pub(crate) fn concat(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch, RunError> {
    concat_batches(schema, batches)
        .map_err(|error| RunError::Carried { column: names(schema), why: error.to_string() })
}

fn batch_of(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, RunError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| RunError::Carried { column: names(schema), why: error.to_string() })
}

fn names(schema: &Schema) -> String {
    schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}

fn lossless_cast(column: &ArrayRef, field: &Field) -> Result<ArrayRef, RunError> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    let refused = |why: String| RunError::Carried { column: field.name().clone(), why };
    // Not `safe`: that would turn what does not fit into null.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |column: &dyn Array, to: &DataType| {
        cast_with_options(column, to, &options).map_err(|error| {
            refused(format!(
                "not all of its values fit the type {to} of the catalog ({error}); carry it as text"
            ))
        })
    };
    let result = cast(column, field.data_type())?;
    // A cast to a narrower type may round without an error: a cast back shows it.
    let numeric = |t: &DataType| t.is_numeric() || matches!(t, DataType::Timestamp(..));
    if numeric(column.data_type()) && numeric(field.data_type()) {
        let back = cast(&result, column.data_type())?;
        if !same_values(&back, column) {
            return Err(refused(format!(
                "another table has it as {}, and not all values of type {} fit that; give the tables one type",
                field.data_type(),
                column.data_type()
            )));
        }
    }
    Ok(result)
}

/// Equality in which a NaN is equal to itself.
fn same_values(a: &dyn Array, b: &dyn Array) -> bool {
    arrow::compute::kernels::cmp::distinct(&a, &b)
        .is_ok_and(|differs: BooleanArray| differs.true_count() == 0)
}

fn without_null_text(column: ArrayRef) -> ArrayRef {
    if column.data_type() != &DataType::Utf8 || column.null_count() == 0 {
        return column;
    }
    let texts = column.as_string::<i32>().iter().map(|text| text.unwrap_or(""));
    Arc::new(StringArray::from_iter_values(texts))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, LargeStringArray, UInt64Array};
    use arrow::datatypes::{Float64Type, Int8Type, Int64Type};

    use super::*;

    fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
            .unwrap()
    }

    #[test]
    fn types_become_ones_that_all_read_and_values_stay() {
        let words =
            ["x", "y", "x"].into_iter().collect::<arrow::array::DictionaryArray<Int8Type>>();
        let table = table(vec![
            ("objid", Arc::new(UInt64Array::from(vec![1_237_668_296_598_749_301, 0, 2]))),
            ("sample", Arc::new(words)),
            ("note", Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("é")]))),
            ("z", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::NAN)]))),
            ("empty", new_null_array(&DataType::Null, 3)),
        ]);
        let schema = carried_schema(table.schema_ref(), &Schema::empty()).unwrap();
        let carried = conform(&table, &schema).unwrap();
        assert_eq!(
            carried.column(0).as_primitive::<Int64Type>().value(0),
            1_237_668_296_598_749_301
        );
        let text = |index: usize| carried.column(index).as_string::<i32>().clone();
        assert_eq!(text(1), StringArray::from(vec!["x", "y", "x"]));
        assert_eq!(text(2), StringArray::from(vec!["a", "", "é"]));
        assert!(carried.column(3).is_null(1));
        assert!(carried.column(3).as_primitive::<Float64Type>().value(2).is_nan());
        assert_eq!(text(4), StringArray::from(vec!["", "", ""]));

        let blank = blank(&schema, 2).unwrap();
        assert_eq!((blank.num_rows(), blank.column(3).null_count()), (2, 2));
        assert_eq!(blank.column(2).null_count(), 0);
        assert_eq!(concat(&schema, &[carried, blank]).unwrap().num_rows(), 5);
    }

    #[test]
    fn a_value_that_would_change_is_refused_by_name() {
        let big = table(vec![("objid", Arc::new(UInt64Array::from(vec![u64::MAX])))]);
        let schema = carried_schema(big.schema_ref(), &Schema::empty()).unwrap();
        let error = conform(&big, &schema).unwrap_err().to_string();
        assert!(error.contains("`objid`"), "{error}");

        // Two tables that disagree on a type.
        let whole = table(vec![("z", Arc::new(Int64Array::from(vec![1])))]);
        let schema = carried_schema(whole.schema_ref(), &Schema::empty()).unwrap();
        let fits = table(vec![("z", Arc::new(Float64Array::from(vec![2.0])))]);
        assert_eq!(
            conform(&fits, &schema).unwrap().column(0).as_primitive::<Int64Type>().value(0),
            2
        );
        let rounds = table(vec![("z", Arc::new(Float64Array::from(vec![2.5])))]);
        let error = conform(&rounds, &schema).unwrap_err().to_string();
        assert!(error.contains("`z`") && error.contains("one type"), "{error}");

        let nested = Schema::new(vec![Field::new_list(
            "votes",
            Field::new_list_field(DataType::Int8, true),
            true,
        )]);
        let error = carried_schema(&nested, &Schema::empty()).unwrap_err().to_string();
        assert!(error.contains("`votes`"), "{error}");
    }
}
