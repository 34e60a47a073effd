//! FITS to calibrated bands, through cfitsio.
//!
//! [`layout`] finds the HDUs and holds them against the limits, [`bands`]
//! says which plane is which band, [`tiles`] checks compressed images,
//! [`cfitsio`] reads pixels, [`position`] places the centre on the sky. The order
//! matters: cfitsio sees only files that passed the others.
//!
//! Pixels are physical values (BSCALE and BZERO applied) as `f32`; undefined
//! and infinite ones are NaN, and those too small for a normal `f32` are zero,
//! as cfitsio has it.

mod bands;
mod cfitsio;
mod header;
mod layout;
mod position;
mod tiles;

use bands::Plane;
use cfitsio::{CfitsioError, MemoryFile};
use layout::{Hdu, Kind, Layout};
use position::Place;

use super::DecodeOptions;
use crate::cutout::{BandImage, Reason, Rejection};

/// cfitsio's statuses for reading past the end (END_OF_FILE, READ_ERROR).
const ENDS_EARLY: [i32; 2] = [107, 108];

/// Decodes a file that holds every band: a cube or one HDU a band.
///
/// # Errors
/// See [`super::decode`].
pub fn decode_file(file: &[u8], options: &DecodeOptions) -> Result<BandImage, Rejection> {
    let layout = Layout::of(file, &options.limits)?;
    let planes = bands::choose(&layout, options)?;
    let (width, height) = same_size(&planes, options)?;
    let mut image = Canvas::new(width, height);
    let mut open = open(file, &layout)?;
    for (channel, plane) in planes.iter().enumerate() {
        let known = planes[..channel].iter().any(|p| p.hdu.number == plane.hdu.number);
        if !known {
            enter(&mut open, plane.hdu, file, options)?;
        } else if planes[channel - 1].hdu.number != plane.hdu.number {
            open.go_to(plane.hdu.number).map_err(|e| rejection(&e, plane.hdu))?;
        }
        image.read(&mut open, plane, channel)?;
        image
            .check(plane.hdu, channel)
            .map_err(|e| e.at(format_args!("band {}", options.bands[channel])))?;
    }
    Ok(image.finish(Place::of(planes.iter().map(|plane| plane.hdu))))
}

/// Decodes files that hold one band each; `files` are names and bytes.
///
/// # Errors
/// See [`super::decode`]. [`Reason::Corrupt`] if the sizes differ.
pub fn decode_files<T: AsRef<[u8]>>(
    files: &[(&str, T)],
    options: &DecodeOptions,
) -> Result<BandImage, Rejection> {
    let mut image: Option<Canvas> = None;
    let mut hdus = Vec::new();
    for (channel, band) in options.bands.iter().enumerate() {
        let found = files.iter().find(|(name, _)| name == band);
        let (_, file) = found.ok_or_else(|| {
            let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
            let detail = format!("band {band}: there are files for {}", names.join(", "));
            Rejection::new(Reason::MissingBand, detail)
        })?;
        let mut read = || {
            let file = file.as_ref();
            let layout = Layout::of(file, &options.limits)?;
            let plane = bands::only(&layout)?;
            let (width, height) = size(plane.hdu);
            let image = image.get_or_insert_with(|| Canvas::new(width, height));
            if (image.width, image.height) != (width, height) {
                let detail = format!(
                    "{width}×{height} pixels, where band {} has {}×{}",
                    options.bands[0], image.width, image.height
                );
                return Err(Rejection::new(Reason::Corrupt, detail));
            }
            let mut open = open(file, &layout)?;
            enter(&mut open, plane.hdu, file, options)?;
            image.read(&mut open, &plane, channel)?;
            image.check(plane.hdu, channel)?;
            hdus.push(plane.hdu.clone());
            Ok(())
        };
        read().map_err(|e| e.at(format_args!("band {band}")))?;
    }
    let image =
        image.ok_or_else(|| Rejection::new(Reason::MissingBand, "no bands are asked for"))?;
    Ok(image.finish(Place::of(&hdus)))
}

/// An image being filled, plane by plane.
struct Canvas {
    width: usize,
    height: usize,
    planes: Vec<f32>,
}

