//! What a network's outputs are compared with, and the gradient of that.
//!
//! | loss | a row of targets | formula |
//! | --- | --- | --- |
//! | [`Loss::Classes`] | a distribution over all outputs | −Σ t · log softmax(z) |
//! | [`Loss::Fractions`] | for each question a distribution, or zeros | the same, question by question |
//! | [`Loss::Counts`] | for each question numbers of votes | −log of the Dirichlet-multinomial |
//!
//! The last is of Walmsley et al. 2022 (arXiv:2102.08414, equation 3): an output is
//! a concentration α = 1 + 100 σ(z), and k votes of n were drawn from
//! probabilities that were drawn from the Dirichlet distribution of these:
//! −log p = Σ [lnΓ(α) − lnΓ(k + α) + lnΓ(k + 1)] + lnΓ(n + A) − lnΓ(A) − lnΓ(n + 1),
//! where A = Σ α. A question of which nobody was asked adds nothing.
//!
//! In f64 throughout. Invariant: a row of zeros has the loss 0 and no gradient.

use std::ops::Range;

/// What outputs are compared with. Ranges are of the outputs of a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Loss {
    /// One question of all outputs.
    #[default]
    Classes,
    /// Questions, and fractions of their votes.
    Fractions(Vec<Range<usize>>),
    /// Questions, and numbers of their votes.
    Counts(Vec<Range<usize>>),
}

/// Greatest concentration less the least, which is 1.
pub const SPAN: f64 = 100.0;

/// The concentration that an output stands for.
pub fn concentration(output: f64) -> f64 {
    1.0 + SPAN / (1.0 + (-output).exp())
}

impl Loss {
    /// The loss of an image. Its gradient divided by `images` goes to `gradient`.
    ///
    /// # Panics
    /// If the lengths differ, or a range lies outside of them.
    pub fn row(&self, outputs: &[f32], targets: &[f32], images: f64, gradient: &mut [f32]) -> f64 {
        assert_eq!((outputs.len(), outputs.len()), (targets.len(), gradient.len()));
        match self {
            Self::Classes => cross_entropy(outputs, targets, images, gradient),
            Self::Fractions(questions) => questions
                .iter()
                .map(|of| {
                    let gradient = &mut gradient[of.clone()];
                    cross_entropy(&outputs[of.clone()], &targets[of.clone()], images, gradient)
                })
                .sum(),
            Self::Counts(questions) => questions
                .iter()
                .map(|of| {
                    let gradient = &mut gradient[of.clone()];
                    dirichlet(&outputs[of.clone()], &targets[of.clone()], images, gradient)
                })
                .sum(),
        }
    }
}

fn cross_entropy(outputs: &[f32], targets: &[f32], images: f64, gradient: &mut [f32]) -> f64 {
    let largest: f64 = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max).into();
    let sum: f64 = outputs.iter().map(|&z| (f64::from(z) - largest).exp()).sum();
    let total: f64 = targets.iter().map(|&t| f64::from(t)).sum();
    let mut loss = 0.0;
    for ((gradient, &output), &target) in gradient.iter_mut().zip(outputs).zip(targets) {
        let log = f64::from(output) - largest - sum.ln();
        let target = f64::from(target);
        loss -= target * log;
        *gradient = ((log.exp() * total - target) / images) as f32;
    }
    loss
}

fn dirichlet(outputs: &[f32], votes: &[f32], images: f64, gradient: &mut [f32]) -> f64 {
    let n: f64 = votes.iter().map(|&k| f64::from(k)).sum();
    if n == 0.0 {
        gradient.fill(0.0);
        return 0.0;
    }
    let sigmoid = |z: f32| 1.0 / (1.0 + (-f64::from(z)).exp());
    let all: f64 = outputs.iter().map(|&z| 1.0 + SPAN * sigmoid(z)).sum();
    let mut loss = ln_gamma(n + all) - ln_gamma(all) - ln_gamma(n + 1.0);
    let common = digamma(n + all) - digamma(all);
    for ((gradient, &output), &votes) in gradient.iter_mut().zip(outputs).zip(votes) {
        let (k, s) = (f64::from(votes), sigmoid(output));
        let alpha = 1.0 + SPAN * s;
        loss += ln_gamma(alpha) - ln_gamma(k + alpha) + ln_gamma(k + 1.0);
        let slope = common + digamma(alpha) - digamma(k + alpha);
        *gradient = (slope * SPAN * s * (1.0 - s) / images) as f32;
    }
    loss
}

