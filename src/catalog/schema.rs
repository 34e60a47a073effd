//! The catalog's columns, from `schemas/catalog.toml`.
//!
//! What a column means is said there once; this turns it into an Arrow schema
//! whose fields carry unit, UCD and description. Which values go into them is
//! left to `row`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::Deserialize;

use super::CatalogError;

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
}

impl ColumnType {
    fn arrow(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Float64 => DataType::Float64,
            Self::Float32 => DataType::Float32,
            Self::Bool => DataType::Boolean,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    column: Vec<Column>,
}

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    toml::from_str::<Columns>(include_str!("../../schemas/catalog.toml"))
        .expect("schemas/catalog.toml is compiled in, and a test parses it")
        .column
});

/// The catalog's own columns, in order.
pub fn columns() -> &'static [Column] {
    &COLUMNS
}

/// The schema of a part: the catalog's columns, then those carried from the
/// user's tables. Field metadata: `unit` and `ucd` where there is one,
/// `description`.
///
/// # Errors
/// [`CatalogError::Carried`] if a carried column has the name of another
/// column, in whatever case: SQL, FITS and VOTable do not tell `RA` from `ra`.
pub fn catalog_schema(carried: Option<&Schema>) -> Result<SchemaRef, CatalogError> {
    let mut fields: Vec<Arc<Field>> = columns().iter().map(|c| Arc::new(field(c))).collect();
    for field in carried.iter().flat_map(|schema| schema.fields()) {
        let name = field.name();
        if let Some(other) = fields.iter().find(|other| same_name(other.name(), name)) {
            return Err(CatalogError::Carried {
                column: name.clone(),
                why: format!(
                    "the catalog has a column `{}` already (case does not count); rename yours in the table",
                    other.name()
                ),
            });
        }
        fields.push(Arc::clone(field));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
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

    #[test]
    fn the_columns_are_those_that_the_design_names() {
        let names: Vec<&str> = columns().iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names.join(", "),
            "id, source, ra, dec, label, confidence, p_crs, p_ibs, p_css, p_eo, p_spi, p_css_eo, \
             stage2, status, error"
        );
        for column in columns() {
            assert!(!column.description.is_empty(), "{}", column.name);
            assert!(!(column.kind == ColumnType::String && column.nullable), "{}", column.name);
        }
        let schema = catalog_schema(None).unwrap();
        assert_eq!(schema.field(2).metadata()["unit"], "deg");
        assert_eq!(schema.field(2).data_type(), &DataType::Float64);
    }

    #[test]
    fn a_carried_column_may_not_take_a_name_twice() {
        let carried = |names: &[&str]| {
            let fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true));
            catalog_schema(Some(&Schema::new(fields.collect::<Vec<_>>())))
        };
        let schema = carried(&["redshift", "kind"]).unwrap();
        assert_eq!(schema.fields().len(), columns().len() + 2);
        for (names, named) in [(vec!["z", "RA"], "RA"), (vec!["z", "Z"], "Z")] {
            let error = carried(&names).unwrap_err().to_string();
            assert!(error.contains(&format!("`{named}`")), "{error}");
        }
    }
}
