//! The first half of the line: from listed cutouts to the pictures that the
//! networks see. It needs no network, so that pictures can be looked at without.

use std::sync::Arc;

use super::{ClassifyError, cutout::Cutout, line::QUEUE, observed::Observed, stages};
use crate::{
    cutout::{RgbImage, decode::DecodeOptions, prepare::Preparation},
    pipeline::{Graph, Inlet, Sequenced, map},
    source::{Locator, read::Reader, rows::RowImages},
};

/// Threads that read. Reading waits for disks more than it computes, so their
/// number does not follow the cores.
const READERS: usize = 4;

/// The same for object stores, which answer after tens of milliseconds. It
/// bounds the requests that are under way at once.
const REMOTE_READERS: usize = 32;

/// What it needs to know.
#[derive(Clone)]
pub struct Front {
    /// Bands and limits.
    pub decode: Arc<DecodeOptions>,
    /// Crop, colours, scale.
    pub preparation: Arc<Preparation>,
    /// What is taken for granted on the way.
    pub observed: Arc<Observed>,
    /// Whether an input is an object store's.
    pub remote: bool,
    /// Threads that decode, and that prepare.
    pub workers: usize,
}

impl Front {
    /// Adds the stages to `graph`, after the source behind `listed`. Pictures
    /// come out in any order.
    pub fn extend(
        &self,
        graph: &mut Graph<ClassifyError>,
        listed: Inlet<Sequenced<Cutout<Locator>>>,
    ) -> Inlet<Sequenced<Cutout<RgbImage>>> {
        let rows = RowImages::default();
        let readers = if self.remote { REMOTE_READERS } else { READERS };
        let read = graph.stage("read", readers, QUEUE, listed, || {
            let mut reader = Reader::sharing(rows.clone());
            map(move |item: Sequenced<_>| Ok(item.map(|cutout| stages::read(&mut reader, cutout))))
        });
        let decoded = graph.stage("decode", self.workers, QUEUE, read, || {
            let options = Arc::clone(&self.decode);
            map(move |item: Sequenced<_>| Ok(item.map(|cutout| stages::decode(&options, cutout))))
        });
        graph.stage("prepare", self.workers, QUEUE, decoded, || {
            let (preparation, observed) =
                (Arc::clone(&self.preparation), Arc::clone(&self.observed));
            map(move |item: Sequenced<_>| {
                Ok(item.map(|cutout| stages::prepare(&preparation, &observed, cutout)))
            })
        })
    }
}
