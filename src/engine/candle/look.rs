//! A crop as the picture, or the pictures, that some networks look at
//! ([`Look`]). Nothing learns before it, so there is no
//! gradient.

use candle_core::{Result, Tensor, WithDType};
use rayon::prelude::*;

use super::ops::{by_type, values, zeros};
use crate::model::backbone::Look;

/// From 3×N×S×S to 3×(N·views)×side×side; the views of an image lie together.
///
/// # Errors
/// candle's, if shape or type do not fit.
pub(super) fn look(images: &Tensor, look: &Look) -> Result<Tensor> {
    let (channels, count, size, _) = images.dims4()?;
    let (views, side) = (look.views(), look.view());
    by_type!(images.dtype(), T => {
        let pixels = values::<T>(&images.detach())?;
        let mut seen = zeros::<T>(channels * count * views * side * side);
        let planes = seen.par_chunks_exact_mut(views * side * side);
        planes.zip(pixels.par_chunks_exact(size * size)).for_each(|(to, plane)| {
            views_of(plane, size, look, to);
        });
        Tensor::from_vec(seen, (channels, count * views, side, side), images.device())
    })
}

/// The views of a plane, one behind the other.
fn views_of<T: WithDType>(plane: &[T], size: usize, look: &Look, to: &mut [T]) {
    let Some(corner) = look.corners else {
        to.copy_from_slice(&sampled(plane, size, look, 0.0));
        return;
    };
    let last = look.side - 1;
    let mut views = to.chunks_exact_mut(corner * corner);
    for angle in [0.0, std::f64::consts::FRAC_PI_4] {
        let turned = sampled(plane, size, look, angle);
        for mirrored in [false, true] {
            for quarter in 0..4 {
                let Some(view) = views.next() else { return };
                for (at, value) in view.iter_mut().enumerate() {
                    let (v, u) = (at / corner, at % corner);
                    let (y, x) = match quarter {
                        0 => (v, u),
                        1 => (u, last - v),
                        2 => (last - v, last - u),
                        _ => (last - u, v),
                    };
                    let x = if mirrored { last - x } else { x };
                    *value = turned[y * look.side + x];
                }
            }
        }
    }
}

/// The central square, turned by an angle: each pixel the mean of bilinear samples.
fn sampled<T: WithDType>(plane: &[T], size: usize, look: &Look, angle: f64) -> Vec<T> {
    let (sine, cosine) = angle.sin_cos();
    let grid = look.side * look.samples;
    let width = (size * look.fraction.0) as f64 / look.fraction.1 as f64;
    let at = |sample: usize| ((sample as f64 + 0.5) / grid as f64 - 0.5) * width;
    let middle = size as f64 / 2.0 - 0.5;
    let mut found = zeros::<T>(look.side * look.side);
    for row in 0..grid {
        for column in 0..grid {
            let (x, y) = (at(column), at(row));
            let (x, y) = (cosine * x - sine * y + middle, sine * x + cosine * y + middle);
            found[row / look.samples * look.side + column / look.samples] +=
                bilinear(plane, size, x, y);
        }
    }
    let share = T::from_f64(1.0 / (look.samples * look.samples) as f64);
    found.iter_mut().for_each(|value| *value *= share);
    found
}

fn bilinear<T: WithDType>(plane: &[T], size: usize, x: f64, y: f64) -> T {
    let (left, top) = (x.floor(), y.floor());
    let (dx, dy) = (T::from_f64(x - left), T::from_f64(y - top));
    let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
    let pixel = |x: f64, y: f64| {
        let inside = x >= 0.0 && y >= 0.0 && x < size as f64 && y < size as f64;
        if inside { plane[y as usize * size + x as usize] } else { zero }
    };
    let upper = pixel(left, top) * (one - dx) + pixel(left + 1.0, top) * dx;
    let lower = pixel(left, top + 1.0) * (one - dx) + pixel(left + 1.0, top + 1.0) * dx;
    upper * (one - dy) + lower * dy
}
