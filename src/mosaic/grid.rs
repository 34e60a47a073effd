//! The grid of a cutout on the sky.
//!
//! Either that of the first band's mosaic, around the pixel in which the position lies, or
//! one of its own: north up, east to the left, the position in its middle. Invariant: where
//! a grid's pixels are depends on its place and the first band's coordinates alone.

use std::sync::Arc;

use super::cut::Place;
use super::file::Loaded;
use crate::cutout::decode::fits::part::Image;
use crate::cutout::wcs::{Keywords, PixelScale, Value, Wcs};
use crate::cutout::{Reason, Rejection, SkyPosition};

/// The pixels of a cutout on the sky, from 0.
pub(super) enum Grid {
    /// North up, in a projection around its own middle.
    North(Box<Wcs>),
    /// The first band's, from this pixel on.
    Own(Arc<Loaded<Image>>, (i64, i64)),
}

impl Grid {
    /// The grid of a place; `first` is the image of the first band.
    pub fn new(place: &Place, first: &Arc<Loaded<Image>>) -> Result<Self, Rejection> {
        let size = place.pixels;
        if let Some(scale) = place.scale {
            let wcs = north_up(place.position, size, scale)?;
            return Ok(Self::North(Box::new(wcs)));
        }
        let (x, y) = first.image.wcs.sky_to_pixel(place.position).ok_or_else(outside)?;
        // As astropy's Cutout2D: the least pixel of which no more than half lies before.
        let from = |at: f64| (at - 1.0 - size as f64 / 2.0).ceil();
        let (left, bottom) = (from(x), from(y));
        if !(left.abs() < 1e15 && bottom.abs() < 1e15) {
            return Err(outside());
        }
        Ok(Self::Own(Arc::clone(first), (left as i64, bottom as i64)))
    }

    /// The position of a point of the grid.
    pub fn sky(&self, x: f64, y: f64) -> Option<SkyPosition> {
        match self {
            Self::North(wcs) => wcs.pixel_to_sky(x + 1.0, y + 1.0),
            Self::Own(own, (left, bottom)) => {
                own.image.wcs.pixel_to_sky(x + *left as f64 + 1.0, y + *bottom as f64 + 1.0)
            }
        }
    }

    /// The size of its pixels around its middle.
    pub fn scale(&self, middle: f64) -> Option<PixelScale> {
        let (wcs, x, y) = match self {
            Self::North(wcs) => (wcs.as_ref(), 0.0, 0.0),
            Self::Own(own, (left, bottom)) => (&own.image.wcs, *left as f64, *bottom as f64),
        };
        wcs.pixel_scale(x + middle + 1.0, y + middle + 1.0)
    }
}

/// The keywords of a grid.
struct Cards([(&'static str, Value); 8]);

impl Keywords for Cards {
    fn value(&self, keyword: &str) -> Option<Value> {
        self.0.iter().find(|(name, _)| *name == keyword).map(|(_, value)| value.clone())
    }

    fn any_begins(&self, start: &str) -> bool {
        self.0.iter().any(|(name, _)| name.starts_with(start))
    }
}

/// A tangential projection around a position: north up, east to the left.
fn north_up(position: SkyPosition, size: usize, scale: f64) -> Result<Wcs, Rejection> {
    let middle = Value::Number((size as f64 + 1.0) / 2.0);
    let cards = Cards([
        ("CTYPE1", Value::Text("RA---TAN".to_owned())),
        ("CTYPE2", Value::Text("DEC--TAN".to_owned())),
        ("CRPIX1", middle.clone()),
        ("CRPIX2", middle),
        ("CRVAL1", Value::Number(position.ra)),
        ("CRVAL2", Value::Number(position.dec)),
        ("CDELT1", Value::Number(-scale / 3600.0)),
        ("CDELT2", Value::Number(scale / 3600.0)),
    ]);
    let none = |why: String| Rejection::new(Reason::NoScale, why);
    let wcs = Wcs::from_header(&cards).map_err(|e| none(e.to_string()))?;
    wcs.ok_or_else(|| none("no projection".to_owned()))
}

/// That no pixel of a cutout lies in a mosaic.
pub(super) fn outside() -> Rejection {
    Rejection::new(Reason::Outside, "no pixel of the cutout lies in its mosaic")
}
