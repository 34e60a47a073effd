//! Parts of an image that is too large to be taken whole: a survey's mosaic.
//!
//! An [`Image`] is known by its header, and read a block at a time: some rows of a
//! plain image, a tile of a compressed one. Which blocks a cutout needs, and keeping
//! them, is left to [`crate::mosaic`]. Pixels are those that [`super`] would give of
//! the whole file, to the bit, but for checksums, which are of all data and are not
//! looked at.
//!
//! Invariant: as for whole files; memory is bounded by the blocks that are asked for.

use std::io;
use std::ops::Range;

use super::headers::Headers;
use super::layout::{Hdu, Kind, Layout, Pixels};
use super::scaling::Scaling;
use super::{bands, cfitsio, floats, light, tiles};
use crate::cutout::colour::units::Light;
use crate::cutout::decode::{DecodeOptions, Limits};
use crate::cutout::wcs::{Wcs, WcsError};
use crate::cutout::{Reason, Rejection};
use crate::limits::mosaic;
use crate::storage::fits::Header;

/// Bytes of the rows of a plain image that are a block, unless one row has more.
const BLOCK_BYTES: usize = 256 << 10;

/// Why a part cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// What the system, or a store, said.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What is wrong with the file.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

/// A file of large images, known by its headers.
#[derive(Debug)]
pub struct File {
    headers: Headers,
    limits: Limits,
}

/// An image of a file.
pub struct Image {
    /// Its header's bytes.
    header: Vec<u8>,
    number: usize,
    kind: Kind,
    pixels: Pixels,
    axes: Vec<u64>,
    /// Where its data lie in the file.
    data: Range<usize>,
    /// Which plane of it this is, from 0.
    plane: usize,
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Its coordinates on the sky.
    pub wcs: Wcs,
    /// What its numbers mean.
    pub light: Light,
    blocks: Blocks,
}

/// How an image is read.
enum Blocks {
    /// So many rows at a time.
    Rows { each: usize, scaling: Scaling },
    /// Tiles, by their numbers.
    Tiles(tiles::Parts),
}

