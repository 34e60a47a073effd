//! One network on a device: its folded weights, and the launches that take a
//! batch of pixels to logits.
//!
//! A batch's launches are always the same: they cover as many images as the
//! [`Workspace`] holds, and kernels read from the device how many there are.
//! So they can be recorded once, and the second network runs on rows that the
//! host does not know.

use std::sync::Arc;

use super::fold::{self, Folded};
use crate::engine::Normalisation;
use crate::engine::cuda::{
    CudaError, GpuPrecision, Queue,
    device::{Argument, Buffer, run},
    kernels::shapes::{self, Depthwise},
};
use crate::model::{
    architecture::{Architecture, Layers, MbConv},
    weights::Weights,
};

/// A 1×1 convolution: weights `[n][k]` in the precision, bias in f32.
struct Product {
    weights: Buffer,
    bias: Buffer,
    n: usize,
    k: usize,
}

/// An inverted-bottleneck block.
struct Block {
    expand: Option<Product>,
    /// `[kernel²][channels]`.
    depthwise: Buffer,
    depthwise_bias: Buffer,
    reduce: Buffer,
    reduce_bias: Buffer,
    /// `[squeezed][channels]`.
    widen: Buffer,
    widen_bias: Buffer,
    project: Product,
    spec: MbConv,
    pad: usize,
    /// Sides of the planes before and behind the depthwise convolution.
    sides: (usize, usize),
}

/// A network's weights on a device.
pub struct Network {
    precision: GpuPrecision,
    /// Logits an image.
    pub classes: usize,
    size: usize,
    stem: Buffer,
    stem_bias: Buffer,
    stem_channels: usize,
    stem_pad: usize,
    stem_side: usize,
    normalisation: Buffer,
    blocks: Vec<Block>,
    head: Product,
    side: usize,
    classifier: Buffer,
    classifier_bias: Buffer,
}

/// Activations of a batch, in any network of the same architecture and size.
pub struct Workspace {
    /// Inputs and outputs of blocks, in turns.
    narrow: [Buffer; 2],
    /// After the expansion, and the head's features.
    wide: Buffer,
    /// After the depthwise convolution.
    inner: Buffer,
    sums: Buffer,
    factors: Buffer,
    images: usize,
}

/// What a network is run on.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// `[..][size][size][3]` bytes.
    pub pixels: &'a Buffer,
    /// The rows of `pixels` and of the logits that take part, or the first.
    pub rows: Option<&'a Buffer>,
    /// How many take part, an i32.
    pub images: &'a Buffer,
    /// `[..][classes]` floats.
    pub logits: &'a Buffer,
    /// `[images][features]` floats, where they are wanted.
    pub features: Option<&'a Buffer>,
}

