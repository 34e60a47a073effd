//! Which plane of which HDU is which band.
//!
//! Three layouts, tried in this order:
//! 1. one HDU a band, named by EXTNAME, FILTER or BAND;
//! 2. a cube, its planes named by `BANDS = 'grz'` or `BAND0`, `BAND1`, ...
//!    (Legacy Survey), else by [`DecodeOptions::cube_bands`];
//! 3. HDUs without telling names, in the order of `cube_bands`.
//!
//! What a file names wins over what the options say, and anything that
//! leaves room for doubt is a rejection: swapped bands give a picture that
//! looks fine and is classified wrongly.

use super::layout::{Hdu, Kind, Layout};
use crate::cutout::decode::DecodeOptions;
use crate::cutout::{Reason, Rejection};

/// EXTNAMEs that say nothing of the band.
const TELL_NOTHING: [&str; 6] = ["", "PRIMARY", "IMAGE", "SCI", "COMPRESSED_IMAGE", "DATA"];

/// A plane of an HDU.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'l, 'a> {
    /// The HDU.
    pub hdu: &'l Hdu<'a>,
    /// The plane's index in the HDU, from 0.
    pub index: u64,
}

/// Finds the planes that become R, G and B in a file that holds every band.
///
/// # Errors
/// [`Reason::MissingBand`], [`Reason::Unsupported`] or, if the file was cut,
/// [`Reason::Truncated`].
pub fn choose<'l, 'a>(
    layout: &'l Layout<'a>,
    options: &DecodeOptions,
) -> Result<[Plane<'l, 'a>; 3], Rejection> {
    let images: Vec<&Hdu<'_>> = layout.hdus.iter().filter(|h| h.kind != Kind::Other).collect();
    let flat: Vec<&Hdu<'_>> = images.iter().copied().filter(|h| h.axes.len() == 2).collect();

    let named = options.bands.each_ref().map(|band| flat.iter().find(|h| is_named(h, band)));
    if let [Some(r), Some(g), Some(b)] = named {
        return Ok([r, g, b].map(|hdu| Plane { hdu, index: 0 }));
    }
    if named.iter().any(Option::is_some) {
        let missing = options.bands.iter().zip(named).filter(|(_, hdu)| hdu.is_none());
        let missing: Vec<&str> = missing.map(|(band, _)| band.as_str()).collect();
        return Err(layout.missing(missing_bands(&missing, "no HDU has that name")));
    }
    if let Some(cube) = images.iter().find(|h| h.axes.len() == 3) {
        return in_cube(cube, options);
    }
    let anonymous: Vec<&Hdu<'_>> = flat.iter().copied().filter(|h| is_anonymous(h)).collect();
    if anonymous.is_empty() {
        return Err(layout.missing(no_bands(&images)));
    }
    let indices = in_order(anonymous.len(), "HDUs", options).map_err(|e| layout.missing(e))?;
    Ok(indices.map(|i| Plane { hdu: anonymous[i], index: 0 }))
}

/// Finds the one plane of a file that holds one band.
///
/// # Errors
/// [`Reason::Unsupported`] or, if the file was cut, [`Reason::Truncated`].
pub fn only<'l, 'a>(layout: &'l Layout<'a>) -> Result<Plane<'l, 'a>, Rejection> {
    let image = layout.hdus.iter().find(|h| h.kind != Kind::Other);
    match image {
        Some(hdu) if hdu.axes.len() == 2 => Ok(Plane { hdu, index: 0 }),
        Some(hdu) => Err(wrong_axes(hdu, "2")),
        None => Err(layout.missing(Rejection::new(Reason::Unsupported, "no HDU holds an image"))),
    }
}

fn in_cube<'l, 'a>(
    cube: &'l Hdu<'a>,
    options: &DecodeOptions,
) -> Result<[Plane<'l, 'a>; 3], Rejection> {
    let planes = usize::try_from(cube.axes[2]).unwrap_or(usize::MAX);
    let indices = match plane_names(cube, planes) {
        Some(names) => {
            let found = options.bands.each_ref().map(|band| position(&names, band));
            if let [Some(r), Some(g), Some(b)] = found {
                [r, g, b]
            } else {
                let missing = options.bands.iter().zip(found).filter(|(_, i)| i.is_none());
                let missing: Vec<&str> = missing.map(|(band, _)| band.as_str()).collect();
                return Err(missing_bands(
                    &missing,
                    &format!("the cube holds {}", names.join(", ")),
                ));
            }
        }
        None => in_order(planes, "planes", options)?,
    };
    Ok(indices.map(|index| Plane { hdu: cube, index: index as u64 }))
}

