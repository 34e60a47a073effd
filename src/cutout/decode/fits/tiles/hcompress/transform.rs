//! The inverse H-transform: from sums and differences to pixels.
//!
//! A level doubles the block of sums in the upper left corner. The sums, the
//! differences along each axis and those along both lie in its quadrants; they
//! are interleaved, so that each square of 2 × 2 holds the four numbers of its
//! pixels, which then take their place. Low bits that the forward transform
//! rounded away are told by those of the other numbers.

use super::smooth::smooth;
use super::{Coefficient, Grid, halvings, levels};

/// Columns that are interleaved at a time, so that their rows stay in cache.
const STRIPE: usize = 64;

/// Turns coefficients into pixels. `smoothing` is the largest change that a
/// coefficient may be given on the way, zero for none.
pub fn invert<T: Coefficient>(grid: &mut Grid<'_, T>, smoothing: T) {
    let depth = levels(grid.rows, grid.columns);
    let sizes = halvings(grid.rows, depth).zip(halvings(grid.columns, depth)).skip(1);
    let one = T::of(1);
    let mut room = Vec::new();
    let first = Rounding::of(T::of(1) << (depth as usize + 1));
    grid.values[0] = first.round(grid.values[0]);
    for (level, (rows, columns)) in (0..depth as usize).rev().zip(sizes) {
        interleave(grid, rows, columns, &mut room);
        if smoothing > T::default() {
            smooth(grid, rows, columns, smoothing);
        }
        let bit = one << level;
        let step = Step {
            differences: Rounding::of(bit << 1),
            both: if level == 0 { Rounding::of_one() } else { Rounding::of(bit) },
            shift: if level == 0 { 2 } else { 1 },
        };
        step.expand(grid, rows, columns);
    }
}

/// Rounding to a multiple of a power of two, halves away from zero.
#[derive(Clone, Copy)]
struct Rounding<T> {
    bit: T,
    half: T,
    half_of_negative: T,
    mask: T,
}

impl<T: Coefficient> Rounding<T> {
    /// Rounding to a multiple of a power of two larger than one.
    fn of(bit: T) -> Self {
        let half = bit >> 1;
        Self { bit, half, half_of_negative: half - T::of(1), mask: -bit }
    }

    /// Rounding to a multiple of one.
    fn of_one() -> Self {
        let none = T::default();
        Self { bit: T::of(1), half: none, half_of_negative: none, mask: -T::of(1) }
    }

    fn round(&self, value: T) -> T {
        let half = if value >= T::default() { self.half } else { self.half_of_negative };
        (value + half) & self.mask
    }
}

/// What a level does to squares of four numbers.
struct Step<T> {
    differences: Rounding<T>,
    both: Rounding<T>,
    shift: usize,
}

impl<T: Coefficient> Step<T> {
    fn expand(&self, grid: &mut Grid<'_, T>, rows: usize, columns: usize) {
        let lines = grid.values.chunks_mut(2 * grid.columns).take(rows.div_ceil(2));
        for (row, lines) in (0..rows).step_by(2).zip(lines) {
            let (upper, lower) = lines.split_at_mut(grid.columns.min(lines.len()));
            if row + 1 < rows {
                self.two_lines(&mut upper[..columns], &mut lower[..columns]);
            } else {
                self.last_line(&mut upper[..columns]);
            }
        }
    }

    fn two_lines(&self, upper: &mut [T], lower: &mut [T]) {
        let (squares, upper_rest) = upper.as_chunks_mut();
        let (below, lower_rest) = lower.as_chunks_mut();
        for ([sum, y], [x, both]) in squares.iter_mut().zip(below) {
            (*sum, *y, *x, *both) = self.square(*sum, *x, *y, *both);
        }
        if let ([sum], [x]) = (upper_rest, lower_rest) {
            (*sum, *x) = self.pair(*sum, *x);
        }
    }

    fn last_line(&self, line: &mut [T]) {
        let (pairs, rest) = line.as_chunks_mut();
        for [sum, y] in pairs {
            (*sum, *y) = self.pair(*sum, *y);
        }
        if let [sum] = rest {
            *sum = *sum >> self.shift;
        }
    }

    /// The pixels above left, above right, below left and below right.
    #[inline]
    fn square(&self, sum: T, x: T, y: T, both: T) -> (T, T, T, T) {
        let none = T::default();
        let (x, y) = (self.differences.round(x), self.differences.round(y));
        let both = self.both.round(both);
        // The low bit of `both` belongs to the differences, ...
        let low = both & self.both.bit;
        let x = if x >= none { x - low } else { x + low };
        let y = if y >= none { y - low } else { y + low };
        // ... and the low bits of all to the sum.
        let next = (both ^ x ^ y) & self.differences.bit;
        let sum = if sum >= none {
            sum + low - next
        } else {
            sum + if low == none { next } else { low - next }
        };
        (
            (sum - x - y + both) >> self.shift,
            (sum - x + y - both) >> self.shift,
            (sum + x - y - both) >> self.shift,
            (sum + x + y + both) >> self.shift,
        )
    }

    /// The two pixels at an edge.
    #[inline]
    fn pair(&self, sum: T, difference: T) -> (T, T) {
        let difference = self.differences.round(difference);
        let low = difference & self.differences.bit;
        let sum = if sum >= T::default() { sum - low } else { sum + low };
        ((sum - difference) >> self.shift, (sum + difference) >> self.shift)
    }
}

/// Brings the quadrants of a block of `rows × columns` together: what lies at
/// `n` and `half + n` of an axis goes to `2n` and `2n + 1`.
fn interleave<T: Coefficient>(
    grid: &mut Grid<'_, T>,
    rows: usize,
    columns: usize,
    room: &mut Vec<T>,
) {
    for line in grid.values.chunks_mut(grid.columns).take(rows) {
        let line = &mut line[..columns];
        let half = columns.div_ceil(2);
        room.clear();
        room.extend_from_slice(&line[half..]);
        for n in (0..half).rev() {
            line[2 * n] = line[n];
        }
        for (to, from) in line.iter_mut().skip(1).step_by(2).zip(room.iter()) {
            *to = *from;
        }
    }
    let half = rows.div_ceil(2);
    for start in (0..columns).step_by(STRIPE) {
        let width = STRIPE.min(columns - start);
        let at = |row: usize| row * grid.columns + start;
        room.clear();
        for row in half..rows {
            room.extend_from_slice(&grid.values[at(row)..][..width]);
        }
        for row in (1..half).rev() {
            grid.values.copy_within(at(row)..at(row) + width, at(2 * row));
        }
        for (n, line) in room.chunks_exact(width).enumerate() {
            grid.values[at(2 * n + 1)..][..width].copy_from_slice(line);
        }
    }
}
