//! Convolution as matrix products: forward, and backward towards kernel and input.
//!
//! Each tap of the kernel becomes a row of pixels (`unfold`), and the kernel times
//! these rows is the output; the other way round a product is added back to the
//! pixels (`fold`). Rows are made for so many images at once as fit into `ROOM`,
//! and made again for the gradient, so that none are kept.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;

use super::{by_type, contiguous, values, zeros};

/// Most values of rows that are made at once: 64 MB of f32.
const ROOM: usize = 16 << 20;

/// A convolution of C×N×H×W images with an O×C×k×k kernel.
#[derive(Debug, Clone, Copy)]
pub struct Convolution {
    /// Side of the kernel.
    pub kernel: usize,
    /// Pixels from one output to the next.
    pub stride: usize,
    /// Zeros before the first row and the first column.
    pub before: (usize, usize),
    /// Rows and columns of the output.
    pub output: (usize, usize),
    /// Whether what comes before it learns.
    pub input_learns: bool,
}

/// Sizes of a batch.
#[derive(Clone, Copy)]
struct Sizes {
    channels: usize,
    images: usize,
    height: usize,
    width: usize,
}

impl Sizes {
    fn of(dims: (usize, usize, usize, usize)) -> Self {
        let (channels, images, height, width) = dims;
        Self { channels, images, height, width }
    }

    fn plane(&self) -> usize {
        self.height * self.width
    }
}

impl Convolution {
    /// Runs it, differentiably.
    ///
    /// # Errors
    /// candle's, if shapes or types do not fit.
    pub fn apply(self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (channels, images, height, width) = input.dims4()?;
        let (output, inputs, ..) = weight.dims4()?;
        if self.kernel == 1 && self.stride == 1 && inputs == channels {
            // The pixels are the rows.
            let rows = input.reshape((channels, images * height * width))?;
            let matrix = weight.reshape((output, channels))?;
            return matrix.matmul(&rows)?.reshape((output, images, height, width));
        }
        input.contiguous()?.apply_op2(&weight.contiguous()?, self)
    }

    fn pixels(&self) -> usize {
        self.output.0 * self.output.1
    }

