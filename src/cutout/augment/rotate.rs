//! A square turned about its centre, by the nearest pixel.
//!
//! The arithmetic is that of Pillow's `Image.rotate(angle, NEAREST)`, down to
//! its 16.16 fixed point, so that both give the same pixels: the matrix maps a
//! pixel's centre back to where it comes from, and what comes from outside the
//! square is black.

use super::crop::Window;
use crate::cutout::RgbImage;

/// A square of an image. Nothing outside of it is seen.
#[derive(Debug, Clone, Copy)]
pub struct Square<'a> {
    /// The image.
    pub image: &'a RgbImage,
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns and rows.
    pub side: usize,
}

/// Turns a square by `angle` degrees counter-clockwise, and writes the
/// `window` of the result to `out`, interleaved RGB.
///
/// # Panics
/// If the square leaves its image or the window its square.
pub fn nearest(square: Square, angle: f64, window: Window, out: &mut Vec<u8>) {
    let Square { image, left, top, side } = square;
    assert!(left + side <= image.width && top + side <= image.height, "square leaves the image");
    assert!(
        window.left + window.width <= side && window.top + window.height <= side,
        "window leaves the square"
    );
    out.clear();
    out.reserve(window.width * window.height * 3);
    let row = |y: usize| {
        let start = ((top + y) * image.width + left) * 3;
        &image.pixels[start..start + side * 3]
    };
    if angle == 0.0 {
        for y in window.top..window.top + window.height {
            out.extend_from_slice(&row(y)[window.left * 3..(window.left + window.width) * 3]);
        }
        return;
    }

    let Matrix { a, b, c, d, e, f } = Matrix::new(angle, side);
    for y in window.top..window.top + window.height {
        let mut x_in = c + b * y as i64 + a * window.left as i64;
        let mut y_in = f + e * y as i64 + d * window.left as i64;
        for _ in 0..window.width {
            // An arithmetic shift rounds down, so what is left of or above
            // the square stays negative, and huge as an unsigned number.
            let (column, line) = ((x_in >> 16) as usize, (y_in >> 16) as usize);
            let inside = column < side && line < side;
            let at = ((top + line) * image.width + left + column) * 3;
            let pixel: [u8; 3] = match image.pixels.get(at..at + 3) {
                Some(&[r, g, b]) if inside => [r, g, b],
                _ => [0; 3],
            };
            out.extend_from_slice(&pixel);
            x_in += a;
            y_in += d;
        }
    }
}

/// From a pixel of the result to where it comes from, in 65,536ths of a
/// pixel: x = a·x′ + b·y′ + c, y = d·x′ + e·y′ + f, for pixel centres.
struct Matrix {
    a: i64,
    b: i64,
    c: i64,
    d: i64,
    e: i64,
    f: i64,
}

impl Matrix {
    fn new(angle: f64, side: usize) -> Self {
        let radians = -angle.rem_euclid(360.0).to_radians();
        let (sin, cos) = (decimals(radians.sin()), decimals(radians.cos()));
        let minus_sin = decimals(-radians.sin());
        let centre = side as f64 / 2.0;
        // In Pillow's order, since floating-point addition has one.
        let c = cos * -centre + sin * -centre + 0.0 + centre;
        let f = minus_sin * -centre + cos * -centre + 0.0 + centre;
        let fixed = |v: f64| (v * 65536.0 + 0.5).floor() as i64;
        Self {
            a: fixed(cos),
            b: fixed(sin),
            c: fixed(c + cos * 0.5 + sin * 0.5),
            d: fixed(minus_sin),
            e: fixed(cos),
            f: fixed(f + minus_sin * 0.5 + cos * 0.5),
        }
    }
}

/// Rounded to 15 decimals, as Pillow does with sines so that right angles are
/// right.
fn decimals(value: f64) -> f64 {
    // A number printed with fixed decimals is one that parses.
    format!("{value:.15}").parse().unwrap_or(value)
}
