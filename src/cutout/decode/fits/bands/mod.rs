//! Which plane of which HDU is which band.
//!
//! Three layouts, tried in this order:
//! 1. one HDU a band, named by EXTNAME, FILTER or BAND ([`names`]);
//! 2. a cube, whose planes the header names ([`cube`]), or else
//!    [`DecodeOptions::cube_bands`];
//! 3. HDUs without telling names, in the order of `cube_bands`.
//!
//! What a file names wins over what the options say. Masks, weights and the
//! like are never bands. Invariant: anything that leaves room for doubt (two
//! HDUs of one band, two names of one HDU, two cubes) is a rejection: swapped
//! bands give a picture that looks fine and is classified wrongly.

mod cube;
mod names;

use super::layout::{Hdu, Kind, Layout, Pixels};
use crate::cutout::decode::DecodeOptions;
use crate::cutout::{Reason, Rejection};
use names::{Named, position};

/// A plane of an HDU.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'l, 'a> {
    /// The HDU.
    pub hdu: &'l Hdu<'a>,
    /// The plane's index in the HDU, from 0.
    pub index: usize,
}

/// Finds the planes that become R, G and B in a file that holds every band.
///
/// # Errors
/// [`Reason::MissingBand`], [`Reason::Unsupported`], [`Reason::Corrupt`] where
/// a keyword that names a band is not clear, or, if the file was cut,
/// [`Reason::Truncated`].
pub fn choose<'l, 'a>(
    layout: &'l Layout<'a>,
    options: &DecodeOptions,
) -> Result<[Plane<'l, 'a>; 3], Rejection> {
    let images = images(layout, options)?;
    let flat: Vec<&Named<'_, '_>> = images.iter().filter(|i| i.hdu.axes.len() == 2).collect();
    let cubes: Vec<&Named<'_, '_>> = images.iter().filter(|i| i.hdu.axes.len() == 3).collect();

    let mut named = [None; 3];
    for (band, found) in options.bands.iter().zip(&mut named) {
        *found = of_band(&flat, band)?;
    }
    if let [Some(r), Some(g), Some(b)] = named {
        if let Some(cube) = cubes.iter().find(|cube| cube::names_its_planes(cube.hdu)) {
            let detail = format!("bands as HDUs and as planes of HDU {}", cube.hdu.number);
            return Err(Rejection::new(Reason::Unsupported, detail));
        }
        return Ok([r, g, b].map(|hdu| Plane { hdu, index: 0 }));
    }
    if named.iter().any(Option::is_some) {
        return Err(layout.missing(missing_bands(options, named, "no HDU has that name")));
    }
    if let Some(cube) = the_cube(&cubes)? {
        return cube::planes(cube, options);
    }
    let anonymous: Vec<&Named<'_, '_>> =
        flat.iter().copied().filter(|image| image.tells_nothing()).collect();
    if anonymous.is_empty() {
        return Err(layout.missing(no_bands(layout, &images)));
    }
    let order = in_order(anonymous.len(), "HDUs", options).map_err(|e| layout.missing(e))?;
    are_alike(&anonymous)?;
    Ok(order.map(|n| Plane { hdu: anonymous[n].hdu, index: 0 }))
}

/// Finds the one plane of the file of `band`.
///
/// # Errors
/// As [`choose`], and where the image says that it is of another band.
pub fn only<'l, 'a>(
    layout: &'l Layout<'a>,
    band: &str,
    options: &DecodeOptions,
) -> Result<Plane<'l, 'a>, Rejection> {
    let images = images(layout, options)?;
    let flat: Vec<&Named<'_, '_>> = images.iter().filter(|i| i.hdu.axes.len() == 2).collect();
    if let Some(hdu) = of_band(&flat, band)? {
        return Ok(Plane { hdu, index: 0 });
    }
    let science: Vec<&Named<'_, '_>> =
        flat.iter().copied().filter(|image| image.is_called_science()).collect();
    let image = match (flat.as_slice(), science.as_slice()) {
        ([], _) => return Err(layout.missing(no_bands(layout, &images))),
        ([image], _) | (_, [image]) => image,
        _ => {
            let detail = format!("{} images, none of which is named {band}", flat.len());
            return Err(Rejection::new(Reason::Unsupported, detail));
        }
    };
    match &image.band {
        Some(other) => {
            let detail = format!("HDU {} is of band {other}", image.hdu.number);
            Err(Rejection::new(Reason::MissingBand, detail))
        }
        None => Ok(Plane { hdu: image.hdu, index: 0 }),
    }
}

