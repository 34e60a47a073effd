//! What computes a network.
//!
//! | folder | what it holds |
//! | --- | --- |
//! | [`fused`] | ours, on the processor: inference and training |
//! | [`cuda`] | ours, on NVIDIA GPUs |
//! | [`candle`] | candle's tensors: the plain reference |

pub mod candle;
pub mod cuda;
pub mod fused;
