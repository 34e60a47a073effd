//! From what volunteers said to what the network learns: label tables, vote
//! tables, the clean sample, splits, and the order of an epoch.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`table`] | labels by id: reading, checking, counting, writing |
//! | [`votes`] | vote fractions by id, made cumulative whatever the table holds |
//! | [`grammar`] | tables known by how their columns are named |
//! | `semantics` | what fractions are fractions of, told from the numbers |
//! | `panoptes` | exports of Zooniverse's platform, votes counted by subject |
//! | [`several`] | a label for each of several questions |
//! | [`schema`] | which column of a vote table answers which question |
//! | [`clean`] | thresholds that turn votes into classes |
//! | [`soft`] | probabilities of classes by id, of a teacher |
//! | [`split`] | train, validation and test |
//! | [`join`] | labels meet images |
//! | [`ids`] | which column identifies an object, and what is no identifier |
//! | [`sampler`] | which images an epoch shows, in which order |
//!
//! Images are none of its business: an id is a string.

mod cells;
pub mod clean;
mod error;
pub mod grammar;
pub mod ids;
pub mod join;
mod panoptes;
pub mod sampler;
pub mod schema;
mod semantics;
pub mod several;
pub mod soft;
pub mod split;
pub mod table;
pub mod votes;

pub use error::LabelError;
pub use table::{LabelColumns, LabelTable, Labelled, LeftOut, Split};
