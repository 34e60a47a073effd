//! One look at every row of a catalog: counts, confidences, where on the sky, and
//! which rows are worth a picture.
//!
//! Only the columns that are counted are read; of the rows that are shown the others
//! are fetched afterwards. Memory: a batch, counts, and the rows that are shown.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::SystemTime;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type};

use super::labelled::Labelled;
use crate::catalog::row::OK;
use crate::catalog::{part_reader, present, schema};
use crate::draw::chart::sky::{self, Dot};
use crate::export::Best;
use crate::page::PageError;
use crate::random::scattered;
use crate::run::RunFolder;
use crate::storage::{StorageError, place, remote};
use crate::tree::ODDNESS;

/// Bins of the histograms of confidence and oddness.
pub(super) const BINS: usize = 20;

/// Bins of all confidences together, for their median.
pub(super) const FINE: usize = 10_000;

/// Positions that are drawn as dots, at most: any of them.
pub(super) const DOTS: usize = 3000;

/// The seed of whatever is drawn at random.
pub(super) const SEED: u64 = 0;

/// What is known of the rows with one label.
pub(super) struct OfClass {
    pub(super) rows: u64,
    pub(super) confidence: [u64; BINS],
    pub(super) surest: Best<Reverse<u32>>,
    pub(super) least: Best<u32>,
    pub(super) oddest: Best<Reverse<u32>>,
    pub(super) random: Best<u64>,
}

impl OfClass {
    fn new(shown: usize) -> Self {
        Self {
            rows: 0,
            confidence: [0; BINS],
            surest: Best::new(shown),
            least: Best::new(shown),
            oddest: Best::new(shown),
            random: Best::new(shown),
        }
    }
}

/// What is known of a catalog.
pub(super) struct Seen {
    pub(super) rows: u64,
    pub(super) labelled: u64,
    pub(super) parts: u64,
    pub(super) bytes: u64,
    pub(super) missing_parts: u64,
    pub(super) written: Option<(SystemTime, SystemTime)>,
    /// Rows of the part that was written first.
    pub(super) first_part: u64,
    pub(super) classes: Vec<OfClass>,
    /// Confidences of all rows, in [`FINE`] bins.
    pub(super) confidences: Vec<u64>,
    /// Rows with a status that is not `ok`, and the place of the first of them.
    pub(super) rejected: BTreeMap<String, (u64, u64)>,
    /// Rows by how odd they are, and of how many it is known.
    pub(super) oddness: Option<([u64; BINS], u64)>,
    /// Rows above an oddness of 99.
    pub(super) odd: u64,
    pub(super) placed: u64,
    pub(super) cells: Vec<u32>,
    dots: Best<(u64, DotKey)>,
    pub(super) known: Option<Labelled>,
}

/// A dot that is compared by nothing: its place is before it.
#[derive(Debug, Clone, Copy)]
struct DotKey(Dot);

impl PartialEq for DotKey {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for DotKey {}
impl PartialOrd for DotKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for DotKey {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Seen {
    /// The positions that are drawn as dots.
    pub(super) fn dots(&self) -> Vec<Dot> {
        self.dots.entries().map(|((_, dot), _)| dot.0).collect()
    }

    /// Of a run's parts; `shown` rows of each kind and class have pictures.
    pub(super) fn of(
        run: &RunFolder,
        shown: usize,
        known: Option<Labelled>,
    ) -> Result<Self, PageError> {
        let model = &run.manifest().settings.model;
        let names = model.scheme().tree().class_names();
        let schema = schema::of(run)?;
        let mut seen = Self {
            rows: 0,
            labelled: 0,
            parts: 0,
            bytes: 0,
            missing_parts: 0,
            written: None,
            first_part: 0,
            classes: names.iter().map(|_| OfClass::new(shown)).collect(),
            confidences: vec![0; FINE],
            rejected: BTreeMap::new(),
            oddness: model.oddness.then_some(([0; BINS], 0)),
            odd: 0,
            placed: 0,
            cells: vec![0; sky::CELLS],
            dots: Best::new(DOTS),
            known,
        };
        let mut columns = vec!["ra", "dec", "label", "confidence", "status"];
        columns.extend(model.oddness.then_some(ODDNESS));
        // Ids are most of the bytes of a catalog.
        columns.extend(seen.known.is_some().then_some("id"));
        let mut columns: Vec<usize> =
            columns.iter().filter_map(|name| schema.index_of(name).ok()).collect();
        columns.sort_unstable();
        let present = present(run)?;
        seen.parts = present.len() as u64;
        seen.missing_parts = run.ranges().count() as u64 - seen.parts;
        for range in present {
            let path = range.part_path(run.dir());
            seen.bytes += remote::size(&path).map_err(StorageError::io("look at", &path))?;
            if let Ok(at) = std::fs::metadata(&path).and_then(|found| found.modified()) {
                let (first, last) = seen.written.unwrap_or((at, at));
                if at <= first {
                    seen.first_part = range.count;
                }
                seen.written = Some((first.min(at), last.max(at)));
            }
            let mut before = range.first;
            for batch in part_reader::open(&path, columns.iter().copied())? {
                let batch = batch.map_err(StorageError::parquet("read", &path))?;
                seen.add(&batch, before, &names);
                before += batch.num_rows() as u64;
            }
        }
        Ok(seen)
    }

