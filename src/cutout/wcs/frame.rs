//! Reference frames and their way to ICRS: FK5 and FK4 of any equinox, FK4
//! without E-terms, galactic.
//!
//! The numbers are astropy's (`astropy.coordinates.builtin_frames`), whose
//! sources are named beside them. Other frames are refused.

use super::WcsError;
use super::axes::{Axes, System};
use super::keywords::{Keywords, Value, not_understood, text};
use super::precession;
use super::vector::{Matrix, Vector, dot};

/// Equinoxes before this are of FK4 where RADESYS does not say (paper II,
/// section 3.1).
const FIRST_FK5: f64 = 1984.0;

/// Rotation from FK4 (B1950) to FK5 (J2000): Murray 1989, A&A 218, 325, eq. 28.
const B1950_TO_J2000: Matrix = Matrix([
    [0.999_925_679_495_687_7, -0.011_181_483_220_466_2, -0.004_859_003_815_359_2],
    [0.011_181_483_239_171_7, 0.999_937_484_893_313_5, -0.000_027_162_594_714_2],
    [0.004_859_003_772_314_3, -0.000_027_170_293_744_0, 0.999_988_194_602_374_2],
]);

/// What FK4, which rotates, adds a Julian century after B1950: eq. 29.
const FK4_SPIN: [[f64; 3]; 3] = [
    [-0.002_645_526_2e-6, -1.153_991_868_9e-6, 2.111_134_619_0e-6],
    [1.154_062_816_1e-6, -0.012_904_299_7e-6, 0.023_602_147_8e-6],
    [-2.111_297_904_8e-6, -0.005_602_444_8e-6, 0.010_258_773_4e-6],
];

/// The frame of a header.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The E-terms of aberration that its positions contain.
    e_terms: Option<Vector>,
    to_icrs: Matrix,
    from_icrs: Matrix,
}

impl Frame {
    pub fn read(header: &impl Keywords, axes: &Axes) -> Result<Self, WcsError> {
        if axes.system == System::Galactic {
            return Ok(Self::rotation(fk5_to_icrs().after(&galactic_to_fk5())));
        }
        let equinox = equinox(header)?;
        let system = match text(header, "RADESYS")?.filter(|s| !s.is_empty()) {
            Some(system) => Some(("RADESYS", system)),
            None => text(header, "RADECSYS")?.filter(|s| !s.is_empty()).map(|s| ("RADECSYS", s)),
        };
        let year = equinox.map(|e| e.year);
        let implied = match equinox {
            None => "ICRS",
            Some(e) if e.besselian.unwrap_or(e.year < FIRST_FK5) => "FK4",
            Some(_) => "FK5",
        };
        let name = system.as_ref().map_or(implied, |(_, name)| name.as_str());
        match name {
            // It has no equinox; one of another time contradicts it. (EPOCH may
            // be that of the observation.)
            "ICRS" => match equinox {
                Some(Equinox { keyword: "EQUINOX", year, .. }) if year != 2000.0 => {
                    Err(WcsError::Contradiction(format!("RADESYS = 'ICRS' and EQUINOX = {year}")))
                }
                _ => Ok(Self::rotation(Matrix::UNIT)),
            },
            "FK5" => {
                let to_j2000 = precession::fk5(year.unwrap_or(2000.0)).transposed();
                Ok(Self::rotation(fk5_to_icrs().after(&to_j2000)))
            }
            "FK4" | "FK4-NO-E" => Ok(Self::fk4(year.unwrap_or(1950.0), name == "FK4")),
            _ => {
                let (keyword, value) = system.unwrap_or(("RADESYS", String::new()));
                Err(not_understood(keyword, &Value::Text(value)))
            }
        }
    }

    fn rotation(to_icrs: Matrix) -> Self {
        Self { e_terms: None, from_icrs: to_icrs.inverse(), to_icrs }
    }

    /// FK4 of a Besselian equinox. Positions are taken to be observed at it.
    fn fk4(equinox: f64, with_e_terms: bool) -> Self {
        let date = precession::of_besselian(equinox);
        let centuries = (precession::julian_year(date) - 1950.0) / 100.0;
        let mut matrix = B1950_TO_J2000;
        for (row, spin) in matrix.0.iter_mut().zip(FK4_SPIN) {
            for (element, spin) in row.iter_mut().zip(spin) {
                *element += spin * centuries;
            }
        }
        let to_icrs = fk5_to_icrs().after(&matrix).after(&precession::fk4(equinox, 1950.0));
        Self { e_terms: with_e_terms.then(|| e_terms(date)), ..Self::rotation(to_icrs) }
    }

