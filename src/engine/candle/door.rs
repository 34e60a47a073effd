//! The network with the preparation that its model file asks for, behind the door of
//! inference.
//!
//! Images are run one by one, side by side, so that nothing depends on the batch.

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
}

/// What was found of an image; empty where it was not wanted.
struct Found {
    maps: Vec<f32>,
    features: Vec<f32>,
    logits: Vec<f32>,
}

impl TensorNetwork {
    /// Joins a network with what it is fed: images of `size` × `size` pixels.
    pub fn new(network: Network, size: usize, normalisation: Normalisation) -> Self {
        Self { network, size, normalisation }
    }

    fn look(&self, image: &[u8], want: Want) -> Result<Found> {
        let pixels = normalised(image, self.size, self.normalisation)?;
        let mut pass = Pass::default();
        let maps = self.network.maps(&pixels, &mut pass)?;
        let wanted = |what, tensor: &Tensor| {
            if want.has(what) { values(tensor) } else { Ok(Vec::new()) }
        };
        let mut found =
            Found { maps: wanted(Want::MAPS, &maps)?, features: Vec::new(), logits: Vec::new() };
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
) -> Result<Tensor> {
    let count = images.len() / (3 * size * size);
    let mut values = Vec::with_capacity(images.len());
    for channel in 0..3 {
        let bytes = images.iter().skip(channel).step_by(3);
        values.extend(bytes.map(|&b| (f32::from(b) / 255.0 - mean[channel]) / std[channel]));
    }
    Tensor::from_vec(values, (3, count, size, size), &Device::Cpu)
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
        let found = images.par_iter().map(|image| self.look(image, want));
        let found = found.collect::<Result<Vec<Found>>>()?;
        for (place, own) in found.into_iter().enumerate() {
            for (to, own) in [
                (&mut to.maps, own.maps),
                (&mut to.features, own.features),
                (&mut to.logits, own.logits),
            ] {
                to[place * own.len()..(place + 1) * own.len()].copy_from_slice(&own);
            }
        }
        Ok(())
    }
}