impl File {
    /// Reads the headers of a file of `size` bytes; `fetch` fills a buffer from an
    /// offset.
    ///
    /// # Errors
    /// What fetching says, and as [`Headers::read`].
    pub fn open(
        size: u64,
        fetch: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> Result<Self, PartError> {
        let limits =
            Limits { max_side: mosaic::SIDE, max_pixels: mosaic::PIXELS, ..Limits::default() };
        Ok(Self { headers: Headers::read(size, fetch)??, limits })
    }

    /// The bytes of its headers, one behind the other.
    pub fn headers(&self) -> impl Iterator<Item = &[u8]> {
        self.headers.bytes()
    }

    /// The image of a band: the only image of a file of one band, the HDU or the
    /// plane of that name in others.
    ///
    /// # Errors
    /// As for a file of one band and, where it is none, for one of all bands; and
    /// [`Reason::NoScale`] without coordinates on the sky.
    pub fn image(&self, band: &str, options: &DecodeOptions) -> Result<Image, Rejection> {
        let layout = self.headers.layout(&self.limits)?;
        let plane = match bands::only(&layout, band, options) {
            Ok(plane) => plane,
            Err(alone) => {
                let channel = options.bands.iter().position(|own| own == band);
                let all = bands::choose(&layout, options);
                channel.and_then(|channel| Some(all.ok()?[channel])).ok_or(alone)?
            }
        };
        let here = |e: Rejection| e.at(format_args!("HDU {}", plane.hdu.number));
        let wcs = wcs_of(plane.hdu).map_err(here)?.ok_or_else(|| {
            here(Rejection::new(Reason::NoScale, "it has no coordinates on the sky"))
        })?;
        Image::of(plane.hdu, plane.index, &layout, wcs).map_err(here)
    }

    /// An image that says something of another's pixels, on the same grid: the only one
    /// of the file, or that of a name.
    ///
    /// # Errors
    /// [`Reason::MissingBand`] where there is none; [`Reason::Unsupported`] where there are
    /// several, or where its size, or its place on the sky, is another.
    pub fn beside(&self, name: Option<&str>, other: &Image) -> Result<Image, Rejection> {
        let layout = self.headers.layout(&self.limits)?;
        let mut found = Vec::new();
        for hdu in layout.hdus.iter().filter(|hdu| hdu.kind != Kind::Other) {
            let is_called = |name: &str| -> Result<bool, Rejection> {
                let names = hdu.header.texts("EXTNAME")?;
                Ok(names.iter().any(|own| own.trim().eq_ignore_ascii_case(name)))
            };
            if name.map_or(Ok(true), is_called)? {
                found.push(hdu);
            }
        }
        let called = name.map_or_else(String::new, |name| format!(" called {name}"));
        let hdu = match found[..] {
            [hdu] => hdu,
            [] => {
                let detail = format!("no image{called}");
                return Err(layout.missing(Rejection::new(Reason::MissingBand, detail)));
            }
            _ => {
                let detail = format!("{} images{called}", found.len());
                return Err(Rejection::new(Reason::Unsupported, detail));
            }
        };
        let here = |e: Rejection| e.at(format_args!("HDU {}", hdu.number));
        let wcs = wcs_of(hdu).map_err(here)?.unwrap_or_else(|| other.wcs.clone());
        let image = Image::of(hdu, 0, &layout, wcs).map_err(here)?;
        image.lies_on(other).map_err(here)?;
        Ok(image)
    }

    /// Whether the file holds images and none of them is of light.
    pub fn is_beside(&self) -> bool {
        self.headers.layout(&self.limits).is_ok_and(|layout| bands::are_auxiliary(&layout))
    }
}

/// The coordinates of an HDU, if it has some.
fn wcs_of(hdu: &Hdu<'_>) -> Result<Option<Wcs>, Rejection> {
    Wcs::from_header(&hdu.header).map_err(|e| no_wcs(&e))
}

impl Image {
    fn of(hdu: &Hdu<'_>, plane: usize, layout: &Layout<'_>, wcs: Wcs) -> Result<Self, Rejection> {
        let [width, height, ..] = hdu.axes[..] else {
            return Err(Rejection::new(Reason::Unsupported, "no image of two axes"));
        };
        // Within the limits, which the layout has checked.
        let (width, height) = (width as usize, height as usize);
        let blocks = if hdu.kind == Kind::Compressed {
            // A tile is held to what a cutout may have.
            Blocks::Tiles(tiles::Parts::of(hdu, &Limits::default())?)
        } else {
            let scaling = Scaling::read(&hdu.header, hdu.pixels)?;
            let each = (BLOCK_BYTES / (width * hdu.pixels.bytes())).clamp(1, height);
            Blocks::Rows { each, scaling }
        };
        Ok(Self {
            header: hdu.header.whole(),
            number: hdu.number,
            kind: hdu.kind,
            pixels: hdu.pixels,
            axes: hdu.axes.clone(),
            data: hdu.data.clone(),
            plane,
            width,
            height,
            wcs,
            light: light::of(hdu, layout),
            blocks,
        })
    }

    /// Refuses an image that is not on the grid of another, to half a pixel.
    pub fn lies_on(&self, other: &Self) -> Result<(), Rejection> {
        let unlike = |detail: String| Err(Rejection::new(Reason::Unsupported, detail));
        let (width, height) = (other.width, other.height);
        if (self.width, self.height) != (width, height) {
            let (own, owns) = (self.width, self.height);
            return unlike(format!("{own}×{owns} pixels, and its mosaic has {width}×{height}"));
        }
        let (right, top) = (width as f64, height as f64);
        let is_off = |(x, y): (f64, f64)| {
            let there = other.wcs.pixel_to_sky(x, y).and_then(|sky| self.wcs.sky_to_pixel(sky));
            // What lies nowhere says nothing.
            there.is_some_and(|(u, v)| (u - x).abs() > 0.5 || (v - y).abs() > 0.5)
        };
        if [(1.0, 1.0), (right, 1.0), (1.0, top), (right, top)].into_iter().any(is_off) {
            return unlike("it lies elsewhere on the sky than its mosaic".to_owned());
        }
        Ok(())
    }

