//! A cutout of several bands on one grid.
//!
//! Bands whose mosaics have the cutout's grid already are copied to the bit;
//! others are resampled, once.
//!
//! Numbers that are the light of a pixel stay that: they are multiplied by the ratio of
//! the pixels' areas. Where brightness will be told by the sky's noise it is measured
//! before, as resampling smooths it.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::file::{Loaded, Mosaic, of_part};
use super::grid::{Grid, outside};
use super::kept::Kept;
use super::map::{Map, Point};
use super::masks::{Kind, Masks};
use super::resample::{Window, resample};
use crate::cutout::colour::sky::{self, Sky};
use crate::cutout::colour::units::Light;
use crate::cutout::colour::{Given, Profile, Takes, given_light};
use crate::cutout::decode::DecodeOptions;
use crate::cutout::decode::fits::part::{self, Fetch, PartError, Raster};
use crate::cutout::wcs::PixelScale;
use crate::cutout::{BandImage, Reason, Rejection, SkyPosition, room};
use crate::limits::mosaic;

/// Mosaics that are kept open.
const OPEN: usize = 24;

/// Most by which a grid may be off another, in pixels, to be the same.
const SAME: f64 = 1e-3;

/// Blocks that are read at once.
const RUN: usize = 64;

/// Bytes of parts that a cutout holds at once, beside those that are kept.
const HELD: usize = 32 << 20;

/// How mosaics are read.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The bands that become R, G and B.
    pub decode: Arc<DecodeOptions>,
    /// What a person says of their numbers.
    pub given: Given,
    /// Whether brightness is told by the sky's noise whatever the headers say.
    pub by_sky: bool,
    /// What says of pixels that they are undefined, beside mosaics.
    pub masks: Masks,
}

impl Settings {
    /// For pictures by a profile.
    pub fn new(decode: Arc<DecodeOptions>, given: Given, profile: &Profile, masks: Masks) -> Self {
        let by_sky = profile.unit == Takes::Sky || given.by_sky();
        Self { decode, given, by_sky, masks }
    }
}

/// What is to be cut out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Its middle.
    pub position: SkyPosition,
    /// Pixels a side.
    pub pixels: usize,
    /// Arcseconds a pixel; without, the pixels are those of the first band's mosaic.
    pub scale: Option<f64>,
}

/// Mosaics, for the workers of one line.
#[derive(Clone, Default)]
pub struct Mosaics(Arc<Shared>);

impl std::fmt::Debug for Mosaics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mosaics").field("read", &self.bytes_read()).finish_non_exhaustive()
    }
}

struct Shared {
    settings: Settings,
    /// The one that was used last in front.
    open: Mutex<Vec<(PathBuf, Arc<Mosaic>)>>,
    kept: Mutex<Kept>,
    ids: AtomicU64,
    read: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            open: Mutex::default(),
            kept: Mutex::new(Kept::new(mosaic::KEPT)),
            ids: AtomicU64::new(0),
            read: AtomicU64::new(0),
        }
    }
}

/// An image of an open mosaic.
struct Source<'a, T> {
    path: &'a Path,
    mosaic: Arc<Mosaic>,
    loaded: Arc<Loaded<T>>,
}

/// The image of a band.
struct Layer<'a> {
    light: Source<'a, part::Image>,
    /// What says of its pixels that they are undefined.
    beside: Vec<(Kind, Source<'a, part::Beside>)>,
}

impl Layer<'_> {
    fn image(&self) -> &part::Image {
        &self.light.loaded.image
    }
}

/// A decoded part of an image.
type Part = Arc<Vec<f32>>;

/// What is known of one band of a cutout.
struct Band {
    light: Light,
    sky: Option<Sky>,
}

