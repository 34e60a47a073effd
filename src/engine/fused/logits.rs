//! The packed network of [`crate::engine::fused`] as a source of logits.

use crate::engine::fused::PackedNetwork;
use crate::model::hierarchy::{InferenceError, Logits};

impl Logits for PackedNetwork {
    fn classes(&self) -> usize {
        self.classes()
    }

    fn logits(&self, images: &[&[u8]], out: &mut [f32]) -> Result<(), InferenceError> {
        let bytes = 3 * self.size() * self.size();
        if let Some(index) = images.iter().position(|image| image.len() != bytes) {
            let found = images[index].len();
            return Err(InferenceError::ImageSize { index, expected: bytes, found });
        }
        let expected = images.len() * self.classes();
        if out.len() != expected {
            return Err(InferenceError::OutputSize { expected, found: out.len() });
        }
        self.forward(images, out);
        Ok(())
    }
}
