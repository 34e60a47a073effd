//! `hiwl similar` as a library: the rows of a run that are most like some of its rows.
//!
//! Every row is compared: nothing is indexed, and nothing near is missed. Parts are
//! read and compared side by side, one a thread, so that reading, which takes longer
//! than comparing, has all cores too.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type};
use rayon::prelude::*;

use super::VectorError;
use super::nearest::{Distance, Nearest, Queries};
use super::read::Vectors;
use crate::pipeline::Stop;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct SimilarOptions {
    /// Ids of the rows whose like are looked for.
    pub to: Vec<String>,
    /// How many of each.
    pub top: usize,
    /// What is near.
    pub distance: Distance,
}

/// A row that is like another.
#[derive(Debug, Clone, PartialEq)]
pub struct Like {
    /// The id that was asked for.
    pub to: String,
    /// 1 for the nearest.
    pub rank: usize,
    /// How far it is.
    pub distance: f32,
    /// Its id.
    pub id: String,
    /// Its class.
    pub label: String,
    /// The class's probability.
    pub confidence: Option<f32>,
    /// Right ascension in degrees, if known.
    pub ra: Option<f64>,
    /// Declination in degrees, if known.
    pub dec: Option<f64>,
    /// Where its cutout was read.
    pub source: String,
    /// Its number in the run, from 0.
    pub row: u64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Similar {
    /// In the order of what was asked for, the nearest first.
    pub likes: Vec<Like>,
    /// Rows with a vector, which were all compared.
    pub compared: u64,
    /// Rows of the run that have no part yet.
    pub missing: u64,
}

/// Finds the rows of the run in `dir` that are most like some of its rows, which are
/// themselves not among them.
///
/// # Errors
/// [`VectorError`].
pub fn similar(dir: &Path, options: &SimilarOptions, stop: &Stop) -> Result<Similar, VectorError> {
    let vectors = Vectors::open(dir)?;
    let (rows, wanted) = queries(dir, &vectors, &options.to, stop)?;
    let queries = Queries::new(wanted, rows, vectors.kept.length, options.distance);
    let empty = vec![Nearest::new(options.top); options.to.len()];
    let searched = vectors.present.par_iter().try_fold(
        || (empty.clone(), 0_u64),
        |(mut nearest, mut compared), range| {
            if stop.requested() {
                return Err(VectorError::Stopped);
            }
            vectors.each_block(range, |block| {
                compared += block.rows.len() as u64;
                queries.compare(&block.values, &block.rows, &mut nearest);
            })?;
            Ok((nearest, compared))
        },
    );
    let joined = searched.try_reduce(
        || (empty.clone(), 0),
        |(mut one, a), (other, b)| {
            one.iter_mut().zip(&other).for_each(|(one, other)| one.merge(other));
            Ok((one, a + b))
        },
    );
    let (nearest, compared) = joined?;
    let nearest: Vec<Vec<(f32, u64)>> = nearest.into_iter().map(Nearest::found).collect();
    let found: Vec<u64> = nearest.iter().flatten().map(|(_, row)| *row).collect();
    let columns = ["id", "source", "ra", "dec", "label", "confidence"];
    let batch = vectors.rows(&found, &columns)?;
    let mut likes = Vec::with_capacity(found.len());
    for (to, nearest) in options.to.iter().zip(&nearest) {
        for (rank, (distance, row)) in (1..).zip(nearest) {
            likes.push(like(&batch, likes.len(), to, rank, *distance, *row));
        }
    }
    Ok(Similar { likes, compared, missing: vectors.missing() })
}

/// The row at a place of a batch.
fn like(batch: &RecordBatch, at: usize, to: &str, rank: usize, distance: f32, row: u64) -> Like {
    let column = |name: &str| batch.column_by_name(name).expect("the columns that were read");
    let text = |name: &str| column(name).as_string::<i32>().value(at).to_owned();
    let degrees = |name: &str| {
        let column = column(name).as_primitive::<Float64Type>();
        column.is_valid(at).then(|| column.value(at))
    };
    let confidence = column("confidence").as_primitive::<Float32Type>();
    Like {
        to: to.to_owned(),
        rank,
        distance,
        id: text("id"),
        label: text("label"),
        confidence: confidence.is_valid(at).then(|| confidence.value(at)),
        ra: degrees("ra"),
        dec: degrees("dec"),
        source: text("source"),
        row,
    }
}

/// The rows of ids and their vectors.
fn queries(
    dir: &Path,
    vectors: &Vectors,
    ids: &[String],
    stop: &Stop,
) -> Result<(Vec<u64>, Vec<f32>), VectorError> {
    let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let found: Vec<Vec<(String, u64)>> = vectors
        .present
        .par_iter()
        .map(|range| {
            if stop.requested() {
                return Err(VectorError::Stopped);
            }
            let mut found = Vec::new();
            vectors.each(range, &["id"], |first, batch| {
                let ids = batch.column(0).as_string::<i32>().iter().flatten();
                let known = (first..).zip(ids).filter(|(_, id)| wanted.contains(id));
                found.extend(known.map(|(row, id)| (id.to_owned(), row)));
                Ok(())
            })?;
            Ok(found)
        })
        .collect::<Result<_, _>>()?;
    let mut places: HashMap<String, Vec<u64>> = HashMap::new();
    for (id, row) in found.into_iter().flatten() {
        places.entry(id).or_default().push(row);
    }
    let (id_of, path) = (|id: &String| id.clone(), || dir.to_owned());
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        match places.get(id).map(Vec::as_slice) {
            Some([row]) => rows.push(*row),
            None | Some([]) => return Err(VectorError::NoId { id: id_of(id), path: path() }),
            Some(several) => {
                let rows = several.len();
                return Err(VectorError::SeveralRows { id: id_of(id), rows, path: path() });
            }
        }
    }
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); ids.len()];
    let length = vectors.kept.length;
    for range in &vectors.present {
        if !rows.iter().any(|row| (range.first..=range.last()).contains(row)) {
            continue;
        }
        vectors.each_block(range, |block| {
            for (row, values) in rows.iter().zip(&mut values) {
                if let Ok(at) = block.rows.binary_search(row) {
                    *values = block.values[at * length..][..length].to_vec();
                }
            }
        })?;
    }
    if let Some((id, _)) = ids.iter().zip(&values).find(|(_, values)| values.is_empty()) {
        return Err(VectorError::NoVector { id: id_of(id), path: path() });
    }
    Ok((rows, values.concat()))
}