impl Network {
    /// Folds the weights of a network of `classes` logits for images of `size`
    /// × `size` pixels, and brings them to the device.
    ///
    /// # Errors
    /// [`CudaError::Weights`], [`CudaError::OutOfMemory`].
    pub fn new(
        queue: &Arc<dyn Queue>,
        precision: GpuPrecision,
        architecture: &Architecture,
        (classes, size): (usize, usize),
        weights: &Weights,
        Normalisation { mean, std }: Normalisation,
    ) -> Result<Self, CudaError> {
        let floats = |values: &[f32]| Buffer::of_floats(queue, values);
        let product = |folded: &Folded| -> Result<Product, CudaError> {
            let n = folded.bias.len();
            Ok(Product {
                weights: Buffer::of(queue, &precision.encode(&folded.weights))?,
                bias: floats(&folded.bias)?,
                n,
                k: folded.weights.len() / n,
            })
        };
        let eps = architecture.bn_eps;
        let Layers { stem: stem_channels, blocks: specs, head_prefix, features } =
            architecture.layers();
        let stem = fold::normed(weights, "features.0", &[stem_channels, 3, 3, 3], eps)?;
        let (stem_pad, stem_side) = architecture.padding.resolve(size, 3, 2);
        let (mut side, mut last) = (stem_side, stem_channels);
        let mut blocks = Vec::with_capacity(specs.len());
        for spec in specs {
            let MbConv { input, expanded, squeezed, output, kernel, stride, .. } = spec;
            let expand = match spec.expand_prefix() {
                Some(prefix) => {
                    Some(product(&fold::normed(weights, &prefix, &[expanded, input, 1, 1], eps)?)?)
                }
                None => None,
            };
            let shape = [expanded, 1, kernel, kernel];
            let depthwise = fold::normed(weights, &spec.depthwise_prefix(), &shape, eps)?;
            let prefix = spec.se_prefix();
            let shape = [squeezed, expanded, 1, 1];
            let reduce = fold::biased(weights, &format!("{prefix}.fc1"), &shape)?;
            let shape = [expanded, squeezed, 1, 1];
            let widen = fold::biased(weights, &format!("{prefix}.fc2"), &shape)?;
            let shape = [output, expanded, 1, 1];
            let project = fold::normed(weights, &spec.project_prefix(), &shape, eps)?;
            let (pad, out) = architecture.padding.resolve(side, kernel, stride);
            blocks.push(Block {
                expand,
                depthwise: floats(&fold::transposed(&depthwise.weights, kernel * kernel))?,
                depthwise_bias: floats(&depthwise.bias)?,
                reduce: floats(&reduce.weights)?,
                reduce_bias: floats(&reduce.bias)?,
                widen: floats(&fold::transposed(&widen.weights, squeezed))?,
                widen_bias: floats(&widen.bias)?,
                project: product(&project)?,
                spec,
                pad,
                sides: (side, out),
            });
            (side, last) = (out, output);
        }
        let head = fold::normed(weights, &head_prefix, &[features, last, 1, 1], eps)?;
        let classifier = fold::biased(weights, "classifier.1", &[classes, features])?;
        Ok(Self {
            precision,
            classes,
            size,
            stem: floats(&stem_by_taps(&stem.weights))?,
            stem_bias: floats(&stem.bias)?,
            stem_channels,
            stem_pad,
            stem_side,
            normalisation: floats(&scale_and_shift(mean, std))?,
            blocks,
            head: product(&head)?,
            side,
            classifier: floats(&classifier.weights)?,
            classifier_bias: floats(&classifier.bias)?,
        })
    }

    /// Length of the feature vector.
    pub fn features(&self) -> usize {
        self.head.n
    }

    /// Pixels along each side of the last feature maps.
    pub fn map_side(&self) -> usize {
        self.side
    }

    /// Memory for batches of up to `images`.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`].
    pub fn workspace(&self, queue: &Arc<dyn Queue>, images: usize) -> Result<Workspace, CudaError> {
        let mut narrow = self.stem_side.pow(2) * self.stem_channels;
        let mut wide = self.side.pow(2) * self.head.n;
        let (mut inner, mut sums, mut factors) = (0, 0, 0);
        for Block { spec, sides: (side, out), expand, .. } in &self.blocks {
            let channels = spec.expanded;
            if expand.is_some() {
                wide = wide.max(side.pow(2) * channels);
            }
            inner = inner.max(out.pow(2) * channels);
            narrow = narrow.max(out.pow(2) * spec.output);
            sums = sums.max(Depthwise::new(channels, *out).tiles * channels);
            factors = factors.max(channels);
        }
        let elements =
            |an_image: usize| Buffer::new(queue, images * an_image * self.precision.bytes());
        let floats = |an_image: usize| Buffer::new(queue, images * an_image * size_of::<f32>());
        Ok(Workspace {
            narrow: [elements(narrow)?, elements(narrow)?],
            wide: elements(wide)?,
            inner: elements(inner)?,
            sums: floats(sums)?,
            factors: floats(factors)?,
            images,
        })
    }

