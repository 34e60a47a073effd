//! Numbers as colours and pictures: colour maps, panels of a galaxy and its heat map,
//! clouds of points.
//!
//! It knows pixels and text, and neither files nor catalogs.

pub mod cloud;
pub mod colours;
pub mod panels;
