//! What the detector adds: noise of sky and light, and saturation.
//!
//! Levels of SDSS imaging (53.9 s, 0.396 arcsecond pixels), from its published
//! sky brightness (21.8, 20.9 and 20.3 magnitudes a square arcsecond in g, r and
//! i), typical gains (3.9, 4.7, 4.8 electrons a count) and zero points (0.0043,
//! 0.0058 and 0.0082 nanomaggies a count).

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Canvas;

/// Arcseconds a survey pixel.
pub(in super::super) const SURVEY_PIXEL: f32 = 0.396;

/// Standard deviation of the sky in one survey pixel of g, r and i, in
/// nanomaggies.
pub(in super::super) const SKY: [f32; 3] = [0.019, 0.030, 0.048];

/// Electrons a nanomaggy in g, r and i.
const ELECTRONS: [f32; 3] = [907.0, 810.0, 585.0];

/// The most light a survey pixel holds, in nanomaggies.
const FULL_WELL: f32 = 350.0;

/// Adds noise to every pixel, and cuts off what saturates.
///
/// Photon noise is Gaussian: the sky alone is some 300 electrons a pixel, where
/// Poisson's distribution differs from it by less than anything else here.
pub(in super::super) fn expose(canvas: &mut Canvas, rng: &mut impl Rng) {
    // A larger pixel sums the light, the variance and the wells of several.
    let area = (canvas.pixel / SURVEY_PIXEL).powi(2);
    for (band, plane) in canvas.planes.iter_mut().enumerate() {
        let sky = SKY[band] * SKY[band] * area;
        let per_photon = 1.0 / ELECTRONS[band];
        for value in plane.iter_mut() {
            let light = value.clamp(0.0, FULL_WELL * area);
            let z: f32 = StandardNormal.sample(rng);
            *value = light + z * (sky + light * per_photon).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::random::{Purpose, generator};
    use super::*;

    #[test]
    fn noise_has_the_levels_of_sky_and_photons() {
        for (light, pixel) in
            [(0.0f32, SURVEY_PIXEL), (20.0, SURVEY_PIXEL), (0.0, 2.0 * SURVEY_PIXEL)]
        {
            let mut canvas = Canvas::new(200, pixel);
            canvas.planes.iter_mut().for_each(|p| p.fill(light));
            expose(&mut canvas, &mut generator(1, 1, Purpose::Noise));
            for band in 0..3 {
                let values = canvas.planes[band].iter().map(|&v| f64::from(v - light));
                let variance = values.map(|v| v * v).sum::<f64>() / 40_000.0;
                let area = f64::from(pixel / SURVEY_PIXEL).powi(2);
                let expected =
                    f64::from(SKY[band]).powi(2) * area + f64::from(light / ELECTRONS[band]);
                assert!((variance / expected - 1.0).abs() < 0.03, "{variance} {expected}");
            }
        }
    }

    #[test]
    fn wells_fill() {
        let mut canvas = Canvas::new(8, SURVEY_PIXEL);
        canvas.planes.iter_mut().for_each(|p| p.fill(1e6));
        expose(&mut canvas, &mut generator(1, 1, Purpose::Noise));
        assert!(canvas.planes[1].iter().all(|&v| v < FULL_WELL + 10.0));
    }
}
