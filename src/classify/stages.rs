//! The workers of `hiwl classify`, in the order in which a cutout meets them.
//!
//! Each is a thin hand on something that lives elsewhere: reading in
//! [`crate::source`], decoding and cropping in [`crate::cutout`], the networks
//! in [`crate::network`].

use std::sync::Arc;

use super::{
    ClassifyError,
    batch::{Batch, Classified},
    cutout::Cutout,
};
use crate::{
    catalog::Row,
    cutout::{
        Decoded, Payload, RgbImage,
        decode::{self, DecodeOptions},
        prepare::{self, Preparation},
    },
    network::hierarchy::{Hierarchy, Stage2},
    pipeline::{Ended, Outlet, Sequenced, Stage},
    source::{Locator, read::Reader},
};

/// Fetches the bytes.
#[derive(Default)]
pub struct Read {
    reader: Reader,
}

impl Stage for Read {
    type In = Sequenced<Cutout<Locator>>;
    type Out = Sequenced<Cutout<Payload>>;
    type Error = ClassifyError;

    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<ClassifyError>> {
        let read = |locator| self.reader.read(&locator);
        Ok(out.send(item.map(|cutout| cutout.advance(read)))?)
    }
}

/// Turns bytes into pixels.
pub struct Decode {
    /// Bands and limits of the run.
    pub options: Arc<DecodeOptions>,
}

impl Stage for Decode {
    type In = Sequenced<Cutout<Payload>>;
    type Out = Sequenced<Cutout<Decoded>>;
    type Error = ClassifyError;

    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<ClassifyError>> {
        let decode = |payload: Payload| decode::decode(&payload, &self.options);
        let mut item = item.map(|cutout| cutout.advance(decode));
        // A table knows its objects better than a header does.
        if let (None, Ok(Decoded::Bands(bands))) = (item.item.position, &item.item.state) {
            item.item.position = bands.centre;
        }
        Ok(out.send(item)?)
    }
}

/// Cuts out what the network sees.
pub struct Prepare {
    /// Crop, colours and resampling of the run.
    pub preparation: Arc<Preparation>,
}

impl Stage for Prepare {
    type In = Sequenced<Cutout<Decoded>>;
    type Out = Sequenced<Cutout<RgbImage>>;
    type Error = ClassifyError;

    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<ClassifyError>> {
        let crop = |decoded: Decoded| prepare::prepare(&decoded, &self.preparation);
        Ok(out.send(item.map(|cutout| cutout.advance(crop)))?)
    }
}

/// Runs the networks on a batch.
pub struct Infer {
    /// Both networks.
    pub hierarchy: Arc<Hierarchy>,
    /// Which rows the second one sees.
    pub stage2: Stage2,
    /// The threads it may use.
    pub threads: Arc<rayon::ThreadPool>,
}

impl Stage for Infer {
    type In = Sequenced<Batch>;
    type Out = Sequenced<Classified>;
    type Error = ClassifyError;

    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<ClassifyError>> {
        let Sequenced { sequence, item: Batch { cutouts } } = item;
        let images: Vec<&[u8]> = cutouts
            .iter()
            .filter_map(|cutout| cutout.state.as_ref().ok())
            .map(|image| image.pixels.as_slice())
            .collect();
        let predictions = self
            .threads
            .install(|| self.hierarchy.classify(&images, self.stage2))
            .map_err(|error| Ended::Failed(ClassifyError::Network(error)))?;
        let mut predictions = predictions.into_iter();
        let rows = cutouts
            .into_iter()
            .map(|cutout| {
                let cutout = cutout.advance(|_| {
                    predictions.next().expect("an outcome for each image of the batch")
                });
                Row {
                    index: cutout.index,
                    id: cutout.id,
                    source: cutout.source,
                    position: cutout.position,
                    outcome: cutout.state,
                }
            })
            .collect();
        Ok(out.send(Sequenced { sequence, item: Classified { rows } })?)
    }
}