    /// Ranges of images whose rows are made at once.
    fn chunks(&self, sizes: Sizes) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let each = sizes.channels * self.kernel * self.kernel * self.pixels();
        let most = (ROOM / each.max(1)).max(1);
        (0..sizes.images).step_by(most).map(move |from| from..(from + most).min(sizes.images))
    }

    /// Outputs `from..to` along an axis for which a tap meets a pixel, and the pixel
    /// of the first.
    fn met(&self, tap: usize, before: usize, size: usize, outputs: usize) -> [usize; 3] {
        let from = before.saturating_sub(tap).div_ceil(self.stride).min(outputs);
        let to = (size + before).saturating_sub(tap).div_ceil(self.stride).min(outputs);
        let first = (from * self.stride + tap).saturating_sub(before);
        [from, to.max(from), first]
    }

    /// The rows of some images: C·k·k of them, each their output pixels.
    fn unfold<T: WithDType>(
        &self,
        input: &[T],
        sizes: Sizes,
        images: std::ops::Range<usize>,
    ) -> Vec<T> {
        let (k, pixels) = (self.kernel, self.pixels());
        let length = images.len() * pixels;
        let mut rows = zeros(sizes.channels * k * k * length);
        rows.par_chunks_exact_mut(length).enumerate().for_each(|(row, to)| {
            let (channel, ky, kx) = (row / (k * k), row / k % k, row % k);
            let [top, bottom, y] = self.met(ky, self.before.0, sizes.height, self.output.0);
            let [left, right, x] = self.met(kx, self.before.1, sizes.width, self.output.1);
            if left == right {
                return;
            }
            for (image, to) in images.clone().zip(to.chunks_exact_mut(pixels)) {
                let plane = &input[(channel * sizes.images + image) * sizes.plane()..];
                for (line, oy) in (top..bottom).enumerate() {
                    let from = &plane[(y + line * self.stride) * sizes.width + x..];
                    let to = &mut to[oy * self.output.1 + left..oy * self.output.1 + right];
                    if self.stride == 1 {
                        to.copy_from_slice(&from[..to.len()]);
                    } else {
                        let from = from.iter().step_by(self.stride);
                        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                    }
                }
            }
        });
        rows
    }

    /// Adds the rows of some images to the pixels that they were made of.
    fn fold<T: WithDType>(
        &self,
        rows: &[T],
        sizes: Sizes,
        images: std::ops::Range<usize>,
        output: &mut [T],
    ) {
        let (k, pixels) = (self.kernel, self.pixels());
        let length = images.len() * pixels;
        let planes = output.par_chunks_exact_mut(sizes.images * sizes.plane());
        planes.zip(rows.par_chunks_exact(k * k * length)).for_each(|(channel, rows)| {
            for (tap, row) in rows.chunks_exact(length).enumerate() {
                let [top, bottom, y] =
                    self.met(tap / k, self.before.0, sizes.height, self.output.0);
                let [left, right, x] = self.met(tap % k, self.before.1, sizes.width, self.output.1);
                if left == right {
                    continue;
                }
                for (image, from) in images.clone().zip(row.chunks_exact(pixels)) {
                    let plane = &mut channel[image * sizes.plane()..];
                    for (line, oy) in (top..bottom).enumerate() {
                        let to = &mut plane[(y + line * self.stride) * sizes.width + x..];
                        let from = &from[oy * self.output.1 + left..oy * self.output.1 + right];
                        let to = to.iter_mut().step_by(self.stride);
                        to.zip(from).for_each(|(to, from)| *to += *from);
                    }
                }
            }
        });
    }

    /// Rows of a C×N×P tensor that belong to some images, as a C×(n·P) matrix.
    fn of_images(tensor: &Tensor, images: &std::ops::Range<usize>) -> Result<Tensor> {
        let (channels, all, pixels) = tensor.dims3()?;
        let own = if images.len() == all {
            tensor.clone()
        } else {
            tensor.narrow(1, images.start, images.len())?.contiguous()?
        };
        own.reshape((channels, images.len() * pixels))
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (input, weight) = ((input, input_layout), (weight, weight_layout));
        by_type!(input.0.dtype(), T => self.forward::<T>(input, weight))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        by_type!(input.dtype(), T => self.backward::<T>(input, weight, gradient))
    }
}

