//! `hiwl classify` as a library: inputs in, catalog out.
//!
//! [`Classifier`] is the front door for single pictures, [`run()`] for archives.
//! The latter joins the parts: lists the inputs once ([`crate::source`]), keeps the
//! plan ([`crate::run`]), and runs the [`line`](mod@line) over the ranges that
//! have no part yet. The stages up to the networks are [`crate::line`]'s.
//!
//! Invariant: one row per input, in the order of the listing; a range's part
//! appears whole or not at all, so that a run ends at any moment and the same
//! [`run()`] goes on.

mod alone;
mod classifier;
mod cut;
mod error;
mod evaluate;
mod explain;
mod features;
pub mod hierarchy;
mod kept;
pub mod line;
mod look;
mod plan;
pub mod recipe;
mod resolved;
mod run;
mod setup;
mod sink;
pub mod tally;

pub use alone::{Alone, try_alone};
pub use classifier::{Classification, Classifier, Named, Picture, Session};
pub use cut::{CutOptions, CutReport, Form, cut};
pub use error::ClassifyError;
pub use evaluate::{Evaluation, VoteEvaluation, classes, evaluate, evaluate_votes, tree};
pub use explain::{
    ExplainOptions, Explained, Explainer, Explanation, MapKind, SHEET, Seen, activation, explain,
};
pub use features::{Features, features};
pub use kept::{KeepFeatures, Keeping};
pub use look::{Looked, look};
pub use plan::{Planned, plan, planned};
pub use run::{ClassifyOptions, RunReport, run};

pub use crate::engine::{Device, DeviceChoice, Devices, DevicesChoice};
