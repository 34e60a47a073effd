//! Sky and its noise, from the edge of an image: what is left to go by where
//! the unit is not known.
//!
//! The object is in the middle, so the edge is sky for the most part, and the
//! median and the median deviation from it do not mind the rest. An edge that is
//! smooth has no noise to go by (a simulation without any, a wedge): there the
//! brightest part stands in for it.

/// Share of the width, and of the height, that is edge on each side.
const EDGE: usize = 8;

/// From a median absolute deviation to the standard deviation of a Gaussian.
const GAUSSIAN: f64 = 1.482_602_218_505_602;

/// Neighbours that are alike to this share of the variance are no noise: that of
/// images which were enlarged fourfold has 0.05.
const SMOOTH: f64 = 0.02;

/// The brightest part of a galaxy of Galaxy Zoo 2's is some 30 times the noise of
/// a pixel, where there is no noise to tell.
const PEAK: f64 = 33.0;
/// The brightest part: this share of the pixels is fainter.
const BRIGHTEST: f64 = 0.995;

/// Keywords, with the number of a plane behind, by which a cutout says the level and noise
/// of its sky before it was resampled: noise that was smoothed tells too little.
pub const KEYWORDS: [&str; 2] = ["HIWLLEV", "HIWLSIG"];

/// The sky of one band.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sky {
    /// Its level.
    pub level: f32,
    /// Standard deviation of its noise, or what stands in for it; positive.
    pub noise: f64,
}

/// The sky of a plane of `width × height` values, NaN where there is none;
/// `None` if they do not vary.
pub fn measure(plane: &[f32], width: usize, height: usize) -> Option<Sky> {
    let (across, down) = ((width / EDGE).max(1), (height / EDGE).max(1));
    let rows = || plane.chunks_exact(width.max(1)).enumerate();
    let is_edge = |y: usize| y < down || y + down >= height;
    let edge = rows().flat_map(|(y, row)| {
        let sides = row.iter().enumerate();
        sides.filter(move |(x, _)| is_edge(y) || *x < across || x + across >= width)
    });
    let mut values: Vec<f32> = edge.map(|(_, value)| *value).filter(|v| v.is_finite()).collect();
    let level = median(&mut values)?;
    values.iter_mut().for_each(|value| *value = (*value - level).abs());
    let noise = f64::from(median(&mut values)?) * GAUSSIAN;
    let mut steps: Vec<f32> = rows()
        .filter(|(y, _)| is_edge(*y))
        .flat_map(|(_, row)| row.windows(2).map(|pair| (pair[1] - pair[0]).abs()))
        .filter(|step| step.is_finite())
        .collect();
    let step = median(&mut steps).map_or(0.0, f64::from) * GAUSSIAN;
    let rounding = 64.0 * f64::from(f32::EPSILON * level.abs());
    // The variance of a difference is that of two values.
    if noise > rounding && noise.is_finite() && step * step > 2.0 * SMOOTH * noise * noise {
        return Some(Sky { level, noise });
    }
    let mut above: Vec<f32> = plane.iter().map(|v| *v - level).filter(|v| v.is_finite()).collect();
    let last = above.len().checked_sub(1)?;
    let at = (BRIGHTEST * last as f64) as usize;
    let bright = *above.select_nth_unstable_by(at, f32::total_cmp).1;
    let brightest = above.iter().copied().fold(bright, f32::max);
    let peak = [bright, brightest].into_iter().find(|peak| *peak > 0.0)?;
    Some(Sky { level, noise: f64::from(peak) / PEAK })
}

/// The middle value; of an even number, the upper of the two. Values are
/// finite.
fn median(values: &mut [f32]) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    Some(*values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_distr::{Distribution, Normal};

    use super::*;

    const WIDTH: usize = 120;
    const HEIGHT: usize = 90;

    fn plane(sigma: f32, light: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let noise = Normal::new(100.0_f32, sigma).unwrap();
        (0..WIDTH * HEIGHT)
            .map(|k| {
                let (x, y) = ((k % WIDTH) as f32 - 60.0, (k / WIDTH) as f32 - 45.0);
                noise.sample(&mut rng) + light(x, y)
            })
            .collect()
    }

    fn galaxy(x: f32, y: f32) -> f32 {
        1e4 * (-x.hypot(y) / 3.0).exp()
    }

    #[test]
    fn a_galaxy_in_the_middle_does_not_matter() {
        let sky = measure(&plane(2.5, galaxy), WIDTH, HEIGHT).unwrap();
        assert!((f64::from(sky.level) - 100.0).abs() < 0.5, "{sky:?}");
        assert!((sky.noise / 2.5 - 1.0).abs() < 0.1, "{sky:?}");
    }

    #[test]
    fn without_noise_the_brightest_part_is_taken() {
        let clean = plane(0.0, galaxy);
        let sky = measure(&clean, WIDTH, HEIGHT).unwrap();
        let mut sorted = clean.clone();
        sorted.sort_by(f32::total_cmp);
        let bright = f64::from(sorted[(0.995 * (sorted.len() - 1) as f64) as usize] - sky.level);
        assert!((sky.noise * PEAK / bright - 1.0).abs() < 1e-5, "{sky:?} {bright}");
        let wedge: Vec<f32> = (0..WIDTH * HEIGHT).map(|k| k as f32).collect();
        let sky = measure(&wedge, WIDTH, HEIGHT).unwrap();
        assert!((sky.noise * PEAK / 5346.0 - 1.0).abs() < 0.02, "{sky:?}");
    }

    #[test]
    fn what_does_not_vary_has_none() {
        let mut flat = vec![5.0; 400];
        assert_eq!(measure(&flat, 20, 20), None);
        flat[190] = 9.0;
        assert_eq!(measure(&flat, 20, 20), Some(Sky { level: 5.0, noise: 4.0 / PEAK }));
        assert_eq!(measure(&[f32::NAN; 16], 4, 4), None);
        assert_eq!(measure(&[], 0, 0), None);
    }
}
