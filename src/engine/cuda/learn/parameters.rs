//! The tensors on a GPU: what is learned one behind the other in one buffer, what
//! decays first, and the gradients in another of the same order; the running
//! statistics of batch norm in a third. So whatever is done to all of them, an
//! average or a copy, is one launch or one wait.
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
use crate::model::parameters::Parameter;
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

/// Which tensors lie one behind the other in a buffer.
#[derive(Default)]
pub struct Layout {
    /// The tensors, in order.
    pub places: Vec<Place>,
    starts: BTreeMap<String, usize>,
    /// Floats of all.
    pub count: usize,
}

impl Layout {
    fn add(&mut self, parameter: &Parameter) {
        let Parameter { name, shape } = parameter;
        let place = Place { name: name.clone(), shape: shape.clone(), start: self.count };
        self.starts.insert(name.clone(), place.start);
        self.count += place.len().next_multiple_of(4);
        self.places.push(place);
    }

    /// A buffer of zeros in this order.
    pub fn zeros(&self, queue: &Arc<dyn Queue>) -> Result<Buffer, CudaError> {
        Buffer::zeros(queue, 4 * self.count)
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

    /// Where a tensor lies in a buffer of this order, for a kernel.
    fn of(&self, buffer: &Buffer, name: &str) -> Argument {
        buffer.at(self.starts[name])
    }
}

/// All tensors: what is learned with its gradients, and the running statistics.
pub struct Parameters {
    /// What is learned: what decays, then the others.
    pub learned: Layout,
    /// Floats of what decays.
    pub decaying: usize,
    /// Values of what is learned.
    pub values: Buffer,
    /// Gradients of the last batch's mean loss.
    pub gradient: Buffer,
    /// The running statistics of batch norm.
    pub statistics: Layout,
    /// Their values.
    pub running: Buffer,
}

impl Parameters {
    /// Takes the tensors of a network from `weights`.
    pub fn new(
        queue: &Arc<dyn Queue>,
        architecture: &Architecture,
        classes: usize,
        weights: &Weights,
    ) -> Result<Self, CudaError> {
        let all = all(architecture, classes);
        let (mut learned, mut statistics) = (Layout::default(), Layout::default());
        let is_learned = |p: &&Parameter| !p.is_running();
        all.iter().filter(is_learned).filter(|p| p.shape.len() > 1).for_each(|p| learned.add(p));
        let decaying = learned.count;
        all.iter().filter(is_learned).filter(|p| p.shape.len() <= 1).for_each(|p| learned.add(p));
        all.iter().filter(|p| p.is_running()).for_each(|p| statistics.add(p));
        let parameters = Self {
            decaying,
            values: learned.zeros(queue)?,
            gradient: learned.zeros(queue)?,
            learned,
            running: statistics.zeros(queue)?,
            statistics,
        };
        parameters.load(weights)?;
        Ok(parameters)
    }

    /// Takes the values from `weights`.
    pub fn load(&self, weights: &Weights) -> Result<(), CudaError> {
        let of = |place: &Place| Ok(weights.values(&place.name, &place.shape)?);
        self.learned.write(&self.values, of)?;
        self.statistics.write(&self.running, of)
    }

    /// The values of a tensor that is learned, for a kernel.
    pub fn value(&self, name: &str) -> Argument {
        self.learned.of(&self.values, name)
    }

    /// The gradient of a tensor, for a kernel.
    pub fn slope(&self, name: &str) -> Argument {
        self.learned.of(&self.gradient, name)
    }

    /// A running statistic, for a kernel.
    pub fn statistic(&self, name: &str) -> Argument {
        self.statistics.of(&self.running, name)
    }
}
