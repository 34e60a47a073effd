//! Every backbone with candle's tensors and autograd, on the processor, for
//! inference and training.
//!
//! [`Network`] runs a [plan](crate::model::backbone::Plan) layer by layer, without
//! folding or fusing, on candle-nn's functions and the operations of [`ops`];
//! [`TensorNetwork`] is the door of inference, [`CandleLearner`] that of training.
//! EfficientNets have faster engines, for which this one is an oracle.

mod door;
mod learner;
mod look;
mod network;
pub mod ops;
#[cfg(test)]
mod tests;

pub use door::TensorNetwork;
pub use learner::CandleLearner;
pub use network::Network;
