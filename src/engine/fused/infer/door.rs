//! The packed network behind the door of inference.

use super::{PackedNetwork, forward::Rows};
use crate::engine::{Infer, InferenceError, Tensors, Want};

impl Infer for PackedNetwork {
    fn outputs(&self) -> usize {
        self.classes()
    }

    fn features(&self) -> usize {
        self.features()
    }

    fn map_side(&self) -> usize {
        self.map_side()
    }

    fn lanes(&self) -> usize {
        if self.threads.is_some() { 2 } else { 1 }
    }

    fn run(&self, images: &[&[u8]], want: Want, to: &mut Tensors) -> Result<(), InferenceError> {
        InferenceError::check_sizes(images, 3 * self.size().pow(2))?;
        to.resize(self, images.len(), want);
        let Tensors { logits, features, maps } = to;
        self.spread(images, Rows { logits, features, maps });
        Ok(())
    }
}
