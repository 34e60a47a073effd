//! Sérsic's profile and what follows from it.
//!
//! `I(r) = I_e exp(-b_n [(r/R_e)^{1/n} - 1])`: n = 4 is de Vaucouleurs' law of
//! ellipticals, n = 1 an exponential disk, n = 0.5 a Gaussian. Indices are held
//! in tenths, so that all galaxies of a run share a few dozen tables.

use std::array;
use std::sync::{LazyLock, OnceLock};

use super::table::Table;

/// The largest index, in tenths.
const MOST_TENTHS: usize = 60;

/// `b_n`, which makes `R_e` the half-light radius: the asymptotic expansion of
/// Ciotti & Bertin (1999, A&A 352, 447, eq. 18), good to 1e-4 for n ≥ 0.5.
pub(super) fn b_n(n: f64) -> f64 {
    2.0 * n - 1.0 / 3.0
        + 4.0 / (405.0 * n)
        + 46.0 / (25_515.0 * n * n)
        + 131.0 / (1_148_175.0 * n.powi(3))
}

/// A Sérsic profile of unit flux and unit half-light radius, by the square of
/// the radius.
#[derive(Debug)]
pub(super) struct Profile {
    /// Surface brightness by `(r / R_e)²`.
    pub(super) brightness: Table,
}

impl Profile {
    /// The profile whose index is nearest to `n`, from 0.5 to 6.
    pub(super) fn nearest(n: f64) -> &'static Self {
        static PROFILES: LazyLock<[OnceLock<Profile>; MOST_TENTHS + 1]> =
            LazyLock::new(|| array::from_fn(|_| OnceLock::new()));
        let tenths = ((n * 10.0).round() as usize).clamp(5, MOST_TENTHS);
        PROFILES[tenths].get_or_init(|| Self::new(tenths as f64 / 10.0))
    }

    fn new(n: f64) -> Self {
        let b = b_n(n);
        // In t = r², dA = π dt. High indices are cusps with long wings: the
        // range holds more than 99.9 % of the light at n = 6.
        let shape = |t: f64| (-b * t.powf(0.5 / n)).exp();
        let light = std::f64::consts::PI * Table::new(-44, 20, shape).integral();
        Self { brightness: Table::new(-44, 20, |t| shape(t) / light) }
    }
}

/// Petrosian R90 of a Sérsic galaxy in units of its semi-major `R_e`.
///
/// Integrated numerically with SDSS's definition (the ratio 0.2, light within
/// two Petrosian radii of circular apertures); for axis ratio `q` a line through
/// the same integrals at q = 0.25 to 1, good to 10 %.
pub(super) fn r90_over_re(n: f64, q: f64) -> f64 {
    const ROUND: [(f64, f64); 7] =
        [(0.7, 2.02), (1.0, 2.28), (1.5, 2.58), (2.0, 2.72), (3.0, 2.70), (4.0, 2.50), (5.0, 2.22)];
    let n = n.clamp(ROUND[0].0, ROUND[ROUND.len() - 1].0);
    let k = ROUND.iter().rposition(|&(knot, _)| knot <= n).unwrap_or(0).min(ROUND.len() - 2);
    let ((n0, c0), (n1, c1)) = (ROUND[k], ROUND[k + 1]);
    (c0 + (c1 - c0) * (n - n0) / (n1 - n0)) * (0.55 + 0.45 * q)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    #[test]
    fn b_n_agrees_with_exact_values() {
        // Solutions of Γ(2n) = 2 γ(2n, b), Ciotti & Bertin's table 1.
        for (n, exact) in [(1.0, 1.678_346_99), (2.0, 3.672_060_7), (4.0, 7.669_249_4)] {
            assert!((b_n(n) - exact).abs() < 1e-4 * exact, "{n}: {}", b_n(n));
        }
    }

    #[test]
    fn unit_flux_agrees_with_the_closed_form() {
        // L = 2π n b^{-2n} Γ(2n) I_0 R_e²; Γ(2) = 1, Γ(4) = 6, Γ(8) = 5040.
        for (n, gamma) in [(1.0, 1.0), (2.0, 6.0), (4.0, 5040.0)] {
            let central = b_n(n).powf(2.0 * n) / (2.0 * PI * n * gamma);
            let at_re = f64::from(Profile::nearest(n).brightness.at(1.0));
            let expected = central * (-b_n(n)).exp();
            assert!((at_re / expected - 1.0).abs() < 2e-3, "{n}: {at_re} {expected}");
        }
    }

    #[test]
    fn half_the_light_is_within_re() {
        for n in [0.5, 1.0, 2.5, 5.0] {
            let table = &Profile::nearest(n).brightness;
            let steps = 200_000;
            let within: f64 = (0..steps)
                .map(|k| f64::from(table.at((k as f32 + 0.5) / steps as f32)))
                .sum::<f64>()
                * PI
                / f64::from(steps);
            assert!((within - 0.5).abs() < 5e-3, "{n}: {within}");
        }
    }

    #[test]
    fn petrosian_radius_of_known_profiles() {
        assert!((r90_over_re(1.0, 1.0) - 2.28).abs() < 1e-9);
        assert!((r90_over_re(4.0, 0.6) - 1.98).abs() < 0.1);
        assert!(r90_over_re(9.0, 1.0) > 2.0 && r90_over_re(0.1, 1.0) > 2.0);
    }
}
