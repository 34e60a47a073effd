//! A survey's own images with galaxies of known class in them, and the table of these.
//!
//! An image is a patchwork of squares, each the stamp of one galaxy with its stars,
//! neighbours and noise, in pixels of SDSS's size, within a border of sky. Its three bands
//! have a seeing of their own, and lie on grids that differ by whole and broken pixels, so
//! that whoever cuts a galaxy out has to go by the coordinates. Images are turned, and
//! some mirrored.
//!
//! Invariant: an image depends on the seed, the indices of its galaxies and the choice of
//! classes alone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::fits::{self, Grid};
use super::random::{Draw, Purpose, generator};
use super::render::noise::{SKY, SURVEY_PIXEL};
use super::write::{SimulateOptions, SimulateReport, prepare};
use super::{BANDS, SimulateError, Simulation, Truth};
use crate::cutout::SkyPosition;
use crate::storage::file::TempFile;
use crate::storage::output;

/// Columns and rows of an image: those of an SDSS frame.
const SIZE: (usize, usize) = (2048, 1489);

/// Pixels a side of a galaxy's square, and squares across and down.
const CELL: usize = 204;
const CELLS: (usize, usize) = (9, 7);

/// Galaxies of an image.
pub const A_MOSAIC: u64 = (CELLS.0 * CELLS.1) as u64;

/// Degrees between the middles of images, which do not overlap however they are turned.
const APART: f64 = 0.4;

/// Most images of a row of them, and rows: from declination -10° to 70°, where the images of
/// a row, which are farther apart in right ascension there, still are on one side of the sky.
const ACROSS: u64 = 100;
const ROWS: u64 = 200;

/// Most galaxies of a simulation.
const MOST: u64 = A_MOSAIC * ACROSS * ROWS;

/// The table of the galaxies.
const SOURCES: &str = "sources.csv";

/// Writes images of all bands into `folder/frames`, and `folder/sources.csv`, the table of
/// `id,ra,dec,petroR90_r,label`. Of the options, format, size and votes are not looked at.
/// `progress` hears the number of galaxies written so far.
///
/// # Errors
/// As [`write`](super::write()).
pub fn write_mosaics(
    folder: &Path,
    options: &SimulateOptions,
    mut progress: impl FnMut(u64),
) -> Result<SimulateReport, SimulateError> {
    let SimulateOptions { count, first, .. } = *options;
    let simulation = Simulation::new(options.seed).with_classes(options.classes)?;
    if count == 0 {
        return Err(SimulateError::NoGalaxies);
    }
    let end = first.checked_add(count).filter(|end| *end <= MOST);
    let end = end.ok_or(SimulateError::Sky { first, count, most: MOST })?;
    output::refuse_folder(folder)?;
    prepare(folder)?;
    let frames = folder.join("frames");
    fs::create_dir(&frames).map_err(SimulateError::io(&frames))?;
    let mut table = "id,ra,dec,petroR90_r,label\n".to_owned();
    let mut report =
        SimulateReport { classes: [0; 5], files: 1, bytes: 0, labels: folder.join(SOURCES) };
    // Whole images have the same galaxies however a simulation is made in pieces.
    for frame in first / A_MOSAIC..end.div_ceil(A_MOSAIC) {
        let indices = first.max(frame * A_MOSAIC)..end.min((frame + 1) * A_MOSAIC);
        let image = Frame::draw(options.seed, frame);
        let (planes, truths) = image.render(&simulation, indices.clone());
        for ((band, plane), grid) in BANDS.iter().zip(&planes).zip(&image.grids) {
            let path = frames.join(format!("frame-{band}-{frame:06}.fits"));
            let bytes = fits::mosaic(SIZE, band, grid, plane);
            fs::write(&path, &bytes).map_err(SimulateError::io(&path))?;
            report.files += 1;
            report.bytes += bytes.len() as u64;
        }
        for truth in truths {
            report.classes[truth.class as usize] += 1;
            let SkyPosition { ra, dec } = truth.position;
            let (r90, label) = (truth.petro_r90, truth.class.label());
            // A String takes whatever is written.
            let _ = writeln!(table, "{},{ra:.8},{dec:.8},{r90:.4},{label}", truth.id);
        }
        progress(indices.end - first);
    }
    report.bytes += table.len() as u64;
    let file = TempFile::create(folder, SOURCES)?;
    file.append(table.as_bytes())?;
    file.commit(SOURCES)?;
    Ok(report)
}

/// An image: where it is, how it lies, and how sharp its bands are.
struct Frame {
    /// Of g, r and i.
    grids: [Grid; 3],
    /// Full widths at half maximum, arcseconds.
    seeing: [f32; 3],
    /// First column and row of the squares in each band.
    start: [(usize, usize); 3],
    /// What the bands' objects are moved by beyond that, pixels.
    shift: [(f32, f32); 3],
    seed: u64,
    number: u64,
}

