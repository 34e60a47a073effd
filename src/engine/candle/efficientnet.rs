//! EfficientNet with candle tensors: the reference for every other execution
//! and, later, what training differentiates.
//!
//! It follows the layers one by one, without folding or fusing anything, so
//! that it can be read beside the paper. Channels come first (N×C×H×W);
//! 1×1 convolutions are matrix products.

use candle_core::{Device, Result, Tensor};
use candle_nn::ops::sigmoid;
use candle_nn::{BatchNorm, ModuleT};

use crate::engine::candle::depthwise::depthwise_conv2d;
use crate::engine::{Infer, InferenceError, Normalisation, Tensors, Want};
use crate::model::architecture::{Architecture, MbConv, Padding};
use crate::model::weights::{Weights, WeightsError};

/// A network of the family, in evaluation mode.
pub struct EfficientNet {
    padding: Padding,
    classes: usize,
    stem: ConvNorm,
    blocks: Vec<Block>,
    head: ConvNorm,
    classifier: Linear,
}

impl EfficientNet {
    /// Takes the weights of `architecture` with `classes` outputs. Tensors
    /// that the architecture does not have are not looked at.
    ///
    /// # Errors
    /// [`WeightsError`] for the first tensor that is missing or misshapen.
    pub fn load(
        architecture: &Architecture,
        classes: usize,
        weights: &Weights,
    ) -> std::result::Result<Self, WeightsError> {
        let layers = architecture.layers();
        let take = Take { weights, eps: architecture.bn_eps };
        let last = layers.blocks.last().map_or(layers.stem, |b| b.output);
        Ok(Self {
            padding: architecture.padding,
            classes,
            stem: take.conv_norm("features.0", [layers.stem, 3, 3, 3])?,
            blocks: layers
                .blocks
                .iter()
                .map(|b| take.block(b))
                .collect::<std::result::Result<_, _>>()?,
            head: take.conv_norm(&layers.head_prefix, [layers.features, last, 1, 1])?,
            classifier: take.linear("classifier.1", classes, layers.features, &[])?,
        })
    }

    /// Logits (N×classes) of normalised images (N×3×H×W).
    ///
    /// # Errors
    /// candle's, if shapes or types do not fit.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&self.features(images)?)
    }

    /// The pooled features (N×`Layers::features`) that the classifier sees.
    ///
    /// # Errors
    /// candle's, if shapes or types do not fit.
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        self.maps(images)?.mean((2, 3))
    }

    /// The last feature maps (N×`Layers::features`×h×w).
    ///
    /// # Errors
    /// candle's, if shapes or types do not fit.
    pub fn maps(&self, images: &Tensor) -> Result<Tensor> {
        let padded = pad(images, 3, 2, self.padding)?;
        let mut x = self.stem.norm(&padded.conv2d(&self.stem.weight, 0, 2, 1, 1)?)?.silu()?;
        for block in &self.blocks {
            x = block.forward(&x, self.padding)?;
        }
        self.head.pointwise(&x)?.silu()
    }
}

/// Writes out the zeros that `padding` puts around an image.
fn pad(images: &Tensor, kernel: usize, stride: usize, padding: Padding) -> Result<Tensor> {
    let (_, _, height, width) = images.dims4()?;
    let mut padded = images.clone();
    for (axis, size) in [(2, height), (3, width)] {
        let (before, output) = padding.resolve(size, kernel, stride);
        let after = ((output - 1) * stride + kernel).saturating_sub(size + before);
        padded = padded.pad_with_zeros(axis, before, after)?;
    }
    Ok(padded)
}

/// A convolution without bias and its batch norm.
struct ConvNorm {
    weight: Tensor,
    norm: BatchNorm,
}

impl ConvNorm {
    fn norm(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward_t(x, false)
    }

    /// As a 1×1 convolution.
    fn pointwise(&self, x: &Tensor) -> Result<Tensor> {
        let (images, channels, height, width) = x.dims4()?;
        let out = self.weight.dims()[0];
        let matrix = self.weight.reshape((out, channels))?;
        let pixels = x.reshape((images, channels, height * width))?;
        self.norm(&matrix.broadcast_matmul(&pixels)?.reshape((images, out, height, width))?)
    }
}

/// A matrix product with bias; weights are `out × in`.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}

/// An inverted bottleneck ([`MbConv`]).
struct Block {
    stride: usize,
    residual: bool,
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    squeeze: Linear,
    excite: Linear,
    project: ConvNorm,
}

impl Block {
    fn forward(&self, input: &Tensor, padding: Padding) -> Result<Tensor> {
        let mut x = input.clone();
        if let Some(expand) = &self.expand {
            x = expand.pointwise(&x)?.silu()?;
        }
        let depthwise = &self.depthwise;
        x = depthwise_conv2d(&x, &depthwise.weight, self.stride, padding)?;
        x = depthwise.norm(&x)?.silu()?;
        let gate = self.squeeze.forward(&x.mean((2, 3))?)?.silu()?;
        let gate = sigmoid(&self.excite.forward(&gate)?)?;
        x = x.broadcast_mul(&gate.unsqueeze(2)?.unsqueeze(3)?)?;
        x = self.project.pointwise(&x)?;
        if self.residual { x + input } else { Ok(x) }
    }
}

