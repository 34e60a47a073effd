//! Randomness that depends on what is drawn, never on when.
//!
//! Every galaxy has generators of its own, keyed by the run's seed, the
//! galaxy's index and the [`Purpose`] of the draw. So any range of a simulation
//! can be made by any number of threads, and drawing one more number for the
//! noise leaves the shapes as they were.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What a generator is for; each purpose has its own stream of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The class, where classes are drawn.
    Class = 1,
    /// The position on the sky.
    Position = 2,
    /// The galaxy's own parameters.
    Morphology = 3,
    /// Stars and galaxies beside it, seeing.
    Field = 4,
    /// Noise of the pixels.
    Noise = 5,
    /// What volunteers say of it.
    Votes = 6,
}

/// The generator for one purpose of one galaxy.
pub(super) fn generator(seed: u64, index: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&index.to_le_bytes());
    key[16] = purpose as u8;
    ChaCha8Rng::from_seed(key)
}

/// Draws that the parameters of galaxies need.
pub(super) trait Draw: Rng {
    /// Uniform in `[low, high)`.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.random::<f64>()
    }

    /// Normal, cut at three standard deviations so that no draw is absurd.
    fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let z: f64 = StandardNormal.sample(self);
        mean + deviation * z.clamp(-3.0, 3.0)
    }

    /// True with this probability.
    fn chance(&mut self, probability: f64) -> bool {
        self.random::<f64>() < probability
    }

    /// A Poisson count with a small mean (Knuth's product of uniforms).
    fn poisson(&mut self, mean: f64) -> usize {
        let limit = (-mean).exp();
        let mut product: f64 = self.random();
        let mut count = 0;
        while product > limit {
            product *= self.random::<f64>();
            count += 1;
        }
        count
    }
}

impl<R: Rng + ?Sized> Draw for R {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_index_and_purpose() {
        let first = |s, i, p| generator(s, i, p).random::<u64>();
        let base = first(1, 2, Purpose::Noise);
        assert_eq!(base, first(1, 2, Purpose::Noise));
        assert_ne!(base, first(2, 2, Purpose::Noise));
        assert_ne!(base, first(1, 3, Purpose::Noise));
        assert_ne!(base, first(1, 2, Purpose::Field));
    }

    #[test]
    fn poisson_has_its_mean_and_variance() {
        let mut rng = generator(3, 0, Purpose::Field);
        let draws: Vec<f64> = (0..20_000).map(|_| rng.poisson(7.0) as f64).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!((mean - 7.0).abs() < 0.1, "{mean}");
        assert!((variance - 7.0).abs() < 0.4, "{variance}");
    }
}
