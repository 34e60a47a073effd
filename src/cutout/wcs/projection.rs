//! The projections: from their plane to native unit vectors and back
//! (paper II, section 5).
//!
//! Plane coordinates are degrees. Which projections are read is decided here;
//! the zenithal ones and the others have a file each.

use super::WcsError;
use super::axes::{Axes, unsupported};
use super::distortion::Distortion;
use super::keywords::{Keywords, number};
use super::pseudocylindrical::Flat;
use super::vector::{Vector, from_angles};
use super::zenithal::Zenithal;

/// Most `PVi_m` of a projection that is read (ZPN).
const PARAMETERS: usize = 21;

/// A projection with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Projection {
    /// About a pole: the reference point is the native pole.
    Zenithal(Zenithal),
    /// Along the equator: the reference point is its origin.
    Flat(Flat),
}

impl Projection {
    pub fn read(
        header: &impl Keywords,
        axes: &Axes,
        distortion: &Distortion,
        crval: (f64, f64),
    ) -> Result<Self, WcsError> {
        if axes.projection == "TPV" || distortion.takes_parameters {
            return Ok(Self::Zenithal(Zenithal::Tan));
        }
        // Parameters belong to the axis of latitude.
        let given = parameters(header, axes.latitude)?;
        let one = |m: usize| given[m].unwrap_or(0.0);
        let read = match axes.projection.as_str() {
            "TAN" => Self::Zenithal(Zenithal::Tan),
            "SIN" => Self::Zenithal(Zenithal::Sin { xi: one(1), eta: one(2) }),
            "NCP" => Self::Zenithal(Zenithal::north_celestial_pole(crval.1)?),
            "STG" => Self::Zenithal(Zenithal::Stg),
            "ARC" => Self::Zenithal(Zenithal::Arc),
            "ZEA" => Self::Zenithal(Zenithal::Zea),
            "ZPN" => Self::Zenithal(Zenithal::zpn(given.map(|p| p.unwrap_or(0.0)))?),
            "CAR" => Self::Flat(Flat::Car),
            "MER" => Self::Flat(Flat::Mer),
            "CEA" => Self::Flat(Flat::cea(given[1].unwrap_or(1.0))?),
            "SFL" => Self::Flat(Flat::Sfl),
            "PAR" => Self::Flat(Flat::Par),
            "AIT" => Self::Flat(Flat::Ait),
            "MOL" => Self::Flat(Flat::Mol),
            other => return Err(unsupported(format!("the projection {other}"))),
        };
        let used = |m: usize| match axes.projection.as_str() {
            "SIN" => matches!(m, 1 | 2),
            "CEA" => m == 1,
            "ZPN" => true,
            // A linear term of one is what SCAMP writes for no distortion.
            "TAN" => m == 1 && given[1] == Some(1.0),
            _ => false,
        };
        match (0..PARAMETERS).find(|m| one(*m) != 0.0 && !used(*m)) {
            None => Ok(read),
            Some(m) => Err(unsupported(format!(
                "PV{}_{m} with the projection {}",
                axes.latitude, axes.projection
            ))),
        }
    }

    /// Native latitude of the reference point, degrees; its native longitude
    /// is 0.
    pub fn reference_latitude(&self) -> f64 {
        match self {
            Self::Zenithal(_) => 90.0,
            Self::Flat(_) => 0.0,
        }
    }

    /// From the plane to the sphere; `None` outside of the projection.
    pub fn deproject(&self, (x, y): (f64, f64)) -> Option<Vector> {
        match self {
            Self::Zenithal(zenithal) => zenithal.deproject(x.to_radians(), y.to_radians()),
            Self::Flat(flat) => {
                let (longitude, latitude) = flat.deproject(x, y)?;
                (longitude.abs() <= 180.0 + 1e-9 && latitude.abs() <= 90.0 + 1e-9)
                    .then(|| from_angles(longitude, latitude))
            }
        }
    }

    /// The inverse of [`deproject`](Self::deproject); `None` for the part of
    /// the sphere that the projection does not show.
    pub fn project(&self, native: &Vector) -> Option<(f64, f64)> {
        match self {
            Self::Zenithal(zenithal) => {
                let (x, y) = zenithal.project(native)?;
                Some((x.to_degrees(), y.to_degrees()))
            }
            Self::Flat(flat) => {
                let [x, y, z] = *native;
                let longitude = y.atan2(x).to_degrees();
                let latitude = z.atan2(x.hypot(y)).to_degrees();
                flat.project(longitude, latitude)
            }
        }
    }
}

fn parameters(header: &impl Keywords, axis: usize) -> Result<[Option<f64>; PARAMETERS], WcsError> {
    let mut parameters = [None; PARAMETERS];
    if header.any_begins(&format!("PV{axis}_")) {
        for (m, parameter) in parameters.iter_mut().enumerate() {
            *parameter = number(header, &format!("PV{axis}_{m}"))?;
        }
    }
    Ok(parameters)
}
