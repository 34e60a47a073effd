//! What a model file says of itself: all that is needed to use it right.
//!
//! It is the JSON under the key `hiwl` in the file's metadata. Unknown fields
//! are an error outside the provenance, because a field that this version
//! does not know may change what the network must be fed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::hierarchy::Outputs;

/// The version of the format that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// A model, but for its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Version of the file format, [`FORMAT`].
    pub format: u32,
    /// Of both networks.
    pub architecture: Architecture,
    /// What the networks are fed.
    pub input: Input,
    /// What their outputs mean.
    pub outputs: Outputs,
    /// Whether the weights were never trained on galaxies: labels mean nothing.
    pub untrained: bool,
    /// Where the weights come from.
    #[serde(default)]
    pub provenance: Provenance,
}

/// From a cutout to what the network sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Side of the central square that is cut out, in pixels.
    pub size: usize,
    /// Subtracted from each of R, G, B scaled to 0…1.
    pub mean: [f32; 3],
    /// Then divided by.
    pub std: [f32; 3],
    /// The survey bands that become R, G, B.
    pub bands: [String; 3],
    /// Name of the profile that turns bands into the colours trained on.
    pub rgb_profile: String,
}

impl Input {
    /// The paper's input (section 3.1.1), with crops of `size` pixels: colours
    /// normalised by the training set's statistics; SDSS i, r, g as R, G, B.
    pub fn paper(size: usize) -> Self {
        Self {
            size,
            mean: [0.046, 0.041, 0.030],
            std: [0.090, 0.075, 0.065],
            bands: ["i", "r", "g"].map(String::from),
            rgb_profile: "lupton".into(),
        }
    }
}

/// Where weights come from. Everything is optional, and what this version
/// does not know is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Program and version that made the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Files they were imported from, with their SHA-256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub imported: BTreeMap<String, String>,
    /// SHA-256 of the training data's listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<String>,
    /// How they were trained or made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<serde_json::Value>,
    /// Seed of whatever was random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Results, such as `validation.accuracy`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Anything else.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Description {
    /// Whether every value makes sense; if not, which does not.
    ///
    /// # Errors
    /// A phrase for a person.
    pub fn check(&self) -> Result<(), String> {
        let Architecture { width, depth, dropout, bn_eps, .. } = self.architecture;
        let Input { size, mean, std, .. } = &self.input;
        // Bounds far beyond B7's 2.0 and 3.1 keep a hostile file from asking
        // for networks that fill the memory.
        let rules = [
            (width > 0.0 && width <= 8.0, "architecture.width is not in 0…8"),
            (depth > 0.0 && depth <= 16.0, "architecture.depth is not in 0…16"),
            ((0.0..1.0).contains(&dropout), "architecture.dropout is not in 0…1"),
            (bn_eps > 0.0 && bn_eps < 1.0, "architecture.bn_eps is not in 0…1"),
            ((32..=4096).contains(size), "input.size is not in 32…4096"),
            (mean.iter().all(|v| v.is_finite()), "input.mean is not finite"),
            (std.iter().all(|v| v.is_finite() && *v > 0.0), "input.std is not positive"),
            (self.outputs.is_complete(), "outputs do not name every class once"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err((*what).into()),
            None => Ok(()),
        }
    }
}
