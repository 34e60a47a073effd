//! Calibration: whether a label of confidence 0.9 is right nine times in ten.
//!
//! Confidences are sorted into [`BINS`] bins of equal width, each without its
//! lower and with its upper edge (0 is in the first). The expected calibration
//! error is the mean over all predictions of |accuracy − mean confidence| of
//! their bin (Guo et al. 2017, arXiv:1706.04599, equation 3).
//!
//! That error is never 0 of few predictions: were each confidence exact, the
//! accuracy of a bin would still scatter about it. How much of an error is to be
//! expected by that chance alone is given beside it ([`Calibration::chance_error`]).

use serde::Serialize;

use super::ratio;

/// Bins, as in Guo et al.
pub const BINS: usize = 15;

/// Predictions by their confidence.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calibration {
    bins: [Bin; BINS],
}

/// The predictions whose confidence is in one bin.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Bin {
    /// How many there are.
    pub count: u64,
    /// How many are right.
    pub correct: u64,
    /// Sum of their confidences.
    pub confidence: f64,
}

impl Calibration {
    /// Of no predictions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a prediction of `confidence`, 0 to 1.
    pub fn add(&mut self, confidence: f64, correct: bool) {
        // NaN becomes 0: a confidence that is none.
        let place = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[place.clamp(1, BINS) - 1];
        bin.count += 1;
        bin.correct += u64::from(correct);
        bin.confidence += confidence;
    }

    /// The bins, from the lowest confidence to the highest.
    pub fn bins(&self) -> &[Bin; BINS] {
        &self.bins
    }

    /// The expected calibration error, 0 to 1; 0 for no predictions.
    pub fn expected_error(&self) -> f64 {
        let total: u64 = self.bins.iter().map(|b| b.count).sum();
        let gap = |bin: &Bin| (bin.correct as f64 - bin.confidence).abs();
        let sum: f64 = self.bins.iter().map(gap).sum();
        if total == 0 { 0.0 } else { sum / total as f64 }
    }

    /// What [`expected_error`](Self::expected_error) would be on average if every
    /// confidence were the probability of being right, 0 to 1: an error that is not
    /// greater says nothing against the confidences. Each bin's predictions are
    /// taken to be right with its mean confidence, independently.
    pub fn chance_error(&self) -> f64 {
        let total: u64 = self.bins.iter().map(|b| b.count).sum();
        let sum: f64 = self.bins.iter().map(|b| deviation(b.count, b.confidence)).sum();
        if total == 0 { 0.0 } else { sum / total as f64 }
    }
}

/// The mean absolute deviation E|X − np| of a binomial X of `n` trials and mean
/// `expected` = np: 2ν·C(n, ν)·pᵛ·qⁿ⁻ᵛ⁺¹ with ν = ⌊np⌋ + 1 (De Moivre; Diaconis and
/// Zabell 1991, Statistical Science 6, equation 1.1).
fn deviation(n: u64, expected: f64) -> f64 {
    // Of a greater variance √(2npq/π), the limit, is exact to a few parts in a hundred
    // thousand, whatever p is.
    const SUMMED: f64 = 10_000.0;
    let trials = n as f64;
    let p = expected / trials;
    // Of none, of NaN, and where the outcome is certain.
    if !(p > 0.0 && p < 1.0) {
        return 0.0;
    }
    let variance = trials * p * (1.0 - p);
    if variance > SUMMED {
        return (2.0 * variance / std::f64::consts::PI).sqrt();
    }
    let above = (expected.floor() as u64 + 1).min(n);
    // The fewer of those that are right and those that are not: some twice the variance.
    let few = above.min(n - above);
    let chosen: f64 = (1..=few).map(|k| ((n - few + k) as f64 / k as f64).ln()).sum();
    let log = chosen + above as f64 * p.ln() + (n - above + 1) as f64 * (1.0 - p).ln();
    2.0 * above as f64 * log.exp()
}

impl Bin {
    /// The fraction that is right; 0 for an empty bin.
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut calibration = Calibration::new();
        // Bin 15: mean 0.96, half right. Bin 8 (0.4667 to 0.5333): 0.5, right.
        for (confidence, correct) in [(0.95, true), (0.97, false), (0.5, true), (0.5, true)] {
            calibration.add(confidence, correct);
        }
        let expected = (2.0 * (0.96 - 0.5) + 2.0 * (1.0 - 0.5)) / 4.0;
        assert!((calibration.expected_error() - expected).abs() < 1e-15);
        assert_eq!(calibration.bins()[14].accuracy(), 0.5);
    }

    /// Against the sum over all outcomes, which is its definition.
    #[test]
    fn deviation_of_a_binomial() {
        for (n, p) in [(1u64, 0.3), (4, 0.5), (7, 0.9), (12, 0.25), (60, 0.77)] {
            let mut chance = (1.0f64 - p).powi(n as i32);
            let mut sum = 0.0;
            for k in 0..=n {
                sum += chance * (k as f64 - n as f64 * p).abs();
                chance *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
            }
            let found = deviation(n, n as f64 * p);
            assert!((found - sum).abs() < 1e-12, "{n} {p}: {found} {sum}");
        }
        // Of very many that are nearly all right, by those that are not: far from the limit.
        let (n, wrong) = (2_000_000u64, 2e-6);
        let (mut chance, mut sum) = ((n as f64 * f64::ln_1p(-wrong)).exp(), 0.0);
        for k in 0..60 {
            sum += chance * (k as f64 - n as f64 * wrong).abs();
            chance *= (n - k) as f64 / (k + 1) as f64 * wrong / (1.0 - wrong);
        }
        let found = deviation(n, n as f64 * (1.0 - wrong));
        assert!((found / sum - 1.0).abs() < 1e-6, "{found} {sum}");
        // Both ways of computing it meet, wherever p lies.
        for p in [0.5, 0.01, 0.999] {
            let n = (10_000.0 / (p * (1.0 - p))) as u64;
            let of = |n: u64| deviation(n, n as f64 * p) / (n as f64).sqrt();
            let (summed, limit) = (of(n - 10), of(n + 10));
            assert!((summed / limit - 1.0).abs() < 1e-4, "{p}: {summed} {limit}");
        }
        for certain in [(0, 0.0), (5, 5.0), (5, 0.0), (5, f64::NAN)] {
            assert_eq!(deviation(certain.0, certain.1), 0.0);
        }
    }

    #[test]
    fn chance_is_told_of_few() {
        let mut few = Calibration::new();
        // Two at one half in one bin: E|X − 1| = 1/2.
        few.add(0.5, true);
        few.add(0.5, false);
        assert!((few.chance_error() - 0.25).abs() < 1e-15);
        assert_eq!(few.expected_error(), 0.0);
        assert_eq!(Calibration::new().chance_error(), 0.0);
    }

    #[test]
    fn edges_belong_to_the_bin_below() {
        let mut calibration = Calibration::new();
        for confidence in [0.0, 0.2, 0.2000001, 1.0] {
            calibration.add(confidence, true);
        }
        let counts = calibration.bins().map(|b| b.count);
        assert_eq!((counts[0], counts[2], counts[3], counts[14]), (1, 1, 1, 1));
        assert_eq!(Calibration::new().expected_error(), 0.0);
    }
}
