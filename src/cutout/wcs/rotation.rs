//! The rotation from native to celestial coordinates (paper II, section 2).

use super::WcsError;
use super::axes::{Axes, unsupported};
use super::distortion::Distortion;
use super::keywords::{Keywords, number};
use super::projection::Projection;
use super::vector::Matrix;

/// Angles nearer than this are one, degrees: well below a microarcsecond.
const SAME: f64 = 1e-10;

/// From native unit vectors to celestial ones, of the reference point `crval`
/// and `LONPOLE`, `LATPOLE` (or `PVi_3` and `PVi_4` of the axis of longitude,
/// which come before them).
pub fn native_to_celestial(
    header: &impl Keywords,
    axes: &Axes,
    projection: &Projection,
    distortion: &Distortion,
    crval: (f64, f64),
) -> Result<Matrix, WcsError> {
    let axis = axes.longitude;
    let theta = projection.reference_latitude();
    // TPV and SCAMP give these names to the terms of their polynomials.
    let mut poles = [number(header, "LONPOLE")?, number(header, "LATPOLE")?];
    if !distortion.takes_parameters {
        for m in 0..=2 {
            let given = number(header, &format!("PV{axis}_{m}"))?.unwrap_or(0.0);
            let fixed = if m == 2 { theta } else { 0.0 };
            let linear_term = m == 1 && axes.projection == "TAN" && given == 1.0;
            if given != 0.0 && given != fixed && !linear_term {
                return Err(unsupported(format!("PV{axis}_{m}, another reference point")));
            }
        }
        for (pole, m) in poles.iter_mut().zip(3..) {
            *pole = number(header, &format!("PV{axis}_{m}"))?.or(*pole);
        }
    }
    let (alpha, delta) = crval;
    let phi_pole = poles[0].unwrap_or(if delta >= theta { 0.0 } else { 180.0 });
    let (alpha_pole, delta_pole) = if theta == 90.0 {
        (alpha, delta)
    } else {
        let delta_pole = pole_latitude(delta, phi_pole, poles[1].unwrap_or(90.0))?;
        (pole_longitude(alpha, delta, phi_pole, delta_pole), delta_pole)
    };
    Ok(rotation(alpha_pole, delta_pole, phi_pole))
}

/// Latitude of the native pole for a reference point on the native equator
/// (paper II, eq. 8 with theta_0 = phi_0 = 0).
fn pole_latitude(delta: f64, phi_pole: f64, towards: f64) -> Result<f64, WcsError> {
    let impossible = WcsError::Impossible("LONPOLE and CRVAL allow no native pole");
    let cos = phi_pole.to_radians().cos();
    if cos.abs() < 1e-12 {
        return Err(WcsError::Impossible("LONPOLE leaves the native pole open"));
    }
    let ratio = delta.to_radians().sin() / cos.abs();
    if ratio.abs() > 1.0 + 1e-12 {
        return Err(impossible);
    }
    let base = if cos > 0.0 { 0.0 } else { 180.0 };
    let arc = ratio.clamp(-1.0, 1.0).acos().to_degrees();
    let within = |pole: f64| if pole > 180.0 { pole - 360.0 } else { pole };
    let [plus, minus] = [within(base + arc), base - arc];
    // Of two solutions the one nearer to LATPOLE; where both are as near, that
    // which WCSLIB takes.
    let nearer = if (towards - plus).abs() < (towards - minus).abs() {
        [plus, minus]
    } else {
        [minus, plus]
    };
    nearer
        .into_iter()
        .find(|pole| pole.abs() <= 90.0 + SAME)
        .map(|pole| pole.clamp(-90.0, 90.0))
        .ok_or(impossible)
}

/// Longitude of the native pole (paper II, eq. 9 and 10 and the cases below
/// them, with theta_0 = phi_0 = 0).
fn pole_longitude(alpha: f64, delta: f64, phi_pole: f64, delta_pole: f64) -> f64 {
    if delta.abs() > 90.0 - SAME {
        return alpha;
    }
    if delta_pole > 90.0 - SAME {
        return alpha + phi_pole - 180.0;
    }
    if delta_pole < SAME - 90.0 {
        return alpha - phi_pole;
    }
    let (sin_phi, _) = phi_pole.to_radians().sin_cos();
    let (sin_delta, cos_delta) = delta.to_radians().sin_cos();
    let (sin_pole, cos_pole) = delta_pole.to_radians().sin_cos();
    let sine = sin_phi / cos_delta;
    let cosine = -sin_pole * sin_delta / (cos_pole * cos_delta);
    alpha - sine.atan2(cosine).to_degrees()
}

/// Paper II, eq. 2, as a matrix.
fn rotation(alpha_pole: f64, delta_pole: f64, phi_pole: f64) -> Matrix {
    let (sin, cos) = delta_pole.to_radians().sin_cos();
    let tilt = Matrix([[-sin, 0.0, cos], [0.0, -1.0, 0.0], [cos, 0.0, sin]]);
    Matrix::turn(2, -alpha_pole.to_radians())
        .after(&tilt)
        .after(&Matrix::turn(2, phi_pole.to_radians()))
}
