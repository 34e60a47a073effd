//! Batch norm, forward and backward in closed form (Ioffe & Szegedy 2015,
//! arXiv:1502.03167).
//!
//! The statistics are found first ([`Moments::of`]), or are the running ones; the
//! operation then is `γ · (x − mean) / √(var + ε) + β`, and its gradient knows whether
//! the statistics depend on the batch.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;

use super::{by_type, contiguous, values, zeros};

/// Mean and variance of each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// By channel.
    pub mean: Vec<f64>,
    /// By channel: of the batch, divided by its number of pixels.
    pub variance: Vec<f64>,
}

impl Moments {
    /// Those of a C×N×H×W batch.
    ///
    /// # Errors
    /// candle's, if shape or type do not fit.
    pub fn of(batch: &Tensor) -> Result<Self> {
        let (channels, images, height, width) = batch.dims4()?;
        let count = images * height * width;
        let (mean, variance): (Vec<f64>, Vec<f64>) = by_type!(batch.dtype(), T => {
            let values = values::<T>(&batch.detach())?;
            let both = values.par_chunks_exact(count.max(1)).map(|own| {
                let mean = sum(own, |x| x) / count as f64;
                (mean, sum(own, |x| (x - mean) * (x - mean)) / count as f64)
            });
            both.unzip()
        });
        if mean.len() != channels {
            bail!("a batch without pixels has no moments");
        }
        Ok(Self { mean, variance })
    }
}

/// A sum in eight parts side by side.
fn sum<T: WithDType>(values: &[T], of: impl Fn(f64) -> f64) -> f64 {
    sum_of_two(values, values, |x, _| of(x))
}

fn sum_of_two<T: WithDType>(a: &[T], b: &[T], of: impl Fn(f64, f64) -> f64) -> f64 {
    let mut parts = [0f64; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for ((part, a), b) in parts.iter_mut().zip(a).zip(b) {
            *part += of(a.to_f64(), b.to_f64());
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| of(a.to_f64(), b.to_f64())).sum();
    parts.iter().sum::<f64>() + rest
}

/// The operation with its statistics.
#[derive(Debug, Clone)]
pub struct Norm {
    mean: Vec<f64>,
    /// 1 / √(variance + ε).
    scale: Vec<f64>,
    /// Whether the statistics are the batch's.
    of_batch: bool,
}

impl Norm {
    /// With statistics that are the batch's, or fixed.
    pub fn new(moments: &Moments, eps: f64, of_batch: bool) -> Self {
        let scale = |v: &f64| 1.0 / (v + eps).sqrt();
        let scale = moments.variance.iter().map(scale).collect();
        Self { mean: moments.mean.clone(), scale, of_batch }
    }

    /// Runs it on a C×N×H×W batch with γ and β (C), differentiably.
    ///
    /// # Errors
    /// candle's, if shapes or types do not fit.
    pub fn apply(self, batch: &Tensor, gamma: &Tensor, beta: &Tensor) -> Result<Tensor> {
        batch.contiguous()?.apply_op3(gamma, beta, self)
    }
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        batch: &CpuStorage,
        batch_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = batch_layout.shape();
        by_type!(batch.dtype(), T => {
            let gamma = contiguous::<T>(gamma, gamma_layout)?;
            let beta = contiguous::<T>(beta, beta_layout)?;
            let output = self.forward(shape, contiguous(batch, batch_layout)?, gamma, beta)?;
            Ok((T::to_cpu_storage_owned(output), shape.clone()))
        })
    }

    fn bwd(
        &self,
        batch: &Tensor,
        gamma: &Tensor,
        _beta: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        by_type!(batch.dtype(), T => self.backward::<T>(batch, gamma, gradient))
    }
}

impl Norm {
    fn forward<T: WithDType>(
        &self,
        shape: &Shape,
        batch: &[T],
        gamma: &[T],
        beta: &[T],
    ) -> Result<Vec<T>> {
        let (channels, ..) = shape.dims4()?;
        if [gamma.len(), beta.len(), self.mean.len()] != [channels; 3] {
            bail!("a norm of {} channels on {channels}", gamma.len());
        }
        let count = (batch.len() / channels.max(1)).max(1);
        let mut output = zeros::<T>(batch.len());
        let rows = output.par_chunks_exact_mut(count).zip(batch.par_chunks_exact(count));
        rows.enumerate().for_each(|(c, (to, from))| {
            let scale = gamma[c] * T::from_f64(self.scale[c]);
            let shift = beta[c] - T::from_f64(self.mean[c]) * scale;
            to.iter_mut().zip(from).for_each(|(to, x)| *to = *x * scale + shift);
        });
        Ok(output)
    }

