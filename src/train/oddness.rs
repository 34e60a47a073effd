//! What tells pictures unlike those that a model learned from
//! ([`crate::model::oddness`]), fitted once its weights stand: the directions in
//! which features of training galaxies vary most, and the distances of galaxies
//! that were not learned from.
//!
//! Nothing here runs a network. Invariant: the same features give the same bits,
//! with any number of threads.

use rayon::prelude::*;

use crate::model::oddness::{About, DISTANCES, Oddness};
use crate::vectors::principal::{moments, principal};
use crate::words::counted;

/// Directions that are kept, of features that are longer.
pub const COMPONENTS: usize = 128;

/// Galaxies of each kind that are looked at, at most. Of Galaxy Zoo 2 these tell all
/// that 1,400 do, and little more (`benches/RESULTS.md`).
pub const ENOUGH: usize = 4096;

/// Galaxies of each kind below which nothing is told: a percentile of few says
/// little.
pub const LEAST: usize = 200;

/// Variance that is added along each direction, as a part of the mean one:
/// directions that hardly vary among training galaxies are not to decide alone.
const SHRINKAGE: f64 = 0.01;

/// Fits the features of galaxies, row by row: of those that the network learned
/// from, and of others.
///
/// # Errors
/// A phrase for a person, if there are too few, or features that are not finite.
pub fn fit(
    network: &str,
    features: usize,
    learned: &[f32],
    held_out: &[f32],
) -> Result<Oddness, String> {
    let (fitted, held) = (learned.len() / features, held_out.len() / features);
    if fitted < LEAST || held < LEAST {
        return Err(format!(
            "{} learned from and {}: {LEAST} of each are needed to tell odd ones",
            counted(fitted as u64, "galaxy that was", "galaxies that were"),
            counted(held as u64, "other", "others")
        ));
    }
    if !learned.iter().chain(held_out).all(|value| value.is_finite()) {
        return Err("the network gives features that are not finite".into());
    }
    let components = COMPONENTS.min(features / 2).min(fitted / 4).max(1);
    let (mean, covariance) = moments(learned, features);
    let total: f64 = (0..features).map(|k| covariance[k * features + k]).sum();
    let (directions, variances) = principal(&covariance, features, components);
    let kept: f64 = variances.iter().sum();
    let floor = SHRINKAGE * total / features as f64;
    let rest = ((total - kept) / (features - components) as f64).max(0.0) + floor;
    let about = About {
        network: network.to_owned(),
        features,
        components,
        fitted: fitted as u64,
        held_out: held as u64,
    };
    let positive = |variance: f64| (variance as f32).max(f32::MIN_POSITIVE);
    let mut oddness = Oddness {
        about,
        mean: mean.iter().map(|value| *value as f32).collect(),
        directions: directions.iter().map(|value| *value as f32).collect(),
        variances: variances.iter().map(|v| positive(v + floor)).chain([positive(rest)]).collect(),
        distances: Vec::new(),
    };
    let mut distances: Vec<f32> =
        held_out.par_chunks_exact(features).map(|row| oddness.distance(row)).collect();
    distances.sort_by(f32::total_cmp);
    oddness.distances = (0..DISTANCES).map(|step| quantile(&distances, step)).collect();
    Ok(oddness)
}

/// The distance below which `step` thousandths lie, between two where it must.
fn quantile(sorted: &[f32], step: usize) -> f32 {
    let place = step as f64 / (DISTANCES - 1) as f64 * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    let between = f64::from(sorted[below]) * (1.0 - part) + f64::from(sorted[above]) * part;
    // Rounding must not put two in the wrong order.
    (between as f32).clamp(sorted[below], sorted[above])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::vectors::principal::{dot, times};

    /// Rows of normal numbers with these deviations, turned about.
    fn rows(count: usize, deviations: &[f64], seed: u64) -> Vec<f32> {
        let mut stream = Stream::new("rows", seed, &[]);
        let mut normal = || (0..12).map(|_| stream.unit()).sum::<f64>() - 6.0;
        let mut rows = Vec::new();
        for _ in 0..count {
            let own: Vec<f64> = deviations.iter().map(|d| d * normal()).collect();
            // Neighbours mixed, and a mean of 3.
            for k in 0..own.len() {
                let next = own[(k + 1) % own.len()];
                rows.push((3.0 + 0.8 * own[k] + 0.6 * next) as f32);
            }
        }
        rows
    }

    const DEVIATIONS: [f64; 12] = [5.0, 0.1, 3.0, 0.1, 2.0, 0.1, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1];

    #[test]
    fn held_out_galaxies_fill_the_percentiles_evenly_and_others_lie_beyond() {
        let (learned, held) = (rows(3000, &DEVIATIONS, 1), rows(2000, &DEVIATIONS, 2));
        let oddness = fit("stage1", 12, &learned, &held).unwrap();
        assert_eq!((oddness.about.components, oddness.about.fitted), (6, 3000));
        let others = rows(2000, &DEVIATIONS, 3);
        let mut told: Vec<f32> =
            others.chunks_exact(12).map(|row| oddness.of(row).unwrap()).collect();
        told.sort_by(f32::total_cmp);
        for (share, place) in [(0.1, 200), (0.5, 1000), (0.9, 1800)] {
            assert!((told[place] - 100.0 * share).abs() < 4.0, "{share}: {}", told[place]);
        }
        // Off in a direction in which nothing varies.
        let mut odd = others[..12].to_vec();
        odd[7] += 4.0;
        odd[9] -= 4.0;
        assert_eq!(oddness.of(&odd), Some(100.0));
        // Not in one in which much does: the first of those that were mixed, which
        // is seen in its own place and in the last.
        let mut usual = vec![3.0; 12];
        usual[0] += 2.0;
        usual[11] += 1.5;
        assert!(oddness.of(&usual).unwrap() < 60.0);
        assert_eq!(oddness.of(&[f32::NAN; 12]), None);
    }

    #[test]
    fn directions_are_those_of_the_covariance() {
        let learned = rows(2500, &DEVIATIONS, 4);
        let (_, covariance) = moments(&learned, 12);
        let (directions, variances) = principal(&covariance, 12, 4);
        for (place, (row, variance)) in directions.chunks_exact(12).zip(&variances).enumerate() {
            let turned = times(row, &covariance, 12);
            for (a, b) in turned.iter().zip(row) {
                assert!((a - variance * b).abs() < 1e-6 * variances[0], "{place}: {a} {b}");
            }
            for other in directions.chunks_exact(12).take(place) {
                assert!(dot(row, other).abs() < 1e-9);
            }
            assert!((dot(row, row) - 1.0).abs() < 1e-9);
        }
        assert!(variances.windows(2).all(|pair| pair[0] >= pair[1]));
    }

    #[test]
    fn the_same_features_give_the_same_bits() {
        let (learned, held) = (rows(300, &DEVIATIONS, 5), rows(300, &DEVIATIONS, 6));
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit("stage1", 12, &learned, &held).unwrap())
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn few_galaxies_and_odd_numbers_are_refused() {
        let many = rows(300, &DEVIATIONS, 7);
        let few = fit("stage1", 12, &many, &many[..12 * 150]).unwrap_err();
        assert!(few.contains("150"), "{few}");
        let mut broken = many.clone();
        broken[5] = f32::INFINITY;
        assert!(fit("stage1", 12, &many, &broken).unwrap_err().contains("finite"));
        // Features that never vary are no reason to fail.
        let flat = vec![2.0; 12 * 300];
        let oddness = fit("stage1", 12, &flat, &flat).unwrap();
        assert!(oddness.of(&[2.0; 12]).is_some());
    }
}
