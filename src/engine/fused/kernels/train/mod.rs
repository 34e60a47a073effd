//! The passes of a training step over channels-last activations, forward and
//! backward, each beside a plain reference in its tests.
//!
//! A pass works on the rows or the image it is given, on this thread; which
//! images go to which thread, and in which order partial sums are added, is
//! the caller's. Nothing here allocates.

mod buffer;
mod depthwise;
mod depthwise_backward;
mod outer;
mod prefetch;
mod product;
mod sigmoid;
mod strip;
mod sums;

#[cfg(test)]
mod tests;

pub use self::{
    buffer::{Buffer, padded},
    depthwise::{DepthwiseWeights, Geometry, depthwise_forward},
    depthwise_backward::{DepthwiseInput, Gated, depthwise_backward},
    outer::outer,
    product::{Packed, product},
    strip::{activate, affine, combine},
    sums::{Moments, Sums, gradient_sums, pool, pool_gradient, project_sums},
};
use crate::backend::{Backend, EveryKernel, Runner};

/// What runs the kernels: a backend that this processor was found to have.
#[derive(Debug, Clone, Copy)]
pub struct Cpu(Runner);

impl Cpu {
    /// `None` where the processor does not have the backend.
    pub fn new(backend: Backend) -> Option<Self> {
        Runner::new(backend).map(Self)
    }

    fn run<K: EveryKernel>(self, kernel: K) {
        self.0.run(kernel);
    }
}
