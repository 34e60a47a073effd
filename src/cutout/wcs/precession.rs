//! Precession matrices: IAU 2006 for FK5, Newcomb's for FK4.
//!
//! As astropy and ERFA compute them, so that positions agree.

use super::vector::Matrix;

/// Degrees in an arcsecond.
const ARCSECOND: f64 = 1.0 / 3600.0;

/// Julian date of J2000.
pub const J2000: f64 = 2_451_545.0;

/// Julian date of a Besselian year (ERFA's `epb2jd`).
pub fn of_besselian(year: f64) -> f64 {
    2_415_019.813_52 + (year - 1900.0) * 365.242_198_781
}

/// Julian year of a Julian date.
pub fn julian_year(date: f64) -> f64 {
    2000.0 + (date - J2000) / 365.25
}

/// From the equinox of J2000 to that of a Julian year, without the bias of
/// the frame: Fukushima-Williams angles of Hilton et al. 2006, Celest. Mech.
/// Dyn. Astron. 94, 351 (ERFA's `pfw06`, `fw2m` and `bp06`).
pub fn fk5(year: f64) -> Matrix {
    let at = |t: f64| {
        let polynomial =
            |terms: [f64; 6]| terms.iter().rev().fold(0.0, |sum, c| sum * t + c) * ARCSECOND;
        let gamma = polynomial([
            -0.052_928,
            10.556_378,
            0.493_204_4,
            -0.000_312_38,
            -0.000_002_788,
            0.000_000_026,
        ]);
        let phi = polynomial([
            84_381.412_819,
            -46.811_016,
            0.051_126_8,
            0.000_532_89,
            -0.000_000_44,
            -0.000_000_017_6,
        ]);
        let psi = polynomial([
            -0.041_775,
            5_038.481_484,
            1.558_417_5,
            -0.000_185_22,
            -0.000_026_452,
            -0.000_000_014_8,
        ]);
        let epsilon = polynomial([
            84_381.406,
            -46.836_769,
            -0.000_183_1,
            0.002_003_4,
            -0.000_000_576,
            -0.000_000_043_4,
        ]);
        Matrix::turn(0, -epsilon.to_radians())
            .after(&Matrix::turn(2, -psi.to_radians()))
            .after(&Matrix::turn(0, phi.to_radians()))
            .after(&Matrix::turn(2, gamma.to_radians()))
    };
    at((year - 2000.0) / 100.0).after(&at(0.0).transposed())
}

/// From the equinox of one Besselian year to another, after Newcomb
/// (Explanatory Supplement 1992, section 3.59; astropy's `FK4NoETerms`).
pub fn fk4(from: f64, to: f64) -> Matrix {
    // Tropical millennia.
    let t = (from - 1850.0) / 1000.0;
    let dt = (to - 1850.0) / 1000.0 - t;
    let first = (0.060 * t + 139.720) * t + 23_035.545;
    let zeta = ((17.995 * dt + (-0.27 * t + 30.240)) * dt + first) * dt;
    let z = ((18.325 * dt + (0.39 * t + 109.480)) * dt + first) * dt;
    let theta =
        ((-41.8 * dt + (-0.37 * t - 42.65)) * dt + ((-0.37 * t - 85.29) * t + 20_051.12)) * dt;
    let turn =
        |axis: usize, arcseconds: f64| Matrix::turn(axis, (arcseconds * ARCSECOND).to_radians());
    turn(2, -z).after(&turn(1, theta)).after(&turn(2, -zeta))
}
