//! EfficientNet on NVIDIA GPUs: bf16 on tensor cores, or f32 to compare with.
//!
//! Kernels are CUDA C++, one file each, under `kernels`. They are part of the
//! program as text and are compiled by nvrtc for the GPU at hand
//! when it is first used (`compile`), then kept on disk. So one program serves
//! machines with a GPU and without, nothing of CUDA is needed to build it, and
//! a new GPU needs no new release. What has to be there at run time is the
//! driver and libnvrtc, which every PyTorch with CUDA brings.
//!
//! Everything here but `gpu` and what lies behind it is written over a
//! [`Queue`]: memory, copies and launches in order. The driver's streams are
//! one; `emulated`, in the tests, is another. It runs the very same kernel
//! files on the CPU, compiled by g++, so that each kernel and both networks
//! are held against plain references on machines without a GPU.
//!
//! Invariant: the logits of an image depend on the image, the weights and the
//! kind of GPU, and on nothing else: no kernel adds in an order that is left
//! open.

pub(crate) mod device;
mod error;
mod gpu;
mod infer;
pub(crate) mod kernels;
pub mod learn;
mod storage;
mod timed;

#[cfg(feature = "cuda")]
mod driver;

pub use self::{
    device::{Launch, Queue, Recorded},
    error::CudaError,
    gpu::{Gpu, devices, open, usable},
    infer::{Alone, Cascade, CascadeOptions, Single},
    storage::GpuPrecision,
    timed::{Timed, Times},
};
