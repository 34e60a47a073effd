//! The operations of this folder from candle's own, which it computes and
//! differentiates on any device: what a GPU runs. On the processor they are slower and
//! keep more, and are there to be compared with.
//!
//! Each tap of a kernel is a view of the padded images, shifted; a convolution is one
//! matrix product of all of them, a depthwise one their weighted sum, a pool the largest.
//! Where several pixels of a window are largest, candle shares the gradient among them.

use candle_core::{DType, Result, Tensor};

use super::conv::Convolution;
use super::norm::Moments;
use super::pool::MaxPool;

/// Images around which there is enough of `value` for every tap, as views of them.
struct Taps {
    padded: Tensor,
    kernel: usize,
    stride: usize,
    output: (usize, usize),
}

impl Taps {
    fn of(
        images: &Tensor,
        (kernel, stride): (usize, usize),
        before: (usize, usize),
        output: (usize, usize),
        value: f64,
    ) -> Result<Self> {
        let mut padded = images.clone();
        for (axis, before, output) in [(2, before.0, output.0), (3, before.1, output.1)] {
            let needed = output * stride + kernel - 1;
            let after = needed.saturating_sub(before + padded.dim(axis)?);
            padded = filled(&padded, axis, before, after, value)?;
        }
        Ok(Self { padded, kernel, stride, output })
    }

    /// What tap (y, x) meets: C×N×rows×columns of the output.
    fn tap(&self, y: usize, x: usize) -> Result<Tensor> {
        let rows = every(&self.padded, 2, y, self.stride, self.output.0)?;
        every(&rows, 3, x, self.stride, self.output.1)
    }

    /// All of them, row by row.
    fn all(&self) -> Result<Vec<Tensor>> {
        let taps = (0..self.kernel).flat_map(|y| (0..self.kernel).map(move |x| (y, x)));
        taps.map(|(y, x)| self.tap(y, x)).collect()
    }
}

/// The images with so many rows or columns of a value before and after them.
fn filled(images: &Tensor, axis: usize, before: usize, after: usize, value: f64) -> Result<Tensor> {
    let more = |count: usize| {
        let mut dims = images.dims().to_vec();
        dims[axis] = count;
        Tensor::full(value as f32, dims, images.device())?.to_dtype(images.dtype())
    };
    match (before, after) {
        (0, 0) => Ok(images.clone()),
        (0, after) => Tensor::cat(&[images, &more(after)?], axis),
        (before, 0) => Tensor::cat(&[&more(before)?, images], axis),
        (before, after) => Tensor::cat(&[&more(before)?, images, &more(after)?], axis),
    }
}

/// `count` places of an axis from `from` on, `stride` apart.
fn every(images: &Tensor, axis: usize, from: usize, stride: usize, count: usize) -> Result<Tensor> {
    let own = images.narrow(axis, from, count * stride)?;
    if stride == 1 {
        return Ok(own);
    }
    let mut dims = own.dims().to_vec();
    dims[axis] = stride;
    dims.insert(axis, count);
    own.contiguous()?.reshape(dims)?.narrow(axis + 1, 0, 1)?.squeeze(axis + 1)
}

/// [`Convolution`] of C×N×H×W images with an O×C×k×k kernel.
///
/// # Errors
/// candle's, if shapes or types do not fit.
pub fn convolution(op: &Convolution, images: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (channels, count, ..) = images.dims4()?;
    let (outputs, ..) = weight.dims4()?;
    let pixels = count * op.output.0 * op.output.1;
    let taps = Taps::of(images, (op.kernel, op.stride), op.before, op.output, 0.0)?.all()?;
    let rows = taps.iter().map(|tap| tap.contiguous()?.reshape((channels, 1, pixels)));
    let rows = Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 1)?;
    let rows = rows.reshape((channels * op.kernel * op.kernel, pixels))?;
    let matrix = weight.reshape((outputs, channels * op.kernel * op.kernel))?;
    matrix.matmul(&rows)?.reshape((outputs, count, op.output.0, op.output.1))
}

