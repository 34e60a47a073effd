//! The asinh stretch as SDSS's image server applied it: weighted bands, one
//! factor for the three, a sky that is not quite black.
//!
//! For fluxes F in R, G and B, weights w, and I the mean of the three w F:
//!
//! ```text
//! R = w F asinh(s I) / (s I) + black          s is the softening
//! ```
//!
//! where s I is at least 2^-12, so that faint and negative sky is linear. Where
//! max(R, G, B) > 1 all three are divided by it, which keeps the colour of
//! saturated pixels; then 255 R is rounded.
//!
//! After Lupton et al. (2004, PASP 116, 133); the constants of `sdss` are
//! fitted, see `benches/sdss_colours.py`. The simulator writes its JPEGs with the
//! same code. A pixel with a NaN in any band is as dark as the sky.

use serde::{Deserialize, Serialize};

/// Parameters of the stretch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// Brightness a unit of flux in R, G and B; positive.
    pub weights: [f64; 3],
    /// Where linear turns to logarithmic; positive.
    pub softening: f64,
    /// Brightness of an empty sky in R, G and B, 0 to 1.
    pub black: [f64; 3],
    /// Fluxes are those of pixels of so many arcseconds.
    pub pixel: f64,
}

/// `s I` below which the stretch is linear.
const LINEAR: f32 = 1.0 / 4096.0;

impl Weighted {
    /// Whether the parameters make sense.
    pub fn is_valid(&self) -> bool {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        self.weights.iter().all(|w| positive(*w))
            && self.black.iter().all(|b| (0.0..1.0).contains(b))
            && positive(self.softening)
            && positive(self.pixel)
    }

    /// The stretch for fluxes that are first multiplied by `factors`.
    pub fn prepared(&self, factors: [f64; 3]) -> Prepared {
        Prepared {
            weights: [0, 1, 2].map(|i| (self.weights[i] * factors[i]) as f32),
            softening: self.softening as f32,
            black: self.black.map(|b| (b * 255.0) as f32),
        }
    }
}

/// A stretch ready to be applied.
#[derive(Debug, Clone, Copy)]
pub struct Prepared {
    weights: [f32; 3],
    softening: f32,
    black: [f32; 3],
}

/// Pixels that are worked on at once.
const LANES: usize = 64;

impl Prepared {
    /// The colour of a pixel with fluxes r, g, b, before it is cut to a byte. Without a
    /// branch, so that many are worked out at once.
    #[inline(always)]
    fn bright(&self, fluxes: [f32; 3]) -> [f32; 3] {
        // In the processor's own terms, of which NaN is none.
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        let colour = [0, 1, 2].map(|i| fluxes[i] * self.weights[i]);
        let intensity = (colour[0] + colour[1] + colour[2]) * (1.0 / 3.0);
        let x = larger(intensity * self.softening, LINEAR);
        let factor = asinh(x) / x * 255.0;
        let bright = [0, 1, 2].map(|i| colour[i] * factor + self.black[i]);
        let brightest = larger(larger(bright[0], bright[1]), bright[2]);
        let full = if brightest > 255.0 { 255.0 / brightest } else { 1.0 };
        let is_defined = intensity.is_finite();
        [0, 1, 2].map(|i| {
            let shown = if is_defined { bright[i] * full } else { self.black[i] };
            shown + 0.5
        })
    }
}

/// asinh of a number from [`LINEAR`] on, within a relative 3e-7; without a branch.
///
/// With u = x + x² / (1 + √(x² + 1)) it is ln(1 + u), and of large x as good as ln 2x. The
/// logarithm of y = 2^e m, where √½ ≤ m < √2, is e ln 2 + 2 artanh((m - 1) / (m + 1)),
/// whose series ends where terms are below 1e-8.
#[inline(always)]
fn asinh(x: f32) -> f32 {
    /// Where x² + 1 is x² in single precision.
    const LARGE: f32 = 4096.0;
    const SQRT_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    const ONE: u32 = 1.0_f32.to_bits();
    let is_large = x >= LARGE;
    let square = if is_large { 0.0 } else { x * x };
    let u = x + square / (1.0 + (square + 1.0).sqrt());
    let y = if is_large { x } else { 1.0 + u };
    // What the sum lost of a small u.
    let lost = if is_large { 0.0 } else { u - (y - 1.0) };
    let exponent = y.to_bits().wrapping_sub(SQRT_HALF) >> 23;
    let m = f32::from_bits(y.to_bits().wrapping_sub(exponent << 23));
    let scale = f32::from_bits(ONE.wrapping_sub(exponent << 23));
    let e = f32::from_bits(exponent | WHOLE.to_bits()) - WHOLE;
    let e = if is_large { e + 1.0 } else { e };
    let f = (m - 1.0) + lost * scale;
    let s = f / (2.0 + f);
    let q = s * s;
    let series = q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0))));
    e * std::f32::consts::LN_2 + (2.0 * s + 2.0 * s * series)
}

/// Beyond it floats are whole numbers: to add it is to round.
const WHOLE: f32 = (1_u32 << 23) as f32;

/// The whole part of a number as a byte; what is negative, or none, is 0.
#[inline(always)]
fn byte(x: f32) -> u8 {
    let x = if x > 0.0 { x } else { 0.0 };
    let x = if x < 255.0 { x } else { 255.0 };
    let near = (x + WHOLE) - WHOLE;
    let whole = if near > x { near - 1.0 } else { near };
    (whole + WHOLE).to_bits() as u8
}

