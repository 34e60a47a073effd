//! The passes of a training step over channels-last activations, forward and
//! backward, each beside a plain reference in its tests.
//!
//! A pass works on the rows or the image it is given, on this thread; which
//! images go to which thread, and in which order partial sums are added, is
//! the caller's. Nothing here allocates. How
//! activations are held and multiplied is an [`Element`].

mod buffer;
mod depthwise;
mod depthwise_backward;
mod element;
mod outer;
mod prefetch;
mod product;
mod strip;
mod sums;

#[cfg(test)]
mod tests;

pub use self::{
    buffer::{Buffer, padded, view},
    depthwise::{DepthwiseWeights, ForwardInput, Geometry, depthwise_forward},
    depthwise_backward::{DepthwiseInput, Gated, depthwise_backward},
    element::Element,
    outer::{outer, outer_room},
    product::{Packed, product},
    strip::{activate, affine, combine},
    sums::{Moments, Sums, gradient_sums, pool, pool_gradient, project_sums},
};
use self::{
    depthwise::Forward,
    depthwise_backward::Backward,
    element::{Pair, Round},
    outer::Outer,
    product::Product,
    strip::{Activate, Affine, Combine},
    sums::{Add, GradientSums, Pool, PoolGradient, ProjectSums},
};
use crate::backend::{Backend, HalfRunner, Launch, Runner};
use half::bf16;

/// What runs the kernels: a backend that this processor was found to have.
#[derive(Debug, Clone, Copy)]
pub struct Cpu(Runner);

impl Cpu {
    /// `None` where the processor does not have the backend.
    pub fn new(backend: Backend) -> Option<Self> {
        Runner::new(backend).map(Self)
    }
}

/// A launch of each kernel over what is kept as an element, compiled here and
/// not in whatever calls it.
macro_rules! launches {
    ($runner:ty: $($kernel:ty),* $(,)?) => {
        $(impl Launch<$kernel> for $runner {
            fn launch(self, kernel: $kernel) {
                self.0.run(kernel);
            }
        })*
    };
}

launches!(
    Cpu: Activate<'_, f32>,
    Add<'_, f32>,
    Affine<'_>,
    Backward<'_, f32>,
    Combine<'_, f32, f32>,
    Forward<'_, f32>,
    GradientSums<'_>,
    Outer<'_, f32>,
    Pool<'_, f32>,
    PoolGradient<'_, f32>,
    Product<'_, f32, f32>,
    ProjectSums<'_, f32>,
);

/// What runs the kernels over bfloat16, where the processor multiplies it.
#[derive(Debug, Clone, Copy)]
pub struct HalfCpu(HalfRunner);

impl HalfCpu {
    /// `None` where the processor does not.
    pub fn new() -> Option<Self> {
        HalfRunner::new().map(Self)
    }
}

launches!(
    HalfCpu: Activate<'_, bf16>,
    Add<'_, bf16>,
    Backward<'_, bf16>,
    Combine<'_, bf16, bf16>,
    Combine<'_, f32, bf16>,
    Forward<'_, bf16>,
    Outer<'_, bf16>,
    Pair<'_>,
    Pool<'_, bf16>,
    PoolGradient<'_, bf16>,
    Product<'_, bf16, bf16>,
    Product<'_, bf16, f32>,
    ProjectSums<'_, bf16>,
    Round<'_>,
);
