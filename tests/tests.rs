//! One integration crate: a module a subject, helpers in [`util`].

mod classify;
mod network;
mod source;
mod util;
