//! A row of the catalog, and rows gathered into columns.
//!
//! Invariant: columns are filled in the order of [`super::schema::columns`], with
//! one value a row in each (a test holds the two against one another).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, FixedSizeListArray, Float16Array, Float32Array,
    Float32Builder, Float64Builder, NullBufferBuilder, RecordBatch, StringBuilder,
};
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use half::f16;

use super::schema::ELEMENT;

use crate::cutout::{Rejection, SkyPosition};
use crate::limits;
use crate::run::RunError;
use crate::tree::{FeatureColumn, Prediction, Scheme, Tree, Value};

/// The `status` of a row that has a prediction.
pub(crate) const OK: &str = "ok";

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
    /// What a person should know of a row that has a prediction.
    pub note: Option<String>,
    /// The prediction, or why there is none.
    pub outcome: Result<Prediction, Rejection>,
}

/// Rows on their way to becoming a batch.
pub(super) struct RowBuffer {
    /// Names of the classes, by their places, and what leads to them.
    classes: Vec<String>,
    tree: Tree,
    rows: usize,
    id: StringBuilder,
    source: StringBuilder,
    ra: Float64Builder,
    dec: Float64Builder,
    label: StringBuilder,
    confidence: Float32Builder,
    /// The scheme's columns, in order.
    own: Vec<Own>,
    status: StringBuilder,
    error: StringBuilder,
}

/// A column of the scheme's.
enum Own {
    /// The probability of the answer at a place.
    Probability(usize, Float32Builder),
    /// The share of the answer at a place.
    Fraction(usize, Float32Builder),
    /// The probability that the question at a place is asked.
    Asked(usize, Float32Builder),
    /// The concentration of the answer at a place.
    Concentration(usize, Float32Builder),
    /// Whether that of the answer at a place is known.
    Ran(usize, BooleanBuilder),
    /// How odd the cutout is.
    Oddness(Float32Builder),
    /// What is kept of its features.
    Feature(Vectors),
}

/// Vectors of one length on their way to becoming a column.
struct Vectors {
    length: usize,
    half: bool,
    values: Vec<f32>,
    present: NullBufferBuilder,
}

impl Vectors {
    fn new(kept: FeatureColumn) -> Self {
        let FeatureColumn { length, half, .. } = kept;
        Self { length, half, values: Vec::new(), present: NullBufferBuilder::new(0) }
    }

    /// The next row's: null where there is none, and where half precision cannot
    /// hold a value.
    fn push(&mut self, vector: &[f32]) {
        let holds = |value: &f32| !self.half || f16::from_f32(*value).is_finite();
        if vector.len() == self.length && vector.iter().all(holds) {
            self.values.extend(vector);
            self.present.append_non_null();
        } else {
            self.values.resize(self.values.len() + self.length, 0.0);
            self.present.append_null();
        }
    }

    fn finish(&mut self) -> ArrayRef {
        let values = std::mem::take(&mut self.values);
        let values: ArrayRef = if self.half {
            Arc::new(Float16Array::from_iter_values(values.into_iter().map(f16::from_f32)))
        } else {
            Arc::new(Float32Array::from(values))
        };
        let field = Field::new(ELEMENT, values.data_type().clone(), false);
        let length = i32::try_from(self.length).expect("networks have fewer features");
        Arc::new(FixedSizeListArray::new(Arc::new(field), length, values, self.present.finish()))
    }
}

