//! The largest of windows that may overlap, reach into a padding that is never the
//! largest, and over the end; and means over an even grid of windows.
//!
//! The first of several that are largest gets the gradient, as in PyTorch.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::{by_type, contiguous, values, zeros};
use crate::model::backbone::pooled;

/// The largest of each window, of each plane (the last two axes of four).
#[derive(Debug, Clone, Copy)]
pub struct MaxPool {
    /// Side of the window.
    pub kernel: usize,
    /// From one window to the next.
    pub stride: usize,
    /// Around the image.
    pub padding: usize,
    /// Whether a window that reaches over the end counts.
    pub ceil: bool,
}

impl MaxPool {
    /// Runs it, differentiably.
    ///
    /// # Errors
    /// candle's, if shape or type do not fit.
    pub fn apply(self, input: &Tensor) -> Result<Tensor> {
        input.contiguous()?.apply_op1(self)
    }

    pub(super) fn windows(&self, size: usize) -> usize {
        pooled(size, self.kernel, self.stride, self.padding, self.ceil)
    }

    /// Pixels of a window along an axis.
    fn range(&self, window: usize, size: usize) -> std::ops::Range<usize> {
        let from = window * self.stride;
        let to = (from + self.kernel).saturating_sub(self.padding).min(size);
        from.saturating_sub(self.padding).min(to)..to
    }

    /// For each window of a plane, the place of its largest pixel.
    fn largest<T: WithDType>(
        &self,
        plane: &[T],
        width: usize,
        mut visit: impl FnMut(usize, usize),
    ) {
        let height = plane.len() / width;
        let columns = self.windows(width);
        for oy in 0..self.windows(height) {
            let rows = self.range(oy, height);
            for ox in 0..columns {
                let across = self.range(ox, width);
                let mut best = rows.start * width + across.start;
                for y in rows.clone() {
                    for at in y * width + across.start..y * width + across.end {
                        if plane[at] > plane[best] || plane[at].to_f64().is_nan() {
                            best = at;
                        }
                    }
                }
                visit(oy * columns + ox, best);
            }
        }
    }
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_type!(input.dtype(), T => self.forward::<T>(input, layout))
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        by_type!(input.dtype(), T => self.backward::<T>(input, gradient)).map(Some)
    }
}

impl MaxPool {
    fn forward<T: WithDType>(
        &self,
        input: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (first, second, height, width) = layout.shape().dims4()?;
        let input = contiguous::<T>(input, layout)?;
        let (rows, columns) = (self.windows(height), self.windows(width));
        let mut output = zeros::<T>(first * second * rows * columns);
        let planes = output.par_chunks_exact_mut(rows * columns);
        planes.zip(input.par_chunks_exact(height * width)).for_each(|(to, plane)| {
            self.largest(plane, width, |window, at| to[window] = plane[at]);
        });
        Ok((T::to_cpu_storage_owned(output), Shape::from((first, second, rows, columns))))
    }

    fn backward<T: WithDType>(&self, input: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let (.., height, width) = input.dims4()?;
        let (pixels, gradient) = (values::<T>(input)?, values::<T>(&gradient.contiguous()?)?);
        let windows = self.windows(height) * self.windows(width);
        let mut found = zeros::<T>(pixels.len());
        let planes = found.par_chunks_exact_mut(height * width);
        let planes = planes.zip(pixels.par_chunks_exact(height * width));
        planes.zip(gradient.par_chunks_exact(windows)).for_each(|((to, plane), gradient)| {
            self.largest(plane, width, |window, at| to[at] += gradient[window]);
        });
        Tensor::from_vec(found, input.dims(), &Device::Cpu)
    }
}

/// Means over an even grid of `side` × `side` windows (PyTorch's adaptive pooling):
/// a matrix product along each axis, which candle differentiates.
///
/// # Errors
/// candle's, if shape or type do not fit.
pub fn adaptive_mean(input: &Tensor, side: usize) -> Result<Tensor> {
    let (first, second, height, width) = input.dims4()?;
    let columns = input.reshape((first * second * height, width))?;
    let columns =
        columns.matmul(&grid(width, side, input)?)?.reshape((first * second, height, side))?;
    let rows = columns.transpose(1, 2)?.contiguous()?.reshape((first * second * side, height))?;
    let rows = rows.matmul(&grid(height, side, input)?)?.reshape((first * second, side, side))?;
    rows.transpose(1, 2)?.contiguous()?.reshape((first, second, side, side))
}

/// size × side: the share of each pixel in each mean, of the type of `like` and where
/// that is.
fn grid(size: usize, side: usize, like: &Tensor) -> Result<Tensor> {
    let mut shares = vec![0f64; size * side];
    for window in 0..side {
        let (from, to) = (window * size / side, ((window + 1) * size).div_ceil(side));
        for pixel in from..to {
            shares[pixel * side + window] = 1.0 / (to - from) as f64;
        }
    }
    let shares = Tensor::from_vec(shares, (size, side), &Device::Cpu)?;
    shares.to_dtype(like.dtype())?.to_device(like.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::candle::ops::checks::{difference, generator, gradients, random};

    #[test]
    fn without_overlap_it_is_candle_s() {
        let mut rng = generator(5);
        let input = random(&mut rng, &[2, 3, 9, 8]);
        let op = MaxPool { kernel: 2, stride: 2, padding: 0, ceil: false };
        let expected = input.max_pool2d(2).unwrap();
        assert_eq!(difference(&op.apply(&input).unwrap(), &expected), 0.0);
    }

    #[test]
    fn windows_may_overlap_and_reach_out() {
        let input = Tensor::arange(0f32, 16.0, &Device::Cpu).unwrap().reshape((1, 1, 4, 4));
        let input = (input.unwrap() - 20.0).unwrap();
        let run = |padding, ceil| {
            let op = MaxPool { kernel: 3, stride: 2, padding, ceil };
            values::<f32>(&op.apply(&input).unwrap()).unwrap()
        };
        assert_eq!(run(0, false), [-10.0]);
        assert_eq!(run(0, true), [-10.0, -9.0, -6.0, -5.0]);
        // Zeros of the padding would be larger than any of these.
        assert_eq!(run(1, false), [-15.0, -13.0, -7.0, -5.0]);
    }

    #[test]
    fn gradients_equal_differences() {
        let mut rng = generator(6);
        for (kernel, stride, padding, ceil) in
            [(2, 2, 0, false), (3, 2, 1, false), (3, 2, 0, true), (3, 1, 1, true), (2, 2, 0, true)]
        {
            let op = MaxPool { kernel, stride, padding, ceil };
            let input = random(&mut rng, &[2, 2, 7, 6]);
            // Steps so small that no window changes its largest.
            gradients(&mut rng, &[input], (1e-4, 2e-2), |of| op.apply(&of[0]).unwrap());
        }
        for side in [1, 2, 7] {
            let input = random(&mut rng, &[2, 2, 3, 5]);
            gradients(&mut rng, &[input], (1.0, 1e-4), |of| adaptive_mean(&of[0], side).unwrap());
        }
    }

    #[test]
    fn means_are_of_the_windows_that_pytorch_takes() {
        let input = Tensor::arange(0f32, 5.0, &Device::Cpu).unwrap().reshape((1, 1, 1, 5));
        let found = adaptive_mean(&input.unwrap(), 3).unwrap();
        // Pixels 0–1, 1–3, 3–4, in each of three rows.
        let row = [0.5, 2.0, 3.5];
        assert_eq!(values::<f32>(&found).unwrap(), [row, row, row].concat());
    }
}
