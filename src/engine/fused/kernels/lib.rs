//! The kernels of the fused engine: EfficientNet's layers and the passes of
//! its training on one thread of a CPU, for AVX-512 and NEON (both with
//! bfloat16), AVX2 and anything else; on x86-64 with products of bytes too.
//!
//! Each kernel is written once over a few vector operations (`simd`) and
//! compiled for every [`Backend`], inference also over a [`Format`] of
//! numbers. They are a crate of their own because they take minutes to
//! compile and change seldom: whatever uses them calls plain functions
//! ([`Launch::launch`], [`train`]) that are compiled here, once.
//!
//! Which layers there are, what their weights are folded with, and which
//! thread does what, is the caller's. Invariant: a result depends on the
//! operands and the backend alone.

mod backend;
mod bytes;
mod depthwise;
mod elementwise;
mod format;
mod int8;
mod lines;
mod panels;
mod peak;
mod planes;
mod pointwise;
mod portable;
mod prepare;
mod quantise;
pub mod reference;
mod simd;
mod stem;
pub mod train;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(test)]
mod tests;

pub use self::{
    backend::{Backend, ByteRunner, HalfRunner, Launch, Runner, half_is_faster},
    depthwise::{Depthwise, Ring},
    elementwise::{Mean, ScaleWeights, Sigmoid2},
    format::{Bf16, F32, Format},
    int8::Int8,
    lines::{BLOCK, Line, blocks, lines},
    panels::{Panel, Product},
    peak::{Products, median_flops, peak_flops},
    planes::PlanesMut,
    pointwise::{Output, Pointwise, panel_widths},
    prepare::{PixelScale, Prepare},
    stem::{Normalise, Stem, colours},
};
