//! EfficientNet from one description, its weights, and the HIWL hierarchy.
//!
//! [`architecture`] describes the network once, and [`parameters`] lists its
//! tensors; [`tensors`] runs it with candle tensors (the reference and, later,
//! training) and [`crate::engine`] runs it fused and packed for inference.
//! [`model_file`] reads and writes the one file that holds both stages and
//! the [`description`] needed to use them; [`import`] makes one from other
//! people's weights, [`seeded`] makes weights from a seed, [`shipped`] finds
//! the trained one that comes with the program. [`hierarchy`] turns
//! the logits of any execution into labels.

pub mod architecture;
pub mod description;
pub(crate) mod file;
pub mod hierarchy;
pub mod import;
pub mod model_file;
pub mod parameters;
pub mod seeded;
pub mod shipped;
pub mod weights;
