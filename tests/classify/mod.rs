//! `hiwl classify` and `hiwl verify`, run as a user runs them.

mod bad_input;
#[cfg(feature = "cloud")]
mod cloud;
mod colours;
mod corpus;
mod deaths;
mod engine;
mod equal;
pub(crate) mod failing_calls;
mod faults;
mod image_tables;
mod limits;
mod measured;
mod oddness;
mod plan;
mod precision;
mod real;
mod shipped;
mod sized;
mod terminal;
mod usage;
mod vanished;
mod waits;
