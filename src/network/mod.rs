//! EfficientNet from one description, its weights, and the HIWL hierarchy.
//!
//! [`architecture`] describes the network once; [`tensors`] runs it with
//! candle tensors (the reference and, later, training) and
//! [`crate::kernels`] runs it fused and packed for inference. [`model_file`]
//! reads and writes the one file that holds both stages and everything needed
//! to use them; [`import`] makes one from other people's weights.

pub mod architecture;
pub mod description;
pub mod hierarchy;
pub mod import;
pub mod model_file;
pub mod parameters;
pub mod seeded;
pub mod tensors;
pub mod weights;
