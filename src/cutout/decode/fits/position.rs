//! Where an image lies on the sky, by the WCS of its bands.
//!
//! The transformation itself belongs to [`crate::cutout::wcs`]; here the bands
//! are held against one another. Invariant: there is a position only where
//! every band that gives one gives the same, else a note says why not.

use super::layout::Hdu;
use crate::cutout::SkyPosition;
use crate::cutout::wcs::{Keywords, PixelScale, Value, Wcs};
use crate::storage::fits::Header;

/// Most that the centres of the bands may lie apart, in pixels. Bands that
/// are one picture agree to a thousandth; fields that were not registered
/// differ by several.
const APART: f64 = 1.0;

/// Most by which the pixels of the bands may differ in size.
const UNLIKE: f64 = 0.01;

/// What the headers say of the place of an image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// Of the image's centre.
    pub centre: Option<SkyPosition>,
    /// There.
    pub pixel_scale: Option<PixelScale>,
    /// Why there is no position, where a header seemed to give one.
    pub note: Option<String>,
}

/// The place by which one band has its centre.
struct Centre {
    position: SkyPosition,
    scale: PixelScale,
    reference_outside: bool,
}

impl Place {
    /// The place of an image with these bands.
    pub fn of<'h, 'a: 'h>(bands: impl IntoIterator<Item = &'h Hdu<'a>>) -> Self {
        let mut centres: Vec<Centre> = Vec::new();
        let mut read: Vec<&Hdu<'_>> = Vec::new();
        for hdu in bands {
            // A cube is one HDU for all bands.
            if read.iter().any(|known| std::ptr::eq(*known, hdu)) {
                continue;
            }
            read.push(hdu);
            match centre(hdu) {
                Ok(found) => centres.extend(found),
                Err(note) => return Self { note: Some(note), ..Self::default() },
            }
        }
        let Some((first, others)) = centres.split_first() else { return Self::default() };
        let apart = others.iter().map(|o| separation(first.position, o.position));
        let apart = apart.fold(0.0, f64::max);
        let unlike = others.iter().any(|o| {
            let ratio = o.scale.mean() / first.scale.mean();
            (ratio - 1.0).abs() > UNLIKE
        });
        if apart > APART * first.scale.mean() || unlike {
            let outside = centres.iter().any(|c| c.reference_outside);
            return Self { note: Some(disagreement(apart, unlike, outside)), ..Self::default() };
        }
        Self { centre: Some(first.position), pixel_scale: Some(first.scale), note: None }
    }
}

fn disagreement(apart: f64, unlike: bool, outside: bool) -> String {
    let mut note = if unlike {
        "no position: the pixels of the bands differ in size".to_owned()
    } else {
        format!("no position: the bands put the centre up to {apart:.1} arcsec apart")
    };
    if outside {
        note.push_str(
            "; CRPIX lies outside of the image, which may be a crop that kept the CRPIX of the \
             whole",
        );
    }
    note
}

/// The centre by one header; `None` if it has no WCS.
fn centre(hdu: &Hdu<'_>) -> Result<Option<Centre>, String> {
    let wcs = Wcs::from_header(&hdu.header).map_err(|e| format!("no position: {e}"))?;
    let Some(wcs) = wcs else { return Ok(None) };
    let (width, height) = (hdu.axes[0] as f64, hdu.axes[1] as f64);
    let (x, y) = ((width + 1.0) / 2.0, (height + 1.0) / 2.0);
    let (Some(position), Some(scale)) = (wcs.pixel_to_sky(x, y), wcs.pixel_scale(x, y)) else {
        return Err("no position: the centre lies outside of the projection".to_owned());
    };
    let (rx, ry) = wcs.reference_pixel();
    let reference_outside =
        !(0.5..=width + 0.5).contains(&rx) || !(0.5..=height + 0.5).contains(&ry);
    Ok(Some(Centre { position, scale, reference_outside }))
}

/// The angle between two positions, arcseconds.
fn separation(a: SkyPosition, b: SkyPosition) -> f64 {
    // Haversines keep their digits for small angles.
    let haversine = |angle: f64| (0.5 * angle).to_radians().sin().powi(2);
    let cosines = a.dec.to_radians().cos() * b.dec.to_radians().cos();
    let h = haversine(a.dec - b.dec) + cosines * haversine(a.ra - b.ra);
    2.0 * h.sqrt().min(1.0).asin().to_degrees() * 3600.0
}

impl Keywords for Header<'_> {
    fn value(&self, keyword: &str) -> Option<Value> {
        if let Ok(number) = self.number(keyword) {
            return number.map(Value::Number);
        }
        match self.description(keyword) {
            Ok(text) => text.map(Value::Text),
            // Neither, or not the same in all records.
            Err(_) => Some(Value::Other(self.as_written(keyword))),
        }
    }

    fn any_begins(&self, start: &str) -> bool {
        Header::any_begins(self, start)
    }
}