/// From where the asymptotic series below is good to 1e-12.
const LARGE: f64 = 10.0;

/// ln Γ of a number greater than 0: Stirling's series, after recursion to where it
/// holds (Abramowitz & Stegun 6.1.41).
pub fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < LARGE {
        shift += x.ln();
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1260.0 - y / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

/// The derivative of [`ln_gamma`] (Abramowitz & Stegun 6.3.18).
pub fn digamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < LARGE {
        shift += 1.0 / x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = y * (1.0 / 12.0 - y * (1.0 / 120.0 - y * (1.0 / 252.0 - y / 240.0)));
    x.ln() - 0.5 / x - series - shift
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn gamma_at_numbers_that_are_known() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-11 * b.abs().max(1.0), "{a} {b}");
        close(ln_gamma(1.0), 0.0);
        close(ln_gamma(5.0), 24f64.ln());
        close(ln_gamma(0.5), 0.5 * std::f64::consts::PI.ln());
        close(ln_gamma(171.0), 706.573_062_245_787_4);
        close(digamma(1.0), -0.577_215_664_901_532_9);
        close(digamma(0.5), -1.963_510_026_021_423_5);
        close(digamma(101.0), 4.610_161_852_738_088);
        // The one is the other's slope.
        for x in [0.7, 3.3, 42.0] {
            let slope = (ln_gamma(x + 1e-5) - ln_gamma(x - 1e-5)) / 2e-5;
            assert!((slope - digamma(x)).abs() < 1e-8, "{x}");
        }
    }

    #[derive(Deserialize)]
    struct Case {
        kind: String,
        questions: Vec<usize>,
        outputs: Vec<f32>,
        targets: Vec<f32>,
        loss: f64,
        gradient: Vec<f64>,
    }

    /// `tests/oracles/live/votes.py` made the numbers with PyTorch's lgamma,
    /// log_softmax and automatic differentiation.
    #[test]
    fn losses_and_gradients_are_pytorchs() {
        let text = include_str!("../../fixtures/golden/votes.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert!(cases.len() >= 20);
        for case in cases {
            let mut ranges = Vec::new();
            let mut start = 0;
            for answers in case.questions {
                ranges.push(start..start + answers);
                start += answers;
            }
            let loss =
                if case.kind == "counts" { Loss::Counts(ranges) } else { Loss::Fractions(ranges) };
            let mut gradient = vec![9.0; case.outputs.len()];
            let found = loss.row(&case.outputs, &case.targets, 1.0, &mut gradient);
            let error = (found - case.loss).abs() / case.loss.abs().max(1.0);
            assert!(error < 1e-10, "{} {found} {}", case.kind, case.loss);
            for (found, expected) in gradient.iter().zip(case.gradient) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 1e-6 * expected.abs().max(1.0), "{found} {expected}");
            }
        }
    }

    #[test]
    fn nobody_asked_says_nothing() {
        let loss = Loss::Counts(vec![0..2, 2..4]);
        let mut gradient = [9.0; 4];
        let outputs = [0.3, -1.0, 2.0, 0.1];
        let all = loss.row(&outputs, &[3.0, 1.0, 0.0, 0.0], 2.0, &mut gradient);
        assert!(all > 0.0 && gradient[0] != 0.0);
        assert_eq!(gradient[2..], [0.0, 0.0]);
        assert_eq!(loss.row(&outputs, &[0.0; 4], 1.0, &mut gradient), 0.0);
        assert_eq!(gradient, [0.0; 4]);
    }
}
