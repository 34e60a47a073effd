//! What every pass over a layer is given.

use std::ops::Range;

use super::gradient_sum::Partials;
use super::groups::Scratches;
use hiwl_kernels::train::{Buffer, Cpu, Element};

/// The batch at hand and what works on it.
pub(super) struct Context<'a, E: Element> {
    pub(super) cpu: Cpu,
    /// What runs kernels over what is kept.
    pub(super) own: E::Runner,
    /// Images of each task.
    pub(super) groups: &'a [Range<usize>],
    /// Images of the batch.
    pub(super) images: usize,
    /// Whether batch norm takes the batch's statistics.
    pub(super) training: bool,
    pub(super) scratches: &'a Scratches,
}

/// Memory shared by the backward passes of all layers.
pub(super) struct Workspace<E: Element> {
    /// Gradient at the gated activation before the projection.
    pub(super) gated: Buffer<E>,
    /// Gradient at the expanded activation before its SiLU.
    pub(super) expanded: Buffer<E>,
    pub(super) partials: Partials,
}

/// Rows that a pass takes at a time when it holds `width` floats of each: a
/// quarter of an L2 cache, whole register tiles, and enough for the weight
/// gradients to be worth loading.
pub(super) fn strip_rows(width: usize) -> usize {
    (65_536 / width / 24 * 24).clamp(72, 240)
}
