//! Zenithal projections: about the native pole, by the distance from it.

use super::WcsError;
use super::vector::Vector;

/// Coefficients of ZPN.
const TERMS: usize = 21;

/// Halvings of an interval: more than a double has bits.
const HALVINGS: usize = 60;

/// A zenithal projection. Radii and coordinates are in radians.
#[derive(Debug, Clone, PartialEq)]
pub enum Zenithal {
    /// Gnomonic.
    Tan,
    /// Slant orthographic (paper II, section 5.1.5); both zero: orthographic.
    Sin {
        /// PVi_1.
        xi: f64,
        /// PVi_2.
        eta: f64,
    },
    /// Stereographic.
    Stg,
    /// Equidistant.
    Arc,
    /// Equal area.
    Zea,
    /// A polynomial in the distance from the pole, as far as it grows.
    Zpn {
        /// PVi_0 to PVi_20.
        terms: Box<[f64; TERMS]>,
        /// Distance from the pole where it stops growing, radians.
        end: f64,
    },
}

impl Zenithal {
    /// The old NCP projection: SIN slanted towards the celestial pole
    /// (paper II, section 6.1.2).
    pub fn north_celestial_pole(declination: f64) -> Result<Self, WcsError> {
        let tangent = declination.to_radians().tan();
        if tangent.abs() < 1e-9 {
            return Err(WcsError::Impossible("the projection NCP on the equator"));
        }
        Ok(Self::Sin { xi: 0.0, eta: 1.0 / tangent })
    }

    /// ZPN of these coefficients.
    pub fn zpn(terms: [f64; TERMS]) -> Result<Self, WcsError> {
        let growth = |distance: f64| {
            let mut sum = 0.0;
            for (m, term) in terms.iter().enumerate().skip(1).rev() {
                sum = sum * distance + term * m as f64;
            }
            sum
        };
        if growth(0.0) <= 0.0 {
            return Err(WcsError::Impossible("a ZPN polynomial that does not grow"));
        }
        // The first place where it stops growing, on a grid fine enough for
        // polynomials of real cameras, then by halving.
        let steps = 1_800;
        let at = |step: i32| std::f64::consts::PI * f64::from(step) / f64::from(steps);
        let stop = (1..=steps).find(|step| growth(at(*step)) <= 0.0);
        let end = stop.map_or(std::f64::consts::PI, |step| {
            let (mut low, mut high) = (at(step - 1), at(step));
            for _ in 0..HALVINGS {
                let middle = 0.5 * (low + high);
                if growth(middle) > 0.0 { low = middle } else { high = middle }
            }
            low
        });
        Ok(Self::Zpn { terms: Box::new(terms), end })
    }

    /// From the plane to a native unit vector.
    pub fn deproject(&self, x: f64, y: f64) -> Option<Vector> {
        if let Self::Sin { xi, eta } = self
            && (*xi, *eta) != (0.0, 0.0)
        {
            return slanted(*xi, *eta, x, y);
        }
        let r = x.hypot(y);
        let (sin, cos) = self.latitude(r)?;
        // Paper II, eq. 14 and 15: longitude is arg(-y, x).
        Some(if r == 0.0 { [0.0, -cos, sin] } else { [-y / r * cos, x / r * cos, sin] })
    }

    /// Sine and cosine of the native latitude at a distance in the plane.
    fn latitude(&self, r: f64) -> Option<(f64, f64)> {
        match self {
            Self::Tan => {
                let length = r.hypot(1.0);
                Some((1.0 / length, r / length))
            }
            Self::Sin { .. } => (r <= 1.0).then(|| ((1.0 - r * r).sqrt(), r)),
            Self::Stg => Some(of_distance(2.0 * (0.5 * r).atan())),
            Self::Arc => (r <= std::f64::consts::PI).then(|| of_distance(r)),
            Self::Zea => (r <= 2.0).then(|| of_distance(2.0 * (0.5 * r).asin())),
            Self::Zpn { terms, end } => {
                let (mut low, mut high) = (0.0, *end);
                if r < polynomial(terms, low) || r > polynomial(terms, high) {
                    return None;
                }
                for _ in 0..HALVINGS {
                    let middle = 0.5 * (low + high);
                    if polynomial(terms, middle) < r { low = middle } else { high = middle }
                }
                Some(of_distance(0.5 * (low + high)))
            }
        }
    }

    /// From a native unit vector to the plane.
    pub fn project(&self, &[x, y, z]: &Vector) -> Option<(f64, f64)> {
        let cos = x.hypot(y);
        let distance = cos.atan2(z);
        if let Self::Sin { xi, eta } = self {
            // Paper II, eq. 42 to 44: theta ≥ -arctan(xi sin phi - eta cos phi).
            let s = 1.0 - z;
            return (z + xi * y - eta * x >= 0.0).then(|| (y + xi * s, -x + eta * s));
        }
        let r = match self {
            Self::Tan => (z > 0.0).then(|| cos / z)?,
            Self::Stg => (z > -1.0).then(|| 2.0 * (0.5 * distance).tan())?,
            Self::Zea => 2.0 * (0.5 * distance).sin(),
            Self::Zpn { terms, end } => (distance <= *end).then(|| polynomial(terms, distance))?,
            _ => distance,
        };
        Some(if cos == 0.0 { (0.0, -r) } else { (y / cos * r, -x / cos * r) })
    }
}

/// Sine and cosine of the latitude at a distance from the pole.
fn of_distance(distance: f64) -> (f64, f64) {
    let (sin, cos) = distance.sin_cos();
    (cos, sin)
}

fn polynomial(terms: &[f64; TERMS], distance: f64) -> f64 {
    terms.iter().rev().fold(0.0, |sum, term| sum * distance + term)
}

/// Paper II, eq. 45 and 46.
fn slanted(xi: f64, eta: f64, x: f64, y: f64) -> Option<Vector> {
    let a = xi * xi + eta * eta + 1.0;
    let b = xi * (x - xi) + eta * (y - eta);
    let c = (x - xi).powi(2) + (y - eta).powi(2) - 1.0;
    let squared = b * b - a * c;
    // On the limb itself rounding may lead below zero.
    if squared < -1e-12 {
        return None;
    }
    // The larger sine lies nearer to the pole.
    let sin = (-b + squared.max(0.0).sqrt()) / a;
    if !(-1.0..=1.0 + 1e-12).contains(&sin) {
        return None;
    }
    let s = 1.0 - sin;
    let (along, across) = (-(y - eta * s), x - xi * s);
    Some([along, across, sin.min(1.0)])
}
