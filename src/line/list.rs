//! The first stage: what inputs hold, and the radii of their objects, from a
//! column of the tables that list them.

use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use super::Reading;
use super::cutout::Cutout;
use super::front::QUEUE;
use crate::events::{Event, Listener};
use crate::pipeline::{Graph, Inlet, Sequenced, Stop, Window};
use crate::source::list::{ListError, Lister};
use crate::source::{Entry, Locator};
use crate::storage::Wait;

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

/// A cutout that is listed.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Where it is, and who.
    pub entry: Entry,
    /// The radius of its object, where the run goes by it; NaN where it is missing.
    pub radius: Option<f64>,
}

/// Tells a listener what is waited for, and ends the wait with the run.
pub struct Waiting<'a> {
    /// Who is told.
    pub listener: &'a dyn Listener,
    /// What ends it.
    pub stop: &'a Stop,
}

impl Wait for Waiting<'_> {
    fn waits(&self, what: &str) {
        self.listener.tell(Event::Waiting(what));
    }

    fn stopped(&self) -> bool {
        self.stop.requested()
    }
}

/// What inputs hold.
#[derive(Debug)]
pub struct Found {
    /// Cutouts, in order.
    pub images: Vec<Listed>,
    /// What could not be listed, a line each.
    pub problems: Vec<String>,
    /// What else there is to say: rows of a joined table that no cutout has, mosaics that
    /// are not used.
    pub notes: Vec<String>,
}

/// Lists all that the inputs hold, at once, with the radii in the column of their
/// tables that the reading names. `None` if `wait` ended it.
///
/// # Errors
/// The lister's.
pub fn list(
    inputs: &[PathBuf],
    reading: &Reading,
    wait: &dyn Wait,
) -> Result<Option<Found>, ListError> {
    let mut lister = Lister::open(inputs, reading.list_options())?;
    let column = reading.looks.radius_column.as_deref();
    let mut images = Vec::new();
    while let Some(chunk) = lister.next_or_wait(wait) {
        if wait.stopped() {
            return Ok(None);
        }
        let chunk = chunk?;
        let radii = radii(column, chunk.carried.as_ref(), chunk.entries.len());
        let listed = chunk.entries.into_iter().zip(radii);
        images.extend(listed.map(|(entry, radius)| Listed { entry, radius }));
    }
    let mut notes: Vec<String> = lister.joined()?.into_iter().collect();
    notes.extend(lister.mosaics_passed_over());
    Ok(Some(Found { images, problems: problems(&lister), notes }))
}

/// What could not be listed, a line each.
pub fn problems(lister: &Lister) -> Vec<String> {
    let mut problems: Vec<String> =
        lister.problems().iter().map(|p| format!("{}: {}", p.path.display(), p.message)).collect();
    let more = lister.problem_count() - lister.problems().len() as u64;
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    problems
}

/// Adds the source of a line to `graph`: images one by one, all of one range.
/// Whoever takes them at the end leaves as many places of the `window`.
pub fn source<E: Send + 'static>(
    graph: &mut Graph<E>,
    images: Vec<Listed>,
    window: &Window,
) -> Inlet<Sequenced<Cutout<Locator>>> {
    let window = window.clone();
    graph.source("list", QUEUE, move |out| {
        let count = images.len() as u64;
        for (index, Listed { entry, radius }) in (0..).zip(images) {
            window.enter(out)?;
            let item = Cutout::listed(index, index + 1 == count, entry, radius);
            out.send(Sequenced { sequence: index, item })?;
        }
        Ok(())
    })
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
