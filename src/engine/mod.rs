//! What computes networks, behind two doors: [`Infer`] for inference, [`Learn`]
//! for training. [`open`] is the table of what computes where.
//!
//! | engine | what it computes |
//! | --- | --- |
//! | [`fused`] | EfficientNet on the processor; inference and training |
//! | [`cuda`] | EfficientNet on NVIDIA GPUs; inference and training |
//! | [`candle`] | every backbone with candle's tensors, layer by layer; inference and training |
//!
//! Engines know shapes and weights (`model`), and neither classes nor files.

pub mod candle;
pub mod cuda;
mod device;
pub mod fused;
mod infer;
pub mod learn;
pub mod loss;
pub mod open;
pub mod optimizer;
mod precision;
#[cfg(test)]
mod tests;

pub use self::{
    device::{Device, DeviceChoice, Devices, DevicesChoice},
    infer::{Infer, InferPair, InferenceError, Normalisation, PairTensors, Tensors, Want},
    learn::{Learn, LearnError},
    loss::Loss,
    open::{Engine, EngineError},
    precision::Precision,
};
