//! `hiwl map` as a library: where the galaxies of a run lie on a plane, by principal
//! components or t-SNE of their vectors.

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Float64Type};
use rayon::prelude::*;

use super::principal::{moments, principal};
use super::read::Vectors;
use super::{VectorError, tsne};
use crate::catalog::row::OK;
use crate::pipeline::Stop;
use crate::random::Stream;
use crate::tree::ODDNESS;

/// How vectors become places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// t-SNE of the first 50 principal components.
    #[default]
    Tsne,
    /// The first two principal components.
    Pca,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct MapOptions {
    /// How.
    pub method: Method,
    /// At most so many galaxies, drawn at random.
    pub sample: usize,
    /// Of what is drawn: the same seed, the same galaxies.
    pub seed: u64,
    /// Of t-SNE.
    pub tsne: tsne::Settings,
}

/// A galaxy on a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// Its number in the run, from 0.
    pub row: u64,
    /// Its id.
    pub id: String,
    /// Its class.
    pub label: String,
    /// The class's probability.
    pub confidence: f32,
    /// How odd it is, where the model tells.
    pub oddness: Option<f32>,
    /// Right ascension and declination in degrees, if known.
    pub position: Option<[f64; 2]>,
    /// Where it lies.
    pub at: [f64; 2],
}

/// A map.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Its galaxies, in the run's order.
    pub galaxies: Vec<Located>,
    /// Galaxies with features in the run, of which these were drawn.
    pub of: u64,
    /// Rows of the run that have no part yet.
    pub missing: u64,
    /// Names of the classes, in the model's order.
    pub classes: Vec<String>,
    /// The share of all variance that the two axes have, of principal components.
    pub explained: Option<[f64; 2]>,
    /// How far t-SNE came: the Kullback–Leibler divergence that is left.
    pub divergence: Option<f64>,
}

/// Principal components that t-SNE sees of longer vectors.
const SEEN: usize = 50;

/// Maps a run.
///
/// # Errors
/// [`VectorError`]; [`VectorError::TooFew`] if t-SNE is asked for more neighbours
/// than there are galaxies.
pub fn map(dir: &Path, options: &MapOptions, stop: &Stop) -> Result<Map, VectorError> {
    let vectors = Vectors::open(dir)?;
    let usable = usable(&vectors, stop)?;
    let of = usable.len() as u64;
    let chosen = chosen(usable, options.sample, options.seed);
    let (rows, values) = read(&vectors, &chosen, stop)?;
    let (count, length) = (rows.len(), vectors.kept.length);
    let perplexity = options.tsne.perplexity;
    let needed = match options.method {
        Method::Tsne => perplexity.ceil() as usize + 2,
        Method::Pca => 3,
    };
    if count < needed {
        let path = dir.to_owned();
        return Err(VectorError::TooFew { path, rows: count, perplexity, needed });
    }
    // Of short vectors t-SNE sees all, and begins where two components lie.
    let long = options.method == Method::Tsne && length > SEEN;
    let (components, shares) = components(&values, length, if long { SEEN } else { 2 });
    let width = shares.len();
    let axis = |k: usize| components.iter().skip(k).step_by(width).map(|value| f64::from(*value));
    let second = if width > 1 { axis(1).collect() } else { vec![0.0; count] };
    let plane: Vec<[f64; 2]> = axis(0).zip(second).map(|(x, y)| [x, y]).collect();
    let (places, explained, divergence) = match options.method {
        Method::Pca => (plane, Some([shares[0], shares.get(1).copied().unwrap_or(0.0)]), None),
        Method::Tsne => {
            let deviation = (axis(0).map(|x| x * x).sum::<f64>() / count as f64).sqrt();
            let scale = 1e-4 / deviation.max(f64::MIN_POSITIVE);
            let start: Vec<[f64; 2]> = plane.iter().map(|at| at.map(|x| scale * x)).collect();
            let (seen, wide) = if long { (&components, width) } else { (&values, length) };
            let found = tsne::project(seen, wide, &start, options.tsne, &|| stop.requested());
            let found = found.ok_or(VectorError::Stopped)?;
            (found.places, None, Some(found.divergence))
        }
    };
    let galaxies = located(&vectors, &rows, &places)?;
    let classes = vectors.run.manifest().settings.model.scheme().tree().class_names();
    Ok(Map { galaxies, of, missing: vectors.missing(), classes, explained, divergence })
}