    /// Which image of its file it is: the number of the HDU, and of the plane.
    pub fn place(&self) -> (usize, usize) {
        (self.number, self.plane)
    }

    /// The blocks that hold pixels of these columns and rows, ascending.
    pub fn blocks(&self, x: Range<usize>, y: Range<usize>) -> Vec<usize> {
        match &self.blocks {
            Blocks::Rows { each, .. } if !x.is_empty() && !y.is_empty() => {
                (y.start / each..y.end.min(self.height).div_ceil(*each)).collect()
            }
            Blocks::Rows { .. } => Vec::new(),
            Blocks::Tiles(tiles) => tiles.covering(x, y, self.plane),
        }
    }

    /// Columns and rows of a block.
    pub fn area(&self, block: usize) -> (Range<usize>, Range<usize>) {
        match &self.blocks {
            Blocks::Rows { each, .. } => {
                (0..self.width, block * each..((block + 1) * each).min(self.height))
            }
            Blocks::Tiles(tiles) => {
                let tiles::Tile { start, size } = tiles.tile(block);
                (start[0]..start[0] + size[0], start[1]..start[1] + size[1])
            }
        }
    }

    /// The pixels of consecutive blocks, each row by row: physical values, NaN where
    /// there is none. `fetch` gives a stretch of the file's bytes.
    ///
    /// # Errors
    /// What fetching says, and what is wrong with the numbers.
    pub fn read(
        &self,
        blocks: Range<usize>,
        mut fetch: impl FnMut(Range<u64>) -> io::Result<Vec<u8>>,
    ) -> Result<Vec<Vec<f32>>, PartError> {
        let here = |e: Rejection| e.at(format_args!("HDU {}", self.number));
        let parsed = Header::parse(&self.header).map_err(|e| here(e.into()))?;
        let Some((header, _)) = parsed else {
            return Err(here(Rejection::new(Reason::Corrupt, "no header")).into());
        };
        let hdu = Hdu {
            number: self.number,
            header,
            kind: self.kind,
            pixels: self.pixels,
            axes: self.axes.clone(),
            data: self.data.clone(),
        };
        let from = self.data.start;
        let mut stretch = |part: Range<usize>| -> Result<Vec<u8>, PartError> {
            Ok(fetch((from + part.start) as u64..(from + part.end) as u64)?)
        };
        let mut values = match &self.blocks {
            Blocks::Rows { scaling, .. } => {
                let areas: Vec<_> = blocks.map(|block| self.area(block).1).collect();
                let (Some(first), Some(last)) = (areas.first(), areas.last()) else {
                    return Ok(Vec::new());
                };
                let row = self.width * self.pixels.bytes();
                let start = self.plane * self.height * row;
                let bytes = stretch(start + first.start * row..start + last.end * row)?;
                let mut rest = bytes.as_slice();
                let mut all = Vec::with_capacity(areas.len());
                for rows in areas {
                    let (numbers, others) = rest.split_at(rows.len() * row);
                    rest = others;
                    let mut out = vec![0.0; rows.len() * self.width];
                    if self.pixels.are_integers() {
                        cfitsio::convert(self.pixels, scaling, numbers, &mut out)
                            .map_err(|e| here(Rejection::new(Reason::Corrupt, e.to_string())))?;
                    } else {
                        floats::convert(self.pixels, scaling, numbers, &mut out);
                    }
                    all.push(out);
                }
                all
            }
            Blocks::Tiles(tiles) => tiles.unpack(&hdu, blocks, self.plane, &mut stretch)?,
        };
        for plane in &mut values {
            light::linear(&hdu, plane)?;
            for value in plane.iter_mut().filter(|value| value.is_infinite()) {
                *value = f32::NAN;
            }
        }
        Ok(values)
    }
}

fn no_wcs(error: &WcsError) -> Rejection {
    Rejection::new(Reason::NoScale, format!("no coordinates on the sky: {error}"))
}
