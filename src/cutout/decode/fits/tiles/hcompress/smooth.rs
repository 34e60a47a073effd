//! Smoothing of a tile that was coded coarsely (SMOOTH = 1).
//!
//! Before a level is expanded, its differences are moved towards the slopes
//! that the neighbouring sums suggest, by no more than the rounding of the
//! forward transform can have taken away, and never so that pixels overshoot
//! their neighbours.

use super::{Coefficient, Grid};

/// Adjusts the interleaved block of `rows × columns` by at most `most` a
/// coefficient.
pub fn smooth<T: Coefficient>(grid: &mut Grid<'_, T>, rows: usize, columns: usize, most: T) {
    let (across, values) = (grid.columns, &mut *grid.values);
    let inner = |length: usize| (2..length.saturating_sub(2)).step_by(2);
    for row in inner(rows) {
        for at in (0..columns).step_by(2).map(|column| row * across + column) {
            let sums = [values[at - 2 * across], values[at], values[at + 2 * across]];
            values[at + across] += along_an_axis(sums, values[at + across], most);
        }
    }
    for row in (0..rows).step_by(2) {
        for at in inner(columns).map(|column| row * across + column) {
            let sums = [values[at - 2], values[at], values[at + 2]];
            values[at + 1] += along_an_axis(sums, values[at + 1], most);
        }
    }
    for row in inner(rows) {
        for at in inner(columns).map(|column| row * across + column) {
            let (above, below) = (at - 2 * across, at + 2 * across);
            let sums = Sums {
                middle: values[at],
                above: [values[above - 2], values[above + 2]],
                below: [values[below - 2], values[below + 2]],
            };
            let slopes = [values[at + across] << 1, values[at + 1] << 1];
            let both = values[at + across + 1];
            values[at + across + 1] = both + along_both(&sums, slopes, both, most);
        }
    }
}

/// The sums of a square and of its neighbours on the diagonals, left and right.
struct Sums<T> {
    middle: T,
    above: [T; 2],
    below: [T; 2],
}

/// The change of a difference between neighbours along an axis, from the sums
/// before, here and after.
fn along_an_axis<T: Coefficient>([before, here, after]: [T; 3], difference: T, most: T) -> T {
    let none = T::default();
    let (up, down) = (after - here, here - before);
    let highest = up.min(down).max(none) << 2;
    let lowest = up.max(down).min(none) << 2;
    if lowest >= highest {
        return none;
    }
    // Eight times the slope that matches the neighbours.
    let wanted = (after - before).min(highest).max(lowest);
    limited(wanted - (difference << 3), 3, most)
}

/// The change of a difference along both axes; `slopes` are twice those along
/// each.
fn along_both<T: Coefficient>(sums: &Sums<T>, slopes: [T; 2], difference: T, most: T) -> T {
    let none = T::default();
    let Sums { middle, above: [above_left, above_right], below: [below_left, below_right] } = *sums;
    let [x, y] = slopes;
    let one = |bound: &dyn Fn(T) -> T| {
        [
            bound(below_right - middle) - x - y,
            bound(middle - below_left) + x - y,
            bound(middle - above_right) - x + y,
            bound(above_left - middle) + x + y,
        ]
    };
    let [a, b, c, d] = one(&|value| value.max(none));
    let highest = a.min(b).min(c.min(d)) << 4;
    let [a, b, c, d] = one(&|value| value.min(none));
    let lowest = a.max(b).max(c.max(d)) << 4;
    if lowest >= highest {
        return none;
    }
    // 64 times the difference that matches the neighbours.
    let wanted = below_right + above_left - above_right - below_left;
    limited(wanted.min(highest).max(lowest) - (difference << 6), 6, most)
}

/// A change divided by `2^bits`, towards zero, and limited.
fn limited<T: Coefficient>(change: T, bits: usize, most: T) -> T {
    let none = T::default();
    let all = (T::of(1) << bits) - T::of(1);
    let change = if change >= none { change >> bits } else { (change + all) >> bits };
    change.min(most).max(-most)
}
