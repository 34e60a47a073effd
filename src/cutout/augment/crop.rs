//! Which part of a square is kept: torchvision's `RandomResizedCrop`.
//!
//! Only the rectangle; the pixels are [`super::Augmenter`]'s.

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// A window of a `side` × `side` square whose area is uniform in `scale`
/// (fractions of the square) and whose aspect (width through height) is
/// log-uniform in `aspect`, from numbers that `unit` draws uniformly from
/// [0, 1). Ten tries to find one that fits; then the largest central window
/// that `aspect` allows, which is the whole square where 1 is allowed.
///
/// Windows of nearly the whole area fit only if they are nearly square: with
/// the paper's ranges, one draw in nine or so ends with the whole square.
pub fn random_window(
    side: usize,
    scale: [f64; 2],
    aspect: [f64; 2],
    unit: &mut impl FnMut() -> f64,
) -> Window {
    let area = (side * side) as f64;
    let [narrow, wide] = aspect.map(f64::ln);
    for _ in 0..10 {
        let target = area * (scale[0] + (scale[1] - scale[0]) * unit());
        let ratio = (narrow + (wide - narrow) * unit()).exp();
        let width = (target * ratio).sqrt().round_ties_even() as usize;
        let height = (target / ratio).sqrt().round_ties_even() as usize;
        if (1..=side).contains(&width) && (1..=side).contains(&height) {
            let mut start = |room: usize| ((unit() * (room + 1) as f64) as usize).min(room);
            let top = start(side - height);
            let left = start(side - width);
            return Window { left, top, width, height };
        }
    }
    let whole = side as f64;
    let (width, height) = if aspect[0] > 1.0 {
        (side, (whole / aspect[0]).round_ties_even() as usize)
    } else if aspect[1] < 1.0 {
        ((whole * aspect[1]).round_ties_even() as usize, side)
    } else {
        (side, side)
    };
    let (width, height) = (width.max(1), height.max(1));
    Window { left: (side - width) / 2, top: (side - height) / 2, width, height }
}
