//! Cutouts from a survey's own images.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `file` | an open mosaic: its bytes, its images |
//! | `grid` | the grid of a cutout on the sky |
//! | [`masks`] | images beside mosaics that say which pixels are undefined |
//! | `kept` | decoded parts of images, for the next cutouts |
//! | `footprint` | where images lie on the sky, and which of them holds a position deepest |
//! | `map` | where the pixels of a grid lie in an image |
//! | `resample` | values of an image at the pixels of a grid |
//! | [`cut`] | a cutout of several bands on one grid |
//!
//! Reading the pixels of a file's part belongs to [`crate::cutout::decode`], where on
//! the sky they are to [`crate::cutout::wcs`]; which sources there are, and in which
//! mosaics, to [`crate::source`].
//!
//! One [`Mosaics`] serves all workers of a line. Only the rows or tiles that a cutout
//! needs are read, and they are kept for its neighbours, within a limit: sources that
//! come in the order of their mosaics and rows have each part read about once.
//!
//! Memory: [`KEPT`](crate::limits::mosaic::KEPT) bytes of decoded parts,
//! [`UNPACKED`](crate::limits::mosaic::UNPACKED) of packed files, and of each worker a
//! window of each band and some parts.
//!
//! Invariant: a cutout's pixels depend on its mosaics and its place alone, not on who
//! else reads; every failure is a [`Rejection`](crate::cutout::Rejection).

pub mod cut;
mod file;
mod footprint;
mod grid;
mod kept;
mod map;
pub mod masks;
mod resample;

pub use cut::{Mosaics, Place, Settings};
pub use file::{Look, Looked, LookedBeside, header_digest};
pub use footprint::{Footprint, Footprints};
pub use masks::Masks;
