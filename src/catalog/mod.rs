//! The rows of a run, their files, and the proof that they are all there.
//!
//! [`PartWriter`] writes the rows of a range, [`verify()`] proves that nothing
//! is missing, [`overview()`] sums up. The run's folder is left to
//! [`crate::run`], giving a catalog to other tools to [`crate::export`],
//! classifying to [`crate::model`].

mod error;
pub mod note;
mod overview;
pub(crate) mod part;
pub(crate) mod part_reader;
pub(crate) mod row;
mod rows_at;
pub mod schema;
pub(crate) mod verify;
pub(crate) mod votable;

pub use error::CatalogError;
pub use overview::{Odd, Overview, Sample, Sky, overview, sample};
pub(crate) use overview::{places, present};
pub use part::PartWriter;
pub use row::{Row, table};
pub use rows_at::rows_at;
pub use verify::{Damage, DamagedPart, Verification, remove_parts, verify};