    fn backward<T: WithDType>(
        &self,
        batch: &Tensor,
        gamma: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (x, dy) = (values::<T>(batch)?, values::<T>(&gradient.contiguous()?)?);
        let gamma = values::<T>(gamma)?;
        let count = (x.len() / gamma.len().max(1)).max(1);
        let mut dx = zeros::<T>(x.len());
        let rows = dx.par_chunks_exact_mut(count).zip(x.par_chunks_exact(count));
        let sums = rows.zip(dy.par_chunks_exact(count)).enumerate().map(|(c, ((dx, x), dy))| {
            let d_beta = sum(dy, |dy| dy);
            let d_gamma = sum_of_two(x, dy, |x, dy| (x - self.mean[c]) * dy) * self.scale[c];
            let (mean, scale) = (T::from_f64(self.mean[c]), T::from_f64(self.scale[c]));
            let shares = if self.of_batch { 1.0 / count as f64 } else { 0.0 };
            let (a, b) = (T::from_f64(d_beta * shares), T::from_f64(d_gamma * shares));
            let factor = gamma[c] * scale;
            for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
                *dx = factor * (dy - a - (x - mean) * scale * b);
            }
            (T::from_f64(d_gamma), T::from_f64(d_beta))
        });
        let (d_gamma, d_beta): (Vec<T>, Vec<T>) = sums.unzip();
        let vector = |values: Vec<T>| {
            let length = values.len();
            Tensor::from_vec(values, length, &Device::Cpu)
        };
        let dx = Tensor::from_vec(dx, batch.dims(), &Device::Cpu)?;
        Ok((Some(dx), Some(vector(d_gamma)?), Some(vector(d_beta)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::candle::ops::checks::{difference, generator, gradients, random};
    use candle_nn::{BatchNorm, ModuleT};

    #[test]
    fn it_is_candle_nn_s_and_gradients_equal_differences() {
        let mut rng = generator(3);
        for (c, n, h, w) in [(1, 1, 3, 3), (3, 2, 5, 4), (5, 4, 1, 7)] {
            let batch = random(&mut rng, &[c, n, h, w]);
            let (gamma, beta) = (random(&mut rng, &[c]), random(&mut rng, &[c]));
            let usual = batch.transpose(0, 1).unwrap().contiguous().unwrap();
            let mean = (0..c).map(|at| 0.3 - 0.2 * at as f64).collect();
            let fixed = Moments { mean, variance: vec![0.7; c] };
            for of_batch in [true, false] {
                let moments = if of_batch { Moments::of(&batch).unwrap() } else { fixed.clone() };
                let vector = |v: &[f64]| {
                    let v: Vec<f32> = v.iter().map(|&v| v as f32).collect();
                    Tensor::from_slice(&v, c, &Device::Cpu).unwrap()
                };
                let theirs = BatchNorm::new(
                    c,
                    vector(&fixed.mean),
                    vector(&fixed.variance),
                    gamma.clone(),
                    beta.clone(),
                    1e-3,
                );
                let expected = theirs.unwrap().forward_t(&usual, of_batch).unwrap();
                let found = Norm::new(&moments, 1e-3, of_batch);
                let found = found.apply(&batch, &gamma, &beta).unwrap();
                assert!(difference(&found.transpose(0, 1).unwrap(), &expected) < 1e-5);
                let inputs = [batch.clone(), gamma.clone(), beta.clone()];
                gradients(&mut rng, &inputs, (1e-2, 5e-3), |of| {
                    let moments =
                        if of_batch { Moments::of(&of[0]).unwrap() } else { fixed.clone() };
                    Norm::new(&moments, 1e-3, of_batch).apply(&of[0], &of[1], &of[2]).unwrap()
                });
            }
        }
    }
}
