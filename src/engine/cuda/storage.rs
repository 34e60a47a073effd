//! What tensors hold on the device.

use half::bf16;

use crate::engine::Precision;

/// How numbers are held on a GPU: of the precisions, those that its kernels multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GpuPrecision {
    /// Single precision.
    F32,
    /// bfloat16.
    Bf16,
}

impl GpuPrecision {
    /// That of a precision; `None` where the kernels have none.
    pub fn of(precision: Precision) -> Option<Self> {
        match precision {
            Precision::F32 => Some(Self::F32),
            Precision::Bf16 => Some(Self::Bf16),
            Precision::Int8 => None,
        }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => Precision::F32.name(),
            Self::Bf16 => Precision::Bf16.name(),
        }
    }

    /// Bytes of an element.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }

    /// Values as the device holds them, rounded to the nearest.
    pub(crate) fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            Self::F32 => super::device::bytes_of(values),
        }
    }

    /// What [`GpuPrecision::encode`] wrote.
    #[cfg(test)]
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::Bf16 => {
                let (words, _) = bytes.as_chunks::<2>();
                words.iter().map(|word| bf16::from_le_bytes(*word).to_f32()).collect()
            }
            Self::F32 => {
                let (words, _) = bytes.as_chunks::<4>();
                words.iter().map(|word| f32::from_le_bytes(*word)).collect()
            }
        }
    }
}
