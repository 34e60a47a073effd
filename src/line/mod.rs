//! The stages that every mode shares, and what they need to know: how inputs are
//! listed, and how their files become pictures.
//!
//! [`Reading`] is that knowledge, every choice made. Classifying, evaluating and
//! training take the same, so that a galaxy that one can read all can.
//!
//! What becomes of the pictures is left to each mode: a crop, or random views.

mod reading;

pub(crate) use reading::picture;
pub use reading::{Listed, Reading, list};
