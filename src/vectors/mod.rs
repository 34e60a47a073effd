//! What can be learned from the vectors of a catalog: which rows are nearest to one,
//! and where all lie on a map.
//!
//! [`similar()`] searches a run, [`map()`] projects it; both read the column `feature`
//! that `hiwl embed` makes. [`principal`] and [`tsne`](mod@tsne) know nothing of
//! catalogs. What is drawn of a map is left to [`crate::draw`].
//!
//! Invariant: the same vectors give the same answer, with any number of threads and
//! on any machine.

mod error;
mod exact;
mod map;
mod nearest;
pub mod principal;
mod read;
mod similar;
pub mod tsne;

pub use error::VectorError;
pub use map::{Located, Map, MapOptions, Method, map};
pub use nearest::Distance;
pub use similar::{Like, Similar, SimilarOptions, similar};
