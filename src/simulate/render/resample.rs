//! From the working grid to the cutout's.
//!
//! Galaxy Zoo's cutouts are frames interpolated to a finer grid, which is what
//! gives their noise its grain. Interpolation is cubic (Keys 1981, a = -1/2),
//! and flux a pixel is scaled by the ratio of areas.

use super::Canvas;

/// One output position: the first of four inputs, and their weights.
#[derive(Debug, Clone, Copy)]
struct Tap {
    first: usize,
    weights: [f32; 4],
}

/// The three bands on a grid of `size` pixels of `pixel` arcseconds about the
/// same centre. `shifts` moves each band by arcseconds west and north, the error
/// of its registration.
pub(in super::super) fn resample(
    canvas: &Canvas,
    size: usize,
    pixel: f32,
    shifts: [(f32, f32); 3],
) -> [Vec<f32>; 3] {
    let area = (pixel / canvas.pixel).powi(2);
    let side = canvas.side;
    let mut lines = vec![0.0f32; side * size];
    std::array::from_fn(|band| {
        let plane = &canvas.planes[band];
        let columns = taps(canvas, size, pixel, shifts[band].0, 1.0);
        for (line, out) in plane.chunks_exact(side).zip(lines.chunks_exact_mut(size)) {
            for (o, tap) in out.iter_mut().zip(&columns) {
                let w = &tap.weights;
                let v = &line[tap.first..tap.first + 4];
                *o = w[0] * v[0] + w[1] * v[1] + w[2] * v[2] + w[3] * v[3];
            }
        }
        let mut plane = vec![0.0f32; size * size];
        let rows = taps(canvas, size, pixel, shifts[band].1, area);
        for (out, tap) in plane.chunks_exact_mut(size).zip(&rows) {
            let (a, rest) = lines[tap.first * size..(tap.first + 4) * size].split_at(size);
            let (b, rest) = rest.split_at(size);
            let (c, d) = rest.split_at(size);
            let w = tap.weights;
            for ((((o, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *o = w[0] * a + w[1] * b + w[2] * c + w[3] * d;
            }
        }
        plane
    })
}

/// Working pixels beside the cutout's edge: two for the cubic, one for the shift
/// of a band, three from where seeing brings light.
pub(in super::super) const MARGIN: usize = 6;

fn taps(canvas: &Canvas, size: usize, pixel: f32, shift: f32, scale: f32) -> Vec<Tap> {
    (0..size)
        .map(|k| {
            let offset = (k as f32 - (size as f32 - 1.0) * 0.5) * pixel - shift;
            let last = (canvas.side - 3) as f32;
            let x = canvas.index(offset).clamp(1.0, last);
            let whole = x.floor().min(last - 1.0);
            Tap { first: whole as usize - 1, weights: keys(x - whole).map(|w| w * scale) }
        })
        .collect()
}

/// Weights of the four samples about a fraction `t` after the second.
fn keys(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        -0.5 * t3 + t2 - 0.5 * t,
        1.5 * t3 - 2.5 * t2 + 1.0,
        -1.5 * t3 + 2.0 * t2 + 0.5 * t,
        0.5 * t3 - 0.5 * t2,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A paraboloid, which Keys' cubic reproduces exactly.
    fn paraboloid(canvas: &mut Canvas) {
        for row in 0..canvas.side {
            for column in 0..canvas.side {
                let (x, y) = (canvas.offset(column), canvas.offset(row));
                for plane in &mut canvas.planes {
                    plane[row * canvas.side + column] = 1.0 + 0.3 * x - 0.2 * y + 0.05 * x * x;
                }
            }
        }
    }

    #[test]
    fn reproduces_a_paraboloid_on_a_finer_grid() {
        let mut canvas = Canvas::new(46, 0.4);
        paraboloid(&mut canvas);
        let bands = resample(&canvas, 100, 0.16, [(0.0, 0.0), (0.1, 0.0), (0.0, -0.1)]);
        let area = (0.16f32 / 0.4).powi(2);
        for (band, (sx, sy)) in [(0.0, 0.0), (0.1, 0.0), (0.0, -0.1)].into_iter().enumerate() {
            for (row, column) in [(0, 0), (17, 80), (99, 99)] {
                let x = (column as f32 - 49.5) * 0.16 - sx;
                let y = (row as f32 - 49.5) * 0.16 - sy;
                let expected = (1.0 + 0.3 * x - 0.2 * y + 0.05 * x * x) * area;
                let found = bands[band][row * 100 + column];
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{band} {row} {column}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn the_same_grid_is_left_alone() {
        let mut canvas = Canvas::new(16, 0.5);
        paraboloid(&mut canvas);
        let bands = resample(&canvas, 10, 0.5, [(0.0, 0.0); 3]);
        for row in 0..10 {
            for column in 0..10 {
                let (found, original) =
                    (bands[2][row * 10 + column], canvas.planes[2][(row + 3) * 16 + column + 3]);
                assert!((found - original).abs() < 1e-5);
            }
        }
    }
}
