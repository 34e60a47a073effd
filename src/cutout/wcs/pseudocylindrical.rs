//! Cylindrical and pseudo-cylindrical projections: the native equator is a
//! straight line.

use super::WcsError;

/// A projection of longitude and latitude. Everything is in degrees.
#[derive(Debug, Clone, PartialEq)]
pub enum Flat {
    /// Plate carrée.
    Car,
    /// Mercator.
    Mer,
    /// Cylindrical equal area.
    Cea {
        /// Square of the cosine of the standard latitude, PVi_1.
        lambda: f64,
    },
    /// Sanson-Flamsteed.
    Sfl,
    /// Parabolic.
    Par,
    /// Hammer-Aitoff.
    Ait,
    /// Mollweide.
    Mol,
}

impl Flat {
    /// CEA of this parameter.
    pub fn cea(lambda: f64) -> Result<Self, WcsError> {
        if lambda > 0.0 && lambda <= 1.0 {
            Ok(Self::Cea { lambda })
        } else {
            Err(WcsError::Impossible("a CEA parameter outside of 0 to 1"))
        }
    }

    /// Native longitude and latitude of a point of the plane.
    pub fn deproject(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let asin = |sine: f64| (sine.abs() <= 1.0).then(|| sine.asin().to_degrees());
        match self {
            Self::Car => Some((x, y)),
            Self::Mer => Some((x, 2.0 * y.to_radians().exp().atan().to_degrees() - 90.0)),
            Self::Cea { lambda } => Some((x, asin(lambda * y.to_radians())?)),
            Self::Sfl => {
                let cos = y.to_radians().cos();
                along(x, cos).map(|longitude| (longitude, y))
            }
            Self::Par => {
                let s = y / 180.0;
                let latitude = 3.0 * asin(s)?;
                along(x, 1.0 - 4.0 * s * s).map(|longitude| (longitude, latitude))
            }
            Self::Ait => {
                let (u, v) = (x.to_radians() / 4.0, y.to_radians() / 2.0);
                let squared = 1.0 - u * u - v * v;
                if squared < 0.5 {
                    return None;
                }
                let z = squared.sqrt();
                let longitude = 2.0 * (2.0 * z * u).atan2(2.0 * squared - 1.0).to_degrees();
                Some((longitude, asin(2.0 * v * z)?))
            }
            Self::Mol => {
                // Paper II, eq. 98 to 100.
                let s = y.to_radians() / std::f64::consts::SQRT_2;
                let gamma = asin(s)?.to_radians();
                let latitude = asin((2.0 * gamma + (2.0 * gamma).sin()) / std::f64::consts::PI)?;
                let longitude = along(
                    x * std::f64::consts::PI / (2.0 * std::f64::consts::SQRT_2),
                    gamma.cos(),
                )?;
                Some((longitude, latitude))
            }
        }
    }

    /// The inverse of [`deproject`](Self::deproject).
    pub fn project(&self, longitude: f64, latitude: f64) -> Option<(f64, f64)> {
        let (phi, theta) = (longitude.to_radians(), latitude.to_radians());
        Some(match self {
            Self::Car => (longitude, latitude),
            Self::Mer => {
                let y = (0.5 * theta + std::f64::consts::FRAC_PI_4).tan().ln().to_degrees();
                y.is_finite().then_some((longitude, y))?
            }
            Self::Cea { lambda } => (longitude, (theta.sin() / lambda).to_degrees()),
            Self::Sfl => (longitude * theta.cos(), latitude),
            Self::Par => {
                let s = (theta / 3.0).sin();
                (longitude * (1.0 - 4.0 * s * s), 180.0 * s)
            }
            Self::Ait => {
                let (sin, cos) = (0.5 * phi).sin_cos();
                let gamma = (2.0 / (1.0 + theta.cos() * cos)).sqrt();
                let x = 2.0 * gamma * theta.cos() * sin;
                (x.to_degrees(), (gamma * theta.sin()).to_degrees())
            }
            Self::Mol => {
                let gamma = mollweide(theta);
                let x = 2.0 * std::f64::consts::SQRT_2 / std::f64::consts::PI;
                (x * longitude * gamma.cos(), (std::f64::consts::SQRT_2 * gamma.sin()).to_degrees())
            }
        })
    }
}

/// The longitude at `x` on a parallel shortened to `part`. At the poles, of
/// no length, all longitudes are one.
fn along(x: f64, part: f64) -> Option<f64> {
    if part > 1e-12 { Some(x / part) } else { (x.abs() < 1e-9).then_some(0.0) }
}

/// The angle γ with 2γ + sin 2γ = π sin θ, by halving: it grows with γ.
fn mollweide(theta: f64) -> f64 {
    let target = std::f64::consts::PI * theta.sin();
    let (mut low, mut high) = (-std::f64::consts::FRAC_PI_2, std::f64::consts::FRAC_PI_2);
    for _ in 0..60 {
        let gamma = 0.5 * (low + high);
        if 2.0 * gamma + (2.0 * gamma).sin() < target { low = gamma } else { high = gamma }
    }
    0.5 * (low + high)
}
