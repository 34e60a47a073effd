//! Values of an image at the pixels of a grid.
//!
//! A pixel as small as the image's or smaller is interpolated between the four around
//! its centre, as `reproject_interp` does; a larger one is the mean of such values at
//! points spread evenly over it, no farther apart than the image's pixels. Values beyond
//! the image, and those of which an undefined pixel is a part, are NaN; up to half a
//! pixel beyond its outermost centres, the image goes on as it ends.
//!
//! Where a point lies between pixels is told in single precision from the window's corner
//! on, in a window of 512 pixels to a ten-thousandth of one: less than the map itself is off
//! by. In the largest, of 4,096, it is a thousandth, and there a pixel is the mean of hundreds.
//!
//! Invariant: a value depends on the image's pixels around it alone.

use std::ops::Range;

use super::map::{Map, Point, Run};

/// A part of an image: columns and rows of it, and their values row by row.
pub(super) struct Window {
    pub x: Range<usize>,
    pub y: Range<usize>,
    pub values: Vec<f32>,
}

/// Most points a side of a pixel: beyond that a mean over fewer is as good.
const POINTS: usize = 16;

/// Points that are worked on at once. So many that what is written for each of them by
/// itself has left the processor's queue of stores before it is read as vectors.
const LANES: usize = 256;

/// What is known of points that are worked on at once.
struct Work {
    /// Where they lie in the window; then, how far from the pixel to their left, and from
    /// the one below.
    x: [f32; LANES],
    y: [f32; LANES],
    /// The pixel to the left and below, in the window.
    at: [u32; LANES],
    /// The values of that pixel and its neighbour to the right, and of those above.
    lower: [[f32; 2]; LANES],
    upper: [[f32; 2]; LANES],
}

impl Work {
    const EMPTY: Self = Self {
        x: [0.0; LANES],
        y: [0.0; LANES],
        at: [0; LANES],
        lower: [[0.0; 2]; LANES],
        upper: [[0.0; 2]; LANES],
    };
}

/// Writes the values of the `size × size` pixels of a grid, times `factor`; `step` is the
/// side of one in pixels of the image, which has `image` columns and rows.
///
/// Compiled for the instruction sets of several processors, which all give the same bits:
/// no operation is joined with another.
#[multiversion::multiversion(targets("x86_64+avx512f+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn resample<F: Fn(f64, f64) -> Option<Point>>(
    window: &Window,
    image: (usize, usize),
    map: &Map<F>,
    step: f64,
    factor: f32,
    all: &mut [f32],
) {
    let size = map.size();
    // Rounding makes no larger pixels.
    let points = ((step - 1e-3).ceil().max(1.0) as usize).min(POINTS);
    // All are looked at, many at once.
    let holes = window.values.iter().fold(false, |holes, value| holes | value.is_nan());
    let (mut found, mut sums) = (vec![0.0; size * points], vec![(0.0_f32, 0_u32); size]);
    let mut work = Work::EMPTY;
    let part = 1.0 / points as f64;
    let first = (part - 1.0) / 2.0;
    for (y, out) in all.chunks_exact_mut(size).enumerate() {
        if points == 1 {
            values(window, image, holes, map, (y as f64, 0.0, 1.0), &mut work, out);
            out.iter_mut().for_each(|value| *value *= factor);
            continue;
        }
        sums.fill((0.0, 0));
        for line in 0..points {
            let down = y as f64 + first + line as f64 * part;
            values(window, image, holes, map, (down, first, part), &mut work, &mut found);
            for ((sum, count), points) in sums.iter_mut().zip(found.chunks_exact(points)) {
                for value in points.iter().filter(|value| !value.is_nan()) {
                    *sum += value;
                    *count += 1;
                }
            }
        }
        // Of a pixel less than half of which is defined nothing is said.
        let enough = (points * points).div_ceil(2) as u32;
        for (out, (sum, count)) in out.iter_mut().zip(&sums) {
            let mean = sum / *count as f32;
            *out = if *count >= enough { mean * factor } else { f32::NAN };
        }
    }
}

