//! `hiwl` classifies galaxies by shape at the scale of a sky survey.
//!
//! Cutouts flow through stages joined by bounded channels and end as rows of
//! a Parquet catalog. The folders of this crate are the stages, in the order
//! in which a cutout meets them:
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`pipeline`] | stages, links, meters, shutdown: knows nothing of galaxies |
//! | [`events`] | what a run tells whoever listens |
//! | [`source`] | where cutouts come from: folders, tar archives, tables |
//! | [`cutout`] | what flows: decoding, bands to RGB, crop |
//! | [`tree`] | decision trees: questions, answers, classes, routing, columns |
//! | [`labels`] | vote tables to classes, splits, samplers |
//! | [`model`] | model files, weights |
//! | [`engine`] | what computes networks: on processors, on GPUs |
//! | [`train`] | recipes, targets, schedules, and what learns from them |
//! | [`metrics`] | how good predictions are, one file a metric |
//! | [`storage`] | files that appear whole, locks, digests, object stores |
//! | [`run`] | a run's folder: what decides it, its listing, ranges, shards |
//! | [`catalog`] | the rows, their files, and verification |
//! | [`export`] | catalogs for other tools, one file a format |
//! | [`line`](mod@line) | the stages that every mode shares, and what they need to know |
//! | [`simulate`] | galaxies of the five classes rendered from a seed |
//! | [`random`] | random numbers keyed by what they are for |
//! | [`cli`] | one file a subcommand; the only place that knows a terminal |

pub mod catalog;
pub mod classify;
pub mod cli;
pub mod cutout;
pub mod engine;
pub mod events;
pub mod export;
pub mod labels;
pub mod line;
pub mod metrics;
pub mod model;
pub mod pipeline;
pub mod random;
pub mod run;
pub mod simulate;
pub mod source;
pub mod storage;
pub mod train;
pub mod tree;
