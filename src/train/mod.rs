//! Training: what is learned, how fast, for how long.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`network`] | EfficientNet forward and backward on the CPU, without an autograd graph |
//! | [`gpu`] | the same on a GPU |
//! | [`optimizer`] | how gradients become steps |
//! | [`recipe`] | everything that decides a run, as a file |
//! | [`targets`] | smoothed labels and the loss's reference |
//! | [`schedule`] | the learning rate of every step |
//! | [`early_stopping`] | when to stop |
//! | [`history`] | a line an epoch, `metrics.csv` |
//! | [`run`] | a run from its options to its model |

pub mod early_stopping;
pub mod history;
pub mod optimizer;
pub mod recipe;
pub mod run;
pub mod schedule;
pub mod targets;