/// A depthwise convolution of C×N×H×W images with C×1×k×k kernels.
///
/// # Errors
/// candle's, if shapes or types do not fit.
pub fn depthwise(
    images: &Tensor,
    weight: &Tensor,
    stride: usize,
    before: (usize, usize),
    output: (usize, usize),
) -> Result<Tensor> {
    let (channels, _, kernel, _) = weight.dims4()?;
    let taps = Taps::of(images, (kernel, stride), before, output, 0.0)?;
    let weight = weight.reshape((channels, kernel * kernel))?;
    let mut sum: Option<Tensor> = None;
    for (place, tap) in taps.all()?.iter().enumerate() {
        let own = weight.narrow(1, place, 1)?.contiguous()?.reshape((channels, 1, 1, 1))?;
        let own = tap.contiguous()?.broadcast_mul(&own)?;
        sum = Some(match sum {
            Some(sum) => (sum + own)?,
            None => own,
        });
    }
    sum.ok_or_else(|| candle_core::Error::Msg("a kernel without taps".into()))
}

/// [`MaxPool`] of C×N×H×W images.
///
/// # Errors
/// candle's, if shape or type do not fit.
pub fn max_pool(op: &MaxPool, images: &Tensor) -> Result<Tensor> {
    let (.., height, width) = images.dims4()?;
    let output = (op.windows(height), op.windows(width));
    let before = (op.padding, op.padding);
    // Less than any f32 that may be largest, and no infinity, which 0 makes NaN of.
    let taps = Taps::of(images, (op.kernel, op.stride), before, output, f64::from(f32::MIN))?;
    let mut taps = taps.all()?.into_iter();
    let first = taps.next().ok_or_else(|| candle_core::Error::Msg("an empty window".into()))?;
    taps.try_fold(first.contiguous()?, |most, tap| most.maximum(&tap.contiguous()?))
}

