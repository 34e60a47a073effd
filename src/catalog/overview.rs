//! What a catalog holds, at a glance: counts, how sure, where on the sky; and
//! some of its rows.
//!
//! Memory: a batch, 100 kB of sky, and the rows of a sample. Nothing is
//! verified here; a catalog that is not complete is summed up as far as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type};

use super::{CatalogError, part_reader, rows_at, schema};
use crate::cutout::Reason;
use crate::random::Stream;
use crate::run::{Manifest, RowRange, RunFolder, ranges};
use crate::storage::{StorageError, remote};
use crate::tree::ODDNESS;

/// Order of the pixels by which sky coverage is told: 13.7 arcminutes wide.
const SKY_ORDER: u8 = 8;

/// Bars of the histogram.
const BINS: usize = 10;

/// A catalog, summed up.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The run.
    pub manifest: Manifest,
    /// The run's name in its parts.
    pub run: String,
    /// Rows in the parts that are there.
    pub rows: u64,
    /// Ranges without a part.
    pub missing_ranges: u64,
    /// Bytes of the parts.
    pub bytes: u64,
    /// The labels that rows may have, in the order of the model's classes.
    pub classes: Vec<String>,
    /// Rows by label, by the class's place.
    pub labels: BTreeMap<usize, u64>,
    /// Rejected rows by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// Rows by confidence, in tenths: the last holds 0.9 to 1.
    pub confidence: [u64; BINS],
    /// How odd they are, if the model tells.
    pub oddness: Option<Odd>,
    /// Where the rows are.
    pub sky: Sky,
}

/// Rows by how odd they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// Rows that say it.
    pub rows: u64,
    /// Those above 99.
    pub above_99: u64,
    /// By tenths of a percent; the last holds 100 too.
    tenths: Vec<u64>,
}

impl Odd {
    fn new() -> Self {
        Self { rows: 0, above_99: 0, tenths: vec![0; 1000] }
    }

    fn add(&mut self, percent: f32) {
        self.rows += 1;
        self.above_99 += u64::from(percent > 99.0);
        let tenth = (percent * 10.0) as usize;
        self.tenths[tenth.min(999)] += 1;
    }

    /// The median, to a tenth of a percent; `None` if no row says anything.
    pub fn median(&self) -> Option<f64> {
        let mut below = 0;
        let place = self.tenths.iter().position(|rows| {
            below += rows;
            2 * below >= self.rows
        })?;
        (self.rows > 0).then_some((place as f64 + 0.5) / 10.0)
    }
}

/// Where rows are on the sky.
#[derive(Debug, Clone, PartialEq)]
pub struct Sky {
    /// Rows that have a position.
    pub rows: u64,
    /// Pixels of the sky (13.7 arcminutes wide) with a row, in square degrees.
    pub square_degrees: f64,
    /// Least and greatest right ascension, in degrees.
    pub ra: Option<(f64, f64)>,
    /// Least and greatest declination, in degrees.
    pub dec: Option<(f64, f64)>,
}

/// Which rows to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// The first ones.
    First(u64),
    /// Some, by a seed: the same seed gives the same rows.
    Random {
        /// How many.
        rows: u64,
        /// The seed.
        seed: u64,
    },
}

/// Sums up the catalog in a run folder.
///
/// # Errors
/// If there is no run, or a part cannot be read.
pub fn overview(dir: &Path) -> Result<Overview, CatalogError> {
    let run = RunFolder::open(dir)?;
    let mut found = Overview {
        manifest: run.manifest().clone(),
        run: run.digest().to_owned(),
        rows: 0,
        missing_ranges: 0,
        bytes: 0,
        classes: run.manifest().settings.model.scheme().tree().class_names(),
        labels: BTreeMap::new(),
        rejected: BTreeMap::new(),
        confidence: [0; BINS],
        oddness: None,
        sky: Sky { rows: 0, square_degrees: 0.0, ra: None, dec: None },
    };
    let schema = schema::of(&run)?;
    let mut columns = ["ra", "dec", "label", "confidence", "status"]
        .map(|name| schema.index_of(name).expect("the catalog's schema has its own columns"))
        .to_vec();
    if found.manifest.settings.model.oddness {
        found.oddness = Some(Odd::new());
        // Read in the file's order, in which it stands before the status.
        columns.insert(4, schema.index_of(ODDNESS).expect("the model tells it"));
    }
    let mut pixels = vec![false; 12 << (2 * SKY_ORDER)];
    let present = present(&run)?;
    found.missing_ranges = ranges(run.manifest()).len() - present.len() as u64;
    for range in present {
        let path = range.part_path(dir);
        found.bytes += remote::size(&path).map_err(StorageError::io("look at", &path))?;
        for batch in part_reader::open(&path, columns.iter().copied())? {
            found.add(&batch.map_err(StorageError::parquet("read", &path))?, &mut pixels);
        }
    }
    let covered = pixels.iter().filter(|pixel| **pixel).count();
    let whole_sky = 4.0 * 180.0 * 180.0 / std::f64::consts::PI;
    found.sky.square_degrees = whole_sky * covered as f64 / pixels.len() as f64;
    Ok(found)
}

