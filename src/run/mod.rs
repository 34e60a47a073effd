//! The folder of a run: what decides its result, what its rows are, and who
//! does which of them.
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
//! `inputs-<digest>.parquet`.
//! [`RunFolder`] plans and resumes, [`InputsWriter`] and [`InputsReader`] keep
//! the listing, [`Plan`] shares the ranges out, [`status()`] tells how far it
//! is. Finding the cutouts is left to [`crate::source`], what is in the parts
//! to [`crate::catalog`].
//!
//! Invariant: a file under its final name is complete, on disk, and belongs to
//! the run that `run.json` describes. Whatever is interrupted leaves only
//! names that begin with a dot, which no reader takes for data; so a run that
//! was killed at any moment goes on with the ranges that have no part.

pub(crate) mod carried;
mod entries;
mod error;
mod folder;
mod inputs;
mod journal;
pub(crate) mod names;
mod plan;
mod ranges;
pub(crate) mod row_digest;
mod settings;
mod status;

pub use error::RunError;
pub use folder::{Claim, Claimed, RunFolder};
pub(crate) use folder::{inputs_path, pinned_inputs, ranges, read_manifest};
pub use inputs::{InputsReader, InputsWriter};
pub use journal::{Journal, Left, Looking, Watched, Worker};
pub use plan::Plan;
pub use ranges::{RANGE_SIZE, RowRange, Shard};
pub use settings::{FORMAT, Listing, Manifest, ModelIdentity, Settings};
pub use status::{ShardStatus, Status, status};
