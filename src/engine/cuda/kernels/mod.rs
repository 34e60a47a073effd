//! The kernels: CUDA C++, one file each; what they compute, their shapes and
//! the bytes they move stand at the top of each.
//!
//! `sources` holds their text, `compile` makes programs of it for the GPU at
//! hand, `shapes` says over which grids they are launched. In the tests
//! `emulated` runs the same files on the CPU.

#[cfg(feature = "cuda")]
pub(super) mod compile;
pub(super) mod shapes;
#[cfg(any(feature = "cuda", test))]
pub(super) mod sources;

#[cfg(test)]
pub(crate) mod emulated;
#[cfg(test)]
mod norm_tests;
#[cfg(test)]
mod tests;
