//! EfficientNet in plain loops over f64, obviously right and slow: what the
//! packed network is compared with.
//!
//! It takes the tensors as they are stored, folds nothing and shares no code
//! with the kernels; with the network, the description of the architecture.

use hiwl_kernels::reference::{Planes, convolution, sigmoid, silu};

use crate::engine::Normalisation;
use crate::model::{
    architecture::{Architecture, MbConv, Padding},
    weights::Weights,
};

/// The network's tensors, by name and unchecked.
struct Network<'a> {
    weights: &'a Weights,
    padding: Padding,
    eps: f64,
}

impl Network<'_> {
    fn tensor(&self, name: &str) -> Vec<f32> {
        let tensor = self.weights.get(name).unwrap_or_else(|| panic!("no {name}"));
        tensor.flatten_all().and_then(|t| t.to_vec1()).unwrap()
    }

    /// A convolution and the batch norm after it.
    fn normed(&self, input: &Planes, prefix: &str, kernel: usize, stride: usize) -> Planes {
        let weights = self.tensor(&format!("{prefix}.0.weight"));
        let norm = ["weight", "bias", "running_mean", "running_var"]
            .map(|what| self.tensor(&format!("{prefix}.1.{what}")));
        let outputs = norm[0].len();
        let depthwise = weights.len() == outputs * kernel * kernel && input.channels == outputs;
        let shape = (outputs, kernel, stride, depthwise);
        let padding = |side| self.padding.resolve(side, kernel, stride);
        let mut output = convolution(input, &weights, shape, padding);
        let plane = output.height * output.width;
        for (i, value) in output.values.iter_mut().enumerate() {
            let [gamma, beta, mean, variance] =
                [0, 1, 2, 3].map(|what: usize| f64::from(norm[what][i / plane]));
            *value = (*value - mean) / (variance + self.eps).sqrt() * gamma + beta;
        }
        output
    }

    /// A 1×1 convolution with bias, or a dense layer.
    fn biased(&self, input: &Planes, prefix: &str) -> Planes {
        let bias = self.tensor(&format!("{prefix}.bias"));
        let weights = self.tensor(&format!("{prefix}.weight"));
        let mut output = convolution(input, &weights, (bias.len(), 1, 1, false), |side| (0, side));
        output.values.iter_mut().zip(&bias).for_each(|(value, bias)| *value += f64::from(*bias));
        output
    }

    fn block(&self, input: Planes, layer: &MbConv) -> Planes {
        let expanded = match layer.expand_prefix() {
            Some(prefix) => self.normed(&input, &prefix, 1, 1).map(silu),
            None => input.clone(),
        };
        let prefix = layer.depthwise_prefix();
        let mut inner = self.normed(&expanded, &prefix, layer.kernel, layer.stride).map(silu);
        let prefix = layer.se_prefix();
        let squeezed = self.biased(&inner.means(), &format!("{prefix}.fc1")).map(silu);
        let factors = self.biased(&squeezed, &format!("{prefix}.fc2")).map(sigmoid);
        let plane = inner.height * inner.width;
        for (i, value) in inner.values.iter_mut().enumerate() {
            *value *= factors.values[i / plane];
        }
        let mut output = self.normed(&inner, &layer.project_prefix(), 1, 1);
        if layer.residual() {
            output.values.iter_mut().zip(&input.values).for_each(|(y, x)| *y += x);
        }
        output
    }
}

/// Logits of one image, interleaved RGB.
pub(super) fn logits(
    architecture: &Architecture,
    weights: &Weights,
    normalisation: Normalisation,
    image: &[u8],
    size: usize,
) -> Vec<f64> {
    let layers = architecture.layers();
    let network = Network { weights, padding: architecture.padding, eps: architecture.bn_eps };
    let mut planes = Planes::new(3, size, size);
    for (i, byte) in image.iter().enumerate() {
        let (pixel, colour) = (i / 3, i % 3);
        let (mean, std) = (normalisation.mean[colour], normalisation.std[colour]);
        planes.values[colour * size * size + pixel] =
            (f64::from(*byte) / 255.0 - f64::from(mean)) / f64::from(std);
    }
    planes = network.normed(&planes, "features.0", 3, 2).map(silu);
    for layer in &layers.blocks {
        planes = network.block(planes, layer);
    }
    planes = network.normed(&planes, &layers.head_prefix, 1, 1).map(silu);
    network.biased(&planes.means(), "classifier.1").values
}
