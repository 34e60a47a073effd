//! Principal components: the directions in which vectors vary most.
//!
//! Invariant: the same vectors give the same bits, with any number of threads and on
//! any machine: sums have a fixed order, and nothing is asked of the system's
//! mathematics but square roots, which are exact.

use rayon::prelude::*;

use crate::random::Stream;

/// Rounds of the iteration that finds the directions. It brings the space that
/// they span nearer by the ratio of neighbouring variances in each.
const ROUNDS: usize = 40;

/// Directions beside those that are kept, so that the last of these settle too.
const SPARE: usize = 16;

/// Mean and covariance of rows of `length` values: `[length]`, `[length][length]`.
pub fn moments(rows: &[f32], length: usize) -> (Vec<f64>, Vec<f64>) {
    let count = rows.len() / length;
    let mut mean = vec![0.0; length];
    for row in rows.chunks_exact(length) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    mean.iter_mut().for_each(|sum| *sum /= count as f64);
    // A feature's values side by side: products of such lines are what is wanted.
    let mut lines = vec![0.0_f32; count * length];
    lines.par_chunks_exact_mut(count).enumerate().for_each(|(k, line)| {
        for (value, row) in line.iter_mut().zip(rows.chunks_exact(length)) {
            *value = (f64::from(row[k]) - mean[k]) as f32;
        }
    });
    let mut covariance = vec![0.0; length * length];
    covariance.par_chunks_exact_mut(length).enumerate().for_each(|(k, to)| {
        for (l, value) in to.iter_mut().enumerate().skip(k) {
            let (a, b) = (&lines[k * count..][..count], &lines[l * count..][..count]);
            *value = product(a, b) / (count - 1) as f64;
        }
    });
    // What is below the diagonal is what is above it: products commute.
    for k in 0..length {
        for l in 0..k {
            covariance[k * length + l] = covariance[l * length + k];
        }
    }
    (mean, covariance)
}

/// A product of long vectors: short sums in f32, these in f64.
fn product(a: &[f32], b: &[f32]) -> f64 {
    let parts = a.chunks(256).zip(b.chunks(256)).map(|(a, b)| {
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        let mut sums = [0.0_f32; 16];
        for (a, b) in a.iter().zip(b) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
        let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
        sums.iter().map(|sum| f64::from(*sum)).sum::<f64>() + f64::from(rest)
    });
    parts.sum()
}

/// The `count` directions of greatest variance, row by row, of length 1 and at right
/// angles, and the variances along them, the greatest first: orthogonal iteration, then
/// Rayleigh-Ritz (Golub & Van Loan, sections 7.3 and 8.1).
pub fn principal(covariance: &[f64], length: usize, count: usize) -> (Vec<f64>, Vec<f64>) {
    let wide = (count + SPARE).min(length);
    // The word is a key, and that of the first who asked: others would give other bits.
    let mut stream = Stream::new("oddness", 0, &[]);
    let mut basis: Vec<f64> = (0..wide * length).map(|_| stream.unit() - 0.5).collect();
    orthonormalise(&mut basis, length);
    for _ in 0..ROUNDS {
        basis = times(&basis, covariance, length);
        orthonormalise(&mut basis, length);
    }
    let turned = times(&basis, covariance, length);
    let mut small: Vec<f64> = (0..wide * wide)
        .map(|at| {
            let (i, j) = (at / wide, at % wide);
            dot(&basis[i * length..][..length], &turned[j * length..][..length])
        })
        .collect();
    let vectors = jacobi(&mut small, wide);
    let mut order: Vec<usize> = (0..wide).collect();
    order.sort_by(|a, b| small[b * wide + b].total_cmp(&small[a * wide + a]));
    let mut directions = vec![0.0; count * length];
    let mut variances = Vec::with_capacity(count);
    for (row, &of) in directions.chunks_exact_mut(length).zip(&order) {
        for (i, own) in basis.chunks_exact(length).enumerate() {
            let weight = vectors[i * wide + of];
            row.iter_mut().zip(own).for_each(|(sum, value)| *sum += weight * value);
        }
        variances.push(small[of * wide + of].max(0.0));
    }
    (directions, variances)
}

