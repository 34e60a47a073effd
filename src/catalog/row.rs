//! A row of the catalog, and rows gathered into columns.
//!
//! Invariant: columns are filled in the order of `schemas/catalog.toml`, with
//! one value a row in each (a test holds the two against one another).

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Float64Builder, RecordBatch, StringBuilder,
};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use crate::cutout::{Rejection, SkyPosition};
use crate::model::hierarchy::Prediction;

/// The `status` of a row that has a prediction.
pub(crate) const OK: &str = "ok";

/// Bytes of `error` that are kept: a damaged file may have put anything into
/// the detail of its rejection.
const LONGEST_ERROR: usize = 1024;

/// What became of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its place in the listing, from 0.
    pub index: u64,
    /// The listing's `id`.
    pub id: String,
    /// The listing's `source`.
    pub source: String,
    /// Position from the listing or from the cutout's WCS.
    pub position: Option<SkyPosition>,
    /// The prediction, or why there is none.
    pub outcome: Result<Prediction, Rejection>,
}

/// Rows on their way to becoming a batch.
#[derive(Default)]
pub(crate) struct RowBuffer {
    rows: usize,
    id: StringBuilder,
    source: StringBuilder,
    ra: Float64Builder,
    dec: Float64Builder,
    label: StringBuilder,
    confidence: Float32Builder,
    p_crs: Float32Builder,
    p_ibs: Float32Builder,
    p_css: Float32Builder,
    p_eo: Float32Builder,
    p_spi: Float32Builder,
    p_css_eo: Float32Builder,
    stage2: BooleanBuilder,
    status: StringBuilder,
    error: StringBuilder,
}

impl RowBuffer {
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn push(&mut self, row: &Row) {
        let prediction = row.outcome.as_ref().ok();
        let stage2 = prediction.and_then(|p| p.p_css_and_eo);
        let rejection = row.outcome.as_ref().err();

        self.rows += 1;
        self.id.append_value(&row.id);
        self.source.append_value(&row.source);
        self.ra.append_option(row.position.map(|at| at.ra));
        self.dec.append_option(row.position.map(|at| at.dec));
        self.label.append_value(prediction.map_or("", |p| p.label.label()));
        self.confidence.append_option(prediction.map(|p| p.confidence));
        self.p_crs.append_option(prediction.map(|p| p.p_crs));
        self.p_ibs.append_option(prediction.map(|p| p.p_ibs));
        self.p_css.append_option(stage2.map(|(css, _)| css));
        self.p_eo.append_option(stage2.map(|(_, eo)| eo));
        self.p_spi.append_option(prediction.map(|p| p.p_spi));
        self.p_css_eo.append_option(prediction.map(|p| p.p_css_eo));
        self.stage2.append_value(stage2.is_some());
        self.status.append_value(rejection.map_or(OK, |r| r.reason.code()));
        self.error.append_value(rejection.map_or("", |r| shortened(&r.detail)));
    }

    /// The rows so far as columns of `schema`, followed by the carried ones;
    /// the buffer is empty afterwards.
    pub(crate) fn take(
        &mut self,
        schema: &SchemaRef,
        carried: Option<&RecordBatch>,
    ) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.ra.finish()),
            Arc::new(self.dec.finish()),
            Arc::new(self.label.finish()),
            Arc::new(self.confidence.finish()),
            Arc::new(self.p_crs.finish()),
            Arc::new(self.p_ibs.finish()),
            Arc::new(self.p_css.finish()),
            Arc::new(self.p_eo.finish()),
            Arc::new(self.p_spi.finish()),
            Arc::new(self.p_css_eo.finish()),
            Arc::new(self.stage2.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.error.finish()),
        ];
        columns.extend(carried.iter().flat_map(|batch| batch.columns()).cloned());
        RecordBatch::try_new(Arc::clone(schema), columns)
    }
}

fn shortened(detail: &str) -> &str {
    &detail[..detail.floor_char_boundary(LONGEST_ERROR)]
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Float32Type;

    use super::*;
    use crate::catalog::schema::{catalog_schema, columns};
    use crate::cutout::Reason;
    use crate::model::hierarchy::Class;

    /// Values that are all different, so that no two columns can be mixed up.
    fn prediction() -> Prediction {
        Prediction {
            label: Class::Eo,
            confidence: 0.125,
            p_crs: 0.25,
            p_ibs: 0.0625,
            p_spi: 0.03125,
            p_css_eo: 0.5,
            p_css_and_eo: Some((0.375, 0.75)),
        }
    }

    fn row(outcome: Result<Prediction, Rejection>) -> Row {
        let position = outcome.is_ok().then_some(SkyPosition { ra: 10.5, dec: -3.25 });
        Row { index: 0, id: "a".into(), source: "dir/a.jpg".into(), position, outcome }
    }

    #[test]
    fn each_value_is_in_the_column_of_its_name() {
        let mut buffer = RowBuffer::default();
        buffer.push(&row(Ok(prediction())));
        buffer.push(&row(Ok(Prediction { p_css_and_eo: None, ..prediction() })));
        buffer.push(&row(Err(Rejection::new(Reason::Empty, "no bytes"))));
        assert_eq!(buffer.len(), 3);
        let batch = buffer.take(&catalog_schema(None).unwrap(), None).unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns(), buffer.len()), (3, columns().len(), 0));

        let column = |name: &str| batch.column_by_name(name).unwrap();
        let text = |name: &str| {
            column(name)
                .as_string::<i32>()
                .iter()
                .map(|v| v.unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(text("id"), ["a"; 3]);
        assert_eq!(text("source"), ["dir/a.jpg"; 3]);
        assert_eq!(text("label"), ["EO", "EO", ""]);
        assert_eq!(text("status"), ["ok", "ok", "empty"]);
        assert_eq!(text("error"), ["", "", "no bytes"]);
        for (name, value) in [
            ("confidence", 0.125),
            ("p_crs", 0.25),
            ("p_ibs", 0.0625),
            ("p_css", 0.375),
            ("p_eo", 0.75),
            ("p_spi", 0.03125),
            ("p_css_eo", 0.5),
        ] {
            assert_eq!(column(name).as_primitive::<Float32Type>().value(0), value, "{name}");
            assert!(column(name).is_null(2), "{name}");
        }
        let stage2: Vec<bool> = column("stage2").as_boolean().values().iter().collect();
        assert_eq!(stage2, [true, false, false]);
        assert!(column("p_css").is_null(1) && column("p_eo").is_null(1));
        assert!(column("p_css_eo").is_valid(1));
        assert_eq!((column("ra").null_count(), column("dec").null_count()), (1, 1));
    }

    #[test]
    fn a_detail_of_any_length_is_cut_between_characters() {
        let long = "é".repeat(LONGEST_ERROR);
        assert_eq!(shortened(&long).len(), LONGEST_ERROR);
        assert_eq!(shortened(&format!("x{long}")).len(), LONGEST_ERROR - 1);
        assert_eq!(shortened("short"), "short");
    }
}
