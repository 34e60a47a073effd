//! What people look at: reports of runs, their charts, contact sheets.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`report`] | a run as one page |
//! | [`chart`] | charts as SVG |
//! | [`pictures`] | the pictures of rows, read again from the run's own sources |
//! | [`sheet`] | a contact sheet: pictures with what is said of them, as one picture |
//! | `raster` | pixels: scaling, drawing, encoding |
//! | `letters` | text as pixels |
//!
//! Which rows is asked of [`crate::export::pick`]. Nothing here knows a terminal.

pub mod chart;
mod error;
mod letters;
pub mod pictures;
mod raster;
pub mod report;
pub mod sheet;

pub use error::PageError;
