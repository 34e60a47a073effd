//! The catalog's columns: those that every catalog has, from
//! `schemas/catalog.toml`, and those that follow from the model's tree.
//!
//! What a column means is said there once; this turns it into an Arrow schema
//! whose fields carry unit, UCD and description. Which values go into them is
//! left to `row`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::Deserialize;

use crate::run::{RunError, RunFolder, carried};
use crate::tree::{self, FeatureColumn, Scheme, Value, label_text};

/// A column of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name in the files.
    pub name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether a row may have no value. Strings always have one.
    #[serde(default)]
    pub nullable: bool,
    /// Unit (VOUnits); "" for none.
    pub unit: String,
    /// Unified Content Descriptor (UCD1+).
    pub ucd: String,
    /// What it says, in a sentence.
    pub description: String,
}

/// The types that every reader of catalogs understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// UTF-8 text, never null.
    String,
    /// 64-bit floating point.
    Float64,
    /// 32-bit floating point.
    Float32,
    /// True or false.
    Bool,
    /// So many numbers of 32 bits.
    #[serde(skip)]
    Vector(i32),
    /// So many numbers of 16 bits.
    #[serde(skip)]
    HalfVector(i32),
}

impl ColumnType {
    fn arrow(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Float64 => DataType::Float64,
            Self::Float32 => DataType::Float32,
            Self::Bool => DataType::Boolean,
            Self::Vector(length) => vector(DataType::Float32, length),
            Self::HalfVector(length) => vector(DataType::Float16, length),
        }
    }
}

/// Vectors of one length, whose values are all there.
fn vector(of: DataType, length: i32) -> DataType {
    DataType::FixedSizeList(Arc::new(Field::new(ELEMENT, of, false)), length)
}

/// What Parquet calls the values of a list.
pub(crate) const ELEMENT: &str = "element";

/// The columns that every catalog has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    /// Those before the scheme's.
    first: Vec<Column>,
    /// Those after them.
    last: Vec<Column>,
}

static COLUMNS: LazyLock<Columns> = LazyLock::new(|| {
    toml::from_str(include_str!("../../schemas/catalog.toml"))
        .expect("schemas/catalog.toml is compiled in, and a test parses it")
});

/// What stands for the classes in a description.
const CLASSES: &str = "{classes}";

/// The columns of a catalog of `scheme`, in order: the common ones, with the
/// scheme's between them.
///
/// # Errors
/// [`RunError::BadSetting`] if the scheme takes a name twice.
pub fn columns(scheme: &Scheme) -> Result<Vec<Column>, RunError> {
    let own = scheme.columns().map_err(RunError::BadSetting)?;
    let mut columns = COLUMNS.first.clone();
    columns.extend(own.into_iter().map(|column| {
        let (kind, nullable, ucd) = match column.value {
            Value::Probability(_) => (ColumnType::Float32, true, "stat.probability;src.morph.type"),
            Value::Fraction(_) => (ColumnType::Float32, true, "stat.probability;src.morph.type"),
            Value::Asked(_) => (ColumnType::Float32, true, "stat.probability"),
            Value::Concentration(_) => (ColumnType::Float32, true, "stat.param;src.morph.type"),
            Value::Ran(..) => (ColumnType::Bool, false, "meta.code"),
            Value::Oddness => (ColumnType::Float32, true, "stat.rank"),
            Value::Feature(FeatureColumn { length, half, .. }) => {
                let length = i32::try_from(length).unwrap_or(i32::MAX);
                let kind = if half { ColumnType::HalfVector } else { ColumnType::Vector };
                (kind(length), true, "stat.value")
            }
        };
        let tree::Column { name, description, .. } = column;
        Column { name, kind, nullable, unit: String::new(), ucd: ucd.to_owned(), description }
    }));
    columns.extend(COLUMNS.last.iter().cloned());
    for (place, column) in columns.iter().enumerate() {
        if columns[..place].iter().any(|other| carried::same_name(&other.name, &column.name)) {
            return Err(RunError::BadSetting(format!(
                "the model's tree makes a second column `{}`: rename its network or answer",
                column.name
            )));
        }
    }
    let classes = label_text(scheme);
    for column in &mut columns {
        column.description = column.description.replace(CLASSES, &classes);
    }
    Ok(columns)
}

