//! How an image is cut into tiles (FITS 4.0, section 10.1).

use std::ops::Range;

use crate::cutout::decode::Limits;
use crate::cutout::decode::fits::layout::Hdu;
use crate::cutout::{Reason, Rejection};

/// The tiles of an image of up to three axes, fastest first.
pub struct Tiling {
    axes: [usize; 3],
    tile: [usize; 3],
}

/// A tile, smaller at the far edges of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Its first pixel.
    pub start: [usize; 3],
    /// Its pixels along each axis.
    pub size: [usize; 3],
}

impl Tiling {
    /// Reads `ZTILEn`; by default a tile is a row.
    ///
    /// # Errors
    /// [`Reason::Corrupt`] for tiles without pixels, [`Reason::TooLarge`] for
    /// tiles past the limit of a plane.
    pub fn read(hdu: &Hdu<'_>, limits: &Limits) -> Result<Self, Rejection> {
        let (mut axes, mut tile) = ([1; 3], [1; 3]);
        if hdu.axes.len() > axes.len() {
            let detail = format!("a compressed image of {} axes", hdu.axes.len());
            return Err(Rejection::new(Reason::Unsupported, detail));
        }
        // Within the limits, but for the third axis, whose every plane has a
        // tile and so a row of the table.
        for (n, length) in hdu.axes.iter().enumerate() {
            axes[n] = usize::try_from(*length).unwrap_or(usize::MAX);
            let keyword = format!("ZTILE{}", n + 1);
            let default = if n == 0 { axes[n] } else { 1 };
            tile[n] = match hdu.header.integer(&keyword)? {
                None => default,
                Some(length) => usize::try_from(length)
                    .ok()
                    .filter(|length| *length > 0)
                    .map(|length| length.min(axes[n]))
                    .ok_or_else(|| {
                        Rejection::new(Reason::Corrupt, format!("{keyword} is {length}"))
                    })?,
            };
        }
        let pixels = tile.iter().try_fold(1_usize, |n, t| n.checked_mul(*t));
        if pixels.is_none_or(|n| n > limits.max_pixels) {
            return Err(Rejection::new(Reason::TooLarge, format!("tiles of {tile:?} pixels")));
        }
        Ok(Self { axes, tile })
    }

    /// The number of tiles; `None` beyond all bounds.
    pub fn count(&self) -> Option<usize> {
        self.along().iter().try_fold(1_usize, |n, along| n.checked_mul(*along))
    }

    /// The tile of a row of the table, from 0.
    pub fn tile(&self, index: usize) -> Tile {
        let along = self.along();
        let at = [index % along[0], index / along[0] % along[1], index / along[0] / along[1]];
        let start = [0, 1, 2].map(|n| at[n] * self.tile[n]);
        let size = [0, 1, 2].map(|n| self.tile[n].min(self.axes[n] - start[n]));
        Tile { start, size }
    }

    /// The rows of the table, ascending, whose tiles hold pixels of these stretches
    /// of the axes.
    pub fn covering(&self, pixels: [Range<usize>; 3]) -> Vec<usize> {
        let along = self.along();
        let of = |n: usize| {
            let (pixels, tile) = (&pixels[n], self.tile[n]);
            if pixels.is_empty() {
                return 0..0;
            }
            pixels.start / tile..pixels.end.min(self.axes[n]).div_ceil(tile)
        };
        let mut rows = Vec::new();
        for plane in of(2) {
            for down in of(1) {
                rows.extend(of(0).map(|across| (plane * along[1] + down) * along[0] + across));
            }
        }
        rows
    }

    /// Pixels of a row of the image.
    pub fn width(&self) -> usize {
        self.axes[0]
    }

    fn along(&self) -> [usize; 3] {
        [0, 1, 2].map(|n| self.axes[n].div_ceil(self.tile[n]))
    }
}

impl Tile {
    /// Its number of pixels.
    pub fn pixels(&self) -> usize {
        self.size.iter().product()
    }

    /// Whether pixels of this plane are in it.
    pub fn holds(&self, plane: usize) -> bool {
        (self.start[2]..self.start[2] + self.size[2]).contains(&plane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_tiles_are_smaller() {
        let tiling = Tiling { axes: [5, 3, 2], tile: [2, 2, 1] };
        assert_eq!(tiling.count(), Some(12));
        let tiles: Vec<Tile> = (0..12).map(|i| tiling.tile(i)).collect();
        let pixels: Vec<usize> = tiles.iter().map(Tile::pixels).collect();
        assert_eq!(pixels, [4, 4, 2, 2, 2, 1, 4, 4, 2, 2, 2, 1]);
        assert_eq!(tiles[10], Tile { start: [2, 2, 1], size: [2, 1, 1] });
        assert!(tiles[10].holds(1) && !tiles[10].holds(0));
        // Those that a window touches, and no other.
        for (x, y) in [(0..1, 0..1), (1..3, 0..2), (0..5, 2..3), (4..9, 1..9), (2..2, 0..3)] {
            let touches = |tile: &Tile| {
                let meet = |n: usize, of: &Range<usize>| {
                    of.start.max(tile.start[n]) < of.end.min(tile.start[n] + tile.size[n])
                };
                meet(0, &x) && meet(1, &y) && tile.holds(1)
            };
            let expected: Vec<usize> = (0..12).filter(|n| touches(&tiles[*n])).collect();
            assert_eq!(tiling.covering([x.clone(), y.clone(), 1..2]), expected, "{x:?} {y:?}");
        }
    }
}
