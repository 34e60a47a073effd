//! What goes to the device and comes back in a step, in host memory that the
//! device copies from and to by itself: the host goes on meanwhile, and waits
//! once, at the end of the step.
//!
//! What changes between a step's first copy and its wait is waited for
//! ([`Pinned`]); in the order of a step nothing does.

use std::sync::Arc;

use crate::engine::cuda::{
    CudaError, Queue,
    device::{Buffer, Pinned},
};
use crate::engine::learn::Settings;

/// Host memory for a batch.
pub struct Staging {
    queue: Arc<dyn Queue>,
    pixels: Pinned,
    live: Pinned,
    targets: Pinned,
    kept: Pinned,
    losses: Pinned,
    logits: Pinned,
}

impl Staging {
    /// For batches of the settings' size.
    pub fn new(
        queue: &Arc<dyn Queue>,
        settings: &Settings,
        features: usize,
    ) -> Result<Self, CudaError> {
        let Settings { classes, batch, max_size, .. } = *settings;
        let floats = |an_image: usize| Pinned::new(queue, 4 * batch * an_image);
        Ok(Self {
            queue: Arc::clone(queue),
            pixels: Pinned::new(queue, batch * 3 * max_size * max_size)?,
            live: Pinned::new(queue, 4)?,
            targets: floats(classes)?,
            kept: floats(features)?,
            losses: floats(1)?,
            logits: floats(classes)?,
        })
    }

    /// Sends images, and how many they are.
    pub fn send_images(
        &mut self,
        images: &[u8],
        count: usize,
        (pixels, live): (&Buffer, &Buffer),
    ) -> Result<(), CudaError> {
        self.pixels.as_mut_slice()?[..images.len()].copy_from_slice(images);
        self.pixels.upload(pixels, images.len())?;
        self.live.as_mut_slice()?.copy_from_slice(&(count as i32).to_le_bytes());
        self.live.upload(live, 4)
    }

    /// Sends the targets.
    pub fn send_targets(&mut self, values: &[f32], to: &Buffer) -> Result<(), CudaError> {
        send(&mut self.targets, values.iter().copied(), to)
    }

    /// Sends what features are multiplied with, by dropout.
    pub fn send_kept(
        &mut self,
        values: impl ExactSizeIterator<Item = f32>,
        to: &Buffer,
    ) -> Result<(), CudaError> {
        send(&mut self.kept, values, to)
    }

    /// So many losses, if there are any, and logits, after waiting for the step.
    pub fn receive(
        &mut self,
        (losses, logits): (&Buffer, &Buffer),
        counts: (usize, usize),
    ) -> Result<(Vec<f32>, Vec<f32>), CudaError> {
        if counts.0 > 0 {
            self.losses.download(losses, 4 * counts.0)?;
        }
        self.logits.download(logits, 4 * counts.1)?;
        self.queue.finish()?;
        Ok((floats(&mut self.losses, counts.0)?, floats(&mut self.logits, counts.1)?))
    }
}

fn send(
    through: &mut Pinned,
    values: impl ExactSizeIterator<Item = f32>,
    to: &Buffer,
) -> Result<(), CudaError> {
    let bytes = 4 * values.len();
    let (words, _) = through.as_mut_slice()?[..bytes].as_chunks_mut::<4>();
    for (word, value) in words.iter_mut().zip(values) {
        *word = value.to_le_bytes();
    }
    through.upload(to, bytes)
}

fn floats(from: &mut Pinned, count: usize) -> Result<Vec<f32>, CudaError> {
    let (words, _) = from.as_slice()?[..4 * count].as_chunks::<4>();
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}
