//! One integration crate: a module a subject, helpers in [`util`].
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that panics has failed, and says why"
)]

mod architecture;
mod augment;
mod catalog;
mod classify;
mod colour;
mod cuda;
mod curves;
mod decode;
mod export;
mod labels;
mod looking;
mod metrics;
mod mosaic;
mod network;
mod page;
mod pages;
mod python;
mod simulate;
mod source;
mod train;
mod util;
mod wcs;
