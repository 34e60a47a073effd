//! The line from listed cutouts to classified rows, shared by every mode that
//! ends in predictions.
//!
//! Memory. A [`Window`] of `WINDOW_BATCHES × batch` cutouts bounds what is in
//! flight, from the source to the sink, and most of it waits as crops: with
//! the defaults (batch 32, 240 px) 8 × 32 × 172,800 B = 44 MB, and with a GPU's
//! batches of 256 354 MB. Before the
//! crop a cutout is larger (a 424 px JPEG 0.5 MB as pixels, three 424 px FITS
//! bands 2.2 MB), and there the channels are the bound: at most
//! [`QUEUE`] + workers of them as bytes, and as many as pixels. The sum does
//! not depend on the number of cutouts.
//!
//! No deadlock: the line needs one batch of cutouts in flight to go on and
//! the window holds `WINDOW_BATCHES`; see [`crate::pipeline::order`].

use std::sync::Arc;

use super::{
    ClassifyError,
    batch::{Classified, Gather},
    cutout::Cutout,
    stages,
};
use crate::{
    cutout::{decode::DecodeOptions, prepare::Preparation},
    network::hierarchy::{Hierarchy, Stage2},
    pipeline::{Graph, Inlet, Sequenced, Window, map},
    source::{Locator, read::Reader, rows::RowImages},
};

/// Cutouts that wait between two stages before the crop. A few hide the
/// jitter of disks and decoders; more would only hold memory.
pub const QUEUE: usize = 8;

/// Batches in flight: one with the networks, one waiting, one being gathered,
/// one leaving, and as many again for what runs ahead. On a GPU up to three are
/// with the networks: the window still holds five more.
const WINDOW_BATCHES: usize = 8;

/// Threads that read. Reading waits for disks more than it computes, so their
/// number does not follow the cores.
const READERS: usize = 4;

/// The same for object stores, which answer after tens of milliseconds. It
/// bounds the requests that are under way at once.
const REMOTE_READERS: usize = 32;

/// What the line needs to know.
#[derive(Clone)]
pub struct Line {
    /// Bands and limits.
    pub decode: Arc<DecodeOptions>,
    /// Crop, colours, resampling.
    pub preparation: Arc<Preparation>,
    /// Both networks.
    pub hierarchy: Arc<Hierarchy>,
    /// Which rows the second one sees.
    pub stage2: Stage2,
    /// Whether an input is an object store's.
    pub remote: bool,
    /// Cutouts a batch.
    pub batch: usize,
    /// Threads that decode, that prepare, and that infer.
    pub workers: usize,
    /// The pool that infers.
    pub threads: Arc<rayon::ThreadPool>,
    /// What a person should know before it starts.
    pub note: Option<String>,
}

impl Line {
    /// The window to take a place in for each cutout at the source, and to
    /// leave at the sink.
    pub fn window(&self) -> Window {
        Window::new(WINDOW_BATCHES * self.batch.max(1))
    }

    /// Adds the stages to `graph`, after the source behind `listed`. Batches
    /// come out numbered; where several are run at once, in any order.
    pub fn extend(
        &self,
        graph: &mut Graph<ClassifyError>,
        listed: Inlet<Sequenced<Cutout<Locator>>>,
    ) -> Inlet<Sequenced<Classified>> {
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
        let prepared = graph.stage("prepare", self.workers, QUEUE, decoded, || {
            let preparation = Arc::clone(&self.preparation);
            map(move |item: Sequenced<_>| {
                Ok(item.map(|cutout| stages::prepare(&preparation, cutout)))
            })
        });
        let batches = graph.stage("batch", 1, 1, prepared, || Gather::new(self.batch));
        graph.stage("infer", self.hierarchy.lanes(), 1, batches, || {
            let (hierarchy, stage2) = (Arc::clone(&self.hierarchy), self.stage2);
            // Several batches at once are a GPU's: a thread that waits for it
            // must not hold one of the pool's.
            let threads = (hierarchy.lanes() == 1).then(|| Arc::clone(&self.threads));
            map(move |Sequenced { sequence, item }: Sequenced<_>| {
                let infer = || stages::infer(&hierarchy, stage2, item);
                let item = match &threads {
                    Some(threads) => threads.install(infer)?,
                    None => infer()?,
                };
                Ok(Sequenced { sequence, item })
            })
        })
    }
}
