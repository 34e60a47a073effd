//! Which axis is which: names, projection, units.

use super::WcsError;
use super::keywords::{Keywords, Value, not_understood, required, text};

/// Names of celestial axes that are read: longitude, latitude.
const SYSTEMS: [(System, &str, &str); 2] =
    [(System::Equatorial, "RA", "DEC"), (System::Galactic, "GLON", "GLAT")];

/// How the names of other celestial axes end (paper II, section 3.1: ELON,
/// SLON, HLON, and `xyLN` of bodies of the solar system).
const LONGITUDES: [&str; 2] = ["LON", "LN"];

/// Names of equatorial and galactic axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// RA and DEC; RADESYS and EQUINOX say of which frame.
    Equatorial,
    /// GLON and GLAT.
    Galactic,
}

/// The celestial axes of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Axes {
    /// What they measure.
    pub system: System,
    /// Number of the axis of longitude in the header, 1 or 2.
    pub longitude: usize,
    /// Number of the axis of latitude, 2 or 1.
    pub latitude: usize,
    /// Code of the projection: TAN, SIN, ...
    pub projection: String,
    /// Whether CTYPE ends in the code of SIP's distortions.
    pub sip: bool,
    /// Degrees in a unit of axis 1 and of axis 2.
    units: [f64; 2],
}

/// `RA---TAN-SIP` taken apart: RA, TAN, whether there is SIP.
struct Kind {
    name: String,
    projection: Option<String>,
    sip: bool,
}

impl Axes {
    /// `None` where no axis is celestial.
    pub fn read(header: &impl Keywords) -> Result<Option<Self>, WcsError> {
        let types = [text(header, "CTYPE1")?, text(header, "CTYPE2")?];
        let third = text(header, "CTYPE3")?.filter(|t| is_celestial(&kind(t).name));
        let kinds = types.clone().map(|t| kind(t.as_deref().unwrap_or_default()));
        if !kinds.iter().any(|k| is_celestial(&k.name)) {
            return match third {
                None => Ok(None),
                Some(t) => {
                    Err(unsupported(format!("CTYPE3 = '{t}' without celestial axes 1 and 2")))
                }
            };
        }
        let shown = types.map(|t| t.unwrap_or_default()).join("', '");
        let found = SYSTEMS.iter().find_map(|(system, longitude, latitude)| {
            let position = |name: &str| kinds.iter().position(|k| k.name == *name);
            Some((*system, position(longitude)?, position(latitude)?))
        });
        let Some((system, longitude, latitude)) = found else {
            return Err(unsupported(format!("axes of types '{shown}'")));
        };
        let [a, b] = &kinds;
        let projection = match (&a.projection, &b.projection) {
            (Some(one), Some(other)) if one == other && a.sip == b.sip => one.clone(),
            _ => return Err(unsupported(format!("axes of types '{shown}'"))),
        };
        Ok(Some(Self {
            system,
            longitude: longitude + 1,
            latitude: latitude + 1,
            projection,
            sip: a.sip,
            units: [unit(header, "CUNIT1")?, unit(header, "CUNIT2")?],
        }))
    }

    /// Degrees in a unit of axis 1 or 2.
    pub fn unit(&self, axis: usize) -> f64 {
        self.units[axis - 1]
    }

    /// Longitude and latitude of the reference point, degrees.
    pub fn crval(&self, header: &impl Keywords) -> Result<(f64, f64), WcsError> {
        let read = |axis: usize| Ok(required(header, &format!("CRVAL{axis}"))? * self.unit(axis));
        let (longitude, latitude) = (read(self.longitude)?, read(self.latitude)?);
        if latitude.abs() > 90.0 {
            return Err(WcsError::Impossible("the reference point lies beyond a pole"));
        }
        Ok((longitude, latitude))
    }
}

/// Takes a CTYPE apart: a name filled up with dashes to four characters, a
/// dash, three characters of a projection, and perhaps `-SIP`.
fn kind(ctype: &str) -> Kind {
    let (ctype, sip) = match ctype.strip_suffix("-SIP") {
        Some(rest) => (rest, true),
        None => (ctype, false),
    };
    let (name, projection) = match ctype.split_once('-') {
        Some((name, rest)) => (name, Some(rest.trim_matches('-').to_owned())),
        None => (ctype, None),
    };
    Kind { name: name.to_owned(), projection: projection.filter(|p| !p.is_empty()), sip }
}

fn is_celestial(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let known = SYSTEMS.iter().any(|(_, lon, lat)| [*lon, *lat].contains(&upper.as_str()));
    let other = LONGITUDES.iter().any(|end| upper.ends_with(end));
    known || (other && matches!(upper.len(), 4))
}

/// Degrees in a unit.
fn unit(header: &impl Keywords, keyword: &str) -> Result<f64, WcsError> {
    let Some(unit) = text(header, keyword)? else { return Ok(1.0) };
    match unit.as_str() {
        "" | "deg" | "degree" | "degrees" | "DEG" | "DEGREE" | "DEGREES" => Ok(1.0),
        "rad" => Ok(1.0_f64.to_degrees()),
        "arcmin" => Ok(1.0 / 60.0),
        "arcsec" => Ok(1.0 / 3600.0),
        "mas" => Ok(1.0 / 3_600_000.0),
        _ => Err(not_understood(keyword, &Value::Text(unit))),
    }
}

/// The error for something that is not read.
pub fn unsupported(what: impl Into<String>) -> WcsError {
    WcsError::Unsupported(what.into())
}
