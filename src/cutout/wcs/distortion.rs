//! Distortion polynomials: SIP in pixels, TPV in the plane of projection.
//!
//! SIP: Shupe et al. 2005, ADASS XIV, ASP 347, 491. TPV: the registry of FITS
//! conventions, "TPV world coordinate system". Their inverses are found by
//! iteration, as a header's own inverse polynomials (`AP_i_j`) are fits of
//! limited accuracy. Distortions by tables, plates and other polynomials are
//! refused.

use super::WcsError;
use super::axes::{Axes, unsupported};
use super::keywords::{Keywords, number};
use super::linear::Linear;
use crate::limits::fits::SIP_ORDER;

/// Keywords of distortions that are not read, and what they are.
const OTHERS: [(&str, &str); 5] = [
    ("CPDIS", "a distortion by a table or a polynomial"),
    ("CQDIS", "a distortion by a table or a polynomial"),
    ("D2IMDIS", "a distortion of the detector"),
    ("D2IMARR", "a distortion of the detector"),
    ("AMDX", "the solution of a photographic plate"),
];

/// Coefficients a TPV axis may have.
const TPV_TERMS: usize = 40;

/// The lowest PV index that no projection has, but SCAMP's polynomials do:
/// with it, headers from before 2012 that say TAN mean TPV.
const SCAMP: usize = 5;

/// Steps after which an inverse is given up. Each gains digits in proportion
/// to how weak the distortion is: some eight suffice for real instruments.
const STEPS: usize = 100;

/// What is put right beside the linear transformation.
#[derive(Debug, Clone, PartialEq)]
pub struct Distortion {
    polynomials: Polynomials,
    /// Whether the `PVi_m` are, or were, terms of a polynomial, and not
    /// parameters of a projection.
    pub takes_parameters: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Polynomials {
    /// Nothing.
    None,
    /// Offsets in pixels, by powers of the offset from the reference pixel.
    Sip(Box<[Sip; 2]>),
    /// Longitude and latitude in the plane, by powers of both and of their
    /// distance from the origin.
    Tpv(Box<[[f64; TPV_TERMS]; 2]>),
}

/// `A_p_q` or `B_p_q`: rows are p, columns q.
type Sip = [[f64; SIP_ORDER + 1]; SIP_ORDER + 1];

impl Distortion {
    pub fn read(header: &impl Keywords, axes: &Axes) -> Result<Self, WcsError> {
        if let Some((keyword, what)) = OTHERS.iter().find(|(start, _)| header.any_begins(start)) {
            return Err(unsupported(format!("{keyword}…, {what}")));
        }
        let terms = pv(header)?;
        let scamp = axes.projection == "TAN"
            && terms.iter().any(|axis| axis[SCAMP..].iter().any(Option::is_some));
        if axes.projection == "TPV" || (scamp && !axes.sip) {
            return Ok(Self { polynomials: tpv_of(header, &terms, axes)?, takes_parameters: true });
        }
        // With both, SIP was made of SCAMP's terms, which are left over.
        Ok(Self { polynomials: sip_of(header, axes)?, takes_parameters: scamp })
    }

    /// Pixel coordinates with the distortion taken out.
    pub fn apply_in_pixels(&self, linear: &Linear, (x, y): (f64, f64)) -> (f64, f64) {
        let Polynomials::Sip(polynomials) = &self.polynomials else { return (x, y) };
        let (u, v) = (x - linear.reference().0, y - linear.reference().1);
        (x + evaluate(&polynomials[0], u, v), y + evaluate(&polynomials[1], u, v))
    }

    /// The inverse of [`apply_in_pixels`](Self::apply_in_pixels).
    pub fn undo_in_pixels(&self, linear: &Linear, pixel: (f64, f64)) -> Option<(f64, f64)> {
        match self.polynomials {
            Polynomials::Sip(_) => invert(pixel, 1e-9, |p| self.apply_in_pixels(linear, p)),
            _ => Some(pixel),
        }
    }

    /// Coordinates in the plane of projection with the distortion taken out.
    pub fn apply_in_plane(&self, plane: (f64, f64)) -> (f64, f64) {
        let Polynomials::Tpv(terms) = &self.polynomials else { return plane };
        // The second polynomial is the first with its variables exchanged.
        (tpv(&terms[0], plane.0, plane.1), tpv(&terms[1], plane.1, plane.0))
    }

