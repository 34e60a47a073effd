//! Parts of an image that is too large to be taken whole: a survey's mosaic.
//!
//! An [`Image`] is known by its header, and its [`Raster`] read a block at a time: some
//! rows of a plain image, a tile of a compressed one. Which blocks a cutout needs, and
//! keeping them, is left to [`crate::mosaic`]. Pixels are those that [`super`] would give
//! of the whole file, to the bit, but for checksums, which are of all data and are not
//! looked at. What says something of another image's pixels is [`Beside`] it: a mask or a
//! map of weights.
//!
//! Invariant: as for whole files; memory is bounded by the blocks that are asked for.

use std::io;
use std::ops::Range;

use super::flags::{self, Flag};
use super::headers::Headers;
use super::layout::{Hdu, Kind, Pixels};
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

/// An image of a file, of light.
pub struct Image {
    /// Its pixels.
    pub raster: Raster,
    /// Its coordinates on the sky.
    pub wcs: Wcs,
    /// What its numbers mean.
    pub light: Light,
}

/// An image of a file that says something of another's pixels.
pub struct Beside {
    /// Its pixels.
    pub raster: Raster,
    /// Its coordinates on the sky, if it has some.
    wcs: Option<Wcs>,
}

/// The pixels of one plane of an image, which are read in blocks.
pub struct Raster {
    /// The header's bytes.
    header: Vec<u8>,
    number: usize,
    kind: Kind,
    pixels: Pixels,
    axes: Vec<u64>,
    /// Where the data lie in the file.
    data: Range<usize>,
    /// Which plane of them this is, from 0.
    plane: usize,
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
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
        Ok(Image {
            raster: Raster::of(plane.hdu, plane.index).map_err(here)?,
            wcs,
            light: light::of(plane.hdu, &layout),
        })
    }

    /// An image that says something of another's pixels: the only one of the file, or that
    /// of a name, which is an EXTNAME or, where none is called so, `HDU` and the number,
    /// counted from 1 as in all messages.
    ///
    /// # Errors
    /// [`Reason::MissingBand`] where there is none; [`Reason::Unsupported`] where there are
    /// several, which are listed, or where it is no image of one plane.
    pub fn beside(&self, name: Option<&str>) -> Result<Beside, Rejection> {
        let layout = self.headers.layout(&self.limits)?;
        let images: Vec<&Hdu<'_>> =
            layout.hdus.iter().filter(|hdu| hdu.kind != Kind::Other).collect();
        let called: Vec<Vec<String>> =
            images.iter().map(|hdu| extnames(hdu)).collect::<Result<_, _>>()?;
        let found: Vec<&Hdu<'_>> = match name {
            None => images.clone(),
            Some(name) => {
                let is = |known: &String| known.eq_ignore_ascii_case(name);
                let named = images.iter().zip(&called).filter(|(_, own)| own.iter().any(is));
                let named: Vec<&Hdu<'_>> = named.map(|(hdu, _)| *hdu).collect();
                let number = number_of(name).filter(|_| named.is_empty());
                let numbered = images.iter().filter(|hdu| Some(hdu.number) == number);
                named.into_iter().chain(numbered.copied()).collect()
            }
        };
        let all = || {
            let each = images.iter().zip(&called).map(|(hdu, own)| match own.first() {
                None => format!("HDU {}", hdu.number),
                Some(known) => format!("HDU {} ({known})", hdu.number),
            });
            each.collect::<Vec<_>>().join(", ")
        };
        let hdu = match (&found[..], name) {
            ([hdu], _) => *hdu,
            ([], name) => {
                let called = name.map_or_else(String::new, |name| format!(" called {name}"));
                let there = if images.is_empty() { String::new() } else { format!(": {}", all()) };
                let detail = format!("no image{called}{there}");
                return Err(layout.missing(Rejection::new(Reason::MissingBand, detail)));
            }
            (several, None) => {
                let detail = format!(
                    "{} images, and nothing says which: name one behind the file, such as \
                     [EXTNAME] or [HDU 2]; there are {}",
                    several.len(),
                    all()
                );
                return Err(Rejection::new(Reason::Unsupported, detail));
            }
            (several, Some(name)) => {
                let detail = format!("{} images called {name}: {}", several.len(), all());
                return Err(Rejection::new(Reason::Unsupported, detail));
            }
        };
        let here = |e: Rejection| e.at(format_args!("HDU {}", hdu.number));
        if hdu.axes.len() > 2 {
            let detail = format!("an image of axes {:?}, where one plane is needed", hdu.axes);
            return Err(here(Rejection::new(Reason::Unsupported, detail)));
        }
        let wcs = wcs_of(hdu).map_err(here)?;
        Ok(Beside { raster: Raster::of(hdu, 0).map_err(here)?, wcs })
    }

    /// The word of a header by which the file holds images and none of them is of light;
    /// `None` if one may be.
    pub fn auxiliary(&self) -> Option<&'static str> {
        bands::auxiliary(&self.headers.layout(&self.limits).ok()?)
    }
}

