//! One integration crate: a module a subject, helpers in [`util`].

mod catalog;
mod classify;
mod network;
mod source;
mod util;
