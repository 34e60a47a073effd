//! A plan with its tensors, run layer by layer.
//!
//! Images are C×N×H×W inside (see [`super::ops`]), vectors N×F, tokens N×T×D.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::ops::{layer_norm_slow, sigmoid, softmax};

use super::look::look;
use super::ops::conv::Convolution;
use super::ops::depthwise::DepthwiseConv2d;
use super::ops::norm::{Moments, Norm};
use super::ops::pool::{MaxPool, adaptive_mean};
use super::ops::{portable, values};
use super::transformer::Transformer;
use crate::model::architecture::Architecture;
use crate::model::backbone::{Conv, Layer, Plan};
use crate::model::parameters::parameters;
use crate::model::seeded::SplitMix64;
use crate::model::weights::{Weights, WeightsError};

/// A network: its layers and their tensors.
pub struct Network {
    plan: Plan,
    eps: f64,
    classes: usize,
    tensors: BTreeMap<String, Tensor>,
    /// Batch norms of running statistics, by prefix; empty where these may change, and on
    /// GPUs.
    norms: BTreeMap<String, Norm>,
    /// What computes the body where nothing learns, if it is a transformer.
    transformer: Option<Transformer>,
}

/// What is different while a network learns, and what is learned of a batch beside
/// the gradients.
#[derive(Default)]
pub(super) struct Pass {
    /// Whether batch norm takes the batch's statistics.
    pub of_batch: bool,
    /// Probability that a number is left out, and the seed that says which.
    pub dropout: Option<(f64, u64)>,
    /// Of each batch norm, by prefix: the batch's statistics and its pixels.
    pub moments: Vec<(String, Moments, usize)>,
    /// Whether anything so far has tensors.
    pub seen: bool,
}

impl Network {
    /// Takes the weights of `architecture` with `classes` outputs, on the processor.
    /// Tensors that the architecture does not have are not looked at.
    ///
    /// # Errors
    /// [`WeightsError`] for the first tensor that is missing or misshapen.
    pub fn load(
        architecture: &Architecture,
        classes: usize,
        weights: &Weights,
    ) -> std::result::Result<Self, WeightsError> {
        Self::on(&Device::Cpu, architecture, classes, weights)
    }

