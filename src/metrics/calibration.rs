//! Calibration: whether a label of confidence 0.9 is right nine times in ten.
//!
//! Confidences are sorted into [`BINS`] bins of equal width, each without its
//! lower and with its upper edge (0 is in the first). The expected calibration
//! error is the mean over all predictions of |accuracy − mean confidence| of
//! their bin (Guo et al. 2017, arXiv:1706.04599, equation 3).

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