    /// Launches a batch.
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    pub fn launch(
        &self,
        queue: &dyn Queue,
        workspace: &Workspace,
        batch: Batch<'_>,
    ) -> Result<(), CudaError> {
        let Workspace { narrow: [first, second], wide, inner, sums, factors, images } = workspace;
        let (mut from, mut to) = (first, second);
        let (all, live) = (*images, batch.images);
        run!(
            queue,
            shapes::stem(all * self.stem_side.pow(2), self.stem_channels),
            batch.pixels,
            batch.rows,
            &self.stem,
            &self.stem_bias,
            &self.normalisation,
            from,
            live,
            self.size,
            self.stem_side,
            self.stem_pad,
            self.stem_channels,
            true,
        )?;
        for block in &self.blocks {
            let Block { spec, sides: (side, out), pad, .. } = block;
            let channels = spec.expanded;
            let input = match &block.expand {
                Some(expand) => {
                    self.product(
                        queue,
                        all,
                        (from, side * side),
                        expand,
                        None,
                        None,
                        wide,
                        live,
                        true,
                    )?;
                    wide
                }
                None => from,
            };
            let shape = Depthwise::new(channels, *out);
            let kernel = shapes::depthwise_kernel(spec.kernel, spec.stride);
            run!(
                queue,
                shape.launch(kernel, spec.kernel, all, channels),
                input,
                &block.depthwise,
                &block.depthwise_bias,
                inner,
                sums,
                live,
                channels,
                *side,
                *out,
                *pad,
                shape.rows,
                shape.tiles,
                true,
            )?;
            let shared = (channels + spec.squeezed) * size_of::<f32>();
            run!(
                queue,
                shapes::flat("squeeze_excite", all, shared),
                sums,
                &block.reduce,
                &block.reduce_bias,
                &block.widen,
                &block.widen_bias,
                factors,
                Argument::NULL,
                Argument::NULL,
                live,
                channels,
                spec.squeezed,
                shape.tiles,
                1.0 / (out * out) as f32,
            )?;
            let residual = spec.residual().then_some(from);
            let pixels = out * out;
            let project = &block.project;
            self.product(
                queue,
                all,
                (inner, pixels),
                project,
                Some(factors),
                residual,
                to,
                live,
                false,
            )?;
            std::mem::swap(&mut from, &mut to);
        }
        let pixels = self.side.pow(2);
        self.product(queue, all, (from, pixels), &self.head, None, None, wide, live, true)?;
        let features = self.head.n;
        run!(
            queue,
            shapes::flat("head", all, features * size_of::<f32>()),
            wide,
            batch.rows,
            &self.classifier,
            &self.classifier_bias,
            batch.logits,
            batch.features,
            live,
            pixels,
            features,
            self.classes,
        )
    }

    #[allow(clippy::too_many_arguments, reason = "each is an operand")]
    fn product(
        &self,
        queue: &dyn Queue,
        images: usize,
        (input, pixels): (&Buffer, usize),
        product: &Product,
        factors: Option<&Buffer>,
        residual: Option<&Buffer>,
        output: &Buffer,
        live: &Buffer,
        activate: bool,
    ) -> Result<(), CudaError> {
        run!(
            queue,
            shapes::pointwise(self.precision, images * pixels, product.n),
            input,
            &product.weights,
            &product.bias,
            factors,
            residual,
            output,
            live,
            pixels,
            product.n,
            product.k,
            activate,
        )
    }
}

/// The stem's weights from `[output][colour][ky][kx]` to
/// `[ky][kx][colour][output]`.
pub fn stem_by_taps(weights: &[f32]) -> Vec<f32> {
    let outputs = weights.len() / 27;
    (0..weights.len())
        .map(|i| {
            let (tap, output) = (i / outputs, i % outputs);
            weights[output * 27 + tap % 3 * 9 + tap / 3]
        })
        .collect()
}

/// What a byte is multiplied with, by colour, and what is added then.
pub fn scale_and_shift(mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    let pairs = || mean.into_iter().zip(std).map(|(m, s)| (f64::from(m), f64::from(s)));
    let scale = pairs().map(|(_, std)| (1.0 / (255.0 * std)) as f32);
    scale.chain(pairs().map(|(mean, std)| (-mean / std) as f32)).collect()
}
