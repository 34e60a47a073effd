//! Average precision: how well scores put those that are before those that are not.
//!
//! The galaxies are gone through from the highest score down; at each score, recall rises
//! by those that are, and the precision so far is weighted with the rise:
//! AP = Σ (Rₙ − Rₙ₋₁) Pₙ, without interpolation, as scikit-learn's
//! `average_precision_score` has it. Galaxies of one score come together.

/// The average precision of scores, each with whether the galaxy is; `None` if none is.
/// It is the share of those that are for scores that say nothing, and 1 for scores that
/// say all. A score that is not a number comes last.
pub fn average_precision(scores: impl IntoIterator<Item = (f64, bool)>) -> Option<f64> {
    let of =
        |(score, is): (f64, bool)| (if score.is_nan() { f64::NEG_INFINITY } else { score }, is);
    let mut scores: Vec<(f64, bool)> = scores.into_iter().map(of).collect();
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = scores.iter().filter(|(_, is)| *is).count();
    if all == 0 {
        return None;
    }
    let (mut found, mut looked, mut sum) = (0, 0, 0.0);
    for same in scores.chunk_by(|a, b| a.0 == b.0) {
        let own = same.iter().filter(|(_, is)| *is).count();
        found += own;
        looked += same.len();
        sum += own as f64 / all as f64 * (found as f64 / looked as f64);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let of = |scores: &[f64], is: &[u8]| {
            average_precision(scores.iter().copied().zip(is.iter().map(|is| *is == 1)))
        };
        // The example of scikit-learn's documentation.
        let found = of(&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1]).unwrap();
        assert!((found - 0.833_333_333_333).abs() < 1e-9, "{found}");
        assert_eq!(of(&[0.9, 0.8, 0.1], &[1, 1, 0]), Some(1.0));
        assert_eq!(of(&[0.5; 4], &[1, 0, 0, 0]), Some(0.25), "one score says nothing");
        assert_eq!(of(&[0.5, 0.4], &[0, 0]), None);
        assert_eq!(of(&[f64::NAN, 0.4], &[1, 0]), Some(0.5), "what is no score comes last");
        assert_eq!(of(&[], &[]), None);
    }
}