/// Takes tensors by the names and shapes that the layers ask for.
struct Take<'a> {
    weights: &'a Weights,
    eps: f64,
}

impl Take<'_> {
    fn conv_norm(
        &self,
        prefix: &str,
        shape: [usize; 4],
    ) -> std::result::Result<ConvNorm, WeightsError> {
        let part = |name: &str| self.weights.tensor(&format!("{prefix}.1.{name}"), &shape[..1]);
        let norm = BatchNorm::new(
            shape[0],
            part("running_mean")?,
            part("running_var")?,
            part("weight")?,
            part("bias")?,
            self.eps,
        )
        .map_err(WeightsError::tensor(&format!("{prefix}.1")))?;
        Ok(ConvNorm { weight: self.weights.tensor(&format!("{prefix}.0.weight"), &shape)?, norm })
    }

    /// `ones` are axes of length 1 that end the stored weight's shape.
    fn linear(
        &self,
        prefix: &str,
        out: usize,
        input: usize,
        ones: &[usize],
    ) -> std::result::Result<Linear, WeightsError> {
        let name = format!("{prefix}.weight");
        let weight = self
            .weights
            .tensor(&name, &[&[out, input], ones].concat())?
            .reshape((out, input))
            .map_err(WeightsError::tensor(&name))?;
        Ok(Linear { weight, bias: self.weights.tensor(&format!("{prefix}.bias"), &[out])? })
    }

    fn block(&self, block: &MbConv) -> std::result::Result<Block, WeightsError> {
        let MbConv { input, expanded, squeezed, output, kernel, .. } = *block;
        let se = block.se_prefix();
        Ok(Block {
            stride: block.stride,
            residual: block.residual(),
            expand: block
                .expand_prefix()
                .map(|prefix| self.conv_norm(&prefix, [expanded, input, 1, 1]))
                .transpose()?,
            depthwise: self.conv_norm(&block.depthwise_prefix(), [expanded, 1, kernel, kernel])?,
            squeeze: self.linear(&format!("{se}.fc1"), squeezed, expanded, &[1, 1])?,
            excite: self.linear(&format!("{se}.fc2"), expanded, squeezed, &[1, 1])?,
            project: self.conv_norm(&block.project_prefix(), [output, expanded, 1, 1])?,
        })
    }
}

/// The network with the preparation that its model file asks for.
pub struct TensorNetwork {
    network: EfficientNet,
    size: usize,
    normalisation: Normalisation,
}

impl TensorNetwork {
    /// Joins a network with what it is fed: images of `size` × `size` pixels.
    pub fn new(network: EfficientNet, size: usize, normalisation: Normalisation) -> Self {
        Self { network, size, normalisation }
    }

    /// N×3×size×size in f32, each channel `(byte / 255 − mean) / std`.
    fn normalise(&self, images: &[&[u8]]) -> std::result::Result<Tensor, InferenceError> {
        let Self { size, normalisation: Normalisation { mean, std }, .. } = self;
        InferenceError::check_sizes(images, 3 * size * size)?;
        let mut values = Vec::with_capacity(images.len() * 3 * size * size);
        for image in images {
            for channel in 0..3 {
                let bytes = image[channel..].iter().step_by(3);
                values
                    .extend(bytes.map(|&b| (f32::from(b) / 255.0 - mean[channel]) / std[channel]));
            }
        }
        Ok(Tensor::from_vec(values, (images.len(), 3, *size, *size), &Device::Cpu)?)
    }
}

impl Infer for TensorNetwork {
    fn outputs(&self) -> usize {
        self.network.classes
    }

    fn features(&self) -> usize {
        self.network.classifier.weight.dims()[1]
    }

    fn map_side(&self) -> usize {
        let EfficientNet { padding, blocks, .. } = &self.network;
        let (_, stem) = padding.resolve(self.size, 3, 2);
        blocks.iter().fold(stem, |side, block| {
            let kernel = block.depthwise.weight.dims()[2];
            padding.resolve(side, kernel, block.stride).1
        })
    }

    fn run(
        &self,
        images: &[&[u8]],
        want: Want,
        to: &mut Tensors,
    ) -> std::result::Result<(), InferenceError> {
        to.resize(self, images.len(), want);
        if images.is_empty() {
            return Ok(());
        }
        let maps = self.network.maps(&self.normalise(images)?)?;
        let features = maps.mean((2, 3))?;
        for (room, found) in [
            (&mut to.maps, &maps),
            (&mut to.features, &features),
            (&mut to.logits, &self.network.classifier.forward(&features)?),
        ] {
            if !room.is_empty() {
                room.copy_from_slice(&found.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        Ok(())
    }
}