/// The values at the points `(start + k step, y)` of the grid; `holes` is whether some pixel
/// of the window is undefined.
#[inline(always)]
fn values<F: Fn(f64, f64) -> Option<Point>>(
    window: &Window,
    image: (usize, usize),
    holes: bool,
    map: &Map<F>,
    (y, start, step): (f64, f64, f64),
    work: &mut Work,
    out: &mut [f32],
) {
    let mut from = 0;
    while from < out.len() {
        let run = map.run(y, start, step, from, out.len());
        let end = run.as_ref().map_or(out.len(), |run| run.end).min(from + LANES);
        let all = (&run, from..end, (y, start, step));
        place(window, map, all.clone(), work);
        let out = &mut out[from..end];
        let done = match holes {
            true => inner::<true>(window, work, out),
            false => inner::<false>(window, work, out),
        };
        if !done {
            place(window, map, all, work);
            for ((x, y), out) in work.x.iter().zip(&work.y).zip(out) {
                *out = value(window, image, (*x, *y));
            }
        }
        from = end;
    }
}

/// The window's first pixel.
#[inline(always)]
fn corner(window: &Window) -> Point {
    (window.x.start as f64, window.y.start as f64)
}

/// Where points lie in the window: those of a range of the points `(start + k step, y)`, which
/// a run follows, or none does.
#[inline(always)]
fn place<F: Fn(f64, f64) -> Option<Point>>(
    window: &Window,
    map: &Map<F>,
    (run, range, (y, start, step)): (&Option<Run>, Range<usize>, (f64, f64, f64)),
    work: &mut Work,
) {
    if let Some(run) = run {
        return follow(window, run, &mut work.x[..range.len()], &mut work.y[..range.len()]);
    }
    let (left, bottom) = corner(window);
    for ((u, v), k) in work.x.iter_mut().zip(&mut work.y).zip(range) {
        let (x, y) = map.exact(start + k as f64 * step, y);
        (*u, *v) = ((x - left) as f32, (y - bottom) as f32);
    }
}

/// Where the points of a run lie in the window.
#[inline(always)]
fn follow(window: &Window, run: &Run, xs: &mut [f32], ys: &mut [f32]) {
    let (left, bottom) = corner(window);
    let single = |[a, b, c]: [f64; 3], from: f64| ((a - from) as f32, b as f32, c as f32);
    let (x, y) = (single(run.x, left), single(run.y, bottom));
    // No more than LANES.
    for (k, (u, v)) in (0..xs.len() as i32).zip(xs.iter_mut().zip(ys)) {
        let k = k as f32;
        *u = x.0 + k * (x.1 + k * x.2);
        *v = y.0 + k * (y.1 + k * y.2);
    }
}

/// The values at points, if all have their four pixels in the window: what [`value`]
/// gives, without a question for each.
#[inline(always)]
fn inner<const HOLES: bool>(window: &Window, work: &mut Work, out: &mut [f32]) -> bool {
    let (right, top) = (window.x.len() as f32 - 1.0, window.y.len() as f32 - 1.0);
    let (wide, count) = (window.x.len(), out.len());
    let Work { x, y, at, lower, upper } = work;
    let (x, y, at) = (&mut x[..count], &mut y[..count], &mut at[..count]);
    let mut inside = true;
    for ((x, y), at) in x.iter_mut().zip(y.iter_mut()).zip(at.iter_mut()) {
        // Not so for NaN.
        inside &= (*x >= 0.0) & (*x < right) & (*y >= 0.0) & (*y < top);
        let (column, line) = (floor(*x), floor(*y));
        (*x, *y) = (*x - column, *y - line);
        // A window has fewer than 2^32 pixels.
        *at = whole(line).wrapping_mul(wide as u32).wrapping_add(whole(column));
    }
    if !inside {
        return false;
    }
    for ((at, lower), upper) in at.iter().zip(lower.iter_mut()).zip(upper.iter_mut()) {
        let from = &window.values[*at as usize..][..wide + 2];
        *lower = [from[0], from[1]];
        *upper = [from[wide], from[wide + 1]];
    }
    let parts = x.iter().zip(y.iter());
    for (((lower, upper), (across, up)), out) in lower.iter().zip(upper.iter()).zip(parts).zip(out)
    {
        let low = between::<HOLES>(lower[0], lower[1], *across);
        let high = between::<HOLES>(upper[0], upper[1], *across);
        *out = between::<HOLES>(low, high, *up);
    }
    true
}