impl Mosaics {
    /// None open yet.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared { settings, ..Shared::default() }))
    }

    /// Bytes of pixels that were read from mosaics so far.
    pub fn bytes_read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Cuts out a place; `bands` are the mosaics of the bands, the first of which
    /// counts where the grid is a mosaic's, and the images beside them by what
    /// [`Kind::of_band`] calls them.
    ///
    /// # Errors
    /// What is wrong with a mosaic, as for a file of its own; [`Reason::MissingBand`],
    /// [`Reason::TooLarge`], [`Reason::Outside`] if no pixel of the cutout lies in a
    /// band's mosaic.
    pub fn cut(&self, bands: &[(String, PathBuf)], place: &Place) -> Result<BandImage, Rejection> {
        let wanted = &self.0.settings.decode.bands;
        let mut loaded = HashMap::new();
        for (band, path) in bands.iter().filter(|(band, _)| wanted.contains(band)) {
            let layer = self.layer(bands, band, path);
            loaded.insert(band.as_str(), layer.map_err(|e| e.at(format_args!("band {band}")))?);
        }
        let absent = wanted.iter().find(|band| !loaded.contains_key(band.as_str()));
        if let Some(absent) = absent {
            return Err(Rejection::new(Reason::MissingBand, format!("no mosaic of band {absent}")));
        }
        let first = bands.iter().find_map(|(band, _)| loaded.get(band.as_str()));
        let Some(first) = first else {
            return Err(Rejection::new(Reason::MissingBand, "no bands are asked for"));
        };
        // Of all bands or of none: colours are ratios.
        let by_sky = wanted.iter().any(|band| self.by_sky(&loaded[band.as_str()].image().light));
        let grid = Grid::new(place, &first.light.loaded)?;
        let size = place.pixels;
        let middle = (size as f64 - 1.0) / 2.0;
        let scale = grid.scale(middle).ok_or_else(|| {
            Rejection::new(Reason::NoScale, "the size of its pixels there is not known")
        })?;
        // Every band writes all of its plane.
        let mut planes = room::FLOATS.any(3 * size * size);
        let mut light: Vec<Light> = Vec::with_capacity(3);
        let mut skies = Vec::with_capacity(3);
        for (channel, band) in wanted.iter().enumerate() {
            let (done, rest) = planes.split_at_mut(channel * size * size);
            let plane = &mut rest[..size * size];
            if let Some(same) = wanted[..channel].iter().position(|other| other == band) {
                plane.copy_from_slice(&done[same * size * size..][..size * size]);
                light.push(light[same].clone());
                skies.push(skies[same]);
                continue;
            }
            let made = self.band(&loaded[band.as_str()], &grid, size, scale, by_sky, plane);
            let made: Band = made.map_err(|e| e.at(format_args!("band {band}")))?;
            light.push(made.light);
            skies.push(made.sky);
        }
        let light = [0, 1, 2].map(|channel: usize| light[channel].clone());
        let sky = [skies[0], skies[1], skies[2]];
        Ok(BandImage {
            centre: grid.sky(middle, middle),
            pixel_scale: Some(scale),
            light,
            sky: sky.iter().any(Option::is_some).then(|| Box::new(sky)),
            ..BandImage::plain(size, size, planes)
        })
    }

    /// The image of a band in its mosaic, with those beside it.
    fn layer<'a>(
        &self,
        bands: &'a [(String, PathBuf)],
        band: &str,
        path: &'a Path,
    ) -> Result<Layer<'a>, Rejection> {
        let Settings { decode, masks, .. } = &self.0.settings;
        let next = || self.0.ids.fetch_add(1, Ordering::Relaxed);
        let mosaic = self.open(path)?;
        let loaded = mosaic.image(band, decode, next).map_err(|e| e.at(path.display()))?;
        let light = Source { path, mosaic, loaded };
        let mut beside = Vec::new();
        for kind in masks.kinds() {
            let called = kind.of_band(band);
            let (_, path) = bands.iter().find(|(known, _)| *known == called).ok_or_else(|| {
                Rejection::new(Reason::MissingBand, format!("no {kind} of its mosaic is listed"))
            })?;
            let mosaic = self.open(path)?;
            let of = |e: Rejection| e.at(format_args!("{kind} {}", path.display()));
            let said = (kind, masks.hdu(kind, band));
            let loaded = mosaic.beside(said, &light.loaded.image, next).map_err(of)?;
            beside.push((kind, Source { path, mosaic, loaded }));
        }
        Ok(Layer { light, beside })
    }

    /// The open mosaic, in front of the others.
    fn open(&self, path: &Path) -> Result<Arc<Mosaic>, Rejection> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let place = open.iter().position(|(known, _)| known == path);
        let found = match place {
            Some(place) => open.remove(place),
            None => (path.to_owned(), Arc::new(Mosaic::open(path)?)),
        };
        let mosaic = Arc::clone(&found.1);
        open.insert(0, found);
        open.truncate(OPEN);
        let mut held = 0;
        let within = open.iter().take_while(|(_, mosaic)| {
            held += mosaic.held();
            held <= mosaic::UNPACKED
        });
        let within = within.count().max(1);
        open.truncate(within);
        Ok(mosaic)
    }

    /// Writes a band's plane.
    fn band(
        &self,
        layer: &Layer<'_>,
        grid: &Grid,
        size: usize,
        scale: PixelScale,
        by_sky: bool,
        plane: &mut [f32],
    ) -> Result<Band, Rejection> {
        let image = layer.image();
        let (width, height) = (image.raster.width, image.raster.height);
        let light = image.light.clone();
        if let Grid::Own(own, (left, bottom)) = grid
            && own.id == layer.light.loaded.id
        {
            return self.copied(layer, (*left, *bottom), size, by_sky, plane);
        }
        let map = Map::new(size, |x: f64, y: f64| -> Option<Point> {
            let (x, y) = image.wcs.sky_to_pixel(grid.sky(x, y)?)?;
            Some((x - 1.0, y - 1.0))
        });
        if let Some((left, bottom)) = map.shift(SAME) {
            return self.copied(layer, (left, bottom), size, by_sky, plane);
        }
        let bounds = match map.bounds() {
            Some(bounds) => bounds,
            None => reached(&map, size),
        };
        let [across, down] = bounds;
        let x = within(across, width);
        let y = within(down, height);
        if x.is_empty() || y.is_empty() {
            return Err(outside());
        }
        if x.len() > mosaic::WINDOW || y.len() > mosaic::WINDOW {
            let detail = format!("{}×{} pixels of its mosaic", x.len(), y.len());
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        let (column, row) = ((x.start + x.end) as f64 / 2.0, (y.start + y.end) as f64 / 2.0);
        let own = image.wcs.pixel_scale(column + 0.5, row + 0.5).ok_or_else(|| {
            Rejection::new(Reason::NoScale, "the size of its mosaic's pixels is not known")
        })?;
        let window = self.window(layer, x, y)?;
        let step = scale.mean() / own.mean();
        let given = self.given();
        let is_of_area = matches!(given.as_ref().unwrap_or(&light), Light::Area(_));
        let ratio = if is_of_area { 1.0 } else { step * step };
        resample(&window, (width, height), &map, step, ratio as f32, plane);
        let sky = by_sky
            .then(|| sky::measure(&window.values, window.x.len(), window.y.len()))
            .flatten()
            .map(|Sky { level, noise }| Sky {
                level: level * ratio as f32,
                // As of pixels that know nothing of each other.
                noise: noise * ratio / step,
            });
        room::FLOATS.give(window.values);
        Ok(Band { light, sky })
    }

    /// What a person says that numbers are, if anything.
    fn given(&self) -> Option<Light> {
        // Whichever the channel, it is of a pixel or of an area alike.
        given_light(&self.0.settings.given, 0)
    }

    /// Whether brightness is told by the sky's noise.
    fn by_sky(&self, light: &Light) -> bool {
        let known = matches!(light, Light::Pixel(_) | Light::Area(_));
        self.0.settings.by_sky || (self.given().is_none() && !known)
    }

    /// The pixels from this one on, to the bit; NaN beyond the image.
    fn copied(
        &self,
        layer: &Layer<'_>,
        (left, bottom): (i64, i64),
        size: usize,
        by_sky: bool,
        plane: &mut [f32],
    ) -> Result<Band, Rejection> {
        let image = layer.image();
        let inside = |start: i64, length: usize| {
            let end = start.saturating_add(size as i64).clamp(0, length as i64);
            start.clamp(0, end) as usize..end as usize
        };
        let Raster { width, height, .. } = image.raster;
        let (x, y) = (inside(left, width), inside(bottom, height));
        if x.is_empty() || y.is_empty() {
            return Err(outside());
        }
        let window = self.window(layer, x, y)?;
        plane.fill(f32::NAN);
        let (column, row) = (window.x.start as i64 - left, window.y.start as i64 - bottom);
        for (line, from) in window.values.chunks_exact(window.x.len()).enumerate() {
            let start = (row as usize + line) * size + column as usize;
            plane[start..start + from.len()].copy_from_slice(from);
        }
        room::FLOATS.give(window.values);
        let light = image.light.clone();
        let sky = by_sky.then(|| sky::measure(plane, size, size)).flatten();
        Ok(Band { light, sky })
    }

    /// Some columns and rows of an image, without what is said to be undefined.
    fn window(
        &self,
        layer: &Layer<'_>,
        x: Range<usize>,
        y: Range<usize>,
    ) -> Result<Window, Rejection> {
        let (light, masks) = (&layer.light, &self.0.settings.masks);
        let raster = &light.loaded.image.raster;
        let area = (x.clone(), y.clone());
        let mut values =
            self.pixels(light, raster, &area, &|blocks, fetch| raster.read(blocks, fetch))?;
        for (kind, other) in &layer.beside {
            let raster = &other.loaded.image.raster;
            let says = self.pixels(other, raster, &area, &|blocks, fetch| {
                masks.read(*kind, raster, blocks, fetch)
            })?;
            for (value, _) in values.iter_mut().zip(&says).filter(|(_, says)| says.is_nan()) {
                *value = f32::NAN;
            }
            room::FLOATS.give(says);
        }
        Ok(Window { x, y, values })
    }

    /// Some columns and rows of one image, of which `decode` reads blocks.
    fn pixels<T>(
        &self,
        source: &Source<'_, T>,
        raster: &Raster,
        (x, y): &(Range<usize>, Range<usize>),
        decode: &Decode<'_>,
    ) -> Result<Vec<f32>, Rejection> {
        let needed = raster.blocks(x.clone(), y.clone());
        let mut values = undefined(x.len() * y.len());
        // Of a plain image a block is whole rows, of which the window may take little.
        let block = needed.first().map_or(1, |block| {
            let (columns, rows) = raster.area(*block);
            columns.len() * rows.len() * size_of::<f32>()
        });
        for needed in needed.chunks((HELD / block.max(1)).max(1)) {
            let kept = self.kept(source.loaded.id, needed).into_iter();
            let parts = match kept.collect::<Option<Vec<Part>>>() {
                Some(parts) => parts,
                None => {
                    // Whoever waited finds most of it.
                    let _turn = source.loaded.turn.lock().unwrap_or_else(PoisonError::into_inner);
                    self.read(source, needed, decode)?
                }
            };
            for (block, part) in needed.iter().zip(&parts) {
                let (columns, rows) = raster.area(*block);
                let across = columns.start.max(x.start)..columns.end.min(x.end);
                for row in rows.start.max(y.start)..rows.end.min(y.end) {
                    let from = (row - rows.start) * columns.len() + across.start - columns.start;
                    let to = (row - y.start) * x.len() + across.start - x.start;
                    values[to..to + across.len()].copy_from_slice(&part[from..from + across.len()]);
                }
            }
        }
        Ok(values)
    }

    /// The parts of an image, those that are kept.
    fn kept(&self, id: u64, needed: &[usize]) -> Vec<Option<Part>> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        needed.iter().map(|block| kept.get((id, *block))).collect()
    }

    /// The parts of an image; those that are not kept are read, what follows one another
    /// at once.
    fn read<T>(
        &self,
        source: &Source<'_, T>,
        needed: &[usize],
        decode: &Decode<'_>,
    ) -> Result<Vec<Part>, Rejection> {
        let Source { path, mosaic, loaded } = source;
        let mut found = self.kept(loaded.id, needed);
        let mut at = 0;
        while at < needed.len() {
            if found[at].is_some() {
                at += 1;
                continue;
            }
            let follows = |k: usize| found[at + k].is_none() && needed[at + k] == needed[at] + k;
            let run = (0..(needed.len() - at).min(RUN)).take_while(|k| follows(*k)).count();
            let blocks = needed[at]..needed[at] + run;
            let parts = decode(blocks, &mut |stretch| {
                self.0.read.fetch_add(stretch.end - stretch.start, Ordering::Relaxed);
                mosaic.fetch(stretch)
            });
            let parts = parts.map_err(|error| of_part(path, error))?;
            let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            for (k, part) in parts.into_iter().enumerate() {
                let part = Arc::new(part);
                kept.put((loaded.id, needed[at + k]), Arc::clone(&part));
                found[at + k] = Some(part);
            }
            at += run;
        }
        Ok(found.into_iter().flatten().collect())
    }
}

