//! What makes a question's probabilities mean what they say: a temperature and
//! an offset for each output, fitted on galaxies that were not learned from
//! (temperature scaling, Guo et al. 2017, arXiv:1706.04599, with the bias of
//! their vector scaling).
//!
//! The fit is that of a multinomial logistic regression on the logits, which is
//! convex: Newton's method finds its one minimum. What separates the classes
//! perfectly has none, so offsets and the slope bear a little weight (normal
//! distributions of variance 1 about 0 and about 1, worth a galaxy each).

/// The correction `z / temperature + offset` of logits `z`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Greater than 0; above 1 it makes probabilities less extreme.
    pub temperature: f64,
    /// One for each output; their sum is 0.
    pub offset: Vec<f64>,
    /// Mean negative log-likelihood before.
    pub before: f64,
    /// And behind.
    pub behind: f64,
}

/// Steps of Newton's method at most; it takes about six.
const STEPS: usize = 50;

/// The best correction for rows of `number` logits whose right outputs are
/// `outputs`. `None` where that says nothing: fewer than two outputs occur, or
/// a logit is not finite.
///
/// # Panics
/// If the lengths differ or an output is not below `number`.
pub fn fit(logits: &[f32], outputs: &[usize], number: usize) -> Option<Fit> {
    assert_eq!(logits.len(), outputs.len() * number);
    assert!(outputs.iter().all(|&output| output < number), "no such output");
    let first = *outputs.first()?;
    if outputs.iter().all(|&output| output == first) || logits.iter().any(|z| !z.is_finite()) {
        return None;
    }
    let problem = Problem { logits, outputs, number };
    // The slope 1/T, and an offset for each output.
    let mut theta = vec![0.0; number + 1];
    theta[0] = 1.0;
    let before = problem.loss(&theta) / outputs.len() as f64;
    let mut loss = problem.loss(&theta);
    for _ in 0..STEPS {
        let (gradient, hessian) = problem.slope(&theta);
        let step = solve(hessian, gradient)?;
        // Half the step until the loss falls; the slope stays positive.
        let mut share = 1.0;
        let next = loop {
            let next: Vec<f64> = theta.iter().zip(&step).map(|(t, s)| t - share * s).collect();
            if next[0] > 0.0 && problem.loss(&next) <= loss {
                break Some(next);
            }
            share /= 2.0;
            if share < 1e-9 {
                break None;
            }
        };
        let Some(next) = next else { break };
        let better = problem.loss(&next);
        let done = loss - better < 1e-12 * loss.abs().max(1.0);
        (theta, loss) = (next, better);
        if done {
            break;
        }
    }
    let mean = theta[1..].iter().sum::<f64>() / number as f64;
    let offset: Vec<f64> = theta[1..].iter().map(|b| b - mean).collect();
    let behind = (loss - penalty(&theta)) / outputs.len() as f64;
    Some(Fit { temperature: 1.0 / theta[0], offset, before, behind })
}

struct Problem<'a> {
    logits: &'a [f32],
    outputs: &'a [usize],
    number: usize,
}

impl Problem<'_> {
    fn rows(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.logits.chunks_exact(self.number).zip(self.outputs.iter().copied())
    }

    /// Negative log-likelihood of all rows, and the weight of the offsets.
    fn loss(&self, theta: &[f64]) -> f64 {
        let rows = self.rows().map(|(z, output)| -log_softmax(z, theta)[output]);
        rows.sum::<f64>() + penalty(theta)
    }

    /// Its gradient and Hessian.
    fn slope(&self, theta: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let n = self.number + 1;
        let (mut gradient, mut hessian) = (vec![0.0; n], vec![vec![0.0; n]; n]);
        for (z, output) in self.rows() {
            let p: Vec<f64> = log_softmax(z, theta).iter().map(|l| l.exp()).collect();
            let z: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
            let mean: f64 = p.iter().zip(&z).map(|(p, z)| p * z).sum();
            gradient[0] += mean - z[output];
            hessian[0][0] += p.iter().zip(&z).map(|(p, z)| p * (z - mean).powi(2)).sum::<f64>();
            for k in 0..self.number {
                gradient[k + 1] += p[k] - f64::from(u8::from(k == output));
                let cross = p[k] * (z[k] - mean);
                hessian[0][k + 1] += cross;
                hessian[k + 1][0] += cross;
                for l in 0..self.number {
                    hessian[k + 1][l + 1] +=
                        if k == l { p[k] * (1.0 - p[k]) } else { -p[k] * p[l] };
                }
            }
        }
        for k in 1..n {
            gradient[k] += theta[k];
            hessian[k][k] += 1.0;
        }
        gradient[0] += theta[0] - 1.0;
        hessian[0][0] += 1.0;
        (gradient, hessian)
    }
}