/// A part of the way from one value to another; where it is none, the other does not
/// count, even if it is undefined.
#[inline(always)]
fn between<const HOLES: bool>(a: f32, b: f32, part: f32) -> f32 {
    if HOLES && part == 0.0 { a } else { a + (b - a) * part }
}

/// Beyond it floats are whole numbers: to add it is to round.
const WHOLE: f32 = (1_u32 << 23) as f32;

/// The whole number below one from 0 on that is smaller than [`WHOLE`].
#[inline(always)]
fn floor(value: f32) -> f32 {
    let near = (value + WHOLE) - WHOLE;
    if near > value { near - 1.0 } else { near }
}

/// A whole number from 0 on that is smaller than [`WHOLE`], as an integer; of others it is any.
#[inline(always)]
fn whole(value: f32) -> u32 {
    (value + WHOLE).to_bits().wrapping_sub(WHOLE.to_bits())
}

/// The value at a point of the window.
fn value(window: &Window, (width, height): (usize, usize), (x, y): (f32, f32)) -> f32 {
    // The image, as seen from the window's corner.
    let side = |length: usize, start: usize| {
        let (first, last) = (-(start as f32), (length - 1 - start) as f32);
        (first, last)
    };
    let (left, right) = side(width, window.x.start);
    let (bottom, top) = side(height, window.y.start);
    // Not so for NaN.
    let is_there =
        (left - 0.5..=right + 0.5).contains(&x) && (bottom - 0.5..=top + 0.5).contains(&y);
    if !is_there {
        return f32::NAN;
    }
    let (x, y) = (x.clamp(left, right), y.clamp(bottom, top));
    if x < 0.0 || y < 0.0 {
        return f32::NAN;
    }
    let (across, up) = (x - floor(x), y - floor(y));
    let (left, lower) = (x as usize, y as usize);
    // Beyond its last pixel the image goes on as it ends, and a window as the image.
    let right = (left + 1).min(width - 1 - window.x.start);
    let upper = (lower + 1).min(height - 1 - window.y.start);
    let (wide, high) = (window.x.len(), window.y.len());
    if left >= wide || right >= wide || lower >= high || upper >= high {
        return f32::NAN;
    }
    let of = |line: usize| &window.values[line * wide..][..wide];
    let (lower, upper) = (of(lower), of(upper));
    let low = between::<true>(lower[left], lower[right], across);
    let high = between::<true>(upper[left], upper[right], across);
    between::<true>(low, high, up)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many pixels a side as the map has.
    fn resampled<F: Fn(f64, f64) -> Option<Point>>(
        window: &Window,
        image: (usize, usize),
        map: &Map<F>,
        step: f64,
    ) -> Vec<f32> {
        let mut found = vec![7.0; map.size().pow(2)];
        resample(window, image, map, step, 1.0, &mut found);
        found
    }

    fn window(width: usize, height: usize) -> Window {
        let values = (0..width * height).map(|k| (k % width * 2 + k / width * 10) as f32).collect();
        Window { x: 0..width, y: 0..height, values }
    }

    #[test]
    fn a_plane_is_itself_wherever_it_is_looked_at() {
        let map = Map::new(8, |x: f64, y: f64| Some((3.25 + 0.5 * x, 2.5 + 0.7 * y)));
        let found = resampled(&window(20, 20), (20, 20), &map, 0.5);
        for (k, value) in found.iter().enumerate() {
            let (x, y) = (3.25 + 0.5 * (k % 8) as f32, 2.5 + 0.7 * (k / 8) as f32);
            assert!((value - (2.0 * x + 10.0 * y)).abs() < 1e-3, "{k}");
        }
        // Larger pixels: means of a plane are its values in the middle.
        let map = Map::new(4, |x: f64, y: f64| Some((4.0 + 2.5 * x, 5.0 + 2.5 * y)));
        let found = resampled(&window(20, 20), (20, 20), &map, 2.5);
        for (k, value) in found.iter().enumerate() {
            let (x, y) = (4.0 + 2.5 * (k % 4) as f32, 5.0 + 2.5 * (k / 4) as f32);
            assert!((value - (2.0 * x + 10.0 * y)).abs() < 1e-3, "{k}");
        }
    }

    /// Lines of more points than are worked on at once, which several polynomials follow.
    #[test]
    fn long_lines_are_followed_to_their_end() {
        let exact = |x: f64, y: f64| {
            let (x, y) = (x / 3.0, y / 3.0);
            (4.0 + 0.9 * x - 0.1 * y + 3e-6 * x.powi(3), 3.0 + 0.2 * x + 0.7 * y + 3e-6 * y.powi(3))
        };
        let map = Map::new(600, |x: f64, y: f64| Some(exact(x, y + 200.0)));
        let window = window(260, 280);
        let found = resampled(&window, (260, 280), &map, 0.3);
        let mut inside = 0;
        for (k, value) in found.iter().enumerate() {
            let (x, y) = exact((k % 600) as f64, (k / 600 + 200) as f64);
            if (0.0..259.0).contains(&x) && (0.0..279.0).contains(&y) {
                assert!((f64::from(*value) - (2.0 * x + 10.0 * y)).abs() < 5e-3, "{k}: {value}");
                inside += 1;
            }
        }
        assert!(inside > 300_000, "{inside}");
    }

    /// Many points at once and each by itself, inside a window, across its edges and
    /// beyond, with and without holes: the same bits.
    #[test]
    fn many_points_at_once_are_those_of_each_by_itself() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(9);
        for round in 0..60 {
            let (wide, high) = (random.random_range(2..30), random.random_range(2..30));
            let (x, y) = (random.random_range(0..9), random.random_range(0..9));
            let image =
                (x + wide + random.random_range(0..5), y + high + random.random_range(0..5));
            let mut values: Vec<f32> = (0..wide * high).map(|_| random.random()).collect();
            if round % 2 == 1 {
                let hole = random.random_range(0..values.len());
                values[hole] = f32::NAN;
            }
            let window = Window { x: x..x + wide, y: y..y + high, values };
            let scale = random.random_range(0.05..1.0);
            // Some on whole pixels, where the next does not count.
            let whole = round % 3 == 0;
            let map = Map::new(90, |u: f64, v: f64| {
                let at = |start: usize, k: f64| start as f64 + scale * k - 1.0;
                let (u, v) = (at(x, u), at(y, v));
                Some(if whole { (u.round(), v.round()) } else { (u, v) })
            });
            let found = resampled(&window, image, &map, 0.9);
            let (left, bottom) = corner(&window);
            for (y, found) in found.chunks_exact(90).enumerate() {
                let exact: Vec<Point> =
                    (0..90).map(|k| map.exact(f64::from(k), y as f64)).collect();
                let (mut xs, mut ys) = (vec![0.0; 90], vec![0.0; 90]);
                let mut k = 0;
                while k < 90 {
                    let Some(run) = map.run(y as f64, 0.0, 1.0, k, 90) else {
                        (xs[k], ys[k]) = ((exact[k].0 - left) as f32, (exact[k].1 - bottom) as f32);
                        k += 1;
                        continue;
                    };
                    follow(&window, &run, &mut xs[k..run.end], &mut ys[k..run.end]);
                    k = run.end;
                }
                for (((x, y), found), exact) in xs.iter().zip(&ys).zip(found).zip(exact) {
                    let alone = value(&window, image, (*x, *y));
                    assert!(
                        found.to_bits() == alone.to_bits() || (found.is_nan() && alone.is_nan())
                    );
                    let off = (f64::from(*x) + left - exact.0, f64::from(*y) + bottom - exact.1);
                    assert!(whole || off.0.abs().max(off.1.abs()) < 1e-4, "{off:?}");
                }
            }
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
        assert!(at(-0.6, 0.0).is_nan() && at(0.0, 5.6).is_nan() && at(f32::NAN, 1.0).is_nan());
        let part = Window { x: 2..4, y: 2..4, values: vec![1.0; 4] };
        assert!(value(&part, (6, 6), (-0.5, 0.0)).is_nan());
        assert_eq!(value(&part, (6, 6), (0.5, 0.5)), 1.0);
    }
}
