//! What is true of a simulated galaxy before a pixel of it exists.
//!
//! It depends on the seed and the index alone: neither the size of the cutout
//! nor the format changes it. How such a galaxy is drawn is left to
//! [`super::scene`].

use crate::cutout::SkyPosition;
use crate::simulate::Class;

use super::random::{Draw, Purpose, generator};

/// How the classes of a simulation are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Classes {
    /// Each in turn, in the order of [`Class::ALL`].
    #[default]
    Balanced,
    /// Drawn with these weights, in the order of [`Class::ALL`].
    Weighted([f64; 5]),
}

impl Classes {
    /// Weights as unequal as Galaxy Zoo 2's clean sample is (HIWL paper,
    /// table 2).
    pub const GALAXY_ZOO: Self = Self::Weighted([8434.0, 8069.0, 578.0, 3903.0, 7806.0]);

    /// Whether a class can be drawn: weights are finite, none is negative, and
    /// one is positive.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Balanced => true,
            Self::Weighted(weights) => {
                weights.iter().all(|w| w.is_finite() && *w >= 0.0)
                    && weights.iter().sum::<f64>().is_normal()
            }
        }
    }

    pub(super) fn pick(&self, seed: u64, index: u64) -> Class {
        let weights = match self {
            Self::Balanced => return Class::ALL[(index % 5) as usize],
            Self::Weighted(weights) => weights,
        };
        let total: f64 = weights.iter().sum();
        let mut rest = generator(seed, index, Purpose::Class).between(0.0, total);
        let mut picked = Class::ALL[0];
        for (class, &weight) in Class::ALL.into_iter().zip(weights) {
            if weight > 0.0 {
                picked = class;
                if rest < weight {
                    break;
                }
                rest -= weight;
            }
        }
        picked
    }
}

/// A row of the truth table.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Nineteen digits, as SDSS's `objid`; unique within a seed.
    pub id: String,
    /// Its class.
    pub class: Class,
    /// Where it is on the sky, which is the centre of its cutout.
    pub position: SkyPosition,
    /// Petrosian R90 in arcseconds, which sets the scale of its cutout.
    pub petro_r90: f64,
}

impl Truth {
    pub(super) fn draw(seed: u64, index: u64, classes: &Classes) -> Self {
        let class = classes.pick(seed, index);
        let mut rng = generator(seed, index, Purpose::Position);
        // SDSS's northern cap, evenly by area.
        let ra = rng.between(120.0, 240.0);
        let dec = rng.between(0.0, 60f64.to_radians().sin()).asin().to_degrees();
        // Arms are only seen, and voted for, in galaxies well resolved.
        let typical = if class == Class::Spi { 7.5 } else { 5.5 };
        let petro_r90 = (typical * rng.normal(0.0, 0.35).exp()).clamp(0.5 * typical, 18.0);
        Self { id: object_id(seed, index), class, position: SkyPosition { ra, dec }, petro_r90 }
    }
}

/// `1237` as in SDSS, and fifteen digits that count through all of their values
/// in steps coprime to 10¹⁵: they look drawn, and never repeat.
fn object_id(seed: u64, index: u64) -> String {
    const VALUES: u128 = 1_000_000_000_000_000;
    const STEP: u128 = 618_033_988_749_893;
    let start = u128::from(seed) * 0x9E37_79B9_7F4A_7C15;
    format!("1237{:015}", (start + u128::from(index) * STEP) % VALUES)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_look_like_sdss() {
        let ids: HashSet<String> = (0..100_000).map(|k| object_id(7, k)).collect();
        assert_eq!(ids.len(), 100_000);
        assert!(ids.iter().all(|id| id.len() == 19 && id.parse::<i64>().is_ok()));
        // The step shares no factor with 10^15 = 2^15 5^15.
        assert_ne!(618_033_988_749_893u64 % 2, 0);
        assert_ne!(618_033_988_749_893u64 % 5, 0);
    }

    #[test]
    fn classes_are_balanced_or_follow_their_weights() {
        let count = |classes: &Classes| {
            let mut counts = [0usize; 5];
            for k in 0..10_000 {
                counts[classes.pick(5, k) as usize] += 1;
            }
            counts
        };
        assert_eq!(count(&Classes::Balanced), [2000; 5]);
        let counts = count(&Classes::Weighted([0.0, 3.0, 0.0, 1.0, 0.0]));
        assert_eq!(counts[1] + counts[3], 10_000);
        assert!((7300..7700).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn weights_that_cannot_be_drawn_from_are_invalid() {
        assert!(Classes::GALAXY_ZOO.is_valid());
        for weights in [[0.0; 5], [1.0, -1.0, 1.0, 1.0, 1.0], [f64::NAN; 5], [f64::INFINITY; 5]] {
            assert!(!Classes::Weighted(weights).is_valid(), "{weights:?}");
        }
    }

    #[test]
    fn positions_are_in_the_survey() {
        for k in 0..500 {
            let truth = Truth::draw(1, k, &Classes::Balanced);
            assert!((120.0..240.0).contains(&truth.position.ra));
            assert!((0.0..60.0).contains(&truth.position.dec));
            assert!((2.75..=18.0).contains(&truth.petro_r90));
        }
    }
}
