//! EfficientNet in plain loops over f64, obviously right and slow: what the
//! kernels and the whole network are compared with.
//!
//! It takes the tensors as they are stored, folds nothing and shares no code
//! with the kernels but the description of the architecture.

use crate::model::{
    architecture::{Architecture, MbConv, Padding},
    weights::Weights,
};

use super::Normalisation;

/// Planes of `height` × `width` values, `[channels][height][width]`.
#[derive(Debug, Clone)]
pub(super) struct Planes {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub values: Vec<f64>,
}

impl Planes {
    pub fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width, values: vec![0.0; channels * height * width] }
    }

    pub fn index(&self, channel: usize, y: usize, x: usize) -> usize {
        (channel * self.height + y) * self.width + x
    }

    pub fn at(&self, channel: usize, y: usize, x: usize) -> f64 {
        self.values[self.index(channel, y, x)]
    }

    /// The value at a place that may lie in the zeros around.
    fn padded(&self, channel: usize, y: isize, x: isize) -> f64 {
        let inside = |at: isize, size: usize| usize::try_from(at).ok().filter(|&at| at < size);
        match (inside(y, self.height), inside(x, self.width)) {
            (Some(y), Some(x)) => self.at(channel, y, x),
            _ => 0.0,
        }
    }

    pub fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        self.values.iter_mut().for_each(|value| *value = f(*value));
        self
    }

    fn means(&self) -> Self {
        let plane = self.height * self.width;
        let values = self.values.chunks(plane).map(|p| p.iter().sum::<f64>() / plane as f64);
        Self { channels: self.channels, height: 1, width: 1, values: values.collect() }
    }
}

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub(super) fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

/// What the kernels compute for [`silu`].
pub(super) fn silu2(t: f64) -> f64 {
    t * sigmoid2(t)
}

/// What the kernels compute for [`sigmoid`].
pub(super) fn sigmoid2(t: f64) -> f64 {
    1.0 / (1.0 + t.exp2())
}

/// A convolution with weights `[outputs][channels / groups][kernel][kernel]`,
/// where `groups` is 1 or (depthwise) the number of channels.
pub(super) fn convolution(
    input: &Planes,
    weights: &[f32],
    (outputs, kernel, stride, depthwise): (usize, usize, usize, bool),
    padding: Padding,
) -> Planes {
    let (top, height) = padding.resolve(input.height, kernel, stride);
    let (left, width) = padding.resolve(input.width, kernel, stride);
    let channels = if depthwise { 1 } else { input.channels };
    let mut output = Planes::new(outputs, height, width);
    for o in 0..outputs {
        for y in 0..height {
            for x in 0..width {
                let mut sum = 0.0;
                for c in 0..channels {
                    for ky in 0..kernel {
                        for kx in 0..kernel {
                            let weight = weights[((o * channels + c) * kernel + ky) * kernel + kx];
                            let channel = if depthwise { o } else { c };
                            let y = (y * stride + ky) as isize - top as isize;
                            let x = (x * stride + kx) as isize - left as isize;
                            sum += f64::from(weight) * input.padded(channel, y, x);
                        }
                    }
                }
                let index = output.index(o, y, x);
                output.values[index] = sum;
            }
        }
    }
    output
}

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
        let mut output = convolution(input, &weights, shape, self.padding);
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
        let mut output =
            convolution(input, &weights, (bias.len(), 1, 1, false), Padding::Symmetric);
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
