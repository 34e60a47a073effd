//! The learned tensors on a GPU: one behind the other in one buffer, those
//! that decay first, and their gradients in another of the same order.
//!
//! Invariant: a tensor begins at a multiple of 4 floats, as kernels read 4 at a
//! time; what lies between tensors is zero in all buffers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::cuda::{
    CudaError, Queue,
    device::{Argument, Buffer, bytes_of},
};
use crate::model::architecture::Architecture;
pub use crate::model::parameters::parameters as all;
use crate::model::weights::{Weights, WeightsError};

/// Where a tensor lies.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its canonical name.
    pub name: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Its first float.
    pub start: usize,
}

impl Place {
    /// Its floats.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// All learned tensors with their gradients.
pub struct Parameters {
    /// Those that decay, then the others.
    pub places: Vec<Place>,
    starts: BTreeMap<String, usize>,
    /// Floats of those that decay.
    pub decaying: usize,
    /// Floats of all.
    pub count: usize,
    /// Values.
    pub values: Buffer,
    /// Gradients of the last batch's mean loss.
    pub gradient: Buffer,
}

impl Parameters {
    /// Takes the learned tensors of a network from `weights`.
    pub fn new(
        queue: &Arc<dyn Queue>,
        architecture: &Architecture,
        classes: usize,
        weights: &Weights,
    ) -> Result<Self, CudaError> {
        let all = all(architecture, classes);
        let learned = || all.iter().filter(|p| !p.name.contains(".running_"));
        let (mut places, mut starts) = (Vec::new(), BTreeMap::new());
        let (mut count, mut decaying) = (0, 0);
        for decays in [true, false] {
            for p in learned().filter(|p| (p.shape.len() > 1) == decays) {
                starts.insert(p.name.clone(), count);
                let place = Place { name: p.name.clone(), shape: p.shape.clone(), start: count };
                count += place.len().next_multiple_of(4);
                places.push(place);
            }
            if decays {
                decaying = count;
            }
        }
        let parameters = Self {
            places,
            starts,
            decaying,
            count,
            values: Buffer::zeros(queue, 4 * count)?,
            gradient: Buffer::zeros(queue, 4 * count)?,
        };
        parameters.load(weights)?;
        Ok(parameters)
    }

    /// Takes the values from `weights`.
    pub fn load(&self, weights: &Weights) -> Result<(), CudaError> {
        self.write(&self.values, |place| Ok(weights.values(&place.name, &place.shape)?))
    }

    /// Writes a tensor for each place into a buffer of this order.
    pub fn write(
        &self,
        buffer: &Buffer,
        mut values: impl FnMut(&Place) -> Result<Vec<f32>, CudaError>,
    ) -> Result<(), CudaError> {
        let mut all = vec![0.0; self.count];
        for place in &self.places {
            let values = values(place)?;
            if values.len() != place.len() {
                return Err(CudaError::Weights(WeightsError::Shape {
                    name: place.name.clone(),
                    expected: place.shape.clone(),
                    found: vec![values.len()],
                }));
            }
            all[place.start..place.start + values.len()].copy_from_slice(&values);
        }
        buffer.write(&bytes_of(&all))
    }

    /// The tensors in a buffer of this order, by name.
    pub fn read(&self, buffer: &Buffer) -> Result<BTreeMap<String, Vec<f32>>, CudaError> {
        let all = buffer.floats(self.count)?;
        let of = |p: &Place| (p.name.clone(), all[p.start..p.start + p.len()].to_vec());
        Ok(self.places.iter().map(of).collect())
    }

    /// The values of a tensor, for a kernel.
    pub fn value(&self, name: &str) -> Argument {
        self.values.at(self.starts[name])
    }

    /// The gradient of a tensor, for a kernel.
    pub fn slope(&self, name: &str) -> Argument {
        self.gradient.at(self.starts[name])
    }
}
