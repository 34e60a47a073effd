//! From a list of images to batches of pixels: source → read → decode →
//! augment → batch, on the engine that classifies too.
//!
//! A worker's part does not depend on who does it: what happens to an image is
//! decided by seed, epoch, id and how often it was drawn before. Batches come
//! out in the order of the list.
//!
//! Memory. A [`Window`] of [`WINDOW_BATCHES`] batches bounds what is in flight
//! from the source to whoever takes the batches: at 240 px and 48 images a
//! batch 4 × 48 × 172,800 B = 33 MB, and [`QUEUE`] + workers decoded images
//! before they are cut.
//!
//! No deadlock: the line needs one batch of images in flight to go on and the
//! window holds [`WINDOW_BATCHES`]; see [`crate::pipeline::order`].

use std::sync::Arc;

use super::TrainError;
use super::data::Image;
use crate::cutout::augment::{Augmentation, Augmenter, Draws};
use crate::cutout::decode::DecodeOptions;
use crate::cutout::prepare::Preparation;
use crate::cutout::{Payload, Rejection, RgbImage};
use crate::line::{self, Reading};
use crate::pipeline::{Ended, Graph, Inlet, Outlet, Resequencer, Sequenced, Stage, Weigh, Window};
use crate::source::read::Reader;

/// Images that wait between two stages before the crop.
const QUEUE: usize = 8;

/// Batches in flight: one being learned, one waiting, one being gathered, one
/// running ahead.
const WINDOW_BATCHES: usize = 4;

/// Threads that read; most images are in memory.
const READERS: usize = 2;

/// An image of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// Its place in the list of images.
    pub image: usize,
    /// The output that stands for its class.
    pub output: usize,
    /// How often it was drawn before in the epoch.
    pub repeat: u32,
}

/// What is done to the pixels.
#[derive(Debug, Clone)]
pub enum View {
    /// Another picture in every epoch.
    Augmented {
        /// What may happen.
        recipe: Arc<Augmentation>,
        /// Of the model.
        seed: u64,
        /// Counted from 0.
        epoch: u32,
    },
    /// The central square of so many pixels.
    Centre(usize),
}

impl View {
    /// Side of the square that it is cut from, in pixels.
    fn crop(&self) -> usize {
        match self {
            Self::Augmented { recipe, .. } => recipe.crop,
            Self::Centre(crop) => *crop,
        }
    }
}

/// What a feed is made of.
#[derive(Clone)]
pub struct Feed {
    /// All images of the split.
    pub images: Arc<Vec<Image>>,
    /// Those of this feed, in order.
    pub shots: Vec<Shot>,
    /// Sizes of the batches; their sum is the number of shots.
    pub batches: Vec<usize>,
    /// What is done to them.
    pub view: View,
    /// How their bytes become pictures.
    pub reading: Arc<Reading>,
    /// Side of the images that come out, in pixels.
    pub size: usize,
    /// Threads that decode, and that augment.
    pub workers: usize,
}

/// Images for the network.
pub struct Batch {
    /// `outputs.len() × size × size × 3` bytes of interleaved RGB.
    pub pixels: Vec<u8>,
    /// The output that stands for each image's class.
    pub outputs: Vec<usize>,
}

impl Weigh for Batch {
    fn weight(&self) -> usize {
        self.pixels.len()
    }
}

impl Feed {
    /// Adds source and stages to `graph`. Whoever takes a batch leaves as many
    /// places of the window as it has images.
    pub fn extend(self, graph: &mut Graph<TrainError>) -> (Inlet<Sequenced<Batch>>, Window) {
        let largest = self.batches.iter().copied().max().unwrap_or(1);
        let window = Window::new(WINDOW_BATCHES * largest);
        let Self { images, shots, batches, view, reading, size, workers } = self;
        let options = reading.decode_options();
        let preparation = reading.preparation(view.crop());
        let places = window.clone();
        let drawn = graph.source("draw", QUEUE, move |out| {
            for (sequence, item) in (0..).zip(shots) {
                places.enter(out)?;
                out.send(Sequenced { sequence, item })?;
            }
            Ok(())
        });
        let read = graph.stage("read", READERS, QUEUE, drawn, || Read {
            images: Arc::clone(&images),
            reader: Reader::new(),
        });
        let decoded = graph.stage("decode", workers, QUEUE, read, || Decode {
            images: Arc::clone(&images),
            options: options.clone(),
            preparation: preparation.clone(),
        });
        let seen = graph.stage("augment", workers, QUEUE, decoded, || Augment {
            images: Arc::clone(&images),
            view: view.clone(),
            size,
            augmenter: Augmenter::new(),
        });
        let gathered = graph.stage("batch", 1, 1, seen, || Gather {
            sizes: batches.clone().into_iter(),
            order: Resequencer::new(),
            images: Vec::new(),
            wanted: 0,
            sent: 0,
        });
        (gathered, window)
    }
}

/// A shot, as far as it got.
struct Sample<T> {
    shot: Shot,
    state: T,
}

