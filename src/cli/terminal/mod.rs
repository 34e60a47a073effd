//! What the person at the terminal sees: progress while a run goes on, a
//! summary when it ends.
//!
//! Nothing here decides anything; numbers come in and text goes out. Progress
//! goes to standard error, so that standard output stays clean for what a
//! command was asked for.

pub mod audience;
pub mod catalog;
pub mod format;
pub mod progress;
pub mod shown;
pub mod speed;
pub mod summary;
pub mod training;
