//! One row of an image column as the bytes, or the planes, of a cutout.
//!
//! Invariant: whatever a row holds, it is a payload within the limits or a
//! rejection; the column's type was looked at by [`ImageLayout`].

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};

use super::layout::{BAND, BYTES, ImageLayout, PLANES};
use crate::cutout::{Payload, Plane, Reason, Rejection};
use crate::limits::image;

/// The image in row `row` of a batch's column.
pub(super) fn payload(
    column: &ArrayRef,
    layout: ImageLayout,
    row: usize,
) -> Result<Payload, Rejection> {
    if column.is_null(row) {
        return Err(Rejection::new(Reason::Missing, "the row has no image"));
    }
    match layout {
        ImageLayout::Binary => bytes(column, row),
        ImageLayout::File => match column.as_struct_opt().and_then(|s| s.column_by_name(BYTES)) {
            Some(files) if files.is_null(row) => {
                let words = "the row has the path of an image and not its bytes";
                Err(Rejection::new(Reason::Missing, words))
            }
            Some(files) => bytes(files, row),
            None => Err(unexpected()),
        },
        ImageLayout::Planes => {
            let image = column.as_struct_opt().ok_or_else(unexpected)?;
            let bands = image.column_by_name(BAND).ok_or_else(unexpected)?;
            let planes = PLANES.iter().find_map(|name| image.column_by_name(name));
            let planes = planes.ok_or_else(unexpected)?;
            planes_of(&inner(bands, row)?, &inner(planes, row)?)
        }
        ImageLayout::PlaneList => {
            let images = inner(column, row)?;
            let images = images.as_struct_opt().ok_or_else(unexpected)?;
            let bands = images.column_by_name(BAND).ok_or_else(unexpected)?;
            let planes = PLANES.iter().find_map(|name| images.column_by_name(name));
            planes_of(bands, planes.ok_or_else(unexpected)?)
        }
    }
}

fn bytes(files: &ArrayRef, row: usize) -> Result<Payload, Rejection> {
    let bytes = match files.data_type() {
        DataType::Binary => files.as_binary::<i32>().value(row),
        DataType::LargeBinary => files.as_binary::<i64>().value(row),
        DataType::BinaryView => files.as_binary_view().value(row),
        _ => return Err(unexpected()),
    };
    match bytes.len() as u64 {
        0 => Err(Rejection::new(Reason::Empty, "the row's image has no bytes")),
        size if size > image::BYTES => Err(too_large(size)),
        _ => Ok(Payload::Single(bytes.to_vec())),
    }
}

/// The bands of one image and their planes, element by element.
fn planes_of(bands: &ArrayRef, planes: &ArrayRef) -> Result<Payload, Rejection> {
    let names = cast(bands, &DataType::Utf8).map_err(|_| unexpected())?;
    let names = names.as_string::<i32>();
    if names.len() != planes.len() {
        let words = format!("{} bands and {} planes", names.len(), planes.len());
        return Err(Rejection::new(Reason::Corrupt, words));
    }
    let mut left = image::BYTES;
    let mut out = Vec::with_capacity(names.len());
    for index in 0..names.len() {
        let band = if names.is_null(index) { "" } else { names.value(index) };
        let plane = plane(band, planes, index, &mut left)
            .map_err(|rejection| rejection.at(format_args!("band {band}")))?;
        out.push(plane);
    }
    if out.is_empty() {
        return Err(Rejection::new(Reason::Empty, "an image without bands"));
    }
    Ok(Payload::Planes(out))
}

/// A 2-D array: a list of rows, each a list of numbers.
fn plane(band: &str, planes: &ArrayRef, index: usize, left: &mut u64) -> Result<Plane, Rejection> {
    if planes.is_null(index) {
        return Err(Rejection::new(Reason::MissingBand, "no plane"));
    }
    let rows = inner(planes, index)?;
    let mut values: Vec<f32> = Vec::new();
    let mut width = None;
    for row in 0..rows.len() {
        let numbers = if rows.is_null(row) { None } else { Some(inner(&rows, row)?) };
        let numbers = numbers.ok_or_else(|| ragged(row, 0, width.unwrap_or(0)))?;
        let expected = *width.get_or_insert(numbers.len());
        if numbers.len() != expected {
            return Err(ragged(row, numbers.len(), expected));
        }
        let size = 4 * numbers.len() as u64;
        *left = left.checked_sub(size).ok_or_else(|| too_large(image::BYTES + size))?;
        let numbers = cast(&numbers, &DataType::Float32).map_err(|_| unexpected())?;
        let numbers = numbers.as_primitive::<Float32Type>();
        values.extend(numbers.iter().map(|value| value.unwrap_or(f32::NAN)));
    }
    let width = width.unwrap_or(0);
    Ok(Plane { band: band.to_owned(), width, height: rows.len(), values })
}

/// The elements of a list.
fn inner(lists: &ArrayRef, row: usize) -> Result<ArrayRef, Rejection> {
    if lists.is_null(row) {
        return Err(Rejection::new(Reason::Empty, "a list that is null"));
    }
    match lists.data_type() {
        DataType::List(_) => Ok(lists.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Ok(lists.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => Ok(lists.as_fixed_size_list().value(row)),
        _ => Err(unexpected()),
    }
}

fn ragged(row: usize, found: usize, expected: usize) -> Rejection {
    let words = format!("row {row} has {found} pixels where the first has {expected}");
    Rejection::new(Reason::Corrupt, words)
}

fn too_large(size: u64) -> Rejection {
    let limit = image::BYTES >> 20;
    Rejection::new(
        Reason::TooLarge,
        format!("{size} bytes or more, and a cutout may have {limit} MiB"),
    )
}

/// A type that the layout does not have: the table is not the one that was
/// listed.
fn unexpected() -> Rejection {
    Rejection::new(Reason::Corrupt, "the column is not what it was when it was listed")
}
