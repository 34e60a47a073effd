//! How numbers are held and multiplied, as users choose it.

use serde::{Deserialize, Serialize};

use super::backend::{Backend, HalfRunner};

/// How numbers are held between layers and multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    F32,
    /// Rounded to bfloat16, sums in f32. Needs a processor that multiplies
    /// them.
    Bf16,
}

impl Precision {
    /// The fastest that this processor has instructions for.
    pub fn detect() -> Self {
        let half = Self::Bf16.is_available_on(Backend::detect());
        if half { Self::Bf16 } else { Self::F32 }
    }

    /// Whether this processor runs it on `backend`.
    pub fn is_available_on(self, backend: Backend) -> bool {
        self == Self::F32 || backend == Backend::Avx512 && HalfRunner::new().is_some()
    }

    /// Its name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}
