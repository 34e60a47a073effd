//! Pictures in order, gathered into what networks take at once.
//!
//! Batches are cut from the ordered stream, and where the source says that one
//! ends: with their range where rows are classified, so that a row's batch, and
//! with it the last bit of its probabilities on any device, does not depend on the
//! number of workers, processes or shards; where a step ends in training.

use std::marker::PhantomData;

use super::cutout::Cutout;
use crate::{
    cutout::RgbImage,
    pipeline::{Ended, Outlet, Resequencer, Sequenced, Stage, Weigh},
};

/// Consecutive cutouts of one range.
pub struct Batch {
    /// Those with a picture and, between them, those without.
    pub cutouts: Vec<Cutout<RgbImage>>,
}

impl Weigh for Batch {
    fn weight(&self) -> usize {
        self.cutouts.iter().map(Weigh::weight).sum()
    }
}

/// Restores the order, gathers up to `size` cutouts and makes a batch of them.
///
/// A rejected cutout takes a place like any other: where everything is
/// rejected, batches still leave, and rows with them.
pub struct Gather<F, B, E> {
    size: usize,
    make: F,
    resequencer: Resequencer<Cutout<RgbImage>>,
    cutouts: Vec<Cutout<RgbImage>>,
    batches: u64,
    made: PhantomData<fn() -> (B, E)>,
}

impl<F, B, E> Gather<F, B, E>
where
    F: FnMut(Vec<Cutout<RgbImage>>) -> Result<B, E>,
    B: Weigh,
{
    /// Batches of `size` cutouts, at least one, as `make` makes them.
    pub fn new(size: usize, make: F) -> Self {
        Self {
            size: size.max(1),
            make,
            resequencer: Resequencer::new(),
            cutouts: Vec::new(),
            batches: 0,
            made: PhantomData,
        }
    }

    fn send(&mut self, out: &Outlet<Sequenced<B>>) -> Result<(), Ended<E>> {
        let room = Vec::with_capacity(self.size);
        let cutouts = std::mem::replace(&mut self.cutouts, room);
        let batch = (self.make)(cutouts).map_err(Ended::Failed)?;
        out.send(Sequenced { sequence: self.batches, item: batch })?;
        self.batches += 1;
        Ok(())
    }
}

impl<F, B, E> Stage for Gather<F, B, E>
where
    F: FnMut(Vec<Cutout<RgbImage>>) -> Result<B, E>,
    B: Weigh,
{
    type In = Sequenced<Cutout<RgbImage>>;
    type Out = Sequenced<B>;
    type Error = E;

    fn process(&mut self, item: Self::In, out: &Outlet<Self::Out>) -> Result<(), Ended<E>> {
        self.resequencer.push(item);
        while let Some(cutout) = self.resequencer.pop() {
            let ends = cutout.ends_batch;
            self.cutouts.push(cutout);
            if ends || self.cutouts.len() >= self.size {
                self.send(out)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _out: &Outlet<Self::Out>) -> Result<(), Ended<E>> {
        // Every source marks its last cutout so, and that sent the rest.
        debug_assert!(self.cutouts.is_empty(), "a source without an end");
        Ok(())
    }
}
