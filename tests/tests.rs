//! One integration crate: a module a subject, helpers in [`util`].

mod decode;
mod util;
