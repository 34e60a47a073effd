//! The rows nearest to some, by comparing with all: exact, block by block.
//!
//! Invariant: what is found does not depend on the order in which rows are offered,
//! nor on who offers them: of two at the same distance the earlier row is nearer.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::export::Best;

/// How far apart two vectors are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// The length of their difference.
    #[default]
    Euclidean,
    /// 1 less the cosine of the angle between them, 0 to 2.
    Cosine,
}

/// A distance that is a number, in the order of IEEE 754's `totalOrder`.
#[derive(Debug, Clone, Copy)]
struct Far(f32);

impl Ord for Far {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
impl PartialOrd for Far {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Far {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Far {}

/// The nearest rows so far.
#[derive(Debug, Clone)]
pub(super) struct Nearest(Best<Far>);

impl Nearest {
    pub(super) fn new(most: usize) -> Self {
        Self(Best::new(most))
    }

    /// Takes a row, if it is among the nearest. What is no number (of an infinity over an
    /// infinity, where vectors are so long) is farthest: left as it is, its sign would say
    /// whether it comes last or first, and processors differ in that.
    fn offer(&mut self, distance: f32, row: u64) {
        self.0.add(Far(if distance.is_nan() { f32::INFINITY } else { distance }), row);
    }

    /// Takes what another found.
    pub(super) fn merge(&mut self, other: &Self) {
        other.0.entries().for_each(|&(distance, row)| self.0.add(distance, row));
    }

    /// Distance and row, the nearest first.
    pub(super) fn found(self) -> Vec<(f32, u64)> {
        self.0.sorted().into_iter().map(|(Far(distance), row)| (distance, row)).collect()
    }
}

/// Vectors to look for.
pub(super) struct Queries {
    /// `[queries][length]`.
    vectors: Vec<f32>,
    /// Their rows: none is its own neighbour.
    rows: Vec<u64>,
    /// Their lengths.
    norms: Vec<f32>,
    length: usize,
    distance: Distance,
}

/// Rows that are compared with every query before the next are looked at: such
/// that they stay near the processor (64 of 1,280 values are 330 kB).
const BLOCK: usize = 64;

impl Queries {
    pub(super) fn new(
        vectors: Vec<f32>,
        rows: Vec<u64>,
        length: usize,
        distance: Distance,
    ) -> Self {
        let norms = vectors.chunks_exact(length).map(|v| dot(v, v).sqrt()).collect();
        Self { vectors, rows, norms, length, distance }
    }

    /// Offers rows to the nearest of each query: `vectors` is `[rows][length]`,
    /// `numbers` has the row of each.
    pub(super) fn compare(&self, vectors: &[f32], numbers: &[u64], nearest: &mut [Nearest]) {
        let length = self.length;
        for (block, numbers) in vectors.chunks(BLOCK * length).zip(numbers.chunks(BLOCK)) {
            let queries = self.vectors.chunks_exact(length).zip(&self.norms).zip(&self.rows);
            for (((query, norm), own), nearest) in queries.zip(&mut *nearest) {
                for (row, number) in block.chunks_exact(length).zip(numbers) {
                    if number == own {
                        continue;
                    }
                    let distance = match self.distance {
                        Distance::Euclidean => between(query, row).sqrt(),
                        Distance::Cosine => {
                            let norms = norm * dot(row, row).sqrt();
                            // A vector of zeros has no direction.
                            if norms > 0.0 { 1.0 - dot(query, row) / norms } else { 1.0 }
                        }
                    };
                    nearest.offer(distance, *number);
                }
            }
        }
    }
}

/// Sums of products, or of what `of` makes of two values, sixteen side by side.
fn summed(a: &[f32], b: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += of(*a, *b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| of(*a, *b)).sum();
    sums.iter().sum::<f32>() + rest
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    summed(a, b, |a, b| a * b)
}

/// The square of the length of the difference. Not by |a|² + |b|² − 2ab, in which
/// what is near is lost in rounding.
pub(super) fn between(a: &[f32], b: &[f32]) -> f32 {
    summed(a, b, |a, b| (a - b) * (a - b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_are_the_nearest_in_whatever_order_they_come() {
        let distances: Vec<f32> = (0..500_u32).map(|k| ((k * 7919) % 101) as f32).collect();
        let mut expected: Vec<(f32, u64)> = distances.iter().copied().zip(0..).collect();
        expected.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        expected.truncate(20);
        let mut forwards = Nearest::new(20);
        distances.iter().zip(0..).for_each(|(d, row)| forwards.offer(*d, row));
        let (mut one, mut other) = (Nearest::new(20), Nearest::new(20));
        let all: Vec<(f32, u64)> = distances.iter().copied().zip(0..).collect();
        for (d, row) in all.into_iter().rev() {
            if row % 3 == 0 { one.offer(d, row) } else { other.offer(d, row) }
        }
        one.merge(&other);
        assert_eq!((forwards.found(), one.found()), (expected.clone(), expected));
    }

    #[test]
    fn a_distance_that_is_no_number_is_farthest() {
        for none in [f32::NAN, -f32::NAN] {
            let mut nearest = Nearest::new(3);
            for (distance, row) in [none, 2.0, 1.0, none, 3.0].into_iter().zip(0..) {
                nearest.offer(distance, row);
            }
            assert_eq!(nearest.found(), [(1.0, 2), (2.0, 1), (3.0, 4)], "{none:?}");
        }
        // The cosine of vectors whose lengths are beyond f32.
        let (long, plain) = (vec![f32::MAX; 20], vec![1.0; 20]);
        let queries = Queries::new(long.clone(), vec![0], 20, Distance::Cosine);
        let mut nearest = vec![Nearest::new(2)];
        queries.compare(&[long, plain].concat(), &[1, 2], &mut nearest);
        let nearest = nearest.remove(0).found();
        assert!(nearest.iter().all(|(distance, _)| *distance == f32::INFINITY), "{nearest:?}");
    }

    #[test]
    fn distances_are_those_of_geometry_and_a_row_is_not_its_own_neighbour() {
        let length = 19;
        let vector = |k: usize| -> Vec<f32> {
            (0..length).map(|i| ((k * 31 + i * 17) % 23) as f32 - 11.0).collect()
        };
        let all: Vec<f32> = (0..200).flat_map(vector).collect();
        let numbers: Vec<u64> = (0..200).collect();
        for distance in [Distance::Euclidean, Distance::Cosine] {
            let queries =
                Queries::new([vector(3), vector(50)].concat(), vec![3, 50], length, distance);
            let mut nearest = vec![Nearest::new(199); 2];
            queries.compare(&all, &numbers, &mut nearest);
            for (query, nearest) in [3, 50].into_iter().zip(nearest) {
                let nearest = nearest.found();
                assert_eq!(nearest.len(), 199);
                for (found, row) in nearest {
                    assert_ne!(row, query as u64);
                    let (a, b) = (vector(query), vector(row as usize));
                    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                        a.iter().zip(&b).map(|(a, b)| f(f64::from(*a), f64::from(*b))).sum()
                    };
                    let expected = match distance {
                        Distance::Euclidean => sum(&|a, b| (a - b).powi(2)).sqrt(),
                        Distance::Cosine => {
                            1.0 - sum(&|a, b| a * b)
                                / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
                        }
                    };
                    assert!((f64::from(found) - expected).abs() < 1e-5, "{found} {expected}");
                }
            }
        }
    }
}