/// A catalog's own columns, those of `scheme` among them. Field metadata:
/// `unit` and `ucd` where there is one, `description`.
///
/// # Errors
/// As [`columns`].
pub fn own(scheme: &Scheme) -> Result<Schema, RunError> {
    Ok(Schema::new(columns(scheme)?.iter().map(field).collect::<Vec<_>>()))
}

/// The schema of a part: the catalog's columns, then those carried from the
/// user's tables.
///
/// # Errors
/// [`RunError::Carried`] if a carried column has the name of another column,
/// and as [`columns`].
pub fn catalog_schema(scheme: &Scheme, carried: Option<&Schema>) -> Result<SchemaRef, RunError> {
    carried::joined(&own(scheme)?, carried)
}

/// The schema of a run's parts.
///
/// # Errors
/// As [`catalog_schema`].
pub fn of(run: &RunFolder) -> Result<SchemaRef, RunError> {
    let scheme = run.manifest().settings.model.scheme();
    catalog_schema(&scheme, run.inputs().carried().map(AsRef::as_ref))
}

fn field(column: &Column) -> Field {
    let texts =
        [("unit", &column.unit), ("ucd", &column.ucd), ("description", &column.description)];
    let metadata: HashMap<String, String> = texts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| (key.to_owned(), text.clone()))
        .collect();
    Field::new(&column.name, column.kind.arrow(), column.nullable).with_metadata(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HIWL's catalog as it was when columns were written down one by one:
    /// names, types, nulls, units, UCDs and descriptions.
    #[test]
    fn hiwls_columns_are_those_of_ever() {
        let golden: Vec<Column> = toml::from_str::<Golden>(GOLDEN).unwrap().column;
        assert_eq!(columns(&Scheme::hiwl()).unwrap(), golden);
        assert_eq!(golden.len(), 15);
        let schema = catalog_schema(&Scheme::hiwl(), None).unwrap();
        assert_eq!(schema.field(2).metadata()["unit"], "deg");
        assert_eq!(schema.field(2).data_type(), &DataType::Float64);
    }

    #[derive(Deserialize)]
    struct Golden {
        column: Vec<Column>,
    }

    const GOLDEN: &str = include_str!("../../fixtures/golden/hiwl_columns.toml");

    #[test]
    fn another_tree_has_its_own_columns_between_the_common_ones() {
        let outputs = ["smooth", "edge-on", "spiral"].map(|class| vec![class.to_owned()]);
        let scheme = Scheme::combined(None, &[("single", &outputs)]).unwrap();
        let columns = columns(&scheme).unwrap();
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names.join(", "),
            "id, source, ra, dec, label, confidence, p_smooth, p_edge_on, p_spiral, status, error"
        );
        assert!(columns[4].description.contains("smooth, edge-on, spiral;"));
        assert_eq!(columns[6].description, "Probability of smooth");
        let two = [vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]];
        let fine = [vec!["a".to_owned()], vec!["b".to_owned()]];
        let taken = Scheme::combined(None, &[("one", &two), ("status", &fine)]).unwrap();
        let error = catalog_schema(&taken, None).unwrap_err().to_string();
        assert!(error.contains("`status`"), "{error}");
    }

    #[test]
    fn a_carried_column_may_not_take_a_name_twice() {
        let hiwl = Scheme::hiwl();
        let carried = |names: &[&str]| {
            let fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true));
            catalog_schema(&hiwl, Some(&Schema::new(fields.collect::<Vec<_>>())))
        };
        let schema = carried(&["redshift", "kind"]).unwrap();
        assert_eq!(schema.fields().len(), 15 + 2);
        for (names, named) in [(vec!["z", "RA"], "RA"), (vec!["z", "Z"], "Z")] {
            let error = carried(&names).unwrap_err().to_string();
            assert!(error.contains(&format!("`{named}`")), "{error}");
        }
    }
}
