//! What a catalog keeps of the features: the vectors that the first network's
//! classifier sees, or their principal components.
//!
//! Components are taken along the directions that the model file holds for its
//! oddness, so that a row's do not depend on what else is in the run, and those of
//! two runs of one model can be compared.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClassifyError;
use crate::model::model_file::Model;
use crate::model::oddness::Oddness;
use crate::tree::FeatureColumn;

/// What is asked to be kept of the features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepFeatures {
    /// So many principal components in place of the features themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<usize>,
    /// In half precision.
    pub half: bool,
}

impl KeepFeatures {
    /// The column that it makes with a model.
    ///
    /// # Errors
    /// [`ClassifyError::Components`] if the model does not hold so many.
    pub(super) fn column(self, model: &Model) -> Result<FeatureColumn, ClassifyError> {
        let Self { components, half } = self;
        if let Some(asked) = components {
            let held = model.oddness.as_ref().map_or(0, |oddness| oddness.about.components);
            if !(1..=held).contains(&asked) {
                return Err(ClassifyError::Components { asked, held });
            }
            return Ok(FeatureColumn { length: asked, components: true, half });
        }
        let (_, first) = model.description.networks().next().expect("a model has a network");
        Ok(FeatureColumn { length: first.plan().features, components: false, half })
    }
}

/// How a row's vector follows from its features.
pub enum Keeping {
    /// It is they: so many.
    All(usize),
    /// The first so many components.
    Components(Arc<Oddness>, usize),
}

impl Keeping {
    /// That of a column.
    ///
    /// # Panics
    /// If it is of components, and the model holds none.
    pub(super) fn of(column: FeatureColumn, oddness: Option<&Arc<Oddness>>) -> Self {
        if !column.components {
            return Self::All(column.length);
        }
        Self::Components(oddness.expect("a column of them was resolved").clone(), column.length)
    }

    /// The vector; empty if a value is not finite.
    pub fn of_features(&self, features: &[f32]) -> Vec<f32> {
        let kept = match self {
            Self::All(_) => features.to_vec(),
            Self::Components(oddness, count) => oddness.components(features, *count),
        };
        if kept.iter().all(|value| value.is_finite()) { kept } else { Vec::new() }
    }
}
