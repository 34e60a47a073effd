//! The networks of [`crate::engine::cuda`] as a source of logits.

use crate::engine::cuda::Cascade;
use crate::model::hierarchy::{BothLogits, InferenceError, Stage2};

impl BothLogits for Cascade {
    fn classes(&self) -> [usize; 2] {
        self.classes()
    }

    fn lanes(&self) -> usize {
        self.lanes()
    }

    fn stage2(&self) -> Stage2 {
        if self.sees_all() { Stage2::All } else { Stage2::Routed }
    }

    fn logits(&self, images: &[&[u8]]) -> Result<[Vec<f32>; 2], InferenceError> {
        let expected = self.image();
        if let Some(index) = images.iter().position(|image| image.len() != expected) {
            let found = images[index].len();
            return Err(InferenceError::ImageSize { index, expected, found });
        }
        Ok(self.logits(images)?)
    }
}
