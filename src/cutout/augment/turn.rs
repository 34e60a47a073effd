//! A square turned about its centre by any angle, pixels interpolated, with
//! what lies beyond the image mirrored at its edge: no black corners, which no
//! image to classify has.
//!
//! (The paper's rotation, [`super::rotate`], takes the nearest pixel and leaves
//! the corners black.)

use super::crop::Window;
use super::light::mirrored;
use crate::cutout::RgbImage;

/// Bits of a fixed-point number behind its point.
const POINT: u32 = 16;

/// Turns the central square of `side` pixels by `angle` degrees
/// counter-clockwise and writes the `window` of it to `out`, interleaved RGB.
/// The square may be larger than the image. Right angles and none mix no
/// pixels.
///
/// # Panics
/// If the image is empty or the window leaves the square.
pub fn mirrored_edges(
    image: &RgbImage,
    side: usize,
    angle: f64,
    window: Window,
    out: &mut Vec<u8>,
) {
    let &RgbImage { width, height, ref pixels } = image;
    assert!(width > 0 && height > 0, "an empty image");
    assert!(
        window.left + window.width <= side && window.top + window.height <= side,
        "window leaves the square"
    );
    let pixels = pixels.as_chunks::<3>().0;
    out.clear();
    out.resize(window.width * window.height * 3, 0);
    let (sin, cos) = sin_cos(angle);
    let fixed = |v: f64| (v * f64::from(1u32 << POINT)).round() as i64;
    // From the centre of a pixel of the square to where it comes from.
    let half = side as f64 / 2.0;
    let (across, down) = (start(width, side) + half, start(height, side) + half);
    let (dx, dy) = (window.left as f64 + 0.5 - half, window.top as f64 + 0.5 - half);
    let (step_x, step_y) = ((fixed(cos), fixed(sin)), (fixed(-sin), fixed(cos)));
    let mut row_x = fixed(across + cos * dx - sin * dy - 0.5);
    let mut row_y = fixed(down + sin * dx + cos * dy - 0.5);
    for row in out.chunks_exact_mut(3 * window.width) {
        let (mut x, mut y) = (row_x, row_y);
        for pixel in row.as_chunks_mut::<3>().0 {
            let (column, line) = ((x >> POINT) as isize, (y >> POINT) as isize);
            let (right, below) = (fraction(x), fraction(y));
            let inside = (0..width as isize - 1).contains(&column)
                && (0..height as isize - 1).contains(&line);
            let (first, second, upper, lower) = if inside {
                let (column, line) = (column as usize, line as usize);
                (column, column + 1, line * width, (line + 1) * width)
            } else {
                let (columns, lines) = (|c| mirrored(c, width), |l| mirrored(l, height) * width);
                (columns(column), columns(column + 1), lines(line), lines(line + 1))
            };
            let (a, b) = (&pixels[upper + first], &pixels[upper + second]);
            let (c, d) = (&pixels[lower + first], &pixels[lower + second]);
            for i in 0..3 {
                let mix = |left: u8, right_of: u8| {
                    u32::from(left) * (256 - right) + u32::from(right_of) * right
                };
                let sum = mix(a[i], b[i]) * (256 - below) + mix(c[i], d[i]) * below;
                pixel[i] = ((sum + 32_768) >> 16) as u8;
            }
            (x, y) = (x + step_x.0, y + step_x.1);
        }
        (row_x, row_y) = (row_x + step_y.0, row_y + step_y.1);
    }
}

/// The fraction of a fixed-point number, in 256ths.
#[inline]
fn fraction(value: i64) -> u32 {
    (value >> (POINT - 8) & 0xff) as u32
}

/// Where a central part of `side` pixels begins in `size`. Half a pixel goes to
/// the even side, as Python rounds.
fn start(size: usize, side: usize) -> f64 {
    ((size as f64 - side as f64) / 2.0).round_ties_even()
}

/// Sine and cosine for a matrix that turns counter-clockwise on a picture whose
/// rows go down; right angles are exact.
fn sin_cos(angle: f64) -> (f64, f64) {
    let exact = |v: f64| if v.abs() < 1e-12 { 0.0 } else { v };
    let radians = angle.rem_euclid(360.0).to_radians();
    (exact(radians.sin()), exact(radians.cos()))
}

#[cfg(test)]
mod tests {
    use super::super::rotate;
    use super::*;

    fn picture(width: usize, height: usize) -> RgbImage {
        let pixels = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        RgbImage { width, height, pixels }
    }

    fn turned(image: &RgbImage, side: usize, angle: f64, window: Window) -> Vec<u8> {
        let mut out = Vec::new();
        mirrored_edges(image, side, angle, window, &mut out);
        out
    }

    fn whole(side: usize) -> Window {
        Window { left: 0, top: 0, width: side, height: side }
    }

    /// At right angles both ways to turn are the same, which is Pillow's.
    #[test]
    fn right_angles_are_those_of_the_nearest_pixel() {
        let image = picture(70, 66);
        for side in [60, 61] {
            for angle in [0.0, 90.0, 180.0, -90.0, 270.0] {
                let window = Window { left: 3, top: 7, width: 40, height: 50 };
                let start_of = |size| start(size, side) as usize;
                let square =
                    rotate::Square { image: &image, left: start_of(70), top: start_of(66), side };
                let mut expected = Vec::new();
                rotate::nearest(square, angle, window, &mut expected);
                assert!(turned(&image, side, angle, window) == expected, "{side} {angle}");
            }
        }
    }

    /// A plane of brightness turns into the plane that is turned.
    #[test]
    fn a_slope_turns_with_the_picture() {
        let (side, slope) = (64, 1.5);
        let plane = |x: f64, y: f64| 120.0 + slope * x + 0.7 * y;
        let mut image = picture(200, 200);
        for (i, value) in image.pixels.iter_mut().enumerate() {
            let (x, y) = ((i / 3 % 200) as f64 - 99.5, (i / 600) as f64 - 99.5);
            *value = plane(x, y).clamp(0.0, 255.0) as u8;
        }
        for angle in [10.0f64, -33.0, 77.7, 160.0] {
            let out = turned(&image, side, angle, whole(side));
            let (sin, cos) = angle.to_radians().sin_cos();
            for (i, &found) in out.iter().enumerate() {
                let (x, y) = ((i / 3 % side) as f64 - 31.5, (i / 3 / side) as f64 - 31.5);
                // Counter-clockwise on a picture whose rows go down.
                let expected = plane(cos * x - sin * y, sin * x + cos * y);
                assert!((f64::from(found) - expected).abs() < 2.0, "{angle} {x} {y}: {found}");
            }
        }
    }

    #[test]
    fn beyond_the_edge_is_its_mirror() {
        let image = picture(20, 20);
        let out = turned(&image, 30, 0.0, whole(30));
        for (y, x) in (0..30).flat_map(|y| (0..30).map(move |x| (y, x))) {
            let at = |v: usize| mirrored(v as isize - 5, 20);
            let from = 3 * (at(y) * 20 + at(x));
            assert_eq!(out[3 * (y * 30 + x)..][..3], image.pixels[from..from + 3], "{y} {x}");
        }
        let turned = turned(&RgbImage { pixels: vec![200; 1200], ..image }, 30, 31.0, whole(30));
        assert!(turned.iter().all(|&p| p == 200), "no black corners");
    }
}