    fn add(&mut self, batch: &RecordBatch, before: u64, names: &[String]) {
        let text = |name| batch.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
        let single =
            |name| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Float32Type>());
        let degrees =
            |name| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Float64Type>());
        let (Some(labels), Some(status)) = (text("label"), text("status")) else { return };
        let (confidences, oddness) = (single("confidence"), single(ODDNESS));
        let (ra, dec, ids) = (degrees("ra"), degrees("dec"), text("id"));
        for row in 0..batch.num_rows() {
            let place = before + row as u64;
            self.rows += 1;
            let class = names.iter().position(|name| name == labels.value(row));
            let class = class.filter(|_| status.value(row) == OK);
            let single = |column: Option<&arrow::array::Float32Array>| {
                let column = column.filter(|column| column.is_valid(row))?;
                Some(column.value(row)).filter(|value| value.is_finite())
            };
            let confidence = single(confidences);
            let odd = single(oddness);
            match class {
                Some(class) => self.labelled(class, place, confidence, odd),
                None => {
                    let status = status.value(row);
                    match self.rejected.get_mut(status) {
                        Some((rows, _)) => *rows += 1,
                        None => drop(self.rejected.insert(status.to_owned(), (1, place))),
                    }
                }
            }
            if let (Some(known), Some(ids)) = (&mut self.known, ids) {
                known.add(ids.value(row), place, class.zip(confidence));
            }
            let degrees = |column: Option<&arrow::array::Float64Array>| {
                column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
            };
            if let (Some(ra), Some(dec)) = (degrees(ra), degrees(dec))
                && ra.is_finite()
                && (-90.0..=90.0).contains(&dec)
            {
                self.placed += 1;
                let ra = ra.rem_euclid(360.0);
                let cell = cdshealpix::nested::hash(sky::ORDER, ra.to_radians(), dec.to_radians());
                if let Some(rows) = self.cells.get_mut(cell as usize) {
                    *rows = rows.saturating_add(1);
                }
                let colour = class.unwrap_or(names.len());
                self.dots.add((scattered(SEED, place), DotKey(Dot { ra, dec, colour })), place);
            }
        }
    }

    fn labelled(&mut self, class: usize, place: u64, confidence: Option<f32>, odd: Option<f32>) {
        self.labelled += 1;
        let of = &mut self.classes[class];
        of.rows += 1;
        of.random.add(scattered(SEED, place), place);
        if let Some(confidence) = confidence {
            // Bits of numbers that are not negative rise as they do.
            let bits = confidence.max(0.0).to_bits();
            of.surest.add(Reverse(bits), place);
            of.least.add(bits, place);
            let bin = (confidence * BINS as f32) as usize;
            of.confidence[bin.min(BINS - 1)] += 1;
            let fine = (confidence * FINE as f32) as usize;
            self.confidences[fine.min(FINE - 1)] += 1;
        }
        if let (Some(odd), Some((bins, told))) = (odd, &mut self.oddness) {
            of.oddest.add(Reverse(odd.max(0.0).to_bits()), place);
            *told += 1;
            self.odd += u64::from(odd > 99.0);
            let bin = (odd / 100.0 * BINS as f32) as usize;
            bins[bin.min(BINS - 1)] += 1;
        }
    }
}

/// Whether a folder holds a run of one kind or the other, by its `run.json`.
pub(super) fn is_training(dir: &std::path::Path) -> Result<bool, PageError> {
    #[derive(serde::Deserialize)]
    struct Kind {
        recipe: Option<serde::de::IgnoredAny>,
    }
    let path = dir.join("run.json");
    if !place::exists(&path)? {
        return Ok(false);
    }
    let bytes = place::read(&path).map_err(StorageError::io("read", &path))?;
    // One that is no JSON is told of by whoever opens the run.
    Ok(serde_json::from_slice::<Kind>(&bytes).is_ok_and(|kind| kind.recipe.is_some()))
}
