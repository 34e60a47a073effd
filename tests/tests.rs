//! One integration crate: a module a subject, helpers in [`util`].

mod augment;
mod catalog;
mod classify;
mod curves;
mod decode;
mod labels;
mod metrics;
mod network;
mod simulate;
mod source;
mod train;
mod util;
