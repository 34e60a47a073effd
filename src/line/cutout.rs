//! What travels down the line: a cutout with its identity, as far as it got.

use crate::{
    cutout::{Decoded, Payload, Rejection, RgbImage, SkyPosition},
    pipeline::Weigh,
    source::{Entry, Locator},
};

/// A cutout under way: who it is, and its bytes, its pixels or its crop, or
/// the reason why it has none.
#[derive(Debug, Clone)]
pub struct Cutout<T> {
    /// Row of the listing, or place in what is learned.
    pub index: u64,
    /// Whether a batch ends with it: the last of its range, or of a step.
    pub ends_batch: bool,
    /// The catalog's `id`.
    pub id: String,
    /// The catalog's `source`.
    pub source: String,
    /// From the table it was listed in, or from its own FITS header.
    pub position: Option<SkyPosition>,
    /// What a person should know of it although it is classified.
    pub note: Option<String>,
    /// Radius of the object in arcseconds, where the run goes by it; NaN where
    /// it is missing.
    pub radius: Option<f64>,
    /// What the last stage made of it.
    pub state: Result<T, Rejection>,
}

impl Cutout<Locator> {
    /// What was listed, on its way.
    pub fn listed(index: u64, ends_batch: bool, entry: Entry, radius: Option<f64>) -> Self {
        let Entry { id, source, locator, position } = entry;
        let state = Ok(locator);
        Self { index, ends_batch, id, source, position, note: None, radius, state }
    }
}

impl<T> Cutout<T> {
    /// The same cutout one stage further; a rejected one stays as it is.
    pub fn advance<U>(self, step: impl FnOnce(T) -> Result<U, Rejection>) -> Cutout<U> {
        let Self { index, ends_batch, id, source, position, note, radius, state } = self;
        Cutout {
            index,
            ends_batch,
            id,
            source,
            position,
            note,
            radius,
            state: state.and_then(step),
        }
    }
}

/// Payload of a state, for the meters and the memory arithmetic.
pub trait Bytes {
    /// Bytes on the heap.
    fn bytes(&self) -> usize;
}

impl Bytes for Locator {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Bytes for Payload {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Bytes for RgbImage {
    fn bytes(&self) -> usize {
        self.pixels.len()
    }
}

impl Bytes for Decoded {
    fn bytes(&self) -> usize {
        match self {
            Self::Rgb(image) => image.bytes(),
            Self::Bands(image) => size_of_val(image.planes.as_slice()),
        }
    }
}

impl<T: Bytes> Weigh for Cutout<T> {
    fn weight(&self) -> usize {
        let state = match &self.state {
            Ok(state) => state.bytes(),
            Err(rejection) => rejection.detail.len(),
        };
        self.id.len() + self.source.len() + state
    }
}
