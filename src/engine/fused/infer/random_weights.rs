//! Weights of any architecture drawn from a seed, for tests and benches: of
//! no use to classify with, but of the size and spread of trained ones.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::model::{architecture::Architecture, weights::Weights};

/// Draws tensors and keeps them by name.
struct Draw {
    rng: ChaCha8Rng,
    tensors: BTreeMap<String, Tensor>,
}

impl Draw {
    fn insert(&mut self, name: String, values: Vec<f32>, shape: &[usize]) {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).expect("as many as the shape");
        self.tensors.insert(name, tensor);
    }

    /// Normal with a standard deviation that keeps variance under SiLU.
    fn weight(&mut self, name: String, shape: &[usize]) {
        let fan_in: usize = shape[1..].iter().product();
        let scale = (2.0 / fan_in as f32).sqrt();
        let normal = |rng: &mut ChaCha8Rng| -> f32 { StandardNormal.sample(rng) };
        let values = (0..shape.iter().product()).map(|_| scale * normal(&mut self.rng)).collect();
        self.insert(name, values, shape);
    }

    fn uniform(&mut self, name: String, length: usize, from: f32, to: f32) {
        let values = (0..length).map(|_| self.rng.random_range(from..to)).collect();
        self.insert(name, values, &[length]);
    }

    fn normed(&mut self, prefix: &str, shape: &[usize]) {
        self.weight(format!("{prefix}.0.weight"), shape);
        self.uniform(format!("{prefix}.1.weight"), shape[0], 0.8, 1.2);
        self.uniform(format!("{prefix}.1.bias"), shape[0], -0.2, 0.2);
        self.uniform(format!("{prefix}.1.running_mean"), shape[0], -0.2, 0.2);
        self.uniform(format!("{prefix}.1.running_var"), shape[0], 0.5, 1.5);
    }

    fn biased(&mut self, prefix: &str, shape: &[usize]) {
        self.weight(format!("{prefix}.weight"), shape);
        self.uniform(format!("{prefix}.bias"), shape[0], -0.2, 0.2);
    }
}

/// All tensors that the architecture asks for.
pub fn random_weights(architecture: &Architecture, classes: usize, seed: u64) -> Weights {
    let mut draw = Draw { rng: ChaCha8Rng::seed_from_u64(seed), tensors: BTreeMap::new() };
    let layers = architecture.layers();
    draw.normed("features.0", &[layers.stem, 3, 3, 3]);
    let mut last = layers.stem;
    for block in &layers.blocks {
        let (expanded, kernel) = (block.expanded, block.kernel);
        if let Some(prefix) = block.expand_prefix() {
            draw.normed(&prefix, &[expanded, block.input, 1, 1]);
        }
        draw.normed(&block.depthwise_prefix(), &[expanded, 1, kernel, kernel]);
        let prefix = block.se_prefix();
        draw.biased(&format!("{prefix}.fc1"), &[block.squeezed, expanded, 1, 1]);
        draw.biased(&format!("{prefix}.fc2"), &[expanded, block.squeezed, 1, 1]);
        draw.normed(&block.project_prefix(), &[block.output, expanded, 1, 1]);
        last = block.output;
    }
    draw.normed(&layers.head_prefix, &[layers.features, last, 1, 1]);
    draw.biased("classifier.1", &[classes, layers.features]);
    let mut weights = Weights::new();
    for (name, tensor) in draw.tensors {
        weights.insert(name, tensor);
    }
    weights
}

/// An image of noise, `size` × `size` × 3 bytes.
pub fn random_image(size: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..3 * size * size).map(|_| rng.random()).collect()
}
