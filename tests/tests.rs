//! One integration crate: a module a subject, helpers in [`util`].

mod simulate;
mod util;
