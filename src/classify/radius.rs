//! Radii of objects, from a carried column of the tables that list them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use super::{ClassifyError, Options};
use crate::line;
use crate::source::Entry;
use crate::source::list::{ListOptions, Lister};

/// The radius of each of `rows` cutouts in arcseconds, from `column` of what they
/// carry: `None` where no column is asked for, NaN where it has no number.
pub fn radii(column: Option<&str>, carried: Option<&RecordBatch>, rows: usize) -> Vec<Option<f64>> {
    let Some(column) = column else { return vec![None; rows] };
    let numbers = carried
        .and_then(|batch| batch.column_by_name(column))
        // Text that is no number becomes null.
        .and_then(|values| cast(values, &DataType::Float64).ok());
    let at = |row: usize| {
        let numbers = numbers.as_ref()?.as_primitive::<Float64Type>();
        (row < numbers.len() && numbers.is_valid(row)).then(|| numbers.value(row))
    };
    (0..rows).map(|row| Some(at(row).unwrap_or(f64::NAN))).collect()
}

/// An image, and the radius of its object where the run goes by it.
pub type Listed = (Entry, Option<f64>);

/// All images of the inputs, and what could not be listed.
///
/// # Errors
/// The lister's.
pub fn list(
    options: &Options,
    bands: &[String; 3],
) -> Result<(Vec<Listed>, Vec<String>), ClassifyError> {
    let column = options.looks.radius_column.as_deref();
    let carry = column.map(str::to_owned).into_iter().collect();
    let listing = ListOptions { carry, ..options.list_options(bands)? };
    let Some(column) = column else {
        let found = line::list(&options.inputs, listing)?;
        return Ok((
            found.entries.into_iter().map(|entry| (entry, None)).collect(),
            found.problems,
        ));
    };
    let mut lister = Lister::open(&options.inputs, listing)?;
    let mut images = Vec::new();
    for chunk in lister.by_ref() {
        let chunk = chunk?;
        let radii = radii(Some(column), chunk.carried.as_ref(), chunk.entries.len());
        images.extend(chunk.entries.into_iter().zip(radii));
    }
    let problems = lister.problems().iter();
    Ok((images, problems.map(|p| format!("{}: {}", p.path.display(), p.message)).collect()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float32Array, Int32Array, StringArray};

    use super::*;

    fn of(values: ArrayRef) -> Vec<Option<f64>> {
        let rows = values.len();
        let batch = RecordBatch::try_from_iter_with_nullable([("r", values, true)]).unwrap();
        radii(Some("r"), Some(&batch), rows)
    }

    #[test]
    fn numbers_of_any_kind_are_radii() {
        assert_eq!(of(Arc::new(Int32Array::from(vec![3, 4]))), [Some(3.0), Some(4.0)]);
        assert_eq!(of(Arc::new(StringArray::from(vec!["2.5"]))), [Some(2.5)]);
        assert_eq!(radii(None, None, 2), [None, None]);
    }

    #[test]
    fn what_has_none_is_told_from_what_needs_none() {
        let found = of(Arc::new(Float32Array::from(vec![None, Some(1.5)])));
        assert!(found[0].is_some_and(f64::is_nan) && found[1] == Some(1.5));
        assert!(of(Arc::new(StringArray::from(vec!["large"])))[0].is_some_and(f64::is_nan));
        assert!(radii(Some("r"), None, 1)[0].is_some_and(f64::is_nan));
    }
}
