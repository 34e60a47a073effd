//! What a run tells whoever listens.
//!
//! The library prints nothing and knows no terminal: a run takes a [`Listener`]
//! and tells it what happens. The command line's listeners draw bars and write JSON
//! lines; a program that embeds the library brings its own, or [`Silent`]. What a
//! person debugs with goes through `tracing` instead.
//!
//! Invariants: nothing that a listener does changes a result;
//! [`Event::Advanced`] and [`TrainingEvent::Batch`] come once a batch, from one
//! thread at a time, the others seldom.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use hiwl::events::{Event, Listener};
//!
//! /// Counts rows.
//! #[derive(Default)]
//! struct Counter(AtomicU64);
//!
//! impl Listener for Counter {
//!     fn tell(&self, event: Event<'_>) {
//!         if let Event::Advanced { rows, .. } = event {
//!             self.0.fetch_add(rows, Ordering::Relaxed);
//!         }
//!     }
//! }
//!
//! let counter = Counter::default();
//! counter.tell(Event::Advanced { rows: 32, rejected: 1 });
//! assert_eq!(counter.0.into_inner(), 32);
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Whoever listens to a run.
pub trait Listener: Send + Sync {
    /// Is told of an event. Whoever tells waits until this returns.
    fn tell(&self, event: Event<'_>);
}

/// Listens and does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Listener for Silent {
    fn tell(&self, _: Event<'_>) {}
}

/// What happens in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// So many more inputs were listed.
    Listed {
        /// Inputs since the last such event.
        rows: u64,
    },
    /// The listing is done, and so many rows are to be made.
    Started {
        /// Rows of this process.
        rows: u64,
    },
    /// So many more rows were made.
    Advanced {
        /// Rows since the last such event.
        rows: u64,
        /// Those of them without a label.
        rejected: u64,
    },
    /// A part of the catalog is in its place.
    Part {
        /// Its file.
        path: &'a Path,
        /// Its rows.
        rows: u64,
    },
    /// Something that whoever runs it should know: a decision, an assumption, a
    /// doubt.
    Note(&'a str),
    /// What it waits for; it goes on by itself.
    Waiting(&'a str),
    /// Of a training run.
    Training(TrainingEvent<'a>),
}

/// What happens in a training run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainingEvent<'a> {
    /// A model begins to learn, or goes on.
    Model {
        /// Pixels ahead, over its epochs and the models after it.
        pixels: f64,
    },
    /// An epoch begins or goes on.
    Epoch {
        /// Which model.
        model: &'a str,
        /// From 1.
        epoch: u32,
        /// Epochs of the model at most.
        epochs: u32,
        /// Side of its images, in pixels.
        size: usize,
        /// Images of it that are learned.
        done: u64,
        /// All its images.
        images: u64,
    },
    /// A batch was learned.
    Batch {
        /// Its images.
        images: u64,
        /// Its pixels.
        pixels: f64,
        /// Mean loss of the epoch so far.
        loss: f64,
        /// Images a second in the epoch so far.
        rate: f64,
    },
    /// So many pixels that were ahead will not be learned.
    Skipped {
        /// Pixels.
        pixels: f64,
    },
    /// An epoch was learned and judged.
    Judged {
        /// What it came to.
        epoch: &'a Epoch,
        /// Epochs of the model at most.
        epochs: u32,
    },
}

/// An epoch of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Which model of the run: `stage1`, `stage2`, or `single`.
    pub model: String,
    /// From 1.
    pub epoch: u32,
    /// Side of the images, in pixels.
    pub size: usize,
    /// Of the epoch's first step.
    pub learning_rate: f64,
    /// Mean loss on the augmented training images while they were learned.
    pub train_loss: f64,
    /// Accuracy on the same, 0 to 1.
    pub train_accuracy: f64,
    /// Mean loss on validation after the epoch.
    pub val_loss: f64,
    /// Accuracy on validation, 0 to 1.
    pub val_accuracy: f64,
    /// Training images a second.
    pub images_per_s: f64,
    /// Seconds, validation included.
    pub seconds: f64,
    /// Recall on validation of the model's classes.
    pub recall: Vec<(String, f64)>,
}
