//! The stages that every mode begins with: from listed cutouts to pictures, read →
//! decode → prepare. They need no network.
//!
//! Reading and decoding are the same for all. What is made of the pixels is each
//! mode's: [`Crops`] are what networks judge, training looks at random views.
//!
//! Invariant: one picture or rejection for each cutout; none is lost.

use std::sync::Arc;

use super::{
    cutout::{Bytes, Cutout},
    observed::Observed,
    stages::{self, Fetch},
};
use crate::{
    cutout::{Decoded, RgbImage, decode::DecodeOptions, prepare::Preparation},
    mosaic::{Mosaics, Settings},
    pipeline::{Graph, Inlet, Sequenced, map},
    run::Journal,
    source::{read::Reader, rows::RowImages},
};

/// Cutouts that wait between two stages before the crop. A few hide the
/// jitter of disks and decoders; more would only hold memory.
pub const QUEUE: usize = 8;

/// Threads that read. Reading waits for disks more than it computes, so their
/// number does not follow the cores.
const READERS: usize = 4;

/// The same for object stores, which answer after tens of milliseconds. It
/// bounds the requests that are under way at once.
const REMOTE_READERS: usize = 32;

/// What reading and decoding need to know.
#[derive(Clone)]
pub struct Front {
    /// Bands and limits.
    pub decode: Arc<DecodeOptions>,
    /// How mosaics are read.
    pub cutting: Settings,
    /// Whether an input is an object store's.
    pub remote: bool,
    /// Whether cutouts are made of mosaics.
    pub from_mosaics: bool,
    /// Threads that decode, and that prepare.
    pub workers: usize,
    /// Where they say what they are at, where somebody may ask.
    pub journal: Journal,
}

impl Front {
    /// A reader by itself.
    pub fn reader(&self) -> Reader {
        Reader::sharing(RowImages::default(), self.mosaics())
    }

    fn mosaics(&self) -> Mosaics {
        Mosaics::new(self.cutting.clone())
    }

    /// Adds the stages to `graph`, after the source behind `listed`; `prepare`
    /// makes a worker of the last. Pictures come out in any order.
    pub fn extend<E, L, P>(
        &self,
        graph: &mut Graph<E>,
        listed: Inlet<Sequenced<Cutout<L>>>,
        prepare: impl Fn() -> P,
    ) -> Inlet<Sequenced<Cutout<RgbImage>>>
    where
        E: Send + 'static,
        L: Fetch + Bytes + Send + 'static,
        P: FnMut(Cutout<Decoded>) -> Cutout<RgbImage> + Send + 'static,
    {
        let (rows, mosaics) = (RowImages::default(), self.mosaics());
        let least = if self.remote { REMOTE_READERS } else { READERS };
        // To read of a mosaic is to unpack its tiles and to resample: work for cores.
        let readers = if self.from_mosaics { least.max(self.workers) } else { least };
        let read = graph.stage("read", readers, QUEUE, listed, || {
            let mut reader = Reader::sharing(rows.clone(), mosaics.clone());
            let journal = self.journal.worker();
            map(move |item: Sequenced<Cutout<_>>| {
                let at = item.item.index;
                Ok(journal.at(at, || item.map(|cutout| stages::read(&mut reader, cutout))))
            })
        });
        let decoded = graph.stage("decode", self.workers, QUEUE, read, || {
            let options = Arc::clone(&self.decode);
            let journal = self.journal.worker();
            map(move |item: Sequenced<Cutout<_>>| {
                let at = item.item.index;
                Ok(journal.at(at, || item.map(|cutout| stages::decode(&options, cutout))))
            })
        });
        graph.stage("prepare", self.workers, QUEUE, decoded, || {
            let mut prepare = prepare();
            let journal = self.journal.worker();
            map(move |item: Sequenced<Cutout<_>>| {
                let at = item.item.index;
                Ok(journal.at(at, || item.map(&mut prepare)))
            })
        })
    }
}

/// What networks judge: the last of the stages where nothing is learned.
#[derive(Clone)]
pub struct Crops {
    /// Crop, colours, scale.
    pub preparation: Arc<Preparation>,
    /// What is taken for granted on the way.
    pub observed: Arc<Observed>,
}

impl Crops {
    /// What a worker does.
    pub fn worker(&self) -> impl FnMut(Cutout<Decoded>) -> Cutout<RgbImage> + Send + use<> {
        let Self { preparation, observed } = self.clone();
        move |cutout| stages::crop(&preparation, &observed, cutout)
    }
}
