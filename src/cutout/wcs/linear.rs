//! The linear transformation from pixels to the plane of projection.

use super::WcsError;
use super::axes::{Axes, unsupported};
use super::keywords::{Keywords, number, one_of, required};

/// Most by which `CDi_j` and `CDELTi·PCi_j` may differ where a header gives
/// both, as a part of the largest element: what rounding makes of them.
const ROUNDING: f64 = 1e-5;

type Square = [[f64; 2]; 2];

/// Reference pixel and matrix (paper I, section 2.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    reference: (f64, f64),
    /// From pixels to degrees: rows are longitude and latitude, whatever the
    /// order of the axes in the header.
    matrix: Square,
    inverse: Square,
}

impl Linear {
    pub fn read(header: &impl Keywords, axes: &Axes) -> Result<Self, WcsError> {
        refuse_coupled(header)?;
        let reference = (required(header, "CRPIX1")?, required(header, "CRPIX2")?);
        let rows = matrix(header, axes)?;
        let row = |axis: usize| rows[axis - 1].map(|element| element * axes.unit(axis));
        let matrix = [row(axes.longitude), row(axes.latitude)];
        let [[a, b], [c, d]] = matrix;
        let determinant = a * d - b * c;
        let largest = [a, b, c, d].into_iter().fold(0.0, |m: f64, e| m.max(e.abs()));
        // A pixel's sides are never a millionth of each other.
        if !determinant.is_finite() || determinant.abs() <= 1e-9 * largest * largest {
            return Err(WcsError::Impossible("the matrix of the WCS has no inverse"));
        }
        let inverse = [[d / determinant, -b / determinant], [-c / determinant, a / determinant]];
        Ok(Self { reference, matrix, inverse })
    }

    /// `CRPIX1` and `CRPIX2`.
    pub fn reference(&self) -> (f64, f64) {
        self.reference
    }

    /// Pixel coordinates to the plane of projection, degrees.
    pub fn to_plane(&self, (x, y): (f64, f64)) -> (f64, f64) {
        times(&self.matrix, (x - self.reference.0, y - self.reference.1))
    }

    /// The inverse of [`to_plane`](Self::to_plane).
    pub fn to_pixel(&self, plane: (f64, f64)) -> (f64, f64) {
        let (dx, dy) = times(&self.inverse, plane);
        (dx + self.reference.0, dy + self.reference.1)
    }
}

fn times([[a, b], [c, d]]: &Square, (x, y): (f64, f64)) -> (f64, f64) {
    (a * x + b * y, c * x + d * y)
}

/// GpuPrecision that carry pixels of further axes into the celestial ones, or
/// back: the position would depend on the plane.
fn refuse_coupled(header: &impl Keywords) -> Result<(), WcsError> {
    for kind in ["CD", "PC"] {
        // Most headers have no element of such a matrix at all.
        if !header.any_begins(kind) {
            continue;
        }
        for (i, j) in [(1, 3), (2, 3), (3, 1), (3, 2)] {
            if one_of(header, &names(kind, i, j))?.is_some_and(|element| element != 0.0) {
                return Err(unsupported(format!("{kind}{i}_{j} binds a celestial axis to axis 3")));
            }
        }
    }
    Ok(())
}

/// The 2×2 matrix, one row an axis of the header, in the header's units a
/// pixel: `CDi_j`, or `CDELTi` with `PCi_j` or with the older `CROTA`.
fn matrix(header: &impl Keywords, axes: &Axes) -> Result<Square, WcsError> {
    let cd = elements(header, "CD", [[0.0; 2]; 2])?;
    let pc = elements(header, "PC", [[1.0, 0.0], [0.0, 1.0]])?;
    let scale = |axis: usize| required(header, &format!("CDELT{axis}"));
    match (cd, pc) {
        (Some(cd), None) => Ok(cd),
        (None, Some(pc)) => Ok(scaled(pc, scale(1)?, scale(2)?)),
        (Some(cd), Some(pc)) => {
            // Paper I forbids it. Where both say the same there is no doubt.
            let other = scaled(pc, scale(1)?, scale(2)?);
            let pairs = || cd.iter().flatten().zip(other.iter().flatten());
            let largest = pairs().fold(0.0, |m: f64, (a, _)| m.max(a.abs()));
            if pairs().any(|(a, b)| (a - b).abs() > ROUNDING * largest) {
                return Err(WcsError::Contradiction("CDi_j and CDELTi·PCi_j".to_owned()));
            }
            Ok(cd)
        }
        (None, None) => {
            let (s, t) = (scale(1)?, scale(2)?);
            // CROTA belongs to the axis of latitude (paper II, section 6.1).
            let rotation = number(header, &format!("CROTA{}", axes.latitude))?.unwrap_or(0.0);
            let (sin, cos) = rotation.to_radians().sin_cos();
            // Paper II, eq. 189, with the roles of the axes as they stand.
            let sin = if axes.latitude == 2 { sin } else { -sin };
            Ok([[s * cos, -t * sin], [s * sin, t * cos]])
        }
    }
}

fn scaled(pc: Square, s: f64, t: f64) -> Square {
    [pc[0].map(|element| s * element), pc[1].map(|element| t * element)]
}

/// The elements of one kind, missing ones as the standard has them; `None`
/// if there is not one.
fn elements(
    header: &impl Keywords,
    kind: &str,
    otherwise: Square,
) -> Result<Option<Square>, WcsError> {
    let mut matrix = otherwise;
    let mut any = false;
    for i in 1..=2 {
        for j in 1..=2 {
            if let Some(element) = one_of(header, &names(kind, i, j))? {
                matrix[i - 1][j - 1] = element;
                any = true;
            }
        }
    }
    Ok(any.then_some(matrix))
}

/// The names under which an element is found: the standard's; that of the
/// drafts before it, which Pan-STARRS writes to this day (`PC001002`); and
/// the standard's with zeros.
fn names(kind: &str, i: usize, j: usize) -> [String; 3] {
    [format!("{kind}{i}_{j}"), format!("{kind}{i:03}{j:03}"), format!("{kind}{i:02}_{j:02}")]
}