impl RowBuffer {
    /// For rows of a catalog of `scheme`.
    pub(super) fn new(scheme: &Scheme) -> Result<Self, RunError> {
        let columns = scheme.columns().map_err(RunError::BadSetting)?;
        let own = columns.into_iter().map(|column| match column.value {
            Value::Probability(answer) => Own::Probability(answer, Float32Builder::new()),
            Value::Fraction(answer) => Own::Fraction(answer, Float32Builder::new()),
            Value::Asked(question) => Own::Asked(question, Float32Builder::new()),
            Value::Concentration(answer) => Own::Concentration(answer, Float32Builder::new()),
            Value::Ran(_, answer) => Own::Ran(answer, BooleanBuilder::new()),
            Value::Oddness => Own::Oddness(Float32Builder::new()),
            Value::Feature(kept) => Own::Feature(Vectors::new(kept)),
        });
        Ok(Self {
            classes: scheme.tree().class_names(),
            tree: scheme.tree().clone(),
            rows: 0,
            id: StringBuilder::new(),
            source: StringBuilder::new(),
            ra: Float64Builder::new(),
            dec: Float64Builder::new(),
            label: StringBuilder::new(),
            confidence: Float32Builder::new(),
            own: own.collect(),
            status: StringBuilder::new(),
            error: StringBuilder::new(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// # Panics
    /// If the row's prediction is of another scheme.
    pub(super) fn push(&mut self, row: &Row) {
        let prediction = row.outcome.as_ref().ok();
        let rejection = row.outcome.as_ref().err();

        self.rows += 1;
        self.id.append_value(&row.id);
        self.source.append_value(&row.source);
        self.ra.append_option(row.position.map(|at| at.ra));
        self.dec.append_option(row.position.map(|at| at.dec));
        self.label.append_value(prediction.map_or("", |p| &self.classes[p.class]));
        self.confidence.append_option(prediction.map(|p| p.confidence));
        let known = |answer: usize| prediction.and_then(|p| p.probabilities[answer]);
        let tree = &self.tree;
        for column in &mut self.own {
            match column {
                Own::Fraction(answer, values) => {
                    values.append_option(prediction.and_then(|p| p.fraction(tree, *answer)));
                }
                Own::Asked(question, values) => {
                    values.append_option(prediction.and_then(|p| p.asked(tree, *question)));
                }
                Own::Concentration(answer, values) => {
                    let of = |p: &Prediction| p.concentrations.get(*answer).copied().flatten();
                    values.append_option(prediction.and_then(of));
                }
                Own::Probability(answer, values) => values.append_option(known(*answer)),
                Own::Ran(answer, values) => values.append_value(known(*answer).is_some()),
                Own::Oddness(values) => values.append_option(prediction.and_then(|p| p.oddness)),
                Own::Feature(values) => values.push(prediction.map_or(&[], |p| &p.feature)),
            }
        }
        self.status.append_value(rejection.map_or(OK, |r| r.reason.code()));
        let note = row.note.as_deref().unwrap_or_default();
        self.error.append_value(shortened(rejection.map_or(note, |r| &r.detail)));
    }

    /// The rows so far as columns of `schema`, followed by the carried ones;
    /// the buffer is empty afterwards.
    pub(super) fn take(
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
        ];
        columns.extend(self.own.iter_mut().map(|column| match column {
            Own::Probability(_, values)
            | Own::Fraction(_, values)
            | Own::Asked(_, values)
            | Own::Concentration(_, values) => Arc::new(values.finish()) as ArrayRef,
            Own::Ran(_, values) => Arc::new(values.finish()) as ArrayRef,
            Own::Oddness(values) => Arc::new(values.finish()) as ArrayRef,
            Own::Feature(values) => values.finish(),
        }));
        columns.push(Arc::new(self.status.finish()));
        columns.push(Arc::new(self.error.finish()));
        columns.extend(carried.iter().flat_map(|batch| batch.columns()).cloned());
        RecordBatch::try_new(Arc::clone(schema), columns)
    }
}

/// Rows as a table with the columns of a catalog of `scheme`, for whoever keeps
/// them in memory.
///
/// # Errors
/// [`RunError::BadSetting`] if the scheme takes a column's name twice.
///
/// # Panics
/// If a prediction is of another scheme.
pub fn table(scheme: &Scheme, rows: &[Row]) -> Result<RecordBatch, RunError> {
    let schema = super::schema::catalog_schema(scheme, None)?;
    let mut buffer = RowBuffer::new(scheme)?;
    rows.iter().for_each(|row| buffer.push(row));
    Ok(buffer.take(&schema, None).expect("columns are filled in the schema's order"))
}

fn shortened(detail: &str) -> &str {
    &detail[..detail.floor_char_boundary(limits::output::ERROR)]
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{DataType, Float32Type};

    use super::*;
    use crate::catalog::schema::{catalog_schema, columns};
    use crate::cutout::Reason;
    use crate::tree::{Answered, Calibration, Naming, hiwl, route};

    /// Values that are all different, so that no two columns can be mixed up.
    fn prediction() -> Prediction {
        // CRS, IBS, SPI, CSS+EO; CSS, EO.
        let probabilities = [0.25, 0.0625, 0.03125, 0.5, 0.375, 0.75].map(Some).into();
        let class = hiwl().class("EO").unwrap();
        Prediction {
            class,
            confidence: 0.125,
            probabilities,
            concentrations: Box::default(),
            oddness: Some(99.5),
            feature: Vec::new(),
        }
    }

    /// The same without the second network.
    fn coarse() -> Prediction {
        let mut prediction = prediction();
        prediction.probabilities[4..].fill(None);
        prediction
    }

    fn row(outcome: Result<Prediction, Rejection>) -> Row {
        let position = outcome.is_ok().then_some(SkyPosition { ra: 10.5, dec: -3.25 });
        Row { index: 0, id: "a".into(), source: "dir/a.jpg".into(), position, note: None, outcome }
    }

    #[test]
    fn each_value_is_in_the_column_of_its_name() {
        let scheme = Scheme::hiwl();
        let mut buffer = RowBuffer::new(&scheme).unwrap();
        buffer.push(&row(Ok(prediction())));
        buffer.push(&row(Ok(coarse())));
        buffer.push(&row(Err(Rejection::new(Reason::Empty, "no bytes"))));
        assert_eq!(buffer.len(), 3);
        let batch = buffer.take(&catalog_schema(&scheme, None).unwrap(), None).unwrap();
        assert_eq!(
            (batch.num_rows(), batch.num_columns(), buffer.len()),
            (3, columns(&scheme).unwrap().len(), 0)
        );

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

    /// One network, of 40 concentrations of which 30 say disk, and 8 of which 2 say bar.
    #[test]
    fn votes_are_in_galaxy_zoo_s_columns() {
        let tree: Tree = serde_json::from_value(serde_json::json!({ "questions": [
            { "name": "smooth-or-featured", "answers": [{"answer": "smooth"}, {"answer": "disk"}] },
            { "name": "bar", "after": ["smooth-or-featured/disk"],
              "answers": [{"answer": "yes"}, {"answer": "no"}] },
        ] }))
        .unwrap();
        let outputs = ["smooth-or-featured/smooth", "smooth-or-featured/disk", "bar/yes", "bar/no"];
        let mut scheme = Scheme::new(tree, [("votes", outputs.to_vec())]).unwrap();
        let names = |scheme: &Scheme| -> Vec<String> {
            scheme.columns().unwrap().into_iter().map(|column| column.name).collect()
        };
        assert_eq!(names(&scheme), ["p_smooth", "p_yes", "p_no", "p_disk"]);
        assert!(!scheme.tells_concentrations());
        for question in ["smooth-or-featured", "bar"] {
            let concentrations = Calibration {
                temperature: 1.0,
                offset: Vec::new(),
                decision: Vec::new(),
                concentrations: true,
            };
            scheme.calibrate(question, concentrations).unwrap();
        }
        assert!(scheme.tells_concentrations());
        let fractions = [
            "smooth-or-featured_smooth_fraction",
            "smooth-or-featured_disk_fraction",
            "bar_proportion_volunteers_asked",
            "bar_yes_fraction",
            "bar_no_fraction",
        ];
        assert_eq!(names(&scheme.clone().with_naming(Naming::Fractions)), fractions);
        let scheme = scheme.with_naming(Naming::Concentrations);

        // Concentrations are 1 + 100 σ(z).
        let logit = |concentration: f32| {
            let share = (concentration - 1.0) / 100.0;
            (share / (1.0 - share)).ln()
        };
        let logits = [10.0, 30.0, 2.0, 6.0].map(logit);
        let answered: Vec<Answered<'_>> = scheme
            .heads()
            .map(|head| Answered { head, logits: &logits[head.outputs.clone()] })
            .collect();
        let said = route(scheme.tree(), &answered);
        let mut buffer = RowBuffer::new(&scheme).unwrap();
        buffer.push(&row(Ok(said)));
        buffer.push(&row(Err(Rejection::new(Reason::Empty, "no bytes"))));
        let batch = buffer.take(&catalog_schema(&scheme, None).unwrap(), None).unwrap();
        for (name, value) in fractions.iter().zip([0.25, 0.75, 0.75, 0.25, 0.75]).chain([
            (&"smooth-or-featured_smooth_concentration", 10.0),
            (&"smooth-or-featured_disk_concentration", 30.0),
            (&"bar_yes_concentration", 2.0),
            (&"bar_no_concentration", 6.0),
        ]) {
            let column = batch.column_by_name(name).unwrap().as_primitive::<Float32Type>();
            assert!((column.value(0) - value).abs() < 1e-4 * value, "{name} {}", column.value(0));
            assert!(column.is_null(1), "{name}");
        }
    }

    #[test]
    fn oddness_has_its_column_where_the_model_tells_it() {
        let scheme = Scheme::hiwl().with_oddness(true);
        let mut buffer = RowBuffer::new(&scheme).unwrap();
        buffer.push(&row(Ok(prediction())));
        buffer.push(&row(Err(Rejection::new(Reason::Blank, "nothing"))));
        let schema = catalog_schema(&scheme, None).unwrap();
        let batch = buffer.take(&schema, None).unwrap();
        let place = schema.index_of("oddness").unwrap();
        let names = [place - 1, place + 1].map(|at| schema.field(at).name().as_str());
        assert_eq!(names, ["stage2", "status"]);
        let oddness = batch.column(place).as_primitive::<Float32Type>();
        assert_eq!(oddness.iter().collect::<Vec<_>>(), [Some(99.5), None]);
        assert!(schema.field(place).metadata()["description"].contains("percentile"));
        assert!(catalog_schema(&Scheme::hiwl(), None).unwrap().index_of("oddness").is_err());
    }

    #[test]
    fn features_are_vectors_of_one_length_and_null_where_there_are_none() {
        for half in [false, true] {
            let kept = FeatureColumn { length: 3, components: false, half };
            let scheme = Scheme::hiwl().with_features(Some(kept));
            let mut buffer = RowBuffer::new(&scheme).unwrap();
            let of = |feature: &[f32]| Ok(Prediction { feature: feature.to_vec(), ..prediction() });
            buffer.push(&row(of(&[0.5, -2.0, 8.0])));
            buffer.push(&row(Err(Rejection::new(Reason::Blank, "nothing"))));
            // Half precision ends at 65504.
            buffer.push(&row(of(&[1.0, 70000.0, 0.25])));
            buffer.push(&row(of(&[1.0, 2.0, 4.0])));
            let schema = catalog_schema(&scheme, None).unwrap();
            let batch = buffer.take(&schema, None).unwrap();
            let column = batch.column_by_name("feature").unwrap().as_fixed_size_list();
            let nulls: Vec<bool> = (0..4).map(|at| column.is_null(at)).collect();
            assert_eq!(nulls, [false, true, half, false]);
            let values = arrow::compute::cast(column.values(), &DataType::Float32).unwrap();
            let values = values.as_primitive::<Float32Type>().values();
            assert_eq!(
                (values[..3].to_vec(), values[9..].to_vec()),
                (vec![0.5, -2.0, 8.0], vec![1.0, 2.0, 4.0])
            );
            // The buffer begins anew.
            buffer.push(&row(of(&[7.0, 0.0, 0.0])));
            let batch = buffer.take(&schema, None).unwrap();
            assert_eq!(batch.column_by_name("feature").unwrap().null_count(), 0);
        }
    }

    #[test]
    fn a_detail_of_any_length_is_cut_between_characters() {
        let long = "é".repeat(limits::output::ERROR);
        assert_eq!(shortened(&long).len(), limits::output::ERROR);
        assert_eq!(shortened(&format!("x{long}")).len(), limits::output::ERROR - 1);
        assert_eq!(shortened("short"), "short");
    }
}
