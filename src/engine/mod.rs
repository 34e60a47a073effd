//! What computes networks, behind one door: [`Infer`] for inference.
//!
//! | engine | what it computes |
//! | --- | --- |
//! | [`fused`] | EfficientNet on the processor; inference and training |
//! | [`cuda`] | EfficientNet on NVIDIA GPUs; inference and training |
//! | [`candle`] | EfficientNet with candle's tensors, layer by layer: the reference |
//!
//! Engines know shapes and weights (`model`), and neither classes nor files.

pub mod candle;
pub mod cuda;
pub mod fused;
mod infer;
mod precision;
#[cfg(test)]
mod tests;

pub use self::{
    infer::{Infer, InferPair, InferenceError, Normalisation, Tensors, Want},
    precision::Precision,
};
