//! Where a model of a run is: the part of a checkpoint that is no tensor.
//!
//! Everything random is drawn from keys (seed, epoch, step, id), so the
//! position says all there is to say of random numbers. It is kept as TOML,
//! which writes floats such that the same are read back, infinities and all.

use serde::{Deserialize, Serialize};

use crate::train::early_stopping::EarlyStopping;
use crate::train::history::Epoch;
use crate::train::recipe::Training;

/// The version of the format that is written and read.
pub const FORMAT: u32 = 1;

/// Where a model of a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// [`FORMAT`].
    pub format: u32,
    /// SHA-256 of the run's `run.json`, which pins recipe and data.
    pub run: String,
    /// Which model.
    pub model: String,
    /// Epochs done, validation included.
    pub epoch: u32,
    /// Steps done in the epoch at hand.
    pub step: u64,
    /// Whether there is nothing left to learn.
    pub finished: bool,
    /// Updates of the average of weights.
    pub average_updates: u64,
    /// Steps of the optimiser.
    pub optimizer_steps: u64,
    /// Sums over the epoch at hand.
    pub sums: Sums,
    /// Whether to stop early.
    pub stopping: EarlyStopping,
    /// The best epochs, the best first.
    pub best: Vec<Best>,
    /// A line an epoch.
    pub history: Vec<Epoch>,
}

/// Sums over the steps of an epoch so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// Images learned.
    pub images: u64,
    /// Those that the network had right while it learned.
    pub correct: u64,
    /// Those of which it is not known what is right.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown: u64,
    /// Sum of their losses.
    pub loss: f64,
    /// Seconds spent.
    pub seconds: f64,
}

impl Sums {
    /// Mean loss an image.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.images as f64
    }

    /// Fraction right of the images of which it is known.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / (self.images - self.unknown).max(1) as f64
    }

    /// Images a second.
    pub fn rate(&self) -> f64 {
        self.images as f64 / self.seconds.max(1e-9)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// An epoch whose weights are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// From 1.
    pub epoch: u32,
    /// The place of its phase.
    pub phase: usize,
    /// On validation.
    pub accuracy: f64,
    /// On validation.
    pub loss: f64,
}

impl State {
    /// Before the first step.
    pub fn new(run: &str, model: &str, training: &Training) -> Self {
        Self {
            format: FORMAT,
            run: run.to_owned(),
            model: model.to_owned(),
            epoch: 0,
            step: 0,
            finished: false,
            average_updates: 0,
            optimizer_steps: 0,
            sums: Sums::default(),
            stopping: EarlyStopping::new(training.patience),
            best: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Takes note of an epoch's weights if they are among the `keep` best.
    /// Those of a later phase come first, since it saw what every use of the
    /// model sees; then the higher accuracy, the lower loss, the earlier
    /// epoch; an accuracy or a loss that is no number is the worst. Returns whether they
    /// are.
    pub fn rank(&mut self, candidate: Best, keep: usize) -> bool {
        let epoch = candidate.epoch;
        self.best.push(candidate);
        // `total_cmp` puts what is no number before or behind all others by its sign.
        let or = |value: f64, worst: f64| if value.is_nan() { worst } else { value };
        let accuracy = |best: &Best| or(best.accuracy, f64::NEG_INFINITY);
        let loss = |best: &Best| or(best.loss, f64::INFINITY);
        self.best.sort_by(|a, b| {
            let by_phase = b.phase.cmp(&a.phase);
            let by_accuracy = accuracy(b).total_cmp(&accuracy(a));
            by_phase.then(by_accuracy).then(loss(a).total_cmp(&loss(b))).then(a.epoch.cmp(&b.epoch))
        });
        self.best.truncate(keep);
        self.best.iter().any(|best| best.epoch == epoch)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::train::recipe::Recipe;

    fn state() -> State {
        let recipe = Recipe::read(Path::new("train-best")).unwrap();
        State::new("digest", "stage1", recipe.training(&recipe.models[0]))
    }

    fn best(epoch: u32, phase: usize, accuracy: f64) -> Best {
        Best { epoch, phase, accuracy, loss: 1.0 - accuracy }
    }

    #[test]
    fn the_best_of_the_last_phase_are_kept() {
        let mut state = state();
        assert!(state.rank(best(1, 0, 0.99), 2));
        assert!(state.rank(best(2, 1, 0.90), 2));
        assert!(state.rank(best(3, 1, 0.95), 2));
        assert!(!state.rank(best(4, 1, 0.90), 2), "a tie goes to the earlier");
        assert!(state.rank(best(5, 1, 0.93), 2));
        let epochs: Vec<u32> = state.best.iter().map(|b| b.epoch).collect();
        assert_eq!(epochs, [3, 5]);
    }

    #[test]
    fn what_is_no_number_is_never_the_best() {
        for none in [f64::NAN, -f64::NAN] {
            let mut state = state();
            state.rank(best(1, 0, none), 3);
            state.rank(best(2, 0, 0.5), 3);
            state.rank(Best { loss: none, ..best(3, 0, 0.7) }, 3);
            state.rank(best(4, 0, 0.7), 3);
            let epochs: Vec<u32> = state.best.iter().map(|b| b.epoch).collect();
            assert_eq!(epochs, [4, 3, 2], "{none:?}");
        }
    }

    #[test]
    fn every_float_is_read_back_as_it_was() {
        let mut state = state();
        state.sums = Sums { images: 7, correct: 3, unknown: 2, loss: 0.1 + 0.2, seconds: 1e-300 };
        state.stopping.observe(1.0 / 3.0, 2.0 / 3.0);
        state.rank(best(1, 0, 0.1 + 0.7), 3);
        state.history.push(Epoch {
            model: "stage1".into(),
            epoch: 1,
            size: 64,
            learning_rate: 0.05 / 3.0,
            train_loss: f64::INFINITY,
            train_accuracy: 0.1 + 0.2,
            val_loss: f64::MAX,
            val_accuracy: 1.0 / 7.0,
            images_per_s: 12.5,
            seconds: 3.0,
            recall: vec![("CSS+EO".into(), 1.0 / 3.0), ("SPI".into(), 1.0)],
        });
        let text = toml::to_string(&state).unwrap();
        assert_eq!(toml::from_str::<State>(&text).unwrap(), state, "{text}");
    }
}
