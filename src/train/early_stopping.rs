//! When to stop: once validation gets no better (paper, section 4.3.1).

use serde::{Deserialize, Serialize};

/// Watches the validation of every epoch. It is part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without an improvement after which training stops.
    pub patience: u32,
    /// Lowest loss so far.
    best_loss: Option<f64>,
    /// Highest accuracy so far.
    best_accuracy: Option<f64>,
    /// Epochs since either improved.
    waited: u32,
}

impl EarlyStopping {
    /// Stops after `patience` epochs in which neither the loss on validation
    /// fell below its lowest nor the accuracy rose above its highest: the
    /// paper ends when "the loss value on the validation set no longer
    /// decreases and the validation accuracy no longer increases".
    pub fn new(patience: u32) -> Self {
        Self { patience, best_loss: None, best_accuracy: None, waited: 0 }
    }

    /// Takes note of an epoch; returns whether to stop after it. What is not
    /// finite is no improvement.
    pub fn observe(&mut self, loss: f64, accuracy: f64) -> bool {
        let lower = loss.is_finite() && self.best_loss.is_none_or(|best| loss < best);
        let higher = accuracy.is_finite() && self.best_accuracy.is_none_or(|best| accuracy > best);
        if lower {
            self.best_loss = Some(loss);
        }
        if higher {
            self.best_accuracy = Some(accuracy);
        }
        self.waited = if lower || higher { 0 } else { self.waited + 1 };
        self.waited >= self.patience
    }

    /// Epochs since the last improvement.
    pub fn waited(&self) -> u32 {
        self.waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(patience: u32, epochs: &[(f64, f64)]) -> Option<usize> {
        let mut watch = EarlyStopping::new(patience);
        epochs.iter().position(|&(loss, accuracy)| watch.observe(loss, accuracy))
    }

    #[test]
    fn it_waits_for_loss_and_accuracy() {
        let better = (0.5, 0.90);
        let same = better;
        assert_eq!(stops(3, &[better, same, same, same]), Some(3));
        // A lower loss or a higher accuracy alone starts the count anew.
        assert_eq!(stops(3, &[better, same, same, (0.4, 0.8), same, same]), None);
        assert_eq!(stops(3, &[better, same, same, (0.6, 0.91), same, same]), None);
        // Better than the last is not better than the best.
        assert_eq!(stops(3, &[better, (0.9, 0.1), (0.8, 0.2), (0.7, 0.3)]), Some(3));
    }

    #[test]
    fn what_is_not_finite_is_no_improvement() {
        let bad = (f64::NAN, f64::NAN);
        assert_eq!(stops(2, &[bad, bad]), Some(1));
        assert_eq!(stops(2, &[bad, (f64::NEG_INFINITY, f64::INFINITY)]), Some(1));
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let mut watch = EarlyStopping::new(3);
        watch.observe(0.5, 0.9);
        watch.observe(0.5, 0.9);
        let text = serde_json::to_string(&watch).unwrap();
        let resumed: EarlyStopping = serde_json::from_str(&text).unwrap();
        assert_eq!(resumed, watch);
        assert_eq!(resumed.waited(), 1);
    }
}
