//! Powers and logarithms that are the same bits on any machine.
//!
//! Those of the system's library differ in their last bits from one to another, and
//! a map of vectors enlarges that until two machines draw two maps. These need no
//! more than IEEE 754's exact operations, and are within a few units of the last
//! place.

use std::f64::consts::{LOG2_E, SQRT_2};

/// ln 2 in two parts: products of the first with small integers are exact.
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];

/// `e` to the power of `x`, for any `x` up to 0; 0 below −700.
pub fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let power = (x * LOG2_E).round();
    let rest = (x - power * LN_2[0]) - power * LN_2[1];
    // Taylor's series: |rest| < 0.35, so the first term left out is below 1e-18.
    let series = (1..=14).rev().fold(1.0, |sum, k| 1.0 + sum * rest / f64::from(k));
    series * power_of_two(power as i64)
}

/// The natural logarithm of a positive, normal number.
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut power = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut part = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if part > SQRT_2 {
        part /= 2.0;
        power += 1;
    }
    // ln m = 2 artanh((m − 1) / (m + 1)), whose argument is below 0.172.
    let z = (part - 1.0) / (part + 1.0);
    let series = (0..12).rev().fold(0.0, |sum, k| sum * z * z + 1.0 / f64::from(2 * k + 1));
    let power = power as f64;
    power * LN_2[0] + (2.0 * z * series + power * LN_2[1])
}

fn power_of_two(power: i64) -> f64 {
    f64::from_bits(((power + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_system_but_for_the_last_bits() {
        for k in 0..20_000 {
            let x = -f64::from(k) * 0.0351;
            if x >= -700.0 {
                assert!((exp(x) / x.exp() - 1.0).abs() < 1e-15, "{x}");
            }
            let y = f64::from(k + 1) * 1.37e-3;
            let (found, expected) = (ln(y), y.ln());
            assert!((found - expected).abs() <= 4e-16 * expected.abs().max(1.0), "{y}");
            assert!(x < -690.0 || (ln(exp(x)) - x).abs() < 1e-12 * x.abs().max(1.0), "{x}");
        }
        assert_eq!((exp(0.0), exp(-1e6), ln(1.0)), (1.0, 0.0, 0.0));
    }
}