/// Reads blocks of an image, with what fetches its bytes.
type Decode<'d> = dyn Fn(Range<usize>, &mut Fetch<'_>) -> Result<Vec<Vec<f32>>, PartError> + 'd;

/// So many undefined pixels.
fn undefined(pixels: usize) -> Vec<f32> {
    let mut values = room::FLOATS.empty(pixels);
    values.resize(pixels, f32::NAN);
    values
}

/// The bounds of what of a grid lies somewhere.
fn reached<F: Fn(f64, f64) -> Option<Point>>(map: &Map<F>, size: usize) -> [(f64, f64); 2] {
    let mut all = [(f64::INFINITY, f64::NEG_INFINITY); 2];
    let (mut xs, mut ys) = (vec![0.0; 2 * size + 1], vec![0.0; 2 * size + 1]);
    for line in 0..=2 * size {
        map.row(line as f64 / 2.0 - 0.5, -0.5, 0.5, &mut xs, &mut ys);
        for (x, y) in xs.iter().zip(&ys).filter(|(x, y)| x.is_finite() && y.is_finite()) {
            for (bound, value) in all.iter_mut().zip([x, y]) {
                *bound = (bound.0.min(*value), bound.1.max(*value));
            }
        }
    }
    all
}

/// The pixels of a stretch, with those that interpolation reaches for, as far as there
/// are any.
fn within((low, high): (f64, f64), length: usize) -> Range<usize> {
    let last = length as f64;
    let is_one = low <= high;
    if !is_one || high < -0.5 || low > last - 0.5 {
        return 0..0;
    }
    let start = (low.floor() - 1.0).clamp(0.0, last) as usize;
    let end = (high.ceil() + 2.0).clamp(0.0, last) as usize;
    start..end
}