    /// The same on any device of candle's.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn on(
        device: &Device,
        architecture: &Architecture,
        classes: usize,
        weights: &Weights,
    ) -> std::result::Result<Self, WeightsError> {
        let mut tensors = BTreeMap::new();
        for parameter in parameters(architecture, classes) {
            let tensor = weights.tensor(&parameter.name, &parameter.shape)?;
            let tensor = tensor.contiguous().and_then(|tensor| tensor.to_device(device));
            let tensor = tensor.map_err(WeightsError::tensor(&parameter.name))?;
            tensors.insert(parameter.name, tensor);
        }
        let mut network = Self::with(architecture, classes, tensors);
        if device.is_cpu() {
            network.norms = network.running().map_err(WeightsError::tensor("running_mean"))?;
        }
        network.transformer = Transformer::of(&network.plan, network.eps, &network.tensors)
            .map_err(WeightsError::tensor("encoder"))?;
        Ok(network)
    }

    /// A network with these tensors, which are those of the architecture.
    pub(super) fn with(
        architecture: &Architecture,
        classes: usize,
        tensors: BTreeMap<String, Tensor>,
    ) -> Self {
        let (plan, eps) = (architecture.plan(), architecture.bn_eps);
        Self { plan, eps, classes, tensors, norms: BTreeMap::new(), transformer: None }
    }

    /// The batch norms of its running statistics.
    fn running(&self) -> Result<BTreeMap<String, Norm>> {
        let prefixes = self.tensors.keys().filter_map(|name| name.strip_suffix(".running_mean"));
        prefixes.map(|prefix| Ok((prefix.to_owned(), self.running_norm(prefix)?))).collect()
    }

    fn running_norm(&self, prefix: &str) -> Result<Norm> {
        let told = |part| values::<f64>(&self.tensor(prefix, part)?.to_dtype(DType::F64)?);
        let moments = Moments { mean: told("running_mean")?, variance: told("running_var")? };
        Ok(Norm::new(&moments, self.eps, false))
    }

    /// Logits of an image.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Where its tensors are.
    pub(super) fn device(&self) -> Device {
        self.tensors.values().next().map_or(Device::Cpu, |tensor| tensor.device().clone())
    }

    /// Its layers.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Logits (N×classes) of normalised images (N×3×H×W), in evaluation mode.
    ///
    /// # Errors
    /// candle's, if shapes or types do not fit.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let images = images.transpose(0, 1)?.contiguous()?;
        let mut pass = Pass::default();
        let maps = self.maps(&images, &mut pass)?;
        let features = self.features(&maps, &mut pass)?;
        self.classify(&features)
    }

    /// The last feature maps of normalised images (3×N×H×W): C×N×h×w.
    pub(super) fn maps(&self, images: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        self.all(&self.plan.body, images, pass)
    }

    /// The same where nothing learns: no gradient leads through it.
    pub(super) fn used(&self, images: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        match &self.transformer {
            Some(transformer) => transformer.tokens(&images.transpose(0, 1)?.contiguous()?),
            None => self.maps(images, pass),
        }
    }

    /// The features (N×F) of the last maps.
    pub(super) fn features(&self, maps: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        self.all(&self.plan.neck, maps, pass)
    }

    /// Logits (N×classes) of features.
    pub(super) fn classify(&self, features: &Tensor) -> Result<Tensor> {
        self.linear(self.plan.classifier, features)
    }

    fn tensor(&self, prefix: &str, part: &str) -> Result<&Tensor> {
        self.named(&format!("{prefix}.{part}"))
    }

    fn named(&self, name: &str) -> Result<&Tensor> {
        match self.tensors.get(name) {
            Some(tensor) => Ok(tensor),
            None => bail!("tensor `{name}` is missing"),
        }
    }

    pub(super) fn all(&self, layers: &[Layer], input: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let mut x = input.clone();
        for layer in layers {
            x = self.layer(layer, &x, pass)?;
        }
        Ok(x)
    }

    fn layer(&self, layer: &Layer, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        match layer {
            Layer::Look(own) => look(x, own),
            Layer::Conv(conv) => self.conv(conv, x, pass),
            Layer::Norm { prefix, .. } => self.norm(prefix, x, pass),
            Layer::Relu => x.relu(),
            Layer::Silu => x.silu(),
            Layer::Gate { prefix, .. } => {
                let means = x.mean((2, 3))?.t()?.contiguous()?;
                let squeezed = self.linear(&format!("{prefix}.fc1"), &means)?.silu()?;
                let gate = sigmoid(&self.linear(&format!("{prefix}.fc2"), &squeezed)?)?;
                x.broadcast_mul(&gate.t()?.contiguous()?.unsqueeze(2)?.unsqueeze(3)?)
            }
            &Layer::MaxPool { kernel, stride, padding, ceil } => {
                let op = MaxPool { kernel, stride, padding, ceil };
                if x.device().is_cpu() { op.apply(x) } else { portable::max_pool(&op, x) }
            }
            Layer::Residual { branch, skip } => {
                let before = pass.seen;
                let around = self.all(skip, x, pass)?;
                pass.seen = before;
                self.all(branch, x, pass)? + around
            }
            Layer::Branches(branches) => {
                let before = pass.seen;
                let mut found = Vec::new();
                for branch in branches {
                    pass.seen = before;
                    found.push(self.all(branch, x, pass)?);
                }
                Tensor::cat(&found, 0)
            }
            Layer::AdaptiveMean(side) => adaptive_mean(x, *side),
            Layer::Mean => x.mean((2, 3))?.t()?.contiguous(),
            Layer::Flatten => x.transpose(0, 1)?.contiguous()?.flatten_from(1),
            Layer::Join(views) => {
                let (count, numbers) = x.dims2()?;
                x.reshape((count / views, views * numbers))
            }
            Layer::Linear { prefix, .. } => self.linear(prefix, x),
            Layer::Maxout => {
                let (count, numbers) = x.dims2()?;
                let pairs = x.reshape((count, numbers / 2, 2))?;
                let one = |place| pairs.narrow(2, place, 1)?.contiguous()?.squeeze(2);
                // The larger of both, whose gradient goes where it came from.
                let (left, right): (Tensor, Tensor) = (one(0)?, one(1)?);
                &right + (&left - &right)?.relu()?
            }
            Layer::Dropout { name } => drop_out(x, name, pass.dropout),
            Layer::Tokens { patch, width, .. } => self.tokens(x, *patch, *width),
            Layer::Encoder { prefix, heads, .. } => self.encoder(prefix, *heads, x),
            Layer::TokenNorm { prefix, .. } => self.token_norm(prefix, x),
            Layer::ClassToken => x.narrow(1, 0, 1)?.contiguous()?.squeeze(1),
        }
    }

    fn conv(&self, conv: &Conv, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let (.., height, width) = x.dims4()?;
        let (kernel, stride) = (conv.kernel, conv.stride);
        let (top, rows) = conv.padding.resolve(height, kernel, stride);
        let (left, columns) = conv.padding.resolve(width, kernel, stride);
        let weight = self.tensor(&conv.prefix, "weight")?;
        let input_learns = std::mem::replace(&mut pass.seen, true);
        let (before, output) = ((top, left), (rows, columns));
        let op = Convolution { kernel, stride, before, output, input_learns };
        let found = match (conv.depthwise, x.device().is_cpu()) {
            (true, true) => {
                let op = DepthwiseConv2d::new(kernel, stride, (height, width), before, output);
                op.channels_first().apply(x, weight)?
            }
            (true, false) => portable::depthwise(x, weight, stride, before, output)?,
            (false, true) => op.apply(x, weight)?,
            (false, false) => portable::convolution(&op, x, weight)?,
        };
        if !conv.bias {
            return Ok(found);
        }
        let bias = self.tensor(&conv.prefix, "bias")?;
        found.broadcast_add(&bias.reshape((conv.output, 1, 1, 1))?)
    }

    fn norm(&self, prefix: &str, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let (gamma, beta) = (self.tensor(prefix, "weight")?, self.tensor(prefix, "bias")?);
        pass.seen = true;
        let (found, moments) = if !x.device().is_cpu() {
            let fixed = if pass.of_batch {
                None
            } else {
                Some((self.tensor(prefix, "running_mean")?, self.tensor(prefix, "running_var")?))
            };
            portable::norm(x, gamma, beta, fixed, self.eps)?
        } else if pass.of_batch {
            let moments = Moments::of(x)?;
            (Norm::new(&moments, self.eps, true).apply(x, gamma, beta)?, Some(moments))
        } else {
            let norm = match self.norms.get(prefix) {
                Some(norm) => norm.clone(),
                None => self.running_norm(prefix)?,
            };
            (norm.apply(x, gamma, beta)?, None)
        };
        if let Some(moments) = moments {
            let pixels = x.elem_count() / moments.mean.len().max(1);
            pass.moments.push((prefix.to_owned(), moments, pixels));
        }
        Ok(found)
    }

    /// A matrix product of the last axis with bias; 1×1 kernels are matrices.
    fn linear(&self, prefix: &str, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.tensor(prefix, "weight")?, self.tensor(prefix, "bias")?);
        affine(x, weight, bias)
    }

    pub(super) fn token_norm(&self, prefix: &str, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.tensor(prefix, "weight")?, self.tensor(prefix, "bias")?);
        layer_norm_slow(x, weight, bias, self.eps as f32)
    }

    fn tokens(&self, x: &Tensor, patch: usize, width: usize) -> Result<Tensor> {
        let (channels, images, height, columns) = x.dims4()?;
        let (down, across) = (height / patch, columns / patch);
        if (down * patch, across * patch) != (height, columns) {
            bail!("{height}×{columns} pixels are no whole patches of {patch}");
        }
        // Each patch as a row: its channels, rows and columns.
        let patches = x
            .reshape(vec![channels, images, down, patch, across, patch])?
            .permute(vec![1, 2, 4, 0, 3, 5])?
            .contiguous()?
            .reshape((images, down * across, channels * patch * patch))?;
        let weight = self.named("conv_proj.weight")?.flatten_from(1)?;
        let patches = affine(&patches, &weight, self.named("conv_proj.bias")?)?;
        let class = self.named("class_token")?.broadcast_as((images, 1, width))?.contiguous()?;
        Tensor::cat(&[class, patches], 1)?.broadcast_add(self.named("encoder.pos_embedding")?)
    }

    fn encoder(&self, prefix: &str, heads: usize, x: &Tensor) -> Result<Tensor> {
        self.attending(prefix, heads, x, &self.token_norm(&format!("{prefix}.ln_1"), x)?)
    }

    /// A transformer's layer behind its first norm, which made `normed` of `x`.
    pub(super) fn attending(
        &self,
        prefix: &str,
        heads: usize,
        x: &Tensor,
        normed: &Tensor,
    ) -> Result<Tensor> {
        let name = |what: &str| format!("{prefix}.{what}");
        let (images, tokens, width) = x.dims3()?;
        let each = width / heads;
        let weight = self.named(&name("self_attention.in_proj_weight"))?;
        let bias = self.named(&name("self_attention.in_proj_bias"))?;
        let both = affine(normed, weight, bias)?;
        // 3 × N × heads × T × each.
        let both = both
            .reshape((images, tokens, 3, heads, each))?
            .permute((2, 0, 3, 1, 4))?
            .contiguous()?;
        let part = |place| both.narrow(0, place, 1)?.contiguous()?.squeeze(0);
        let (query, key, value): (Tensor, Tensor, Tensor) = (part(0)?, part(1)?, part(2)?);
        let scores = (query.matmul(&key.transpose(2, 3)?)? * (1.0 / (each as f64).sqrt()))?;
        let seen = softmax(&scores, 3)?.matmul(&value)?;
        let seen = seen.transpose(1, 2)?.contiguous()?.reshape((images, tokens, width))?;
        let x = (x + self.linear(&name("self_attention.out_proj"), &seen)?)?;
        let hidden = self.linear(&name("mlp.0"), &self.token_norm(&name("ln_2"), &x)?)?;
        &x + self.linear(&name("mlp.3"), &hidden.gelu_erf()?)?
    }
}

