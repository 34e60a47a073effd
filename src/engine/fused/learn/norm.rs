//! Batch norm: its statistics, the affine map that they make of it, and its
//! gradient (Ioffe & Szegedy 2015, arXiv:1502.03167, section 3).

use super::context::Context;
use super::groups::GROUPS;
use super::parameter::Parameters;
use crate::model::weights::{Weights, WeightsError};
use hiwl_kernels::train::{Buffer, Element, Moments, Sums, padded};

/// Share of a batch's statistics in the running ones, unless told otherwise:
/// PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// A batch norm over channels.
pub(super) struct Norm {
    prefix: String,
    channels: usize,
    eps: f64,
    /// Share of a batch's statistics in the running ones.
    pub(super) momentum: f64,
    gamma: usize,
    beta: usize,
    running_mean: Vec<f32>,
    running_var: Vec<f32>,
    /// Rows in the statistics of the current batch.
    rows: f64,
    mean: Vec<f64>,
    inverse: Vec<f64>,
    pub(super) vectors: Vectors,
    /// Statistics by group.
    pub(super) moments: Vec<Moments>,
    /// `Σ dz` and `Σ dz · x̂` by group.
    pub(super) sums: Vec<Sums>,
}

/// What kernels read, per padded channel and zero past the last one.
pub(super) struct Vectors {
    /// `bn(x) = x · scale + shift`.
    pub(super) scale: Buffer,
    pub(super) shift: Buffer,
    /// `x̂ = x · rstd + offset`.
    pub(super) rstd: Buffer,
    pub(super) offset: Buffer,
    /// `dx = dz · c0 + x · c1 + c2`.
    pub(super) c: [Buffer; 3],
}

impl Vectors {
    pub(super) fn affine(&self) -> (&[f32], &[f32]) {
        (&self.scale, &self.shift)
    }

    pub(super) fn hat(&self) -> (&[f32], &[f32]) {
        (&self.rstd, &self.offset)
    }

    pub(super) fn gradient(&self) -> [&[f32]; 3] {
        [&self.c[0], &self.c[1], &self.c[2]]
    }
}

impl Norm {
    pub(super) fn new(
        parameters: &mut Parameters,
        weights: &Weights,
        prefix: String,
        channels: usize,
        eps: f64,
    ) -> Result<Self, WeightsError> {
        let shape = [channels];
        let c = padded(channels);
        let zeros = || Buffer::zeros(c);
        Ok(Self {
            gamma: parameters.take(weights, format!("{prefix}.weight"), &shape)?,
            beta: parameters.take(weights, format!("{prefix}.bias"), &shape)?,
            running_mean: weights.values(&format!("{prefix}.running_mean"), &shape)?,
            running_var: weights.values(&format!("{prefix}.running_var"), &shape)?,
            prefix,
            channels,
            eps,
            momentum: MOMENTUM,
            rows: 0.0,
            mean: vec![0.0; channels],
            inverse: vec![0.0; channels],
            vectors: Vectors {
                scale: zeros(),
                shift: zeros(),
                rstd: zeros(),
                offset: zeros(),
                c: [zeros(), zeros(), zeros()],
            },
            moments: (0..GROUPS).map(|_| Moments::new(c)).collect(),
            sums: (0..GROUPS).map(|_| Sums::new(c, 2)).collect(),
        })
    }

    /// Takes the statistics of the batch while training, else the running ones.
    pub(super) fn fold_for<E: Element>(
        &mut self,
        context: &Context<'_, E>,
        parameters: &Parameters,
    ) {
        if context.training {
            self.fold_batch(parameters, context.groups.len());
        } else {
            self.fold_running(parameters);
        }
    }

