//! From components to pixels of three bands.
//!
//! [`Canvas`] is the working grid: survey pixels, or the output's where those
//! are larger. Components add light to it in nanomaggies a pixel, [`psf`]
//! blurs it, [`noise`] adds what the detector adds, [`resample`] takes it to
//! the grid of the cutout. What a galaxy consists of is decided in
//! [`super::scene`].
//!
//! Invariant: offsets are in arcseconds from the centre of the cutout, x to the
//! west and y to the north, so that column 0 is in the east and row 0 in the
//! south, as in a FITS image of the sky.

pub(super) mod edge_on;
pub(super) mod noise;
pub(super) mod psf;
pub(super) mod resample;
pub(super) mod sersic;
pub(super) mod spiral;

/// Flux in g, r and i, in nanomaggies.
pub(super) type Flux = [f32; 3];

/// An orientation: the unit vector of a major axis, x to the west, y to the
/// north.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    x: f32,
    y: f32,
}

impl Axis {
    /// From a position angle in radians, north through east.
    pub(super) fn from_position_angle(angle: f64) -> Self {
        Self { x: -(angle.sin() as f32), y: angle.cos() as f32 }
    }

    /// Offsets along the major and the minor axis.
    #[inline]
    pub(super) fn along(self, dx: f32, dy: f32) -> (f32, f32) {
        (dx * self.x + dy * self.y, dy * self.x - dx * self.y)
    }

    /// The offset `major` along this axis and `minor` across it.
    pub(super) fn offset(self, major: f32, minor: f32) -> (f32, f32) {
        (major * self.x - minor * self.y, major * self.y + minor * self.x)
    }
}

/// A square grid of three bands.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    /// Pixels a side.
    pub(super) side: usize,
    /// Arcseconds a pixel.
    pub(super) pixel: f32,
    /// Light in g, r and i, row 0 in the south.
    pub(super) planes: [Vec<f32>; 3],
}

/// Columns and rows `[first, end)` that an object can reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) columns: (usize, usize),
    pub(super) rows: (usize, usize),
}

impl Canvas {
    /// An empty grid.
    pub(super) fn new(side: usize, pixel: f32) -> Self {
        Self { side, pixel, planes: std::array::from_fn(|_| vec![0.0; side * side]) }
    }

    /// Arcseconds from the centre to the middle of a column or a row.
    #[inline]
    pub(super) fn offset(&self, index: usize) -> f32 {
        (index as f32 - (self.side as f32 - 1.0) * 0.5) * self.pixel
    }

    /// The fractional pixel at an offset.
    #[inline]
    pub(super) fn index(&self, offset: f32) -> f32 {
        offset / self.pixel + (self.side as f32 - 1.0) * 0.5
    }

    /// The part of the grid within `(reach_x, reach_y)` arcseconds of a point.
    pub(super) fn extent(&self, centre: (f32, f32), reach: (f32, f32)) -> Extent {
        let range = |centre: f32, reach: f32| {
            let side = self.side as f32;
            let first = (self.index(centre - reach).floor()).clamp(0.0, side) as usize;
            let end = (self.index(centre + reach).ceil() + 1.0).clamp(0.0, side) as usize;
            (first, end.max(first))
        };
        Extent { columns: range(centre.0, reach.0), rows: range(centre.1, reach.1) }
    }
}
