//! What tensors hold on the device.

use half::bf16;

use crate::engine::fused;

/// What activations and weights of products are stored in. Sums are in f32
/// always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 8 bits of mantissa, on tensor cores.
    Bf16,
    /// For comparison.
    F32,
}

impl From<fused::Precision> for Precision {
    fn from(precision: fused::Precision) -> Self {
        match precision {
            fused::Precision::Bf16 => Self::Bf16,
            fused::Precision::F32 => Self::F32,
        }
    }
}

impl Precision {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }

    /// Values as the device holds them, rounded to the nearest.
    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            Self::F32 => super::device::bytes_of(values),
        }
    }

    /// What [`Precision::encode`] wrote.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
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
