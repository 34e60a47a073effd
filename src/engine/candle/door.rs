//! The network with the preparation that its model file asks for, behind the door of
//! inference.
//!
//! On the processor images are run one by one, side by side, so that nothing depends on
//! the batch. A GPU runs so many at once, always as many, of which some may be blank:
//! its library chooses its sums by the sizes of matrices.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::network::{Network, Pass};
use super::ops::values;
use crate::engine::{Infer, InferenceError, Normalisation, Tensors, Want};

/// A network in evaluation mode and what it is fed.
pub struct TensorNetwork {
    network: Network,
    size: usize,
    normalisation: Normalisation,
    device: Device,
}

/// Images that a GPU runs at once.
const AT_ONCE: usize = 32;

/// What was found of images; empty where it was not wanted.
struct Found {
    maps: Vec<f32>,
    features: Vec<f32>,
    logits: Vec<f32>,
}

impl TensorNetwork {
    /// Joins a network with what it is fed: images of `size` × `size` pixels.
    pub fn new(network: Network, size: usize, normalisation: Normalisation) -> Self {
        let device = network.device();
        Self { network, size, normalisation, device }
    }

    /// Looks at images one behind the other.
    fn look(&self, images: &[u8], want: Want) -> Result<Found> {
        let pixels = normalised(images, self.size, self.normalisation, &self.device)?;
        let mut pass = Pass::default();
        let maps = self.network.used(&pixels, &mut pass)?;
        // Image by image, as features and logits are.
        let by_image = |maps: &Tensor| maps.transpose(0, 1)?.contiguous();
        let wanted = |what, tensor: &Tensor| {
            if want.has(what) { values(tensor) } else { Ok(Vec::new()) }
        };
        let mut found = Found { maps: Vec::new(), features: Vec::new(), logits: Vec::new() };
        if want.has(Want::MAPS) {
            found.maps = values(&by_image(&maps)?)?;
        }
        if want.has(Want::FEATURES) || want.has(Want::LOGITS) {
            let features = self.network.features(&maps, &mut pass)?;
            found.features = wanted(Want::FEATURES, &features)?;
            if want.has(Want::LOGITS) {
                found.logits = values(&self.network.classify(&features)?)?;
            }
        }
        Ok(found)
    }
}

/// 3×N×size×size of images one behind the other, each `(byte / 255 − mean) / std`.
pub(super) fn normalised(
    images: &[u8],
    size: usize,
    Normalisation { mean, std }: Normalisation,
    device: &Device,
) -> Result<Tensor> {
    let count = images.len() / (3 * size * size);
    let mut values = Vec::with_capacity(images.len());
    for channel in 0..3 {
        let bytes = images.iter().skip(channel).step_by(3);
        values.extend(bytes.map(|&b| (f32::from(b) / 255.0 - mean[channel]) / std[channel]));
    }
    Tensor::from_vec(values, (3, count, size, size), device)
}

impl Infer for TensorNetwork {
    fn outputs(&self) -> usize {
        self.network.classes()
    }

    fn features(&self) -> usize {
        self.network.plan().features
    }

    fn map_side(&self) -> usize {
        let plan = self.network.plan();
        if plan.has_maps() { plan.map_side(self.size) } else { 0 }
    }

    fn run(
        &self,
        images: &[&[u8]],
        want: Want,
        to: &mut Tensors,
    ) -> std::result::Result<(), InferenceError> {
        InferenceError::check_sizes(images, 3 * self.size * self.size)?;
        if want.has(Want::MAPS) && !self.network.plan().has_maps() {
            return Err(InferenceError::Unsupported {
                engine: "candle",
                what: "feature maps of this backbone: its features are not their means",
            });
        }
        to.resize(self, images.len(), want);
        let found: Vec<Found> = if self.device.is_cpu() {
            images.par_iter().map(|image| self.look(image, want)).collect::<Result<_>>()?
        } else {
            let all = |images: &[&[u8]]| {
                let mut all = images.concat();
                all.resize(AT_ONCE * 3 * self.size * self.size, 0);
                self.look(&all, want)
            };
            images.chunks(AT_ONCE).map(all).collect::<Result<_>>()?
        };
        for (place, own) in found.into_iter().enumerate() {
            for (to, own) in [
                (&mut to.maps, own.maps),
                (&mut to.features, own.features),
                (&mut to.logits, own.logits),
            ] {
                // Without what the blank ones of the last gave.
                let to = to.get_mut(place * own.len()..).unwrap_or_default();
                let count = own.len().min(to.len());
                to[..count].copy_from_slice(&own[..count]);
            }
        }
        Ok(())
    }
}