/// The word by which the first image of a file is none of light, if no image may hold a
/// band.
pub fn auxiliary(layout: &Layout<'_>) -> Option<&'static str> {
    let all = named(layout, &DecodeOptions::default()).ok()?;
    let words: Option<Vec<&str>> = all.iter().map(|image| image.auxiliary).collect();
    words?.first().copied()
}

/// The images of a file that may hold bands, with what they are called.
fn images<'l, 'a>(
    layout: &'l Layout<'a>,
    options: &DecodeOptions,
) -> Result<Vec<Named<'l, 'a>>, Rejection> {
    let mut images = named(layout, options)?;
    images.retain(|image| image.auxiliary.is_none());
    Ok(images)
}

/// All images of a file, with what they are called.
fn named<'l, 'a>(
    layout: &'l Layout<'a>,
    options: &DecodeOptions,
) -> Result<Vec<Named<'l, 'a>>, Rejection> {
    let images = layout.hdus.iter().filter(|hdu| hdu.kind != Kind::Other);
    let named = images.map(|hdu| {
        Named::read(hdu, options)
            .map_err(|e| Rejection::from(e).at(format_args!("HDU {}", hdu.number)))
    });
    named.collect()
}

/// The HDU of a band; exact names go before those in another letter case.
fn of_band<'l, 'a>(
    images: &[&Named<'l, 'a>],
    band: &str,
) -> Result<Option<&'l Hdu<'a>>, Rejection> {
    let by = |is: &dyn Fn(&str) -> bool| -> Vec<&'l Hdu<'a>> {
        let named = images.iter().filter(|image| image.names.iter().any(|name| is(name)));
        named.map(|image| image.hdu).collect()
    };
    let mut found = by(&|name| name == band);
    if found.is_empty() {
        found = by(&|name| name.eq_ignore_ascii_case(band));
    }
    match found.as_slice() {
        [] => Ok(None),
        [hdu] => Ok(Some(hdu)),
        several => {
            let numbers: Vec<String> = several.iter().map(|hdu| hdu.number.to_string()).collect();
            let detail = format!("HDUs {} are all named {band}", numbers.join(" and "));
            Err(Rejection::new(Reason::Unsupported, detail))
        }
    }
}

/// The cube of a file, if there is one; of several the one that names its
/// planes.
fn the_cube<'l, 'a>(cubes: &[&Named<'l, 'a>]) -> Result<Option<&'l Hdu<'a>>, Rejection> {
    if let Some((cube, band)) = cubes.iter().find_map(|cube| Some((cube, cube.band.as_ref()?))) {
        let detail = format!("HDU {} is a cube named {band}", cube.hdu.number);
        return Err(Rejection::new(Reason::Unsupported, detail));
    }
    if let [] | [_] = cubes {
        return Ok(cubes.first().map(|cube| cube.hdu));
    }
    let mut telling = cubes.iter().filter(|cube| cube::names_its_planes(cube.hdu));
    match (telling.next(), telling.next()) {
        (Some(cube), None) => Ok(Some(cube.hdu)),
        _ => {
            let detail = format!("{} cubes, and none that alone names its planes", cubes.len());
            Err(Rejection::new(Reason::Unsupported, detail))
        }
    }
}

/// The bands in an unnamed sequence, by the order the options give.
fn in_order(found: usize, what: &str, options: &DecodeOptions) -> Result<[usize; 3], Rejection> {
    let order = &options.cube_bands;
    let mut needed: Vec<&String> = options.bands.iter().collect();
    needed.dedup();
    if found < needed.len() {
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
    Err(missing_bands(options, found, &format!("the expected order is {}", order.join(", "))))
}

/// Makes sure that unnamed HDUs can be one image a band: a mask or a weight
/// between them has numbers of another type, and several versions of one
/// extension come in their order.
fn are_alike(images: &[&Named<'_, '_>]) -> Result<(), Rejection> {
    let pixels: Vec<Pixels> = images.iter().map(|image| image.hdu.pixels).collect();
    if pixels.iter().any(|p| *p != pixels[0]) {
        let detail = format!("unnamed HDUs of different types of numbers: {pixels:?}");
        return Err(Rejection::new(Reason::Unsupported, detail));
    }
    let mut last = None;
    for image in images {
        let version = image.hdu.header.integer("EXTVER")?;
        if version.is_some() && version <= last {
            let detail = "unnamed HDUs in another order than their EXTVER says";
            return Err(Rejection::new(Reason::Unsupported, detail));
        }
        last = version.or(last);
    }
    Ok(())
}

/// The rejection for bands that were not found.
fn missing_bands<T>(options: &DecodeOptions, found: [Option<T>; 3], detail: &str) -> Rejection {
    let missing = options.bands.iter().zip(found).filter(|(_, found)| found.is_none());
    let missing: Vec<&str> = missing.map(|(band, _)| band.as_str()).collect();
    let plural = if missing.len() == 1 { "" } else { "s" };
    Rejection::new(Reason::MissingBand, format!("band{plural} {}: {detail}", missing.join(", ")))
}

/// The rejection for a file without an image of the right kind.
fn no_bands(layout: &Layout<'_>, images: &[Named<'_, '_>]) -> Rejection {
    let named: Vec<&str> =
        images.iter().flat_map(|image| image.names.iter().map(String::as_str)).collect();
    match images {
        [] if layout.hdus.iter().any(|hdu| hdu.kind != Kind::Other) => {
            Rejection::new(Reason::Unsupported, "nothing but masks, weights and the like")
        }
        // A table that lists cutouts is known by a column `path`.
        [] => Rejection::new(
            Reason::Unsupported,
            "no HDU holds an image, nor is it a binary table with a column `path`",
        ),
        [image, ..] if image.hdu.axes.len() != 2 => wrong_axes(image.hdu),
        _ => {
            let detail =
                format!("the HDUs are {}; none is a band that is needed", named.join(", "));
            Rejection::new(Reason::MissingBand, detail)
        }
    }
}

fn wrong_axes(hdu: &Hdu<'_>) -> Rejection {
    let detail = format!(
        "HDU {}: an image of {} axes {:?} is no image of bands",
        hdu.number,
        hdu.axes.len(),
        hdu.axes
    );
    Rejection::new(Reason::Unsupported, detail)
}