impl Overview {
    /// Adds rows with the columns ra, dec, label, confidence, oddness if the model
    /// tells it, status.
    fn add(&mut self, batch: &RecordBatch, pixels: &mut [bool]) {
        self.rows += batch.num_rows() as u64;
        let text = |index: usize| batch.column(index).as_string::<i32>().iter().flatten();
        let status = if self.oddness.is_some() { 5 } else { 4 };
        for (label, status) in text(2).zip(text(status)) {
            if let Some(class) = self.classes.iter().position(|class| class == label) {
                *self.labels.entry(class).or_default() += 1;
            } else if let Some(reason) = Reason::from_code(status) {
                *self.rejected.entry(reason).or_default() += 1;
            }
        }
        for confidence in batch.column(3).as_primitive::<Float32Type>().iter().flatten() {
            // In their own precision, in which 0.9 is nine tenths.
            let bin = (confidence * BINS as f32) as usize;
            self.confidence[bin.min(BINS - 1)] += 1;
        }
        if let Some(oddness) = &mut self.oddness {
            let told = batch.column(4).as_primitive::<Float32Type>().iter().flatten();
            told.for_each(|percent| oddness.add(percent));
        }
        let degrees = |index: usize| batch.column(index).as_primitive::<Float64Type>().iter();
        for (ra, dec) in degrees(0).zip(degrees(1)) {
            let (Some(ra), Some(dec)) = (ra, dec) else { continue };
            // Anything else is no position.
            if !ra.is_finite() || !(-90.0..=90.0).contains(&dec) {
                continue;
            }
            let widen = |range: Option<(f64, f64)>, value: f64| {
                Some(range.map_or((value, value), |(a, b)| (a.min(value), b.max(value))))
            };
            self.sky.rows += 1;
            self.sky.ra = widen(self.sky.ra, ra);
            self.sky.dec = widen(self.sky.dec, dec);
            let ra = ra.rem_euclid(360.0).to_radians();
            pixels[cdshealpix::nested::hash(SKY_ORDER, ra, dec.to_radians()) as usize] = true;
        }
    }
}

/// Some rows with all their columns, in the catalog's order.
///
/// # Errors
/// If there is no run, or a part cannot be read.
pub fn sample(dir: &Path, sample: Sample) -> Result<RecordBatch, CatalogError> {
    let run = RunFolder::open(dir)?;
    rows_at(&run, &places(&run, sample)?, None)
}

/// The places of a sample among the rows of the run.
///
/// # Errors
/// If the parts cannot be listed.
pub(crate) fn places(run: &RunFolder, sample: Sample) -> Result<Vec<u64>, CatalogError> {
    let present = present(run)?;
    let total = present.iter().map(|range| range.count).sum();
    let wanted: BTreeSet<u64> = match sample {
        Sample::First(rows) => (0..rows.min(total)).collect(),
        Sample::Random { rows, seed } => distinct(rows.min(total), total, seed),
    };
    let mut places = Vec::with_capacity(wanted.len());
    let (mut ranges, mut before) = (present.iter().peekable(), 0);
    for row in wanted {
        while let Some(range) = ranges.next_if(|range| row >= before + range.count) {
            before += range.count;
        }
        let Some(range) = ranges.peek() else { break };
        places.push(range.first + (row - before));
    }
    Ok(places)
}

/// The ranges that have a part.
pub(crate) fn present(run: &RunFolder) -> Result<Vec<RowRange>, CatalogError> {
    let missing = run.missing_ranges(None)?;
    let missing: BTreeSet<u64> = missing.iter().map(|range| range.index).collect();
    Ok(run.ranges().filter(|range| !missing.contains(&range.index)).collect())
}

/// `count` of the numbers below `total`, each as likely as another (Floyd's
/// algorithm).
fn distinct(count: u64, total: u64, seed: u64) -> BTreeSet<u64> {
    let mut stream = Stream::new("catalog sample", seed, &[]);
    let mut chosen = BTreeSet::new();
    for last in total - count..total {
        let any = stream.below(usize::try_from(last + 1).unwrap_or(usize::MAX)) as u64;
        if !chosen.insert(any) {
            chosen.insert(last);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_oddness_is_told_to_a_tenth() {
        let mut odd = Odd::new();
        assert_eq!(odd.median(), None);
        [12.04, 50.31, 50.33, 99.7, 100.0].iter().for_each(|percent| odd.add(*percent));
        assert_eq!((odd.rows, odd.above_99), (5, 2));
        assert!((odd.median().unwrap() - 50.35).abs() < 1e-9);
    }

    #[test]
    fn a_sample_is_of_distinct_rows_each_as_likely() {
        let mut times = [0u32; 20];
        for seed in 0..4000 {
            let chosen = distinct(5, 20, seed);
            assert_eq!((chosen.len(), chosen.clone()), (5, distinct(5, 20, seed)));
            chosen.iter().for_each(|row| times[*row as usize] += 1);
        }
        // 1000 expected, with a standard deviation of 27.
        assert!(times.iter().all(|n| (865..1135).contains(n)), "{times:?}");
        assert_eq!(distinct(20, 20, 1), (0..20).collect());
        assert_eq!(distinct(0, 0, 1), BTreeSet::new());
    }
}