/// `x · weightᵀ + bias` along the last axis of x.
fn affine(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let outputs = weight.dim(0)?;
    let inputs = weight.elem_count() / outputs.max(1);
    let mut dims = x.dims().to_vec();
    let rows = x.elem_count() / inputs.max(1);
    let matrix = weight.reshape((outputs, inputs))?;
    let found = x.reshape((rows, inputs))?.matmul(&matrix.t()?)?.broadcast_add(bias)?;
    if let Some(last) = dims.last_mut() {
        *last = outputs;
    }
    found.reshape(dims)
}

/// Leaves numbers out, each by a draw of its own in the order in which they lie, and
/// scales the others up: the same of the same seed, name and number of numbers.
pub(super) fn drop_out(x: &Tensor, name: &str, dropout: Option<(f64, u64)>) -> Result<Tensor> {
    let Some((probability, seed)) = dropout.filter(|(probability, _)| *probability > 0.0) else {
        return Ok(x.clone());
    };
    let mut random = SplitMix64::named(seed, name);
    let scale = (1.0 / (1.0 - probability)) as f32;
    let mut kept = || if random.uniform(0.0, 1.0) < probability { 0.0 } else { scale };
    let mask: Vec<f32> = (0..x.elem_count()).map(|_| kept()).collect();
    x * Tensor::from_vec(mask, x.dims(), x.device())?.to_dtype(x.dtype())?
}
