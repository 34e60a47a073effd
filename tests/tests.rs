//! One integration crate: a module a subject, helpers in [`util`].

mod augment;
mod curves;
mod labels;
mod metrics;
mod network;
mod util;