/// Each row times a symmetric matrix.
pub(crate) fn times(rows: &[f64], matrix: &[f64], length: usize) -> Vec<f64> {
    let mut products = vec![0.0; rows.len()];
    products.par_chunks_exact_mut(length).zip(rows.par_chunks_exact(length)).for_each(
        |(to, row)| {
            for (value, line) in to.iter_mut().zip(matrix.chunks_exact(length)) {
                *value = dot(row, line);
            }
        },
    );
    products
}

/// A product of vectors, in eight sums side by side.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// Makes rows of length 1 and at right angles (Gram-Schmidt, twice for what
/// rounding leaves). A row that lies in those before it becomes zero.
fn orthonormalise(rows: &mut [f64], length: usize) {
    for row in 0..rows.len() / length {
        let (before, own) = rows.split_at_mut(row * length);
        let own = &mut own[..length];
        let whole = dot(own, own).sqrt();
        for _ in 0..2 {
            for other in before.chunks_exact(length) {
                let part = dot(own, other);
                own.iter_mut().zip(other).for_each(|(value, other)| *value -= part * other);
            }
        }
        let left = dot(own, own).sqrt();
        let scale = if left > 1e-12 * whole { 1.0 / left } else { 0.0 };
        own.iter_mut().for_each(|value| *value *= scale);
    }
}

/// Makes a small symmetric matrix diagonal by rotations; returns the vectors that
/// its eigenvalues belong to, as columns.
fn jacobi(matrix: &mut [f64], size: usize) -> Vec<f64> {
    let mut vectors = vec![0.0; size * size];
    (0..size).for_each(|k| vectors[k * size + k] = 1.0);
    let trace: f64 = (0..size).map(|k| matrix[k * size + k].abs()).sum();
    for _ in 0..60 {
        let off = |m: &[f64]| -> f64 {
            (0..size * size).filter(|at| at / size != at % size).map(|at| m[at].powi(2)).sum()
        };
        if off(matrix).sqrt() <= 1e-12 * trace {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                let apq = matrix[p * size + q];
                if apq == 0.0 {
                    continue;
                }
                let theta = (matrix[q * size + q] - matrix[p * size + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..size {
                    let (a, b) = (matrix[k * size + p], matrix[k * size + q]);
                    matrix[k * size + p] = c * a - s * b;
                    matrix[k * size + q] = s * a + c * b;
                }
                for k in 0..size {
                    let (a, b) = (matrix[p * size + k], matrix[q * size + k]);
                    matrix[p * size + k] = c * a - s * b;
                    matrix[q * size + k] = s * a + c * b;
                    let (a, b) = (vectors[k * size + p], vectors[k * size + q]);
                    vectors[k * size + p] = c * a - s * b;
                    vectors[k * size + q] = s * a + c * b;
                }
            }
        }
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_those_that_were_laid_and_do_not_depend_on_threads() {
        // Three directions of known variances among twelve values, and a little else.
        let (length, count) = (12, 4000);
        let mut stream = Stream::new("test", 1, &[]);
        let mut normal = || (0..12).map(|_| stream.unit()).sum::<f64>() - 6.0;
        let mut rows = Vec::new();
        for _ in 0..count {
            let [a, b, c] = [normal() * 5.0, normal() * 3.0, normal() * 2.0];
            rows.extend((0..length).map(|k| {
                let way = match k {
                    0 => 0.6 * a - 0.8 * b,
                    1 => 0.8 * a + 0.6 * b,
                    7 => c,
                    _ => 0.0,
                };
                (way + 0.1 * normal() + 10.0) as f32
            }));
        }
        let (mean, covariance) = moments(&rows, length);
        assert!(mean.iter().all(|mean| (mean - 10.0).abs() < 0.3), "{mean:?}");
        let (directions, variances) = principal(&covariance, length, 3);
        for (found, laid) in variances.iter().zip([25.0, 9.0, 4.0]) {
            assert!((found / laid - 1.0).abs() < 0.1, "{variances:?}");
        }
        let along = |row: usize, k: usize| directions[row * length + k].abs();
        assert!((along(0, 0) - 0.6).abs() < 0.06 && (along(0, 1) - 0.8).abs() < 0.06);
        assert!((along(2, 7) - 1.0).abs() < 0.02, "{directions:?}");
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = one.install(|| principal(&moments(&rows, length).1, length, 3));
        assert_eq!(alone, (directions, variances));
    }
}
