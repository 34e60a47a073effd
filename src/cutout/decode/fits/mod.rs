//! FITS to calibrated bands.
//!
//! [`crate::storage::fits`] reads keywords, [`layout`] finds the HDUs and holds them
//! against the limits, [`bands`] says which plane is which band. Integers of plain
//! images ([`plane`]) are converted by cfitsio ([`cfitsio`]), floats by [`floats`],
//! pixels of compressed ones by [`tiles`]; [`position`] places the centre on the sky. Masks
//! have numbers of their own kind ([`flags`]). cfitsio never sees the file: it is given
//! numbers, behind a header that this program writes.
//!
//! Invariant: whatever bytes come in, no C code reads a header, a length or a
//! stream among them, and the same bytes give the same answer. Pixels are
//! physical values (BSCALE and BZERO applied) as `f32`; undefined and infinite
//! ones are NaN, and those stored as floats too small for normal ones are
//! zero, as cfitsio has it.

mod bands;
mod cfitsio;
pub mod flags;
mod floats;
mod headers;
mod layout;
mod light;
pub mod part;
mod plane;
mod position;
pub mod scaling;
mod tiles;

use bands::Plane;
use layout::{Hdu, Kind, Layout};
use position::Place;

use super::DecodeOptions;
use crate::cutout::colour::{sky::Sky, units::Light};
use crate::cutout::{BandImage, Reason, Rejection, room};
use crate::storage::fits::Unclear;

impl From<Unclear> for Rejection {
    fn from(unclear: Unclear) -> Self {
        Self::new(Reason::Corrupt, unclear.to_string())
    }
}

/// Decodes a file that holds every band: a cube or one HDU a band.
///
/// # Errors
/// See [`super::decode`].
pub fn decode_file(file: &[u8], options: &DecodeOptions) -> Result<BandImage, Rejection> {
    let layout = Layout::of(file, &options.limits)?;
    let planes = bands::choose(&layout, options)?;
    let (width, height) = same_size(&planes, options)?;
    let mut image = Canvas::new(width, height);
    image.read(&planes, file, options)?;
    for (channel, plane) in planes.iter().enumerate() {
        image
            .check(plane, &layout, channel)
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
            let plane = bands::only(&layout, band, options)?;
            let (width, height) = size(plane.hdu);
            let image = image.get_or_insert_with(|| Canvas::new(width, height));
            if (image.width, image.height) != (width, height) {
                let detail = format!(
                    "{width}×{height} pixels, where band {} has {}×{}",
                    options.bands[0], image.width, image.height
                );
                return Err(Rejection::new(Reason::Corrupt, detail));
            }
            let out = &mut [(plane.index, image.plane(channel))];
            read_hdu(plane.hdu, file, options, out)?;
            image.check(&plane, &layout, channel)?;
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
    light: [Light; 3],
    /// What the headers say of skies.
    sky: [Option<Sky>; 3],
}

impl Canvas {
    /// The caller has checked the size against the limits.
    fn new(width: usize, height: usize) -> Self {
        let unknown = BandImage::plain(width, height, room::FLOATS.zeros(3 * width * height));
        let BandImage { planes, light, .. } = unknown;
        Self { width, height, planes, light, sky: [None; 3] }
    }

    fn plane(&mut self, channel: usize) -> &mut [f32] {
        let pixels = self.width * self.height;
        &mut self.planes[channel * pixels..(channel + 1) * pixels]
    }

    /// Reads the planes of a file, all those of an HDU at once, as a tile may
    /// reach through several.
    fn read(
        &mut self,
        planes: &[Plane<'_, '_>; 3],
        file: &[u8],
        options: &DecodeOptions,
    ) -> Result<(), Rejection> {
        let mut rest: Vec<_> =
            planes.iter().zip(self.planes.chunks_exact_mut(self.width * self.height)).collect();
        while let Some((first, _)) = rest.first() {
            let hdu = first.hdu;
            let (of_hdu, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|(plane, _)| plane.hdu.number == hdu.number);
            let mut wanted: Vec<_> =
                of_hdu.into_iter().map(|(plane, out)| (plane.index, out)).collect();
            read_hdu(hdu, file, options, &mut wanted)?;
            rest = others;
        }
        Ok(())
    }

    /// Takes a plane's numbers as its header means them: magnitudes back to
    /// counts, infinities for NaN. Rejects one without a finite pixel.
    fn check(
        &mut self,
        &Plane { hdu, index, .. }: &Plane<'_, '_>,
        layout: &Layout<'_>,
        channel: usize,
    ) -> Result<(), Rejection> {
        light::linear(hdu, self.plane(channel))?;
        self.light[channel] = light::of(hdu, layout);
        self.sky[channel] = light::sky(hdu, index)?;
        let plane = self.plane(channel);
        let finite = plane.iter().filter(|value| value.is_finite()).count();
        let mut infinite = 0;
        // Seldom are not all of them.
        if finite < plane.len() {
            for value in plane.iter_mut().filter(|value| value.is_infinite()) {
                infinite += 1;
                *value = f32::NAN;
            }
        }
        if finite > 0 {
            return Ok(());
        }
        let detail = if infinite > 0 {
            let keyword = |k| match hdu.header.number(k) {
                Ok(Some(v)) => format!(", {k} = {v:e}"),
                _ => String::new(),
            };
            let (scale, zero) = (keyword("BSCALE"), keyword("BZERO"));
            format!("HDU {}: no finite pixel, {infinite} infinite{scale}{zero}", hdu.number)
        } else {
            format!("HDU {}: every pixel is blank", hdu.number)
        };
        Err(Rejection::new(Reason::NoData, detail))
    }

    fn finish(self, Place { centre, pixel_scale, note }: Place) -> BandImage {
        let Self { width, height, planes, light, sky } = self;
        let sky = sky.iter().any(Option::is_some).then(|| Box::new(sky));
        BandImage { width, height, planes, centre, pixel_scale, note, light, sky }
    }
}

/// Reads planes of an HDU.
fn read_hdu(
    hdu: &Hdu<'_>,
    file: &[u8],
    options: &DecodeOptions,
    wanted: &mut [(usize, &mut [f32])],
) -> Result<(), Rejection> {
    let read = if hdu.kind == Kind::Compressed {
        tiles::read(hdu, file, &options.limits, wanted)
    } else {
        wanted.iter_mut().try_for_each(|(index, out)| plane::read(hdu, *index, file, out))
    };
    read.map_err(|e| e.at(format_args!("HDU {}", hdu.number)))
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
