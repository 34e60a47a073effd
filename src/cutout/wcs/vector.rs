//! Unit vectors, 3×3 matrices, and the angles that they stand for.

/// A direction.
pub type Vector = [f64; 3];

/// A 3×3 matrix by rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matrix(pub [[f64; 3]; 3]);

impl Matrix {
    /// Leaves everything as it is.
    pub const UNIT: Self = Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);

    /// Turns the axes by an angle (radians) about x, y or z (0, 1, 2), as
    /// astropy's `rotation_matrix` and the R₁, R₂, R₃ of the literature do.
    pub fn turn(axis: usize, angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        let (i, j) = ((axis + 1) % 3, (axis + 2) % 3);
        let mut rows = Self::UNIT.0;
        rows[i][i] = cos;
        rows[j][j] = cos;
        rows[i][j] = sin;
        rows[j][i] = -sin;
        Self(rows)
    }

    /// This matrix after `first`.
    pub fn after(&self, first: &Self) -> Self {
        let element = |i: usize, j: usize| (0..3).map(|k| self.0[i][k] * first.0[k][j]).sum();
        Self([0, 1, 2].map(|i| [0, 1, 2].map(|j| element(i, j))))
    }

    /// Rows become columns: the inverse of a rotation.
    pub fn transposed(&self) -> Self {
        Self([0, 1, 2].map(|i| [0, 1, 2].map(|j| self.0[j][i])))
    }

    /// The inverse of a matrix that is a rotation but for small terms.
    pub fn inverse(&self) -> Self {
        let m = &self.0;
        let cofactor = |i: usize, j: usize| {
            let (a, b) = ((i + 1) % 3, (i + 2) % 3);
            let (c, d) = ((j + 1) % 3, (j + 2) % 3);
            m[a][c] * m[b][d] - m[a][d] * m[b][c]
        };
        let determinant: f64 = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum();
        Self([0, 1, 2].map(|i| [0, 1, 2].map(|j| cofactor(j, i) / determinant)))
    }

    /// The vector in the new axes.
    pub fn apply(&self, vector: &Vector) -> Vector {
        [0, 1, 2].map(|i| dot(&self.0[i], vector))
    }
}

/// The scalar product.
pub fn dot(a: &Vector, b: &Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The unit vector of a longitude and a latitude in degrees.
pub fn from_angles(longitude: f64, latitude: f64) -> Vector {
    let (sin_l, cos_l) = longitude.to_radians().sin_cos();
    let (sin_b, cos_b) = latitude.to_radians().sin_cos();
    [cos_b * cos_l, cos_b * sin_l, sin_b]
}

/// Longitude in `[0, 360)` and latitude of a vector of any length, degrees.
pub fn to_angles([x, y, z]: &Vector) -> (f64, f64) {
    // The arc sine of z would lose digits near the poles.
    (wrap(y.atan2(*x).to_degrees()), z.atan2(x.hypot(*y)).to_degrees())
}

/// The angle between two directions, radians; exact for small ones too.
pub fn between(a: &Vector, b: &Vector) -> f64 {
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    dot(&cross, &cross).sqrt().atan2(dot(a, b))
}

/// Degrees into `[0, 360)`.
pub fn wrap(degrees: f64) -> f64 {
    let wrapped = degrees.rem_euclid(360.0);
    // A tiny negative angle rounds up to 360 itself.
    if wrapped >= 360.0 { 0.0 } else { wrapped }
}