impl Frame {
    fn draw(seed: u64, number: u64) -> Self {
        // No galaxy has such an index.
        let mut rng = generator(seed, u64::MAX - number, Purpose::Position);
        let dec = -10.0 + (number / ACROSS) as f64 * APART;
        let ra = 120.0 + (number % ACROSS) as f64 * APART / dec.to_radians().cos();
        let angle = rng.between(-30.0, 30.0) + if rng.chance(0.5) { 180.0 } else { 0.0 };
        let mirrored = number % 3 == 2;
        let (free, seeing_r) =
            ((SIZE.0 - CELL * CELLS.0, SIZE.1 - CELL * CELLS.1), rng.normal(1.25, 0.08) as f32);
        let mut start = [(0, 0); 3];
        let mut shift = [(0.0, 0.0); 3];
        for (start, shift) in start.iter_mut().zip(&mut shift) {
            let place = |free: usize, part: f64| (part * free as f64) as usize;
            *start = (place(free.0, rng.between(0.3, 0.7)), place(free.1, rng.between(0.3, 0.7)));
            *shift = (rng.between(-0.5, 0.5) as f32, rng.between(-0.5, 0.5) as f32);
        }
        let grids = [0, 1, 2].map(|band| {
            let (column, row) = start[band];
            let middle = |start: usize, cells: usize, shift: f32| {
                start as f64 + (cells * CELL) as f64 / 2.0 + 0.5 + f64::from(shift)
            };
            Grid {
                reference: (
                    middle(column, CELLS.0, shift[band].0),
                    middle(row, CELLS.1, shift[band].1),
                ),
                position: SkyPosition { ra, dec },
                scale: f64::from(SURVEY_PIXEL),
                angle,
                mirrored,
            }
        });
        // Seeing is worse in the blue.
        let seeing = [seeing_r * 1.08, seeing_r, seeing_r * 0.94];
        Self { grids, seeing, start, shift, seed, number }
    }

    /// The planes of g, r and i with these galaxies, and what is true of them.
    fn render(
        &self,
        simulation: &Simulation,
        indices: std::ops::Range<u64>,
    ) -> ([Vec<f32>; 3], Vec<Truth>) {
        let (width, height) = SIZE;
        let mut planes: [Vec<f32>; 3] = [0, 1, 2].map(|band| {
            let key = u64::MAX - 3 * self.number - band as u64;
            let mut rng = generator(self.seed, key, Purpose::Noise);
            let noise = |_| -> f32 {
                SKY[band] * <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut rng)
            };
            (0..width * height).map(noise).collect()
        });
        let pixel = f64::from(SURVEY_PIXEL);
        let shifts = self.shift.map(|(x, y)| (x * SURVEY_PIXEL, y * SURVEY_PIXEL));
        let stamps: Vec<_> = indices
            .into_par_iter()
            .map(|index| {
                let stamp = simulation.stamp(index, CELL, pixel, self.seeing, shifts);
                (index, stamp)
            })
            .collect();
        let mut truths = Vec::with_capacity(stamps.len());
        for (index, (mut truth, bands)) in stamps {
            let place = (index % A_MOSAIC) as usize;
            let (column, row) = (place % CELLS.0, place / CELLS.0);
            for ((plane, stamp), (left, bottom)) in planes.iter_mut().zip(&bands).zip(self.start) {
                for (line, values) in stamp.chunks_exact(CELL).enumerate() {
                    let from = (bottom + row * CELL + line) * width + left + column * CELL;
                    plane[from..from + CELL].copy_from_slice(values);
                }
            }
            let off =
                |at: usize, cells: usize| (at as f64 + 0.5 - cells as f64 / 2.0) * CELL as f64;
            truth.position = self.grids[1].sky(off(column, CELLS.0), off(row, CELLS.1));
            truths.push(truth);
        }
        (planes, truths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_the_same_in_pieces_and_its_bands_differ() {
        let simulation = Simulation::new(4);
        let frame = Frame::draw(4, 2);
        let whole = frame.render(&simulation, 126..132);
        let part = Frame::draw(4, 2).render(&simulation, 129..132);
        assert_eq!(whole.1[3..], part.1[..]);
        for (band, (left, bottom)) in frame.start.into_iter().enumerate() {
            for line in bottom..bottom + CELL {
                let at = line * SIZE.0 + left + 3 * CELL;
                let both = [&whole.0[band], &part.0[band]].map(|plane| &plane[at..at + 3 * CELL]);
                assert_eq!(both[0], both[1], "band {band}, line {line}");
            }
        }
        assert!(frame.start[0] != frame.start[1] && frame.seeing[0] > frame.seeing[2]);
        assert!(frame.grids[0].mirrored);
        // All within the image.
        for (left, bottom) in frame.start {
            assert!(left + CELL * CELLS.0 <= SIZE.0 && bottom + CELL * CELLS.1 <= SIZE.1);
        }
    }

    #[test]
    fn images_lie_on_the_sky_or_are_refused() {
        for number in [0, ACROSS - 1, ACROSS * ROWS - 1] {
            let frame = Frame::draw(4, number);
            let position = frame.grids[0].position;
            assert!((-10.0..70.0).contains(&position.dec), "{position:?}");
            assert!((120.0..300.0).contains(&position.ra), "{position:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sky");
        let options = SimulateOptions { first: MOST, count: 1, ..SimulateOptions::default() };
        let error = write_mosaics(&path, &options, |_| ()).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("1260000"), "{error}");
        assert!(!path.exists());
    }
}
