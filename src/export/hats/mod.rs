//! A HATS catalog: a folder of Parquet files partitioned by HEALPix, as LSDB
//! and the survey archives read it (IVOA note "HATS", version 1.0).
//!
//! ```text
//! OUT/hats.properties, OUT/properties      what the catalog is
//! OUT/partition_info.csv                   its pixels: Norder,Npix
//! OUT/dataset/_common_metadata             columns, VOTable description
//! OUT/dataset/_metadata                    the footers of all partitions
//! OUT/dataset/Norder=K/Dir=D/Npix=N.parquet
//! ```
//!
//! The catalog is read twice. The first pass counts rows a pixel of order
//! `MAX_ORDER`; from the counts follow the partitions ([`partition`]): the
//! largest pixels that have at most `rows_per_pixel` rows. The second pass
//! sorts rows along the sky in runs and spills these to disk, cut by partition
//! ([`spill`]); then each partition is gathered, sorted and written.
//!
//! Memory: 50 MB of counts, one run (131,072 rows, some 30 MB), then one
//! partition (a million rows of 220 bytes and the carried columns, if it is
//! full). Disk: the rows once more, uncompressed, until the end. A pixel of
//! order 10 is 3.4 arcminutes wide; one with more rows than asked for is one
//! partition all the same.

mod dataset;
mod partition;
mod properties;
mod spill;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};

use super::rows::Measured;
use super::selection::Selected;
use super::{ExportError, ExportOptions, ExportReport, OnRows, RowSource};
use crate::storage::output::NewFolder;
use dataset::Dataset;
use partition::Partitions;
use spill::Spill;

/// Most rows a partition, where nothing else is asked for: that of the
/// catalogs that are there.
pub(super) const ROWS_PER_PIXEL: u64 = 1_000_000;

/// The first column.
const INDEX: &str = "_healpix_29";

/// Its order.
const FINEST: u8 = 29;

pub(super) fn write(
    source: &RowSource<'_>,
    options: &ExportOptions,
    progress: OnRows<'_>,
) -> Result<ExportReport, ExportError> {
    let schema = with_healpix(source.selection.schema())?;
    let mut counts = partition::Counts::new();
    let mut measured = Measured::new(schema.fields().len());
    let mut rows = 0;
    for selected in source.rows() {
        let selected = selected?;
        rows += selected.batch.num_rows() as u64;
        let placed = place(&schema, &selected)?;
        counts.add(healpix(&placed));
        measured.add(&placed);
        progress(ExportReport::default().add(&selected))?;
    }
    if measured.rows == 0 {
        return Err(ExportError::NoPositions { rows });
    }
    let partitions = Partitions::new(&counts, options.rows_per_pixel);
    drop(counts);

    let folder = NewFolder::create(&options.output)?;
    let mut report = ExportReport::default();
    let mut spill = Spill::create(&folder, &schema, &partitions)?;
    for selected in source.rows() {
        let selected = selected?;
        let placed = place(&schema, &selected)?;
        progress(report.add(&selected))?;
        report.rows -= (selected.batch.num_rows() - placed.num_rows()) as u64;
        report.unplaced += (selected.batch.num_rows() - placed.num_rows()) as u64;
        spill.push(placed)?;
    }
    let spilled = spill.finish()?;

    let mut dataset = Dataset::new(&folder, &schema, &measured.characters, source);
    for (index, pixel) in partitions.iter().enumerate() {
        dataset.write(pixel, &spilled.partition(index)?)?;
    }
    drop(spilled);
    report.partitions = partitions.len() as u64;
    report.bytes = dataset.finish()?;
    properties::write(&folder, source, options, &partitions, &report)?;
    folder.commit()?;
    Ok(report)
}

/// The schema with `_healpix_29` before all others.
fn with_healpix(schema: &SchemaRef) -> Result<SchemaRef, ExportError> {
    if schema.fields().iter().any(|field| field.name() == INDEX) {
        return Err(ExportError::TwoColumns { name: INDEX.to_owned() });
    }
    let texts = [
        ("ucd", "pos.healpix"),
        ("description", "HEALPix index of the position: order 29, nested"),
    ];
    let texts = texts.map(|(key, text)| (key.to_owned(), text.to_owned()));
    let healpix = Field::new(INDEX, DataType::Int64, false).with_metadata(texts);
    let fields = schema.fields().iter().cloned();
    let fields: Vec<_> = std::iter::once(Arc::new(healpix)).chain(fields).collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// The rows that have a position on the sphere, with their index.
fn place(schema: &SchemaRef, selected: &Selected) -> Result<RecordBatch, ExportError> {
    let wrap = || ExportError::arrow("finding positions");
    let column = |name: &str| {
        // The selection gives both columns, under these names.
        let column = selected.batch.column_by_name(name).map(AsArray::as_primitive::<Float64Type>);
        column.ok_or_else(|| ExportError::Unfit(format!("there is no column `{name}`")))
    };
    let (ra, dec) = (column("ra")?, column("dec")?);
    let index = |(ra, dec): (Option<f64>, Option<f64>)| {
        let (ra, dec) = (ra?, dec?);
        // Anything else is no position, and the library panics at it.
        let on_sphere = ra.is_finite() && (-90.0..=90.0).contains(&dec);
        on_sphere.then(|| {
            let ra = ra.rem_euclid(360.0).to_radians();
            // Below 12 · 4²⁹ < 2⁶³.
            cdshealpix::nested::hash(FINEST, ra, dec.to_radians()) as i64
        })
    };
    let healpix: Int64Array = ra.iter().zip(dec).map(index).collect();
    let nulls = healpix.null_count();
    let all = std::iter::once(Arc::new(healpix.clone()) as ArrayRef);
    let columns = all.chain(selected.batch.columns().iter().cloned()).collect();
    if nulls == 0 {
        return RecordBatch::try_new(Arc::clone(schema), columns).map_err(wrap());
    }
    let nullable: Vec<_> =
        schema.fields().iter().map(|f| Field::clone(f).with_nullable(true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(nullable)), columns).map_err(wrap())?;
    let placed = BooleanArray::from_iter(healpix.iter().map(|index| Some(index.is_some())));
    let batch = filter_record_batch(&batch, &placed).map_err(wrap())?;
    RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec()).map_err(wrap())
}

/// The first column of a placed batch.
fn healpix(batch: &RecordBatch) -> &[i64] {
    batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().values()
}
