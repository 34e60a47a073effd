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

use super::lupton::asinh;

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

impl Prepared {
    /// The colour of a pixel with fluxes r, g, b.
    pub fn colour(&self, fluxes: [f32; 3]) -> [u8; 3] {
        let colour = [0, 1, 2].map(|i| fluxes[i] * self.weights[i]);
        let intensity = (colour[0] + colour[1] + colour[2]) * (1.0 / 3.0);
        if !intensity.is_finite() {
            return self.black.map(|b| (b + 0.5) as u8);
        }
        let x = (intensity * self.softening).max(LINEAR);
        let factor = asinh(x) / x * 255.0;
        let bright = [0, 1, 2].map(|i| colour[i] * factor + self.black[i]);
        let brightest = bright[0].max(bright[1]).max(bright[2]);
        let full = if brightest > 255.0 { 255.0 / brightest } else { 1.0 };
        // `as` cuts, and takes what is negative for 0.
        bright.map(|x| (x * full + 0.5) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
