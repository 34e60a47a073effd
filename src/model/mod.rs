//! Networks from one description, their weights, and the file that holds the
//! networks of a model.
//!
//! [`architecture`] and [`backbone`] describe a network once, and [`parameters`] lists its
//! tensors; engines run it. [`model_file`] reads and writes the one
//! file that holds every network of a model and the [`description`] needed to
//! use them: their tree ([`crate::tree`]), what they are fed, where they come
//! from, and the [`card`] that tells how good they are. [`import`] makes one from other people's weights, [`saved_weights`]
//! holds those that a training run kept, [`seeded`] makes weights from a seed, [`shipped`]
//! finds the trained model that comes with the program.

pub mod architecture;
pub mod backbone;
pub mod card;
pub mod description;
pub mod import;
pub mod model_file;
pub mod oddness;
pub mod parameters;
pub mod saved_weights;
pub mod seeded;
pub mod shipped;
pub mod tensors;
pub mod weights;
pub(crate) mod whole;
