//! One integration crate: a module a subject, helpers in [`util`].

mod network;
mod train;
mod util;
