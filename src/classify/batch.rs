//! Cutouts in order, gathered into what the networks take at once.
//!
//! Batches are cut from the ordered stream and end with their range, so that
//! a row's batch, and with it the last bit of its probabilities on any
//! device, does not depend on the number of workers, processes or shards.

use super::{ClassifyError, cutout::Cutout};
use crate::{
    catalog::Row,
    cutout::RgbImage,
    pipeline::{Ended, Outlet, Resequencer, Sequenced, Stage, Weigh},
};

/// Consecutive cutouts of one range.
pub struct Batch {
    /// Those with a crop and, between them, those without.
    pub cutouts: Vec<Cutout<RgbImage>>,
}

impl Weigh for Batch {
    fn weight(&self) -> usize {
        self.cutouts.iter().map(Weigh::weight).sum()
    }
}

/// A batch's rows.
pub struct Classified {
    /// One a cutout, in order.
    pub rows: Vec<Row>,
}

impl Weigh for Classified {
    fn weight(&self) -> usize {
        self.rows.iter().map(|row| size_of::<Row>() + row.id.len() + row.source.len()).sum()
    }
}

/// Restores the order and gathers `size` cutouts a batch.
///
/// A rejected cutout takes a place like any other: where everything is
/// rejected, batches still leave, and rows with them.
pub struct Gather {
    size: usize,
    resequencer: Resequencer<Cutout<RgbImage>>,
    cutouts: Vec<Cutout<RgbImage>>,
    batches: u64,
}

impl Gather {
    /// Batches of `size` cutouts, at least one.
    pub fn new(size: usize) -> Self {
        Self { size: size.max(1), resequencer: Resequencer::new(), cutouts: Vec::new(), batches: 0 }
    }

    fn send(&mut self, out: &Outlet<Sequenced<Batch>>) -> Result<(), Ended<ClassifyError>> {
        let room = Vec::with_capacity(self.size);
        let batch = Batch { cutouts: std::mem::replace(&mut self.cutouts, room) };
        out.send(Sequenced { sequence: self.batches, item: batch })?;
        self.batches += 1;
        Ok(())
    }
}

impl Stage for Gather {
    type In = Sequenced<Cutout<RgbImage>>;
    type Out = Sequenced<Batch>;
    type Error = ClassifyError;

    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<ClassifyError>> {
        self.resequencer.push(item);
        while let Some(cutout) = self.resequencer.pop() {
            let ends_range = cutout.ends_range;
            self.cutouts.push(cutout);
            if ends_range || self.cutouts.len() >= self.size {
                self.send(out)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _out: &Outlet<Self::Out>) -> Result<(), Ended<ClassifyError>> {
        // Every range ends with a cutout marked so, and that sent the rest.
        debug_assert!(self.cutouts.is_empty(), "a range without an end");
        Ok(())
    }
}