    /// A direction of this frame in ICRS. Its length is not kept.
    pub fn to_icrs(&self, direction: &Vector) -> Vector {
        let direction = match &self.e_terms {
            None => *direction,
            Some(e) => {
                let along = dot(e, direction);
                [0, 1, 2].map(|i| direction[i] - e[i] + along * direction[i])
            }
        };
        self.to_icrs.apply(&direction)
    }

    /// A direction of ICRS in this frame, of length 1.
    pub fn out_of_icrs(&self, direction: &Vector) -> Vector {
        let start = normalised(self.from_icrs.apply(direction));
        let Some(e) = &self.e_terms else { return start };
        let mut found = start;
        // Each step gains four digits, the E-terms being that small.
        for _ in 0..10 {
            let along = dot(e, &found);
            found = [0, 1, 2].map(|i| (start[i] + e[i]) / (1.0 + along));
        }
        normalised(found)
    }
}

/// An equinox, and whether it was marked as Besselian or Julian.
#[derive(Debug, Clone, Copy)]
struct Equinox {
    keyword: &'static str,
    year: f64,
    besselian: Option<bool>,
}

/// EQUINOX, or the older EPOCH; a number, or a string such as `J2000.0`.
fn equinox(header: &impl Keywords) -> Result<Option<Equinox>, WcsError> {
    for keyword in ["EQUINOX", "EPOCH"] {
        let Some(value) = header.value(keyword) else { continue };
        let found = match &value {
            Value::Number(year) => Some(Equinox { keyword, year: *year, besselian: None }),
            Value::Text(text) => {
                let text = text.trim();
                let (besselian, digits) = match text.split_at_checked(1) {
                    Some(("B" | "b", digits)) => (Some(true), digits),
                    Some(("J" | "j", digits)) => (Some(false), digits),
                    _ => (None, text),
                };
                digits.parse().ok().map(|year| Equinox { keyword, year, besselian })
            }
            Value::Other(_) => None,
        };
        // Beyond these the polynomials of precession mean nothing.
        return match found {
            Some(equinox) if (1800.0..=2200.0).contains(&equinox.year) => Ok(Some(equinox)),
            _ => Err(not_understood(keyword, &value)),
        };
    }
    Ok(None)
}

/// From FK5 (J2000) to ICRS: the frame bias of USNO Circular 179, section 3.5.
fn fk5_to_icrs() -> Matrix {
    let milliarcseconds = |angle: f64| (angle / 3_600_000.0).to_radians();
    Matrix::turn(0, milliarcseconds(19.9))
        .after(&Matrix::turn(1, milliarcseconds(9.1)))
        .after(&Matrix::turn(2, milliarcseconds(-22.9)))
        .transposed()
}

/// From galactic coordinates to FK5 (J2000): the pole and the node of 1958,
/// defined in FK4, as astropy carries them over.
fn galactic_to_fk5() -> Matrix {
    Matrix::turn(2, (180.0 - 122.931_918_568_002_6_f64).to_radians())
        .after(&Matrix::turn(1, (90.0 - 27.128_251_180_856_22_f64).to_radians()))
        .after(&Matrix::turn(2, 192.859_481_206_534_8_f64.to_radians()))
        .transposed()
}

/// The E-terms of aberration of an equinox, given as a Julian date
/// (Explanatory Supplement 1992, section 3.59; ERFA's `obl80`).
fn e_terms(date: f64) -> Vector {
    let t = (date - precession::of_besselian(1950.0)) / 36_525.0;
    let eccentricity = (-0.000_000_126 * t - 0.000_041_93) * t + 0.016_730_11;
    let size = 0.005_693_2_f64.to_radians() * eccentricity;
    let perigee = (((0.012 * t + 1.65) * t + 6_190.67) * t + 1_015_489.951) / 3600.0;
    let (sin, cos) = perigee.to_radians().sin_cos();
    let t = (date - precession::J2000) / 36_525.0;
    let obliquity = (84_381.448 + (-46.815 + (-0.000_59 + 0.001_813 * t) * t) * t) / 3600.0;
    let (sin_o, cos_o) = obliquity.to_radians().sin_cos();
    [size * sin, -size * cos * cos_o, -size * cos * sin_o]
}

fn normalised(vector: Vector) -> Vector {
    let length = dot(&vector, &vector).sqrt();
    vector.map(|component| component / length)
}
