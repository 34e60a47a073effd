//! Functions of a positive number as tables, looked up through its float bits.
//!
//! The exponent and the first bits of the mantissa of an `f32` are a logarithmic
//! index that costs a shift. Profiles of galaxies fall over many decades, so
//! such a table is as fine at the centre as in the wings, and no pixel needs a
//! power or an exponential.
//!
//! Invariant: arguments outside the table's range, zero and negative ones too,
//! give the value at its nearer end.

/// Mantissa bits in the index: 32 knots an octave.
const BITS: u32 = 5;
const SHIFT: u32 = 23 - BITS;

/// A function on `[2^low, 2^high]`, linear between knots.
#[derive(Debug, Clone)]
pub(super) struct Table {
    base: u32,
    low: f32,
    high: f32,
    values: Vec<f32>,
}

impl Table {
    /// Tabulates `function` between two powers of two.
    pub(super) fn new(low: i32, high: i32, function: impl Fn(f64) -> f64) -> Self {
        let (low, high) = ((2f32).powi(low), (2f32).powi(high));
        let base = low.to_bits() >> SHIFT;
        let last = high.to_bits() >> SHIFT;
        let values = (base..=last).map(|k| function(f64::from(knot(k))) as f32).collect();
        Self { base, low, high, values }
    }

    /// The function at `x`.
    #[inline]
    pub(super) fn at(&self, x: f32) -> f32 {
        // `max` and `min` also turn a NaN into a number inside the table.
        if x >= self.high {
            return self.values[self.values.len() - 1];
        }
        let bits = x.max(self.low).to_bits();
        let k = ((bits >> SHIFT) - self.base) as usize;
        let fraction = (bits & ((1 << SHIFT) - 1)) as f32 * (1.0 / (1u32 << SHIFT) as f32);
        let (a, b) = (self.values[k], self.values[k + 1]);
        a + (b - a) * fraction
    }

    /// The integral over the table's range, with the function held constant
    /// from zero to its lower end.
    pub(super) fn integral(&self) -> f64 {
        let inner = f64::from(self.low) * f64::from(self.values[0]);
        let pieces = self.values.windows(2).zip(self.base..).map(|(pair, k)| {
            let width = f64::from(knot(k + 1)) - f64::from(knot(k));
            0.5 * width * (f64::from(pair[0]) + f64::from(pair[1]))
        });
        inner + pieces.sum::<f64>()
    }

    /// For a falling function: the largest knot where it is still `limit`.
    pub(super) fn reach(&self, limit: f32) -> f32 {
        let count = self.values.partition_point(|&v| v >= limit) as u32;
        knot(self.base + count.min(self.values.len() as u32 - 1))
    }
}

fn knot(k: u32) -> f32 {
    f32::from_bits(k << SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_up_what_was_tabulated() {
        let table = Table::new(-10, 6, |x| (-x).exp());
        for x in [0.002f32, 0.1, 0.77, 1.0, 3.9] {
            let error = (table.at(x) - (-x).exp()).abs();
            assert!(error < 1e-3, "{x}: {error}");
        }
        assert_eq!(table.at(-1.0), table.at(0.0));
        assert_eq!(table.at(1e9), table.at(64.0));
        assert!(table.at(f32::NAN).is_finite());
    }

    #[test]
    fn integrates() {
        let table = Table::new(-16, 6, |x| (-x).exp());
        assert!((table.integral() - 1.0).abs() < 2e-4, "{}", table.integral());
    }

    #[test]
    fn reach_is_where_the_limit_is_passed() {
        let table = Table::new(-10, 6, |x| 1.0 / x);
        assert!((table.reach(0.5) - 2.0).abs() < 0.1);
        assert_eq!(table.reach(0.0), 64.0);
    }
}