/// The colours of a line of pixels with fluxes r, g, b less `levels`.
///
/// Compiled for the instruction sets of several processors, which all give the same bytes:
/// no operation is joined with another.
#[multiversion::multiversion(targets("x86_64+avx512f+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn line(stretch: &Prepared, fluxes: [&[f32]; 3], levels: [f32; 3], out: &mut [[u8; 3]]) {
    let [r, g, b] = fluxes;
    let fluxes = r.chunks(LANES).zip(g.chunks(LANES)).zip(b.chunks(LANES));
    for (((r, g), b), out) in fluxes.zip(out.chunks_mut(LANES)) {
        let mut bright = [[0.0_f32; LANES]; 3];
        let [first, second, third] = &mut bright;
        let channels = first.iter_mut().zip(second).zip(third);
        for (((r, g), b), ((first, second), third)) in r.iter().zip(g).zip(b).zip(channels) {
            let fluxes = [*r - levels[0], *g - levels[1], *b - levels[2]];
            [*first, *second, *third] = stretch.bright(fluxes);
        }
        let mut bytes = [[0; LANES]; 3];
        for (bytes, bright) in bytes.iter_mut().zip(&bright) {
            for (byte_, bright) in bytes.iter_mut().zip(bright) {
                *byte_ = byte(*bright);
            }
        }
        let [r, g, b] = &bytes;
        for (((pixel, r), g), b) in out.iter_mut().zip(r).zip(g).zip(b) {
            *pixel = [*r, *g, *b];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Prepared {
        /// A pixel by itself.
        fn colour(&self, fluxes: [f32; 3]) -> [u8; 3] {
            self.bright(fluxes).map(byte)
        }
    }

    const STRETCH: Weighted = Weighted {
        weights: [0.82, 1.0, 1.85],
        softening: 4.5,
        black: [0.011, 0.016, 0.001],
        pixel: 0.396,
    };

    #[test]
    fn an_empty_or_undefined_sky_is_almost_black() {
        let stretch = STRETCH.prepared([1.0; 3]);
        let black = [3, 4, 0];
        for fluxes in [[0.0; 3], [f32::NAN, 1.0, 1.0], [f32::INFINITY; 3]] {
            assert_eq!(stretch.colour(fluxes), black, "{fluxes:?}");
        }
        assert_eq!(stretch.colour([-1.0, 0.0, 0.0])[0], 0);
    }

    #[test]
    fn brighter_is_brighter_until_the_colour_is_full() {
        let stretch = STRETCH.prepared([1.0; 3]);
        let mut last = 0;
        for step in 0..60 {
            let flux = 1e-3 * 1.5_f32.powi(step);
            let [r, g, b] = stretch.colour([1.4 * flux, flux, 0.45 * flux]);
            assert!(r >= last && (r < 20 || (r >= g && g >= b)), "{flux}: {r} {g} {b}");
            last = r;
        }
        assert_eq!(last, 255);
        // Red stays red where it is full.
        let [r, g, b] = stretch.colour([1.4e8, 1e8, 0.45e8]);
        assert_eq!(r, 255);
        assert!((f64::from(g) / 255.0 - 1.0 / (1.4 * 0.82)).abs() < 0.01, "{g}");
        assert!((f64::from(b) / 255.0 - 0.45 * 1.85 / (1.4 * 0.82)).abs() < 0.01, "{b}");
    }

    #[test]
    fn factors_are_those_of_the_fluxes() {
        let fluxes = [0.3, 0.2, 0.1];
        let scaled = STRETCH.prepared([2.0, 4.0, 8.0]).colour(fluxes);
        assert_eq!(scaled, STRETCH.prepared([1.0; 3]).colour([0.6, 0.8, 0.8]));
    }

    #[test]
    fn asinh_is_within_its_error() {
        let mut worst = 0.0_f64;
        let from = LINEAR.to_bits()..=f32::MAX.to_bits();
        let ends = [LINEAR, 4_095.999_8, 4_096.0, f32::MAX].map(f32::to_bits);
        for bits in from.step_by(1_501).chain(ends) {
            let x = f32::from_bits(bits);
            let exact = f64::from(x).asinh();
            worst = worst.max((f64::from(asinh(x)) / exact - 1.0).abs());
        }
        assert!(worst < 3e-7, "{worst:e}");
    }

    #[test]
    fn bytes_are_whole_parts() {
        for x in [-1.0, -0.0, 0.0, 0.999_999_94, 1.0, 1.5, 2.5, 254.999_98, 255.0, 255.5, 1e30] {
            assert_eq!(byte(x), x as u8, "{x}");
        }
        assert_eq!((byte(f32::NAN), byte(f32::INFINITY), byte(f32::NEG_INFINITY)), (0, 255, 0));
    }

    /// Whatever instructions it is compiled to.
    #[test]
    fn a_line_has_the_colours_of_its_pixels() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let stretch = STRETCH.prepared([1.0, 2.0, 0.5]);
        for count in [0, 1, 63, 64, 65, 1000] {
            let mut plane = || -> Vec<f32> {
                let flux = |_| match random.random_range(0..40) {
                    0 => f32::NAN,
                    1 => f32::INFINITY,
                    2 => f32::MAX,
                    3 => 0.0,
                    n => (random.random::<f32>() - 0.4) * 10_f32.powi(n % 9 - 4),
                };
                (0..count).map(flux).collect()
            };
            let (r, g, b) = (plane(), plane(), plane());
            let levels = [0.01, -0.02, 0.0];
            let mut found = vec![[7; 3]; count];
            line(&stretch, [&r, &g, &b], levels, &mut found);
            for (k, found) in found.into_iter().enumerate() {
                let fluxes = [r[k] - levels[0], g[k] - levels[1], b[k] - levels[2]];
                assert_eq!(found, stretch.colour(fluxes), "{fluxes:?}");
            }
        }
    }
}
