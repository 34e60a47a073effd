//! Depthwise convolution for candle tensors: one k×k kernel a channel.
//!
//! candle's grouped convolution splits the input into as many tensors as there
//! are groups, 13,584 for one EfficientNet-B1; this is one operation, forward
//! and backward. The fused engines have kernels of their own.
//!
//! All three passes are the same walk over runs of pixels (`Geometry::runs`)
//! with another body: `output += kernel · input`, `input gradient += kernel ·
//! output gradient`, `kernel gradient += input · output gradient`.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;

use super::{by_type, contiguous, zeros};
use crate::model::architecture::Padding;

/// Convolves each channel of `input` (N×C×H×W, f32 or f64) with its own kernel of
/// `weight` (C×1×k×k), as often as `stride` says, padded as `padding` says.
///
/// # Errors
/// candle's, if shapes or types do not fit.
pub fn depthwise_conv2d(
    input: &Tensor,
    weight: &Tensor,
    stride: usize,
    padding: Padding,
) -> Result<Tensor> {
    let (_, _, height, width) = input.dims4()?;
    let (_, _, kernel, _) = weight.dims4()?;
    if kernel == 0 || stride == 0 || height == 0 || width == 0 {
        bail!("depthwise: empty input {:?} or kernel {:?}", input.shape(), weight.shape());
    }
    // Half of an even kernel's padding would fall between two pixels.
    if kernel.is_multiple_of(2) {
        bail!("depthwise: a kernel of side {kernel} has no middle");
    }
    let axis = |size| {
        let (before, output) = padding.resolve(size, kernel, stride);
        Axis { size, before, output }
    };
    let geometry = Geometry { kernel, stride, y: axis(height), x: axis(width) };
    DepthwiseConv2d { geometry, order: Order::Images }.apply(input, weight)
}

/// Which axis of a batch of images comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// N×C×H×W.
    Images,
    /// C×N×H×W.
    Channels,
}

impl Order {
    /// Images and channels of two axes.
    fn of(self, (first, second): (usize, usize)) -> (usize, usize) {
        match self {
            Self::Images => (first, second),
            Self::Channels => (second, first),
        }
    }

    /// The channel of a plane.
    fn channel(self, plane: usize, (images, channels): (usize, usize)) -> usize {
        match self {
            Self::Images => plane % channels,
            Self::Channels => plane / images,
        }
    }

    /// The plane of a channel and an image.
    fn plane(self, channel: usize, image: usize, (images, channels): (usize, usize)) -> usize {
        match self {
            Self::Images => image * channels + channel,
            Self::Channels => channel * images + image,
        }
    }

    fn shape(self, (images, channels): (usize, usize), height: usize, width: usize) -> Shape {
        let (first, second) = self.of((images, channels));
        Shape::from((first, second, height, width))
    }
}

/// Depthwise convolution of images of one size. See [`depthwise_conv2d`].
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseConv2d {
    geometry: Geometry,
    order: Order,
}

impl DepthwiseConv2d {
    /// A convolution with k×k kernels of images of `input` (height, width),
    /// with `before` (top, left) rows and columns of zeros, that makes
    /// `output` (height, width); zeros follow below and to the right as needed.
    pub fn new(
        kernel: usize,
        stride: usize,
        input: (usize, usize),
        before: (usize, usize),
        output: (usize, usize),
    ) -> Self {
        let y = Axis { size: input.0, before: before.0, output: output.0 };
        let x = Axis { size: input.1, before: before.1, output: output.1 };
        Self { geometry: Geometry { kernel, stride, y, x }, order: Order::Images }
    }

    /// The same of images whose channels come first (C×N×H×W).
    pub fn channels_first(self) -> Self {
        Self { order: Order::Channels, ..self }
    }

    /// Runs it on `input` (N×C×H×W) with `weight` (C×1×k×k), differentiably.
    ///
    /// # Errors
    /// candle's, if shapes or types do not fit.
    pub fn apply(self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        input.contiguous()?.apply_op2(&weight.contiguous()?, self)
    }
}

/// One axis of the image.
#[derive(Debug, Clone, Copy)]
struct Axis {
    size: usize,
    /// Zeros before the first pixel.
    before: usize,
    output: usize,
}

impl Axis {
    /// The outputs `from..to` for which tap `k` of the kernel meets a pixel.
    fn outputs(&self, k: usize, stride: usize) -> (usize, usize) {
        let from = self.before.saturating_sub(k).div_ceil(stride);
        let to = (self.size + self.before).saturating_sub(k).div_ceil(stride);
        (from.min(self.output), to.min(self.output))
    }
}

#[derive(Debug, Clone, Copy)]
struct Geometry {
    kernel: usize,
    stride: usize,
    y: Axis,
    x: Axis,
}

