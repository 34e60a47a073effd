//! What a run leaves behind: its plan, its rows, and the proof that they are
//! all there.
//!
//! ```text
//! OUT/run.json                         everything that decides the result
//! OUT/inputs.parquet                   the listing, a row group a range
//! OUT/plan.json                        into how many shards it is shared out, if it is
//! OUT/catalog/part-<first>-<last>.parquet   the rows of one range
//! ```
//!
//! `<first>` and `<last>` are the range's first and last row, both included,
//! counted from 0 and padded with zeros so that names sort as rows do. `OUT` is
//! a folder or a URL below which a store keeps objects; there the listing is
//! `inputs-<digest>.parquet` (`place` and `files` know the difference).
//! [`RunFolder`] plans and resumes, [`InputsWriter`] and [`InputsReader`] keep
//! the listing, [`Plan`] shares the ranges out, [`PartWriter`] writes a range's
//! rows, [`status()`] tells how far it is, [`verify()`] proves that nothing is
//! missing, [`export`] gives it to other tools. Finding the cutouts is left to
//! [`crate::source`],
//! classifying them to [`crate::model`].
//!
//! Invariant: a file under its final name is complete, on disk, and belongs to
//! the run that `run.json` describes. Whatever is interrupted leaves only
//! names that begin with a dot, which no reader takes for data; so a run that
//! was killed at any moment goes on with the ranges that have no part.

mod carried;
mod digest;
mod entries;
mod error;
pub mod export;
mod files;
mod inputs;
pub(crate) mod lock;
mod overview;
mod part;
mod part_reader;
mod place;
mod plan;
mod ranges;
mod row;
mod run;
pub mod schema;
mod seal;
mod settings;
mod status;
mod verify;
mod votable;

pub use error::CatalogError;
pub use inputs::{InputsReader, InputsWriter};
pub use overview::{Overview, Sample, Sky, overview, sample};
pub use part::PartWriter;
pub use plan::Plan;
pub use ranges::{RowRange, Shard};
pub use row::Row;
pub use run::{Claim, Claimed, RunFolder};
pub use settings::{Difference, Listing, Manifest, ModelIdentity, Settings};
pub(crate) use settings::{differences, json};
pub use status::{ShardStatus, Status, status};
pub use verify::{Damage, DamagedPart, Verification, remove_parts, verify};
