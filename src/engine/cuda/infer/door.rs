//! Both networks of a [`Cascade`] behind the door of inference.

use super::Cascade;
use crate::engine::{InferPair, InferenceError, PairTensors, Want};

impl InferPair for Cascade {
    fn outputs(&self) -> [usize; 2] {
        self.classes()
    }

    fn features(&self) -> usize {
        self.features()
    }

    fn lanes(&self) -> usize {
        self.lanes()
    }

    fn sees_all(&self) -> bool {
        self.sees_all()
    }

    fn run(&self, images: &[&[u8]], want: Want) -> Result<PairTensors, InferenceError> {
        InferenceError::check_sizes(images, self.image())?;
        Ok(self.run(images, want.has(Want::FEATURES))?)
    }
}
