//! Both networks of a [`Cascade`] behind the door of inference.

use super::Cascade;
use crate::engine::{InferPair, InferenceError};

impl InferPair for Cascade {
    fn outputs(&self) -> [usize; 2] {
        self.classes()
    }

    fn lanes(&self) -> usize {
        self.lanes()
    }

    fn sees_all(&self) -> bool {
        self.sees_all()
    }

    fn logits(&self, images: &[&[u8]]) -> Result<[Vec<f32>; 2], InferenceError> {
        InferenceError::check_sizes(images, self.image())?;
        Ok(self.logits(images)?)
    }
}
