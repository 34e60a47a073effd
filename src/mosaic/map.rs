//! Where the pixels of a small grid lie in an image.
//!
//! The way from one projection to another is smooth, and a cutout is small: within a
//! few patches quadratic polynomials follow it to [`PRECISE`] of a pixel, which is
//! checked between the points that they go through. Where they do not, as beside a
//! pole, every point is computed.

/// Most by which a patch may be off, in pixels of the image.
const PRECISE: f64 = 2e-4;

/// Most patches a side.
const PATCHES: usize = 16;

/// Pixel coordinates of an image, from 0.
pub(super) type Point = (f64, f64);

/// From a grid of `size × size` pixels into an image.
pub(super) struct Map<F> {
    size: usize,
    exact: F,
    /// Patches a side, row by row; none where every point is computed.
    patches: Vec<Patch>,
    side: usize,
}

/// Where the points of a patch lie: polynomials in s from -1 to 1 across and t from -1 to 1
/// down, by powers of s and of t.
#[derive(Clone, Copy)]
struct Patch([[Point; 3]; 3]);

/// Points on a line of a grid that one polynomial follows, up to `end`: the `k`th from the
/// first has the coordinates `x[0] + k x[1] + k² x[2]`, and `y` alike.
pub(super) struct Run {
    pub end: usize,
    pub x: [f64; 3],
    pub y: [f64; 3],
}

impl<F: Fn(f64, f64) -> Option<Point>> Map<F> {
    /// The map that `exact` computes, for the pixels of a grid, whose centres have
    /// whole coordinates from 0.
    pub fn new(size: usize, exact: F) -> Self {
        let mut side = 1;
        while side <= PATCHES {
            if let Some(patches) = patches(size, side, &exact) {
                return Self { size, exact, patches, side };
            }
            side *= 2;
        }
        Self { size, exact, patches: Vec::new(), side: 0 }
    }

    /// Pixels a side of the grid.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Where a point lies, by the map itself; NaN where it lies nowhere.
    #[inline(always)]
    pub fn exact(&self, x: f64, y: f64) -> Point {
        (self.exact)(x, y).unwrap_or((f64::NAN, f64::NAN))
    }

    /// Where of the points `(start + k step, y)` those from `k` = `from` on lie that are
    /// followed together, one at least, at most up to `count`; `None` where every point is
    /// computed.
    #[inline(always)]
    pub fn run(&self, y: f64, start: f64, step: f64, from: usize, count: usize) -> Option<Run> {
        if self.patches.is_empty() {
            return None;
        }
        let length = self.size as f64 / self.side as f64;
        let place = |at: f64| (((at + 0.5) / length) as usize).min(self.side - 1);
        let edge = |patch: usize| patch as f64 * length - 0.5;
        let (row, column) = (place(y), place(start + from as f64 * step));
        let t = 2.0 * (y - edge(row)) / length - 1.0;
        let [a, b, c] = self.patches[row * self.side + column].along(t);
        // Up to the first point of the next patch, whatever rounding does.
        let next = ((edge(column + 1) - start) / step).ceil() as usize;
        let is_last = column + 1 == self.side;
        let end = if is_last { count } else { next.max(from + 1).min(count) };
        let first = 2.0 * (start + from as f64 * step - edge(column)) / length - 1.0;
        let each = 2.0 * step / length;
        let of = |a: f64, b: f64, c: f64| {
            [a + first * (b + first * c), each * (b + 2.0 * first * c), each * each * c]
        };
        Some(Run { end, x: of(a.0, b.0, c.0), y: of(a.1, b.1, c.1) })
    }

    /// Where the points `(start + k step, y)` lie: `xs` and `ys`, as many of one as of the
    /// other; NaN where they lie nowhere.
    pub fn row(&self, y: f64, start: f64, step: f64, xs: &mut [f64], ys: &mut [f64]) {
        let mut k = 0;
        while k < xs.len() {
            let Some(run) = self.run(y, start, step, k, xs.len()) else {
                (xs[k], ys[k]) = self.exact(start + k as f64 * step, y);
                k += 1;
                continue;
            };
            let points = xs[k..run.end].iter_mut().zip(&mut ys[k..run.end]);
            for (n, (x, y)) in points.enumerate() {
                let at = |[a, b, c]: [f64; 3]| a + n as f64 * (b + n as f64 * c);
                (*x, *y) = (at(run.x), at(run.y));
            }
            k = run.end;
        }
    }

    /// The least and the greatest coordinates of the grid's edge, and so of all of it;
    /// `None` where some of it lies nowhere.
    pub fn bounds(&self) -> Option<[(f64, f64); 2]> {
        let last = self.size as f64 - 0.5;
        let mut all = [(f64::INFINITY, f64::NEG_INFINITY); 2];
        let mut whole = true;
        let mut take = |xs: &[f64], ys: &[f64]| {
            for (bound, values) in all.iter_mut().zip([xs, ys]) {
                for value in values {
                    *bound = (bound.0.min(*value), bound.1.max(*value));
                    whole &= value.is_finite();
                }
            }
        };
        let (mut xs, mut ys) = (vec![0.0; self.size + 1], vec![0.0; self.size + 1]);
        for y in [-0.5, last] {
            self.row(y, -0.5, 1.0, &mut xs, &mut ys);
            take(&xs, &ys);
        }
        for y in 0..self.size {
            self.row(y as f64, -0.5, self.size as f64, &mut xs[..2], &mut ys[..2]);
            take(&xs[..2], &ys[..2]);
        }
        whole.then_some(all)
    }

