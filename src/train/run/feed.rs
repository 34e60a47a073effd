//! From a list of images to batches of pixels: the stages of [`crate::line`], from
//! a source that draws, with random views as what is made of the pixels.
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
use super::data::{Dataset, Image};
use crate::cutout::augment::{Augmentation, Augmenter, Draws};
use crate::cutout::prepare::{self, Preparation};
use crate::cutout::{Decoded, Payload, Rejection, RgbImage};
use crate::line::cutout::Bytes;
use crate::line::stages::Fetch;
use crate::line::{Cutout, Front, Gather, QUEUE};
use crate::pipeline::{Graph, Inlet, Sequenced, Weigh, Window};
use crate::source::read::Reader;

/// Batches in flight: one being learned, one waiting, one being gathered, one
/// running ahead.
const WINDOW_BATCHES: usize = 4;

/// An image of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// Its place in the list of images.
    pub image: usize,
    /// The output that stands for its class; of a training image its place again,
    /// by which what is learned of it is looked up.
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
        /// Pictures of an image in all; every epoch has its own without a number.
        views: Option<u32>,
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

    fn draws(&self, id: &str, shot: Shot) -> Draws {
        match self {
            Self::Augmented { recipe, seed, epoch, views } => {
                let (epoch, repeat) = drawn(*views, *epoch, shot.repeat);
                Draws::new(recipe, *seed, epoch, id, repeat)
            }
            Self::Centre(crop) => Draws::none(*crop),
        }
    }
}

/// Which draw of the augmentation the `repeat`th showing of an image in an epoch (both
/// from 0) is, as epoch and repeat: with `views` they are taken in turn.
pub fn drawn(views: Option<u32>, epoch: u32, repeat: u32) -> (u32, u32) {
    match views {
        None => (epoch, repeat),
        Some(views) => (epoch.wrapping_add(repeat) % views.max(1), 0),
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
    /// Side of the images that come out, in pixels.
    pub size: usize,
}

/// Images for the network.
pub struct Batch {
    /// `outputs.len() × size × size × 3` bytes of interleaved RGB.
    pub pixels: Vec<u8>,
    /// The output that stands for each image's class, or the image's place.
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
    pub fn extend(
        self,
        graph: &mut Graph<TrainError>,
        data: &Dataset,
    ) -> (Inlet<Sequenced<Batch>>, Window) {
        let Self { images, shots, batches, view, size } = self;
        let largest = batches.iter().copied().max().unwrap_or(1);
        let window = Window::new(WINDOW_BATCHES * largest);
        let prepare = Views {
            preparation: Arc::new(data.preparation(view.crop())),
            view,
            size,
            shots: shots.into(),
        };
        let (places, drawn) = (window.clone(), Arc::clone(&prepare.shots));
        let source = graph.source("draw", QUEUE, move |out| {
            let mut rest = batches.into_iter();
            let mut left = 0;
            for (sequence, shot) in (0..).zip(drawn.iter()) {
                if left == 0 {
                    left = rest.next().unwrap_or(1);
                }
                left -= 1;
                places.enter(out)?;
                let item = taken(&images, shot.image, sequence, left == 0);
                out.send(Sequenced { sequence, item })?;
            }
            Ok(())
        });
        let front: &Front = &data.front;
        let seen = front.extend(graph, source, || prepare.clone().worker());
        let gathered = graph.stage("batch", 1, 1, seen, || {
            let shots = Arc::clone(&prepare.shots);
            Gather::new(largest, move |cutouts| joined(&shots, cutouts))
        });
        (gathered, window)
    }
}

/// An image on its way.
fn taken(
    images: &Arc<Vec<Image>>,
    place: usize,
    sequence: u64,
    ends_batch: bool,
) -> Cutout<Stored> {
    let Image { id, radius, .. } = &images[place];
    Cutout {
        index: sequence,
        ends_batch,
        id: id.clone(),
        source: String::new(),
        position: None,
        note: None,
        radius: *radius,
        state: Ok(Stored { images: Arc::clone(images), place }),
    }
}

/// The bytes of an image: in memory, or where it was listed.
struct Stored {
    images: Arc<Vec<Image>>,
    place: usize,
}

impl Fetch for Stored {
    fn fetch(self, reader: &mut Reader) -> Result<Payload, Rejection> {
        self.images[self.place].payload(reader)
    }
}

impl Bytes for Stored {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// What is made of the pixels in training.
#[derive(Clone)]
struct Views {
    preparation: Arc<Preparation>,
    view: View,
    /// Side of what comes out, in pixels.
    size: usize,
    shots: Arc<[Shot]>,
}

impl Views {
    /// What a worker does.
    fn worker(self) -> impl FnMut(Cutout<Decoded>) -> Cutout<RgbImage> + Send {
        let mut augmenter = Augmenter::new();
        move |cutout| {
            let draws = self.view.draws(&cutout.id, self.shots[cutout.index as usize]);
            let radius = cutout.radius;
            cutout.advance(|decoded| {
                let picture = prepare::whole(decoded, &self.preparation, radius)?;
                augmenter.apply(&picture, self.preparation.size, &draws, self.size)
            })
        }
    }
}

/// The pixels of a batch. An image that was good when the run began and is not any
/// more ends it: without the image it would be another run.
fn joined(shots: &[Shot], cutouts: Vec<Cutout<RgbImage>>) -> Result<Batch, TrainError> {
    let outputs = cutouts.iter().map(|cutout| shots[cutout.index as usize].output).collect();
    let mut pixels = Vec::new();
    let count = cutouts.len();
    for cutout in cutouts {
        let Cutout { id, state, .. } = cutout;
        let picture = state.map_err(|rejection| TrainError::Image { id, rejection })?;
        if pixels.is_empty() {
            pixels.reserve_exact(count * picture.pixels.len());
        }
        pixels.extend_from_slice(&picture.pixels);
    }
    Ok(Batch { pixels, outputs })
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