impl Convolution {
    fn forward<T: WithDType>(
        &self,
        (input, input_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::of(input_layout.shape().dims4()?);
        let (outputs, inputs, k, _) = weight_layout.shape().dims4()?;
        if (inputs, k) != (sizes.channels, self.kernel) {
            bail!("a kernel of {inputs}×{k}×{k} on {} channels", sizes.channels);
        }
        let input = contiguous::<T>(input, input_layout)?;
        let taps = inputs * k * k;
        let weight = contiguous::<T>(weight, weight_layout)?;
        let matrix = Tensor::from_slice(weight, (outputs, taps), &Device::Cpu)?;
        let pixels = self.pixels();
        let mut output = zeros::<T>(outputs * sizes.images * pixels);
        for images in self.chunks(sizes) {
            let length = images.len() * pixels;
            let rows = self.unfold(input, sizes, images.clone());
            let rows = Tensor::from_vec(rows, (taps, length), &Device::Cpu)?;
            let found = values::<T>(&matrix.matmul(&rows)?)?;
            let to = output.chunks_exact_mut(sizes.images * pixels);
            for (to, from) in to.zip(found.chunks_exact(length)) {
                to[images.start * pixels..images.end * pixels].copy_from_slice(from);
            }
        }
        let shape = Shape::from((outputs, sizes.images, self.output.0, self.output.1));
        Ok((T::to_cpu_storage_owned(output), shape))
    }

    fn backward<T: WithDType>(
        &self,
        input: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let sizes = Sizes::of(input.dims4()?);
        let (outputs, inputs, k, _) = weight.dims4()?;
        let pixels = self.pixels();
        let gradient = gradient.contiguous()?.reshape((outputs, sizes.images, pixels))?;
        let matrix = weight.reshape((outputs, inputs * k * k))?;
        let pixels_of_input = values::<T>(input)?;
        let mut of_weight = matrix.zeros_like()?;
        let mut of_input = zeros::<T>(if self.input_learns { input.elem_count() } else { 0 });
        for images in self.chunks(sizes) {
            let own = Self::of_images(&gradient, &images)?;
            let rows = self.unfold(&pixels_of_input, sizes, images.clone());
            let rows =
                Tensor::from_vec(rows, (inputs * k * k, images.len() * pixels), &Device::Cpu)?;
            of_weight = (of_weight + own.matmul(&rows.t()?)?)?;
            drop(rows);
            if self.input_learns {
                let rows = values::<T>(&matrix.t()?.matmul(&own)?)?;
                self.fold(&rows, sizes, images, &mut of_input);
            }
        }
        let of_weight = of_weight.reshape(weight.dims())?;
        if !self.input_learns {
            return Ok((None, Some(of_weight)));
        }
        let of_input = Tensor::from_vec(of_input, input.dims(), &Device::Cpu)?;
        Ok((Some(of_input), Some(of_weight)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::candle::ops::checks::{difference, generator, gradients, random};
    use rand::Rng;

    fn op(kernel: usize, stride: usize, pad: usize, side: (usize, usize)) -> Convolution {
        let output = |side: usize| (side + 2 * pad - kernel) / stride + 1;
        let output = (output(side.0), output(side.1));
        Convolution { kernel, stride, before: (pad, pad), output, input_learns: true }
    }

    #[test]
    fn it_is_candle_s_convolution_and_gradients_equal_differences() {
        let mut rng = generator(1);
        for (kernel, stride, pad) in
            [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (5, 2, 0), (7, 2, 3), (6, 1, 2), (4, 4, 0)]
        {
            for _ in 0..3 {
                let side = (rng.random_range(7..13), rng.random_range(7..13));
                let (n, c, o) =
                    (rng.random_range(1..4), rng.random_range(1..5), rng.random_range(1..6));
                let input = random(&mut rng, &[c, n, side.0, side.1]);
                let weight = random(&mut rng, &[o, c, kernel, kernel]);
                let op = op(kernel, stride, pad, side);
                let found = op.apply(&input, &weight).unwrap();
                let usual = input.transpose(0, 1).unwrap().contiguous().unwrap();
                let expected = usual.conv2d(&weight, pad, stride, 1, 1).unwrap();
                assert!(difference(&found.transpose(0, 1).unwrap(), &expected) < 1e-4);
                // Linear in either, so that a large step is as good as a small one.
                gradients(&mut rng, &[input, weight], (1.0, 1e-4), |of| {
                    op.apply(&of[0], &of[1]).unwrap()
                });
            }
        }
    }

    #[test]
    fn many_images_are_taken_in_parts() {
        let mut rng = generator(2);
        let op = op(3, 1, 1, (150, 150));
        // 9 × 8 channels × 22,500 pixels an image: ten at once.
        let input = random(&mut rng, &[8, 12, 150, 150]);
        let weight = random(&mut rng, &[2, 8, 3, 3]);
        let sizes = Sizes::of(input.dims4().unwrap());
        assert_eq!(op.chunks(sizes).count(), 2);
        let all = op.apply(&input, &weight).unwrap();
        let last = input.narrow(1, 11, 1).unwrap();
        let alone = op.apply(&last, &weight).unwrap();
        assert!(difference(&all.narrow(1, 11, 1).unwrap(), &alone) < 1e-5);
    }
}
