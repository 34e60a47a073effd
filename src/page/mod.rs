//! What people look at: reports of runs, contact sheets.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`report`] | a run as one page |
//! | [`pictures`] | the pictures of rows, read again from the run's own sources |
//! | [`sheet`] | a contact sheet: pictures with what is said of them, as one picture |
//! | `raster` | pixels: scaling, drawing, encoding |
//! | `letters` | text as pixels |
//!
//! Which rows is asked of [`crate::export::pick`]. Nothing here knows a terminal.

mod error;
mod letters;
pub mod pictures;
mod raster;
pub mod report;
pub mod sheet;

pub use error::PageError;
