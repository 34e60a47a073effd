//! Networks that classify on a GPU: two as one piece of work ([`Cascade`]),
//! one by itself ([`Alone`]), or one to be timed ([`Single`]).
//!
//! `forward` has the launches of a network, `fold` its weights, `lanes` the
//! batches under way at once.

mod alone;
mod cascade;
mod door;
pub(super) mod fold;
pub(super) mod forward;
mod lanes;
mod single;
#[cfg(test)]
mod tests;

pub use self::{
    alone::Alone,
    cascade::{Cascade, CascadeOptions},
    single::Single,
};