/// The rows that are no rejected cutouts.
fn usable(vectors: &Vectors, stop: &Stop) -> Result<Vec<u64>, VectorError> {
    let parts: Vec<Vec<u64>> = vectors
        .present
        .par_iter()
        .map(|range| {
            if stop.requested() {
                return Err(VectorError::Stopped);
            }
            let mut rows = Vec::new();
            vectors.each(range, &["status"], |first, batch| {
                let status = (first..).zip(batch.column(0).as_string::<i32>().iter());
                rows.extend(status.filter(|(_, status)| *status == Some(OK)).map(|(row, _)| row));
                Ok(())
            })?;
            Ok(rows)
        })
        .collect::<Result<_, _>>()?;
    Ok(parts.concat())
}

/// At most so many of them, in order.
fn chosen(mut rows: Vec<u64>, most: usize, seed: u64) -> Vec<u64> {
    if rows.len() > most {
        let mut stream = Stream::new("map", seed, &[]);
        // The first steps of a shuffle.
        for place in 0..most {
            let other = place + stream.below(rows.len() - place);
            rows.swap(place, other);
        }
        rows.truncate(most);
        rows.sort_unstable();
    }
    rows
}

/// Their vectors; rows without one are left out.
fn read(vectors: &Vectors, rows: &[u64], stop: &Stop) -> Result<(Vec<u64>, Vec<f32>), VectorError> {
    let length = vectors.kept.length;
    let (mut found, mut values) = (Vec::new(), Vec::with_capacity(rows.len() * length));
    for range in &vectors.present {
        let from = rows.partition_point(|row| *row < range.first);
        let wanted = &rows[from..rows.partition_point(|row| *row <= range.last())];
        if wanted.is_empty() {
            continue;
        }
        if stop.requested() {
            return Err(VectorError::Stopped);
        }
        vectors.each_block(range, |block| {
            for (row, vector) in block.rows.iter().zip(block.values.chunks_exact(length)) {
                if wanted.binary_search(row).is_ok() {
                    found.push(*row);
                    values.extend(vector);
                }
            }
        })?;
    }
    Ok((found, values))
}

/// The first principal components of vectors, row by row, and the share of all
/// variance that each has.
fn components(values: &[f32], length: usize, most: usize) -> (Vec<f32>, Vec<f64>) {
    let (mean, covariance) = moments(values, length);
    let count = most.min(length);
    let (directions, variances) = principal(&covariance, length, count);
    let whole: f64 = (0..length).map(|k| covariance[k * length + k]).sum();
    let rows: Vec<Vec<f32>> = values
        .par_chunks_exact(length)
        .map(|row| {
            let along = |direction: &[f64]| -> f64 {
                let terms = row.iter().zip(&mean).zip(direction);
                terms.map(|((x, mean), d)| (f64::from(*x) - mean) * d).sum()
            };
            directions.chunks_exact(length).map(|direction| along(direction) as f32).collect()
        })
        .collect();
    let share = |variance: f64| if whole > 0.0 { variance / whole } else { 0.0 };
    (rows.concat(), variances.into_iter().map(share).collect())
}

/// What the catalog says of rows, with their places.
fn located(
    vectors: &Vectors,
    rows: &[u64],
    places: &[[f64; 2]],
) -> Result<Vec<Located>, VectorError> {
    let mut columns = vec!["id", "ra", "dec", "label", "confidence"];
    if vectors.run.manifest().settings.model.oddness {
        columns.push(ODDNESS);
    }
    let batch = vectors.rows(rows, &columns)?;
    let column = |name: &str| batch.column_by_name(name).expect("the columns that were read");
    let text = |name: &str, at: usize| column(name).as_string::<i32>().value(at).to_owned();
    let number = |name: &str, at: usize| {
        let column = column(name).as_primitive::<Float32Type>();
        column.is_valid(at).then(|| column.value(at))
    };
    let degrees = |name: &str, at: usize| {
        let column = column(name).as_primitive::<Float64Type>();
        column.is_valid(at).then(|| column.value(at))
    };
    let all = rows.iter().zip(places).enumerate();
    Ok(all
        .map(|(at, (row, place))| Located {
            row: *row,
            id: text("id", at),
            label: text("label", at),
            confidence: number("confidence", at).unwrap_or_default(),
            oddness: if columns.len() > 5 { number(ODDNESS, at) } else { None },
            position: degrees("ra", at).zip(degrees("dec", at)).map(|(ra, dec)| [ra, dec]),
            at: *place,
        })
        .collect())
}