    /// The inverse of [`apply_in_plane`](Self::apply_in_plane).
    pub fn undo_in_plane(&self, plane: (f64, f64)) -> Option<(f64, f64)> {
        match self.polynomials {
            Polynomials::Tpv(_) => invert(plane, 1e-14, |p| self.apply_in_plane(p)),
            _ => Some(plane),
        }
    }
}

/// Refused where readers differ: without a linear term (zero or one?), with
/// `CDELTi` (are the terms of degrees, or of what `PCi_j` gives?), and with
/// latitude before longitude (WCSLIB exchanges them).
fn tpv_of(
    header: &impl Keywords,
    terms: &[[Option<f64>; TPV_TERMS]; 2],
    axes: &Axes,
) -> Result<Polynomials, WcsError> {
    let scaled = |keyword| Ok(number(header, keyword)?.is_some_and(|scale| scale != 1.0));
    if !header.any_begins("CD1_") && (scaled("CDELT1")? || scaled("CDELT2")?) {
        return Err(unsupported("a TPV polynomial with CDELTi"));
    }
    if axes.longitude == 2 {
        return Err(unsupported("a TPV polynomial with latitude on axis 1"));
    }
    let axis = |number: usize| {
        let given = &terms[number - 1];
        if given[1].is_none() {
            return Err(WcsError::Missing(format!("PV{number}_1 of a TPV polynomial")));
        }
        Ok(given.map(|term| term.unwrap_or(0.0)))
    };
    Ok(Polynomials::Tpv(Box::new([axis(axes.longitude)?, axis(axes.latitude)?])))
}

fn sip_of(header: &impl Keywords, axes: &Axes) -> Result<Polynomials, WcsError> {
    match (polynomial(header, "A")?, polynomial(header, "B")?, axes.sip) {
        (None, None, _) => Ok(Polynomials::None),
        (Some(a), Some(b), true) => Ok(Polynomials::Sip(Box::new([a, b]))),
        (Some(_), Some(_), false) => Err(unsupported(
            "A_ORDER and B_ORDER without -SIP in CTYPE (distorted, or mended already?)",
        )),
        _ => Err(WcsError::Missing("A_ORDER or B_ORDER".to_owned())),
    }
}

/// The point that `forward` takes to `target`, to within `precision`, where
/// `forward` is near to leaving everything in its place.
fn invert(
    target: (f64, f64),
    precision: f64,
    forward: impl Fn((f64, f64)) -> (f64, f64),
) -> Option<(f64, f64)> {
    let precision = precision * (1.0 + target.0.abs() + target.1.abs());
    let mut point = target;
    for _ in 0..STEPS {
        let reached = forward(point);
        let (dx, dy) = (target.0 - reached.0, target.1 - reached.1);
        point = (point.0 + dx, point.1 + dy);
        if dx.abs() <= precision && dy.abs() <= precision {
            return Some(point);
        }
    }
    None
}

/// A SIP polynomial; `None` where there is none.
fn polynomial(header: &impl Keywords, name: &str) -> Result<Option<Sip>, WcsError> {
    let keyword = format!("{name}_ORDER");
    let Some(order) = number(header, &keyword)? else { return Ok(None) };
    if order.fract() != 0.0 || !(0.0..=SIP_ORDER as f64).contains(&order) {
        return Err(unsupported(format!("{keyword} = {order}")));
    }
    let order = order as usize;
    let mut terms = [[0.0; SIP_ORDER + 1]; SIP_ORDER + 1];
    for (p, row) in terms.iter_mut().enumerate().take(order + 1) {
        for (q, term) in row.iter_mut().enumerate().take(order + 1 - p) {
            *term = number(header, &format!("{name}_{p}_{q}"))?.unwrap_or(0.0);
        }
    }
    Ok(Some(terms))
}

fn evaluate(terms: &Sip, u: f64, v: f64) -> f64 {
    let row = |row: &[f64]| row.iter().rev().fold(0.0, |sum, term| sum * v + term);
    terms.iter().rev().fold(0.0, |sum, terms| sum * u + row(terms))
}

/// The `PVi_m` of both axes.
fn pv(header: &impl Keywords) -> Result<[[Option<f64>; TPV_TERMS]; 2], WcsError> {
    let mut terms = [[None; TPV_TERMS]; 2];
    for (i, axis) in terms.iter_mut().enumerate() {
        if !header.any_begins(&format!("PV{}_", i + 1)) {
            continue;
        }
        for (m, term) in axis.iter_mut().enumerate() {
            *term = number(header, &format!("PV{}_{m}", i + 1))?;
        }
    }
    Ok(terms)
}

/// The polynomial of the TPV convention in `x`, `y` and their distance.
fn tpv(t: &[f64; TPV_TERMS], x: f64, y: f64) -> f64 {
    let r = x.hypot(y);
    let mut sum = 0.0;
    let mut m = 0;
    // Orders 0 to 7: x^n, x^(n-1)·y, …, y^n, and r^n after the odd ones.
    for order in 0..=7_i32 {
        for power in 0..=order {
            sum += t[m] * x.powi(order - power) * y.powi(power);
            m += 1;
        }
        if order % 2 == 1 {
            sum += t[m] * r.powi(order);
            m += 1;
        }
    }
    sum
}