/// Pixels of a row that one tap of the kernel joins: `output[o + i]` and
/// `input[i0 + i · stride]` for `i` in `0..length`.
struct Run {
    tap: usize,
    input: usize,
    output: usize,
    length: usize,
}

impl Geometry {
    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    fn input_plane(&self) -> usize {
        self.y.size * self.x.size
    }

    fn output_plane(&self) -> usize {
        self.y.output * self.x.output
    }

    /// Visits every pair of an input and an output pixel once, in runs, output
    /// row after output row.
    fn runs(&self, mut visit: impl FnMut(Run)) {
        for oy in 0..self.y.output {
            for ky in 0..self.kernel {
                let row = oy * self.stride + ky;
                if row < self.y.before || row - self.y.before >= self.y.size {
                    continue;
                }
                let row = (row - self.y.before) * self.x.size;
                for kx in 0..self.kernel {
                    let (from, to) = self.x.outputs(kx, self.stride);
                    if from < to {
                        visit(Run {
                            tap: ky * self.kernel + kx,
                            input: row + from * self.stride + kx - self.x.before,
                            output: oy * self.x.output + from,
                            length: to - from,
                        });
                    }
                }
            }
        }
    }

    fn forward<T: WithDType>(&self, input: &[T], weight: &[T], output: &mut [T]) {
        self.runs(|run| {
            let weight = weight[run.tap];
            let output = &mut output[run.output..][..run.length];
            let input = &input[run.input..];
            if self.stride == 1 {
                output.iter_mut().zip(input).for_each(|(o, i)| *o += weight * *i);
            } else {
                let input = input.iter().step_by(self.stride);
                output.iter_mut().zip(input).for_each(|(o, i)| *o += weight * *i);
            }
        });
    }

    fn input_gradient<T: WithDType>(&self, output_grad: &[T], weight: &[T], input_grad: &mut [T]) {
        self.runs(|run| {
            let weight = weight[run.tap];
            let output = &output_grad[run.output..][..run.length];
            let input = &mut input_grad[run.input..];
            if self.stride == 1 {
                input.iter_mut().zip(output).for_each(|(i, o)| *i += weight * *o);
            } else {
                let input = input.iter_mut().step_by(self.stride);
                input.zip(output).for_each(|(i, o)| *i += weight * *o);
            }
        });
    }

    /// Adds to `weight_grad`, in f64 because it sums over whole images.
    fn weight_gradient<T: WithDType>(
        &self,
        input: &[T],
        output_grad: &[T],
        weight_grad: &mut [f64],
    ) {
        self.runs(|run| {
            let output = &output_grad[run.output..][..run.length];
            let input = input[run.input..].iter().step_by(self.stride);
            let sum = input.zip(output).fold(T::from_f64(0.0), |sum, (i, o)| sum + *i * *o);
            weight_grad[run.tap] += sum.to_f64();
        });
    }
}

/// The first two axes of a batch, whose planes must be of these sizes.
fn planes(layout: &Layout, height: usize, width: usize) -> Result<(usize, usize)> {
    let (images, channels, h, w) = layout.shape().dims4()?;
    if (h, w) != (height, width) {
        bail!("depthwise: planes of {h}×{w} where {height}×{width} are needed");
    }
    Ok((images, channels))
}

fn check_weight(layout: &Layout, channels: usize, kernel: usize) -> Result<()> {
    let expected = (channels, 1, kernel, kernel);
    if layout.shape().dims4()? != expected {
        bail!("depthwise: kernels {:?} where {expected:?} are needed", layout.shape());
    }
    Ok(())
}

impl CustomOp2 for DepthwiseConv2d {
    fn name(&self) -> &'static str {
        "depthwise-conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        let both = self.order.of(planes(input_layout, g.y.size, g.x.size)?);
        let (images, channels) = both;
        check_weight(weight_layout, channels, g.kernel)?;
        let shape = self.order.shape(both, g.y.output, g.x.output);
        by_type!(input.dtype(), T => {
            let input = contiguous::<T>(input, input_layout)?;
            let weight = contiguous::<T>(weight, weight_layout)?;
            let mut output = zeros::<T>(images * channels * g.output_plane());
            output
                .par_chunks_exact_mut(g.output_plane())
                .zip(input.par_chunks_exact(g.input_plane()))
                .enumerate()
                .for_each(|(plane, (output, input))| {
                    let channel = self.order.channel(plane, both);
                    g.forward(input, &weight[channel * g.taps()..][..g.taps()], output);
                });
            Ok((T::to_cpu_storage_owned(output), shape))
        })
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _output: &Tensor,
        output_grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let output_grad = output_grad.contiguous()?;
        let input_grad =
            output_grad.apply_op2_no_bwd(weight, &InputGradient(self.geometry, self.order))?;
        let weight_grad =
            input.apply_op2_no_bwd(&output_grad, &WeightGradient(self.geometry, self.order))?;
        Ok((Some(input_grad), Some(weight_grad)))
    }
}