impl Canvas {
    /// The caller has checked the size against the limits.
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, planes: vec![0.0; 3 * width * height] }
    }

    fn plane(&mut self, channel: usize) -> &mut [f32] {
        let pixels = self.width * self.height;
        &mut self.planes[channel * pixels..(channel + 1) * pixels]
    }

    fn read(
        &mut self,
        open: &mut MemoryFile<'_>,
        plane: &Plane<'_, '_>,
        channel: usize,
    ) -> Result<(), Rejection> {
        let first = plane.index * plane.hdu.plane_pixels();
        open.read(first, self.plane(channel)).map_err(|e| rejection(&e, plane.hdu))
    }

    /// Turns infinities into NaN, and rejects a plane without a finite pixel.
    fn check(&mut self, hdu: &Hdu<'_>, channel: usize) -> Result<(), Rejection> {
        let (mut finite, mut infinite) = (0_usize, 0_usize);
        for value in self.plane(channel) {
            if value.is_finite() {
                finite += 1;
            } else if value.is_infinite() {
                infinite += 1;
                *value = f32::NAN;
            }
        }
        if finite > 0 {
            return Ok(());
        }
        let detail = if infinite > 0 {
            let keyword =
                |k| hdu.header.real(k).map_or_else(String::new, |v| format!(", {k} = {v:e}"));
            let (scale, zero) = (keyword("BSCALE"), keyword("BZERO"));
            format!("HDU {}: no finite pixel, {infinite} infinite{scale}{zero}", hdu.number)
        } else {
            format!("HDU {}: every pixel is blank", hdu.number)
        };
        Err(Rejection::new(Reason::NoData, detail))
    }

    fn finish(self, Place { centre, pixel_scale, note }: Place) -> BandImage {
        let Self { width, height, planes } = self;
        BandImage { width, height, planes, centre, pixel_scale, note }
    }
}

fn size(hdu: &Hdu<'_>) -> (usize, usize) {
    // Within the limits, which the layout has checked, and so within usize.
    (hdu.axes[0] as usize, hdu.axes[1] as usize)
}

fn same_size(
    planes: &[Plane<'_, '_>; 3],
    options: &DecodeOptions,
) -> Result<(usize, usize), Rejection> {
    let sizes = planes.map(|p| size(p.hdu));
    if sizes.iter().all(|s| *s == sizes[0]) {
        return Ok(sizes[0]);
    }
    let named = options.bands.iter().zip(sizes).map(|(band, (w, h))| format!("{band} {w}×{h}"));
    let detail = format!("the bands differ in size: {}", named.collect::<Vec<_>>().join(", "));
    Err(Rejection::new(Reason::Corrupt, detail))
}

/// Opens a file whose layout is known. cfitsio reads the first header now.
fn open<'a>(file: &'a [u8], layout: &Layout<'a>) -> Result<MemoryFile<'a>, Rejection> {
    let first = layout.hdus.first().ok_or_else(|| Rejection::new(Reason::Corrupt, "no HDU"))?;
    MemoryFile::open(file).map_err(|e| rejection(&e, first))
}

/// Goes to an image, and makes sure that cfitsio sees the same one.
fn enter(
    open: &mut MemoryFile<'_>,
    hdu: &Hdu<'_>,
    file: &[u8],
    options: &DecodeOptions,
) -> Result<(), Rejection> {
    if hdu.kind == Kind::Compressed {
        tiles::check(hdu, file, &options.limits)
            .map_err(|e| e.at(format_args!("HDU {}", hdu.number)))?;
    }
    open.go_to(hdu.number).map_err(|e| rejection(&e, hdu))?;
    let axes = open.axes().map_err(|e| rejection(&e, hdu))?;
    if axes.starts_with(&hdu.axes) && axes[hdu.axes.len()..].iter().all(|n| *n == 1) {
        return Ok(());
    }
    let detail =
        format!("HDU {}: axes {:?}, which cfitsio reads as {axes:?}", hdu.number, hdu.axes);
    Err(Rejection::new(Reason::Corrupt, detail))
}

fn rejection(error: &CfitsioError, hdu: &Hdu<'_>) -> Rejection {
    let reason =
        if ENDS_EARLY.contains(&error.status) { Reason::Truncated } else { Reason::Corrupt };
    Rejection::new(reason, format!("HDU {}: {error}", hdu.number))
}
