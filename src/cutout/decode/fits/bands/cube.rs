//! Which plane of a cube is which band.
//!
//! Planes are named by `BANDS = 'grz'`, by `BAND0`, `BAND1`, ... (Legacy
//! Survey), by the same keywords counted from 1 or spelt otherwise, or told by
//! the third axis: `CTYPE3 = 'RGB'` has red first. Where a header says nothing
//! of them, the options do.

use super::names::position;
use super::{Plane, in_order, missing_bands};
use crate::cutout::decode::DecodeOptions;
use crate::cutout::decode::fits::layout::{Hdu, Pixels};
use crate::cutout::{Reason, Rejection};
use crate::limits;
use crate::storage::fits::{Header, Unclear};

/// Keywords that list the names of all planes.
const LISTS: [&str; 2] = ["BANDS", "FILTERS"];

/// Keywords of an image of one band, in which some list those of a cube.
const SINGLE: [&str; 2] = ["FILTER", "BAND"];

/// What stands before a plane's number in keywords that name it.
const NUMBERED: [&str; 5] = ["BAND", "FILTER", "FILT", "PLANE", "CHANNEL"];

/// Kinds of a third axis that say nothing of its order.
const TELL_NOTHING: [&str; 9] =
    ["", "BAND", "BANDS", "FILTER", "PLANE", "CHANNEL", "LINEAR", "PIXEL", "INDEX"];

/// Third axes that run from blue to red where their step is positive, and
/// where it is negative.
const TO_RED: [&str; 3] = ["WAVE", "AWAV", "WAVELENGTH"];
const TO_BLUE: [&str; 3] = ["FREQ", "ENER", "WAVN"];

/// The planes of a cube that become R, G and B.
///
/// # Errors
/// Where the header contradicts itself, or a band is not there.
pub fn planes<'l, 'a>(
    hdu: &'l Hdu<'a>,
    options: &DecodeOptions,
) -> Result<[Plane<'l, 'a>; 3], Rejection> {
    let planes = usize::try_from(hdu.axes[2]).unwrap_or(usize::MAX);
    let here = |e: Rejection| e.at(format_args!("HDU {}", hdu.number));
    let names = names(&hdu.header, planes).map_err(|e| here(e.into()))?;
    let indices = match names {
        Some(names) => by_name(&names, options),
        None => by_axis(hdu, planes, options),
    };
    Ok(indices.map_err(here)?.map(|index| Plane { hdu, index }))
}

/// Whether the header has a keyword that names planes, clearly or not.
pub fn names_its_planes(hdu: &Hdu<'_>) -> bool {
    let has = |keyword: &str| !matches!(hdu.header.description(keyword), Ok(None));
    LISTS.iter().any(|keyword| has(keyword)) || has("BAND0") || has("BAND1")
}

fn by_name(names: &[String], options: &DecodeOptions) -> Result<[usize; 3], Rejection> {
    for band in &options.bands {
        if names.iter().filter(|name| *name == band).count() > 1 {
            let detail = format!("two planes are named {band}");
            return Err(Rejection::new(Reason::Unsupported, detail));
        }
    }
    let found = options.bands.each_ref().map(|band| position(names, band));
    if let [Some(r), Some(g), Some(b)] = found {
        return Ok([r, g, b]);
    }
    Err(missing_bands(options, found, &format!("the cube holds {}", names.join(", "))))
}

/// Names of all planes, if the header gives them; every keyword that does has
/// to give the same.
fn names(header: &Header<'_>, planes: usize) -> Result<Option<Vec<String>>, Unclear> {
    if planes > limits::fits::PLANES {
        return Ok(None);
    }
    let mut found: Option<(String, Vec<String>)> = None;
    let mut add = |keyword: &str, names: Vec<String>| match &found {
        Some((other, known)) if *known != names => {
            Err(Unclear::new(keyword, format!("names other planes than {other}")))
        }
        Some(_) => Ok(()),
        None => {
            found = Some((keyword.to_owned(), names));
            Ok(())
        }
    };
    for keyword in LISTS {
        if let Some(text) = header.description(keyword)? {
            let names = listed(&text, true);
            if names.len() != planes {
                return Err(Unclear::new(keyword, format!("does not name {planes} planes")));
            }
            add(keyword, names)?;
        }
    }
    for keyword in NUMBERED {
        if let Some(names) = numbered(header, keyword, planes)? {
            add(&format!("{keyword}n"), names)?;
        }
    }
    for keyword in SINGLE {
        let Ok(Some(text)) = header.description(keyword) else { continue };
        let names = listed(&text, false);
        if names.len() == planes {
            add(keyword, names)?;
        }
    }
    Ok(found.map(|(_, names)| names))
}

/// Names in a list; without separators each letter is one, if `letters`.
fn listed(text: &str, letters: bool) -> Vec<String> {
    let separators = [',', ';', '/', ' '];
    if letters && !text.contains(separators) {
        return text.chars().map(String::from).collect();
    }
    text.split(separators).filter(|name| !name.is_empty()).map(String::from).collect()
}

/// Names of planes in keywords that end in their numbers, from 0 or from 1.
fn numbered(
    header: &Header<'_>,
    keyword: &str,
    planes: usize,
) -> Result<Option<Vec<String>>, Unclear> {
    // Numbers say something else, such as the place of a filter in a wheel.
    let name = |n: usize| match header.description(&format!("{keyword}{n}")) {
        Err(_) if header.number(&format!("{keyword}{n}")).is_ok() => Ok(None),
        text => text,
    };
    let names: Vec<Option<String>> = (0..=planes).map(name).collect::<Result<_, _>>()?;
    let given = names.iter().flatten().count();
    let whole: Option<Vec<String>> = match names.as_slice() {
        _ if given == 0 => return Ok(None),
        [names @ .., None] | [None, names @ ..] => names.iter().cloned().collect(),
        _ => None,
    };
    let unclear = || Unclear::new(&format!("{keyword}n"), format!("do not name {planes} planes"));
    whole.map(Some).ok_or_else(unclear)
}

/// The bands of planes without names, by the third axis, or by the options.
fn by_axis(hdu: &Hdu<'_>, planes: usize, options: &DecodeOptions) -> Result<[usize; 3], Rejection> {
    let header = &hdu.header;
    let axis = header.description("CTYPE3")?.unwrap_or_default().trim().to_ascii_uppercase();
    let unsupported = |detail: String| Err(Rejection::new(Reason::Unsupported, detail));
    if axis == "RGB" {
        return match (planes, hdu.pixels) {
            (_, Pixels::U8) => unsupported("a picture in red, green and blue, no bands".to_owned()),
            (3, _) => Ok([0, 1, 2]),
            _ => unsupported(format!("CTYPE3 is RGB, of {planes} planes")),
        };
    }
    let is = |kinds: &[&str]| kinds.contains(&axis.as_str());
    if !is(&TELL_NOTHING) {
        let step = match header.number("CDELT3")? {
            Some(step) => step,
            None => header.number("CD3_3")?.unwrap_or(0.0),
        };
        let to_red = (is(&TO_RED) && step > 0.0) || (is(&TO_BLUE) && step < 0.0);
        if !to_red {
            return unsupported(format!("planes without names along an axis {axis}"));
        }
    }
    in_order(planes, "planes", options)
}
