//! Tensors in a file: safetensors, with what they are as text in the metadata.
//!
//! Models, saved weights and checkpoints are such files, each with a key of its
//! own, by which they are told apart; other people's weights have none. What the
//! text says is left to each.
//!
//! Invariant: tensors are read as f32, and only from floating-point types.

use std::collections::HashMap;

use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{SafeTensorError, TensorView};

/// The bytes of a file of tensors whose metadata holds `text` under `key`.
///
/// # Errors
/// What the format cannot hold.
pub fn to_bytes(
    (key, text): (&str, String),
    tensors: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<Vec<u8>, SafeTensorError> {
    safetensors::serialize(tensors, Some(HashMap::from([(key.to_owned(), text)])))
}

/// The text under `key` in the bytes of a file, if there is one. Tensors are not
/// looked at.
///
/// # Errors
/// If it is no safetensors file.
pub fn text(bytes: &[u8], key: &str) -> Result<Option<String>, SafeTensorError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    Ok(header.metadata().as_ref().and_then(|metadata| metadata.get(key)).cloned())
}

/// Tensors in the bytes of a file.
pub struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    /// Checks that the tensors lie in the bytes.
    ///
    /// # Errors
    /// If it is no safetensors file, or is cut short.
    pub fn of(bytes: &'a [u8]) -> Result<Self, SafeTensorError> {
        Ok(Self(SafeTensors::deserialize(bytes)?))
    }

    /// Names and tensors in f32, or what is wrong with one.
    pub fn floats(&self) -> impl Iterator<Item = (&str, candle_core::Result<Tensor>)> {
        self.0.iter().map(|(name, view)| (name, float(&view)))
    }
}

/// A tensor of any floating-point type of up to 64 bits, in f32.
fn float(view: &TensorView<'_>) -> candle_core::Result<Tensor> {
    use safetensors::Dtype::{BF16, F16, F32, F64};
    if !matches!(view.dtype(), F16 | BF16 | F32 | F64) {
        return Err(candle_core::Error::UnsupportedSafeTensorDtype(view.dtype()));
    }
    view.load(&Device::Cpu)?.to_dtype(DType::F32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_by_its_key() {
        let tensor = Tensor::new(&[[1.5f32, -2.0], [0.0, 1e30]], &Device::Cpu).unwrap();
        let half = tensor.to_dtype(DType::BF16).unwrap();
        let named = [("a".to_owned(), tensor), ("b".to_owned(), half)];
        let bytes = to_bytes(("mine", "words".to_owned()), named).unwrap();
        assert_eq!(text(&bytes, "mine").unwrap().as_deref(), Some("words"));
        assert_eq!(text(&bytes, "other").unwrap(), None);
        let file = Tensors::of(&bytes).unwrap();
        let mut found: Vec<(String, Vec<Vec<f32>>)> = file
            .floats()
            .map(|(name, tensor)| (name.to_owned(), tensor.unwrap().to_vec2().unwrap()))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found[0], ("a".to_owned(), vec![vec![1.5, -2.0], vec![0.0, 1e30]]));
        assert_eq!(found[1].1[0], [1.5, -2.0]);
        assert!(Tensors::of(&bytes[..bytes.len() - 1]).is_err());
        let whole = Tensor::new(&[1u32], &Device::Cpu).unwrap();
        let bytes = to_bytes(("k", String::new()), [("n".to_owned(), whole)]).unwrap();
        assert!(Tensors::of(&bytes).unwrap().floats().all(|(_, tensor)| tensor.is_err()));
    }
}