    /// By how many whole pixels the image is moved against the grid, if it is the same
    /// grid to within `most` of a pixel.
    pub fn shift(&self, most: f64) -> Option<(i64, i64)> {
        let [patch] = self.patches[..] else { return None };
        let half = self.size as f64 / 2.0;
        let (x0, y0) = patch.at(-1.0, -1.0);
        let (dx, dy) = ((x0 + 0.5).round(), (y0 + 0.5).round());
        let is_same = |s: f64, t: f64| {
            let ((u, v), x, y) = (patch.at(s, t), (s + 1.0) * half - 0.5, (t + 1.0) * half - 0.5);
            (u - x - dx).abs() <= most && (v - y - dy).abs() <= most
        };
        let nodes = [-1.0, 0.0, 1.0];
        let same = nodes.iter().all(|t| nodes.iter().all(|s| is_same(*s, *t)));
        (same && dx.abs() < 1e15 && dy.abs() < 1e15).then_some((dx as i64, dy as i64))
    }
}

/// The patches of a grid, if they follow the map.
fn patches(
    size: usize,
    side: usize,
    exact: &impl Fn(f64, f64) -> Option<Point>,
) -> Option<Vec<Patch>> {
    let length = size as f64 / side as f64;
    let mut all = Vec::with_capacity(side * side);
    for row in 0..side {
        for column in 0..side {
            let (x0, y0) = (column as f64 * length - 0.5, row as f64 * length - 0.5);
            let at = |s: f64, t: f64| exact(x0 + s * length, y0 + t * length);
            let mut points = [[(0.0, 0.0); 3]; 3];
            for (line, t) in points.iter_mut().zip([0.0, 0.5, 1.0]) {
                for (point, s) in line.iter_mut().zip([0.0, 0.5, 1.0]) {
                    *point = at(s, t)?;
                }
            }
            let patch = Patch::through(points);
            for (s, t) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75), (0.25, 0.5)] {
                let (x, y) = at(s, t)?;
                let found = patch.at(2.0 * s - 1.0, 2.0 * t - 1.0);
                let off = (found.0 - x).abs().max((found.1 - y).abs());
                if off.is_nan() || off > PRECISE {
                    return None;
                }
            }
            all.push(patch);
        }
    }
    Some(all)
}

impl Patch {
    /// Through nine points: corners, the middles of sides, the middle, line by line.
    fn through(points: [[Point; 3]; 3]) -> Self {
        let one = |p: f64, q: f64, r: f64| [q, (r - p) / 2.0, (p + r) / 2.0 - q];
        let three = |[p, q, r]: [Point; 3]| {
            let (x, y) = (one(p.0, q.0, r.0), one(p.1, q.1, r.1));
            [0, 1, 2].map(|power| (x[power], y[power]))
        };
        // By powers of s for each line, then by those of t.
        let lines = points.map(three);
        Self([0, 1, 2].map(|power| three(lines.map(|line| line[power]))))
    }

    /// The polynomial in s, by its powers, at a t.
    #[inline(always)]
    fn along(&self, t: f64) -> [Point; 3] {
        self.0.map(|[a, b, c]| (a.0 + t * (b.0 + t * c.0), a.1 + t * (b.1 + t * c.1)))
    }

    /// Where a point lies.
    fn at(&self, s: f64, t: f64) -> Point {
        let [a, b, c] = self.along(t);
        (a.0 + s * (b.0 + s * c.0), a.1 + s * (b.1 + s * c.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_smooth_is_followed_and_what_is_not_is_computed() {
        let smooth = |x: f64, y: f64| {
            Some((
                900.0 - 1.7 * x + 0.2 * y + 1e-4 * x * y,
                40.0 + 0.3 * x + 1.8 * y + 1e-6 * y.powi(3),
            ))
        };
        let kinked = |x: f64, y: f64| Some(((x - 31.3).abs() * 3.0, y * 2.0));
        let away = |x: f64, y: f64| (x > 20.0).then_some((x, y));
        type Exact<'a> = &'a dyn Fn(f64, f64) -> Option<Point>;
        let maps: [(Exact<'_>, bool); 3] = [(&smooth, true), (&kinked, false), (&away, false)];
        for (exact, followed) in maps {
            let map = Map::new(64, exact);
            assert_eq!(!map.patches.is_empty(), followed);
            for (y, start, step, count) in [(0.0, 0.0, 1.0, 64), (63.25, -0.25, 0.5, 128)] {
                let (mut xs, mut ys) = (vec![0.0; count], vec![0.0; count]);
                map.row(y, start, step, &mut xs, &mut ys);
                for (k, (u, v)) in xs.iter().zip(&ys).enumerate() {
                    match exact(start + k as f64 * step, y) {
                        Some((x, y)) => {
                            assert!((u - x).abs() < PRECISE && (v - y).abs() < PRECISE, "{k}");
                        }
                        None => assert!(u.is_nan() && v.is_nan()),
                    }
                }
            }
        }
        assert!(Map::new(64, away).bounds().is_none());
        let [(left, right), (bottom, top)] = Map::new(64, smooth).bounds().unwrap();
        for x in 0..64 {
            for y in 0..64 {
                let (u, v) = smooth(f64::from(x), f64::from(y)).unwrap();
                assert!((left..=right).contains(&u) && (bottom..=top).contains(&v), "{x} {y}");
            }
        }
    }

    #[test]
    fn the_same_grid_is_known_by_its_shift() {
        let of = |dx: f64, scale: f64| {
            Map::new(50, move |x: f64, y: f64| Some((scale * x + dx, y - 7.0))).shift(1e-3)
        };
        assert_eq!(of(12.0, 1.0), Some((12, -7)));
        assert_eq!(of(12.0004, 1.0), Some((12, -7)));
        assert_eq!(of(12.1, 1.0), None);
        assert_eq!(of(12.0, 1.001), None);
        assert_eq!(of(49.0, -1.0), None);
    }
}