impl Weigh for Shot {
    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

impl Weigh for Sample<Payload> {
    fn weight(&self) -> usize {
        self.state.len()
    }
}

impl Weigh for Sample<RgbImage> {
    fn weight(&self) -> usize {
        self.state.pixels.len()
    }
}

/// An image that was good when the run began and is not any more: the run
/// must not go on without it, or it would be another run.
fn gone(images: &[Image], shot: Shot) -> impl FnOnce(Rejection) -> Ended<TrainError> + '_ {
    move |rejection| {
        let id = images[shot.image].id.clone();
        Ended::Failed(TrainError::Image { id, rejection })
    }
}

/// Fetches the bytes.
struct Read {
    images: Arc<Vec<Image>>,
    reader: Reader,
}

impl Stage for Read {
    type In = Sequenced<Shot>;
    type Out = Sequenced<Sample<Payload>>;
    type Error = TrainError;

    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<TrainError>> {
        let shot = item.item;
        let read = self.images[shot.image].payload(&mut self.reader);
        let state = read.map_err(gone(&self.images, shot))?;
        Ok(out.send(item.map(|shot| Sample { shot, state }))?)
    }
}

/// Turns bytes into colours.
struct Decode {
    images: Arc<Vec<Image>>,
    options: DecodeOptions,
    preparation: Preparation,
}

impl Stage for Decode {
    type In = Sequenced<Sample<Payload>>;
    type Out = Sequenced<Sample<RgbImage>>;
    type Error = TrainError;

    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<TrainError>> {
        let Sequenced { sequence, item: Sample { shot, state } } = item;
        let picture = line::picture(&state, &self.options, &self.preparation);
        let state = picture.map_err(gone(&self.images, shot))?;
        Ok(out.send(Sequenced { sequence, item: Sample { shot, state } })?)
    }
}

/// Cuts out what the network sees.
struct Augment {
    images: Arc<Vec<Image>>,
    view: View,
    size: usize,
    augmenter: Augmenter,
}

impl Stage for Augment {
    type In = Sequenced<Sample<RgbImage>>;
    type Out = Sequenced<Sample<RgbImage>>;
    type Error = TrainError;

    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<TrainError>> {
        let Sequenced { sequence, item: Sample { shot, state } } = item;
        let (crop, draws) = match &self.view {
            View::Augmented { recipe, seed, epoch } => {
                let id = &self.images[shot.image].id;
                (recipe.crop, Draws::new(recipe, *seed, *epoch, id, shot.repeat))
            }
            View::Centre(crop) => (*crop, Draws::none(*crop)),
        };
        let state = self
            .augmenter
            .apply(&state, crop, &draws, self.size)
            .map_err(gone(&self.images, shot))?;
        Ok(out.send(Sequenced { sequence, item: Sample { shot, state } })?)
    }
}

/// Restores the order and gathers batches.
struct Gather {
    sizes: std::vec::IntoIter<usize>,
    order: Resequencer<Sample<RgbImage>>,
    images: Vec<Sample<RgbImage>>,
    /// Images of the batch in hand; 0 before the first.
    wanted: usize,
    sent: u64,
}

impl Stage for Gather {
    type In = Sequenced<Sample<RgbImage>>;
    type Out = Sequenced<Batch>;
    type Error = TrainError;

    fn process(
        &mut self,
        item: Self::In,
        out: &Outlet<Self::Out>,
    ) -> Result<(), Ended<TrainError>> {
        self.order.push(item);
        while let Some(sample) = self.order.pop() {
            if self.wanted == 0 {
                self.wanted = self.sizes.next().unwrap_or(1);
            }
            self.images.push(sample);
            if self.images.len() == self.wanted {
                let images = std::mem::take(&mut self.images);
                let pixels = images.iter().map(|s| s.state.pixels.as_slice()).collect::<Vec<_>>();
                let batch = Batch {
                    pixels: pixels.concat(),
                    outputs: images.iter().map(|s| s.shot.output).collect(),
                };
                out.send(Sequenced { sequence: self.sent, item: batch })?;
                self.sent += 1;
                self.wanted = 0;
            }
        }
        Ok(())
    }
}

/// Batches as equal as can be, none larger than `most`: a last batch of a few
/// images would give batch norm poor statistics.
pub fn even_batches(images: usize, most: usize) -> Vec<usize> {
    let count = images.div_ceil(most.max(1));
    (0..count).map(|i| (i + 1) * images / count - i * images / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_even_and_hold_every_image() {
        for (images, most) in [(23_034, 48), (7, 48), (48, 48), (49, 48), (0, 8), (5, 1)] {
            let batches = even_batches(images, most);
            assert_eq!(batches.iter().sum::<usize>(), images);
            let range = (batches.iter().min(), batches.iter().max());
            if let (Some(least), Some(largest)) = range {
                assert!(*largest <= most && largest - least <= 1, "{batches:?}");
            }
        }
        assert_eq!(even_batches(23_034, 48).len(), 480);
    }
}