/// The coordinates of an HDU, if it has some.
fn wcs_of(hdu: &Hdu<'_>) -> Result<Option<Wcs>, Rejection> {
    Wcs::from_header(&hdu.header).map_err(|e| no_wcs(&e))
}

/// The EXTNAMEs of an HDU: compressed images may have two, that of the table and that of
/// the image, of which only the latter says something.
fn extnames(hdu: &Hdu<'_>) -> Result<Vec<String>, Rejection> {
    let mut names = hdu.header.texts("EXTNAME")?;
    names.iter_mut().for_each(|name| *name = name.trim().to_owned());
    names.retain(|name| !name.is_empty() && name != "COMPRESSED_IMAGE");
    Ok(names)
}

/// The number in a name such as `HDU 2`.
fn number_of(name: &str) -> Option<usize> {
    let digits = name.get(3..)?.trim_start();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && name[..3].eq_ignore_ascii_case("HDU")).then(|| digits.parse().ok())?
}

impl Beside {
    /// Refuses it for the pixels of an image that has others, or that lies elsewhere, by
    /// more than half a pixel. One without coordinates is of any place.
    ///
    /// # Errors
    /// [`Reason::Unsupported`].
    pub fn lies_on(&self, other: &Image) -> Result<(), Rejection> {
        let unlike =
            |detail: String| Err(self.raster.here(Rejection::new(Reason::Unsupported, detail)));
        let (width, height) = (other.raster.width, other.raster.height);
        let (own, owns) = (self.raster.width, self.raster.height);
        if (own, owns) != (width, height) {
            return unlike(format!("{own}×{owns} pixels, and its mosaic has {width}×{height}"));
        }
        let Some(wcs) = &self.wcs else { return Ok(()) };
        let (right, top) = (width as f64, height as f64);
        let is_off = |(x, y): (f64, f64)| {
            let there = other.wcs.pixel_to_sky(x, y).and_then(|sky| wcs.sky_to_pixel(sky));
            // What lies nowhere says nothing.
            there.is_some_and(|(u, v)| (u - x).abs() > 0.5 || (v - y).abs() > 0.5)
        };
        if [(1.0, 1.0), (right, 1.0), (1.0, top), (right, top)].into_iter().any(is_off) {
            return unlike("it lies elsewhere on the sky than its mosaic".to_owned());
        }
        Ok(())
    }
}

