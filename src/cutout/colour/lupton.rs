//! The asinh stretch of Lupton et al. (2004, PASP 116, 133), as
//! `astropy.visualization.make_lupton_rgb` computes it.
//!
//! For fluxes r, g, b with their minima subtracted and I = (r + g + b) / 3:
//!
//! ```text
//! f(I) = asinh(Q I / stretch) · 0.1 / asinh(0.1 Q)
//! R    = max(0, r f(I) / I)          0 where I ≤ 0; G and B alike
//! ```
//!
//! Where max(R, G, B) > 1 all three are divided by it, which keeps the
//! colour of saturated pixels; then 255 R is cut to an integer.
//!
//! Bytes agree with astropy 8 on `float32` images, so the arithmetic below
//! rounds where numpy does: in `f32` after every step, except that the slope
//! 0.1 / asinh(0.1 Q) multiplies in `f64`. astropy leaves a pixel with a NaN
//! in any band to the undefined cast of NaN to an integer; here it is black.

use serde::{Deserialize, Serialize};

/// Parameters of the stretch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lupton {
    /// The linear stretch, in the unit of the pixels; positive.
    pub stretch: f64,
    /// The asinh softening; not negative.
    pub q: f64,
    /// What becomes black in R, G and B, in the unit of the pixels.
    pub minimum: [f64; 3],
}

/// Where on the linear part the slope is taken, as a fraction of `stretch`.
const FRACTION: f64 = 0.1;

impl Lupton {
    /// Whether the parameters make sense.
    pub fn is_valid(&self) -> bool {
        let finite = self.stretch.is_finite() && self.minimum.iter().all(|m| m.is_finite());
        finite && self.stretch > 0.0 && self.q >= 0.0
    }

    /// The stretch with its constants worked out, for fluxes that are first
    /// multiplied by `factors`.
    pub fn prepared(&self, factors: [f64; 3]) -> Prepared {
        // Below the resolution of f32 the stretch is linear, and Q = 0.1
        // stands for that; above 1e10 it no longer changes.
        let q = if self.q < f64::from(f32::EPSILON) { 0.1 } else { self.q.min(1e10) };
        Prepared {
            soften: (q / self.stretch) as f32,
            slope: FRACTION / (FRACTION * q).asinh(),
            minimum: self.minimum.map(|m| m as f32),
            factors: factors.map(|f| f as f32),
        }
    }
}

/// A stretch ready to be applied.
#[derive(Debug, Clone, Copy)]
pub struct Prepared {
    soften: f32,
    slope: f64,
    minimum: [f32; 3],
    factors: [f32; 3],
}

impl Prepared {
    /// The colour of a pixel with fluxes r, g, b.
    pub fn colour(&self, fluxes: [f32; 3]) -> [u8; 3] {
        let [r, g, b] = [0, 1, 2].map(|i| fluxes[i] * self.factors[i] - self.minimum[i]);
        let intensity = (r + g + b) / 3.0;
        if intensity.is_nan() || intensity <= 0.0 {
            return [0; 3];
        }
        let stretched = (f64::from(asinh(intensity * self.soften)) * self.slope) as f32;
        let factor = stretched / intensity;
        let scaled = [r, g, b].map(|x| (x * factor).max(0.0));
        let brightest = scaled[0].max(scaled[1]).max(scaled[2]);
        let within = if brightest > 1.0 { scaled.map(|x| x / brightest) } else { scaled };
        // `as` saturates, and takes NaN (an infinite flux) for 0.
        within.map(|x| (x * 255.0) as u8)
    }
}

/// asinh of a positive number to the nearest `f32`: half the time of the
/// standard library's, which is exact for `f64` and for both signs.
fn asinh(x: f32) -> f32 {
    let x = f64::from(x);
    let exact = if x < SMALL { small(x) } else { (x + (x * x + 1.0).sqrt()).ln() };
    exact as f32
}

/// Where four terms of the series leave a relative error below 1e-17, and the closed form
/// loses digits as x goes to 0.
const SMALL: f64 = 1e-2;

fn small(x: f64) -> f64 {
    let s = x * x;
    x * (1.0 - s * (1.0 / 6.0 - s * (3.0 / 40.0 - s * (15.0 / 336.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASTROPY: Lupton = Lupton { stretch: 5.0, q: 8.0, minimum: [0.0; 3] };

    #[test]
    fn asinh_is_right_to_the_last_bit_of_f32() {
        for i in 0..200_000_u32 {
            let x = f32::from_bits(0x3000_0000 + i * 1_501);
            let exact = f64::from(x).asinh() as f32;
            assert_eq!(asinh(x), exact, "{x}");
        }
        for x in [1e-30, 0.00999, 0.01, 0.010_001, 0.75, 1e10, 3e20, f32::MAX, f32::INFINITY] {
            let exact = f64::from(x).asinh() as f32;
            assert_eq!(asinh(x), exact, "{x}");
        }
    }

    #[test]
    fn dark_and_undefined_pixels_are_black() {
        let stretch = ASTROPY.prepared([1.0; 3]);
        for fluxes in
            [[0.0; 3], [-1.0; 3], [f32::NAN, 1.0, 1.0], [2.0, -3.0, 0.5], [f32::MIN_POSITIVE; 3]]
        {
            assert_eq!(stretch.colour(fluxes), [0; 3], "{fluxes:?}");
        }
    }

    #[test]
    fn saturated_pixels_keep_their_colour() {
        let [r, g, b] = ASTROPY.prepared([1.0; 3]).colour([4e6, 2e6, 1e6]);
        assert_eq!([r, g, b], [255, 127, 63]);
    }

    #[test]
    fn one_negative_band_is_cut_at_zero() {
        let [r, g, b] = ASTROPY.prepared([1.0; 3]).colour([3.0, -0.5, 2.0]);
        assert!(r > b && b > 0 && g == 0, "{r} {g} {b}");
    }
}
