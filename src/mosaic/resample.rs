//! Values of an image at the pixels of a grid.
//!
//! A pixel as small as the image's or smaller is interpolated between the four around
//! its centre, as `reproject_interp` does; a larger one is the mean of such values at
//! points spread evenly over it, no farther apart than the image's pixels. Values beyond
//! the image, and those of which an undefined pixel is a part, are NaN; up to half a
//! pixel beyond its outermost centres, the image goes on as it ends.
//!
//! Invariant: a value depends on the image's pixels around it alone.

use std::ops::Range;

use super::map::{Map, Point};

/// A part of an image: columns and rows of it, and their values row by row.
pub(super) struct Window {
    pub x: Range<usize>,
    pub y: Range<usize>,
    pub values: Vec<f32>,
}

/// Most points a side of a pixel: beyond that a mean over fewer is as good.
const POINTS: usize = 16;

/// The values of the `size × size` pixels of a grid; `step` is the side of one in pixels
/// of the image, which has `image` columns and rows.
pub(super) fn resample<F: Fn(f64, f64) -> Option<Point>>(
    window: &Window,
    image: (usize, usize),
    map: &Map<F>,
    size: usize,
    step: f64,
) -> Vec<f32> {
    // Rounding makes no larger pixels.
    let points = ((step - 1e-3).ceil().max(1.0) as usize).min(POINTS);
    let mut row = vec![(0.0, 0.0); size * points];
    let mut sums = vec![(0.0_f32, 0_u32); size];
    let mut all = Vec::with_capacity(size * size);
    let part = 1.0 / points as f64;
    let first = (part - 1.0) / 2.0;
    for y in 0..size {
        if points == 1 {
            map.row(y as f64, 0.0, 1.0, &mut row);
            all.extend(row.iter().map(|point| value(window, image, *point)));
            continue;
        }
        sums.fill((0.0, 0));
        for line in 0..points {
            map.row(y as f64 + first + line as f64 * part, first, part, &mut row);
            for ((sum, count), points) in sums.iter_mut().zip(row.chunks_exact(points)) {
                for point in points {
                    let value = value(window, image, *point);
                    if !value.is_nan() {
                        *sum += value;
                        *count += 1;
                    }
                }
            }
        }
        // Of a pixel less than half of which is defined nothing is said.
        let enough = (points * points).div_ceil(2) as u32;
        let mean = |(sum, count): &(f32, u32)| {
            if *count >= enough { sum / *count as f32 } else { f32::NAN }
        };
        all.extend(sums.iter().map(mean));
    }
    all
}

/// The value at a point.
#[inline]
fn value(window: &Window, (width, height): (usize, usize), (x, y): Point) -> f32 {
    let (right, top) = (width as f64 - 0.5, height as f64 - 0.5);
    // Not so for NaN.
    if !((-0.5..=right).contains(&x) && (-0.5..=top).contains(&y)) {
        return f32::NAN;
    }
    let (x, y) = (x.clamp(0.0, right - 0.5), y.clamp(0.0, top - 0.5));
    let (column, line) = (x as usize, y as usize);
    let (across, up) = ((x - column as f64) as f32, (y - line as f64) as f32);
    let (next, above) = ((column + 1).min(width - 1), (line + 1).min(height - 1));
    if column < window.x.start
        || next >= window.x.end
        || line < window.y.start
        || above >= window.y.end
    {
        return f32::NAN;
    }
    let wide = window.x.len();
    let lower = &window.values[(line - window.y.start) * wide..][..wide];
    let upper = &window.values[(above - window.y.start) * wide..][..wide];
    let (left, right) = (column - window.x.start, next - window.x.start);
    let between = |a: f32, b: f32, part: f32| if part == 0.0 { a } else { a + (b - a) * part };
    let low = between(lower[left], lower[right], across);
    if up == 0.0 {
        return low;
    }
    between(low, between(upper[left], upper[right], across), up)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(width: usize, height: usize) -> Window {
        let values = (0..width * height).map(|k| (k % width * 2 + k / width * 10) as f32).collect();
        Window { x: 0..width, y: 0..height, values }
    }

    #[test]
    fn a_plane_is_itself_wherever_it_is_looked_at() {
        let map = Map::new(8, |x: f64, y: f64| Some((3.25 + 0.5 * x, 2.5 + 0.7 * y)));
        let found = resample(&window(20, 20), (20, 20), &map, 8, 0.5);
        for (k, value) in found.iter().enumerate() {
            let (x, y) = (3.25 + 0.5 * (k % 8) as f32, 2.5 + 0.7 * (k / 8) as f32);
            assert!((value - (2.0 * x + 10.0 * y)).abs() < 1e-3, "{k}");
        }
        // Larger pixels: means of a plane are its values in the middle.
        let map = Map::new(4, |x: f64, y: f64| Some((4.0 + 2.5 * x, 5.0 + 2.5 * y)));
        let found = resample(&window(20, 20), (20, 20), &map, 4, 2.5);
        for (k, value) in found.iter().enumerate() {
            let (x, y) = (4.0 + 2.5 * (k % 4) as f32, 5.0 + 2.5 * (k / 4) as f32);
            assert!((value - (2.0 * x + 10.0 * y)).abs() < 1e-3, "{k}");
        }
    }

    #[test]
    fn what_is_not_defined_is_not_made_up() {
        let mut holed = window(6, 6);
        holed.values[2 * 6 + 3] = f32::NAN;
        let at = |x, y| value(&holed, (6, 6), (x, y));
        assert!(at(2.5, 2.0).is_nan() && at(3.0, 1.5).is_nan() && at(3.0, 2.0).is_nan());
        // A whole pixel beside it is not touched.
        assert_eq!(at(2.0, 2.0), 24.0);
        assert_eq!((at(-0.5, 0.0), at(5.5, 5.5)), (0.0, 60.0));
        assert!(at(-0.6, 0.0).is_nan() && at(0.0, 5.6).is_nan() && at(f64::NAN, 1.0).is_nan());
        let part = Window { x: 2..4, y: 2..4, values: vec![1.0; 4] };
        assert!(value(&part, (6, 6), (1.5, 2.0)).is_nan());
        assert_eq!(value(&part, (6, 6), (2.5, 2.5)), 1.0);
    }
}