/// `(output gradient, weight) → input gradient`.
struct InputGradient(Geometry, Order);

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "depthwise-conv2d-input-gradient"
    }

    fn cpu_fwd(
        &self,
        output_grad: &CpuStorage,
        output_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = &self.0;
        let both = self.1.of(planes(output_layout, g.y.output, g.x.output)?);
        let (images, channels) = both;
        check_weight(weight_layout, channels, g.kernel)?;
        let shape = self.1.shape(both, g.y.size, g.x.size);
        by_type!(output_grad.dtype(), T => {
            let output_grad = contiguous::<T>(output_grad, output_layout)?;
            let weight = contiguous::<T>(weight, weight_layout)?;
            let mut input_grad = zeros::<T>(images * channels * g.input_plane());
            input_grad
                .par_chunks_exact_mut(g.input_plane())
                .zip(output_grad.par_chunks_exact(g.output_plane()))
                .enumerate()
                .for_each(|(plane, (input, output))| {
                    let channel = self.1.channel(plane, both);
                    g.input_gradient(output, &weight[channel * g.taps()..][..g.taps()], input);
                });
            Ok((T::to_cpu_storage_owned(input_grad), shape))
        })
    }
}

/// `(input, output gradient) → weight gradient`.
struct WeightGradient(Geometry, Order);

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "depthwise-conv2d-weight-gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        output_grad: &CpuStorage,
        output_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = &self.0;
        let both = self.1.of(planes(input_layout, g.y.size, g.x.size)?);
        let (images, channels) = both;
        if self.1.of(planes(output_layout, g.y.output, g.x.output)?) != both {
            bail!("depthwise: gradient {:?} of {:?}", output_layout.shape(), input_layout.shape());
        }
        let shape = Shape::from((channels, 1, g.kernel, g.kernel));
        by_type!(input.dtype(), T => {
            let input = contiguous::<T>(input, input_layout)?;
            let output_grad = contiguous::<T>(output_grad, output_layout)?;
            let mut weight_grad = zeros::<T>(channels * g.taps());
            weight_grad.par_chunks_exact_mut(g.taps()).enumerate().for_each(|(channel, gradient)| {
                let mut sums = vec![0f64; g.taps()];
                for plane in (0..images).map(|image| self.1.plane(channel, image, both)) {
                    let input = &input[plane * g.input_plane()..][..g.input_plane()];
                    let output = &output_grad[plane * g.output_plane()..][..g.output_plane()];
                    g.weight_gradient(input, output, &mut sums);
                }
                gradient.iter_mut().zip(sums).for_each(|(g, sum)| *g = T::from_f64(sum));
            });
            Ok((T::to_cpu_storage_owned(weight_grad), shape))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::candle::ops::checks::{difference, generator, random};
    use candle_core::{Device, Var};
    use rand::Rng;
    use rand_chacha::ChaCha8Rng;

    /// candle's grouped convolution of the input with its zeros written out.
    fn reference(input: &Tensor, weight: &Tensor, stride: usize, padding: Padding) -> Tensor {
        let (_, channels, height, width) = input.dims4().unwrap();
        let kernel = weight.dims()[2];
        let mut padded = input.clone();
        for (axis, size) in [(2, height), (3, width)] {
            let (before, output) = padding.resolve(size, kernel, stride);
            let after = ((output - 1) * stride + kernel).saturating_sub(size + before);
            padded = padded.pad_with_zeros(axis, before, after).unwrap();
        }
        padded.conv2d(weight, 0, stride, 1, channels).unwrap()
    }

    /// Shapes with every kernel, stride and padding, some smaller than the kernel.
    fn cases(rng: &mut ChaCha8Rng) -> Vec<(Tensor, Tensor, usize, Padding)> {
        let mut cases = Vec::new();
        for kernel in [1, 3, 5] {
            for stride in [1, 2] {
                for padding in [Padding::Symmetric, Padding::Same] {
                    for _ in 0..4 {
                        let (n, c) = (rng.random_range(1..4), rng.random_range(1..6));
                        let (h, w) = (rng.random_range(1..14), rng.random_range(1..14));
                        let input = random(rng, &[n, c, h, w]);
                        cases.push((input, random(rng, &[c, 1, kernel, kernel]), stride, padding));
                    }
                }
            }
        }
        cases
    }

    #[test]
    fn forward_equals_candle_s_grouped_convolution() {
        let mut rng = generator(1);
        for (input, weight, stride, padding) in cases(&mut rng) {
            let ours = depthwise_conv2d(&input, &weight, stride, padding).unwrap();
            let theirs = reference(&input, &weight, stride, padding);
            let worst = difference(&ours, &theirs);
            assert!(worst < 1e-5, "{input:?} {weight:?} {stride} {padding:?}: {worst}");
        }
    }

    #[test]
    fn strided_and_offset_tensors_are_taken_as_they_are_meant() {
        let mut rng = generator(2);
        let input = random(&mut rng, &[3, 7, 9, 4]).permute((0, 3, 1, 2)).unwrap();
        let input = input.narrow(0, 1, 2).unwrap();
        let weight = random(&mut rng, &[6, 1, 3, 3]).narrow(0, 1, 4).unwrap();
        let weight = weight.transpose(2, 3).unwrap();
        let ours = depthwise_conv2d(&input, &weight, 2, Padding::Same).unwrap();
        let (input, weight) = (input.contiguous().unwrap(), weight.contiguous().unwrap());
        assert!(difference(&ours, &reference(&input, &weight, 2, Padding::Same)) < 1e-5);
    }

    #[test]
    fn explicit_geometry_may_be_lopsided() {
        let input = Tensor::arange(1f32, 10.0, &Device::Cpu).unwrap();
        let input = input.reshape((1, 1, 3, 3)).unwrap();
        let weight = Tensor::ones((1, 1, 2, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let op = DepthwiseConv2d::new(2, 2, (3, 3), (0, 1), (2, 2));
        let output = op.apply(&input, &weight).unwrap();
        let output: Vec<f32> = output.flatten_all().unwrap().to_vec1().unwrap();
        // Rows 0–1 and 2 with zeros below; column 0 behind a zero, then 1–2.
        assert_eq!(output, [5.0, 16.0, 7.0, 17.0]);
    }

    /// The operation is linear in either argument, so that a gradient is the
    /// exact difference of two forward passes, whatever the step.
    #[test]
    fn gradients_equal_differences() {
        let mut rng = generator(3);
        for (input, weight, stride, padding) in cases(&mut rng) {
            let (input, weight) =
                (Var::from_tensor(&input).unwrap(), Var::from_tensor(&weight).unwrap());
            let run = |i: &Tensor, w: &Tensor| depthwise_conv2d(i, w, stride, padding).unwrap();
            let output = run(&input, &weight);
            let seed = random(&mut rng, output.dims());
            let loss = |o: &Tensor| (o * &seed).unwrap().sum_all().unwrap();
            let gradients = loss(&output).backward().unwrap();

            for (of, of_input) in [(&input, true), (&weight, false)] {
                let step = random(&mut rng, of.dims());
                let moved = (of.as_tensor() + &step).unwrap();
                let after = if of_input { run(&moved, &weight) } else { run(&input, &moved) };
                let change = (loss(&after) - loss(&output)).unwrap();
                let change: f32 = change.to_scalar().unwrap();
                let along = (gradients.get(of).unwrap() * &step).unwrap().sum_all().unwrap();
                let along: f32 = along.to_scalar().unwrap();
                assert!(
                    (change - along).abs() < 2e-4 * (1.0 + change.abs()),
                    "{input:?} {weight:?} {stride} {padding:?} input {of_input}: {change} {along}"
                );
            }
        }
    }

    #[test]
    fn either_axis_may_come_first() {
        let mut rng = generator(4);
        let turned = |t: &Tensor| t.transpose(0, 1).unwrap().contiguous().unwrap();
        let input = Var::from_tensor(&random(&mut rng, &[3, 4, 7, 6])).unwrap();
        let weight = Var::from_tensor(&random(&mut rng, &[4, 1, 3, 3])).unwrap();
        let op = DepthwiseConv2d::new(3, 2, (7, 6), (1, 1), (4, 3));
        let usual = op.apply(&input, &weight).unwrap();
        let seed = random(&mut rng, usual.dims());
        let gradients = (&usual * &seed).unwrap().sum_all().unwrap().backward().unwrap();
        let other = op.channels_first().apply(&turned(&input), &weight).unwrap();
        assert_eq!(difference(&turned(&other), &usual), 0.0);
        let loss = (&other * &turned(&seed)).unwrap().sum_all().unwrap();
        let again = loss.backward().unwrap();
        for of in [&input, &weight] {
            let (a, b) = (gradients.get(of).unwrap(), again.get(of).unwrap());
            assert_eq!(difference(a, b), 0.0);
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let zeros =
            |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
        let input = zeros(&[1, 4, 8, 8]);
        assert!(depthwise_conv2d(&input, &zeros(&[3, 1, 3, 3]), 1, Padding::Same).is_err());
        assert!(depthwise_conv2d(&input, &zeros(&[4, 1, 3, 5]), 1, Padding::Same).is_err());
        assert!(depthwise_conv2d(&input, &zeros(&[4, 1, 3, 3]), 0, Padding::Same).is_err());
    }
}
