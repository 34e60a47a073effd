//! Training: what is learned, how fast, for how long. What computes it stands
//! behind [`crate::engine::Learn`].
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`oddness`] | what tells pictures unlike those that were learned from |
//! | [`recipe`] | everything that decides a run, as a file |
//! | [`targets`] | smoothed labels and the loss's reference |
//! | [`schedule`] | the learning rate of every step |
//! | [`early_stopping`] | when to stop |
//! | [`history`] | a line an epoch, `metrics.csv` |
//! | [`curves`] | the same drawn, `curves.svg` |
//! | [`run`] | a run from its options to its model |

pub mod calibrate;
pub mod curves;
pub mod early_stopping;
pub mod history;
pub mod oddness;
pub mod recipe;
pub mod run;
pub mod schedule;
pub mod targets;
