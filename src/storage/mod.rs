//! Files, and what stands for them in object stores: what every room keeps
//! its own in, and none does in a way of its own.
//!
//! `file` makes files appear whole, `output` looks at what a user named for
//! one, `sweep` removes what was left of others, `lock` keeps processes out of
//! each other's way, `seal` and `digest` tell what was changed, `json` writes
//! settings so that they can be compared, `place` and `remote` know a folder
//! from a store, `read_at` and `chunks` read at offsets, `parquet` (with
//! `pages` and `thrift`) opens tables that come from anywhere, `fits` reads headers,
//! `patience` tries again, `shown` spells foreign text for people. What the files mean
//! is left to those who keep them.
//!
//! Invariant: a name stands for a whole file, or for none.

pub(crate) mod chunks;
pub(crate) mod digest;
mod error;
pub(crate) mod file;
pub(crate) mod fits;
pub(crate) mod json;
pub(crate) mod lock;
pub(crate) mod output;
mod pages;
pub(crate) mod parquet;
pub(crate) mod patience;
pub(crate) mod place;
pub(crate) mod read_at;
pub(crate) mod remote;
pub(crate) mod seal;
pub(crate) mod shown;
pub(crate) mod sweep;
mod thrift;

pub use error::StorageError;
pub use json::Difference;
pub use lock::Wait;