/// Batch norm of C×N×H×W images by their own mean and variance, through which candle
/// differentiates, or by fixed ones (C); and the moments, where they are the batch's.
///
/// # Errors
/// candle's, if shapes or types do not fit.
pub fn norm(
    images: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    fixed: Option<(&Tensor, &Tensor)>,
    eps: f64,
) -> Result<(Tensor, Option<Moments>)> {
    let channels = images.dim(0)?;
    let column = |tensor: &Tensor| tensor.reshape((channels, 1, 1, 1));
    let (mean, variance, moments) = match fixed {
        Some((mean, variance)) => (column(mean)?, column(variance)?, None),
        None => {
            let mean = images.mean_keepdim((1, 2, 3))?;
            let variance = images.broadcast_sub(&mean)?.sqr()?.mean_keepdim((1, 2, 3))?;
            let told = |tensor: &Tensor| {
                let values = tensor.detach().flatten_all()?.to_dtype(DType::F64)?;
                values.to_vec1::<f64>()
            };
            let moments = Moments { mean: told(&mean)?, variance: told(&variance)? };
            (mean, variance, Some(moments))
        }
    };
    let scale = column(gamma)?.div(&(variance + eps)?.sqrt()?)?;
    let found = images.broadcast_sub(&mean)?.broadcast_mul(&scale)?.broadcast_add(&column(beta)?);
    Ok((found?, moments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::candle::ops::checks::{difference, generator, random};
    use crate::engine::candle::ops::depthwise::DepthwiseConv2d;
    use crate::engine::candle::ops::norm::Norm;
    use crate::engine::candle::ops::values;
    use crate::near::largest;
    use candle_core::Var;
    use rand_chacha::ChaCha8Rng;

    /// That two ways to compute the same agree, and their gradients towards every input.
    fn same(
        rng: &mut ChaCha8Rng,
        inputs: &[Tensor],
        own: impl Fn(&[Tensor]) -> Tensor,
        portable: impl Fn(&[Tensor]) -> Tensor,
    ) {
        let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
        let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let (a, b) = (own(&tensors), portable(&tensors));
        assert!(difference(&a, &b) < 2e-5);
        let seed = random(rng, a.dims());
        let gradients = |output: &Tensor| (output * &seed)?.sum_all()?.backward();
        let (a, b) = (gradients(&a).unwrap(), gradients(&b).unwrap());
        for (place, var) in vars.iter().enumerate() {
            let (a, b) = (a.get(var).unwrap(), b.get(var).unwrap());
            let scale = largest(values::<f32>(a).unwrap()).max(1.0);
            assert!(difference(a, b) < 1e-4 * scale, "input {place}");
        }
    }

    #[test]
    fn convolutions_are_those_of_the_processor() {
        let mut rng = generator(11);
        for (kernel, stride, pad) in
            [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (5, 2, 2), (7, 2, 3), (6, 1, 2), (4, 4, 0)]
        {
            let (height, width) = (9, 12);
            let output = |side: usize| (side + 2 * pad - kernel) / stride + 1;
            let output = (output(height), output(width));
            let op = Convolution { kernel, stride, before: (pad, pad), output, input_learns: true };
            let images = random(&mut rng, &[3, 2, height, width]);
            let weight = random(&mut rng, &[4, 3, kernel, kernel]);
            same(
                &mut rng,
                &[images.clone(), weight],
                |of| op.apply(&of[0], &of[1]).unwrap(),
                |of| convolution(&op, &of[0], &of[1]).unwrap(),
            );
            let weight = random(&mut rng, &[3, 1, kernel, kernel]);
            let own = DepthwiseConv2d::new(kernel, stride, (height, width), (pad, pad), output)
                .channels_first();
            same(
                &mut rng,
                &[images, weight],
                |of| own.apply(&of[0], &of[1]).unwrap(),
                |of| depthwise(&of[0], &of[1], stride, (pad, pad), output).unwrap(),
            );
        }
    }

    #[test]
    fn pools_and_norms_are_those_of_the_processor() {
        let mut rng = generator(12);
        for (kernel, stride, padding, ceil) in
            [(2, 2, 0, false), (3, 2, 1, false), (3, 2, 0, true), (3, 1, 1, true), (1, 2, 0, false)]
        {
            let op = MaxPool { kernel, stride, padding, ceil };
            let images = random(&mut rng, &[2, 3, 8, 7]);
            let portable = |of: &[Tensor]| max_pool(&op, &of[0]).unwrap();
            same(&mut rng, &[images], |of| op.apply(&of[0]).unwrap(), portable);
        }
        let inputs =
            [random(&mut rng, &[3, 2, 5, 4]), random(&mut rng, &[3]), random(&mut rng, &[3])];
        same(
            &mut rng,
            &inputs,
            |of| {
                let moments = Moments::of(&of[0]).unwrap();
                Norm::new(&moments, 1e-3, true).apply(&of[0], &of[1], &of[2]).unwrap()
            },
            |of| norm(&of[0], &of[1], &of[2], None, 1e-3).unwrap().0,
        );
        let (mean, variance) = (random(&mut rng, &[3]), random(&mut rng, &[3]).sqr().unwrap());
        let fixed = Moments {
            mean: mean.to_dtype(DType::F64).unwrap().to_vec1().unwrap(),
            variance: variance.to_dtype(DType::F64).unwrap().to_vec1().unwrap(),
        };
        same(
            &mut rng,
            &inputs,
            |of| Norm::new(&fixed, 1e-3, false).apply(&of[0], &of[1], &of[2]).unwrap(),
            |of| norm(&of[0], &of[1], &of[2], Some((&mean, &variance)), 1e-3).unwrap().0,
        );
        let told = norm(&inputs[0], &inputs[1], &inputs[2], None, 1e-3).unwrap().1.unwrap();
        let own = Moments::of(&inputs[0]).unwrap();
        for (a, b) in
            told.mean.iter().chain(&told.variance).zip(own.mean.iter().chain(&own.variance))
        {
            assert!((a - b).abs() < 1e-6);
        }
    }
}
