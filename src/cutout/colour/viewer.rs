//! The stretch of the Legacy Surveys' viewer: legacypipe's `sdss_rgb`.
//!
//! For fluxes F in R, G and B, scales w, pedestal m, and I the mean of the three
//! max(0, w F + m):
//!
//! ```text
//! R = (w F + m) asinh(Q I) / (√Q I)           I = 10^-6 where it is 0
//! ```
//!
//! cut to 0 … 1, so that what is bright is white; then 255 R is cut to an
//! integer. Arithmetic is in f64 and a NaN is no light, as the viewer takes it.

use serde::{Deserialize, Serialize};

/// Parameters of the stretch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Viewer {
    /// Brightness a unit of flux in R, G and B; positive.
    pub scales: [f64; 3],
    /// Added to each; not negative.
    pub pedestal: f64,
    /// The asinh softening; positive.
    pub q: f64,
    /// Fluxes are those of pixels of so many arcseconds.
    pub pixel: f64,
}

impl Viewer {
    /// Whether the parameters make sense.
    pub fn is_valid(&self) -> bool {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        self.scales.iter().all(|s| positive(*s))
            && self.pedestal.is_finite()
            && self.pedestal >= 0.0
            && positive(self.q)
            && positive(self.pixel)
    }

    /// The stretch for fluxes that are first multiplied by `factors`.
    pub fn prepared(&self, factors: [f64; 3]) -> Prepared {
        let scales = [0, 1, 2].map(|i| self.scales[i] * factors[i]);
        Prepared { scales, pedestal: self.pedestal, q: self.q, root: self.q.sqrt() }
    }
}

/// A stretch ready to be applied.
#[derive(Debug, Clone, Copy)]
pub struct Prepared {
    scales: [f64; 3],
    pedestal: f64,
    q: f64,
    root: f64,
}

impl Prepared {
    /// The colour of a pixel with fluxes r, g, b.
    pub fn colour(&self, fluxes: [f32; 3]) -> [u8; 3] {
        let light = |flux: f32| if flux.is_nan() { 0.0 } else { f64::from(flux) };
        let scaled = [0, 1, 2].map(|i| light(fluxes[i]) * self.scales[i] + self.pedestal);
        let intensity = scaled.iter().map(|x| x.max(0.0)).sum::<f64>() / 3.0;
        let stretched = (self.q * intensity).asinh() / self.root;
        let factor = stretched / if intensity == 0.0 { 1e-6 } else { intensity };
        // `as` saturates, and takes NaN (an infinite flux) for 0.
        scaled.map(|x| ((x * factor).clamp(0.0, 1.0) * 255.0) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DR9: Viewer = Viewer { scales: [2.2, 3.4, 6.0], pedestal: 0.03, q: 20.0, pixel: 0.262 };

    #[test]
    fn the_sky_is_grey_and_what_is_bright_is_white() {
        let stretch = DR9.prepared([1.0; 3]);
        // asinh(20 · 0.03) / √20 = 0.1272
        assert_eq!(stretch.colour([0.0; 3]), [32; 3]);
        assert_eq!(stretch.colour([f32::NAN; 3]), [32; 3]);
        assert_eq!(stretch.colour([1e6; 3]), [255; 3]);
        assert_eq!(stretch.colour([-1.0; 3]), [0; 3]);
    }
}