impl Raster {
    fn of(hdu: &Hdu<'_>, plane: usize) -> Result<Self, Rejection> {
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
            blocks,
        })
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
        fetch: &mut Fetch<'_>,
    ) -> Result<Vec<Vec<f32>>, PartError> {
        let hdu = self.hdu()?;
        let mut values = match &self.blocks {
            Blocks::Rows { scaling, .. } => self.rows(blocks, fetch, |numbers| {
                let mut out = vec![0.0; numbers.len() / self.pixels.bytes()];
                if self.pixels.are_integers() {
                    cfitsio::convert(self.pixels, scaling, numbers, &mut out)
                        .map_err(|e| Rejection::new(Reason::Corrupt, e.to_string()))?;
                } else {
                    floats::convert(self.pixels, scaling, numbers, &mut out);
                }
                Ok(out)
            })?,
            Blocks::Tiles(tiles) => {
                tiles.unpack(&hdu, blocks, self.plane, &mut |part| self.stretch(part, fetch))?
            }
        };
        for plane in &mut values {
            light::linear(&hdu, plane)?;
            for value in plane.iter_mut().filter(|value| value.is_infinite()) {
                *value = f32::NAN;
            }
        }
        Ok(values)
    }

    /// The same of a mask, whose numbers are bits: each pixel as `says` has it.
    ///
    /// # Errors
    /// What fetching and `says` say, and what is wrong with the numbers.
    pub fn flags<T>(
        &self,
        blocks: Range<usize>,
        says: impl Fn(Flag) -> Result<T, Rejection>,
        fetch: &mut Fetch<'_>,
    ) -> Result<Vec<Vec<T>>, PartError> {
        match &self.blocks {
            Blocks::Rows { scaling, .. } => self.rows(blocks, fetch, |numbers| {
                let mut out = Vec::with_capacity(numbers.len() / self.pixels.bytes());
                flags::each(self.pixels, scaling, numbers, |flag| {
                    out.push(says(flag)?);
                    Ok(())
                })?;
                Ok(out)
            }),
            Blocks::Tiles(tiles) => {
                let mut stretch = |part| self.stretch(part, fetch);
                let found = tiles.flags::<_, PartError>(&self.hdu()?, blocks, says, &mut stretch);
                found.map_err(|error| match error {
                    PartError::Rejected(rejection) => self.here(rejection).into(),
                    error @ PartError::Io(_) => error,
                })
            }
        }
    }

    /// What `convert` makes of the numbers of consecutive blocks of a plain image.
    fn rows<T>(
        &self,
        blocks: Range<usize>,
        fetch: &mut Fetch<'_>,
        convert: impl Fn(&[u8]) -> Result<Vec<T>, Rejection>,
    ) -> Result<Vec<Vec<T>>, PartError> {
        let areas: Vec<_> = blocks.map(|block| self.area(block).1).collect();
        let (Some(first), Some(last)) = (areas.first(), areas.last()) else {
            return Ok(Vec::new());
        };
        let row = self.width * self.pixels.bytes();
        let start = self.plane * self.height * row;
        let bytes = self.stretch(start + first.start * row..start + last.end * row, fetch)?;
        let mut rest = bytes.as_slice();
        let mut all = Vec::with_capacity(areas.len());
        for rows in areas {
            let (numbers, others) = rest.split_at(rows.len() * row);
            rest = others;
            all.push(convert(numbers).map_err(|e| self.here(e))?);
        }
        Ok(all)
    }

    /// A stretch of its data.
    fn stretch(&self, part: Range<usize>, fetch: &mut Fetch<'_>) -> Result<Vec<u8>, PartError> {
        let from = self.data.start;
        Ok(fetch((from + part.start) as u64..(from + part.end) as u64)?)
    }

    fn here(&self, rejection: Rejection) -> Rejection {
        rejection.at(format_args!("HDU {}", self.number))
    }

    fn hdu(&self) -> Result<Hdu<'_>, Rejection> {
        let parsed = Header::parse(&self.header).map_err(|e| self.here(e.into()))?;
        let Some((header, _)) = parsed else {
            return Err(self.here(Rejection::new(Reason::Corrupt, "no header")));
        };
        Ok(Hdu {
            number: self.number,
            header,
            kind: self.kind,
            pixels: self.pixels,
            axes: self.axes.clone(),
            data: self.data.clone(),
        })
    }
}

/// Gives a stretch of a file's bytes.
pub type Fetch<'f> = dyn FnMut(Range<u64>) -> io::Result<Vec<u8>> + 'f;

fn no_wcs(error: &WcsError) -> Rejection {
    Rejection::new(Reason::NoScale, format!("no coordinates on the sky: {error}"))
}
