//! The learning rate of every step: linear warm-up, then cosine annealing
//! (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts), then
//! constant.
//!
//! A rate is a function of the step alone, so a run that was cut off needs
//! nothing but its step to go on. It never rises again after the annealing,
//! as PyTorch's `CosineAnnealingLR` does past its `T_max`.

use serde::{Deserialize, Serialize};

/// When the rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Every {
    /// At the start of an epoch (the paper's code).
    #[default]
    Epoch,
    /// At every step.
    Step,
}

/// How the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// When it changes. Warm-up always changes at every step.
    #[serde(default)]
    pub every: Every,
    /// Epochs until the rate is at `minimum` (PyTorch's `T_max`), warm-up
    /// included.
    pub epochs: u32,
    /// Steps of linear warm-up: step `s` (from 0) has `(s + 1)/warmup_steps`
    /// of the rate.
    #[serde(default)]
    pub warmup_steps: u64,
    /// The rate at the end and after (PyTorch's `eta_min`).
    #[serde(default)]
    pub minimum: f64,
}

impl Schedule {
    /// The learning rate of a step, counted from 0 over all epochs, where the
    /// schedule begins at `base`.
    pub fn rate(&self, base: f64, step: u64, steps_per_epoch: u64) -> f64 {
        if step < self.warmup_steps {
            return base * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let per_epoch = steps_per_epoch.max(1);
        let end = u64::from(self.epochs) * per_epoch;
        if step >= end {
            return self.minimum;
        }
        let progress = match self.every {
            Every::Step => (step - self.warmup_steps) as f64 / (end - self.warmup_steps) as f64,
            // The epoch in which warm-up ends is the first of the annealing.
            Every::Epoch => {
                let first = self.warmup_steps / per_epoch;
                let epoch = step / per_epoch;
                (epoch - first) as f64 / (u64::from(self.epochs) - first) as f64
            }
        };
        let cosine = (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0;
        self.minimum + (base - self.minimum) * cosine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Case {
        base: f64,
        t_max: u32,
        eta_min: f64,
        warmup: u64,
        rates: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Golden {
        schedule: Vec<Case>,
    }

    /// `tests/oracles/live/training.py` made the numbers with PyTorch's
    /// `CosineAnnealingLR` and `LinearLR`.
    #[test]
    fn rates_are_pytorchs() {
        let text = include_str!("../../fixtures/golden/torch.json");
        let golden: Golden = serde_json::from_str(text).unwrap();
        assert!(golden.schedule.len() >= 3);
        for case in golden.schedule {
            let schedule = Schedule {
                every: Every::Step,
                epochs: case.t_max,
                warmup_steps: case.warmup,
                minimum: case.eta_min,
            };
            for (step, expected) in case.rates.iter().enumerate() {
                let found = schedule.rate(case.base, step as u64, 1);
                let tolerance = 1e-9 * case.base;
                assert!((found - expected).abs() < tolerance, "{step}: {found}, {expected}");
            }
        }
    }

    const PAPER: Schedule =
        Schedule { every: Every::Epoch, epochs: 150, warmup_steps: 0, minimum: 0.0 };

    #[test]
    fn a_rate_per_epoch_holds_for_the_epoch() {
        for epoch in 0..150 {
            let first = PAPER.rate(0.005, epoch * 960, 960);
            assert_eq!(first, PAPER.rate(0.005, epoch * 960 + 959, 960));
            assert_eq!(first, PAPER.rate(0.005, epoch, 1));
        }
    }

    #[test]
    fn the_rate_never_rises_after_the_warm_up() {
        for every in [Every::Epoch, Every::Step] {
            for minimum in [0.0, 1e-5] {
                let schedule = Schedule { every, minimum, warmup_steps: 100, ..PAPER };
                let rates: Vec<f64> =
                    (0..400 * 96).map(|step| schedule.rate(0.005, step, 96)).collect();
                assert!(rates[..100].windows(2).all(|w| w[0] < w[1]));
                assert_eq!(rates[99], 0.005);
                assert!(rates[99..].windows(2).all(|w| w[0] >= w[1]));
                assert!(rates[150 * 96..].iter().all(|&r| r == minimum));
            }
        }
    }

    #[test]
    fn a_warm_up_longer_than_the_run_is_all_there_is() {
        let schedule = Schedule { epochs: 1, warmup_steps: 30, ..PAPER };
        assert_eq!(schedule.rate(1.0, 14, 10), 0.5);
        assert_eq!(schedule.rate(1.0, 30, 10), 0.0);
    }
}
