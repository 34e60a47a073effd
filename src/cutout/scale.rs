//! Pictures and bands in pixels of another size.
//!
//! A window around the centre, of any fractional size, becomes a square of
//! pixels. Larger pixels are means over the area that they cover, of light where
//! there are bands: then stars do not vanish between samples and noise falls as
//! it does in a larger pixel. Smaller pixels are interpolated between colours, as
//! SDSS's image server enlarged its pictures.

use super::{BandImage, RgbImage};

/// A window around the centre of an image, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Columns.
    pub width: f64,
    /// Rows.
    pub height: f64,
}

/// Weights of source pixels in one target pixel: the first source pixel, and how
/// much of each is covered.
struct Cover {
    first: usize,
    weights: Vec<f32>,
}

/// What `count` pixels, that share `length` source pixels around the centre of
/// `whole` among them, cover.
fn covers(whole: usize, length: f64, count: usize) -> Vec<Cover> {
    let start = (whole as f64 - length) / 2.0;
    let step = length / count as f64;
    (0..count)
        .map(|k| {
            let from = (start + k as f64 * step).clamp(0.0, whole as f64);
            let to = (start + (k + 1) as f64 * step).clamp(from, whole as f64);
            let first = (from.floor() as usize).min(whole.saturating_sub(1));
            let end = (to.ceil() as usize).clamp(first + 1, whole.max(1));
            let weights = (first..end)
                .map(|j| (to.min((j + 1) as f64) - from.max(j as f64)).max(0.0) as f32)
                .collect();
            Cover { first, weights }
        })
        .collect()
}

/// Means of a plane of `width × height` values over the pixels of a grid of
/// `size × size` that covers `field`. Undefined values (NaN) take no part; a
/// pixel without any other is NaN.
///
/// # Panics
/// If the plane is smaller than `width × height`.
pub fn mean_plane(
    plane: &[f32],
    (width, height): (usize, usize),
    field: Field,
    size: usize,
) -> Vec<f32> {
    let (columns, rows) = (covers(width, field.width, size), covers(height, field.height, size));
    let mut means = Vec::with_capacity(size * size);
    // Sums along the rows of the source first, each row once.
    let mut line = vec![(0.0_f32, 0.0_f32); size];
    for row in &rows {
        line.fill((0.0, 0.0));
        for (y, &down) in (row.first..).zip(&row.weights) {
            let source = &plane[y * width..(y + 1) * width];
            for ((sum, weight), column) in line.iter_mut().zip(&columns) {
                for (value, &across) in source[column.first..].iter().zip(&column.weights) {
                    if !value.is_nan() {
                        *sum += value * across * down;
                        *weight += across * down;
                    }
                }
            }
        }
        means.extend(
            line.iter().map(|(sum, weight)| if *weight > 0.0 { sum / weight } else { f32::NAN }),
        );
    }
    means
}

/// Bands in larger pixels.
pub fn mean_bands(bands: &BandImage, field: Field, size: usize) -> Vec<f32> {
    let plane = bands.width * bands.height;
    (0..3)
        .flat_map(|k| {
            let plane = &bands.planes[k * plane..(k + 1) * plane];
            mean_plane(plane, (bands.width, bands.height), field, size)
        })
        .collect()
}

/// A picture in larger pixels.
pub fn mean_picture(picture: &RgbImage, field: Field, size: usize) -> RgbImage {
    let mut pixels = vec![0; size * size * 3];
    for channel in 0..3 {
        let plane: Vec<f32> =
            picture.pixels.iter().skip(channel).step_by(3).map(|value| f32::from(*value)).collect();
        let means = mean_plane(&plane, (picture.width, picture.height), field, size);
        for (pixel, mean) in pixels.chunks_exact_mut(3).zip(means) {
            pixel[channel] = (mean + 0.5) as u8;
        }
    }
    RgbImage { width: size, height: size, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(side: f64) -> Field {
        Field { width: side, height: side }
    }

    #[test]
    fn whole_pixels_are_means_of_blocks() {
        let plane: Vec<f32> = (0..36).map(|k| (k * k % 17) as f32).collect();
        let means = mean_plane(&plane, (6, 6), field(6.0), 3);
        for (k, mean) in means.iter().enumerate() {
            let (x, y) = (2 * (k % 3), 2 * (k / 3));
            let block = plane[y * 6 + x]
                + plane[y * 6 + x + 1]
                + plane[(y + 1) * 6 + x]
                + plane[(y + 1) * 6 + x + 1];
            assert!((mean - block / 4.0).abs() < 1e-5, "{k}");
        }
        // The field is around the centre.
        assert_eq!(
            mean_plane(&plane, (6, 6), field(2.0), 1),
            [(plane[14] + plane[15] + plane[20] + plane[21]) / 4.0]
        );
    }

    #[test]
    fn light_is_kept_at_any_ratio() {
        let plane: Vec<f32> = (0..50 * 50).map(|k| ((k * 31) % 101) as f32).collect();
        let total: f32 = plane.iter().sum();
        for size in [7, 13, 24, 33, 49] {
            let means = mean_plane(&plane, (50, 50), field(50.0), size);
            let light = means.iter().sum::<f32>() * (50.0 / size as f32).powi(2);
            assert!((light / total - 1.0).abs() < 1e-4, "{size}: {light} {total}");
        }
    }

    #[test]
    fn what_is_not_defined_takes_no_part() {
        let mut plane = vec![2.0; 16];
        plane[0] = f32::NAN;
        for undefined in [10, 11, 14, 15] {
            plane[undefined] = f32::NAN;
        }
        let means = mean_plane(&plane, (4, 4), field(4.0), 2);
        assert_eq!(means[..3], [2.0, 2.0, 2.0]);
        assert!(means[3].is_nan());
    }
}
