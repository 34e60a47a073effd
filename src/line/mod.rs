//! The stages that every mode shares: list → read → decode → prepare → batch.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `reading` | how inputs are listed and become pictures, every choice made |
//! | [`looks`] | what was asked of colours and scale |
//! | `list` | all that inputs hold, and the first stage |
//! | [`cutout`] | what travels: a cutout, as far as it got |
//! | [`stages`], `front` | read, decode, prepare |
//! | `batch` | back in order, gathered |
//! | [`observed`] | what was taken for granted, told once |
//! | `sources`, `places` | what was listed, against what is there now |
//!
//! Classifying, evaluating, looking and training take the same, so that a galaxy
//! that one can read all can. What becomes of the pictures is left to each: rows,
//! metrics, files, steps.

mod batch;
pub mod cutout;
mod error;
mod front;
mod list;
pub mod looks;
pub mod observed;
mod places;
mod reading;
mod sources;
pub mod stages;

pub use batch::{Batch, Gather};
pub use cutout::Cutout;
pub use error::LineError;
pub use front::{Crops, Front, QUEUE};
pub use list::{Found, Listed, Waiting, list, problems, radii, source};
pub use looks::Looks;
pub use observed::Observed;
pub use places::Places;
pub use reading::Reading;
pub use sources::{Sources, holds_something};
