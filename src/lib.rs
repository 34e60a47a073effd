//! `hiwl` classifies galaxies by shape at the scale of a sky survey.
//!
//! One picture:
//!
//! ```
//! use hiwl::Classifier;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let classifier = Classifier::open("fixtures/models/untrained-nano.safetensors")?;
//! let image = std::fs::read("fixtures/cutouts/jpeg/1237022322676379433.jpg")?;
//! let galaxy = classifier.classify(&image)?;
//! println!("{} ({:.0} %)", galaxy.label, 100.0 * galaxy.confidence);
//! for (column, probability) in &galaxy.probabilities {
//!     println!("{column}: {probability:?}");
//! }
//! # assert!(["CRS", "IBS", "CSS", "EO", "SPI"].contains(&galaxy.label.as_str()));
//! # assert_eq!(galaxy.probabilities.len(), 6);
//! # Ok(())
//! # }
//! ```
//!
//! Many, into a catalog on disk that a stopped run goes on with:
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use hiwl::classify::{self, ClassifyOptions};
//! use hiwl::events::{Listener, Silent};
//! use hiwl::pipeline::Stop;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let mut options = ClassifyOptions::new(Path::new("fixtures/models/untrained-nano.safetensors"));
//! options.inputs.push("fixtures/cutouts/jpeg".into());
//! options.output = folder.path().join("night1");
//! let listener: Arc<dyn Listener> = Arc::new(Silent);
//! let report = classify::run(&options, &listener, &Stop::new())?;
//! assert!(report.is_finished() && report.is_flawless());
//! # assert_eq!(report.tally().rows, 25);
//! # Ok(())
//! # }
//! ```
//!
//! Cutouts flow through stages joined by bounded channels and end as rows of
//! a Parquet catalog. The folders of this crate are the stages, in the order
//! in which a cutout meets them:
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`pipeline`] | stages, links, meters, shutdown: knows nothing of galaxies |
//! | [`events`] | what a run tells whoever listens |
//! | [`limits`] | how much a file may state of itself |
//! | [`words`] | numbers and suggestions in messages |
//! | [`source`] | where cutouts come from: folders, tar archives, tables |
//! | [`cutout`] | what flows: decoding, bands to RGB, crop |
//! | [`draw`] | colour maps, panels, clouds of points |
//! | [`mosaic`] | cutouts from a survey's own images |
//! | [`tree`] | decision trees: questions, answers, classes, routing, columns |
//! | [`labels`] | vote tables to classes, splits, samplers |
//! | [`model`] | model files, weights, the two-stage hierarchy |
//! | [`engine`] | what computes networks: on processors, on GPUs |
//! | [`train`] | recipes, targets, schedules, and what learns from them |
//! | [`metrics`] | how good predictions are, one file a metric |
//! | [`storage`] | files that appear whole, locks, digests, object stores |
//! | [`tables`] | tables of every format, as columns of cells |
//! | [`run`] | a run's folder: what decides it, its listing, ranges, shards |
//! | [`catalog`] | the rows, their files, and verification |
//! | [`export`] | catalogs for other tools, one file a format |
//! | [`vectors`] | features of a catalog: the nearest of one, maps of all |
//! | [`line`](mod@line) | the stages that every mode shares: list, read, decode, prepare, batch |
//! | [`page`] | contact sheets, charts, reports: what people look at |
//! | [`classify`] | inputs in, catalog out; evaluation; single pictures |
//! | [`simulate`] | galaxies of the five classes rendered from a seed |
//! | [`random`] | random numbers keyed by what they are for |
//! | [`cli`] | one file a subcommand; the only place that knows a terminal |

pub mod catalog;
pub mod classify;
pub mod cli;
pub mod cutout;
pub mod draw;
pub mod engine;
pub mod events;
pub mod export;
pub mod labels;
pub mod limits;
pub mod line;
pub mod metrics;
pub mod model;
pub mod mosaic;
#[cfg(test)]
#[path = "../tests/util/near.rs"]
mod near;
pub mod page;
pub mod pipeline;
pub mod random;
pub mod run;
pub mod simulate;
pub mod source;
pub mod storage;
pub mod tables;
pub mod train;
pub mod tree;
pub mod vectors;
pub mod words;

pub use classify::Classifier;