/// Names of a cube's planes, if its header gives one for each.
fn plane_names(cube: &Hdu<'_>, planes: usize) -> Option<Vec<String>> {
    if let Some(bands) = cube.header.text("BANDS") {
        let listed: Vec<String> = if bands.contains([',', ' ']) {
            bands.split([',', ' ']).filter(|b| !b.is_empty()).map(String::from).collect()
        } else {
            bands.chars().map(String::from).collect()
        };
        if listed.len() == planes {
            return Some(listed);
        }
    }
    // A plane has at least one pixel, and the header's length bounds `planes`
    // as soon as one BANDn is missing.
    (0..planes).map(|n| cube.header.text(&format!("BAND{n}"))).collect()
}

/// The bands in an unnamed sequence, by the order the options give.
fn in_order(found: usize, what: &str, options: &DecodeOptions) -> Result<[usize; 3], Rejection> {
    let order = &options.cube_bands;
    if found < options.bands.len() {
        let detail =
            format!("{found} of {what}, none named; needed are {}", options.bands.join(", "));
        return Err(Rejection::new(Reason::MissingBand, detail));
    }
    if found != order.len() {
        let detail =
            format!("{found} unnamed {what}, where the order {} is expected", order.join(", "));
        return Err(Rejection::new(Reason::Unsupported, detail));
    }
    let found = options.bands.each_ref().map(|band| position(order, band));
    if let [Some(r), Some(g), Some(b)] = found {
        return Ok([r, g, b]);
    }
    let missing = options.bands.iter().zip(found).filter(|(_, i)| i.is_none());
    let missing: Vec<&str> = missing.map(|(band, _)| band.as_str()).collect();
    Err(missing_bands(&missing, &format!("the expected order is {}", order.join(", "))))
}

/// Where a band is among names: an exact match before one that ignores case,
/// as Y and y are different filters and writers upper-case names.
fn position(names: &[String], band: &str) -> Option<usize> {
    names
        .iter()
        .position(|n| n == band)
        .or_else(|| names.iter().position(|n| n.eq_ignore_ascii_case(band)))
}

fn is_named(hdu: &Hdu<'_>, band: &str) -> bool {
    ["EXTNAME", "FILTER", "BAND"]
        .iter()
        .filter_map(|key| hdu.header.text(key))
        .any(|name| name.trim().eq_ignore_ascii_case(band))
}

fn is_anonymous(hdu: &Hdu<'_>) -> bool {
    let name = hdu.header.text("EXTNAME").unwrap_or_default();
    TELL_NOTHING.iter().any(|n| name.trim().eq_ignore_ascii_case(n))
        && ["FILTER", "BAND"].iter().all(|key| hdu.header.text(key).is_none())
}

fn missing_bands(missing: &[&str], detail: &str) -> Rejection {
    let plural = if missing.len() == 1 { "" } else { "s" };
    Rejection::new(Reason::MissingBand, format!("band{plural} {}: {detail}", missing.join(", ")))
}

fn no_bands(images: &[&Hdu<'_>]) -> Rejection {
    match images {
        [] => Rejection::new(Reason::Unsupported, "no HDU holds an image"),
        [hdu, ..] if !(2..=3).contains(&hdu.axes.len()) => wrong_axes(hdu, "2 or 3"),
        images => {
            let names: Vec<String> = images
                .iter()
                .filter_map(|h| ["EXTNAME", "FILTER", "BAND"].iter().find_map(|k| h.header.text(k)))
                .collect();
            let detail =
                format!("the HDUs are {}; none is a band that is needed", names.join(", "));
            Rejection::new(Reason::MissingBand, detail)
        }
    }
}

fn wrong_axes(hdu: &Hdu<'_>, wanted: &str) -> Rejection {
    let detail = format!(
        "HDU {}: an image of {} axes {:?}, where {wanted} are expected",
        hdu.number,
        hdu.axes.len(),
        hdu.axes
    );
    Rejection::new(Reason::Unsupported, detail)
}
