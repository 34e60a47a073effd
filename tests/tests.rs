//! One integration crate: a module a subject, helpers in [`util`].

mod catalog;
mod classify;
mod decode;
mod network;
mod simulate;
mod source;
mod train;
mod util;
