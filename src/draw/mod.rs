//! Numbers as colours, charts and pictures.
//!
//! | file | what it draws |
//! | --- | --- |
//! | [`colours`] | a number, or a class, as a colour |
//! | [`pixels`] | pictures laid on one another, and as PNG |
//! | [`panels`] | a galaxy, its heat map, and the one over the other |
//! | [`cloud`] | points on a plane, as SVG |
//! | [`chart`] | charts with axes, as SVG |
//!
//! It knows pixels and text, and neither files nor catalogs.

pub mod chart;
pub mod cloud;
pub mod colours;
pub mod panels;
pub mod pixels;
