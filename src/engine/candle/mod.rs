//! Every backbone with candle's tensors and autograd, for inference and training: on
//! the processor, and on NVIDIA GPUs where the program is built with `candle-cuda`.
//!
//! [`Network`] runs a [plan](crate::model::backbone::Plan) layer by layer, without
//! folding or fusing, on candle-nn's functions and the operations of [`ops`];
//! [`TensorNetwork`] is the door of inference, [`CandleLearner`] that of training,
//! [`GradCam`] tells where in a picture a network sees an answer.
//! EfficientNets have faster engines, for which this one is an oracle.

mod backward;
mod door;
mod grad_cam;
mod learner;
mod look;
mod network;
pub mod ops;
mod place;
#[cfg(test)]
mod tests;
mod transformer;

pub use backward::gradients;
pub use door::TensorNetwork;
pub use grad_cam::GradCam;
pub use learner::CandleLearner;
pub use network::Network;
pub use place::place;
