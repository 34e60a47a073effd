//! A condition over the columns of a batch, by Arrow's kernels.
//!
//! Truth has three values, as in SQL: `and`, `or` and `not` are Kleene's.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, PrimitiveArray, Scalar};
use arrow::compute::kernels::cmp;
use arrow::compute::{and_kleene, cast, is_null, not, nullif, or_kleene};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;

use super::parse::{Comparison, Leaf, Node};

/// The truth of each row; `column` gives the columns by their place in the
/// schema.
pub(super) fn evaluate(
    node: &Node,
    rows: usize,
    column: &dyn Fn(usize) -> ArrayRef,
) -> Result<BooleanArray, ArrowError> {
    match node {
        Node::Any(nodes) => joined(nodes, rows, column, or_kleene),
        Node::All(nodes) => joined(nodes, rows, column, and_kleene),
        Node::Not(a) => not(&evaluate(a, rows, column)?),
        Node::IsNull(place) => is_null(&without_nan(column(*place))?),
        Node::Is(leaf) => {
            // Compared with as many truths as there are rows, so that a lone
            // value gets their number.
            let all = BooleanArray::from(vec![true; rows]);
            match leaf {
                Leaf::Column(place, _) => cmp::eq(&all, &column(*place)),
                Leaf::Value(value) => cmp::eq(&all, &Scalar::new(Arc::clone(value))),
            }
        }
        Node::Compare(a, how, b) => compare(a, *how, b, column),
    }
}

/// Several conditions as one; there is at least one of them.
fn joined(
    nodes: &[Node],
    rows: usize,
    column: &dyn Fn(usize) -> ArrayRef,
    join: impl Fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, ArrowError>,
) -> Result<BooleanArray, ArrowError> {
    let mut truths = nodes.iter().map(|node| evaluate(node, rows, column));
    let first = truths.next().unwrap_or_else(|| Ok(BooleanArray::from(vec![true; rows])))?;
    truths.try_fold(first, |all, truth| join(&all, &truth?))
}

fn compare(
    a: &Leaf,
    how: Comparison,
    b: &Leaf,
    column: &dyn Fn(usize) -> ArrayRef,
) -> Result<BooleanArray, ArrowError> {
    let side = |leaf: &Leaf| -> Result<Box<dyn Datum>, ArrowError> {
        Ok(match leaf {
            Leaf::Value(value) => Box::new(Scalar::new(Arc::clone(value))),
            Leaf::Column(place, data_type) => {
                let array = without_nan(column(*place))?;
                let same = array.data_type() == data_type;
                Box::new(if same { array } else { cast(&array, data_type)? })
            }
        })
    };
    let (a, b) = (side(a)?, side(b)?);
    let (a, b) = (a.as_ref(), b.as_ref());
    match how {
        Comparison::Equal => cmp::eq(a, b),
        Comparison::NotEqual => cmp::neq(a, b),
        Comparison::Less => cmp::lt(a, b),
        Comparison::LessOrEqual => cmp::lt_eq(a, b),
        Comparison::Greater => cmp::gt(a, b),
        Comparison::GreaterOrEqual => cmp::gt_eq(a, b),
    }
}

/// A column in which NaN is null: Arrow's order puts NaN above every number,
/// and -0 below 0.
pub(in crate::export) fn without_nan(array: ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Float32 => cleaned::<Float32Type>(&array, f32::is_nan, |v| v + 0.0),
        DataType::Float64 => cleaned::<Float64Type>(&array, f64::is_nan, |v| v + 0.0),
        _ => Ok(array),
    }
}

fn cleaned<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    is_nan: impl Fn(T::Native) -> bool,
    positive_zero: impl Fn(T::Native) -> T::Native,
) -> Result<ArrayRef, ArrowError> {
    let values: &PrimitiveArray<T> = array.as_primitive();
    let nan = BooleanArray::from_unary(values, &is_nan);
    let values: PrimitiveArray<T> = values.unary(positive_zero);
    // A null is no NaN; `nullif` keeps nulls as they are.
    nullif(&values, &nan)
}