/// The weight that slope and offsets bear.
fn penalty(theta: &[f64]) -> f64 {
    (theta[0] - 1.0).powi(2) / 2.0 + theta[1..].iter().map(|b| b * b / 2.0).sum::<f64>()
}

/// Logarithms of the corrected probabilities.
fn log_softmax(z: &[f32], theta: &[f64]) -> Vec<f64> {
    let corrected: Vec<f64> =
        z.iter().zip(&theta[1..]).map(|(&z, offset)| theta[0] * f64::from(z) + offset).collect();
    let most = corrected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = corrected.iter().map(|z| (z - most).exp()).sum::<f64>().ln() + most;
    corrected.iter().map(|z| z - total).collect()
}

/// `x` of `A x = b` by Gauss's elimination with pivots; `None` if there is none.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for i in 0..n {
        let pivot = (i..n).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs()))?;
        if a[pivot][i].abs() < 1e-300 {
            return None;
        }
        a.swap(i, pivot);
        b.swap(i, pivot);
        let (above, below) = a.split_at_mut(i + 1);
        let (solved, left) = b.split_at_mut(i + 1);
        for (row, b) in below.iter_mut().zip(left) {
            let factor = row[i] / above[i][i];
            for (value, pivot) in row[i..].iter_mut().zip(&above[i][i..]) {
                *value -= factor * pivot;
            }
            *b -= factor * solved[i];
        }
    }
    for i in (0..n).rev() {
        for column in i + 1..n {
            b[i] -= a[i][column] * b[column];
        }
        b[i] /= a[i][i];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Rows whose right outputs are drawn from `softmax(z / temperature + offset)`.
    fn drawn(rows: usize, temperature: f64, offset: &[f64]) -> (Vec<f32>, Vec<usize>) {
        let mut stream = Stream::new("fit", 3, &[]);
        let (mut logits, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            let z: Vec<f32> = offset.iter().map(|_| stream.uniform(-6.0, 6.0) as f32).collect();
            let theta: Vec<f64> =
                std::iter::once(1.0 / temperature).chain(offset.iter().copied()).collect();
            let mut rest = stream.unit();
            let p: Vec<f64> = log_softmax(&z, &theta).iter().map(|l| l.exp()).collect();
            let output = p.iter().position(|p| {
                rest -= p;
                rest < 0.0
            });
            outputs.push(output.unwrap_or(p.len() - 1));
            logits.extend(z);
        }
        (logits, outputs)
    }

    #[test]
    fn what_was_drawn_is_found_again() {
        for (temperature, offset) in
            [(1.0, vec![0.0, 0.0]), (2.5, vec![0.5, -0.5]), (0.4, vec![0.3, 0.6, -0.9])]
        {
            let (logits, outputs) = drawn(20_000, temperature, &offset);
            let fit = fit(&logits, &outputs, offset.len()).unwrap();
            assert!((fit.temperature / temperature - 1.0).abs() < 0.05, "{fit:?}");
            for (found, expected) in fit.offset.iter().zip(&offset) {
                assert!((found - expected).abs() < 0.1, "{fit:?}");
            }
            assert!(fit.behind <= fit.before + 1e-12, "{fit:?}");
        }
    }

    /// By differences: at the minimum nothing nearby is better.
    #[test]
    fn it_is_the_minimum() {
        let (logits, outputs) = drawn(500, 1.7, &[0.4, -0.6, 0.2]);
        let fit = fit(&logits, &outputs, 3).unwrap();
        let problem = Problem { logits: &logits, outputs: &outputs, number: 3 };
        let best: Vec<f64> =
            std::iter::once(1.0 / fit.temperature).chain(fit.offset.clone()).collect();
        for i in 0..4 {
            for step in [-1e-3, 1e-3] {
                let mut other = best.clone();
                other[i] += step;
                assert!(problem.loss(&other) > problem.loss(&best), "{i} {step}");
            }
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_none_and_what_is_separated_is_finite() {
        assert_eq!(fit(&[], &[], 2), None);
        assert_eq!(fit(&[1.0, 0.0, 2.0, 0.0], &[0, 0], 2), None);
        assert_eq!(fit(&[f32::NAN, 0.0, 2.0, 0.0], &[0, 1], 2), None);
        let fit = fit(&[3.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 4.0], &[0, 1, 0, 1], 2).unwrap();
        assert!(fit.temperature > 0.0 && fit.offset.iter().all(|b| b.is_finite()), "{fit:?}");
        let same = super::fit(&[1.0; 8], &[0, 1, 1, 1], 2).unwrap();
        assert!(same.temperature.is_finite() && same.offset[1] > same.offset[0], "{same:?}");
    }
}