    /// Takes the statistics of the groups' rows, and moves the running ones.
    fn fold_batch(&mut self, parameters: &Parameters, groups: usize) {
        let mut deviations = vec![0.0; self.channels];
        self.mean.fill(0.0);
        let mut rows = 0.0;
        for moments in &mut self.moments[..groups] {
            // Chan, Golub & LeVeque 1979: moments of two samples together.
            let n = moments.rows() as f64;
            let share = n / (rows + n);
            moments.finish(|i, mean, m2| {
                if i < self.channels {
                    let delta = mean - self.mean[i];
                    self.mean[i] += delta * share;
                    deviations[i] += m2 + delta * delta * rows * share;
                }
            });
            rows += n;
        }
        self.rows = rows;
        for (i, m2) in deviations.iter().enumerate() {
            let unbiased = m2 / (rows - 1.0).max(1.0);
            let share = self.momentum;
            let step = |old: f32, new: f64| (f64::from(old) * (1.0 - share) + new * share) as f32;
            self.running_mean[i] = step(self.running_mean[i], self.mean[i]);
            self.running_var[i] = step(self.running_var[i], unbiased);
            self.inverse[i] = 1.0 / (m2 / rows + self.eps).sqrt();
        }
        self.fold(parameters);
    }

    /// Takes the running statistics.
    fn fold_running(&mut self, parameters: &Parameters) {
        for i in 0..self.channels {
            self.mean[i] = f64::from(self.running_mean[i]);
            self.inverse[i] = 1.0 / (f64::from(self.running_var[i]) + self.eps).sqrt();
        }
        self.fold(parameters);
    }

    fn fold(&mut self, parameters: &Parameters) {
        let (gamma, beta) = (parameters.values(self.gamma), parameters.values(self.beta));
        for i in 0..self.channels {
            let scale = f64::from(gamma[i]) * self.inverse[i];
            self.vectors.scale[i] = scale as f32;
            self.vectors.shift[i] = (f64::from(beta[i]) - self.mean[i] * scale) as f32;
            self.vectors.rstd[i] = self.inverse[i] as f32;
            self.vectors.offset[i] = (-self.mean[i] * self.inverse[i]) as f32;
        }
    }

    /// Gradients from the groups' sums, each times `factor`.
    pub(super) fn gradient_of_groups(
        &mut self,
        parameters: &mut Parameters,
        groups: usize,
        factor: f64,
    ) {
        let mut total = [vec![0.0; self.channels], vec![0.0; self.channels]];
        for sums in &mut self.sums[..groups] {
            for (index, total) in total.iter_mut().enumerate() {
                for (total, sum) in total.iter_mut().zip(sums.get(index)) {
                    *total += sum * factor;
                }
            }
        }
        self.gradient(parameters, &total[0], &total[1]);
    }

    /// Gradients from `Σ dz` and `Σ dz · x̂` over the batch.
    pub(super) fn gradient(&mut self, parameters: &mut Parameters, dz: &[f64], dz_hat: &[f64]) {
        for i in 0..self.channels {
            parameters.gradient(self.beta)[i] = dz[i] as f32;
            parameters.gradient(self.gamma)[i] = dz_hat[i] as f32;
            let inverse = self.inverse[i];
            let scale = f64::from(parameters.values(self.gamma)[i]) * inverse;
            let (mean, slope) = (dz[i] / self.rows, dz_hat[i] / self.rows);
            self.vectors.c[0][i] = scale as f32;
            self.vectors.c[1][i] = (-scale * slope * inverse) as f32;
            self.vectors.c[2][i] = (scale * (self.mean[i] * inverse * slope - mean)) as f32;
        }
    }

    /// Replaces the running statistics.
    pub(super) fn set_running(&mut self, mean: Vec<f32>, var: Vec<f32>) {
        (self.running_mean, self.running_var) = (mean, var);
    }

    /// The running statistics under their names.
    pub(super) fn running(&self) -> [(String, &[f32]); 2] {
        [
            (format!("{}.running_mean", self.prefix), &self.running_mean),
            (format!("{}.running_var", self.prefix), &self.running_var),
        ]
    }
}
