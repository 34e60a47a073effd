//! How numbers are held and multiplied, as users choose it for any engine.
//! What of it a processor can is said where it is computed.

use serde::{Deserialize, Serialize};

/// How numbers are held between layers and multiplied. Sums are in f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    F32,
    /// Rounded to bfloat16: 8 bits of mantissa. Needs a processor that
    /// multiplies them, or a GPU.
    Bf16,
    /// Rounded to eight bits where they are multiplied, pixel by pixel, and held in single
    /// precision. Needs a processor that multiplies bytes; networks classify with it and do
    /// not learn.
    Int8,
}

impl Precision {
    /// Whether networks learn in it: gradients are no bytes.
    pub fn is_learned_in(self) -> bool {
        self != Self::Int8
    }

    /// Its name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}
