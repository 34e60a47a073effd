//! EfficientNet on NVIDIA GPUs: bf16 on tensor cores, or f32 to compare with.
//!
//! Kernels are CUDA C++, one file each, beside this one; what they compute,
//! their shapes and the bytes they move stand at the top of each. They are
//! part of the program as text and are compiled by nvrtc for the GPU at hand
//! when it is first used (`compile`), then kept on disk. So one program serves
//! machines with a GPU and without, nothing of CUDA is needed to build it, and
//! a new GPU needs no new release. What has to be there at run time is the
//! driver and libnvrtc, which every PyTorch with CUDA brings.
//!
//! Everything here but `open` and what lies behind it is written over a
//! [`Queue`]: memory, copies and launches in order. The driver's streams are
//! one; `emulated`, in the tests, is another. It runs the very same kernel
//! files on the CPU, compiled by g++, so that each kernel and both networks
//! are held against plain references on machines without a GPU.
//!
//! Invariant: the logits of an image depend on the image, the weights and the
//! kind of GPU, and on nothing else: no kernel adds in an order that is left
//! open.

mod alone;
mod cascade;
pub(crate) mod device;
mod door;
mod error;
mod fold;
pub(crate) mod forward;
mod lanes;
pub mod learn;

mod open;
pub(crate) mod shapes;
mod single;
#[cfg(any(feature = "cuda", test))]
mod sources;
mod storage;
mod timed;

#[cfg(feature = "cuda")]
mod compile;
#[cfg(feature = "cuda")]
mod driver;

#[cfg(test)]
pub(crate) mod emulated;
#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod norm_tests;

pub use self::{
    alone::Alone,
    cascade::{Cascade, CascadeOptions},
    device::{Launch, Queue, Recorded},
    error::CudaError,
    open::{Gpu, devices, open, usable},
    single::Single,
    timed::{Timed, Times},
};
use super::Precision;
